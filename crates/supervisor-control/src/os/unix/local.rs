//! The local socket of a server.

use std::io;
use std::os::unix::net::UnixListener;

use rustix::process::Gid;

use super::socket::BoundSocket;
use super::{Accounts, Incoming, Listener};

/// What listens for connections on this machine alone.
pub type LocalListener = UnixListener;

/// What there is to choose.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LocalChoices {
    /// The group whose members may read.
    pub(crate) readers: Option<Gid>,
    /// Whether a socket that stands there already is replaced.
    pub(crate) replace: bool,
}

/// A local socket that is served.
pub(crate) struct Local {
    incoming: Incoming,
    /// The file, where it is to be removed at the end.
    bound: Option<BoundSocket>,
    readers: Option<Gid>,
}

impl Local {
    /// Only within the runtime.
    pub(crate) fn new(
        listener: UnixListener,
        bound: Option<BoundSocket>,
        readers: Option<Gid>,
    ) -> io::Result<Self> {
        Ok(Self { incoming: Incoming::new(Listener::Unix(listener))?, bound, readers })
    }

    pub(crate) fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// Those who may connect.
    pub(crate) fn accounts(&self) -> Accounts {
        Accounts::allowed(self.readers)
    }

    /// Lets it stand for another server.
    pub(crate) fn leave(self) -> Option<LocalListener> {
        self.bound.into_iter().for_each(BoundSocket::leave);
        match self.incoming.into_listener() {
            Listener::Unix(listener) => Some(listener),
            Listener::Tcp(_) => None,
        }
    }
}

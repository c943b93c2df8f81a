//! There are no local sockets: whoever comes, comes by TCP.

use std::convert::Infallible;
use std::io;

use super::{Incoming, Stream};
use crate::server::{Access, Peer};

/// There is nothing that listens for connections on this machine alone but a port of the loopback interface.
pub type LocalListener = Infallible;

/// Nor anything to choose.
pub(crate) type LocalChoices = ();

/// None.
pub(crate) enum Local {}

impl Local {
    pub(crate) fn incoming(&self) -> &Incoming {
        match *self {}
    }

    pub(crate) fn accounts(&self) -> Accounts {
        match *self {}
    }

    pub(crate) fn leave(self) -> Option<LocalListener> {
        match self {}
    }
}

/// None.
pub(crate) enum Accounts {}

impl Accounts {
    pub(crate) fn admit(&self, _: &Stream) -> io::Result<(Peer, Access)> {
        match *self {}
    }
}

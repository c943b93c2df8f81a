//! Who is at the other end of a connection, and what they may do.

use std::net::SocketAddr;
use std::sync::Arc;

/// Who is at the other end, as events and the log name it: `user root (pid 4711)`.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) Arc<str>);

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing yet: a token has to say more.
    Stranger,
    /// Ask, and change nothing.
    #[cfg_attr(all(windows, not(test)), expect(dead_code, reason = "nobody is known by a group"))]
    Reader,
    /// Everything.
    Owner,
}

impl Peer {
    /// Whoever has come by TCP, from there.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self(format!("a holder of the token ({address})").into())
    }
}

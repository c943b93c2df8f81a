//! Connecting without waiting.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, connect, getpeername, getsockname, socket_with, sockopt,
};

/// A TCP connection that is being made. Once it can be written to, its [`outcome`](Self::outcome) is known.
#[derive(Debug)]
pub(crate) struct Connecting(OwnedFd);

impl Connecting {
    /// Begins to connect.
    ///
    /// # Errors
    /// What is known at once: there is no way to such an address, or no descriptor is left.
    pub(crate) fn begin(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(Self(socket)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What has come of it.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) fn outcome(&self) -> io::Result<()> {
        sockopt::socket_error(&self.0)??;
        // A port of ours where nobody listens may, once in a while, be taken for our own end: we would talk to ourselves.
        if Some(getsockname(&self.0)?) == getpeername(&self.0)? {
            return Err(Errno::CONNREFUSED.into());
        }
        Ok(())
    }
}

impl AsFd for Connecting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

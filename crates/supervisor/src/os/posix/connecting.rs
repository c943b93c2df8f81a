//! Connecting without waiting.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, connect, getpeername, getsockname, sockopt};

/// A TCP connection that is being made. Once it can be written to, if not before, its [`outcome`](Self::outcome) is known.
#[derive(Debug)]
pub(crate) struct Connecting(OwnedFd);

impl Connecting {
    /// Begins to connect.
    ///
    /// # Errors
    /// What is known at once: there is no way to such an address, or no descriptor is left.
    pub(crate) fn begin(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = new_socket(family)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(Self(socket)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What has come of it: `None` while that is open, an error if there is no connection. For a port of this machine it is
    /// mostly known at once.
    pub(crate) fn outcome(&self) -> Option<io::Result<()>> {
        match self.is_connected() {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(errno) => Some(Err(errno.into())),
        }
    }

    fn is_connected(&self) -> Result<bool, Errno> {
        sockopt::socket_error(&self.0)??;
        match getpeername(&self.0) {
            // A port of ours where nobody listens may, once in a while, be taken for our own end: we would talk to ourselves.
            Ok(peer) if peer == Some(getsockname(&self.0)?) => Err(Errno::CONNREFUSED),
            Ok(_) => Ok(true),
            Err(Errno::NOTCONN) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

/// One of which nobody waits, and that nobody inherits.
#[cfg(not(target_vendor = "apple"))]
fn new_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    use rustix::net::{SocketFlags, socket_with};

    socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

/// The same in three steps: whoever starts a process in between passes it on.
#[cfg(target_vendor = "apple")]
fn new_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

impl AsFd for Connecting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

//! The two kinds of connections, and of those who listen for them: a local socket and TCP.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::task::{Context, Poll};

use rustix::net::{SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};

/// Where connections come in.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(std::net::TcpListener),
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Listener {
    /// Makes it one of those that do not wait.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Unix(listener) => listener.set_nonblocking(true),
            Self::Tcp(listener) => listener.set_nonblocking(true),
        }
    }

    /// The next connection of the queue, or that there is none.
    pub(crate) fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                UnixStream::from_std(stream).map(Stream::Unix)
            }
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                // An answer is one write, which is not to wait for anything.
                stream.set_nodelay(true)?;
                // Whose machine is gone is noticed by the kernel.
                rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
                TcpStream::from_std(stream).map(Stream::Tcp)
            }
        }
    }
}

impl Stream {
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => stream.poll_read_ready(context),
            Self::Tcp(stream) => stream.poll_read_ready(context),
        }
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => stream.poll_write_ready(context),
            Self::Tcp(stream) => stream.poll_write_ready(context),
        }
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_read(buffer),
            Self::Tcp(stream) => stream.try_read(buffer),
        }
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Tcp(stream) => stream.try_write(bytes),
        }
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_write_vectored(slices),
            Self::Tcp(stream) => stream.try_write_vectored(slices),
        }
    }
}

impl Stream {
    /// From where it has come, by TCP.
    pub(crate) fn tcp_peer(&self) -> Option<io::Result<SocketAddr>> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(stream) => Some(stream.peer_addr()),
        }
    }

    /// Sends what fits into the empty buffer of a new connection.
    pub(crate) fn send_at_once(&self, bytes: &[u8]) -> io::Result<()> {
        // Who has no such flag has no signal for it either: Rust ignores that.
        #[cfg(target_vendor = "apple")]
        let flags = SendFlags::empty();
        #[cfg(not(target_vendor = "apple"))]
        let flags = SendFlags::NOSIGNAL;
        rustix::net::send(self, bytes, flags)?;
        Ok(())
    }

    /// Nothing more will be sent.
    pub(crate) fn end_sending(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(self, Shutdown::Write)?)
    }
}

/// That the peer has closed its end altogether, whatever it had sent before: noticed without reading.
pub(crate) struct HangUp(AsyncFd<OwnedFd>);

impl HangUp {
    pub(crate) fn of(stream: &Stream) -> io::Result<Self> {
        // What is watched for writing is told of the end of both directions alone: who only has nothing more to say may read.
        let stream = stream.as_fd().try_clone_to_owned()?;
        #[expect(
            deprecated,
            reason = "sound for what owns its descriptor, as here; what replaces it is unsafe"
        )]
        AsyncFd::with_interest(stream, Interest::WRITABLE).map(Self)
    }

    /// If not, the task is woken when it does.
    pub(crate) fn has_come(&self, context: &mut Context<'_>) -> bool {
        loop {
            match self.0.poll_write_ready(context) {
                Poll::Pending => return false,
                Poll::Ready(Ok(mut room)) if !room.ready().is_write_closed() => room.clear_ready(),
                Poll::Ready(_) => return true,
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener) => listener.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

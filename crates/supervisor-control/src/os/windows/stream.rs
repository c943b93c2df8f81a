//! Connections, all of which come by TCP.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use rustix::net::{SendFlags, Shutdown};
use tokio::net::{TcpListener, TcpStream};

/// Where connections come in.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(std::net::TcpListener),
}

/// A listener that tells when somebody comes.
pub(crate) struct Incoming(TcpListener);

impl Incoming {
    /// Only within the runtime.
    pub(crate) fn new(Listener::Tcp(listener): Listener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Self)
    }

    /// The next connection of those who wait in the queue, once somebody does.
    ///
    /// # Errors
    /// Somebody waits and cannot be taken in.
    pub(crate) async fn next(&self) -> io::Result<Stream> {
        let (stream, _) = self.0.accept().await?;
        // An answer is one write, which is not to wait for anything.
        stream.set_nodelay(true)?;
        // Whose machine is gone is noticed by the system.
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        Ok(Stream(stream))
    }

    /// The port.
    pub(crate) fn into_tcp(self) -> Option<std::net::TcpListener> {
        self.0.into_std().ok()
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Stream(TcpStream);

impl Stream {
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(context)
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_write_ready(context)
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    /// From where it has come, by TCP.
    pub(crate) fn tcp_peer(&self) -> Option<io::Result<SocketAddr>> {
        Some(self.0.peer_addr())
    }

    /// Sends what fits into the empty buffer of a new connection.
    pub(crate) fn send_at_once(&self, bytes: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.0, bytes, SendFlags::empty())?;
        Ok(())
    }

    /// Nothing more will be sent.
    pub(crate) fn end_sending(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.0, Shutdown::Write)?)
    }
}

/// That the peer has gone is noticed when something is written to it: not before, where it had sent more than was read.
pub(crate) struct HangUp;

impl HangUp {
    pub(crate) fn of(_: &Stream) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn has_come(&self, _: &mut Context<'_>) -> bool {
        false
    }
}

//! The connection of a client: to a local socket, or by TCP with a token.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::PATIENCE;
use crate::Token;
#[cfg(unix)]
use crate::os::socket::Place;

/// Where a supervisor is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// At this local socket.
    Socket(PathBuf),
    /// By TCP, there.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// How whoever asks is known there.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// The operating system says who it is.
    #[cfg(unix)]
    Account,
    /// It has this.
    Token(Token),
}

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    #[cfg(unix)]
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    /// Connects, and waits for nothing longer than the supervisor may take.
    pub(super) fn connect(at: &Address) -> io::Result<Self> {
        match at {
            #[cfg(unix)]
            Address::Socket(path) => {
                let stream = Place::at(path)?.connect(PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(stream))
            }
            #[cfg(not(unix))]
            Address::Socket(_) => Err(io::ErrorKind::Unsupported.into()),
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                // A request is one write, which is not to wait for anything.
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    pub(super) fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            #[cfg(unix)]
            Self::Unix(stream) => stream.set_read_timeout(limit),
            Self::Tcp(stream) => stream.set_read_timeout(limit),
        }
    }

    /// The pid of the process that listens, as the operating system tells it.
    pub(super) fn listener_pid(&self) -> Option<u32> {
        #[cfg(target_os = "linux")]
        if let Self::Unix(stream) = self {
            let credentials = rustix::net::sockopt::socket_peercred(stream).ok()?;
            return u32::try_from(credentials.pid.as_raw_nonzero().get()).ok();
        }
        None
    }

    /// Whether another account listens than the one that we are, who are not root. It answers without reading, and that
    /// answer may be lost when we write meanwhile.
    pub(super) fn is_foreign(&self) -> bool {
        #[cfg(target_os = "linux")]
        if let Self::Unix(stream) = self {
            let ours = rustix::process::geteuid();
            let theirs = rustix::net::sockopt::socket_peercred(stream).map(|credentials| credentials.uid);
            return !ours.is_root() && theirs.is_ok_and(|theirs| theirs != ours);
        }
        false
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Stream::Unix(stream) => (&*stream).read(buffer),
            Stream::Tcp(stream) => (&*stream).read(buffer),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Stream::Unix(stream) => (&*stream).write(bytes),
            Stream::Tcp(stream) => (&*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Nothing is kept back.
        Ok(())
    }
}

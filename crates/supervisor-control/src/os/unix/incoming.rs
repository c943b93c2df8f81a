//! Those who wait to be taken in.

use std::io::{self, ErrorKind};
use std::net::TcpListener;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Listener, Stream};

/// A listener that tells when somebody comes.
pub(crate) struct Incoming(AsyncFd<Listener>);

impl Incoming {
    /// Only within the runtime.
    pub(crate) fn new(listener: Listener) -> io::Result<Self> {
        listener.set_nonblocking()?;
        #[expect(
            deprecated,
            reason = "sound for what owns its descriptor, as here; what replaces it is unsafe"
        )]
        AsyncFd::with_interest(listener, Interest::READABLE).map(Self)
    }

    /// The next connection of those who wait in the queue, once somebody does.
    ///
    /// # Errors
    /// Somebody waits and cannot be taken in.
    pub(crate) async fn next(&self) -> io::Result<Stream> {
        loop {
            let mut ready = self.0.readable().await?;
            match self.0.get_ref().accept() {
                Ok(stream) => return Ok(stream),
                // Linux looks for a descriptor first and for somebody in the queue second: for want of one it fails though
                // nobody waits.
                Err(error) if error.kind() != ErrorKind::WouldBlock && is_awaited(self.0.get_ref()) => {
                    return Err(error);
                }
                Err(_) => ready.clear_ready(),
            }
        }
    }

    pub(super) fn into_listener(self) -> Listener {
        self.0.into_inner()
    }

    /// The port, if it is one.
    pub(crate) fn into_tcp(self) -> Option<TcpListener> {
        match self.into_listener() {
            Listener::Tcp(listener) => Some(listener),
            Listener::Unix(_) => None,
        }
    }
}

/// Whether somebody is in the queue.
fn is_awaited(listener: &Listener) -> bool {
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    // What cannot be told is taken for a yes: then the failure is told, and the next try waits.
    poll(&mut polled, Some(&Timespec::default())).map_or(true, |ready| ready > 0)
}

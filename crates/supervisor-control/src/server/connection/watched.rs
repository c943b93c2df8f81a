//! The traffic of a connection, and its end where nothing is read.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::activity::Activity;
use crate::server::stream::Stream;

/// That the peer has closed its end altogether, whatever it had sent before: noticed without reading.
pub(super) struct HangUp(AsyncFd<OwnedFd>);

impl HangUp {
    pub(super) fn of(stream: &Stream) -> io::Result<Self> {
        // What is watched for writing is told of the end of both directions alone: who only has nothing more to say may read.
        let stream = stream.as_fd().try_clone_to_owned()?;
        #[expect(
            deprecated,
            reason = "sound for what owns its descriptor, as here; what replaces it is unsafe"
        )]
        AsyncFd::with_interest(stream, Interest::WRITABLE).map(Self)
    }

    /// If not, the task is woken when it does.
    pub(super) fn has_come(&self, context: &mut Context<'_>) -> bool {
        loop {
            match self.0.poll_write_ready(context) {
                Poll::Pending => return false,
                Poll::Ready(Ok(mut room)) if !room.ready().is_write_closed() => room.clear_ready(),
                Poll::Ready(_) => return true,
            }
        }
    }
}

/// A stream whose traffic is noticed.
pub(super) struct Watched {
    stream: Rc<Stream>,
    activity: Rc<Activity>,
}

impl Watched {
    pub(super) fn new(stream: Rc<Stream>, activity: Rc<Activity>) -> Self {
        Self { stream, activity }
    }

    /// Writes once there is room.
    fn write(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&Stream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match write(&self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => {
                    self.activity.bytes_went();
                    return Poll::Ready(written);
                }
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            let unfilled = buffer.initialize_unfilled();
            match self.stream.try_read(unfilled) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(length) => {
                    if length > 0 {
                        self.activity.bytes_came(&unfilled[..length]);
                    }
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is kept back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(rustix::net::shutdown(&*self.stream, rustix::net::Shutdown::Write)?))
    }
}

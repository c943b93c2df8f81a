//! Waiting for no longer than one was told to.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Now, on the clock that never jumps.
#[expect(clippy::disallowed_methods, reason = "commands wait no longer than they are told")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits until the descriptor is readable: `false` if it is not within `limit`.
pub(crate) fn readable(descriptor: &impl AsFd, limit: Option<Duration>) -> rustix::io::Result<bool> {
    any_readable(&[descriptor.as_fd()], limit)
}

/// Waits until one of the descriptors is readable: `false` if none is within `limit`.
pub(crate) fn any_readable(
    descriptors: &[BorrowedFd<'_>],
    limit: Option<Duration>,
) -> rustix::io::Result<bool> {
    let since = now();
    let mut polled: Vec<_> =
        descriptors.iter().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)).collect();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(since.elapsed()));
        // What is too far away for the kernel's clock is as good as never.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
            Ok(count) => return Ok(count > 0),
        }
    }
}

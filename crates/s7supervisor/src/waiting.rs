//! Waiting for no longer than one was told to.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Now, on the clock that never jumps.
#[expect(clippy::disallowed_methods, reason = "commands wait no longer than they are told")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits a little before asking again, where nothing tells when to.
#[expect(clippy::disallowed_methods, reason = "what another process is about to do, nothing tells us of")]
pub(crate) fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// Waits until the descriptor is readable: `false` if it is not within `limit`.
pub(crate) fn readable(descriptor: &impl AsFd, limit: Option<Duration>) -> rustix::io::Result<bool> {
    let since = now();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(since.elapsed()));
        // What is too far away for the kernel's clock is as good as never.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(descriptor, PollFlags::IN)], timeout.as_ref()) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
            Ok(count) => return Ok(count > 0),
        }
    }
}

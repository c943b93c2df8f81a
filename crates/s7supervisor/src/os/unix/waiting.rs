//! Waiting for no longer than one was told to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::Failure;
use crate::waiting::now;

/// From now on Ctrl-C is how this command ends, and no failure.
pub(crate) fn end_on_signals() -> Result<(), Failure> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 0, Arc::new(AtomicBool::new(true)))
            .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    }
    Ok(())
}

#[cfg(all(target_os = "linux", not(s7_posix)))]
/// Waits until the descriptor is readable: `false` if whoever reads our standard output has gone away instead.
pub(crate) fn readable_while_read(descriptor: &impl AsFd) -> io::Result<bool> {
    let output = rustix::stdio::stdout();
    // What has no reader any more says so, whatever it is asked for.
    let mut polled = [PollFd::new(descriptor, PollFlags::IN), PollFd::new(&output, PollFlags::empty())];
    loop {
        match poll(&mut polled, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(polled[1].revents().is_empty()),
        }
    }
}

/// Waits until the descriptor is readable: `false` if it is not within `limit`.
pub(crate) fn readable(descriptor: &impl AsFd, limit: Option<Duration>) -> io::Result<bool> {
    any_readable(&[descriptor.as_fd()], limit)
}

/// Waits until one of the descriptors is readable: `false` if none is within `limit`.
pub(crate) fn any_readable(descriptors: &[BorrowedFd<'_>], limit: Option<Duration>) -> io::Result<bool> {
    let since = now();
    let mut polled: Vec<_> =
        descriptors.iter().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)).collect();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(since.elapsed()));
        // What is too far away for the kernel's clock is as good as never.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(count) => return Ok(count > 0),
        }
    }
}

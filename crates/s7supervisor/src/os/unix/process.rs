//! Another process, held so that its pid cannot come to mean a third.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::waiting;

/// A process that lived when this was made. Readable, for `poll`, once it has ended.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    descriptor: OwnedFd,
}

impl Process {
    /// The process that has this pid now.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let descriptor = pidfd_open(raw.ok_or(rustix::io::Errno::SRCH)?, PidfdFlags::empty())?;
        Ok(Self { pid, descriptor })
    }

    /// Waits for its end; `false` if it has not come in time.
    pub(crate) fn is_gone(&self, limit: Option<Duration>) -> io::Result<bool> {
        waiting::readable(&self.descriptor, limit)
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

//! Another process, held so that its pid cannot come to mean a third.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

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
        let descriptor = open(raw.ok_or(Errno::SRCH)?)?;
        Ok(Self { pid, descriptor })
    }

    /// Waits for its end; `false` if it has not come in time.
    pub(crate) fn is_gone(&self, limit: Option<Duration>) -> io::Result<bool> {
        waiting::readable(&self.descriptor, limit)
    }
}

#[cfg(target_os = "linux")]
fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
}

/// A queue of the kernel's, which is readable once it holds the one event.
#[cfg(not(target_os = "linux"))]
fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};

    let queue = kqueue()?;
    rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
    let end = EventFilter::Proc { pid, flags: ProcessEvents::EXIT };
    let change = Event::new(end, EventFlags::ADD, std::ptr::null_mut());
    let mut none: [Event; 0] = [];
    // SAFETY: the change names a process, and no descriptor.
    unsafe { kevent(&queue, &[change], &mut none[..], None)? };
    Ok(queue)
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

//! A descriptor that is readable once a process has ended.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::Pid;

/// It means the process that had the pid when this was made, whoever has it later.
#[derive(Debug)]
pub(in crate::os) struct Watch(OwnedFd);

impl Watch {
    /// Of the process of this pid.
    ///
    /// # Errors
    /// There is none ([`Errno::SRCH`]), or it cannot be watched.
    pub(in crate::os) fn of(pid: Pid) -> Result<Self, Errno> {
        open(pid).map(Self)
    }

    /// Of a process that has ended, and which the system does not let anybody watch any more.
    pub(super) fn of_ended() -> io::Result<Self> {
        // At its end: its writer is gone.
        let (reader, _) = io::pipe()?;
        Ok(Self(reader.into()))
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ends_within(Timespec { tv_sec: 0, tv_nsec: 0 })
    }

    /// Waits for so long at most until it has ended, and says whether it has.
    pub(super) fn ends_within(&self, limit: Timespec) -> bool {
        let mut waiting = [PollFd::new(&self.0, PollFlags::IN)];
        retry_on_intr(|| poll(&mut waiting, Some(&limit))) != Ok(0)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What Linux has for that.
#[cfg(target_os = "linux")]
fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
}

/// A queue of its own: it is readable once it holds the one event, which nobody takes out.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::{Component, readable};

    #[test]
    fn the_end_of_a_process_is_told_and_goes_on_being_told() {
        let started = Component::new("/bin/sleep", &["1000"]).start();
        let watch = Watch::of(Pid::from_raw(started.pid().try_into().unwrap()).unwrap()).unwrap();
        assert!(!watch.has_ended());
        started.process().kill();
        readable(watch.as_fd());
        assert!(watch.has_ended() && watch.has_ended());
    }

    #[test]
    fn what_has_ended_has_ended() {
        assert!(Watch::of_ended().unwrap().has_ended());
        let nobody = Pid::from_raw(i32::MAX).unwrap();
        assert_eq!(Watch::of(nobody).err(), Some(Errno::SRCH));
    }
}

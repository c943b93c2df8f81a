//! What is left of runs beyond their main processes.
//!
//! A process belongs to a run if it is in the process group of the run's main process, if it was executed with the
//! run's token in its environment, or if its parent belongs. A command that is run for a component bears the token too,
//! but also one of its own, by which alone it is known. A process that has changed group and environment and
//! whose parent has ended is not found, unless orphans come to us and its first ancestor below us belongs.
//!
//! Groups and parents can be told at once. An environment is in the memory of its process, and who reads it waits for
//! whoever changes the layout of that memory or brings it from a disk or a network: it may take for ever. So there are
//! two looks, and the one that reads environments is for a thread that may hang.

mod walk;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use self::walk::Walk;
use super::proc::{Reader, Stat};
use super::process::{Process, as_sent, has_its_pid};
use crate::os::reserve::descriptors_are_scarce;
use crate::os::{Found, Run};

/// The most that one look returns of a run, for each holds a descriptor. Who ends them all looks again.
pub(super) const MOST: usize = 256;

/// A living process that belongs to a run and is not its main process.
#[derive(Debug)]
pub(crate) struct Leftover {
    pid: u32,
    group: u32,
    pidfd: OwnedFd,
}

impl Leftover {
    /// Takes hold of a process that lives, whosever it is.
    pub(super) fn hold(reader: &mut Reader, pid: u32) -> Option<(Self, Stat)> {
        // Opened before anything is read: if the pid changes hands now, the descriptor means one that is dead.
        let pidfd = reader.opened(pidfd_open(pid_of(pid)?, PidfdFlags::empty()))?;
        let stat = reader.stat(pid).filter(|stat| !stat.is_dead())?;
        Some((Self { pid, group: stat.group, pidfd }, stat))
    }

    /// Takes hold of this candidate, if it is a child of this parent.
    pub(super) fn child_of(
        reader: &mut Reader,
        candidate: u32,
        parent: u32,
        parent_pidfd: BorrowedFd<'_>,
    ) -> Option<Self> {
        let (child, stat) = Self::hold(reader, candidate)?;
        // If the parent lived on after this was read, then the pid that was named was surely the parent's.
        (stat.parent == parent && !has_ended(parent_pidfd)).then_some(child)
    }

    /// Its pid, for people: only the descriptor is surely its own.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// From where on its descendants are looked for.
    pub(crate) fn root(&self) -> (u32, BorrowedFd<'_>) {
        (self.pid, self.as_fd())
    }

    /// Its pid and its descriptor.
    pub(super) fn into_parts(self) -> (u32, OwnedFd) {
        (self.pid, self.pidfd)
    }

    /// Whether it is not reaped yet, so that its pid is its own.
    pub(super) fn has_its_pid(&self) -> bool {
        has_its_pid(self.pidfd.as_fd())
    }

    /// Whether it leads a group, as every main process does when it begins.
    pub(crate) fn leads_a_group(&self) -> bool {
        self.group == self.pid
    }

    /// Whether what is sent to the group of this main process reaches it.
    pub(crate) fn is_in_group_of(&self, main: &Process) -> bool {
        self.group == main.pid()
    }

    /// Whether descriptors are scarce, so that there is none to be kept for it.
    pub(super) fn is_among_the_last(&self) -> bool {
        descriptors_are_scarce(&self.pidfd)
    }

    /// Sends it a signal. A stopped process must run to hear of it.
    pub(crate) fn signal(&self, signal: crate::Signal) {
        self.send(as_sent(signal));
        self.send(Signal::CONT);
    }

    /// Sends it just this signal.
    pub(crate) fn forward(&self, signal: crate::Signal) {
        self.send(as_sent(signal));
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        self.send(Signal::KILL);
    }

    /// One that has ended needs no signal, and one that we may not signal shows by living on.
    fn send(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }
}

impl Leftover {
    /// Waits for so long at most until it has ended, and says whether it has.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        let timeout = Timespec::try_from(limit).ok();
        // Interrupted: then it is looked at once more, which has to do.
        let _ = poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], timeout.as_ref());
        has_ended(self.as_fd())
    }
}

impl AsFd for Leftover {
    /// Readable once it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// What lives of these runs beyond their main processes, each with the index of its run. One walk serves all of them.
///
/// `is_main` names the main processes of all runs, which are skipped without being read. At most 256 of each run are
/// returned, only one of each where descriptors are scarce, and a process may be born while others are read: a run
/// is clean once a whole look finds nothing of it.
///
/// Environments are read, which may take for ever: `reading` names the process of which this is done just now, or is 0.
pub(crate) fn leftovers_by_token(
    runs: &[Run<'_>],
    is_main: impl Fn(u32) -> bool,
    orphans_come_to_us: bool,
    reading: &Arc<AtomicU32>,
) -> Found {
    let mut walk = Walk::new(runs, true);
    walk.reader.tells_of(reading);
    look(walk, is_main, orphans_come_to_us)
}

/// The same, for who may wait.
#[cfg(test)]
pub(crate) fn leftovers(runs: &[Run<'_>], is_main: impl Fn(u32) -> bool, orphans_come_to_us: bool) -> Found {
    leftovers_by_token(runs, is_main, orphans_come_to_us, &Arc::default())
}

/// The same, but only what can be told at once.
pub(crate) fn leftovers_at_once(
    runs: &[Run<'_>],
    is_main: impl Fn(u32) -> bool,
    orphans_come_to_us: bool,
) -> Found {
    let walk = Walk::new(runs, false);
    look(walk, is_main, orphans_come_to_us)
}

fn look(mut walk: Walk<'_>, is_main: impl Fn(u32) -> bool, orphans_come_to_us: bool) -> Found {
    let own = our_pid();
    // What an adopted one has left behind has gone to whoever has inherited that itself.
    let by_orphans = orphans_come_to_us && !walk.has_adopted();
    let orphans = if by_orphans { walk.reader.children_of_thread(own, own) } else { None };
    match orphans {
        Some(orphans) => walk.trees(orphans, is_main),
        None => walk.everything(is_main),
    }
    walk.descendants();
    let has_strangers = !walk.reads_environments && !walk.others.is_empty();
    Found { held: walk.found, is_whole: !walk.reader.is_starved, has_strangers }
}

pub(super) fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut waiting = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    retry_on_intr(|| poll(&mut waiting, Some(&at_once))) != Ok::<usize, Errno>(0)
}

pub(super) fn our_pid() -> u32 {
    getpid().as_raw_nonzero().get().unsigned_abs()
}

pub(super) fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests;

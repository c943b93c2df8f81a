//! The main process of a run.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};

use super::identity::Identity;
use super::time;
use super::watch::Watch;
use crate::run::Exit;

/// How its end is looked at without anything being done about it.
const LOOK: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOHANG).union(WaitIdOptions::NOWAIT);

/// A child of ours that has not been reaped: so its pid, and the id of its process group, can be nobody else's.
///
/// If the host of the library reaps it nevertheless (or ignores SIGCHLD, which makes the kernel do so), nobody is signalled any
/// more, and its exit is unknown. Dropping it neither ends nor reaps the process.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    watch: Watch,
    /// When it began, in seconds since 1970.
    started: i64,
}

impl Process {
    /// A child of ours that is to be held, and began then.
    pub(super) fn open(pid: Pid, started: i64) -> Result<Self, Errno> {
        let watch = match Watch::of(pid) {
            Ok(watch) => watch,
            // It has ended, and on some systems that is no process to be watched.
            Err(Errno::SRCH) => {
                Watch::of_ended().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE))?
            }
            Err(errno) => return Err(errno),
        };
        Ok(Self { pid, watch, started })
    }

    /// Its pid, which is the id of its process group too.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// From where on its descendants are looked for.
    pub(crate) fn root(&self) -> u32 {
        self.pid()
    }

    /// How it ended, if it has. It stays there to be looked at again.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.look(LOOK)
    }

    /// Nobody tells that before it is reaped, and then nobody knows what else it has waited for.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        None
    }

    /// What makes it that very process, as far as that can be written down.
    pub(crate) fn identity(&self) -> Option<Identity> {
        Some(Identity { pid: self.pid(), started: self.started })
    }

    /// Sends a signal to its whole group. A stopped process must run to hear of it.
    pub(crate) fn signal_group(&self, signal: crate::Signal) {
        self.send_group(as_sent(signal));
        self.send_group(Signal::CONT);
    }

    /// Sends a signal to it alone. If it is stopped it goes on, to hear of it.
    pub(crate) fn signal(&self, signal: crate::Signal) {
        self.send(as_sent(signal));
        self.send(Signal::CONT);
    }

    /// Sends just this signal to it alone.
    pub(crate) fn forward(&self, signal: crate::Signal) {
        self.send(as_sent(signal));
    }

    /// Kills its whole group, and itself, which may have joined another group. Harmless where nothing is left.
    pub(crate) fn kill(&self) {
        self.send_group(Signal::KILL);
        self.send(Signal::KILL);
    }

    /// Frees its pid, and kills before that whatever is in its group, though nobody has seen it. `None` if it has not ended: ask
    /// [`exit`](Self::exit) first.
    pub(crate) fn reap(&self) -> Option<Exit> {
        if self.exit().is_some() {
            self.send_group(Signal::KILL);
        }
        self.look(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// Waits for its end, and reaps it. For what is about to end.
    pub(crate) fn await_end(&self) {
        let _ = retry_on_intr(|| waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED));
    }

    /// Whether it is still our child, alive or not, so that its pid and the number of its group are its own.
    pub(super) fn is_unreaped(&self) -> bool {
        retry_on_intr(|| waitid(WaitId::Pid(self.pid), LOOK)).is_ok()
    }

    fn look(&self, options: WaitIdOptions) -> Option<Exit> {
        match retry_on_intr(|| waitid(WaitId::Pid(self.pid), options)) {
            Ok(status) => status.as_ref().map(exit_of),
            Err(_) => Some(Exit::Unknown),
        }
    }

    fn send(&self, signal: Signal) {
        if self.is_unreaped() {
            // It may have ended.
            let _ = kill_process(self.pid, signal);
        }
    }

    fn send_group(&self, signal: Signal) {
        if self.is_unreaped() && kill_process_group(self.pid, signal) == Err(Errno::SRCH) {
            // Nobody is in the group that it began with: if it lives, it has joined another.
            let _ = kill_process(self.pid, signal);
        }
    }
}

impl AsFd for Process {
    /// Readable once it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// The signal as it is sent.
pub(super) fn as_sent(signal: crate::Signal) -> Signal {
    // SAFETY: it is only sent, to other processes; a system that has no such number refuses it.
    unsafe { Signal::from_raw_unchecked(signal.number()) }
}

fn exit_of(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal { signal, core_dumped: status.dumped() },
        (None, None) => Exit::Unknown,
    }
}

/// The process of this pid, if it is a child of ours.
pub(super) fn our_child(pid: Pid) -> Option<Process> {
    retry_on_intr(|| waitid(WaitId::Pid(pid), LOOK)).ok()?;
    Process::open(pid, time::now()).ok()
}

/// Undoes a spawn whose process cannot be held or watched.
pub(crate) fn destroy(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        undo(pid);
    }
}

/// It is still our child, so its pid is its own.
pub(super) fn undo(pid: Pid) {
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED));
}

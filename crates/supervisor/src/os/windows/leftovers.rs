//! What is left of runs beyond their main processes: who is in their jobs.

use std::collections::BTreeSet;
use std::io;
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use windows_sys::Win32::Foundation::ERROR_INVALID_PARAMETER;
use windows_sys::Win32::System::Threading::{
    OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE,
};

use super::handle::{is_signalled, owned};
use super::process::{Process, end, exit_of};
use super::watched::Watchable;
use crate::os::{Found, Run};
use crate::run::Exit;
use crate::signal::Signal;

/// The most that one look returns of a run, for each holds a handle. Who ends them all looks again.
const MOST: usize = 256;

/// How often in a row a job is asked who is in it, while those of the last list have just ended.
const MOST_LISTS: usize = 16;

/// A living process that belongs to a run and is not its main process.
#[derive(Debug)]
pub(crate) struct Leftover {
    pid: u32,
    handle: OwnedHandle,
}

impl Leftover {
    /// Takes hold of the process of this pid, if there is one that lives.
    ///
    /// # Errors
    /// There is one, but it keeps others off.
    pub(super) fn hold(pid: u32) -> io::Result<Option<Self>> {
        let rights = PROCESS_SYNCHRONIZE | PROCESS_TERMINATE | PROCESS_QUERY_LIMITED_INFORMATION;
        // SAFETY: the handle is new.
        match unsafe { owned(OpenProcess(rights, 0, pid)) } {
            Ok(handle) => Ok((!is_signalled(handle.as_handle(), 0)).then_some(Self { pid, handle })),
            Err(error) if error.raw_os_error() == i32::try_from(ERROR_INVALID_PARAMETER).ok() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its pid, which is nobody else's while this lives.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// From where on its descendants are looked for.
    pub(crate) fn root(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&self) -> Option<Exit> {
        exit_of(self.handle.as_handle())
    }

    /// Nothing beside a job is ever taken for a main process.
    pub(crate) fn leads_a_group(&self) -> bool {
        false
    }

    /// Whether what is sent to the group of this main process reaches it: it is in the job.
    pub(crate) fn is_in_group_of(&self, main: &Process) -> bool {
        main.job().has(self.handle.as_handle())
    }

    /// Kills it, if that is what it is told: asked to stop is the run as a whole.
    pub(crate) fn signal(&self, signal: Signal) {
        if signal == Signal::KILL {
            self.kill();
        }
    }

    /// The same.
    pub(crate) fn forward(&self, signal: Signal) {
        self.signal(signal);
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        end(self.handle.as_handle());
    }

    /// Waits for so long at most until it has ended, and says whether it has.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        is_signalled(self.handle.as_handle(), u32::try_from(limit.as_millis()).unwrap_or(u32::MAX - 1))
    }

    pub(super) fn handle(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }
}

impl Watchable for Leftover {
    const HAPPENS_ONCE: bool = true;

    fn waitable(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }
}

/// What lives of these runs beyond their main processes, each with the index of its run.
///
/// At most 256 of each run are returned. A run is clean once a whole look finds nothing of it: a job tells of nobody who could
/// still have children once it tells of nobody.
pub(crate) fn leftovers_at_once(
    runs: &[Run<'_>],
    _is_main: impl Fn(u32) -> bool,
    _orphans_come_to_us: bool,
) -> Found {
    let mut found = Found { held: Vec::new(), is_whole: true, has_strangers: false };
    for (index, run) in runs.iter().enumerate() {
        let (members, is_whole) = members(run);
        found.held.extend(members.into_iter().map(|member| (index, member)));
        found.is_whole &= is_whole;
    }
    found
}

/// Who lives in the job of a run beside its main process, and whether that is all.
fn members(run: &Run<'_>) -> (Vec<Leftover>, bool) {
    let (job, mut members, mut is_whole) = (run.process.job(), Vec::new(), true);
    let mut seen = BTreeSet::from([run.process.pid()]);
    for _ in 0..MOST_LISTS {
        let Ok(pids) = job.pids() else { return (members, false) };
        let others: Vec<_> = pids.into_iter().filter(|pid| seen.insert(*pid)).collect();
        let mut has_just_ended = false;
        for pid in others {
            if members.len() == MOST {
                return (members, is_whole);
            }
            match Leftover::hold(pid) {
                // Its pid may be another's by now.
                Ok(Some(member)) if job.has(member.handle()) => members.push(member),
                Ok(_) => has_just_ended = true,
                // It lives, and only the end of the whole job reaches it.
                Err(_) => is_whole = false,
            }
        }
        // Whom it has begun before it ended is in the next list.
        if !has_just_ended {
            return (members, is_whole);
        }
    }
    (members, false)
}

/// The same: a job hides nothing that only an environment could tell.
pub(crate) fn leftovers_by_token(
    runs: &[Run<'_>],
    is_main: impl Fn(u32) -> bool,
    orphans_come_to_us: bool,
    _reading: &Arc<AtomicU32>,
) -> Found {
    leftovers_at_once(runs, is_main, orphans_come_to_us)
}

/// The process of this pid, if it lives and belongs to the run.
pub(crate) fn member(run: &Run<'_>, pid: u32) -> Option<Leftover> {
    Leftover::hold(pid).ok()?.filter(|process| run.process.job().has(process.handle()))
}

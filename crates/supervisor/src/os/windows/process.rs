//! The main process of a run, and the job of all of it.

use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::Foundation::STATUS_CONTROL_C_EXIT;
use windows_sys::Win32::System::Threading::{GetExitCodeProcess, INFINITE, TerminateProcess};

use super::figures;
use super::handle::is_signalled;
use super::identity::Identity;
use super::job::Job;
use super::stopping;
use super::watched::Watchable;
use crate::run::Exit;
use crate::signal::Signal;

/// The exit code of what we have killed. It is one that only programs may give (bit 29), and no program does.
pub(super) const KILLED: u32 = 0xE053_3709;

/// A process that we have started, in a job of its own. Dropping it ends all that is in that job.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    handle: OwnedHandle,
    job: Job,
    /// What is signalled when it is to stop, if it is a run's.
    stop: Option<OwnedHandle>,
    /// The other end of its standard input, if it is a run's, until it is to stop.
    stdin: Mutex<Option<OwnedHandle>>,
}

impl Process {
    pub(super) fn new(
        (pid, handle): (u32, OwnedHandle),
        job: Job,
        stop: Option<OwnedHandle>,
        stdin: Option<OwnedHandle>,
    ) -> Self {
        Self { pid, handle, job, stop, stdin: Mutex::new(stdin) }
    }

    /// Its pid, which is nobody else's while this lives.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// From where on its descendants are looked for.
    pub(crate) fn root(&self) -> u32 {
        self.pid
    }

    pub(super) fn job(&self) -> &Job {
        &self.job
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&self) -> Option<Exit> {
        exit_of(self.handle.as_handle())
    }

    /// The most memory, in bytes, that it has had resident.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        figures::peak_memory(self.handle.as_handle())
    }

    /// What makes it this very process.
    pub(crate) fn identity(&self) -> Option<Identity> {
        Identity::of(self.pid, self.handle.as_handle())
    }

    /// Asks all of the run to stop, in each of the ways that there are; or kills it.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if signal == Signal::KILL {
            return self.kill();
        }
        if let Some(stop) = &self.stop {
            stopping::ring(stop.as_handle());
        }
        // Whoever reads to the end of it ends then.
        *self.stdin.lock().unwrap_or_else(PoisonError::into_inner) = None;
        stopping::send_break(self.pid);
        stopping::close_windows(&self.job.pids().unwrap_or_default());
    }

    /// The same: what there is to be asked by is of the run as a whole. Killed is only this process.
    pub(crate) fn signal(&self, signal: Signal) {
        if signal == Signal::KILL { end(self.handle.as_handle()) } else { self.signal_group(signal) }
    }

    /// The same.
    pub(crate) fn forward(&self, signal: Signal) {
        self.signal(signal);
    }

    /// Kills everything that is in its job.
    pub(crate) fn kill(&self) {
        self.job.kill();
    }

    /// It has ended, and nothing need be done about that: its pid is free once this is dropped.
    pub(crate) fn reap(&self) -> Option<Exit> {
        self.exit()
    }

    /// Waits for its end. For what is about to end.
    pub(crate) fn await_end(&self) {
        is_signalled(self.handle.as_handle(), INFINITE);
    }
}

impl Watchable for Process {
    const HAPPENS_ONCE: bool = true;

    fn waitable(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }
}

/// How a process has ended, if it has.
pub(super) fn exit_of(process: BorrowedHandle<'_>) -> Option<Exit> {
    if !is_signalled(process, 0) {
        return None;
    }
    let mut code = 0;
    // SAFETY: the handle is open; the number is written.
    let asked = unsafe { GetExitCodeProcess(process.as_raw_handle(), &raw mut code) };
    Some(if asked == 0 { Exit::Unknown } else { exit_by(code) })
}

/// What an exit code means.
fn exit_by(code: u32) -> Exit {
    let signal = |signal: Signal| Exit::Signal { signal: signal.number(), core_dumped: false };
    match code {
        KILLED => signal(Signal::KILL),
        // What a program that does not care does at Ctrl-Break.
        _ if code == STATUS_CONTROL_C_EXIT.cast_unsigned() => signal(Signal::TERM),
        code => Exit::Code(code.cast_signed()),
    }
}

/// Ends a process, with [`KILLED`] for its exit code.
pub(super) fn end(process: BorrowedHandle<'_>) {
    // SAFETY: the handle is open. It may have ended.
    unsafe { TerminateProcess(process.as_raw_handle(), KILLED) };
}

/// What could not be watched has ended with its job already.
pub(crate) fn destroy(_pid: u32) {}

//! What goes into the core and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

#[cfg(doc)]
use super::Core;
use super::component::{Found, Memory};
use crate::error::SpawnError;
use crate::event::Event;
use crate::plan::Setup;
use crate::request::{Dependants, Outcome, RequestError, Until};
use crate::run::{Exit, RunId};
use crate::signal::Signal;
#[cfg(doc)]
use crate::spec::ProcessSpec;
use crate::spec::Recipient;

/// A request, as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u64);

/// What is asked for; components are named by their keys, each once.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Start(Vec<u32>),
    Stop {
        keys: Vec<u32>,
        dependants: Dependants,
    },
    Restart(Vec<u32>),
    Reset(Vec<u32>),
    Reload(Vec<u32>),
    Signal {
        keys: Vec<u32>,
        signal: Signal,
    },
    Rotate(Vec<u32>),
    Wait {
        keys: Vec<u32>,
        until: Until,
    },
    /// This is to be supervised from now on; and, if `confirm` is a time, what there was before again, unless all that is
    /// begun for that becomes ready within it.
    Apply {
        setup: Arc<Setup>,
        confirm: Option<Duration>,
    },
    Shutdown {
        immediately: bool,
    },
    Leave,
}

impl Ask {
    /// Which components it is about, if it is about some.
    pub(crate) fn keys(&self) -> Option<&[u32]> {
        match self {
            Self::Start(keys)
            | Self::Stop { keys, .. }
            | Self::Restart(keys)
            | Self::Reset(keys)
            | Self::Reload(keys)
            | Self::Rotate(keys)
            | Self::Signal { keys, .. }
            | Self::Wait { keys, .. } => Some(keys),
            Self::Apply { .. } | Self::Shutdown { .. } | Self::Leave => None,
        }
    }
}

/// Something that takes time and is done outside of the core for a run: a probe, or a step that is a command. What exactly is
/// to be done stands in the specification. At most one of each kind is under way for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TaskId {
    pub(crate) run: RunId,
    pub(crate) task: Task,
    /// The how manieth of this run, so that an old answer is not taken for a new one.
    pub(crate) number: u32,
}

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Task {
    /// The probe of [`ProcessSpec::readiness`].
    Readiness,
    /// The probe of [`ProcessSpec::health`].
    Health,
    /// This step of [`ProcessSpec::stop`], a command.
    Stop(usize),
    /// This step of [`ProcessSpec::reload`], a command.
    Reload(usize),
    /// This step of [`ProcessSpec::evidence`], a command.
    Evidence(usize),
    /// [`ProcessSpec::cleanup`].
    Cleanup,
}

/// What a program said by `sd_notify`, in one datagram. <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// `READY=1`
    pub(crate) ready: bool,
    /// `RELOADING=1`
    pub(crate) reloading: bool,
    /// `STOPPING=1`
    pub(crate) stopping: bool,
    /// `STATUS=`, cut to a bounded length and without control characters.
    pub(crate) status: Option<Arc<str>>,
    /// `WATCHDOG=1`
    pub(crate) alive: bool,
    /// `WATCHDOG=trigger`
    pub(crate) hangs: bool,
    /// `WATCHDOG_USEC=`
    pub(crate) watchdog: Option<Duration>,
    /// `EXTEND_TIMEOUT_USEC=`
    pub(crate) extend: Option<Duration>,
    /// `MAINPID=`, if that process belongs to the run.
    pub(crate) main_pid: Option<u32>,
}

/// A fact.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// An earlier supervisor has left this of a component; comes before `Begin`.
    Recalled { key: u32, memory: Box<Memory>, found: Found },
    /// Supervision begins: what starts by itself does.
    Begin,
    /// All that has happened so far was told, and it is time to see what is due.
    Tick,
    /// Somebody asks for something.
    Request { request: RequestId, ask: Ask, by: Arc<str> },
    /// The process of a run lives.
    Spawned { run: RunId, pid: u32 },
    /// A run could not be spawned.
    NotSpawned { run: RunId, error: SpawnError },
    /// The main process of a run has ended. The most resident memory it has had, in bytes, if that is known.
    Exited { run: RunId, exit: Exit, peak_memory: Option<u64> },
    /// A run has said that it is ready: on its descriptor, or in a line of its output.
    Ready { run: RunId },
    /// A run has said something to its notify socket.
    Notified { run: RunId, said: Said },
    /// A task has ended with this answer, or failed for this reason.
    Finished { task: TaskId, result: Result<Arc<str>, Arc<str>> },
    /// A task could not be begun, because the supervisor or the machine lacks something: this says nothing about the component.
    NotBegun { task: TaskId, why: Arc<str> },
    /// So much memory, in bytes, is used by a run's processes.
    Measured { run: RunId, memory: u64 },
    /// The files of a component's output have ended for this request; or, with `false`, there was nothing in them; or why they
    /// could not.
    Rotated { request: RequestId, key: u32, result: Result<bool, Arc<str>> },
    /// Whoever made this request does not wait for its answer any more.
    Forget { request: RequestId },
    /// These processes of an ending run live on beside, or after, its main process.
    Left { run: RunId, pids: Vec<u32> },
    /// Nothing of a run is left, and its main process is reaped.
    Gone { run: RunId },
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a process for this run of its component.
    Spawn { run: RunId },
    /// Send a signal to the processes of a run (those that have had it do not get it again), or to its main process, and have
    /// them go on if they were stopped (SIGCONT).
    Signal { run: RunId, signal: Signal, to: Recipient },
    /// Send just this signal to the main process of a run.
    Forward { run: RunId, signal: Signal },
    /// Begin a task; `Finished` will follow, or `NotBegun`.
    Begin { task: TaskId },
    /// Give up a task: its answer no longer matters. If it is a process, it is killed with all that it has started.
    Abandon { task: TaskId },
    /// Find out how much memory the processes of a run use; `Measured` will follow.
    Measure { run: RunId },
    /// Tell the readers of events what the operating system knows of a run that hangs.
    Inspect { run: RunId },
    /// Kill every process of the run.
    Kill { run: RunId },
    /// Look again what is left of a run: `Left` or `Gone` will follow, as far as that can be told.
    Look { run: RunId },
    /// End the files that the output of a component goes to; `Rotated` will follow.
    Rotate { request: RequestId, key: u32 },
    /// Write down what is to be remembered of a component now: see [`Core::memory`].
    Remember { key: u32 },
    /// Other components are there, or in another order: see [`Core::specs`] and [`Core::leaving`].
    Lineup,
    /// Forget all about a component that is no more. Nothing of it is left.
    Dismiss { key: u32 },
    /// Tell the readers of events.
    Emit(Event),
    /// The request is taken up; `Done` will follow.
    Accepted { request: RequestId },
    /// The request is refused, and nothing was touched.
    Refused { request: RequestId, why: RequestError },
    /// What was asked for has happened, or can no longer happen.
    Done { request: RequestId, outcome: Outcome },
    /// Everything has stopped, or is known to be unkillable: supervision is over.
    End { outcome: Outcome },
    /// Everything runs on, for another supervisor: this one is over.
    Leave,
}

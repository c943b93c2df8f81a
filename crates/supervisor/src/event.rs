//! What happens, told as it happens.

use std::sync::Arc;
use std::time::Duration;

use crate::error::SpawnError;
use crate::plan::PlannedAction;
use crate::request::GoneBack;
use crate::run::{End, Exit, Fault, RunId};
use crate::signal::Signal;
use crate::spec::{ComponentId, Condition, ExitRule};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When, since the supervisor started.
    pub at: Duration,
    /// To which component; `None` where it concerns the supervisor as a whole.
    pub component: Option<ComponentId>,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// Somebody asked for something, and it was taken up.
    Requested {
        /// What was asked for: `stop`.
        verb: &'static str,
        /// Of `signal`: which one.
        signal: Option<Signal>,
        /// By whom, in the words of whoever passed the request on.
        by: Arc<str>,
    },
    /// Its process lives.
    Spawned {
        /// Which run this is.
        run: RunId,
        /// Its pid.
        pid: u32,
    },
    /// It was started by an earlier supervisor, which has died, and goes on under this one.
    Adopted {
        /// Which run this is.
        run: RunId,
        /// Its pid.
        pid: u32,
        /// Whether it has started, as far as was written down.
        started: bool,
    },
    /// Its main process had ended while no supervisor was there.
    EndedUnattended {
        /// Which run.
        run: RunId,
    },
    /// It has been up for its start delay, or is ready where its readiness is declared.
    Started {
        /// Which run.
        run: RunId,
    },
    /// It said, after it had been ready, that it is not any more: it reloads, or is about to end.
    Unready {
        /// Which run.
        run: RunId,
        /// What it said.
        why: Unready,
    },
    /// It is ready again.
    ReadyAgain {
        /// Which run.
        run: RunId,
    },
    /// It said in words what it is doing (`STATUS=` of `sd_notify`).
    Noted {
        /// Which run.
        run: RunId,
        /// The words.
        text: Arc<str>,
    },
    /// A probe of its health failed.
    ProbeFailed {
        /// Which run.
        run: RunId,
        /// How often in a row that is now.
        failures: u32,
        /// From how many failures in a row on it is not well.
        limit: u32,
        /// What the probe answered.
        answer: Arc<str>,
    },
    /// It breaks a rule, of which it is only told.
    Unwell {
        /// Which run.
        run: RunId,
        /// Which rule, and how.
        fault: Fault,
    },
    /// It is well again.
    Well {
        /// Which run.
        run: RunId,
    },
    /// It breaks a rule, and its run is ended for that.
    Judged {
        /// Which run.
        run: RunId,
        /// Which rule, and how.
        fault: Fault,
    },
    /// What the operating system tells of a run that is about to be ended because it hangs.
    Facts {
        /// Which run.
        run: RunId,
        /// Each a name and what is told: `state`, `wchan`, `threads`, `descriptors`, `memory`, …
        facts: Vec<(&'static str, String)>,
    },
    /// A step of its evidence, stopping, reloading or cleanup was done.
    Step {
        /// Which run.
        run: RunId,
        /// Of what.
        of: StepOf,
        /// The step, in words: `SIGQUIT`, `jstack 4711`.
        step: Arc<str>,
        /// What came of it, where it is a command that has ended: its answer, or why it failed.
        result: Option<Result<Arc<str>, Arc<str>>>,
    },
    /// It could not be spawned.
    NotSpawned {
        /// Which run this would have been.
        run: RunId,
        /// Why not.
        error: SpawnError,
    },
    /// It was told to stop.
    Stopping {
        /// Which run.
        run: RunId,
        /// How long it is given.
        timeout: Duration,
    },
    /// Its main process ended.
    Exited {
        /// Which run.
        run: RunId,
        /// How.
        exit: Exit,
        /// How long the process had been up.
        uptime: Duration,
        /// Whether it had been told to stop.
        asked: bool,
        /// Where a signal ended it: whether the supervisor had sent that one to it.
        sent: bool,
        /// The most resident memory its main process, or a child that it waited for, has had; in bytes, where known.
        peak_memory: Option<u64>,
    },
    /// The last lines that a run wrote to its standard error, or to its output where the two are joined: told when nothing of
    /// the run is left, if it goes to a file and there were any. The next run may have been spawned before.
    LastWords {
        /// Which run.
        run: RunId,
        /// At most 20 lines, the oldest first, each cut after 512 bytes. Control characters are shown as `\u{1b}`.
        lines: Vec<String>,
    },
    /// What was left of a run was killed.
    Killed {
        /// Which run.
        run: RunId,
        /// Why.
        why: KillReason,
    },
    /// What the kill did not end.
    Unkillable {
        /// Which run.
        run: RunId,
        /// The processes that are left.
        pids: Vec<u32>,
    },
    /// A rule of its specification ([`ProcessSpec::exits`](crate::ProcessSpec::exits)) decides what comes after this end.
    Ruled {
        /// Which run has ended.
        run: RunId,
        /// The rule.
        rule: ExitRule,
    },
    /// It will be tried again by itself.
    Backoff {
        /// After this time; where it waits for the budget, at the latest: sooner if others no longer do.
        delay: Duration,
        /// The how manieth restart in a row that will be; for a [want](WaitReason::Want), how many tries there have been.
        in_a_row: u32,
        /// What it waits for.
        why: WaitReason,
    },
    /// It restarted too often, and rests before a trial run.
    Tripped {
        /// How many restarts there were within the window; none if it was a trial run that failed.
        restarts: u32,
        /// How long the window is.
        within: Duration,
        /// How long it rests; zero if it is given up for that.
        rest: Duration,
    },
    /// Its turn has come, but whom it needs is not there.
    Blocked {
        /// Whom it needs: of several, that of which there is the least hope. If that one waits for another in turn, that other, and so on.
        on: ComponentId,
        /// What must be true of that, for the one that needs it.
        condition: Condition,
        /// What is true instead: `tripped`.
        state: &'static str,
    },
    /// It is stopped and started with another member of its group that has ended.
    Regrouped {
        /// That member.
        with: ComponentId,
    },
    /// What had gone wrong before was forgotten because somebody asked for that.
    Reset,
    /// Nothing of it is left, and it is not wanted.
    Stopped,
    /// It ended with success, and its policy wants no more.
    Completed,
    /// It is given up: by its policy, or by a rule of its registry.
    GivenUp {
        /// Its last end.
        end: End,
    },
    /// Its restart policy panicked; the default decided instead.
    PolicyPanicked,
    /// A changed registry was applied, by which it is not what it was.
    Applied {
        /// What is done about it.
        action: PlannedAction,
        /// What of it has changed, by the names of a registry; nothing of one that is new or no more.
        fields: Vec<&'static str>,
        /// By whom, in the words of whoever passed the request on.
        by: Arc<str>,
    },
    /// All that was begun because of a changed registry that was to be confirmed is ready: it holds.
    Confirmed,
    /// A changed registry was to be confirmed and was not: everything goes back to what was there before.
    GoneBack {
        /// For which component, and why.
        failure: GoneBack,
    },
    /// Its output cannot be stored as its specification says, or can be again.
    OutputStored {
        /// What is wrong, as a sentence; `None`: nothing any more.
        problem: Option<String>,
    },
    /// Nothing will run again by itself, and the supervisor ends for that.
    AllDone,
    /// The supervisor is stopping everything in order to end.
    ShuttingDown {
        /// The essential component that was given up, where that is the reason.
        given_up: Option<ComponentId>,
    },
    /// The reader was too slow: this many events before this one are lost to it.
    Lost {
        /// How many.
        count: u64,
    },
}

impl EventKind {
    /// The run that it is about, if it is about one.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::Spawned { run, .. }
            | Self::Adopted { run, .. }
            | Self::EndedUnattended { run }
            | Self::Started { run }
            | Self::Unready { run, .. }
            | Self::ReadyAgain { run }
            | Self::Noted { run, .. }
            | Self::ProbeFailed { run, .. }
            | Self::Unwell { run, .. }
            | Self::Well { run }
            | Self::Judged { run, .. }
            | Self::Facts { run, .. }
            | Self::Step { run, .. }
            | Self::NotSpawned { run, .. }
            | Self::Stopping { run, .. }
            | Self::Exited { run, .. }
            | Self::Ruled { run, .. }
            | Self::LastWords { run, .. }
            | Self::Killed { run, .. }
            | Self::Unkillable { run, .. } => Some(*run),
            _ => None,
        }
    }
}

/// Why a component is not ready any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unready {
    /// It reads its configuration again (`RELOADING=1`).
    Reloading,
    /// It is about to end by itself (`STOPPING=1`).
    Ending,
}

/// What a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepOf {
    /// [`ProcessSpec::stop`](crate::ProcessSpec::stop).
    Stop,
    /// [`ProcessSpec::reload`](crate::ProcessSpec::reload).
    Reload,
    /// [`ProcessSpec::evidence`](crate::ProcessSpec::evidence).
    Evidence,
    /// [`ProcessSpec::cleanup`](crate::ProcessSpec::cleanup).
    Cleanup,
}

/// Why a component that is tried again by itself is not begun at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// It has ended, and its policy says so.
    Itself,
    /// The restart budget of all components has no room for it yet.
    Budget,
    /// Its run could not be begun, because the supervisor or the machine had too little of something
    /// ([`SpawnError::is_shortage`]): it has not failed, and what is tried again is the same, be it a restart or a first run.
    Want,
}

/// Why what was left of a run was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KillReason {
    /// Its time to stop was up.
    Timeout,
    /// Its main process had ended by itself, and others were left behind.
    Leftovers,
    /// Somebody did not want to wait.
    Asked,
}

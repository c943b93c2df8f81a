//! What happens, told as it happens.

use std::sync::Arc;
use std::time::Duration;

use crate::error::SpawnError;
use crate::run::{End, Exit, RunId};
use crate::spec::ComponentId;

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
    /// It has been up for its start delay.
    Started {
        /// Which run.
        run: RunId,
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
    /// It will be tried again by itself.
    Backoff {
        /// After this time.
        delay: Duration,
        /// The how manieth restart in a row that will be.
        in_a_row: u32,
    },
    /// Nothing of it is left, and it is not wanted.
    Stopped,
    /// It ended with success, and its policy wants no more.
    Completed,
    /// Its policy has given it up.
    GivenUp {
        /// Its last end.
        end: End,
    },
    /// Its restart policy panicked; the default decided instead.
    PolicyPanicked,
    /// Its output cannot be stored as its specification says, or can be again.
    OutputStored {
        /// What is wrong, as a sentence; `None`: nothing any more.
        problem: Option<String>,
    },
    /// The supervisor is stopping everything in order to end.
    ShuttingDown,
    /// The reader was too slow: this many events before this one are lost to it.
    Lost {
        /// How many.
        count: u64,
    },
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

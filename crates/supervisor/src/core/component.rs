//! The life of one component.

mod shown;
mod transitions;

use std::time::Duration;

use super::Action;
use super::sequence::Wave;
use crate::run::{End, Exit, History, RunId};
use crate::spec::ProcessSpec;

/// How long killed processes are given to be gone before they are said to be unkillable.
pub(super) const KILL_GRACE: Duration = Duration::from_secs(5);

/// The shortest wait after a run that could not be spawned, whatever the policy says: the machine lacks something.
pub(super) const NOT_SPAWNED_WAIT: Duration = Duration::from_millis(100);

/// What a component is doing. What is *wanted* is kept apart, in [`Component::wanted`].
///
/// ```text
///            asked for              its turn             spawned
///   ┌──────┐         ┌────────┐           ┌──────────┐           ┌────┐
///   │ Down ├────────►│ Queued ├──────────►│ Spawning ├──────────►│ Up │
///   └──▲───┘         └───▲────┘           └─▲──────┬─┘           └─┬──┘
///      │                 │                  │      │               │ exited,
///      │                 │         its time │      │ not spawned   │ or told to stop
///      │                 │             ┌────┴────┐ │           ┌───▼────┐
///      │                 │             │ Backoff │◄┴───────────┤ Ending │
///      │                 │             └─────────┘    gone     └───┬────┘
///      │                 └─────────────────────────────────────────┤ gone, to be restarted
///      └───────────────────────────────────────────────────────────┘ gone: stopped, completed, given up
/// ```
///
/// A run lasts from its turn until it is gone (or was not spawned): between them there is never another. `Ending`
/// covers both what was told to stop and what is left of a run whose main process has ended by itself. A restart
/// that somebody asked for is an `Ending` with *wanted* left true. A wait of zero passes `Backoff` over.
#[derive(Debug)]
enum State {
    Down(Rest),
    Queued,
    Backoff { until: Duration, in_a_row: u32 },
    Spawning { run: Run },
    Up { run: Run, pid: u32, spawned: Duration, started: Option<Duration> },
    Ending { run: Run, process: Option<(u32, Duration)>, started: Option<Duration>, ending: Ending },
}

/// Why a component is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Stopped,
    Completed,
    Failed,
}

/// The run that a component is in.
#[derive(Clone, Copy, Debug)]
struct Run {
    id: RunId,
    began: Duration,
    restart: bool,
}

/// How far the end of a run has come.
#[derive(Debug)]
struct Ending {
    /// Since when it has been ending.
    since: Duration,
    /// Whether it was told to stop, rather than ending by itself.
    asked: bool,
    /// How and when its main process ended, once it has.
    exit: Option<(Exit, Duration)>,
    kill: Kill,
    /// The processes that were last seen alive, beside the main process.
    left: Vec<u32>,
}

/// When what is left of a run is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    /// As soon as anything is found to be left: nobody asked for this end.
    IfNeeded,
    /// At this time: it was told to stop, and this is how long it has.
    At(Duration),
    /// It was, at this time.
    Sent(Duration),
    /// It was, and something has outlived it.
    InVain,
}

/// What a transition means for the others: for the sequences, and for those who wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Milestone {
    /// A run has started.
    Started,
    /// A run that nobody asked to end has.
    Ended(End),
    /// A run that somebody asked to end has.
    Stopped,
    /// The kill did not end these.
    Unkillable(Vec<u32>),
}

/// What every transition needs of the world: the time, the seed, and where decisions go.
pub(super) struct Context<'a> {
    pub(super) now: Duration,
    pub(super) seed: u64,
    pub(super) actions: &'a mut Vec<Action>,
}

/// One component: what it is, what is wanted of it, and what it does.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) spec: ProcessSpec,
    key: u32,
    state: State,
    since: Duration,
    /// Whether it should run.
    pub(super) wanted: bool,
    /// The wave of the start sequence in which it takes part, until it has settled.
    pub(super) launching: Option<Wave>,
    /// The wave of the stop sequence in which its run is to be ended, or is being ended.
    pub(super) halting: Option<Wave>,
    history: History,
    runs: u64,
    restarts: u64,
    last_end: Option<End>,
}

impl Component {
    pub(super) fn new(key: u32, spec: ProcessSpec) -> Self {
        Self {
            spec,
            key,
            state: State::Down(Rest::Stopped),
            since: Duration::ZERO,
            wanted: false,
            launching: None,
            halting: None,
            history: History::default(),
            runs: 0,
            restarts: 0,
            last_end: None,
        }
    }

    /// Whether it waits for its turn to start.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self.state, State::Queued)
    }

    /// Whether nothing of it runs, or will by itself.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Down(_))
    }

    /// Whether there is something that a shutdown waits for: a run that is not known to be unkillable.
    pub(super) fn is_busy(&self) -> bool {
        self.run().is_some() && self.survivors().is_none()
    }

    /// Whether its run has been told to end, or is ending by itself.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending { .. })
    }

    /// Whether its run has started and is not ending.
    pub(super) fn has_started(&self) -> bool {
        matches!(self.state, State::Up { started: Some(_), .. })
    }

    /// What outlived the kill, if something did.
    pub(super) fn survivors(&self) -> Option<Vec<u32>> {
        let State::Ending { process, ending, .. } = &self.state else { return None };
        let main = process.filter(|_| ending.exit.is_none()).map(|(pid, _)| pid);
        (ending.kill == Kill::InVain).then(|| main.into_iter().chain(ending.left.iter().copied()).collect())
    }

    /// The run it is in.
    pub(super) fn run(&self) -> Option<RunId> {
        match &self.state {
            State::Down(_) | State::Queued | State::Backoff { .. } => None,
            State::Spawning { run } | State::Up { run, .. } | State::Ending { run, .. } => Some(run.id),
        }
    }

    /// When it must be looked at though nothing has happened.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Down(_) | State::Queued | State::Spawning { .. } => None,
            State::Backoff { until, .. } => Some(*until),
            State::Up { started: Some(_), .. } => None,
            State::Up { spawned, .. } => Some(spawned.saturating_add(self.spec.start_delay)),
            State::Ending { ending, .. } => match ending.kill {
                Kill::IfNeeded | Kill::InVain => None,
                Kill::At(time) => Some(time),
                Kill::Sent(time) => Some(time.saturating_add(KILL_GRACE)),
            },
        }
    }
}

impl Ending {
    fn by_itself(exit: Exit, now: Duration) -> Self {
        Self { since: now, asked: false, exit: Some((exit, now)), kill: Kill::IfNeeded, left: Vec::new() }
    }
}

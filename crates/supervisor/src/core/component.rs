//! The life of one component.

mod again;
mod ending;
mod face;
mod guards;
mod life;
mod memory;
mod probing;
mod reloading;
mod restarting;
mod revising;
mod sent;
mod shown;
mod steps;

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use ending::Ending;
pub(super) use face::Hope;
use guards::Guards;
pub(crate) use memory::{Found, Memory};
use restarting::Record;
use sent::Sent;
use serde::{Deserialize, Serialize};

use super::Action;
use super::message::{Task, TaskId};
use super::sequence::Turn;
use crate::event::{Event, EventKind};
use crate::run::{End, Fault, PastRun, RunId};
use crate::signal::Signal;
use crate::spec::{ComponentId, Condition, OnGiveUp, ProcessSpec};

/// What a component is doing. What is *wanted* is kept apart, in [`Component::wanted`].
///
/// ```text
///            asked for              its turn             spawned
///   ┌──────┐         ┌────────┐           ┌──────────┐           ┌────┐
///   │ Down ├────────►│ Queued ├──────────►│ Spawning ├──────────►│ Up │
///   └──▲───┘         └─▲────▲─┘           └─────┬────┘           └─┬──┘
///      │               │    │ its time          │                  │ exited, told to stop,
///      │               │ ┌──┴──────┐            │ not spawned      │ or judged
///      │               │ │ Backoff │◄───────────┤              ┌───▼────┐
///      │               │ │ Tripped │◄───────────┼──────────────┤ Ending │
///      │               │ └─────────┘            │ gone         └───┬────┘
///      │               └────────────────────────┴──────────────────┤ gone, to be begun again
///      └───────────────────────────────────────────────────────────┘ gone: stopped, completed, given up
/// ```
///
/// A run lasts from its turn until it is gone (or was not spawned): between them there is never another. `Ending`
/// covers what was told to stop, what is left of a run whose main process has ended by itself, and what is to end because
/// it broke a rule. A restart that somebody asked for is an `Ending` with *wanted* left true. Every restart passes `Queued`,
/// where it waits for whom it needs.
#[derive(Debug)]
enum State {
    Down(Rest),
    Queued { restart: bool, paid: bool },
    Backoff { until: Duration, in_a_row: u32, restart: bool },
    Tripped { until: Duration },
    Spawning { run: Run },
    Up { run: Run, process: Process, started: Option<Duration> },
    Ending { run: Run, process: Option<Process>, started: Option<Duration>, ending: Box<Ending> },
}

/// Where nothing is watched.
static NOTHING: LazyLock<Guards> = LazyLock::new(Guards::default);

/// Why a component is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Rest {
    Stopped,
    Completed,
    Failed,
}

/// The run that a component is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    id: RunId,
    began: Duration,
    restart: bool,
}

/// The main process of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    pid: u32,
    spawned: Duration,
}

/// What a transition means for the others: for the sequences, and for those who wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Milestone {
    /// A run has started.
    Started,
    /// A run that nobody asked to end has.
    Ended(End),
    /// A run could not be spawned for a want of ours, and is tried again.
    NotSpawned(End),
    /// A run that somebody asked to end has.
    Stopped,
    /// The kill did not end these.
    Unkillable(Vec<u32>),
    /// It has been told to read its configuration again, or that failed.
    Reloaded(Result<(), std::sync::Arc<str>>),
}

/// What a component waits for that is queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// For this one, which is doing this instead of what is needed of it, where it may never come to that by itself.
    For(ComponentId, Option<&'static str>),
    /// For a token of the budget, which comes after this time.
    ForAToken(Duration),
}

/// What every transition needs of the world: the time, the seed, and where decisions go.
pub(super) struct Context<'a> {
    pub(super) now: Duration,
    pub(super) seed: u64,
    pub(super) on_give_up: OnGiveUp,
    pub(super) actions: &'a mut Vec<Action>,
}

/// One component: what it is, what is wanted of it, and what it does.
#[derive(Debug)]
pub(super) struct Component {
    /// What it is; of one that has a run, what that is by.
    pub(super) spec: ProcessSpec,
    /// What it is as soon as it has no run.
    next: Option<Box<ProcessSpec>>,
    /// It is no more as soon as it has no run.
    pub(super) is_leaving: bool,
    key: u32,
    state: State,
    since: Duration,
    /// Whether it should run.
    pub(super) wanted: bool,
    /// Its part in the start sequence, until it has settled.
    pub(super) launching: Option<Turn>,
    /// Its part in the stop sequence, in which its run is to be ended, or is being ended.
    pub(super) halting: Option<Turn>,
    /// Its run is to be killed as soon as everything else that the same request is about has been looked at.
    pub(super) hurry: bool,
    /// What is remembered of its restarts.
    record: Record,
    /// What is watched of the run it is in, if anything is: most components have nothing to watch, and there may be thousands.
    guards: Option<Box<Guards>>,
    runs: u64,
    restarts: u64,
    tasks: u32,
    /// The signals that its run has been sent, a bit each.
    sent: Sent,
    last_end: Option<End>,
    /// The last runs that have ended, the oldest first: nothing is decided by them.
    past_runs: VecDeque<PastRun>,
    /// Whether its last run ended by itself, with success.
    has_done_its_work: bool,
    /// Why it will not have read its configuration again, which is told next.
    broken_reload: Option<&'static str>,
}

impl Component {
    pub(super) fn new(key: u32, spec: ProcessSpec) -> Self {
        Self {
            spec,
            next: None,
            is_leaving: false,
            key,
            state: State::Down(Rest::Stopped),
            since: Duration::ZERO,
            wanted: false,
            launching: None,
            halting: None,
            hurry: false,
            record: Record::default(),
            guards: None,
            runs: 0,
            restarts: 0,
            tasks: 0,
            sent: Sent::default(),
            last_end: None,
            past_runs: VecDeque::new(),
            has_done_its_work: false,
            broken_reload: None,
        }
    }

    pub(super) fn key(&self) -> u32 {
        self.key
    }

    fn guards(&self) -> &Guards {
        self.guards.as_deref().unwrap_or(&NOTHING)
    }

    fn guards_mut(&mut self) -> &mut Guards {
        self.guards.get_or_insert_default()
    }

    /// Whether it waits for its turn to start.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self.state, State::Queued { .. })
    }

    /// Whether it waits to begin a restart that has no token of the budget yet.
    pub(super) fn owes_a_token(&self) -> bool {
        matches!(self.state, State::Queued { restart: true, paid: false })
    }

    /// Whether it has a token of the budget for the restart that it waits to begin.
    pub(super) fn has_paid(&self) -> bool {
        matches!(self.state, State::Queued { paid: true, .. })
    }

    pub(super) fn set_paid(&mut self, has_paid: bool) {
        if let State::Queued { paid, .. } = &mut self.state {
            *paid = has_paid;
        }
    }

    /// Whether it waits for its turn, or has a run that has not started yet.
    pub(super) fn is_about_to_start(&self) -> bool {
        self.wanted && matches!(self.state, State::Queued { .. } | State::Up { started: None, .. })
    }

    /// Whether it will be begun again by itself, now or later.
    pub(super) fn will_restart(&self) -> bool {
        matches!(self.state, State::Queued { restart: true, .. } | State::Backoff { .. })
    }

    /// Whether it waits for its next try.
    pub(super) fn is_backing_off(&self) -> bool {
        matches!(self.state, State::Backoff { .. })
    }

    /// Whether nothing of it runs, or will by itself.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Down(_))
    }

    /// Whether it has done its work, or was given up.
    pub(super) fn rests_as(&self, rest: Rest) -> bool {
        matches!(self.state, State::Down(its) if its == rest)
    }

    /// Whether there is something that a shutdown waits for: a run that is not known to be unkillable.
    pub(super) fn is_busy(&self) -> bool {
        self.run().is_some() && self.survivors().is_none()
    }

    /// Whether it runs, or will be tried again when its time comes.
    pub(super) fn is_stirring(&self) -> bool {
        self.is_busy() || matches!(self.state, State::Backoff { .. } | State::Tripped { .. })
    }

    /// Whether it was to do something, and has not done it.
    pub(super) fn has_failed_its_work(&self) -> bool {
        (self.wanted || self.runs > 0) && !self.has_done_its_work
    }

    /// Whether its run has been told to end, or is ending by itself.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending { .. })
    }

    /// Whether its run has started and is not ending.
    pub(super) fn has_started(&self) -> bool {
        matches!(self.state, State::Up { started: Some(_), .. })
    }

    /// Whether this is true of it.
    pub(super) fn satisfies(&self, condition: Condition) -> bool {
        match condition {
            Condition::Started => self.has_started(),
            Condition::Ready => self.has_started() && !self.guards().is_unready(),
            Condition::Completed => self.run().is_none() && self.has_done_its_work,
        }
    }

    /// What outlived the kill, if something did.
    pub(super) fn survivors(&self) -> Option<Vec<u32>> {
        let State::Ending { process, ending, .. } = &self.state else { return None };
        let main = process.filter(|_| ending.exit.is_none()).map(|process| process.pid);
        ending.is_in_vain().then(|| main.into_iter().chain(ending.left.iter().copied()).collect())
    }

    /// The run it is in.
    pub(super) fn run(&self) -> Option<RunId> {
        match &self.state {
            State::Down(_) | State::Queued { .. } | State::Backoff { .. } | State::Tripped { .. } => None,
            State::Spawning { run } | State::Up { run, .. } | State::Ending { run, .. } => Some(run.id),
        }
    }

    /// The run whose main process lives.
    pub(super) fn live_run(&self) -> Option<RunId> {
        match &self.state {
            State::Up { run, .. } => Some(run.id),
            State::Ending { run, process: Some(_), ending, .. } if ending.exit.is_none() => Some(run.id),
            _ => None,
        }
    }

    /// Why a reload has come to nothing, which is said once.
    pub(super) fn take_broken_reload(&mut self) -> Option<&'static str> {
        self.broken_reload.take()
    }

    /// When it must be looked at though nothing has happened.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Down(_) | State::Queued { .. } | State::Spawning { .. } => None,
            State::Backoff { until, .. } | State::Tripped { until } => Some(*until),
            State::Up { process, started, .. } => {
                let delayed = started.is_none() && self.spec.readiness.is_none();
                let start = delayed.then(|| process.spawned.saturating_add(self.spec.start_delay));
                start.into_iter().chain(self.guards().deadline()).min()
            }
            State::Ending { ending, .. } => Some(ending.deadline()),
        }
    }

    /// Begins a task of its run.
    fn begin_task(&mut self, run: RunId, task: Task, context: &mut Context<'_>) -> TaskId {
        self.tasks = self.tasks.wrapping_add(1);
        let task = TaskId { run, task, number: self.tasks };
        context.actions.push(Action::Begin { task });
        task
    }

    /// Sends just this signal to its main process. Whether there is one.
    pub(super) fn forward(&mut self, signal: Signal, context: &mut Context<'_>) -> bool {
        let Some(run) = self.live_run() else { return false };
        self.sent.add(signal);
        context.actions.push(Action::Forward { run, signal });
        true
    }

    fn enter(&mut self, state: State, context: &Context<'_>) {
        self.state = state;
        self.since = context.now;
        if self.run().is_none() {
            self.guards = None;
            if let Some(next) = self.next.take() {
                self.spec = *next;
            }
        }
    }

    fn emit(&self, kind: EventKind, context: &mut Context<'_>) {
        let component = Some(self.spec.id.clone());
        context.actions.push(Action::Emit(Event { at: context.now, component, kind }));
    }

    /// The rule that it breaks and is only told of.
    fn fault(&self) -> Option<&Fault> {
        self.guards().fault().filter(|_| matches!(self.state, State::Up { .. }))
    }
}

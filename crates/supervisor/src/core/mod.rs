//! The pure state machine: facts go in, decisions come out.
//!
//! It reads no clock, touches no process and cannot fail. Time is a [`Duration`] since the supervisor started and
//! comes with each input. What happens to one component is decided in `component`; this module decides what that
//! means for the others: whose turn it is to start and to stop, and who is to be answered.

mod ask;
mod component;
mod deadlines;
mod requests;
mod sequence;

use std::sync::Arc;
use std::time::Duration;

use component::{Component, Context, Milestone};
use deadlines::Deadlines;
use requests::{Goal, Requests};
use sequence::{Sequence, Wave};

use crate::error::SpawnError;
use crate::event::Event;
use crate::request::{Achieved, Dependants, Outcome, RequestError, Until};
use crate::run::{Exit, RunId};
use crate::signal::Signal;
use crate::spec::{ComponentId, ProcessSpec, Recipient};
use crate::status::{ComponentStatus, Status};

/// A request, as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u64);

/// What is asked for; components are named by their place in the start order, each once and ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Start(Vec<u32>),
    Stop { keys: Vec<u32>, dependants: Dependants },
    Restart(Vec<u32>),
    Reset(Vec<u32>),
    Reload(Vec<u32>),
    Signal { keys: Vec<u32>, signal: Signal },
    Wait { keys: Vec<u32>, until: Until },
    Shutdown { immediately: bool },
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

/// What a program said by sd_notify, in one datagram. <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>
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
    /// So much memory, in bytes, is used by a run's processes.
    Measured { run: RunId, memory: u64 },
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
    /// Send a signal to the processes of a run, or to its main process, and have it go on if it was stopped (SIGCONT). Those
    /// of its processes that have had this signal since their run was told to stop do not get it again.
    Signal { run: RunId, signal: Signal, to: Recipient },
    /// Begin a task; `Finished` will follow.
    Begin { task: TaskId },
    /// Give up a task: its answer no longer matters. If it is a process, it is killed with all that it has started.
    Abandon { task: TaskId },
    /// Find out how much memory the processes of a run use; `Measured` will follow.
    Measure { run: RunId },
    /// Tell the readers of events what the operating system knows of a run that hangs.
    Inspect { run: RunId },
    /// Kill every process of the run.
    Kill { run: RunId },
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
}

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    No,
    InOrder,
    Immediate,
    Over,
}

/// All components, and the order between them.
#[derive(Debug)]
pub(crate) struct Core {
    components: Vec<Component>,
    /// Those that shall start and have not settled: neither started nor failed a first time.
    launch: Sequence,
    /// Those whose run shall end.
    halt: Sequence,
    deadlines: Deadlines,
    requests: Requests,
    /// How many components have something that a shutdown waits for.
    busy: usize,
    shutdown: Shutdown,
    seed: u64,
    now: Duration,
    actions: Vec<Action>,
}

impl Core {
    /// Components in the order given, those of lower priority first. Nothing happens before [`Input::Begin`].
    pub(crate) fn new(mut specs: Vec<ProcessSpec>, seed: u64) -> Self {
        specs.sort_by_key(|spec| spec.start_priority);
        let components: Vec<_> = (0..).zip(specs).map(|(key, spec)| Component::new(key, spec)).collect();
        Self {
            launch: Sequence::default(),
            halt: Sequence::default(),
            deadlines: Deadlines::new(components.len()),
            requests: Requests::new(components.len()),
            busy: 0,
            shutdown: Shutdown::No,
            seed,
            now: Duration::ZERO,
            actions: Vec::new(),
            components,
        }
    }

    /// Takes in one fact and says what to do about it, in order. Time never goes back: an earlier `now` counts as the latest.
    pub(crate) fn step(&mut self, now: Duration, input: Input) -> Vec<Action> {
        self.now = self.now.max(now);
        if self.shutdown == Shutdown::Over {
            return Vec::new();
        }
        match input {
            Input::Begin => self.begin(),
            // Only when all news has been told: what is gone need not be killed, though its time was up as well.
            Input::Tick => self.handle_due(),
            Input::Request { request, ask, by } => self.request(request, ask, &by),
            Input::Spawned { run, pid } => self.spawned(run, pid),
            Input::NotSpawned { run, error } => {
                self.news(run, |component, context| component.not_spawned(error, context));
            }
            Input::Exited { run, exit, peak_memory } => self.news(run, |component, context| {
                component.exited(exit, peak_memory, context);
                None
            }),
            Input::Ready { .. }
            | Input::Notified { .. }
            | Input::Finished { .. }
            | Input::Measured { .. }
            | Input::Forget { .. } => {}
            Input::Left { run, pids } => self.news(run, |component, context| {
                component.left(pids, context);
                None
            }),
            Input::Gone { run } => self.news(run, Component::gone),
        }
        self.give_turns();
        self.end_if_over();
        std::mem::take(&mut self.actions)
    }

    /// When the next step is due though nothing has happened.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadlines.next()
    }

    /// The specifications, in start order: the place of each is its key.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &ProcessSpec> {
        self.components.iter().map(|component| &component.spec)
    }

    /// What the component of this key is.
    pub(crate) fn spec(&self, key: u32) -> &ProcessSpec {
        &self.component(key).spec
    }

    /// What is true of these components now.
    pub(crate) fn status(&self, now: Duration, keys: &[u32]) -> Status {
        let now = self.now.max(now);
        Status {
            uptime: now,
            conditions: Vec::new(),
            shutting_down: self.shutdown != Shutdown::No,
            components: keys.iter().map(|key| self.component_status(now, *key)).collect(),
        }
    }

    fn component_status(&self, now: Duration, key: u32) -> ComponentStatus {
        let component = self.component(key);
        let first = || self.launch.front(component.launching?).next().map(|key| self.id(key));
        component.status(now, if component.is_queued() { first() } else { None })
    }

    fn begin(&mut self) {
        for key in self.keys() {
            if self.component(key).spec.autostart {
                self.component_mut(key).wanted = true;
                self.join_launch(key, Wave(0));
                self.transition(key, Component::queue);
            }
        }
        for key in self.keys() {
            self.take_turn(key);
        }
    }

    fn handle_due(&mut self) {
        while let Some(key) = self.deadlines.take_due(self.now) {
            let milestone = self.transition(key, Component::due);
            self.reached(key, milestone);
        }
    }

    /// News of a run. That of an old run, or of one that never was, is dropped here and nowhere else.
    fn news(&mut self, run: RunId, tell: impl FnOnce(&mut Component, &mut Context<'_>) -> Option<Milestone>) {
        let key = run.component;
        if self.components.get(key as usize).and_then(Component::run) != Some(run) {
            return;
        }
        // What has been up for its start delay has started, whatever the news.
        let milestone = self.transition(key, Component::start_if_due);
        self.reached(key, milestone);
        let milestone = self.transition(key, tell);
        self.reached(key, milestone);
    }

    /// A process that lives may have been asked to end before it lived.
    fn spawned(&mut self, run: RunId, pid: u32) {
        self.news(run, |component, context| component.spawned(pid, context));
        if self.shutdown == Shutdown::Immediate {
            self.news(run, |component, context| {
                component.kill(context);
                None
            });
        } else {
            self.take_turn(run.component);
        }
    }

    /// What one component has reached may make it the turn of others, and answer requests.
    fn reached(&mut self, key: u32, milestone: Option<Milestone>) {
        match milestone {
            None => {}
            Some(Milestone::Started) => self.settled(key, &Achieved::Done),
            Some(Milestone::Ended(end)) if end.is_success() => self.settled(key, &Achieved::Done),
            Some(Milestone::Ended(end)) => self.settled(key, &Achieved::FailedStart(end)),
            Some(Milestone::Stopped) => self.stopped(key),
            Some(Milestone::Unkillable(pids)) => {
                let unkillable = Achieved::Unkillable(pids);
                self.leave_halt(key);
                self.resolve_waiting(key, Goal::Stopped, &unkillable);
                self.settled(key, &unkillable);
            }
        }
    }

    /// Its start has come to something: the first of started, completed or failed.
    fn settled(&mut self, key: u32, achieved: &Achieved) {
        // What is to be ended first, because somebody asked for another run, settles with that one.
        if self.component(key).halting.is_none() {
            self.leave_launch(key);
            self.resolve_waiting(key, Goal::Started, achieved);
        }
    }

    /// The run that was to end is gone.
    fn stopped(&mut self, key: u32) {
        self.leave_halt(key);
        self.resolve_waiting(key, Goal::Stopped, &Achieved::Done);
        let component = self.component(key);
        if component.wanted {
            // One whose start was answered while its old run could not be killed begins by itself.
            let wave = component.launching.unwrap_or(Wave(u64::MAX));
            self.join_launch(key, wave);
            self.transition(key, Component::queue);
            self.take_turn(key);
        }
    }

    fn end_if_over(&mut self) {
        if self.shutdown != Shutdown::No && self.busy == 0 {
            self.shutdown = Shutdown::Over;
            let achieved =
                |component: &Component| component.survivors().map_or(Achieved::Done, Achieved::Unkillable);
            let named = |component: &Component| (component.spec.id.clone(), achieved(component));
            let components = self.components.iter().map(named).collect();
            let outcome = Outcome { components, given_up: None };
            self.actions.push(Action::End { outcome });
        }
    }

    fn join_launch(&mut self, key: u32, wave: Wave) {
        self.leave_launch(key);
        self.component_mut(key).launching = Some(wave);
        self.launch.join(wave, self.launch_rank(key), key);
    }

    fn leave_launch(&mut self, key: u32) {
        if let Some(wave) = self.component_mut(key).launching.take() {
            self.launch.leave(wave, self.launch_rank(key), key);
        }
    }

    fn join_halt(&mut self, key: u32, wave: Wave) {
        self.leave_halt(key);
        self.component_mut(key).halting = Some(wave);
        self.halt.join(wave, self.halt_rank(key), key);
    }

    fn leave_halt(&mut self, key: u32) {
        if let Some(wave) = self.component_mut(key).halting.take() {
            self.halt.leave(wave, self.halt_rank(key), key);
        }
    }

    /// Lets those go on whose turn this step has brought.
    fn give_turns(&mut self) {
        for key in self.halt.take_called().into_iter().rev() {
            self.take_turn(key);
        }
        for key in self.launch.take_called() {
            self.take_turn(key);
        }
    }

    /// Does what the component waits to do, if it is its turn.
    fn take_turn(&mut self, key: u32) {
        let component = self.component(key);
        let has_turn = |sequence: &Sequence, rank, wave| sequence.is_turn_of(wave, rank);
        if component.halting.is_some_and(|wave| has_turn(&self.halt, self.halt_rank(key), wave)) {
            self.transition(key, Component::stop);
        } else if component.is_queued()
            && component.launching.is_some_and(|wave| has_turn(&self.launch, self.launch_rank(key), wave))
        {
            self.transition(key, Component::begin);
        }
    }

    /// Components start in ascending priority ...
    fn launch_rank(&self, key: u32) -> u16 {
        self.component(key).spec.start_priority
    }

    /// ... and stop in descending.
    fn halt_rank(&self, key: u32) -> u16 {
        u16::MAX - self.component(key).spec.start_priority
    }

    /// Lets the component change, and keeps what is derived from its state.
    fn transition<R>(&mut self, key: u32, change: impl FnOnce(&mut Component, &mut Context<'_>) -> R) -> R {
        let component = &mut self.components[key as usize];
        self.busy -= usize::from(component.is_busy());
        let mut context = Context { now: self.now, seed: self.seed, actions: &mut self.actions };
        let result = change(component, &mut context);
        self.busy += usize::from(component.is_busy());
        self.deadlines.set(key, component.deadline());
        result
    }

    fn keys(&self) -> std::ops::Range<u32> {
        // Keys are made from a `u32` counter, so that their number fits one.
        0..self.components.len() as u32
    }

    fn component(&self, key: u32) -> &Component {
        &self.components[key as usize]
    }

    fn component_mut(&mut self, key: u32) -> &mut Component {
        &mut self.components[key as usize]
    }

    fn id(&self, key: u32) -> ComponentId {
        self.component(key).spec.id.clone()
    }
}

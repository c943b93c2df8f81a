//! The pure state machine: facts go in, decisions come out.
//!
//! It reads no clock, touches no process and cannot fail. Time is a [`Duration`] since the supervisor started and
//! comes with each input. What happens to one component is decided in `component`; this module decides what that
//! means for the others: whose turn it is to start and to stop, and who is to be answered.
//!
//! - `message`: facts and decisions
//! - `ask`, `requests`: what somebody asks for, and who waits for what
//! - `applying`, `trial`: what a changed registry means, and how it is taken back
//! - `consequences`: what the change of one means for the others, all in one place
//! - `turns`: who may begin, and who may stop
//! - `shutdown`: how everything is stopped, and why
//! - `graph`, `sequence`, `groups`, `budget`: what that depends on
//! - `conditions`: what the supervisor itself cannot do
//! - `deadlines`: what must happen by itself, and when
//! - `probes`: who may be asked whether it is ready or well, and who has to wait

mod applying;
mod ask;
mod budget;
mod component;
mod conditions;
mod consequences;
mod deadlines;
mod detail;
mod graph;
mod groups;
mod message;
mod probes;
mod requests;
mod rotation;
mod sequence;
mod shutdown;
mod trial;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use applying::OldOrder;
use budget::Budget;
use component::{Component, Context, Milestone, Waits};
pub(crate) use component::{Found, Memory};
use deadlines::Deadlines;
use graph::Graph;
use groups::Groups;
pub(crate) use message::{Action, Ask, Input, RequestId, Said, Task, TaskId};
use probes::Probes;
use requests::{Goal, Requests};
use sequence::{Sequence, Wave};
use shutdown::Shutdown;
use trial::Trial;

use crate::request::{Achieved, GoneBack};
use crate::run::RunId;
use crate::spec::{ComponentId, OnGiveUp, ProcessSpec, ReadyWhen, RestartBudget};
use crate::status::{ComponentStatus, Status};

/// What holds for all components together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) budget: Option<RestartBudget>,
    pub(crate) on_give_up: OnGiveUp,
    /// Whether what is to be remembered is written down.
    pub(crate) remembers: bool,
    /// Whether components end with the process that has started them.
    pub(crate) ends_with_us: bool,
    /// Whether supervision ends when nothing will run again by itself.
    pub(crate) ends_when_done: bool,
}

/// All components, and the order between them.
#[derive(Debug)]
pub(crate) struct Core {
    /// By key. A key is never given twice.
    components: BTreeMap<u32, Component>,
    next_key: u32,
    graph: Graph,
    groups: Groups,
    budget: Option<Budget>,
    rules: Rules,
    /// The order that some stop by that stop because of a change.
    old_order: Option<OldOrder>,
    trial: Option<Trial>,
    /// Why what was applied last is not what is supervised.
    gone_back: Option<GoneBack>,
    /// Those of whom something is to be written down.
    to_remember: BTreeSet<u32>,
    /// Those that go on where an earlier supervisor left off, until this one begins; and whether their runs are to be ended.
    recalled: BTreeMap<u32, bool>,
    /// Since when there is this supervisor.
    began: Duration,
    /// Those that shall start and have not settled: neither started nor failed a first time.
    launch: Sequence,
    /// Those whose run shall end.
    halt: Sequence,
    deadlines: Deadlines,
    requests: Requests,
    probes: Probes,
    /// Those whose change may mean something for others, which has not been looked at yet.
    changed: BTreeSet<u32>,
    /// How many components have something that a shutdown waits for.
    busy: usize,
    /// How many components run, or will by themselves.
    stirring: usize,
    shutdown: Shutdown,
    /// Those that were wanted before it.
    wanted_before: BTreeSet<u32>,
    /// When somebody asked for the shutdown first, if somebody did.
    shutdown_asked_at: Option<Duration>,
    /// The essential component for which everything is stopped.
    given_up: Option<ComponentId>,
    /// Those that have not done their work, where everything is stopped because nothing would run again.
    unsuccessful: Vec<ComponentId>,
    seed: u64,
    now: Duration,
    actions: Vec<Action>,
}

impl Core {
    /// Components in the order given, except that whom one needs comes before it, and those of lower priority before others.
    /// The strangers are no more as soon as nothing of them is left. Nothing happens before [`Input::Begin`].
    pub(crate) fn new(specs: Vec<ProcessSpec>, strangers: Vec<ProcessSpec>, rules: Rules, seed: u64) -> Self {
        let members = (0..).zip(graph::in_start_order(specs)).collect::<Vec<_>>();
        let in_order: Vec<_> = members.iter().map(|(key, spec)| (*key, spec)).collect();
        let strangers = (members.len() as u32..).zip(strangers).collect::<Vec<_>>();
        let leaving: Vec<_> = strangers.iter().map(|(key, _)| *key).collect();
        let graph = Graph::new(&in_order).with_leaving(&leaving, &Graph::default());
        let mut groups = Groups::default();
        groups.regroup(in_order.iter().copied());
        let all = members.into_iter().chain(strangers).map(|(key, spec)| (key, Component::new(key, spec)));
        let mut components: BTreeMap<_, _> = all.collect();
        leaving.iter().for_each(|key| of_key(&mut components, *key).is_leaving = true);
        Self {
            graph,
            groups,
            next_key: components.len() as u32,
            budget: rules.budget.and_then(Budget::new),
            rules,
            old_order: None,
            trial: None,
            gone_back: None,
            to_remember: BTreeSet::new(),
            recalled: BTreeMap::new(),
            began: Duration::ZERO,
            launch: Sequence::default(),
            halt: Sequence::default(),
            deadlines: Deadlines::default(),
            requests: Requests::default(),
            changed: BTreeSet::new(),
            probes: Probes::new(),
            busy: 0,
            stirring: 0,
            shutdown: Shutdown::No,
            wanted_before: BTreeSet::new(),
            shutdown_asked_at: None,
            given_up: None,
            unsuccessful: Vec::new(),
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
            Input::Recalled { key, memory, found } => {
                self.recall(key, *memory, found);
                // Nothing follows from it before all are there.
                return std::mem::take(&mut self.actions);
            }
            Input::Begin => self.begin(),
            // Only when all news has been told: what is gone need not be killed, though its time was up as well.
            Input::Tick => self.handle_due(),
            Input::Request { request, ask, by } => self.request(request, ask, &by),
            Input::Rotated { request, key, result } => self.rotated(request, key, result),
            Input::Forget { request } => self.requests.forget(request),
            Input::Spawned { run, pid } => self.spawned(run, pid),
            Input::NotSpawned { run, error } => {
                self.news(run, |component, context| component.not_spawned(error, context));
            }
            Input::Exited { run, exit, peak_memory } => {
                self.news(run, |component, context| {
                    component.exited(exit, peak_memory, context);
                    None
                });
            }
            Input::Left { run, pids } => self.news(run, |component, context| {
                component.left(pids, context);
                None
            }),
            Input::Gone { run } => self.news(run, Component::gone),
            Input::Ready { run } => self.news(run, |component, context| {
                let when = component.spec.readiness.as_ref().map(|readiness| &readiness.when);
                let counts = matches!(when, Some(ReadyWhen::Descriptor(_) | ReadyWhen::Logged(_)));
                if counts { component.ready(context) } else { None }
            }),
            Input::Notified { run, said } => {
                self.news(run, |component, context| component.notified(&said, context));
            }
            Input::Finished { task, result } => {
                self.news(task.run, |component, context| component.finished(task, result, context));
            }
            Input::NotBegun { task, why } => self.news(task.run, |component, context| {
                component.not_begun(task, why, context);
                None
            }),
            Input::Measured { run, memory } => {
                self.news(run, |component, context| {
                    component.measured(memory, context);
                    None
                });
            }
        }
        // One that leaves does nothing any more.
        if self.shutdown != Shutdown::Over {
            self.follow_up();
            self.confirm_if_ready();
            self.requests.answer_failed(&mut self.actions);
            self.give_probes();
            self.end_if_done();
            self.end_if_over();
        }
        let decided = std::mem::take(&mut self.actions);
        // What is to be remembered comes first: whoever is answered may rely on it.
        let remember = std::mem::take(&mut self.to_remember).into_iter().map(|key| Action::Remember { key });
        remember.chain(decided).collect()
    }

    /// When the next step is due though nothing has happened.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let token = self.budget.as_ref().and_then(Budget::next);
        let trial = self.trial.as_ref().map(|trial| trial.until);
        self.deadlines.next().into_iter().chain(token).chain(trial).min()
    }

    /// The specifications and their keys, in start order, as they are to be. At first the keys count up from 0.
    pub(crate) fn specs(&self) -> impl Iterator<Item = (u32, &ProcessSpec)> {
        self.graph.order().iter().map(|key| (*key, self.component(*key).latest()))
    }

    /// Those that are no more as soon as nothing of them is left, likewise.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = (u32, &ProcessSpec)> {
        let leaving = self.components.values().filter(|component| component.is_leaving);
        leaving.map(|component| (component.key(), &component.spec))
    }

    /// What holds for all of them together.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether there is a component of this key.
    pub(crate) fn has(&self, key: u32) -> bool {
        self.components.contains_key(&key)
    }

    /// What the component of this key is; of one that runs, what its run is by.
    pub(crate) fn spec(&self, key: u32) -> &ProcessSpec {
        &self.component(key).spec
    }

    /// What is true of these components now, and of the supervisor.
    pub(crate) fn status(&self, now: Duration, keys: &[u32]) -> Status {
        let now = self.now.max(now);
        Status {
            uptime: now.saturating_sub(self.began),
            conditions: self.conditions(now),
            shutting_down: self.shutdown != Shutdown::No,
            components: self.status_of(now, keys),
        }
    }

    /// What is true of these components now.
    pub(crate) fn status_of(&self, now: Duration, keys: &[u32]) -> Vec<ComponentStatus> {
        let now = self.now.max(now);
        let tokens: HashMap<_, _> = self.budget.iter().flat_map(|budget| budget.waits(now)).collect();
        let status = |key: &u32| {
            let component = self.components.get(key)?;
            let waits_for = component.is_queued().then(|| self.waits_for(*key)).flatten();
            let waits = waits_for.or_else(|| tokens.get(key).copied().map(Waits::ForAToken));
            Some(component.status(now, waits))
        };
        keys.iter().filter_map(status).collect()
    }

    /// What is to be remembered of a component.
    pub(crate) fn memory(&self, key: u32) -> Memory {
        let budget_full_at = self.budget.as_ref().map_or(Duration::ZERO, Budget::full_at);
        let memory = self.component(key).memory(budget_full_at);
        // To end the supervisor is not to stop a component: the next supervisor starts it again.
        if self.wanted_before.contains(&key) { memory.wanted() } else { memory }
    }

    fn recall(&mut self, key: u32, memory: Memory, found: Found) {
        if let Some(budget) = &mut self.budget {
            budget.go_on(memory.budget_full_at(), self.now);
        }
        let is_to_end = self.transition(key, |component, context| component.recall(memory, found, context));
        self.recalled.insert(key, is_to_end);
    }

    fn begin(&mut self) {
        self.began = self.now;
        for key in self.keys() {
            let recalled = self.recalled.remove(&key);
            let component = self.component(key);
            match recalled {
                None if component.spec.autostart => {
                    self.want_it(key, true);
                    self.join_launch(key, Wave::Boot);
                    self.transition(key, Component::queue);
                }
                None => {}
                Some(true) => self.join_halt(key, Wave::Later),
                Some(false) if component.is_about_to_start() => self.join_launch(key, Wave::Boot),
                Some(false) => {}
            }
        }
        for key in self.keys() {
            self.take_turn(key);
        }
        let leaving = self.components.values().filter(|component| component.is_leaving);
        self.changed.extend(leaving.map(Component::key));
    }

    /// Whether a component should run.
    fn want_it(&mut self, key: u32, wanted: bool) {
        self.transition(key, |component, _| component.wanted = wanted);
    }

    fn handle_due(&mut self) {
        while let Some(key) = self.deadlines.take_due(self.now) {
            let milestone = self.transition(key, Component::due);
            self.reached(key, milestone);
        }
        self.give_tokens();
        self.trial_due();
    }

    /// Lets probes begin whose time has come, as far as that may be.
    fn give_probes(&mut self) {
        while let Some(key) = self.probes.next() {
            self.transition(key, Component::begin_probe);
        }
    }

    /// News of a run. That of an old run, or of one that never was, is dropped here and nowhere else.
    fn news(&mut self, run: RunId, tell: impl FnOnce(&mut Component, &mut Context<'_>) -> Option<Milestone>) {
        let key = run.component;
        if self.components.get(&key).and_then(Component::run) != Some(run) {
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
            self.news(run, Component::kill);
        }
    }

    /// Lets the component change, and keeps what is derived from its state. Every change of one passes through here.
    fn transition<R>(&mut self, key: u32, change: impl FnOnce(&mut Component, &mut Context<'_>) -> R) -> R {
        let component = of_key(&mut self.components, key);
        let (face, essence) = (component.face(), component.essence());
        self.busy -= usize::from(component.is_busy());
        self.stirring -= usize::from(component.is_stirring());
        self.probes.forget(key, component.asking());
        let mut context = Context {
            now: self.now,
            seed: self.seed,
            on_give_up: self.rules.on_give_up,
            actions: &mut self.actions,
        };
        let result = change(component, &mut context);
        self.busy += usize::from(component.is_busy());
        self.stirring += usize::from(component.is_stirring());
        self.probes.note(key, component.asking());
        self.deadlines.set(key, component.deadline());
        if self.rules.remembers && component.essence() != essence {
            self.to_remember.insert(key);
        }
        if component.face() != face {
            self.changed.insert(key);
        }
        if !component.owes_a_token()
            && let Some(budget) = &mut self.budget
        {
            budget.leave(key);
        }
        if let Some(why) = component.take_broken_reload() {
            let achieved = Achieved::Failed(why.into());
            self.resolve_waiting(key, Goal::Reload, &achieved);
        }
        result
    }

    /// Every component, in start order; last those that are leaving.
    fn keys(&self) -> Vec<u32> {
        let mut keys: Vec<_> = self.components.keys().copied().collect();
        self.graph.sort(&mut keys);
        keys
    }

    /// Every component, in the order of their keys' places.
    fn members(&self) -> impl Iterator<Item = &Component> {
        self.keys().into_iter().map(|key| self.component(key))
    }

    fn component(&self, key: u32) -> &Component {
        &self.components[&key]
    }

    fn component_mut(&mut self, key: u32) -> &mut Component {
        of_key(&mut self.components, key)
    }

    fn id(&self, key: u32) -> ComponentId {
        self.component(key).spec.id.clone()
    }
}

/// The component of this key. What keys come from outside are looked up first, so that there is one.
fn of_key(components: &mut BTreeMap<u32, Component>, key: u32) -> &mut Component {
    components.get_mut(&key).expect("a key is of a component")
}

#[cfg(test)]
mod tests;

//! The simulated world itself: a virtual clock, a small pid space, and the rim around the core.

mod afterlife;
mod processes;
mod rim;
mod saying;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use self::afterlife::Memories;
use self::processes::{Process, Processes};
use super::hostility::{Draws, Hostility};
use super::mock::Mock;
use super::witness::Witness;
use crate::core::{Ask, Core, Input, RequestId, Rules};
use crate::event::Event;
use crate::names::Names;
use crate::plan::{self, Plan, Setup};
use crate::request::{Dependants, Outcome, RequestError, Targets, Until};
use crate::run::{Exit, RunId};
use crate::signal::Signal;
use crate::spec::{OnGiveUp, ProcessSpec, RestartBudget};
use crate::status::{ComponentStatus, Detail, Status};

/// A world of more components is checked after each step only where the step was about them, and around that.
const CHECKED_AS_A_WHOLE: usize = 64;

/// The supervisor's decisions on mock components in virtual time. See the [module](super).
#[derive(Debug)]
pub struct World {
    core: Core,
    seed: u64,
    memories: Memories,
    names: Names,
    /// By key.
    mocks: BTreeMap<u32, Mock>,
    /// All that have ever been given, the last ones last.
    cast: Vec<Mock>,
    /// What the last run of each was begun as.
    begun_as: BTreeMap<u32, ProcessSpec>,
    draws: BTreeMap<u32, Draws>,
    hostility: Hostility,
    /// The supervisor lacks what it takes to begin anything.
    is_short: bool,
    news_comes_late: bool,
    now: Duration,
    agenda: BTreeMap<(Duration, u64), Happening>,
    happenings: u64,
    processes: Processes,
    reported: HashMap<RunId, Reported>,
    requests: u64,
    answers: BTreeMap<RequestId, Result<Option<Outcome>, RequestError>>,
    events: Vec<Event>,
    trace: Vec<String>,
    end: Option<Outcome>,
    witness: Witness,
    /// Whom the steps since the last check were about.
    touched: BTreeSet<u32>,
}

/// What holds in a [`World`] beside its components.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances {
    /// Where chance comes from.
    pub seed: u64,
    /// What goes wrong between the supervisor and its processes.
    pub hostility: Hostility,
    /// The most restarts over all components.
    pub restart_budget: Option<RestartBudget>,
    /// What happens when an essential component is given up.
    pub on_give_up: OnGiveUp,
    /// Whether the supervisor ends when nothing will run again.
    pub ends_when_done: bool,
}

/// A request made of a [`World`]: ask for its [`World::outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(RequestId);

/// Something that will happen at its time.
#[derive(Clone, Debug)]
enum Happening {
    /// A fact reaches the core.
    News(Input),
    /// A process ends.
    Ends { process: u64, exit: Exit },
    /// A main process gives a sign of life, and will again after this time.
    SignOfLife { process: u64, again: Duration },
}

/// What the core has been told of a run, or will be by news under way.
#[derive(Debug, Default)]
struct Reported {
    exit: bool,
    left: Vec<u32>,
    gone: bool,
}

impl World {
    /// A kind world of these components, where news is immediate. It begins at once.
    #[must_use]
    pub fn new(mocks: impl IntoIterator<Item = Mock>) -> Self {
        Self::hostile(mocks, 0, Hostility::default())
    }

    /// A world of these components in which chance comes from the seed, and these things go wrong.
    #[must_use]
    pub fn hostile(mocks: impl IntoIterator<Item = Mock>, seed: u64, hostility: Hostility) -> Self {
        Self::under(mocks, Circumstances { seed, hostility, ..Circumstances::default() })
    }

    /// A world of these components under these circumstances.
    #[must_use]
    pub fn under(mocks: impl IntoIterator<Item = Mock>, circumstances: Circumstances) -> Self {
        let Circumstances { seed, hostility, restart_budget, on_give_up, ends_when_done } = circumstances;
        let rules = Rules {
            budget: restart_budget,
            on_give_up,
            remembers: true,
            ends_with_us: false,
            ends_when_done,
        };
        let mocks: Vec<_> = mocks.into_iter().collect();
        let specs = mocks.iter().map(|mock| mock.spec.clone()).collect();
        let core = Core::new(specs, Vec::new(), rules, seed);
        let by_id: HashMap<_, _> = mocks.iter().map(|mock| (mock.spec.id.clone(), mock.clone())).collect();
        let in_order = core.specs().filter_map(|(key, spec)| Some((key, by_id.get(&spec.id)?.clone())));
        let in_order: BTreeMap<_, _> = in_order.collect();
        let specs: Vec<_> = core.specs().map(|(_, spec)| spec.clone()).collect();
        let witness = Witness::new(seed, &specs, restart_budget);
        let draws = (0..).zip(&specs).map(|(key, spec)| (key, Draws::new(seed, spec.id.as_str()))).collect();
        let mut world = Self {
            names: Names::new(core.specs()),
            witness,
            draws,
            seed,
            memories: Memories::default(),
            core,
            mocks: in_order,
            cast: mocks,
            begun_as: BTreeMap::new(),
            hostility,
            is_short: false,
            news_comes_late: hostility.late || hostility.early_deaths,
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            happenings: 0,
            processes: Processes::new(specs.len()),
            reported: HashMap::new(),
            requests: 0,
            answers: BTreeMap::new(),
            events: Vec::new(),
            trace: Vec::new(),
            end: None,
            touched: BTreeSet::new(),
        };
        world.begin_books();
        world.tell(Input::Begin);
        world.run_for(Duration::ZERO);
        world
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next_time().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// Lets time pass until this holds, at most so long. Says whether it came to hold.
    pub fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !holds(self) {
            let Some(next) = self.next_time().filter(|next| *next <= end) else { return false };
            self.now = self.now.max(next);
            self.step();
        }
        true
    }

    /// The time since the world began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Whether a shutdown is complete: the supervisor would be gone.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// How long a shutdown may take that begins now.
    #[must_use]
    pub fn longest_shutdown(&self) -> Duration {
        self.core.longest_shutdown()
    }

    /// What came of everything, once it [has ended](Self::has_ended) by a shutdown.
    #[must_use]
    pub fn end(&self) -> Option<&Outcome> {
        self.end.as_ref()
    }

    /// Asks for components to be started.
    pub fn start(&mut self, targets: impl Into<Targets>) -> Ticket {
        self.ask_for(&targets.into(), Ask::Start)
    }

    /// Asks for components to be stopped.
    pub fn stop(&mut self, targets: impl Into<Targets>) -> Ticket {
        self.ask_for(&targets.into(), |keys| Ask::Stop { keys, dependants: Dependants::Refuse })
    }

    /// Asks for components to be stopped, and says what happens to running components that depend on them.
    pub fn stop_with(&mut self, targets: impl Into<Targets>, dependants: Dependants) -> Ticket {
        self.ask_for(&targets.into(), |keys| Ask::Stop { keys, dependants })
    }

    /// Asks for what went wrong with components before to be forgotten.
    pub fn reset(&mut self, targets: impl Into<Targets>) -> Ticket {
        self.ask_for(&targets.into(), Ask::Reset)
    }

    /// Asks for components to read their configuration again.
    pub fn reload(&mut self, targets: impl Into<Targets>) -> Ticket {
        self.ask_for(&targets.into(), Ask::Reload)
    }

    /// Asks for a signal to be sent to the main processes of components.
    pub fn signal(&mut self, targets: impl Into<Targets>, signal: Signal) -> Ticket {
        self.ask_for(&targets.into(), |keys| Ask::Signal { keys, signal })
    }

    /// Asks for the files of components' output to end.
    pub fn rotate(&mut self, targets: impl Into<Targets>) -> Ticket {
        self.ask_for(&targets.into(), Ask::Rotate)
    }

    /// Asks to be told when this is true of components.
    pub fn wait_for(&mut self, targets: impl Into<Targets>, until: Until) -> Ticket {
        self.ask_for(&targets.into(), |keys| Ask::Wait { keys, until })
    }

    /// Does not wait for the answer to a request any more.
    pub fn forget(&mut self, ticket: Ticket) {
        self.tell(Input::Forget { request: ticket.0 });
    }

    /// Has the main process of a component hang from now on. Does nothing if there is none.
    pub fn hang(&mut self, id: &str) {
        let now = self.now;
        for serial in self.alive_of(id, |process| process.is_main.then_some(process.serial)) {
            if let Some(process) = self.processes.get_mut(serial) {
                process.behaviour.hangs_after = Some(now.saturating_sub(process.born));
            }
        }
    }

    /// Asks for components to be restarted.
    pub fn restart(&mut self, targets: impl Into<Targets>) -> Ticket {
        self.ask_for(&targets.into(), Ask::Restart)
    }

    /// Asks for everything to be stopped in order, and the supervisor to end.
    pub fn shutdown(&mut self) -> Ticket {
        self.ask(Ask::Shutdown { immediately: false })
    }

    /// Asks for everything to be killed now, and the supervisor to end.
    pub fn shutdown_now(&mut self) -> Ticket {
        self.ask(Ask::Shutdown { immediately: true })
    }

    /// What an [apply](Self::apply) of these would do.
    #[must_use]
    pub fn plan(&self, mocks: impl IntoIterator<Item = Mock>) -> Plan {
        self.core.plan(&self.setup_of(mocks.into_iter().map(|mock| mock.spec)))
    }

    /// Asks for these to be supervised in the place of what there is. They are known by their ids.
    pub fn apply(&mut self, mocks: impl IntoIterator<Item = Mock>) -> Ticket {
        self.apply_for(mocks, None)
    }

    /// The same, and for everything to go back unless all that is begun for that is ready within so long.
    pub fn apply_confirming(
        &mut self,
        mocks: impl IntoIterator<Item = Mock>,
        ready_within: Duration,
    ) -> Ticket {
        self.apply_for(mocks, Some(ready_within))
    }

    /// Asks for the same components to be supervised under another budget, and with another answer to one that is given up.
    pub fn apply_rules(&mut self, restart_budget: Option<RestartBudget>, on_give_up: OnGiveUp) -> Ticket {
        let components = self.core.specs().map(|(_, spec)| spec.clone()).collect();
        self.ask(Ask::Apply {
            setup: Arc::new(Setup { components, restart_budget, on_give_up }),
            confirm: None,
        })
    }

    /// What has come of a request: `None` while it is open, or if it was refused.
    #[must_use]
    pub fn outcome(&self, ticket: Ticket) -> Option<&Outcome> {
        self.answers.get(&ticket.0)?.as_ref().ok()?.as_ref()
    }

    /// Why a request was refused, if it was.
    #[must_use]
    pub fn refusal(&self, ticket: Ticket) -> Option<&RequestError> {
        self.answers.get(&ticket.0)?.as_ref().err()
    }

    /// Kills the main process of a component, as from outside. Does nothing if there is none.
    pub fn crash(&mut self, id: &str) {
        let exit = Exit::Signal { signal: 9, core_dumped: false };
        for process in self.alive_of(id, |process| process.is_main.then_some(process.serial)) {
            self.foresee(Duration::ZERO, Happening::Ends { process, exit });
        }
        self.run_for(Duration::ZERO);
    }

    /// From now on the supervisor can begin nothing, no run and no probe and no command, as if it had no descriptors left; or
    /// again as usual.
    pub fn run_short(&mut self, is_short: bool) {
        self.is_short = is_short;
    }

    /// From now on nothing goes wrong any more but what the components do.
    pub fn heal(&mut self) {
        self.hostility = Hostility::default();
        // What is on its way already may still be late.
        let late = |happening: &Happening| matches!(happening, Happening::News(_));
        self.news_comes_late = self.news_comes_late && self.agenda.values().any(late);
    }

    /// What is true of every component now, as a person would be told.
    #[must_use]
    pub fn status(&self) -> Status {
        self.core.status(self.now, &self.names.all_and_leaving())
    }

    /// Whether there is a component of this name, be it that it is about to be no more.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.names.resolve(&Targets::from(id)).is_ok()
    }

    /// One component from all sides, but for its processes.
    ///
    /// # Panics
    /// If there is no component of this name.
    #[must_use]
    pub fn detail(&self, id: &str) -> Detail {
        self.core.detail(self.now, self.key(id))
    }

    /// What is true of one component now.
    ///
    /// # Panics
    /// If there is no component of this name.
    #[must_use]
    pub fn component(&self, id: &str) -> ComponentStatus {
        self.core.status_of(self.now, &[self.key(id)]).swap_remove(0)
    }

    /// The state of one component in the words that people see: `backoff 8s (3)`.
    ///
    /// # Panics
    /// If there is no component of this name.
    #[must_use]
    pub fn state(&self, id: &str) -> String {
        self.component(id).state.to_string()
    }

    /// How many runs of it have been begun.
    ///
    /// # Panics
    /// If there is no component of this name.
    #[must_use]
    pub fn runs(&self, id: &str) -> usize {
        self.witness.runs(self.key(id))
    }

    /// The pids of its processes that live.
    ///
    /// # Panics
    /// If there is no component of this name.
    #[must_use]
    pub fn alive(&self, id: &str) -> Vec<u32> {
        self.alive_of(id, |process| Some(process.pid))
    }

    /// Everything that was told to readers of events so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Every decision so far, one to a line, each with its time. The same seed gives the same trace.
    #[must_use]
    pub fn trace(&self) -> &[String] {
        &self.trace
    }

    /// Something of each of its processes that live.
    fn alive_of<T>(&self, id: &str, what: impl Fn(&Process) -> Option<T>) -> Vec<T> {
        self.processes.of(self.key(id)).filter(|process| process.lives()).filter_map(what).collect()
    }

    fn key(&self, id: &str) -> u32 {
        match self.names.resolve(&Targets::from(id)) {
            Ok(keys) => keys[0],
            Err(error) => panic!("{error}"),
        }
    }

    fn ask_for(&mut self, targets: &Targets, ask: impl FnOnce(Vec<u32>) -> Ask) -> Ticket {
        match self.names.resolve(targets) {
            Ok(keys) => self.ask(ask(keys)),
            Err(error) => panic!("{error}"),
        }
    }

    fn apply_for(&mut self, mocks: impl IntoIterator<Item = Mock>, confirm: Option<Duration>) -> Ticket {
        let mocks: Vec<_> = mocks.into_iter().collect();
        let setup = self.setup_of(mocks.iter().map(|mock| mock.spec.clone()));
        self.cast.extend(mocks);
        self.ask(Ask::Apply { setup: Arc::new(setup), confirm })
    }

    fn setup_of(&self, specs: impl Iterator<Item = ProcessSpec>) -> Setup {
        let Rules { budget: restart_budget, on_give_up, .. } = *self.core.rules();
        Setup { components: specs.collect(), restart_budget, on_give_up }
    }

    /// Other components are there: each behaves as the last one that was given with its id and its specification.
    fn recast(&mut self) {
        let specs: Vec<_> = self.core.specs().map(|(key, spec)| (key, spec.clone())).collect();
        let leaving: Vec<_> = self.core.leaving().map(|(key, _)| key).collect();
        for (key, spec) in &specs {
            let is_meant =
                |mock: &&Mock| mock.spec.id == spec.id && plan::differences(&mock.spec, spec).is_empty();
            let mock = self.cast.iter().rev().find(is_meant).cloned();
            self.mocks.insert(*key, mock.unwrap_or_else(|| Mock::of(spec.clone())));
            self.draws
                .entry(*key)
                .or_insert_with(|| Draws::new(self.seed ^ u64::from(*key), spec.id.as_str()));
        }
        let is_there = |key: &u32| self.core.has(*key);
        self.mocks.retain(|key, _| is_there(key));
        self.begun_as.retain(|key, _| is_there(key));
        self.names = Names::new(self.core.specs()).with_leaving(self.core.leaving());
        self.witness.lineup(self.now, &specs, &leaving, self.core.rules().budget);
    }

    fn ask(&mut self, ask: Ask) -> Ticket {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.witness.asked(request, &ask);
        self.tell(Input::Request { request, ask, by: Arc::from("the test") });
        if self.has_ended() {
            self.answers.entry(request).or_insert(Err(RequestError::Ended));
        }
        Ticket(request)
    }
}

fn draws_of(draws: &mut BTreeMap<u32, Draws>, key: u32) -> &mut Draws {
    draws.get_mut(&key).expect("a key is of a component")
}

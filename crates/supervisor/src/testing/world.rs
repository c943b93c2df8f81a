//! The simulated world itself: a virtual clock, a small pid space, and the rim around the core.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::hostility::{Draws, Hostility};
use super::mock::{Behaviour, Mock};
use super::witness::Witness;
use crate::core::{Action, Ask, Core, Input, RequestId};
use crate::error::{SpawnError, SpawnStep};
use crate::event::Event;
use crate::names::Names;
use crate::request::{Outcome, RequestError, Targets};
use crate::run::{Exit, RunId};
use crate::status::{ComponentStatus, Status};

/// How many pids there are at least: few, so that they are used again all the time.
const FEWEST_PIDS: u32 = 16;

/// The supervisor's decisions on mock components in virtual time. See the [module](super).
#[derive(Debug)]
pub struct World {
    core: Core,
    names: Names,
    mocks: Vec<Mock>,
    draws: Vec<Draws>,
    hostility: Hostility,
    news_comes_late: bool,
    now: Duration,
    agenda: BTreeMap<(Duration, u64), Happening>,
    happenings: u64,
    processes: BTreeMap<u64, Process>,
    born: u64,
    last_pid: u32,
    reported: HashMap<RunId, Reported>,
    requests: u64,
    answers: BTreeMap<RequestId, Result<Option<Outcome>, RequestError>>,
    events: Vec<Event>,
    trace: Vec<String>,
    ended: bool,
    witness: Witness,
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
}

/// A mock process. It stays in the table, its pid taken, until it is reaped.
#[derive(Debug)]
struct Process {
    run: RunId,
    pid: u32,
    is_main: bool,
    behaviour: Behaviour,
    ended: Option<Exit>,
}

impl Process {
    fn lives(&self) -> bool {
        self.ended.is_none()
    }
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
        let mut mocks: Vec<_> = mocks.into_iter().collect();
        mocks.sort_by_key(|mock| mock.spec.start_priority);
        let specs: Vec<_> = mocks.iter().map(|mock| mock.spec.clone()).collect();
        let witness = Witness::new(seed, &specs);
        let draws = specs.iter().map(|spec| Draws::new(seed, spec.id.as_str())).collect();
        let core = Core::new(specs, seed);
        let mut world = Self {
            names: Names::new(core.specs()),
            witness,
            draws,
            core,
            mocks,
            hostility,
            news_comes_late: hostility.late || hostility.early_deaths,
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            happenings: 0,
            processes: BTreeMap::new(),
            born: 0,
            last_pid: 0,
            reported: HashMap::new(),
            requests: 0,
            answers: BTreeMap::new(),
            events: Vec::new(),
            trace: Vec::new(),
            ended: false,
        };
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
        self.ended
    }

    /// Asks for components to be started.
    pub fn start(&mut self, targets: impl Into<Targets>) -> Ticket {
        self.ask_for(&targets.into(), Ask::Start)
    }

    /// Asks for components to be stopped.
    pub fn stop(&mut self, targets: impl Into<Targets>) -> Ticket {
        self.ask_for(&targets.into(), Ask::Stop)
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
        for process in self.alive_serials(id) {
            if self.processes[&process].is_main {
                self.plan(Duration::ZERO, Happening::Ends { process, exit });
            }
        }
        self.run_for(Duration::ZERO);
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
        self.core.status(self.now, &self.names.all())
    }

    /// What is true of one component now.
    ///
    /// # Panics
    /// If there is no component of this name.
    #[must_use]
    pub fn component(&self, id: &str) -> ComponentStatus {
        let status = self.core.status(self.now, &[self.key(id)]);
        status.components[0].clone()
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
        self.alive_serials(id).into_iter().map(|serial| self.processes[&serial].pid).collect()
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

    fn key(&self, id: &str) -> u32 {
        match self.names.resolve(&Targets::from(id)) {
            Ok(keys) => keys[0],
            Err(error) => panic!("{error}"),
        }
    }

    fn ask_for(&mut self, targets: &Targets, ask: fn(Vec<u32>) -> Ask) -> Ticket {
        match self.names.resolve(targets) {
            Ok(keys) => self.ask(ask(keys)),
            Err(error) => panic!("{error}"),
        }
    }

    fn ask(&mut self, ask: Ask) -> Ticket {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.witness.asked(request, &ask);
        self.tell(Input::Request { request, ask, by: Arc::from("the test") });
        if self.ended {
            self.answers.entry(request).or_insert(Err(RequestError::Ended));
        }
        Ticket(request)
    }

    fn next_time(&self) -> Option<Duration> {
        let planned = self.agenda.keys().next().map(|(time, _)| *time);
        let due = self.core.deadline().filter(|_| !self.ended);
        planned.into_iter().chain(due).min()
    }

    fn step(&mut self) {
        let happening = match self.agenda.first_entry() {
            Some(entry) if entry.key().0 <= self.now => Some(entry.remove()),
            _ => None,
        };
        match happening {
            None => self.tell(Input::Tick),
            Some(Happening::News(input)) => self.deliver(input),
            Some(Happening::Ends { process, exit }) => self.process_ends(process, exit),
        }
    }

    /// Tells the core, and carries out what it decides.
    fn tell(&mut self, input: Input) {
        for action in self.core.step(self.now, input) {
            self.trace.push(format!("{:?} {action:?}", self.now));
            let lives =
                |key| self.processes.values().any(|process| process.run.component == key && process.lives());
            self.witness.decided(self.now, &action, &lives);
            self.carry_out(action);
        }
        self.check_status();
    }

    /// Checks what people would be told, unless news is under way that will change it.
    fn check_status(&self) {
        let news_under_way = self.agenda.keys().next().is_some_and(|(time, _)| *time <= self.now);
        let due = self.core.deadline().is_some_and(|time| time <= self.now);
        if !news_under_way && !due && !self.ended {
            let lives =
                |key| self.processes.values().any(|process| process.run.component == key && process.lives());
            self.witness.check_deadlines(self.now, &lives);
        }
        if news_under_way || self.news_comes_late {
            return;
        }
        let main =
            |process: &&Process, key: u32| process.is_main && process.lives() && process.run.component == key;
        let main_process =
            |key| self.processes.values().find(|process| main(process, key)).map(|process| process.pid);
        self.witness.after_step(&self.status(), &main_process);
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Spawn { run } => self.spawn(run),
            Action::Stop { run } => self.signal(run, |behaviour| behaviour.obeys_after, 15),
            Action::Kill { run } => {
                self.signal(run, |behaviour| behaviour.dies_after, 9);
                self.look(run);
            }
            Action::Emit(event) => self.events.push(event),
            Action::Accepted { request } => drop(self.answers.insert(request, Ok(None))),
            Action::Refused { request, why } => drop(self.answers.insert(request, Err(why))),
            Action::Done { request, outcome } => drop(self.answers.insert(request, Ok(Some(outcome)))),
            Action::End { .. } => self.ended = true,
        }
    }

    fn spawn(&mut self, run: RunId) {
        let mut behaviour = (self.mocks[run.component as usize].behaviour)(run.number);
        let draws = &mut self.draws[run.component as usize];
        if self.hostility.spawns_fail && draws.one_in(4) {
            let reason = "the world is hostile".to_owned();
            behaviour.spawn_error = Some(SpawnError { step: SpawnStep::Process, reason, os_error: Some(11) });
        }
        if self.hostility.early_deaths && draws.one_in(4) {
            behaviour.ends = Some((Duration::ZERO, Exit::Code(127)));
        }
        if let Some(error) = behaviour.spawn_error {
            return self.report(run, Input::NotSpawned { run, error });
        }
        let children = std::mem::take(&mut behaviour.children);
        let Some(pid) = self.add_process(run, behaviour, true) else {
            let reason = "no pid is free".to_owned();
            let error = SpawnError { step: SpawnStep::Process, reason, os_error: Some(11) };
            return self.report(run, Input::NotSpawned { run, error });
        };
        self.reported.insert(run, Reported::default());
        self.report(run, Input::Spawned { run, pid });
        for child in children {
            self.add_process(run, child, false);
        }
    }

    fn free_pid(&self) -> Option<u32> {
        // A world of many components needs more pids than the fewest.
        let pids = u32::try_from(self.mocks.len())
            .map_or(u32::MAX, |mocks| mocks.saturating_mul(4))
            .max(FEWEST_PIDS);
        let after_last = (1..=pids).map(|step| (self.last_pid + step - 1) % pids + 1);
        after_last.into_iter().find(|pid| self.processes.values().all(|process| process.pid != *pid))
    }

    fn add_process(&mut self, run: RunId, behaviour: Behaviour, is_main: bool) -> Option<u32> {
        let pid = self.free_pid()?;
        self.last_pid = pid;
        self.born += 1;
        if let Some((after, exit)) = behaviour.ends {
            self.plan(after, Happening::Ends { process: self.born, exit });
        }
        self.processes.insert(self.born, Process { run, pid, is_main, behaviour, ended: None });
        Some(pid)
    }

    fn signal(&mut self, run: RunId, delay: fn(&Behaviour) -> Option<Duration>, signal: i32) {
        let exit = Exit::Signal { signal, core_dumped: false };
        let ends: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, process)| process.run == run && process.lives())
            .filter_map(|(serial, process)| Some((*serial, delay(&process.behaviour)?)))
            .collect();
        for (process, after) in ends {
            self.plan(after, Happening::Ends { process, exit });
        }
    }

    fn process_ends(&mut self, serial: u64, exit: Exit) {
        let Some(process) = self.processes.get_mut(&serial).filter(|process| process.lives()) else { return };
        process.ended = Some(exit);
        let (run, is_main) = (process.run, process.is_main);
        if is_main {
            self.report(run, Input::Exited { run, exit });
        } else {
            // Nobody waits for an orphan: it is reaped at once.
            self.processes.remove(&serial);
            self.look(run);
        }
    }

    /// What the rim does when something of a run has ended, or was killed: look what is left.
    fn look(&mut self, run: RunId) {
        let Some(reported) = self.reported.get_mut(&run).filter(|reported| reported.exit && !reported.gone)
        else {
            return;
        };
        let left = |process: &&Process| process.run == run && process.lives();
        let pids: Vec<_> = self.processes.values().filter(left).map(|process| process.pid).collect();
        if pids.is_empty() {
            reported.gone = true;
            self.report(run, Input::Gone { run });
        } else if reported.left != pids {
            reported.left.clone_from(&pids);
            self.report(run, Input::Left { run, pids });
        }
    }

    /// Puts news on its way to the core.
    fn report(&mut self, run: RunId, input: Input) {
        let draws = &mut self.draws[run.component as usize];
        let mut delay = Duration::ZERO;
        if self.hostility.late && !matches!(input, Input::Left { .. } | Input::Gone { .. }) {
            delay = draws.up_to(Duration::from_millis(50));
        }
        if self.hostility.early_deaths && matches!(input, Input::Spawned { .. }) && draws.one_in(4) {
            delay += Duration::from_millis(20);
        }
        if self.hostility.stale && draws.one_in(4) && !matches!(input, Input::Left { .. }) {
            let again = delay + draws.up_to(Duration::from_secs(2));
            let copy = match input.clone() {
                // Said again before it is true, it would be a lie rather than old news.
                Input::Gone { run } => Input::Exited { run, exit: Exit::Unknown },
                other => other,
            };
            self.plan(again, Happening::News(copy));
        }
        self.plan(delay, Happening::News(input));
    }

    fn deliver(&mut self, input: Input) {
        let exited = match &input {
            Input::Exited { run, .. } => Some(*run),
            _ => None,
        };
        if let Input::Gone { run } = &input {
            self.processes.retain(|_, process| process.run != *run);
            self.witness.gone(*run);
        }
        self.tell(input);
        if let Some(run) = exited {
            let main_is_dead = self
                .processes
                .values()
                .any(|process| process.run == run && process.is_main && !process.lives());
            if main_is_dead {
                self.reported.entry(run).or_default().exit = true;
                self.look(run);
            }
        }
    }

    fn plan(&mut self, after: Duration, happening: Happening) {
        self.happenings += 1;
        self.agenda.insert((self.now.saturating_add(after), self.happenings), happening);
    }

    fn alive_serials(&self, id: &str) -> Vec<u64> {
        let key = self.key(id);
        let lives = |process: &Process| process.run.component == key && process.lives();
        self.processes.iter().filter(|(_, process)| lives(process)).map(|(serial, _)| *serial).collect()
    }
}

//! Watches every decision and says when one breaks what must always be true. It keeps books of its own, from the
//! requests and the decisions alone, so that a mistake of the core cannot hide in the core's state.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use crate::core::{Action, Ask, RequestId, Task, TaskId};
use crate::event::EventKind;
use crate::run::RunId;
use crate::spec::{ComponentId, Condition, ProcessSpec, RestartBudget, Step};
use crate::status::{ComponentState, Status};

#[derive(Debug)]
pub(super) struct Witness {
    seed: u64,
    books: Vec<Book>,
    asks: BTreeMap<RequestId, Ask>,
    accepted: HashSet<RequestId>,
    answered: HashSet<RequestId>,
    stopping_everything: bool,
    killing_everything: bool,
    /// Until somebody asks for something, components start in the order of their priority.
    undisturbed: bool,
    budget: Option<RestartBudget>,
    /// When there were restarts, the newest last.
    restarts: VecDeque<Duration>,
    /// The tasks that are under way.
    tasks: BTreeSet<TaskId>,
}

/// What the witness knows of one component.
#[derive(Debug)]
struct Book {
    id: String,
    /// That of the first to start among itself and those that need it.
    priority: u16,
    /// Whom it needs, and how.
    needs: Vec<(usize, Condition)>,
    /// Whether nothing but its own wait can hold up its next try.
    waits_exactly: bool,
    /// How much sooner than by its time its stop may be over, because commands end before theirs.
    early: Duration,
    /// How long the taking of evidence may last.
    evidence: Duration,
    autostart: bool,
    /// Its run has started, and is ready; its last one ended with success.
    started: bool,
    ready: bool,
    succeeded: bool,
    /// Its run is ended for a fault.
    judged: bool,
    /// Somebody has asked a second time for its end.
    impatient: bool,
    /// Its next run is one that nobody has asked for.
    is_restart: bool,
    /// Nobody wants it, so that it must not be started; and whether that was so before everything was stopped.
    forbidden: bool,
    forbidden_before: bool,
    runs: usize,
    /// The run that was begun last, while it is not gone.
    run: Option<RunId>,
    exits_told: HashSet<RunId>,
    /// The first of started, or ended, has happened.
    settled: bool,
    /// When it was told to stop, and how long it was given.
    told_to_stop: Option<(Duration, Duration)>,
    /// It was killed since it was told to stop.
    killed: bool,
    /// When it will be tried again, if nobody asks for anything.
    next_try: Option<Duration>,
    /// Something of it is known to be unkillable.
    unkillable: bool,
}

impl Witness {
    pub(super) fn new(seed: u64, specs: &[ProcessSpec], budget: Option<RestartBudget>) -> Self {
        let book = |(key, spec): (usize, &ProcessSpec)| Book {
            id: spec.id.to_string(),
            priority: priority(specs, key),
            needs: needs(specs, spec),
            waits_exactly: spec.depends_on.is_empty() && spec.restart_group.is_none() && budget.is_none(),
            early: early(&spec.stop),
            evidence: spec.evidence.iter().map(Step::limit).sum(),
            started: false,
            ready: false,
            succeeded: false,
            judged: false,
            impatient: false,
            is_restart: false,
            autostart: spec.autostart,
            forbidden: !spec.autostart,
            forbidden_before: !spec.autostart,
            runs: 0,
            run: None,
            exits_told: HashSet::new(),
            settled: false,
            told_to_stop: None,
            killed: false,
            next_try: None,
            unkillable: false,
        };
        Self {
            seed,
            books: specs.iter().enumerate().map(book).collect(),
            budget,
            restarts: VecDeque::new(),
            tasks: BTreeSet::new(),
            asks: BTreeMap::new(),
            accepted: HashSet::new(),
            answered: HashSet::new(),
            stopping_everything: false,
            killing_everything: false,
            undisturbed: true,
        }
    }

    pub(super) fn runs(&self, key: u32) -> usize {
        self.books[key as usize].runs
    }

    pub(super) fn asked(&mut self, request: RequestId, ask: &Ask) {
        self.asks.insert(request, ask.clone());
    }

    /// Nothing of the run is left, and its pids may be used again.
    pub(super) fn gone(&mut self, run: RunId) {
        let book = &mut self.books[run.component as usize];
        if book.run == Some(run) {
            book.run = None;
            book.unkillable = false;
        }
    }

    /// This is the last run of a component that another supervisor knows of; later ones have left nothing behind.
    pub(super) fn is_found(&mut self, key: u32, run: Option<RunId>) {
        self.books[key as usize].run = run;
    }

    /// The supervisor was killed: what it was doing about runs begins anew, and a shutdown is forgotten. `forgetful`: what it
    /// had decided last may not have been written down.
    pub(super) fn supervisor_was_killed(&mut self, now: Duration, forgetful: bool) {
        self.tasks.clear();
        if forgetful {
            // Only whoever was answered may rely on it.
            for request in self.accepted.difference(&self.answered) {
                if let Some(Ask::Stop { keys, .. }) = self.asks.get(request) {
                    keys.iter().for_each(|key| self.books[*key as usize].forbidden = false);
                }
            }
        }
        self.answered.extend(self.accepted.iter());
        self.undisturbed = false;
        for book in &mut self.books {
            book.told_to_stop = None;
            book.killed = false;
            book.impatient = false;
            book.unkillable = false;
            if self.stopping_everything {
                book.forbidden = book.forbidden_before;
            }
            // What has come due meanwhile is done late.
            book.next_try = book.next_try.filter(|time| *time > now && !forgetful);
            if forgetful {
                book.exits_told.clear();
            }
        }
        if forgetful {
            self.restarts.clear();
        }
        self.stopping_everything = false;
        self.killing_everything = false;
    }

    /// A task has answered.
    pub(super) fn finished(&mut self, task: TaskId) {
        self.tasks.remove(&task);
    }

    /// Checks one decision. `lives` says whether anything of a component lives.
    pub(super) fn decided(&mut self, now: Duration, action: &Action, lives: &dyn Fn(u32) -> bool) {
        match action {
            Action::Spawn { run } => self.check_spawn(now, *run, lives),
            Action::Signal { run, .. } => self.check_stop(*run, lives),
            Action::Kill { run } => self.check_kill(now, *run),
            Action::Begin { task } => {
                let book = &self.books[task.run.component as usize];
                let is_its_own =
                    book.run == Some(task.run) || task.task == Task::Cleanup && book.run.is_none();
                self.check(is_its_own, "S2", &format!("a task is for an old run of {}", book.id));
                let kind = |other: &TaskId| (other.run, std::mem::discriminant(&other.task));
                let doubled = self.tasks.iter().any(|other| kind(other) == kind(task));
                self.check(!doubled, "S10", &format!("{:?} of {} is begun twice", task.task, book.id));
                self.tasks.insert(*task);
            }
            Action::Abandon { task } => {
                let was_there = self.tasks.remove(task);
                self.check(was_there, "S10", "a task is given up that is not under way");
            }
            Action::Look { run } => {
                let book = &self.books[run.component as usize];
                let is_its_own = book.run == Some(*run) && book.unkillable;
                self.check(
                    is_its_own,
                    "S2",
                    &format!("it is looked what is left of an old run of {}", book.id),
                );
            }
            Action::Forward { .. }
            | Action::Measure { .. }
            | Action::Inspect { .. }
            | Action::Remember { .. } => {}
            Action::Accepted { request } => {
                let once = self.accepted.insert(*request);
                self.check(once, "S13", "a request is accepted twice");
                self.take_up(now, *request);
            }
            Action::Refused { request, .. } => {
                let once = !self.accepted.contains(request) && self.answered.insert(*request);
                self.check(once, "S13", "a request is refused that had an answer");
            }
            Action::Done { request, .. } => {
                let once = self.accepted.contains(request) && self.answered.insert(*request);
                self.check(once, "S13", "a request is answered twice, or without being accepted");
            }
            Action::Emit(event) => {
                let id = event.component.as_ref().map(ToString::to_string);
                if let Some(key) = self.books.iter().position(|book| Some(&book.id) == id.as_ref()) {
                    self.note_event(now, key, &event.kind, lives);
                }
            }
            Action::End { .. } => {
                for (key, book) in (0..).zip(&self.books) {
                    let left = lives(key) && !book.unkillable;
                    self.check(!left, "S5", &format!("something of {} is left behind at the end", book.id));
                }
                let open = self.accepted.len() != self.answered.intersection(&self.accepted).count();
                self.check(!open, "S13", "a request is open at the end");
                self.check(self.tasks.is_empty(), "S10", "a task is under way at the end");
            }
        }
    }

    /// Checks what people are told.
    pub(super) fn after_step(&self, status: &Status, main_process: &dyn Fn(u32) -> Option<u32>) {
        for (key, component) in (0..).zip(&status.components) {
            let adrift = component.wanted
                && component.state == ComponentState::Stopped
                && self.books[key as usize].runs > 0;
            self.check(!adrift, "L1", &format!("{} is wanted, but will never run", component.id));
            let idle = component.state == ComponentState::Starting && component.run.is_none();
            self.check(!idle, "L1", &format!("{} waits for nothing, and does not start", component.id));
            if component.state == ComponentState::Up {
                let truth = main_process(key);
                let true_pid = truth.is_some() && component.pid == truth;
                self.check(true_pid, "S17", &format!("{} is shown as up with another pid", component.id));
            }
        }
    }

    /// Checks that what was told to stop is killed when its time is up.
    pub(super) fn check_deadlines(&self, now: Duration, lives: &dyn Fn(u32) -> bool) {
        for (key, book) in (0..).zip(&self.books) {
            let overdue = book.told_to_stop.is_some_and(|(told, timeout)| {
                now > told.saturating_add(timeout).saturating_add(book.evidence)
            });
            let forgotten = overdue && !book.killed && lives(key);
            self.check(!forgotten, "S6", &format!("{} is not killed though its time is up", book.id));
        }
    }

    fn check_spawn(&mut self, now: Duration, run: RunId, lives: &dyn Fn(u32) -> bool) {
        let book = &self.books[run.component as usize];
        let free = book.run.is_none() && !lives(run.component);
        self.check(free, "S1", &format!("{} is started though it runs", book.id));
        let is_clean = !self.tasks.iter().any(|task| task.run.component == run.component);
        self.check(
            is_clean,
            "S1",
            &format!("{} is started though a task of its last run is under way", book.id),
        );
        self.check(!book.forbidden, "S4", &format!("{} is started though it was stopped", book.id));
        self.check(!self.stopping_everything, "S4", &format!("{} is started while shutting down", book.id));
        let on_time = book.next_try.is_none_or(|time| time == now || time < now && !book.waits_exactly);
        self.check(on_time, "S8", &format!("{} is tried again before or after its wait", book.id));
        if self.undisturbed && book.runs == 0 {
            let unsettled =
                |other: &&Book| other.autostart && other.priority < book.priority && !other.settled;
            let first = self.books.iter().find(unsettled).map_or(String::new(), |other| other.id.clone());
            self.check(first.is_empty(), "S7", &format!("{} is started before {first} has settled", book.id));
        }
        for (needed, condition) in &book.needs {
            let other = &self.books[*needed];
            let holds = match condition {
                Condition::Started => other.started,
                Condition::Ready => other.started && other.ready,
                Condition::Completed => other.succeeded && other.run.is_none(),
            };
            self.check(
                holds,
                "S7",
                &format!("{} is started though {} is not {condition}", book.id, other.id),
            );
        }
        if book.is_restart {
            self.check_budget(now);
        }
        let book = &mut self.books[run.component as usize];
        book.judged = false;
        book.impatient = false;
        book.is_restart = false;
        book.runs += 1;
        book.run = Some(run);
        book.told_to_stop = None;
        book.killed = false;
        book.next_try = None;
    }

    /// In no span of time are there more restarts than the tokens that are there at its beginning, and come meanwhile.
    fn check_budget(&mut self, now: Duration) {
        let Some(budget) = self.budget else { return };
        self.restarts.push_back(now);
        let token = budget.within / budget.max;
        let newest_first = (1..).zip(self.restarts.iter().rev());
        for (count, began) in newest_first {
            let came = (now - *began).as_nanos() / token.as_nanos().max(1);
            let allowed = u128::from(budget.max) + came;
            self.check(count <= allowed, "S8", "there are more restarts than the budget allows");
        }
        if self.restarts.len() > 64 {
            self.restarts.pop_front();
        }
    }

    fn check_stop(&self, run: RunId, lives: &dyn Fn(u32) -> bool) {
        let book = &self.books[run.component as usize];
        self.check(book.run == Some(run), "S2", &format!("a stop goes to an old run of {}", book.id));
        // Told before, it is told again for the sake of leftovers that have not heard of it.
        let first = book.told_to_stop.is_none() && !book.judged;
        if first && self.stopping_everything && !self.killing_everything {
            for (key, other) in (0..).zip(&self.books) {
                let later = other.priority > book.priority && lives(key) && !other.unkillable;
                self.check(!later, "S7", &format!("{} is stopped before {}", book.id, other.id));
                let needs_it = other.needs.iter().any(|(needed, _)| *needed == run.component as usize);
                let too_early = needs_it && lives(key) && !other.unkillable;
                self.check(!too_early, "S7", &format!("{} is stopped though {} needs it", book.id, other.id));
            }
        }
    }

    fn check_kill(&self, now: Duration, run: RunId) {
        let book = &self.books[run.component as usize];
        self.check(book.run == Some(run), "S2", &format!("a kill goes to an old run of {}", book.id));
        if let Some((told, timeout)) = book.told_to_stop {
            let early = now.saturating_add(book.early) < told.saturating_add(timeout)
                && !self.killing_everything
                && !book.impatient;
            self.check(!early, "S6", &format!("{} is killed before its time", book.id));
        }
    }

    fn take_up(&mut self, now: Duration, request: RequestId) {
        self.undisturbed = false;
        let is_stop = matches!(self.asks.get(&request), Some(Ask::Stop { .. }));
        let (keys, forbidden) = match self.asks.get(&request) {
            Some(Ask::Start(keys) | Ask::Restart(keys)) => (self.with_needed(keys), false),
            Some(Ask::Stop { keys, .. }) => (keys.clone(), true),
            Some(Ask::Shutdown { immediately }) => {
                self.killing_everything |= *immediately || self.stopping_everything;
                self.stopping_everything = true;
                ((0..).zip(&self.books).map(|(key, _)| key).collect(), true)
            }
            Some(Ask::Reset(_) | Ask::Reload(_) | Ask::Signal { .. } | Ask::Wait { .. }) => return,
            None => return self.check(false, "S13", "a request is accepted that nobody made"),
        };
        for key in keys {
            let book = &mut self.books[key as usize];
            book.forbidden = forbidden;
            if !self.stopping_everything {
                book.forbidden_before = forbidden;
            }
            book.next_try = None;
            book.is_restart = false;
            book.impatient |= is_stop && book.told_to_stop.is_some_and(|(told, _)| now > told);
        }
    }

    /// These, and all whom they need.
    fn with_needed(&self, keys: &[u32]) -> Vec<u32> {
        let mut all = keys.to_vec();
        let mut index = 0;
        while let Some(key) = all.get(index).copied() {
            for (needed, _) in &self.books[key as usize].needs {
                if !all.contains(&(*needed as u32)) {
                    all.push(*needed as u32);
                }
            }
            index += 1;
        }
        all
    }

    fn note_event(&mut self, now: Duration, key: usize, kind: &EventKind, lives: &dyn Fn(u32) -> bool) {
        let alive = lives(key as u32);
        let book = &mut self.books[key];
        let mut fault = None;
        match kind {
            EventKind::Started { .. } => {
                book.settled = true;
                book.started = true;
                book.ready = true;
            }
            EventKind::Adopted { started, .. } => {
                book.started = *started;
                book.ready = *started;
            }
            EventKind::Unready { .. } => book.ready = false,
            EventKind::ReadyAgain { .. } => book.ready = true,
            EventKind::Judged { .. } => {
                book.started = false;
                book.judged = true;
            }
            // Nobody waits for it to settle any longer.
            EventKind::Blocked { .. } => book.settled = true,
            EventKind::NotSpawned { run, .. } => {
                book.settled = true;
                book.succeeded = false;
                book.is_restart = true;
                book.run = book.run.filter(|its| its != run);
            }
            EventKind::Exited { run, exit, .. } => {
                book.settled = true;
                book.started = false;
                book.succeeded = exit.is_success() && !book.judged;
                book.is_restart = true;
                if !book.exits_told.insert(*run) {
                    fault = Some(("S3", "an exit is counted twice"));
                }
            }
            EventKind::Stopping { timeout, .. } => {
                book.started = false;
                book.told_to_stop = Some((now, *timeout));
            }
            EventKind::Killed { .. } => book.killed = true,
            EventKind::Backoff { delay, for_budget: false, .. } => {
                book.next_try = Some(now.saturating_add(*delay))
            }
            EventKind::Tripped { rest, .. } => book.next_try = Some(now.saturating_add(*rest)),
            EventKind::Unkillable { .. } => {
                book.unkillable = true;
                book.settled = true;
            }
            EventKind::Stopped | EventKind::Completed | EventKind::GivenUp { .. } => {
                book.next_try = None;
                book.is_restart = false;
                if alive {
                    fault = Some(("S5", "it is said to be down though something of it lives"));
                }
            }
            _ => {}
        }
        if let Some((invariant, text)) = fault {
            self.check(false, invariant, &format!("{}: {text}", self.books[key].id));
        }
    }

    #[track_caller]
    fn check(&self, holds: bool, invariant: &str, broken: &str) {
        assert!(holds, "{invariant} is broken in the life of seed {}: {broken}", self.seed);
    }
}

/// Whom a component needs, by place.
fn needs(specs: &[ProcessSpec], spec: &ProcessSpec) -> Vec<(usize, Condition)> {
    let meant = |name: &ComponentId| {
        let name = name.clone();
        specs
            .iter()
            .enumerate()
            .filter(move |(_, other)| other.id == name || other.instance_of.as_ref() == Some(&name))
    };
    let places =
        spec.depends_on.iter().flat_map(|need| meant(&need.on).map(|(place, _)| (place, need.condition)));
    places.collect()
}

/// The lowest priority among a component and all that need it.
fn priority(specs: &[ProcessSpec], place: usize) -> u16 {
    let mut all = BTreeSet::from([place]);
    loop {
        let needs_one =
            |other: &usize| needs(specs, &specs[*other]).iter().any(|(needed, _)| all.contains(needed));
        let more: Vec<_> =
            (0..specs.len()).filter(|other| !all.contains(other) && needs_one(other)).collect();
        if more.is_empty() {
            return all.iter().map(|place| specs[*place].start_priority).min().unwrap_or_default();
        }
        all.extend(more);
    }
}

/// How long the commands may take that are not the last step of stopping: what they leave over of it is not waited for.
fn early(stop: &[Step]) -> Duration {
    let commands = stop.split_last().map_or(&[][..], |(_, others)| others).iter();
    commands.filter(|step| matches!(step, Step::Run { .. })).map(Step::limit).sum()
}

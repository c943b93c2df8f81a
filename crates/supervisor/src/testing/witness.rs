//! Watches every decision and says when one breaks what must always be true. It keeps books of its own, from the
//! requests and the decisions alone, so that a mistake of the core cannot hide in the core's state.

mod book;
mod checks;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use self::book::Book;
use crate::core::{Action, Ask, Input, Memory, RequestId, Task, TaskId};
use crate::event::EventKind;
use crate::run::RunId;
use crate::spec::{ProcessSpec, RestartBudget};

#[derive(Debug)]
pub(super) struct Witness {
    seed: u64,
    books: BTreeMap<u32, Book>,
    by_id: HashMap<String, u32>,
    /// The members of each group.
    groups: HashMap<String, Vec<u32>>,
    /// Those that were told to stop.
    stopping: BTreeSet<u32>,
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
    /// What was written down last of each component, without the budget.
    remembered: BTreeMap<u32, Memory>,
    /// When the budget would be full again, by what was written down last of each component.
    full_at: BTreeMap<u32, Duration>,
    /// A component is no more since this step, and nobody has taken over yet what its record said of the budget.
    has_no_heir: bool,
}

impl Witness {
    pub(super) fn new(seed: u64, specs: &[ProcessSpec], budget: Option<RestartBudget>) -> Self {
        let books = (0..).zip(specs).map(|(key, spec)| (key, Book::new(spec))).collect();
        let mut witness = Self {
            seed,
            by_id: HashMap::new(),
            groups: HashMap::new(),
            books,
            stopping: BTreeSet::new(),
            budget,
            restarts: VecDeque::new(),
            tasks: BTreeSet::new(),
            remembered: BTreeMap::new(),
            full_at: BTreeMap::new(),
            has_no_heir: false,
            asks: BTreeMap::new(),
            accepted: HashSet::new(),
            answered: HashSet::new(),
            stopping_everything: false,
            killing_everything: false,
            undisturbed: true,
        };
        witness.relate();
        witness
    }

    /// Who is called how, who belongs to which group, and who needs whom.
    fn relate(&mut self) {
        book::relate(&mut self.books, self.budget.is_some());
        self.by_id = self.books.iter().map(|(key, book)| (book.id.clone(), *key)).collect();
        self.groups.clear();
        for (key, book) in &self.books {
            if let Some(group) = &book.group {
                self.groups.entry(group.clone()).or_default().push(*key);
            }
        }
    }

    /// These are the components from now on, and those that leave.
    pub(super) fn lineup(
        &mut self,
        now: Duration,
        specs: &[(u32, ProcessSpec)],
        leaving: &[u32],
        budget: Option<RestartBudget>,
    ) {
        self.undisturbed = false;
        let is_there = |key: &u32| leaving.contains(key) || specs.iter().any(|(its, _)| its == key);
        self.books.retain(|key, _| is_there(key));
        self.stopping.retain(is_there);
        self.remembered.retain(|key, _| is_there(key));
        for key in leaving {
            let book = self.book_mut(*key);
            (book.is_leaving, book.forbidden, book.forbidden_before) = (true, true, true);
        }
        for (key, spec) in specs {
            self.books.entry(*key).or_insert_with(|| Book::new(spec)).revise(spec);
        }
        // What has waited for somebody else may begin when it does not need that any more.
        for book in self.books.values_mut() {
            book.next_try = book.next_try.filter(|time| *time > now);
        }
        if self.budget != budget {
            self.budget = budget;
            self.restarts.clear();
        }
        self.relate();
    }

    /// Another supervisor knows the components by other keys; those that have none there are none any more.
    pub(super) fn rekey(&mut self, key_of: &dyn Fn(u32) -> Option<u32>) {
        let books = std::mem::take(&mut self.books);
        let known = books.into_iter().filter_map(|(key, book)| Some((key_of(key)?, book)));
        self.books = known.collect();
        for (key, book) in &mut self.books {
            book.run.iter_mut().for_each(|run| run.component = *key);
            book.exits_told = book.exits_told.iter().map(|run| RunId { component: *key, ..*run }).collect();
        }
        self.relate();
    }

    fn book_mut(&mut self, key: u32) -> &mut Book {
        self.books.get_mut(&key).expect("a key is of a component")
    }

    pub(super) fn runs(&self, key: u32) -> usize {
        self.books[&key].runs
    }

    pub(super) fn asked(&mut self, request: RequestId, ask: &Ask) {
        self.asks.insert(request, ask.clone());
    }

    /// A run asks for so much time for what it is doing.
    pub(super) fn extended(&mut self, now: Duration, run: RunId, time: Duration) {
        self.book_mut(run.component).extend(now, time);
    }

    /// Nothing of the run is left, and its pids may be used again.
    pub(super) fn gone(&mut self, run: RunId) {
        let Some(book) = self.books.get_mut(&run.component) else { return };
        if book.run == Some(run) {
            book.run = None;
            book.unkillable = false;
            book.go_by_spec();
        }
    }

    /// This is the last run of a component that another supervisor knows of; later ones have left nothing behind.
    pub(super) fn is_found(&mut self, key: u32, run: Option<RunId>) {
        self.book_mut(key).run = run;
    }

    /// The supervisor was killed: what it was doing about runs begins anew, and a shutdown is forgotten. `forgetful`: what it
    /// had decided last may not have been written down.
    pub(super) fn supervisor_was_killed(&mut self, now: Duration, forgetful: bool) {
        self.tasks.clear();
        self.stopping.clear();
        if forgetful {
            // Only whoever was answered may rely on it.
            for request in self.accepted.difference(&self.answered) {
                let is_lifted = |key: &u32, book: &Book| match self.asks.get(request) {
                    Some(Ask::Stop { keys, .. }) => keys.contains(key),
                    Some(Ask::Apply { .. }) => book.comes_back,
                    _ => false,
                };
                for (_, book) in self.books.iter_mut().filter(|(key, book)| is_lifted(key, book)) {
                    (book.forbidden, book.forbidden_before) = (false, false);
                }
            }
        }
        self.answered.extend(self.accepted.iter());
        self.undisturbed = false;
        for book in self.books.values_mut() {
            book.told_to_stop = None;
            book.killed = false;
            book.is_recalled();
            book.impatient = false;
            book.unkillable = false;
            if self.stopping_everything {
                book.forbidden = book.forbidden_before;
            }
            // What has come due meanwhile is done late.
            book.next_try = book.next_try.filter(|time| *time > now && !forgetful);
            if forgetful {
                book.exits_told.clear();
                book.judged = false;
                book.is_restart = false;
                // Nobody may know of the last run.
                book.succeeded = book.has_succeeded;
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

    /// Whom this fact is about.
    pub(super) fn told(&self, input: &Input) -> Vec<u32> {
        match input {
            Input::Tick | Input::Forget { .. } => Vec::new(),
            Input::Recalled { key, .. } | Input::Rotated { key, .. } => vec![*key],
            Input::Begin | Input::Request { ask: Ask::Shutdown { .. }, .. } => {
                self.by_id.values().copied().collect()
            }
            Input::Request { ask, .. } => match ask {
                Ask::Start(keys) | Ask::Restart(keys) | Ask::Reset(keys) | Ask::Reload(keys) => keys.clone(),
                Ask::Stop { keys, .. }
                | Ask::Signal { keys, .. }
                | Ask::Rotate(keys)
                | Ask::Wait { keys, .. } => keys.clone(),
                Ask::Apply { .. } => self.by_id.values().copied().collect(),
                Ask::Shutdown { .. } | Ask::Leave => Vec::new(),
            },
            Input::Spawned { run, .. }
            | Input::NotSpawned { run, .. }
            | Input::Exited { run, .. }
            | Input::Ready { run }
            | Input::Notified { run, .. }
            | Input::Measured { run, .. }
            | Input::Left { run, .. }
            | Input::Gone { run } => vec![run.component],
            Input::Finished { task, .. } | Input::NotBegun { task, .. } => vec![task.run.component],
        }
    }

    /// These, those that need them, and the others of their groups: whoever may have to do something because of these.
    pub(super) fn around(&self, keys: &BTreeSet<u32>) -> Vec<u32> {
        let mut all = keys.clone();
        for book in keys.iter().filter_map(|key| self.books.get(key)) {
            all.extend(&book.needed_by);
            all.extend(book.group.iter().flat_map(|group| &self.groups[group]));
        }
        all.into_iter().collect()
    }

    /// These are the decisions of a step. What is no more takes its record along, whenever that is written down.
    pub(super) fn decides(&mut self, actions: &[Action]) {
        self.has_no_heir = false;
        for action in actions {
            if let Action::Dismiss { key } = action {
                self.full_at.remove(key);
                self.has_no_heir = true;
            }
        }
    }

    /// Checks one decision, and says whom it is about. `lives` says whether anything of a component lives.
    pub(super) fn decided(
        &mut self,
        now: Duration,
        action: &Action,
        lives: &dyn Fn(u32) -> bool,
    ) -> Option<u32> {
        self.check_decision(now, action, lives);
        match action {
            Action::Spawn { run } => Some(run.component),
            Action::Emit(event) => self.by_id.get(event.component.as_ref()?.as_str()).copied(),
            _ => None,
        }
    }

    fn check_decision(&mut self, now: Duration, action: &Action, lives: &dyn Fn(u32) -> bool) {
        match action {
            Action::Spawn { run } => self.check_spawn(now, *run, lives),
            Action::Signal { run, .. } => self.check_stop(*run, lives),
            Action::Kill { run } => self.check_kill(now, *run),
            Action::Begin { task } => {
                let book = &self.books[&task.run.component];
                let is_its_own =
                    book.run == Some(task.run) || task.task == Task::Cleanup && book.run.is_none();
                self.check(is_its_own, "S2", format_args!("a task is for an old run of {}", book.id));
                let kind = |other: &TaskId| (other.run, std::mem::discriminant(&other.task));
                let doubled = self.tasks.iter().any(|other| kind(other) == kind(task));
                self.check(!doubled, "S10", format_args!("{:?} of {} is begun twice", task.task, book.id));
                self.tasks.insert(*task);
            }
            Action::Abandon { task } => {
                let was_there = self.tasks.remove(task);
                self.check(was_there, "S10", format_args!("a task is given up that is not under way"));
            }
            Action::Look { run } => {
                let book = &self.books[&run.component];
                let is_its_own = book.run == Some(*run) && book.unkillable;
                self.check(
                    is_its_own,
                    "S2",
                    format_args!("it is looked what is left of an old run of {}", book.id),
                );
            }
            Action::Forward { .. }
            | Action::Measure { .. }
            | Action::Inspect { .. }
            | Action::Rotate { .. }
            | Action::Remember { .. }
            | Action::Lineup
            | Action::Dismiss { .. } => {}
            Action::Accepted { request } => {
                let once = self.accepted.insert(*request);
                self.check(once, "S13", format_args!("a request is accepted twice"));
                self.take_up(now, *request);
            }
            Action::Refused { request, .. } => {
                let once = !self.accepted.contains(request) && self.answered.insert(*request);
                self.check(once, "S13", format_args!("a request is refused that had an answer"));
            }
            Action::Done { request, .. } => {
                let once = self.accepted.contains(request) && self.answered.insert(*request);
                self.check(
                    once,
                    "S13",
                    format_args!("a request is answered twice, or without being accepted"),
                );
            }
            Action::Emit(event) => {
                let key = event.component.as_ref().and_then(|id| self.by_id.get(id.as_str()).copied());
                if let Some(key) = key {
                    self.note(now, key, &event.kind, lives(key));
                }
            }
            // Nothing is stopped by that, and whoever waits for an answer gets none: as when it is killed.
            Action::Leave => {}
            Action::End { .. } => {
                for (key, book) in &self.books {
                    let left = lives(*key) && !book.unkillable;
                    self.check(
                        !left,
                        "S5",
                        format_args!("something of {} is left behind at the end", book.id),
                    );
                }
                let open = self.accepted.len() != self.answered.intersection(&self.accepted).count();
                self.check(!open, "S13", format_args!("a request is open at the end"));
                self.check(self.tasks.is_empty(), "S10", format_args!("a task is under way at the end"));
            }
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
                (self.books.keys().copied().collect(), true)
            }
            Some(
                Ask::Reset(_)
                | Ask::Reload(_)
                | Ask::Signal { .. }
                | Ask::Rotate(_)
                | Ask::Wait { .. }
                | Ask::Apply { .. }
                | Ask::Leave,
            ) => return,
            None => return self.check(false, "S13", format_args!("a request is accepted that nobody made")),
        };
        for key in keys {
            // Whoever is stopped by name while everything stops stays stopped under another supervisor.
            let outlives_us = is_stop || !self.stopping_everything;
            // One that leaves, and of which only its cleanup was left, is no more as soon as somebody stops it.
            let Some(book) = self.books.get_mut(&key) else { continue };
            book.forbidden = forbidden;
            if outlives_us {
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
            for (needed, _) in &self.books[&key].needs {
                if !all.contains(needed) {
                    all.push(*needed);
                }
            }
            index += 1;
        }
        all
    }

    /// Takes note of what is told of a component.
    fn note(&mut self, now: Duration, key: u32, kind: &EventKind, alive: bool) {
        let book = self.book_mut(key);
        let fault = book.note(now, kind, alive);
        let is_told = book.told_to_stop.is_some() && !book.killed;
        if is_told {
            self.stopping.insert(key);
        } else {
            self.stopping.remove(&key);
        }
        if let Some((invariant, text)) = fault {
            self.check(false, invariant, format_args!("{}: {text}", self.books[&key].id));
        }
    }

    #[track_caller]
    fn check(&self, holds: bool, invariant: &str, broken: fmt::Arguments<'_>) {
        assert!(holds, "{invariant} is broken in the life of seed {}: {broken}", self.seed);
    }
}

//! Watches every decision and says when one breaks what must always be true. It keeps books of its own, from the
//! requests and the decisions alone, so that a mistake of the core cannot hide in the core's state.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::core::{Action, Ask, RequestId};
use crate::event::EventKind;
use crate::run::RunId;
use crate::spec::ProcessSpec;
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
}

/// What the witness knows of one component.
#[derive(Debug)]
struct Book {
    id: String,
    priority: u16,
    autostart: bool,
    /// Nobody wants it, so that it must not be started.
    forbidden: bool,
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
    pub(super) fn new(seed: u64, specs: &[ProcessSpec]) -> Self {
        let book = |spec: &ProcessSpec| Book {
            id: spec.id.to_string(),
            priority: spec.start_priority,
            autostart: spec.autostart,
            forbidden: !spec.autostart,
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
            books: specs.iter().map(book).collect(),
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

    /// Checks one decision. `lives` says whether anything of a component lives.
    pub(super) fn decided(&mut self, now: Duration, action: &Action, lives: &dyn Fn(u32) -> bool) {
        match action {
            Action::Spawn { run } => self.check_spawn(now, *run, lives),
            Action::Signal { run, .. } => self.check_stop(*run, lives),
            Action::Kill { run } => self.check_kill(now, *run),
            Action::Begin { .. }
            | Action::Abandon { .. }
            | Action::Measure { .. }
            | Action::Inspect { .. } => {}
            Action::Accepted { request } => {
                let once = self.accepted.insert(*request);
                self.check(once, "S13", "a request is accepted twice");
                self.take_up(*request);
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
            let overdue = book.told_to_stop.is_some_and(|(told, timeout)| now > told.saturating_add(timeout));
            let forgotten = overdue && !book.killed && lives(key);
            self.check(!forgotten, "S6", &format!("{} is not killed though its time is up", book.id));
        }
    }

    fn check_spawn(&mut self, now: Duration, run: RunId, lives: &dyn Fn(u32) -> bool) {
        let book = &self.books[run.component as usize];
        let free = book.run.is_none() && !lives(run.component);
        self.check(free, "S1", &format!("{} is started though it runs", book.id));
        self.check(!book.forbidden, "S4", &format!("{} is started though it was stopped", book.id));
        self.check(!self.stopping_everything, "S4", &format!("{} is started while shutting down", book.id));
        let on_time = book.next_try.is_none_or(|time| time == now);
        self.check(on_time, "S8", &format!("{} is tried again before or after its wait", book.id));
        if self.undisturbed && book.runs == 0 {
            let unsettled =
                |other: &&Book| other.autostart && other.priority < book.priority && !other.settled;
            let first = self.books.iter().find(unsettled).map_or(String::new(), |other| other.id.clone());
            self.check(first.is_empty(), "S7", &format!("{} is started before {first} has settled", book.id));
        }
        let book = &mut self.books[run.component as usize];
        book.runs += 1;
        book.run = Some(run);
        book.told_to_stop = None;
        book.killed = false;
        book.next_try = None;
    }

    fn check_stop(&self, run: RunId, lives: &dyn Fn(u32) -> bool) {
        let book = &self.books[run.component as usize];
        self.check(book.run == Some(run), "S2", &format!("a stop goes to an old run of {}", book.id));
        // Told before, it is told again for the sake of leftovers that have not heard of it.
        let first = book.told_to_stop.is_none();
        if first && self.stopping_everything && !self.killing_everything {
            for (key, other) in (0..).zip(&self.books) {
                let later = other.priority > book.priority && lives(key) && !other.unkillable;
                self.check(!later, "S7", &format!("{} is stopped before {}", book.id, other.id));
            }
        }
    }

    fn check_kill(&self, now: Duration, run: RunId) {
        let book = &self.books[run.component as usize];
        self.check(book.run == Some(run), "S2", &format!("a kill goes to an old run of {}", book.id));
        if let Some((told, timeout)) = book.told_to_stop {
            let early = now < told.saturating_add(timeout) && !self.killing_everything;
            self.check(!early, "S6", &format!("{} is killed before its time", book.id));
        }
    }

    fn take_up(&mut self, request: RequestId) {
        self.undisturbed = false;
        let (keys, forbidden) = match self.asks.get(&request) {
            Some(Ask::Start(keys) | Ask::Restart(keys)) => (keys.clone(), false),
            Some(Ask::Stop { keys, .. }) => (keys.clone(), true),
            Some(Ask::Shutdown { immediately }) => {
                self.stopping_everything = true;
                self.killing_everything |= *immediately;
                ((0..).zip(&self.books).map(|(key, _)| key).collect(), true)
            }
            Some(Ask::Reset(_) | Ask::Reload(_) | Ask::Signal { .. } | Ask::Wait { .. }) => return,
            None => return self.check(false, "S13", "a request is accepted that nobody made"),
        };
        for key in keys {
            self.books[key as usize].forbidden = forbidden;
            self.books[key as usize].next_try = None;
        }
    }

    fn note_event(&mut self, now: Duration, key: usize, kind: &EventKind, lives: &dyn Fn(u32) -> bool) {
        let alive = lives(key as u32);
        let book = &mut self.books[key];
        let mut fault = None;
        match kind {
            EventKind::Started { .. } => book.settled = true,
            EventKind::NotSpawned { run, .. } => {
                book.settled = true;
                book.run = book.run.filter(|its| its != run);
            }
            EventKind::Exited { run, .. } => {
                book.settled = true;
                if !book.exits_told.insert(*run) {
                    fault = Some(("S3", "an exit is counted twice"));
                }
            }
            EventKind::Stopping { timeout, .. } => book.told_to_stop = Some((now, *timeout)),
            EventKind::Killed { .. } => book.killed = true,
            EventKind::Backoff { delay, .. } => book.next_try = Some(now.saturating_add(*delay)),
            EventKind::Unkillable { .. } => book.unkillable = true,
            EventKind::Stopped | EventKind::Completed | EventKind::GivenUp { .. } => {
                book.next_try = None;
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

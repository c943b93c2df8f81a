//! What the witness knows of one component, from the requests and the events alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::event::{EventKind, WaitReason};
use crate::plan::takes_another_process;
use crate::run::RunId;
use crate::spec::{Condition, ProcessSpec, Step};

/// What the witness knows of one component.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) id: String,
    /// That of the first to start among itself and those that need it.
    pub(super) priority: u16,
    /// Whom it needs, and how.
    pub(super) needs: Vec<(u32, Condition)>,
    /// Who needs it.
    pub(super) needed_by: Vec<u32>,
    /// The name of its group.
    pub(super) group: Option<String>,
    /// Whether nothing but its own wait can hold up its next try.
    pub(super) waits_exactly: bool,
    /// It is no more as soon as nothing of it is left.
    pub(super) is_leaving: bool,
    /// It was that, and then was to be supervised again, and has not been begun since.
    pub(super) comes_back: bool,
    /// What it is to be.
    pub(super) spec: ProcessSpec,
    /// What its run was begun as.
    pub(super) begun_as: Option<ProcessSpec>,
    /// How much sooner than by its time its stop may be over, because commands end before theirs.
    pub(super) early: Duration,
    /// How long the taking of evidence may last.
    pub(super) evidence: Duration,
    pub(super) autostart: bool,
    /// Its run has started, and is ready; its last one ended with success.
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) succeeded: bool,
    /// One of its runs has.
    pub(super) has_succeeded: bool,
    /// Its run is ended for a fault.
    pub(super) judged: bool,
    /// Somebody has asked a second time for its end.
    pub(super) impatient: bool,
    /// Its next run is one that nobody has asked for.
    pub(super) is_restart: bool,
    /// Whether the run was one.
    pub(super) run_is_restart: bool,
    /// Nobody wants it, so that it must not be started.
    pub(super) forbidden: bool,
    /// The same before everything was stopped.
    pub(super) forbidden_before: bool,
    pub(super) runs: usize,
    /// The run that was begun last, while it is not gone.
    pub(super) run: Option<RunId>,
    pub(super) exits_told: HashSet<RunId>,
    /// The first of started, or ended, has happened.
    pub(super) settled: bool,
    /// When it was told to stop, and how long it was given.
    pub(super) told_to_stop: Option<(Duration, Duration)>,
    /// The most that it can get of that by asking for more.
    longest_stop: Duration,
    /// It was killed since it was told to stop.
    pub(super) killed: bool,
    /// When it will be tried again, if nobody asks for anything.
    pub(super) next_try: Option<Duration>,
    /// Something of it is known to be unkillable.
    pub(super) unkillable: bool,
}

impl Book {
    /// That of a component which nobody has asked for anything yet.
    pub(super) fn new(spec: &ProcessSpec) -> Self {
        let mut book = Self {
            id: spec.id.to_string(),
            priority: 0,
            needs: Vec::new(),
            needed_by: Vec::new(),
            group: None,
            waits_exactly: false,
            is_leaving: false,
            comes_back: false,
            spec: spec.clone(),
            begun_as: None,
            early: Duration::ZERO,
            evidence: Duration::ZERO,
            started: false,
            ready: false,
            succeeded: false,
            has_succeeded: false,
            judged: false,
            impatient: false,
            is_restart: false,
            run_is_restart: false,
            autostart: spec.autostart,
            forbidden: !spec.autostart,
            forbidden_before: !spec.autostart,
            runs: 0,
            run: None,
            exits_told: HashSet::new(),
            settled: false,
            told_to_stop: None,
            longest_stop: Duration::ZERO,
            killed: false,
            next_try: None,
            unkillable: false,
        };
        book.go_by_spec();
        book
    }

    /// What is to be is so: nothing runs by what was before.
    pub(super) fn go_by_spec(&mut self) {
        self.early = early(&self.spec.stop);
        self.evidence = self.spec.evidence.iter().map(Step::limit).sum();
    }

    /// It is to be this from now on. A run that is begun anew for that, or ends, goes by what it was until it is gone.
    pub(super) fn revise(&mut self, spec: &ProcessSpec) {
        let takes_another = takes_another_process(&self.spec, spec);
        let comes_back = std::mem::take(&mut self.is_leaving);
        self.spec = spec.clone();
        self.autostart = spec.autostart;
        if comes_back {
            self.comes_back = true;
            self.forbidden = !spec.autostart;
            self.forbidden_before = !spec.autostart;
        }
        if takes_another || comes_back {
            self.next_try = None;
            self.is_restart = false;
        }
        let is_replaced = self.begun_as.as_ref().is_some_and(|begun| takes_another_process(begun, spec));
        let goes_on = self.run.is_some() && (is_replaced || self.is_ending());
        if !goes_on {
            self.go_by_spec();
        }
    }

    /// Another supervisor goes by what it is to be, whatever its run was begun as; and by nothing where it is in no registry.
    pub(super) fn is_recalled(&mut self) {
        if self.is_leaving {
            (self.spec.stop, self.spec.evidence) = (Vec::new(), Vec::new());
        }
        self.begun_as = Some(self.spec.clone());
        self.go_by_spec();
    }

    fn is_ending(&self) -> bool {
        self.judged || self.killed || self.told_to_stop.is_some()
    }

    /// Takes note of what is told of it, and says which invariant that breaks, and how, if it does. `alive`: something of it lives.
    pub(super) fn note(
        &mut self,
        now: Duration,
        kind: &EventKind,
        alive: bool,
    ) -> Option<(&'static str, &'static str)> {
        let mut fault = None;
        match kind {
            EventKind::Started { .. } => {
                self.settled = true;
                self.started = true;
                self.ready = true;
            }
            EventKind::Adopted { started, .. } => {
                self.started = *started;
                self.ready = *started;
            }
            EventKind::Unready { .. } => self.ready = false,
            EventKind::ReadyAgain { .. } => self.ready = true,
            EventKind::Judged { .. } => {
                self.started = false;
                self.judged = true;
            }
            // Nobody waits for it to settle any longer.
            EventKind::Blocked { .. } => self.settled = true,
            EventKind::NotSpawned { run, error } => {
                self.settled = true;
                self.succeeded = false;
                // What is tried again for a want of ours is what it was.
                self.is_restart = self.run_is_restart || !error.is_shortage();
                self.run = self.run.filter(|its| its != run);
            }
            EventKind::Exited { run, exit, .. } => {
                self.settled = true;
                self.started = false;
                self.succeeded = exit.is_success() && !self.judged;
                self.has_succeeded |= self.succeeded;
                self.is_restart = true;
                if !self.exits_told.insert(*run) {
                    fault = Some(("S3", "an exit is counted twice"));
                }
            }
            EventKind::Stopping { timeout, .. } => {
                self.started = false;
                self.told_to_stop = Some((now, *timeout));
                self.longest_stop = timeout.saturating_mul(2);
            }
            EventKind::Killed { .. } => self.killed = true,
            EventKind::Backoff { delay, why: WaitReason::Itself | WaitReason::Want, .. } => {
                self.next_try = Some(now.saturating_add(*delay));
            }
            EventKind::Tripped { rest, .. } => self.next_try = Some(now.saturating_add(*rest)),
            EventKind::Unkillable { .. } => {
                self.unkillable = true;
                self.settled = true;
            }
            EventKind::Stopped | EventKind::Completed | EventKind::GivenUp { .. } => {
                self.next_try = None;
                self.is_restart = false;
                if alive {
                    fault = Some(("S5", "it is said to be down though something of it lives"));
                }
            }
            _ => {}
        }
        fault
    }
}

impl Book {
    /// It asks for so much time from now on.
    pub(super) fn extend(&mut self, now: Duration, time: Duration) {
        if let Some((told, timeout)) = &mut self.told_to_stop {
            let wish = now.saturating_add(time).saturating_sub(*told);
            *timeout = wish.min(self.longest_stop).max(*timeout);
        }
    }
}

/// Writes into the books who needs whom, and what follows from that. `has_budget`: restarts may have to wait for tokens.
pub(super) fn relate(books: &mut BTreeMap<u32, Book>, has_budget: bool) {
    let needs = needs(books);
    let mut needed_by: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (key, needs) in &needs {
        needs.iter().for_each(|(needed, _)| needed_by.entry(*needed).or_default().push(*key));
    }
    let priorities: BTreeMap<_, _> =
        books.keys().map(|key| (*key, priority(books, &needed_by, *key))).collect();
    for (key, book) in books {
        book.priority = priorities[key];
        book.needs = needs.get(key).cloned().unwrap_or_default();
        book.needed_by = needed_by.remove(key).unwrap_or_default();
        book.group =
            book.spec.restart_group.as_ref().map(|group| group.name.clone()).filter(|_| !book.is_leaving);
        book.waits_exactly =
            book.spec.depends_on.is_empty() && book.spec.restart_group.is_none() && !has_budget;
    }
}

/// Whom each component needs: one that leaves, nobody but others that do.
fn needs(books: &BTreeMap<u32, Book>) -> BTreeMap<u32, Vec<(u32, Condition)>> {
    let mut meant: HashMap<(bool, &str), Vec<u32>> = HashMap::new();
    for (key, book) in books {
        for name in std::iter::once(&book.spec.id).chain(&book.spec.instance_of) {
            meant.entry((book.is_leaving, name.as_str())).or_default().push(*key);
        }
    }
    let needs = |book: &Book| {
        let each = book.spec.depends_on.iter();
        let each = each.map(|need| (meant.get(&(book.is_leaving, need.on.as_str())), need.condition));
        each.flat_map(|(keys, condition)| keys.into_iter().flatten().map(move |key| (*key, condition)))
            .collect()
    };
    books.iter().map(|(key, book)| (*key, needs(book))).collect()
}

/// The lowest priority among a component and all that need it. Those that leave stop before all others.
fn priority(books: &BTreeMap<u32, Book>, needed_by: &BTreeMap<u32, Vec<u32>>, key: u32) -> u16 {
    if books[&key].is_leaving {
        return u16::MAX;
    }
    let mut all = BTreeSet::from([key]);
    let mut open = vec![key];
    while let Some(key) = open.pop() {
        let others = needed_by.get(&key).into_iter().flatten().copied();
        open.extend(others.filter(|other| all.insert(*other)));
    }
    all.iter().map(|key| books[key].spec.start_priority).min().unwrap_or_default()
}

/// How long the commands may take that are not the last step of stopping: what they leave over of it is not waited for.
fn early(stop: &[Step]) -> Duration {
    let commands = stop.split_last().map_or(&[][..], |(_, others)| others).iter();
    commands.filter(|step| matches!(step, Step::Run { .. })).map(Step::limit).sum()
}

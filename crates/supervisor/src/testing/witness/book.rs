//! What the witness knows of one component, from the requests and the events alone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::event::{EventKind, WaitReason};
use crate::run::RunId;
use crate::spec::{Condition, ProcessSpec, Step};

/// What the witness knows of one component.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) id: String,
    /// That of the first to start among itself and those that need it.
    pub(super) priority: u16,
    /// Whom it needs, and how.
    pub(super) needs: Vec<(usize, Condition)>,
    /// Who needs it.
    pub(super) needed_by: Vec<usize>,
    /// The name of its group.
    pub(super) group: Option<String>,
    /// Whether nothing but its own wait can hold up its next try.
    pub(super) waits_exactly: bool,
    /// How much sooner than by its time its stop may be over, because commands end before theirs.
    pub(super) early: Duration,
    /// How long the taking of evidence may last.
    pub(super) evidence: Duration,
    pub(super) autostart: bool,
    /// Its run has started, and is ready; its last one ended with success.
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) succeeded: bool,
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
    /// Those of these components, by place. `has_budget`: restarts may have to wait for tokens.
    pub(super) fn of_all(specs: &[ProcessSpec], has_budget: bool) -> Vec<Self> {
        let needs = needs(specs);
        let mut needed_by = vec![Vec::new(); specs.len()];
        for (place, needs) in (0..).zip(&needs) {
            needs.iter().for_each(|(needed, _)| needed_by[*needed].push(place));
        }
        let priorities: Vec<_> = (0..specs.len()).map(|place| priority(specs, &needed_by, place)).collect();
        let books = specs.iter().zip(priorities).zip(needs.into_iter().zip(needed_by));
        books
            .map(|((spec, priority), (needs, needed_by))| Self {
                id: spec.id.to_string(),
                priority,
                needs,
                needed_by,
                group: spec.restart_group.as_ref().map(|group| group.name.clone()),
                waits_exactly: spec.depends_on.is_empty() && spec.restart_group.is_none() && !has_budget,
                early: early(&spec.stop),
                evidence: spec.evidence.iter().map(Step::limit).sum(),
                started: false,
                ready: false,
                succeeded: false,
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
            })
            .collect()
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

/// By place: whom each component needs.
fn needs(specs: &[ProcessSpec]) -> Vec<Vec<(usize, Condition)>> {
    let mut meant: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, spec) in specs.iter().enumerate() {
        for name in std::iter::once(&spec.id).chain(&spec.instance_of) {
            meant.entry(name.as_str()).or_default().push(place);
        }
    }
    let needs = |spec: &ProcessSpec| {
        let each = spec.depends_on.iter().map(|need| (meant.get(need.on.as_str()), need.condition));
        each.flat_map(|(places, condition)| {
            places.into_iter().flatten().map(move |place| (*place, condition))
        })
        .collect()
    };
    specs.iter().map(needs).collect()
}

/// The lowest priority among a component and all that need it.
fn priority(specs: &[ProcessSpec], needed_by: &[Vec<usize>], place: usize) -> u16 {
    let mut all = BTreeSet::from([place]);
    let mut open = vec![place];
    while let Some(place) = open.pop() {
        open.extend(needed_by[place].iter().copied().filter(|other| all.insert(*other)));
    }
    all.iter().map(|place| specs[*place].start_priority).min().unwrap_or_default()
}

/// How long the commands may take that are not the last step of stopping: what they leave over of it is not waited for.
fn early(stop: &[Step]) -> Duration {
    let commands = stop.split_last().map_or(&[][..], |(_, others)| others).iter();
    commands.filter(|step| matches!(step, Step::Run { .. })).map(Step::limit).sum()
}

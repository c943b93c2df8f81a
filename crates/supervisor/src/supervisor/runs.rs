//! The runs that have a process: at most one for each component, and what is watched of it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use polling::Poller;

use crate::os::{self, Leftover, Process, Reserve, Watched};
use crate::run::{Exit, RunId};
use crate::signal::Signal;
use crate::spec::Recipient;

/// All runs that have a process, and the poller that watches them.
#[derive(Debug)]
pub(super) struct Runs {
    poller: Arc<Poller>,
    /// Boxed, because a map keeps room for as many again.
    by_component: HashMap<u32, Box<Run>>,
    main_pids: HashSet<u32>,
    watched: HashMap<usize, RunId>,
    /// The main processes of runs of which nothing else is left. They are reaped when the round's work is done, so that
    /// no replacement waits for it.
    ended: Vec<Watched<Process>>,
    last_key: usize,
    orphans_come_to_us: bool,
    /// Away only while it is lent out.
    reserve: Option<Reserve>,
}

/// One run, until it is reaped.
#[derive(Debug)]
struct Run {
    id: RunId,
    token: String,
    process: Watched<Process>,
    exit: Option<Exit>,
    leftovers: Vec<Held>,
}

/// A process of a run beside its main process.
#[derive(Debug)]
struct Held {
    leftover: Watched<Leftover>,
    /// The signals that it has got.
    told: Vec<Signal>,
}

/// What a look at a run has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// These processes are left.
    Left(Vec<u32>),
    /// Nothing is left, and the main process is about to be reaped.
    Gone,
}

impl Runs {
    pub(super) fn new(poller: Arc<Poller>, orphans_come_to_us: bool) -> Self {
        Self {
            poller,
            by_component: HashMap::new(),
            main_pids: HashSet::new(),
            watched: HashMap::new(),
            ended: Vec::new(),
            // Zero is the key of SIGCHLD.
            last_key: 0,
            orphans_come_to_us,
            reserve: Some(Reserve::new()),
        }
    }

    /// Takes charge of the process of a new run, and gives its pid.
    ///
    /// # Errors
    /// When it cannot be watched. It is then killed and reaped again.
    pub(super) fn add(&mut self, id: RunId, token: String, process: Process) -> io::Result<u32> {
        let pid = process.pid();
        let process = self.watch(id, process).inspect_err(|_| os::destroy(pid))?;
        self.main_pids.insert(pid);
        let run = Run { id, token, process, exit: None, leftovers: Vec::new() };
        self.by_component.insert(id.component, Box::new(run));
        Ok(pid)
    }

    /// Which run a notice of the poller is about, if it is still there: a notice can come after what it is about.
    pub(super) fn noticed(&mut self, key: usize) -> Option<RunId> {
        let id = self.watched.get(&key).copied()?;
        let run = self.run_mut(id)?;
        if run.process.key() != key {
            run.leftovers.retain(|held| held.leftover.key() != key);
            self.watched.remove(&key);
        }
        Some(id)
    }

    /// How the main process of a run ended, said once. It is not reaped yet: its pid stays its own.
    pub(super) fn take_exit(&mut self, id: RunId) -> Option<Exit> {
        let run = self.run_mut(id).filter(|run| run.exit.is_none())?;
        run.exit = run.process.exit();
        if run.exit.is_some() {
            run.process.pause();
        }
        run.exit
    }

    /// Sends a signal to the processes of a run: its group while the main process lives, then what has left the group.
    pub(super) fn signal(&mut self, id: RunId, signal: Signal, to: Recipient) {
        if to == Recipient::Main {
            if let Some(run) = self.run(id).filter(|run| run.exit.is_none()) {
                run.process.signal(signal);
            }
            return;
        }
        self.hold_family(id);
        let Some(run) = self.run_mut(id) else { return };
        if run.exit.is_none() {
            run.process.signal_group(signal);
        }
        // Who was told is not told again: many a program takes the second time for "at once".
        for held in run.leftovers.iter_mut().filter(|held| !held.told.contains(&signal)) {
            held.told.push(signal);
            if !held.leftover.is_in_group_of(&run.process) {
                held.leftover.signal(signal);
            }
        }
    }

    /// Sends just this signal to the main process of a run.
    pub(super) fn forward(&self, id: RunId, signal: Signal) {
        if let Some(run) = self.run(id).filter(|run| run.exit.is_none()) {
            run.process.forward(signal);
        }
    }

    /// Kills every process of a run that is known.
    pub(super) fn kill(&mut self, id: RunId) {
        self.hold_family(id);
        if let Some(run) = self.run(id) {
            run.kill();
        }
    }

    /// Takes hold of what descends from a main process that lives: once it has ended, a descendant that has left its
    /// group and forgotten its token could not be told from a stranger.
    fn hold_family(&mut self, id: RunId) {
        let Some(run) = self.run(id).filter(|run| run.exit.is_none()) else { return };
        let family = os::descendants(&run.asked(), |pid| self.main_pids.contains(&pid));
        self.hold(id, family);
    }

    /// Looks what is left of these runs, whose main processes have ended. One walk over the processes serves all.
    pub(super) fn look(&mut self, ids: &[RunId]) -> Vec<(RunId, Look)> {
        if ids.is_empty() {
            return Vec::new();
        }
        // If nothing could be opened, nothing would be found: some descriptors are kept back for this moment.
        let mut reserve = self.reserve.take().unwrap_or_else(Reserve::new);
        let looks = reserve.lend(|| self.look_now(ids));
        self.reserve = Some(reserve);
        looks
    }

    fn look_now(&mut self, ids: &[RunId]) -> Vec<(RunId, Look)> {
        let runs: Vec<_> =
            ids.iter().filter_map(|id| self.run(*id).filter(|run| run.exit.is_some())).collect();
        let asked: Vec<_> = runs.iter().map(|run| run.asked()).collect();
        let is_main = |pid| self.main_pids.contains(&pid);
        let mut left: HashMap<RunId, Vec<Leftover>> = HashMap::new();
        for (index, leftover) in os::leftovers(&asked, is_main, self.orphans_come_to_us) {
            left.entry(runs[index].id).or_default().push(leftover);
        }
        let looked_at: Vec<_> = runs.iter().map(|run| run.id).collect();
        let looks = looked_at.into_iter().map(|id| (id, self.note(id, left.remove(&id).unwrap_or_default())));
        looks.collect()
    }

    /// Reaps orphans that came to us and have ended.
    pub(super) fn reap_orphans(&self) {
        os::reap_orphans(|pid| self.main_pids.contains(&pid));
    }

    /// Kills what is left among the orphans that came to us once all runs are over: it can only be what a component
    /// has started, in a way that hid whose it is.
    pub(super) fn end_orphans(&self) {
        if self.orphans_come_to_us {
            os::end_orphans(|pid| self.main_pids.contains(&pid));
        }
    }

    /// Reaps the main processes of runs of which nothing else is left.
    pub(super) fn reap_ended(&mut self) {
        for process in self.ended.drain(..) {
            self.main_pids.remove(&process.pid());
            process.reap();
        }
    }

    fn note(&mut self, id: RunId, found: Vec<Leftover>) -> Look {
        let none_found = found.is_empty();
        self.hold(id, found);
        let held = self.run(id).map_or(&[][..], |run| &run.leftovers);
        if none_found && held.is_empty() {
            self.let_go(id);
            return Look::Gone;
        }
        Look::Left(held.iter().map(|held| held.leftover.pid()).collect())
    }

    /// Watches these, beside those of the run that are held already. One that cannot be watched is found again by
    /// the look that follows the end of another.
    fn hold(&mut self, id: RunId, found: Vec<Leftover>) {
        for leftover in found {
            let is_held = |run: &Run| run.leftovers.iter().any(|held| held.leftover.pid() == leftover.pid());
            if self.run(id).is_none_or(is_held) {
                continue;
            }
            if let (Ok(watched), Some(run)) =
                (self.watch(id, leftover), self.by_component.get_mut(&id.component))
            {
                run.leftovers.push(Held { leftover: watched, told: Vec::new() });
            }
        }
    }

    fn let_go(&mut self, id: RunId) {
        if let Some(run) = self.by_component.remove(&id.component) {
            self.watched.remove(&run.process.key());
            for held in &run.leftovers {
                self.watched.remove(&held.leftover.key());
            }
            self.ended.push(run.process);
        }
    }

    fn watch<D: AsFd>(&mut self, id: RunId, source: D) -> io::Result<Watched<D>> {
        self.last_key += 1;
        let watched = Watched::new(source, &self.poller, self.last_key)?;
        self.watched.insert(self.last_key, id);
        Ok(watched)
    }

    fn run(&self, id: RunId) -> Option<&Run> {
        self.by_component.get(&id.component).map(|run| &**run).filter(|run| run.id == id)
    }

    fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.by_component.get_mut(&id.component).map(|run| &mut **run).filter(|run| run.id == id)
    }
}

impl Run {
    fn asked(&self) -> os::Run<'_> {
        os::Run { process: &self.process, token: &self.token }
    }

    fn kill(&self) {
        self.process.kill();
        self.leftovers.iter().for_each(|held| held.leftover.kill());
    }
}

impl Drop for Runs {
    /// After an orderly end nothing is here but what cannot be killed. After a fault of the driver's, everything is.
    fn drop(&mut self) {
        self.by_component.values().for_each(|run| run.kill());
    }
}

//! The runs that have a process: at most one for each component, and what is watched of it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use polling::Poller;

use crate::os::{self, Leftover, Process, Watched};
use crate::run::{Exit, RunId};

/// All runs that have a process, and the poller that watches them.
#[derive(Debug)]
pub(super) struct Runs {
    poller: Arc<Poller>,
    by_component: HashMap<u32, Run>,
    main_pids: HashSet<u32>,
    watched: HashMap<usize, RunId>,
    last_key: usize,
    orphans_come_to_us: bool,
}

/// One run, until it is reaped.
#[derive(Debug)]
struct Run {
    id: RunId,
    token: String,
    process: Watched<Process>,
    exit: Option<Exit>,
    leftovers: Vec<Watched<Leftover>>,
}

/// What a look at a run has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// These processes are left.
    Left(Vec<u32>),
    /// Nothing is left, and the main process is reaped.
    Gone,
}

impl Runs {
    pub(super) fn new(poller: Arc<Poller>, orphans_come_to_us: bool) -> Self {
        Self {
            poller,
            by_component: HashMap::new(),
            main_pids: HashSet::new(),
            watched: HashMap::new(),
            // Zero is the key of SIGCHLD.
            last_key: 0,
            orphans_come_to_us,
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
        self.by_component.insert(id.component, run);
        Ok(pid)
    }

    /// Which run a notice of the poller is about, if it is still there: a notice can come after what it is about.
    pub(super) fn watched_by(&self, key: usize) -> Option<RunId> {
        self.watched.get(&key).copied()
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

    /// Tells the processes of a run to stop: its group while the main process lives, then what has left the group.
    pub(super) fn stop(&self, id: RunId) {
        let Some(run) = self.run(id) else { return };
        if run.exit.is_none() {
            run.process.stop();
        }
        run.leftovers.iter().filter(|left| !left.is_in_group_of(&run.process)).for_each(|left| left.stop());
    }

    /// Kills every process of a run that is known.
    pub(super) fn kill(&self, id: RunId) {
        if let Some(run) = self.run(id) {
            run.kill();
        }
    }

    /// Looks what is left of these runs, whose main processes have ended. One walk over the processes serves all.
    pub(super) fn look(&mut self, ids: &[RunId]) -> Vec<(RunId, Look)> {
        let runs: Vec<_> =
            ids.iter().filter_map(|id| self.run(*id).filter(|run| run.exit.is_some())).collect();
        let asked: Vec<_> =
            runs.iter().map(|run| os::Run { process: &run.process, token: run.token.as_str() }).collect();
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

    fn note(&mut self, id: RunId, leftovers: Vec<Leftover>) -> Look {
        if let Some(run) = self.by_component.get_mut(&id.component) {
            for leftover in run.leftovers.drain(..) {
                self.watched.remove(&leftover.key());
            }
        }
        if leftovers.is_empty() {
            self.reap(id);
            return Look::Gone;
        }
        let pids = leftovers.iter().map(Leftover::pid).collect();
        // One that cannot be watched is found again when another of them ends.
        let watched: Vec<_> = leftovers.into_iter().filter_map(|left| self.watch(id, left).ok()).collect();
        if let Some(run) = self.run_mut(id) {
            run.leftovers = watched;
        }
        Look::Left(pids)
    }

    fn reap(&mut self, id: RunId) {
        if let Some(mut run) = self.by_component.remove(&id.component) {
            self.watched.remove(&run.process.key());
            self.main_pids.remove(&run.process.pid());
            run.process.pause();
            run.process.reap();
        }
    }

    fn watch<D: AsFd>(&mut self, id: RunId, source: D) -> io::Result<Watched<D>> {
        self.last_key += 1;
        let watched = Watched::new(source, &self.poller, self.last_key)?;
        self.watched.insert(self.last_key, id);
        Ok(watched)
    }

    fn run(&self, id: RunId) -> Option<&Run> {
        self.by_component.get(&id.component).filter(|run| run.id == id)
    }

    fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.by_component.get_mut(&id.component).filter(|run| run.id == id)
    }
}

impl Run {
    fn kill(&self) {
        self.process.kill();
        self.leftovers.iter().for_each(|leftover| leftover.kill());
    }
}

impl Drop for Runs {
    /// After an orderly end nothing is here but what cannot be killed. After a fault of the driver's, everything is.
    fn drop(&mut self) {
        self.by_component.values().for_each(Run::kill);
    }
}

//! The mock processes and their pids, found as quickly by component as by number: a world may have thousands.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use crate::run::{Exit, RunId};
use crate::testing::mock::Behaviour;

/// How many pids there are at least: few, so that they are used again all the time.
const FEWEST_PIDS: u32 = 16;

/// A mock process. It stays in the table, its pid taken, until it is reaped.
#[derive(Debug)]
pub(super) struct Process {
    /// By which it is told from all others that there have ever been.
    pub(super) serial: u64,
    pub(super) run: RunId,
    pub(super) pid: u32,
    pub(super) is_main: bool,
    pub(super) born: Duration,
    pub(super) behaviour: Behaviour,
    pub(super) ended: Option<Exit>,
}

impl Process {
    pub(super) fn lives(&self) -> bool {
        self.ended.is_none()
    }
}

/// All processes that are not reaped.
#[derive(Debug)]
pub(super) struct Processes {
    by_serial: BTreeMap<u64, Process>,
    by_component: BTreeMap<u32, BTreeSet<u64>>,
    /// How many pids there are.
    most_pids: u32,
    pids: HashSet<u32>,
    last_pid: u32,
    last_serial: u64,
}

impl Processes {
    /// For so many components, with none.
    pub(super) fn new(components: usize) -> Self {
        Self {
            by_serial: BTreeMap::new(),
            by_component: BTreeMap::new(),
            // A world of many components needs more pids than the fewest.
            most_pids: u32::try_from(components)
                .map_or(u32::MAX, |components| components.saturating_mul(4))
                .max(FEWEST_PIDS),
            pids: HashSet::new(),
            last_pid: 0,
            last_serial: 0,
        }
    }

    /// Adds one that begins now. `None` if no pid is free.
    pub(super) fn add(
        &mut self,
        run: RunId,
        behaviour: Behaviour,
        is_main: bool,
        now: Duration,
    ) -> Option<&Process> {
        let pid = self.free_pid()?;
        self.pids.insert(pid);
        self.last_pid = pid;
        self.last_serial += 1;
        let serial = self.last_serial;
        self.by_component.entry(run.component).or_default().insert(serial);
        let process = Process { serial, run, pid, is_main, born: now, behaviour, ended: None };
        Some(self.by_serial.entry(serial).or_insert(process))
    }

    pub(super) fn get(&self, serial: u64) -> Option<&Process> {
        self.by_serial.get(&serial)
    }

    pub(super) fn get_mut(&mut self, serial: u64) -> Option<&mut Process> {
        self.by_serial.get_mut(&serial)
    }

    /// The main process of a run is that of this pid from now on.
    pub(super) fn has_main(&mut self, run: RunId, pid: u32) {
        let serials: Vec<_> = self.of_run(run).map(|process| process.serial).collect();
        for serial in serials {
            self.by_serial.entry(serial).and_modify(|process| process.is_main = process.pid == pid);
        }
    }

    /// Reaps one.
    pub(super) fn remove(&mut self, serial: u64) -> Option<Process> {
        let process = self.by_serial.remove(&serial)?;
        if let Some(its) = self.by_component.get_mut(&process.run.component) {
            its.remove(&serial);
        }
        self.pids.remove(&process.pid);
        Some(process)
    }

    /// Reaps all of a run.
    pub(super) fn remove_run(&mut self, run: RunId) {
        let serials: Vec<_> = self.of_run(run).map(|process| process.serial).collect();
        for serial in serials {
            self.remove(serial);
        }
    }

    /// Reaps those of a component that have ended.
    pub(super) fn reap_all_of(&mut self, component: u32) {
        let ended: Vec<_> = self.of(component).filter(|process| !process.lives()).collect();
        let ended: Vec<_> = ended.into_iter().map(|process| process.serial).collect();
        for serial in ended {
            self.remove(serial);
        }
    }

    /// Those of a component, the oldest first.
    pub(super) fn of(&self, component: u32) -> impl Iterator<Item = &Process> {
        let its = self.by_component.get(&component).into_iter().flatten();
        its.map(|serial| &self.by_serial[serial])
    }

    /// Those of a run, the oldest first.
    pub(super) fn of_run(&self, run: RunId) -> impl Iterator<Item = &Process> {
        self.of(run.component).filter(move |process| process.run == run)
    }

    /// Whether anything of a component lives.
    pub(super) fn lives(&self, component: u32) -> bool {
        self.of(component).any(Process::lives)
    }

    /// Another supervisor knows the components by other keys.
    pub(super) fn rekey(&mut self, key_of: &dyn Fn(u32) -> Option<u32>) {
        self.by_component.clear();
        for process in self.by_serial.values_mut() {
            if let Some(key) = key_of(process.run.component) {
                process.run.component = key;
                self.by_component.entry(key).or_default().insert(process.serial);
            }
        }
        let known: BTreeSet<u64> = self.by_component.values().flatten().copied().collect();
        self.by_serial.retain(|serial, process| {
            let is_known = known.contains(serial);
            if !is_known {
                self.pids.remove(&process.pid);
            }
            is_known
        });
    }

    fn free_pid(&self) -> Option<u32> {
        let pids = self.most_pids;
        let mut after_last = (1..=pids).map(|step| (self.last_pid + step - 1) % pids + 1);
        after_last.find(|pid| !self.pids.contains(pid))
    }
}

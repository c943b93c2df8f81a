//! How a look goes over the processes.

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;

use super::super::environment::awaited;
use super::super::proc::Reader;
use super::{Leftover, MOST, has_ended, our_pid};
use crate::os::{RUN_VARIABLE, Run, TASK_VARIABLE};

/// One look at the processes.
pub(super) struct Walk<'a> {
    runs: &'a [Run<'a>],
    pub(super) reads_environments: bool,
    by_group: HashMap<u32, usize>,
    by_token: HashMap<&'a [u8], usize>,
    pub(super) reader: Reader,
    pub(super) found: Vec<(usize, Leftover)>,
    /// How many were found of each run.
    counts: Vec<usize>,
    /// Those that do not belong by themselves, by their parents.
    pub(super) others: HashMap<u32, Vec<u32>>,
}

impl<'a> Walk<'a> {
    /// Without environments only what can be told at once is found.
    pub(super) fn new(runs: &'a [Run<'a>], reads_environments: bool) -> Self {
        let numbered = || runs.iter().enumerate();
        // The group of a main process that somebody else has reaped may be a stranger's by now.
        let unreaped = numbered().filter(|(_, run)| run.process.has_its_number());
        Self {
            runs,
            reads_environments,
            by_group: unreaped.map(|(index, run)| (run.process.pid(), index)).collect(),
            by_token: numbered().map(|(index, run)| (run.token.as_bytes(), index)).collect(),
            reader: Reader::default(),
            found: Vec::new(),
            counts: vec![0; runs.len()],
            others: HashMap::new(),
        }
    }

    /// Whether one of the main processes is no child of ours.
    pub(super) fn has_adopted(&self) -> bool {
        self.runs.iter().any(|run| run.process.is_adopted())
    }

    /// Looks at every process there is.
    pub(super) fn everything(&mut self, is_main: impl Fn(u32) -> bool) {
        let own = our_pid();
        // What is older than the oldest of the runs is no business of theirs, and is not looked at more closely.
        let began = self.runs.iter().map(|run| {
            let stat = self.reader.stat(run.process.pid()).filter(|_| run.process.is_unreaped());
            stat.map_or(0, |stat| stat.started)
        });
        let oldest = began.min().unwrap_or(0);
        for pid in self.reader.all_processes().filter(|pid| *pid != own && !is_main(*pid)) {
            if self.reader.stat(pid).is_some_and(|stat| stat.started >= oldest) {
                self.look_at(pid);
            }
        }
    }

    /// Looks at these orphans, and at what descends from them and from the main processes of the runs.
    pub(super) fn trees(&mut self, orphans: Vec<u32>, is_main: impl Fn(u32) -> bool) {
        let mut seen = HashSet::new();
        let mut pids = orphans;
        // What has ended has no children any more: they came to us before it was said to have ended.
        for run in self.runs.iter().filter(|run| !has_ended(run.process.as_fd())) {
            let pid = run.process.pid();
            if let Some(stat) = self.reader.stat(pid) {
                pids.extend(self.reader.children(pid, stat.threads));
            }
        }
        while let Some(pid) = pids.pop() {
            if is_main(pid) || !seen.insert(pid) {
                continue;
            }
            if let Some(threads) = self.look_at(pid) {
                pids.extend(self.reader.children(pid, threads));
            }
        }
    }

    /// Takes note of a process; returns how many threads it has, `None` if it does not live.
    fn look_at(&mut self, pid: u32) -> Option<u32> {
        let (process, stat) = Leftover::hold(&mut self.reader, pid)?;
        match self.run_of(&process, stat.group) {
            Some(run) => self.add(run, process),
            None => self.others.entry(stat.parent).or_default().push(pid),
        }
        Some(stat.threads)
    }

    fn run_of(&mut self, process: &Leftover, group: u32) -> Option<usize> {
        let of_group = self.by_group.get(&group).copied();
        // Somebody else may have reaped an adopted one since, and its number may be another's.
        if let Some(run) = of_group.filter(|run| self.runs[*run].process.has_its_number()) {
            return Some(run);
        }
        if self.reads_environments { self.run_by_token(process) } else { None }
    }

    fn run_by_token(&mut self, process: &Leftover) -> Option<usize> {
        let found = awaited(process, || {
            // A command that is run for a component bears the run's token as well.
            let names = [TASK_VARIABLE, RUN_VARIABLE];
            let token = self.reader.variable_unless_executing(process.pid(), names)?;
            Ok(token.and_then(|token| self.by_token.get(token).copied()))
        });
        self.reader.tell(0);
        found?
    }

    /// Keeps what belongs to a run, unless enough of that is kept: one where descriptors are scarce.
    fn add(&mut self, run: usize, process: Leftover) {
        let count = &mut self.counts[run];
        if *count == 0 || *count < MOST && !process.is_among_the_last() {
            *count += 1;
            self.found.push((run, process));
        }
    }

    /// Adds the descendants of what belongs.
    pub(super) fn descendants(&mut self) {
        let runs = self.runs;
        for (index, run) in runs.iter().enumerate() {
            let children = self.others.remove(&run.process.pid()).unwrap_or_default();
            for child in children {
                let main = run.process;
                if let Some(child) = Leftover::child_of(&mut self.reader, child, main.pid(), main.as_fd()) {
                    self.add(index, child);
                }
            }
        }
        let mut next = 0;
        while let Some((run, parent)) = self.found.get(next) {
            let (run, pid) = (*run, parent.pid());
            for child in self.others.remove(&pid).unwrap_or_default() {
                let parent = self.found[next].1.as_fd();
                if let Some(child) = Leftover::child_of(&mut self.reader, child, pid, parent) {
                    self.add(run, child);
                }
            }
            next += 1;
        }
    }
}

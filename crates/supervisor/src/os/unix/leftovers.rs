//! What is left of runs beyond their main processes.
//!
//! A process belongs to a run if it is in the process group of the run's main process, or if its parent belongs. What has left the
//! group and has lost its parent is not found; so what lives beside the group is taken hold of before a run is signalled, while its
//! parents live.
//!
//! `ps` is asked twice: what it has told first is watched, and only what it tells after that counts. So what is watched is what was
//! read of, though a pid may change hands. What is sent to one that has ended meanwhile goes nowhere; in the moment
//! between looking at that and sending, its pid could be another's. No system but Linux can do better. The group is signalled by its
//! number, which is surely its own as long as its main process is not reaped.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::process::{Pid, Signal, kill_process};

use super::process::{Process, as_sent};
use super::table::{Entry, Table};
use super::watch::Watch;
use crate::os::{Found, Run};
use crate::run::Exit;

/// The most that one look returns of a run, for each holds a descriptor. Who ends them all looks again.
const MOST: usize = 256;

/// A living process that belongs to a run and is not its main process.
#[derive(Debug)]
pub(crate) struct Leftover {
    pid: Pid,
    group: u32,
    watch: Watch,
}

impl Leftover {
    fn watch(entry: &Entry) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(entry.pid).ok()?)?;
        Some(Self { pid, group: entry.group, watch: Watch::of(pid).ok()? })
    }

    /// Its pid, for people.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// From where on its descendants are looked for.
    pub(crate) fn root(&self) -> u32 {
        self.pid()
    }

    /// Whether it leads a group, as every main process does when it begins.
    pub(crate) fn leads_a_group(&self) -> bool {
        self.group == self.pid()
    }

    /// Whether what is sent to the group of this main process reaches it.
    pub(crate) fn is_in_group_of(&self, main: &Process) -> bool {
        self.group == main.pid()
    }

    /// That it has ended, if it has; how, only its parent knows.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.watch.has_ended().then_some(Exit::Unknown)
    }

    /// Sends it a signal. A stopped process must run to hear of it.
    pub(crate) fn signal(&self, signal: crate::Signal) {
        self.send(as_sent(signal));
        self.send(Signal::CONT);
    }

    /// Sends it just this signal.
    pub(crate) fn forward(&self, signal: crate::Signal) {
        self.send(as_sent(signal));
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        self.send(Signal::KILL);
    }

    /// Waits for so long at most until it has ended, and says whether it has.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        // What is longer than the system can count is not asked for.
        self.watch.ends_within(Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 }))
    }

    /// One that we may not signal shows by living on.
    fn send(&self, signal: Signal) {
        if !self.watch.has_ended() {
            let _ = kill_process(self.pid, signal);
        }
    }
}

impl AsFd for Leftover {
    /// Readable once it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// What lives of these runs beyond their main processes, each with the index of its run. `is_main` names the main processes of all
/// runs. At most 256 of each run are returned, and a process may be born while others are read: a run is clean once a whole look
/// finds nothing of it.
///
/// It takes as long as `ps` does, twice. Where that does not tell, twice in a row, nothing is said to be left: what is in the group of
/// a run ends when its main process is [reaped](Process::reap), and nobody need wait for the rest.
pub(crate) fn leftovers_by_token(
    runs: &[Run<'_>],
    is_main: impl Fn(u32) -> bool,
    _orphans_come_to_us: bool,
    _reading: &Arc<AtomicU32>,
) -> Found {
    let whose = |table: &Table| belonging(table, runs, &is_main);
    let found = hold(whose).or_else(|| hold(whose));
    found.unwrap_or(Found { held: Vec::new(), is_whole: true, has_strangers: false })
}

/// Nothing can be told at once.
pub(crate) fn leftovers_at_once(
    _runs: &[Run<'_>],
    _is_main: impl Fn(u32) -> bool,
    _orphans_come_to_us: bool,
) -> Found {
    Found { held: Vec::new(), is_whole: true, has_strangers: false }
}

/// The same as [`leftovers_by_token`], for who may wait.
#[cfg(test)]
pub(crate) fn leftovers(runs: &[Run<'_>], is_main: impl Fn(u32) -> bool, orphans_come_to_us: bool) -> Found {
    leftovers_by_token(runs, is_main, orphans_come_to_us, &Arc::default())
}

/// What descends from these processes beyond themselves and has left their groups: at most 256. What is in the groups is reached by
/// their numbers, and need not be held. What has left them in the last few hundredths of a second may be missed.
pub(crate) fn descendants(roots: &[u32], is_main: impl Fn(u32) -> bool) -> Vec<Leftover> {
    let beside = |table: &Table| {
        let families = roots.iter().flat_map(|root| table.family(*root, MOST));
        let is_beside = |entry: &&Entry| {
            !roots.contains(&entry.pid) && !roots.contains(&entry.group) && !is_main(entry.pid)
        };
        families.filter(is_beside).map(|entry| (entry.pid, 0)).collect::<HashMap<_, _>>()
    };
    let is_any = Table::recent().is_some_and(|table| !beside(&table).is_empty());
    let found = if is_any { hold(beside) } else { None };
    found.map(|found| found.held.into_iter().map(|(_, leftover)| leftover).collect()).unwrap_or_default()
}

/// The process of this pid, if it lives and belongs to the run.
pub(crate) fn member(run: &Run<'_>, pid: u32) -> Option<Leftover> {
    let main = run.process.pid();
    let whose = |table: &Table| {
        let lives = table.family(main, usize::MAX).into_iter().any(|entry| entry.pid == pid);
        let is_in_group = table.living(pid).is_some_and(|entry| entry.group == main);
        let belongs = run.process.is_unreaped() && (lives || is_in_group);
        belongs.then_some((pid, 0)).into_iter().collect()
    };
    hold(whose)?.held.pop().map(|(_, member)| member)
}

/// Holds what belongs, of which `whose` says to which run. `None`: `ps` does not tell.
fn hold(whose: impl Fn(&Table) -> HashMap<u32, usize> + Copy) -> Option<Found> {
    let table = Table::take()?;
    let first = whose(&table);
    if first.is_empty() {
        return Some(Found { held: Vec::new(), is_whole: true, has_strangers: false });
    }
    let mut counts: HashMap<usize, usize> = HashMap::new();
    let watched: Vec<_> = first
        .iter()
        .filter(|(_, run)| {
            let count = counts.entry(**run).or_default();
            *count += 1;
            *count <= MOST
        })
        .filter_map(|(pid, _)| Leftover::watch(table.living(*pid)?))
        .collect();
    let table = Table::take()?;
    let second = whose(&table);
    let mut held = Vec::new();
    for mut leftover in watched {
        let (Some(run), Some(entry)) = (second.get(&leftover.pid()), table.living(leftover.pid())) else {
            continue;
        };
        if !leftover.watch.has_ended() {
            leftover.group = entry.group;
            held.push((*run, leftover));
        }
    }
    let runs_held: HashSet<_> = held.iter().map(|(run, _)| *run).collect();
    let is_whole = second.values().all(|run| runs_held.contains(run));
    Some(Found { held, is_whole, has_strangers: false })
}

/// What belongs to these runs, by pid, with the index of the run.
fn belonging(table: &Table, runs: &[Run<'_>], is_main: &impl Fn(u32) -> bool) -> HashMap<u32, usize> {
    let unreaped = (0..).zip(runs).filter(|(_, run)| run.process.is_unreaped());
    let by_group: HashMap<u32, usize> = unreaped.map(|(index, run)| (run.process.pid(), index)).collect();
    let in_groups = table.all().filter_map(|entry| Some((entry.pid, *by_group.get(&entry.group)?)));
    let mut open: Vec<_> = in_groups.chain(by_group.iter().map(|(pid, run)| (*pid, *run))).collect();
    let mut found = HashMap::new();
    while let Some((pid, run)) = open.pop() {
        if found.insert(pid, run).is_none() {
            let children =
                table.children_of(pid).filter(|child| table.living(*child).is_some() && !is_main(*child));
            open.extend(children.map(|child| (child, run)));
        }
    }
    found.retain(|pid, _| !is_main(*pid) && !by_group.contains_key(pid) && table.living(*pid).is_some());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::{Component, Started, end_of};

    /// Starts a script that prints the pid of a process beside it.
    fn start(script: &str) -> (Started, u32) {
        let mut started = Component::shell(script).start();
        let pid = started.line().parse().unwrap();
        (started, pid)
    }

    fn pids_left(started: &Started) -> Vec<u32> {
        let found = leftovers(&[started.run()], |pid| pid == started.pid(), false);
        found.held.iter().map(|(_, leftover)| leftover.pid()).collect()
    }

    #[test]
    fn what_is_in_the_group_of_one_that_has_ended_is_found_and_can_be_killed() {
        let (started, child) = start("sleep 1000 & echo $!");
        started.wait();
        assert_eq!(pids_left(&started), [child]);
        started.process().kill();
        end_of(child);
        while !pids_left(&started).is_empty() {}
    }

    #[test]
    fn what_has_left_the_group_is_held_while_its_parent_lives() {
        let (started, daemon) = start("setsid sh -c 'echo $$; exec sleep 1000' & wait");
        let held = descendants(&[started.pid()], |_| false);
        assert_eq!(held.iter().map(Leftover::pid).collect::<Vec<_>>(), [daemon]);
        assert!(!held[0].is_in_group_of(started.process()) && held[0].exit().is_none());
        held[0].kill();
        assert!(held[0].ends_within(Duration::from_secs(90)));
        assert_eq!(held[0].exit(), Some(Exit::Unknown));
    }

    #[test]
    fn what_is_in_the_group_need_not_be_held() {
        let (started, _child) = start("sleep 1000 & echo $!; wait");
        assert!(descendants(&[started.pid()], |_| false).is_empty());
    }

    #[test]
    fn what_nobody_has_seen_dies_with_the_number_of_its_group() {
        let (started, child) = start("sleep 1000 & echo $!");
        started.wait();
        assert_eq!(started.process().reap(), Some(Exit::Code(0)));
        end_of(child);
    }

    #[test]
    fn only_what_belongs_is_a_member() {
        let (one, child) = start("sleep 1000 & echo $!; wait");
        let (_other, strangers) = start("sleep 1000 & echo $!; wait");
        assert_eq!(member(&one.run(), child).map(|member| member.pid()), Some(child));
        for nobodys in [strangers, std::process::id(), 1, u32::MAX] {
            assert!(member(&one.run(), nobodys).is_none(), "{nobodys}");
        }
    }
}

//! What is left of runs beyond their main processes, and the orphans that come to us.
//!
//! A process belongs to a run if it is in the process group of the run's main process, if it was executed with the
//! run's token in its environment, or if its parent belongs. A command that is run for a component bears the token too,
//! but also one of its own, by which alone it is known. A process that has changed group and environment and
//! whose parent has ended is not found, unless orphans come to us and its first ancestor below us belongs.
//!
//! Orphans come to us if this process is a subreaper or process 1. The kernel gives them to the first living thread
//! of it, which is the main thread; main processes of runs are children of the driver's thread. So the children of
//! our main thread are just the orphans, and all of `/proc` need not be read.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, pidfd_open, pidfd_send_signal, waitid,
};

use super::proc::{Reader, Stat, all_processes};
use super::process::{Process, as_sent};
use crate::os::{RUN_VARIABLE, Run, TASK_VARIABLE};

/// The most that one look returns, for each holds a descriptor. Who ends them all looks again.
const MOST: usize = 256;

/// A living process that belongs to a run and is not its main process.
#[derive(Debug)]
pub(crate) struct Leftover {
    pid: u32,
    group: u32,
    pidfd: OwnedFd,
}

impl Leftover {
    /// Takes hold of a process that lives, whosever it is.
    pub(super) fn hold(reader: &mut Reader, pid: u32) -> Option<(Self, Stat)> {
        // Opened before anything is read: if the pid changes hands now, the descriptor means one that is dead.
        let pidfd = pidfd_open(pid_of(pid)?, PidfdFlags::empty()).ok()?;
        let stat = reader.stat(pid).filter(|stat| !stat.is_dead())?;
        Some((Self { pid, group: stat.group, pidfd }, stat))
    }

    /// Its pid, for people: only the descriptor is surely its own.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether what is sent to the group of this main process reaches it.
    pub(crate) fn is_in_group_of(&self, main: &Process) -> bool {
        self.group == main.pid()
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

    /// One that has ended needs no signal, and one that we may not signal shows by living on.
    fn send(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }
}

impl AsFd for Leftover {
    /// Readable once it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// What lives of these runs beyond their main processes, each with the index of its run. One walk serves all of them.
///
/// `is_main` names the main processes of all runs, which are skipped without being read. At most 256 are returned,
/// and a process may be born while others are read: the runs are clean once a look finds nothing.
pub(crate) fn leftovers(
    runs: &[Run<'_>],
    is_main: impl Fn(u32) -> bool,
    orphans_come_to_us: bool,
) -> Vec<(usize, Leftover)> {
    if runs.is_empty() {
        return Vec::new();
    }
    let mut walk = Walk::new(runs);
    let own = our_pid();
    let orphans = if orphans_come_to_us { walk.reader.children_of_thread(own, own) } else { None };
    match orphans {
        Some(orphans) => walk.trees(orphans, is_main),
        None => walk.everything(is_main),
    }
    walk.descendants();
    walk.found
}

/// What descends from the main process of this run, which lives. Cheap: only its own tree is read.
pub(crate) fn descendants(run: &Run<'_>, is_main: impl Fn(u32) -> bool) -> Vec<Leftover> {
    let mut walk = Walk::new(std::slice::from_ref(run));
    walk.trees(Vec::new(), is_main);
    walk.descendants();
    walk.found.into_iter().map(|(_, leftover)| leftover).collect()
}

/// Kills the orphans that have come to us, and those that come to us by that, and waits until they are gone: for a
/// second at most.
pub(crate) fn end_orphans(is_main: impl Fn(u32) -> bool) {
    const ROUNDS: usize = 20;
    let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let mut reader = Reader::default();
    for _ in 0..ROUNDS {
        reap_orphans(&is_main);
        // They are children of ours that nobody else reaps, so that their pids are their own.
        let orphans = reader.children_of_thread(our_pid(), our_pid()).unwrap_or_default();
        let orphans = orphans.into_iter().filter(|pid| !is_main(*pid)).filter_map(pid_of);
        let held: Vec<_> = orphans.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
        let Some(first) = held.first() else { return };
        for orphan in &held {
            let _ = pidfd_send_signal(orphan, Signal::KILL);
        }
        let _ = poll(&mut [PollFd::new(first, PollFlags::IN)], Some(&patience));
    }
}

/// Reaps the orphans among our main thread's children that have ended, but never the main process of a run.
///
/// Only for a process that is a subreaper or process 1: what its main thread has started itself is reaped too.
pub(crate) fn reap_orphans(is_main: impl Fn(u32) -> bool) {
    let (mut reader, own) = (Reader::default(), our_pid());
    let children = reader.children_of_thread(own, own).unwrap_or_else(|| {
        all_processes().filter(|pid| reader.stat(*pid).is_some_and(|stat| stat.parent == own)).collect()
    });
    for child in children.into_iter().filter(|pid| !is_main(*pid)).filter_map(pid_of) {
        // Nothing but our own children can be waited for, and only what has ended is.
        let _ = retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOHANG));
    }
}

/// One look at the processes.
struct Walk<'a> {
    runs: &'a [Run<'a>],
    by_group: HashMap<u32, usize>,
    by_token: HashMap<&'a [u8], usize>,
    reader: Reader,
    found: Vec<(usize, Leftover)>,
    /// Those that do not belong by themselves, by their parents.
    others: HashMap<u32, Vec<u32>>,
}

impl<'a> Walk<'a> {
    fn new(runs: &'a [Run<'a>]) -> Self {
        let numbered = || runs.iter().enumerate();
        // The group of a main process that somebody else has reaped may be a stranger's by now.
        let unreaped = numbered().filter(|(_, run)| run.process.is_unreaped());
        Self {
            runs,
            by_group: unreaped.map(|(index, run)| (run.process.pid(), index)).collect(),
            by_token: numbered().map(|(index, run)| (run.token.as_bytes(), index)).collect(),
            reader: Reader::default(),
            found: Vec::new(),
            others: HashMap::new(),
        }
    }

    /// Looks at every process there is.
    fn everything(&mut self, is_main: impl Fn(u32) -> bool) {
        let own = our_pid();
        // What is older than the oldest of the runs is no business of theirs, and is not looked at more closely.
        let began =
            self.runs.iter().map(|run| self.reader.stat(run.process.pid()).map_or(0, |stat| stat.started));
        let oldest = began.min().unwrap_or(0);
        for pid in all_processes().filter(|pid| *pid != own && !is_main(*pid)) {
            if self.reader.stat(pid).is_some_and(|stat| stat.started >= oldest) {
                self.look_at(pid);
            }
        }
    }

    /// Looks at these orphans, and at what descends from them and from the main processes of the runs.
    fn trees(&mut self, orphans: Vec<u32>, is_main: impl Fn(u32) -> bool) {
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
        match self.run_of(pid, stat.group) {
            Some(_) if self.found.len() == MOST => {}
            Some(run) => self.found.push((run, process)),
            None => self.others.entry(stat.parent).or_default().push(pid),
        }
        Some(stat.threads)
    }

    fn run_of(&mut self, pid: u32, group: u32) -> Option<usize> {
        if let Some(run) = self.by_group.get(&group) {
            return Some(*run);
        }
        // A command that is run for a component bears the run's token as well.
        let token = self.reader.variable(pid, [TASK_VARIABLE, RUN_VARIABLE])?;
        self.by_token.get(token).copied()
    }

    /// Adds the descendants of what belongs.
    fn descendants(&mut self) {
        let Self { runs, reader, found, others, .. } = self;
        for (index, run) in runs.iter().enumerate() {
            let (pid, pidfd) = (run.process.pid(), run.process.as_fd());
            let children = others.remove(&pid).unwrap_or_default();
            let room = MOST.saturating_sub(found.len());
            found.extend(confirmed(reader, &children, pid, pidfd).take(room).map(|child| (index, child)));
        }
        let mut next = 0;
        while let Some((run, parent)) = found.get(next) {
            let children = others.remove(&parent.pid).unwrap_or_default();
            let children = confirmed(reader, &children, parent.pid, parent.as_fd());
            let room = MOST.saturating_sub(found.len());
            let mut children: Vec<_> = children.take(room).map(|child| (*run, child)).collect();
            found.append(&mut children);
            next += 1;
        }
    }
}

/// Those of the candidates that are children of this parent.
fn confirmed(
    reader: &mut Reader,
    candidates: &[u32],
    parent: u32,
    parent_pidfd: BorrowedFd<'_>,
) -> impl Iterator<Item = Leftover> {
    candidates.iter().filter_map(move |pid| {
        let pidfd = pidfd_open(pid_of(*pid)?, PidfdFlags::empty()).ok()?;
        let stat = reader.stat(*pid)?;
        // If the parent lived on after this was read, then the pid that was named was surely the parent's.
        let is_child = stat.parent == parent && !stat.is_dead() && !has_ended(parent_pidfd);
        is_child.then_some(Leftover { pid: *pid, group: stat.group, pidfd })
    })
}

pub(super) fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut waiting = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    retry_on_intr(|| poll(&mut waiting, Some(&at_once))) != Ok::<usize, Errno>(0)
}

fn our_pid() -> u32 {
    getpid().as_raw_nonzero().get().unsigned_abs()
}

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::{Component, Started, end_of};

    /// The pids that a look finds for each of the components.
    fn look(components: &[&Started], orphans_come_to_us: bool) -> Vec<(usize, u32)> {
        let runs: Vec<_> = components.iter().map(|component| component.run()).collect();
        let is_main = |pid| components.iter().any(|component| component.pid() == pid);
        let mut found: Vec<_> = leftovers(&runs, is_main, orphans_come_to_us)
            .iter()
            .map(|(run, leftover)| (*run, leftover.pid()))
            .collect();
        found.sort_unstable();
        found
    }

    /// Starts a script that prints the pid of a process which outlives it or stays beside it.
    fn start(script: &str) -> (Started, u32) {
        let mut started = Component::shell(script).start();
        let pid = started.line().parse().unwrap();
        (started, pid)
    }

    #[test]
    fn a_child_in_the_background_is_left_when_its_parent_ends() {
        let (main, child) = start("env -i sleep 1000 & echo $!");
        main.wait();
        assert_eq!(look(&[&main], false), [(0, child)]);
    }

    #[test]
    fn a_child_in_a_session_of_its_own_is_known_by_its_token() {
        let (main, child) = start("setsid sh -c 'echo $$; exec sleep 1000' & wait");
        assert_eq!(look(&[&main], false), [(0, child)]);
    }

    #[test]
    fn a_daemon_that_forked_twice_is_known_by_its_token() {
        let (main, daemon) = start("(setsid sh -c 'echo $$; exec sleep 1000' & )");
        main.wait();
        assert_eq!(look(&[&main], false), [(0, daemon)]);
    }

    #[test]
    fn a_descendant_without_group_and_token_is_known_by_its_parents() {
        let (main, grandchild) =
            start("setsid env -i sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" & wait' & wait");
        let found = look(&[&main], false);
        assert!(found.contains(&(0, grandchild)), "{grandchild} in {found:?}");
        assert_eq!(found.len(), 2, "its parent as well: {found:?}");
    }

    #[test]
    fn each_leftover_belongs_to_its_own_run_only() {
        let (one, child_of_one) = start("sleep 1000 & echo $!; wait");
        let (two, child_of_two) = start("setsid sh -c 'echo $$; exec sleep 1000' & wait");
        let (other, _) = start("sleep 1000 & echo $!; wait");
        assert_eq!(look(&[&one], false), [(0, child_of_one)]);
        assert_eq!(look(&[&two, &one], false), [(0, child_of_two), (1, child_of_one)]);
        drop(other);
    }

    #[test]
    fn a_token_that_only_begins_alike_is_another_run() {
        let mut component = Component::shell("setsid sh -c 'echo $$; exec sleep 1000' & wait");
        component.token.push('0');
        let mut longer = component.start();
        longer.line();
        let token = longer.token().strip_suffix('0').unwrap().to_owned();
        let shorter = Component::shell("exec sleep 1000").start();
        let run = Run { process: shorter.process(), token: &token };
        assert!(leftovers(&[run], |pid| pid == shorter.pid() || pid == longer.pid(), false).is_empty());
    }

    #[test]
    fn the_dead_are_not_left() {
        // The child becomes a zombie of a program that waits for nobody, and that speaks once it has taken over.
        let script = "sleep 1000 & echo $!; exec tail -f /proc/sys/kernel/ostype";
        let (mut main, child) = start(script);
        assert_eq!(main.line(), "Linux");
        assert_eq!(look(&[&main], false), [(0, child)]);
        let held = pidfd_open(pid_of(child).unwrap(), PidfdFlags::empty()).unwrap();
        pidfd_send_signal(&held, Signal::KILL).unwrap();
        end_of(child);
        assert_eq!(Reader::default().stat(child).map(|stat| stat.is_dead()), Some(true));
        assert_eq!(look(&[&main], false), []);
    }

    #[test]
    fn a_group_whose_main_process_somebody_else_has_reaped_is_not_trusted() {
        let (main, child) = start("env -i sh -c 'echo $$; exec sleep 1000' &");
        main.wait();
        let held = pidfd_open(pid_of(child).unwrap(), PidfdFlags::empty()).unwrap();
        waitid(WaitId::Pid(pid_of(main.pid()).unwrap()), WaitIdOptions::EXITED).unwrap();
        assert_eq!(look(&[&main], false), []);
        pidfd_send_signal(held, Signal::KILL).unwrap();
    }

    #[test]
    fn a_leftover_is_stopped_and_killed_by_its_descriptor() {
        let (main, _) = start("setsid sh -c 'trap \"\" TERM; echo $$; sleep 1000; sleep 1000' & wait");
        let find = || {
            let runs = [main.run()];
            leftovers(&runs, |pid| pid == main.pid(), false)
        };
        // TERM ends the sleep, which has not inherited a handler but ignores it as the shell does: only KILL ends both.
        let found = find();
        assert!(!found.is_empty());
        for (_, leftover) in &found {
            leftover.signal(crate::Signal::TERM);
            assert!(!has_ended(leftover.as_fd()));
        }
        let mut found = found;
        while !found.is_empty() {
            for (_, leftover) in &found {
                leftover.kill();
                end_of(leftover.pid());
            }
            found = find();
        }
    }

    /// A subreaper is a whole process: so the scenario runs in one of its own.
    #[test]
    fn orphans_come_to_the_main_thread_where_they_are_found_and_reaped() {
        const NAME: &str =
            "os::linux::leftovers::tests::orphans_come_to_the_main_thread_where_they_are_found_and_reaped";
        if std::env::var_os("TEST_AS_SUBREAPER").is_some() {
            return orphans_in_a_subreaper();
        }
        #[expect(clippy::disallowed_methods, reason = "a test runs itself in a process of its own")]
        let mut scenario = std::process::Command::new(std::env::current_exe().unwrap());
        scenario.args(["--exact", NAME, "--test-threads=2"]).env("TEST_AS_SUBREAPER", "1");
        let output = scenario.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }

    fn orphans_in_a_subreaper() {
        rustix::process::set_child_subreaper(Some(getpid())).unwrap();
        let own = our_pid();
        assert_ne!(rustix::thread::gettid(), getpid(), "the driver is not the main thread");
        let orphans = || Reader::default().children_of_thread(own, own).unwrap();

        let (main, daemon) = start("(setsid sh -c 'echo $$; exec sleep 1000' & ); env -i sleep 1000 &");
        let (nested, grandchild) =
            start("(setsid sh -c 'env -i setsid sh -c \"echo \\$\\$; exec sleep 1000\" & wait' & )");
        main.wait();
        nested.wait();
        assert!(orphans().contains(&daemon), "the kernel gives them to the main thread");
        assert!(!orphans().contains(&main.pid()), "runs are children of the thread that spawned them");

        let found = look(&[&main, &nested], true);
        assert!(found.contains(&(0, daemon)) && found.contains(&(1, grandchild)), "{found:?}");
        assert_eq!(found.len(), 4, "the other child, and the parent of the grandchild: {found:?}");
        assert_eq!(found, look(&[&main, &nested], false), "a walk over everything finds the same");

        let runs = [main.run(), nested.run()];
        for (_, leftover) in leftovers(&runs, |_| false, true) {
            leftover.kill();
            end_of(leftover.pid());
        }
        assert!(orphans().contains(&daemon), "dead, but not reaped");
        reap_orphans(|pid| pid == main.pid() || pid == nested.pid());
        // The grandchild may have come to us only now.
        reap_orphans(|pid| pid == main.pid() || pid == nested.pid());
        assert_eq!(orphans(), [0; 0]);
        assert_eq!(main.process().exit(), Some(crate::Exit::Code(0)), "runs are left to the driver");
    }
}

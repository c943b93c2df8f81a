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

use super::proc::{Reader, Stat};
use super::process::{Process, as_sent, has_its_pid};
use crate::os::reserve::descriptors_are_scarce;
use crate::os::{RUN_VARIABLE, Run, TASK_VARIABLE};

/// The most that one look returns of a run, for each holds a descriptor. Who ends them all looks again.
const MOST: usize = 256;

/// What a look has found.
#[derive(Debug)]
pub(crate) struct Found {
    /// What lives, with the indexes of the runs that it belongs to.
    pub(crate) held: Vec<(usize, Leftover)>,
    /// Whether nothing is left of the runs of which nothing was found. Otherwise descriptors or memory were wanting, and
    /// it is not known.
    pub(crate) is_whole: bool,
}

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
        let pidfd = reader.opened(pidfd_open(pid_of(pid)?, PidfdFlags::empty()))?;
        let stat = reader.stat(pid).filter(|stat| !stat.is_dead())?;
        Some((Self { pid, group: stat.group, pidfd }, stat))
    }

    /// Its pid, for people: only the descriptor is surely its own.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Its pid and its descriptor.
    pub(super) fn into_parts(self) -> (u32, OwnedFd) {
        (self.pid, self.pidfd)
    }

    /// Whether it is not reaped yet, so that its pid is its own.
    pub(super) fn has_its_pid(&self) -> bool {
        has_its_pid(self.pidfd.as_fd())
    }

    /// Whether it leads a group, as every main process does when it begins.
    pub(crate) fn leads_a_group(&self) -> bool {
        self.group == self.pid
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
/// `is_main` names the main processes of all runs, which are skipped without being read. At most 256 of each run are
/// returned, only one of each where descriptors are scarce, and a process may be born while others are read: a run
/// is clean once a whole look finds nothing of it.
pub(crate) fn leftovers(runs: &[Run<'_>], is_main: impl Fn(u32) -> bool, orphans_come_to_us: bool) -> Found {
    if runs.is_empty() {
        return Found { held: Vec::new(), is_whole: true };
    }
    let mut walk = Walk::new(runs);
    let own = our_pid();
    // What an adopted one has left behind has gone to whoever inherited that itself.
    let by_orphans = orphans_come_to_us && !runs.iter().any(|run| run.process.is_adopted());
    let orphans = if by_orphans { walk.reader.children_of_thread(own, own) } else { None };
    match orphans {
        Some(orphans) => walk.trees(orphans, is_main),
        None => walk.everything(is_main),
    }
    walk.descendants();
    Found { held: walk.found, is_whole: !walk.reader.is_starved }
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
        let all = reader.all_processes();
        all.filter(|pid| reader.stat(*pid).is_some_and(|stat| stat.parent == own)).collect()
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
    /// How many were found of each run.
    counts: Vec<usize>,
    /// Those that do not belong by themselves, by their parents.
    others: HashMap<u32, Vec<u32>>,
}

impl<'a> Walk<'a> {
    fn new(runs: &'a [Run<'a>]) -> Self {
        let numbered = || runs.iter().enumerate();
        // The group of a main process that somebody else has reaped may be a stranger's by now.
        let unreaped = numbered().filter(|(_, run)| run.process.has_its_number());
        Self {
            runs,
            by_group: unreaped.map(|(index, run)| (run.process.pid(), index)).collect(),
            by_token: numbered().map(|(index, run)| (run.token.as_bytes(), index)).collect(),
            reader: Reader::default(),
            found: Vec::new(),
            counts: vec![0; runs.len()],
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
        for pid in self.reader.all_processes().filter(|pid| *pid != own && !is_main(*pid)) {
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
            Some(run) => self.add(run, process),
            None => self.others.entry(stat.parent).or_default().push(pid),
        }
        Some(stat.threads)
    }

    fn run_of(&mut self, pid: u32, group: u32) -> Option<usize> {
        let of_group = self.by_group.get(&group).copied();
        // Somebody else may have reaped an adopted one since, and its number may be another's.
        if let Some(run) = of_group.filter(|run| self.runs[*run].process.has_its_number()) {
            return Some(run);
        }
        // A command that is run for a component bears the run's token as well.
        let token = self.reader.variable(pid, [TASK_VARIABLE, RUN_VARIABLE])?;
        self.by_token.get(token).copied()
    }

    /// Keeps what belongs to a run, unless enough of that is kept: one where descriptors are scarce.
    fn add(&mut self, run: usize, process: Leftover) {
        let count = &mut self.counts[run];
        if *count == 0 || *count < MOST && !descriptors_are_scarce(&process.pidfd) {
            *count += 1;
            self.found.push((run, process));
        }
    }

    /// Adds the descendants of what belongs.
    fn descendants(&mut self) {
        let runs = self.runs;
        for (index, run) in runs.iter().enumerate() {
            let children = self.others.remove(&run.process.pid()).unwrap_or_default();
            for child in children {
                if let Some(child) =
                    confirmed(&mut self.reader, child, run.process.pid(), run.process.as_fd())
                {
                    self.add(index, child);
                }
            }
        }
        let mut next = 0;
        while let Some((run, parent)) = self.found.get(next) {
            let (run, pid) = (*run, parent.pid);
            for child in self.others.remove(&pid).unwrap_or_default() {
                let parent = self.found[next].1.as_fd();
                if let Some(child) = confirmed(&mut self.reader, child, pid, parent) {
                    self.add(run, child);
                }
            }
            next += 1;
        }
    }
}

/// The candidate, if it is a child of this parent.
pub(super) fn confirmed(
    reader: &mut Reader,
    candidate: u32,
    parent: u32,
    parent_pidfd: BorrowedFd<'_>,
) -> Option<Leftover> {
    let (child, stat) = Leftover::hold(reader, candidate)?;
    // If the parent lived on after this was read, then the pid that was named was surely the parent's.
    (stat.parent == parent && !has_ended(parent_pidfd)).then_some(child)
}

pub(super) fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut waiting = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    retry_on_intr(|| poll(&mut waiting, Some(&at_once))) != Ok::<usize, Errno>(0)
}

pub(super) fn our_pid() -> u32 {
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
            .held
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
    fn a_run_of_which_much_is_left_hides_no_other() {
        let much = format!("for i in $(seq {}); do sleep 1000 & done; echo $$", MOST + 20);
        let ((one, _), (other, child)) = (start(&much), start("sleep 1000 & echo $!"));
        one.wait();
        other.wait();
        let found = look(&[&one, &other], false);
        assert!(found.contains(&(1, child)), "{found:?}");
        let of_one = found.len() - 1;
        assert!((1..=MOST).contains(&of_one), "{of_one}");
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
        assert!(leftovers(&[run], |pid| pid == shorter.pid() || pid == longer.pid(), false).held.is_empty());
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
            leftovers(&runs, |pid| pid == main.pid(), false).held
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
        for (_, leftover) in leftovers(&runs, |_| false, true).held {
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

//! The processes that we have started: the main processes of runs, and the commands that tasks are; and what is watched
//! of each of them, and of what lives beside it.

mod named;

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use polling::Poller;

use self::named::Named;
use crate::os::{self, Leftover, OutOfMemory, Process, Reserve, Watched};
use crate::run::{Exit, RunId};
use crate::signal::Signal;
use crate::spec::Recipient;

/// Whose process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Owner {
    /// That of a run: its main process.
    Run(RunId),
    /// That of the task of this serial number: a command.
    Task(u64),
}

/// All that have a process, and the poller that watches them.
#[derive(Debug)]
pub(super) struct Runs {
    poller: Arc<Poller>,
    /// Boxed, because a map keeps room for as many again.
    by_owner: HashMap<Owner, Box<Run>>,
    main_pids: HashSet<u32>,
    /// Those that runs have named instead, until their ends are looked at: nobody else may reap them.
    named_pids: HashSet<u32>,
    watched: HashMap<usize, Owner>,
    /// The main processes of those of which nothing else is left. They are reaped when the round's work is done, so that
    /// no replacement waits for it.
    ended: Vec<Watched<Process>>,
    /// Those of which the last look could not tell whether anything is left.
    unsure: Vec<Owner>,
    last_key: usize,
    orphans_come_to_us: bool,
    /// Away only while it is lent out.
    reserve: Option<Reserve>,
    out_of_memory: OutOfMemory,
}

/// One of them, until it is reaped.
#[derive(Debug)]
struct Run {
    owner: Owner,
    token: String,
    process: Watched<Process>,
    named: Named,
    /// The user of its main process when a sender of notifications was last looked at.
    user: Option<u32>,
    exit: Option<Exit>,
    /// Whether SIGKILL has come from us.
    killed: bool,
    leftovers: Vec<Held>,
}

/// A process of a run beside its main process.
#[derive(Debug)]
struct Held {
    leftover: Watched<Leftover>,
    /// The signals that it has got.
    told: Vec<Signal>,
}

/// How a main process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    /// The most memory that it has had resident, in bytes, if that is known.
    pub(super) peak_memory: Option<u64>,
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
            by_owner: HashMap::new(),
            main_pids: HashSet::new(),
            named_pids: HashSet::new(),
            watched: HashMap::new(),
            ended: Vec::new(),
            unsure: Vec::new(),
            // Zero is the key of SIGCHLD.
            last_key: 0,
            orphans_come_to_us,
            reserve: Some(Reserve::new()),
            out_of_memory: OutOfMemory::watch(),
        }
    }

    /// Takes charge of the process of a new run, or of a task, and gives its pid.
    ///
    /// # Errors
    /// When it cannot be watched. It is then killed and reaped again.
    pub(super) fn add(&mut self, owner: Owner, token: String, process: Process) -> io::Result<u32> {
        let pid = process.pid();
        let process = self.watch(owner, process).inspect_err(|_| os::destroy(pid))?;
        self.main_pids.insert(pid);
        let run = Run {
            owner,
            token,
            process,
            named: Named::No,
            user: None,
            exit: None,
            killed: false,
            leftovers: Vec::new(),
        };
        self.by_owner.insert(owner, Box::new(run));
        Ok(pid)
    }

    /// The pid of a main process that lives.
    pub(super) fn living(&self, run: RunId) -> Option<u32> {
        let run = self.run(Owner::Run(run)).filter(|run| run.exit.is_none())?;
        Some(run.named_process().map_or(run.process.pid(), Leftover::pid))
    }

    /// The token of a run of which something is left.
    pub(super) fn token(&self, run: RunId) -> Option<&str> {
        self.run(Owner::Run(run)).map(|run| run.token.as_str())
    }

    /// Whether any process of a task is left, dead or alive.
    pub(super) fn has_tasks(&self) -> bool {
        self.by_owner.keys().any(|owner| matches!(owner, Owner::Task(_)))
    }

    /// Whether orphans come to us.
    pub(super) fn orphans_come_to_us(&self) -> bool {
        self.orphans_come_to_us
    }

    /// Whose a notice of the poller is, if that is still there: a notice can come after what it is about.
    pub(super) fn noticed(&mut self, key: usize) -> Option<Owner> {
        let owner = self.watched.get(&key).copied()?;
        let run = self.run_mut(owner)?;
        let place = run.leftovers.iter().position(|held| held.leftover.key() == key);
        if let Some(ended) = place.map(|place| run.leftovers.swap_remove(place).leftover) {
            self.watched.remove(&key);
            self.note_end(owner, &ended);
        }
        Some(owner)
    }

    /// How a main process ended, said once. The first process is not reaped yet: its pid stays its own.
    pub(super) fn take_exit(&mut self, owner: Owner, now: Duration) -> Option<Ended> {
        let run = self.run_mut(owner)?;
        let first = run.process.exit();
        if first.is_some() {
            run.process.pause();
        }
        if run.exit.is_some() {
            return None;
        }
        let mut exit = run.named.exit_beside(first)?;
        run.exit = Some(exit);
        let peak_memory = if run.named == Named::No { run.process.peak_memory() } else { None };
        let is_strange_kill =
            matches!(exit, Exit::Signal { signal, .. } if signal == Signal::KILL.number()) && !run.killed;
        if is_strange_kill && self.out_of_memory.explains_an_end(now) {
            exit = Exit::OutOfMemory;
        }
        Some(Ended { exit, peak_memory })
    }

    /// Sends a signal to the processes of a run: its group while the main process lives, then what has left the group.
    pub(super) fn signal(&mut self, run: RunId, signal: Signal, to: Recipient) {
        let owner = Owner::Run(run);
        if let Some(run) = self.run_mut(owner) {
            run.killed |= signal == Signal::KILL;
        }
        if to == Recipient::Main {
            if let Some(run) = self.run(owner).filter(|run| run.exit.is_none()) {
                match run.named_process() {
                    Some(named) => named.signal(signal),
                    None => run.process.signal(signal),
                }
            }
            return;
        }
        self.hold_family(owner);
        let Some(run) = self.run_mut(owner) else { return };
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
    pub(super) fn forward(&mut self, run: RunId, signal: Signal) {
        if let Some(run) = self.run_mut(Owner::Run(run)).filter(|run| run.exit.is_none()) {
            run.killed |= signal == Signal::KILL;
            match run.named_process() {
                Some(named) => named.forward(signal),
                None => run.process.forward(signal),
            }
        }
    }

    /// Kills every process that is known of a run, or of a task.
    pub(super) fn kill(&mut self, owner: Owner) {
        self.hold_family(owner);
        if let Some(run) = self.run_mut(owner) {
            run.killed = true;
            run.kill();
        }
    }

    /// Takes hold of what descends from a main process that lives: once it has ended, a descendant that has left its
    /// group and forgotten its token could not be told from a stranger.
    fn hold_family(&mut self, owner: Owner) {
        let Some(run) = self.run(owner).filter(|run| run.exit.is_none()) else { return };
        let is_main = |pid| self.main_pids.contains(&pid);
        let family = if run.process.exit().is_none() {
            os::descendants(&run.asked(), is_main)
        } else {
            // The family of a daemon has nobody to descend from any more.
            let found = os::leftovers(&[run.asked()], is_main, self.orphans_come_to_us);
            found.held.into_iter().map(|(_, leftover)| leftover).collect()
        };
        self.hold(owner, family);
    }

    /// Looks what is left of these runs, whose main processes have ended, and of those of which an earlier look could not
    /// tell. One walk over the processes serves all. Nothing is said of those of which it cannot tell either.
    pub(super) fn look(&mut self, owners: &[Owner]) -> Vec<(Owner, Look)> {
        let mut owners = owners.to_vec();
        owners.append(&mut self.unsure);
        if owners.is_empty() {
            return Vec::new();
        }
        owners.sort_unstable();
        owners.dedup();
        // If nothing could be opened, nothing would be found: some descriptors are kept back for this moment.
        let mut reserve = self.reserve.take().unwrap_or_else(Reserve::new);
        let looks = reserve.lend(|| self.look_now(&owners));
        self.reserve = Some(reserve);
        looks
    }

    fn look_now(&mut self, owners: &[Owner]) -> Vec<(Owner, Look)> {
        let runs: Vec<_> =
            owners.iter().filter_map(|owner| self.run(*owner).filter(|run| run.exit.is_some())).collect();
        let asked: Vec<_> = runs.iter().map(|run| run.asked()).collect();
        let is_main = |pid| self.main_pids.contains(&pid);
        let found = os::leftovers(&asked, is_main, self.orphans_come_to_us);
        let mut left: HashMap<Owner, Vec<Leftover>> = HashMap::new();
        for (index, leftover) in found.held {
            left.entry(runs[index].owner).or_default().push(leftover);
        }
        let looked_at: Vec<_> = runs.iter().map(|run| run.owner).collect();
        let looks = looked_at.into_iter().filter_map(|owner| {
            let look = self.note(owner, left.remove(&owner).unwrap_or_default(), found.is_whole)?;
            Some((owner, look))
        });
        looks.collect()
    }

    /// Whether there are runs that are to be looked at again in a moment, because the last look could not tell whether
    /// anything is left of them.
    pub(super) fn is_unsure(&self) -> bool {
        !self.unsure.is_empty()
    }

    /// Takes note of what the kernel does, by which ends may be explained later.
    pub(super) fn look_at_memory(&mut self, now: Duration) {
        self.out_of_memory.look(now);
    }

    /// Reaps orphans that came to us and have ended.
    pub(super) fn reap_orphans(&self) {
        os::reap_orphans(|pid| self.main_pids.contains(&pid) || self.named_pids.contains(&pid));
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

    fn note(&mut self, owner: Owner, found: Vec<Leftover>, is_whole: bool) -> Option<Look> {
        let is_clean = found.is_empty() && is_whole;
        self.hold(owner, found);
        let Some(run) = self.run(owner) else { return Some(Look::Gone) };
        // The first process may live on when another that it has named has ended.
        let first = run.process.exit().is_none().then(|| run.process.pid());
        let left: Vec<_> =
            first.into_iter().chain(run.leftovers.iter().map(|held| held.leftover.pid())).collect();
        match (left.is_empty(), is_clean) {
            (false, _) => Some(Look::Left(left)),
            (true, true) => {
                self.let_go(owner);
                Some(Look::Gone)
            }
            // Either not everything could be read, or what was found could not be watched.
            (true, false) => {
                self.unsure.push(owner);
                None
            }
        }
    }

    /// Watches these, beside those of the run that are held already. One that cannot be watched is found again by
    /// the look that follows the end of another.
    fn hold(&mut self, owner: Owner, found: Vec<Leftover>) {
        for leftover in found {
            let is_held = |run: &Run| run.leftovers.iter().any(|held| held.leftover.pid() == leftover.pid());
            if self.run(owner).is_none_or(is_held) {
                continue;
            }
            if let (Ok(watched), Some(run)) = (self.watch(owner, leftover), self.by_owner.get_mut(&owner)) {
                run.leftovers.push(Held { leftover: watched, told: Vec::new() });
            }
        }
    }

    fn let_go(&mut self, owner: Owner) {
        if let Some(run) = self.by_owner.remove(&owner) {
            self.watched.remove(&run.process.key());
            for held in &run.leftovers {
                self.watched.remove(&held.leftover.key());
            }
            self.forget_name(run.named);
            self.ended.push(run.process);
        }
    }

    fn watch<D: AsFd>(&mut self, owner: Owner, source: D) -> io::Result<Watched<D>> {
        self.last_key += 1;
        let watched = Watched::new(source, &self.poller, self.last_key)?;
        self.watched.insert(self.last_key, owner);
        Ok(watched)
    }

    fn run(&self, owner: Owner) -> Option<&Run> {
        self.by_owner.get(&owner).map(|run| &**run)
    }

    fn run_mut(&mut self, owner: Owner) -> Option<&mut Run> {
        self.by_owner.get_mut(&owner).map(|run| &mut **run)
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
        self.by_owner.values().for_each(|run| run.kill());
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use polling::Events;

    use super::*;
    use crate::os::{Launch, LaunchPad};
    use crate::spec::ProcessSpec;

    fn start(runs: &mut Runs, run: RunId, program: &str, arguments: &[&str]) {
        let token = format!("runs/{}/{}", std::process::id(), run.component);
        let mut spec = ProcessSpec::new("ps", program).unwrap();
        spec.arguments = arguments.iter().map(Into::into).collect();
        let nowhere = File::options().write(true).open("/dev/null").unwrap();
        let (stdout, stderr) = (nowhere.as_fd(), nowhere.as_fd());
        let launch = Launch {
            spec: &spec,
            environment: &[("PATH".into(), "/usr/bin:/bin".into())],
            added: &[],
            token: &token,
            account: None,
            open_files: None,
            cgroup: None,
            errand: None,
            ready: None,
            stdout,
            stderr,
        };
        let mut pad = LaunchPad::new().unwrap();
        let process = os::spawn(&launch, &mut pad).unwrap().into_process(&mut pad);
        runs.add(Owner::Run(run), token, process).unwrap();
    }

    /// How a sleeper ends that is killed while the kernel counts so many that it has killed for memory.
    fn end_of_killed(kill: impl FnOnce(&mut Runs, RunId), counted: u32) -> Exit {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("memory.events");
        fs::write(&count, "oom_kill 7\n").unwrap();
        let poller = Arc::new(Poller::new().unwrap());
        let mut runs = Runs::new(Arc::clone(&poller), false);
        runs.out_of_memory = OutOfMemory::in_file(Some(&count));

        let run = RunId { component: 0, number: 1 };
        start(&mut runs, run, "/bin/sleep", &["1000"]);

        fs::write(&count, format!("oom_kill {}\n", 7 + counted)).unwrap();
        kill(&mut runs, run);
        let ended = loop {
            if let Some(ended) = runs.take_exit(Owner::Run(run), Duration::ZERO) {
                break ended;
            }
            poller.wait(&mut Events::new(), None).unwrap();
        };
        while runs.look(&[Owner::Run(run)]) != [(Owner::Run(run), Look::Gone)] {}
        runs.reap_ended();
        ended.exit
    }

    fn by_a_stranger(runs: &mut Runs, run: RunId) {
        let pid = i32::try_from(runs.living(run).unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn killed_for_memory_is_said_only_when_the_kernel_says_so_and_it_was_not_us() {
        let plain = Exit::Signal { signal: 9, core_dumped: false };
        assert_eq!(end_of_killed(by_a_stranger, 1), Exit::OutOfMemory);
        assert_eq!(end_of_killed(by_a_stranger, 0), plain);
        assert_eq!(end_of_killed(|runs, run| runs.kill(Owner::Run(run)), 1), plain);
        assert_eq!(end_of_killed(|runs, run| runs.forward(run, Signal::KILL), 1), plain);
        let terminate = |runs: &mut Runs, run| runs.signal(run, Signal::TERM, Recipient::Group);
        assert_eq!(end_of_killed(terminate, 1), Exit::Signal { signal: 15, core_dumped: false });
    }

    #[test]
    fn only_one_stranger_is_looked_at_in_a_round_and_members_of_any_user_are_heard() {
        let poller = Arc::new(Poller::new().unwrap());
        let mut runs = Runs::new(poller, false);
        let run = RunId { component: 7, number: 1 };
        start(&mut runs, run, "/bin/sleep", &["1000"]);
        let main = runs.living(run).unwrap();
        let ours = rustix::process::geteuid().as_raw();
        let other = ours + 4242;
        let mut senders = |all: &[(u32, u32)]| {
            let mut looked_at = None;
            let speak = |&(pid, user)| runs.may_speak(run, os::Sender { pid, user }, &mut looked_at);
            all.iter().map(speak).collect::<Vec<_>>()
        };
        assert_eq!(senders(&[(main, other), (main, other), (1, other)]), [true, true, false]);
        assert_eq!(senders(&[(1, other), (main, other), (0, ours), (0, 0)]), [false, false, true, true]);
        for nobody in [0, std::process::id()] {
            assert_eq!(senders(&[(nobody, other)]), [false]);
        }
    }

    /// It takes every descriptor that there is: so the scenario runs in a process of its own.
    #[test]
    fn where_descriptors_are_wanting_no_run_is_said_to_be_gone_while_something_of_it_lives() {
        const NAME: &str = "supervisor::runs::tests::\
            where_descriptors_are_wanting_no_run_is_said_to_be_gone_while_something_of_it_lives";
        if std::env::var_os("TEST_WITHOUT_DESCRIPTORS").is_some() {
            return looks_without_descriptors();
        }
        #[expect(clippy::disallowed_methods, reason = "a test runs itself in a process of its own")]
        let mut scenario = std::process::Command::new(std::env::current_exe().unwrap());
        scenario.args(["--exact", NAME]).env("TEST_WITHOUT_DESCRIPTORS", "1");
        let output = scenario.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    fn looks_without_descriptors() {
        const RUNS: u32 = 8;
        let poller = Arc::new(Poller::new().unwrap());
        let mut runs = Runs::new(Arc::clone(&poller), false);
        let owners: Vec<_> = (0..RUNS).map(|component| Owner::Run(RunId { component, number: 1 })).collect();
        for component in 0..RUNS {
            start(&mut runs, RunId { component, number: 1 }, "/bin/sh", &["-c", "sleep 1000 &"]);
        }
        for owner in &owners {
            while runs.take_exit(*owner, Duration::ZERO).is_none() {
                poller.wait(&mut Events::new(), None).unwrap();
            }
        }

        let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let is_left = |looks: &[(Owner, Look)]| {
            looks.iter().all(|(_, look)| matches!(look, Look::Left(pids) if pids.len() == 1))
        };
        let first = runs.look(&owners);
        assert!(is_left(&first) && first.len() < owners.len() && runs.is_unsure(), "{first:?}");
        let again = runs.look(&[]);
        assert!(is_left(&again) && runs.is_unsure(), "{again:?}");
        drop(taken);
        let last = runs.look(&[]);
        assert!(is_left(&last) && !runs.is_unsure(), "{last:?}");
        assert_eq!(first.len() + again.len() + last.len(), owners.len());

        for owner in &owners {
            runs.kill(*owner);
            while runs.look(&[*owner]) != [(*owner, Look::Gone)] {
                let mut events = Events::new();
                poller.wait(&mut events, None).unwrap();
                for event in events.iter() {
                    runs.noticed(event.key);
                }
            }
        }
        runs.reap_ended();
    }
}

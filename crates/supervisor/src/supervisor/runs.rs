//! The processes that we have started: the main processes of runs, and the commands that tasks are; and what is watched
//! of each of them, and of what lives beside it.

mod grouped;
mod looking;
mod named;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use polling::Poller;

use self::grouped::Groups;
use self::looking::Looking;
pub(super) use self::looking::{Look, Looked};
use self::named::Named;
use super::handle::Mailbox;
use crate::os::{
    self, ControlGroup, Identity, Leftover, OutOfMemory, Population, Process, Watchable, Watched,
};
use crate::run::{Exit, RunId};
use crate::signal::Signal;
use crate::spec::{ComponentId, Recipient};

/// The poller's key for the memory of our control group. Zero is that of SIGCHLD.
const MEMORY_KEY: usize = 1;

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
    ended: Vec<Watched<Arc<Process>>>,
    looking: Looking,
    last_key: usize,
    orphans_come_to_us: bool,
    out_of_memory: OutOfMemory,
    groups: Groups,
}

/// One of them, until it is reaped.
#[derive(Debug)]
struct Run {
    owner: Owner,
    token: Arc<str>,
    /// Shared with who looks what is left of it.
    process: Watched<Arc<Process>>,
    /// The control group in which it was started, if it was started in one.
    group: Option<Arc<ControlGroup>>,
    /// Whether anybody is left there, once its main process has ended.
    population: Option<Watched<Population>>,
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

impl Runs {
    pub(super) fn new(poller: Arc<Poller>, mailbox: Mailbox, orphans_come_to_us: bool) -> Self {
        let out_of_memory = OutOfMemory::watch(&poller, MEMORY_KEY);
        Self {
            poller,
            by_owner: HashMap::new(),
            main_pids: HashSet::new(),
            named_pids: HashSet::new(),
            watched: HashMap::new(),
            ended: Vec::new(),
            looking: Looking::new(mailbox),
            last_key: MEMORY_KEY,
            orphans_come_to_us,
            out_of_memory,
            groups: Groups::default(),
        }
    }

    /// Takes charge of the process of a new run, or of a task, and gives its pid.
    ///
    /// # Errors
    /// When it cannot be watched. It is then killed and reaped again.
    pub(super) fn add(&mut self, owner: Owner, token: Arc<str>, process: Process) -> io::Result<u32> {
        let pid = process.pid();
        let group = self.groups.started_in(owner);
        self.take(owner, token, process, group).inspect_err(|_| os::destroy(pid))
    }

    /// Takes charge of the main process of a run that another supervisor has started, and gives its pid.
    ///
    /// # Errors
    /// When it cannot be watched. It lives on then.
    pub(super) fn adopt(
        &mut self,
        run: RunId,
        id: &ComponentId,
        token: Arc<str>,
        process: Process,
    ) -> io::Result<u32> {
        let group = self.group_of_adopted(run.component, id, &process);
        self.take(Owner::Run(run), token, process, group)
    }

    fn take(
        &mut self,
        owner: Owner,
        token: Arc<str>,
        process: Process,
        group: Option<Arc<ControlGroup>>,
    ) -> io::Result<u32> {
        let pid = process.pid();
        let process = self.watch(owner, Arc::new(process))?;
        self.main_pids.insert(pid);
        let run = Run {
            owner,
            token,
            process,
            group,
            population: None,
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
        self.run(Owner::Run(run)).filter(|run| run.exit.is_none()).map(Run::main_pid)
    }

    /// The pid of the main process of a run of which something is left. It may have ended.
    pub(super) fn main_pid(&self, run: RunId) -> Option<u32> {
        self.run(Owner::Run(run)).map(Run::main_pid)
    }

    /// What makes the first process of a run that very process, to whoever comes after us.
    pub(super) fn identity(&self, run: RunId) -> Option<Identity> {
        self.run(Owner::Run(run))?.process.identity()
    }

    /// The token of a run of which something is left.
    pub(super) fn token(&self, run: RunId) -> Option<&Arc<str>> {
        self.run(Owner::Run(run)).map(|run| &run.token)
    }

    /// The control group in which a run was started, if it was started in one.
    pub(super) fn control_group(&self, run: RunId) -> Option<Arc<ControlGroup>> {
        self.run(Owner::Run(run))?.group.clone()
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
        if key == MEMORY_KEY {
            self.out_of_memory.rung();
        }
        self.groups.noticed(key);
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
        if is_strange_kill && self.is_kill_for_memory(owner, now) {
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
        // In a control group, whoever is there is killed without being looked for.
        if self.run(owner).is_some_and(|run| run.group.is_none()) {
            self.hold_family(owner);
        }
        if let Some(run) = self.run_mut(owner) {
            run.killed = true;
            run.kill();
        }
    }

    /// Takes hold of what descends from the processes of a run that are known, while its main process lives: once that
    /// has ended, a descendant that has left its group could not be told from a stranger without much reading.
    fn hold_family(&mut self, owner: Owner) {
        if let Some((group, main)) = self.run(owner).and_then(Run::group) {
            let members = group.members(main);
            return self.hold(owner, members.held);
        }
        let Some(run) = self.run(owner).filter(|run| run.exit.is_none()) else { return };
        let first = Some(run.process.root()).filter(|_| run.process.exit().is_none());
        let beside = run.leftovers.iter().map(|held| held.leftover.root());
        let roots: Vec<_> = first.into_iter().chain(beside).collect();
        let family = os::descendants(&roots, |pid| self.main_pids.contains(&pid));
        self.hold(owner, family);
    }

    /// Lets go of everything that is still there, which lives on.
    pub(super) fn leave(&mut self) {
        self.by_owner.clear();
    }

    /// Takes note of what the kernel does, by which ends may be explained later.
    pub(super) fn look_at_memory(&mut self, now: Duration) {
        self.out_of_memory.look(now);
        self.groups.look_at_memory(now);
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

    fn watch<D: Watchable>(&mut self, owner: Owner, source: D) -> io::Result<Watched<D>> {
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
        if let Some(group) = &self.group {
            group.kill();
        }
        self.leftovers.iter().for_each(|held| held.leftover.kill());
    }
}

impl Drop for Runs {
    /// After an orderly end nothing is here but what cannot be killed. After a fault of the driver's, everything is.
    fn drop(&mut self) {
        self.by_owner.values().for_each(|run| run.kill());
    }
}

// Of memory that runs out, and of environments that are read: only Linux tells of these.
#[cfg(all(target_os = "linux", not(s7_posix)))]
#[cfg(test)]
mod tests;

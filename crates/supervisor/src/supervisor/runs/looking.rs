//! How it is found out what is left of a run whose main process has ended.
//!
//! What can be told at once, by groups and parents, is. If that leaves processes of which only their environments could
//! tell whose they are, then those are read by a thread beside the driver: it may hang, where a process waits for a disk
//! or a network while it changes its memory. One look serves all runs that wait for one; those that come meanwhile are
//! for the next.
//!
//! Who hangs longer than two seconds is not waited for: what can be told at once has to do, people are told so, and
//! supervision goes on. What the thread finds when it goes on belongs to runs that are over, and is killed.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Held, Owner, Run, Runs};
use crate::os::{self, Leftover, Process, Reserve};
use crate::supervisor::handle::{Command, Mailbox};
use crate::supervisor::helper::Helper;

/// How soon runs are looked at again of which could not be told whether anything is left.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long the thread may read before it is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a look at a run has shown.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Look {
    /// These processes are left.
    Left(Vec<u32>),
    /// Nothing is left, and the main process is about to be reaped.
    Gone,
}

/// What the thread has found.
#[derive(Debug)]
pub(in crate::supervisor) struct Looked {
    found: Vec<(Owner, Leftover)>,
    is_whole: bool,
}

/// The looks that are under way or due.
#[derive(Debug)]
pub(super) struct Looking {
    helper: Helper,
    mailbox: Mailbox,
    /// If nothing could be opened, nothing would be found: some descriptors are kept back for the looks at once,
    pub(super) reserve: Reserve,
    /// and some for those of the thread.
    reserve_of_thread: Arc<Mutex<Reserve>>,
    /// The process whose environment the thread is reading, or 0.
    reading: Arc<AtomicU32>,
    asked: Asked,
    /// Those that are for the next look of the thread.
    waiting: BTreeSet<Owner>,
    /// Those of which the last look could not tell whether anything is left.
    unsure: BTreeSet<Owner>,
    again_at: Duration,
}

/// What the thread has been asked.
#[derive(Debug)]
enum Asked {
    Nothing,
    /// To look at these, and until when it is waited for.
    Look(Vec<Owner>, Duration),
    /// Something that it has not answered in time.
    TooMuch,
}

impl Looking {
    pub(super) fn new(mailbox: Mailbox) -> Self {
        Self {
            helper: Helper::new("leftovers"),
            mailbox,
            reserve: Reserve::new(),
            reserve_of_thread: Arc::new(Mutex::new(Reserve::new())),
            reading: Arc::default(),
            asked: Asked::Nothing,
            waiting: BTreeSet::new(),
            unsure: BTreeSet::new(),
            again_at: Duration::ZERO,
        }
    }
}

impl Runs {
    /// Looks what is left of these runs, whose main processes have ended, and of those of which an earlier look could not
    /// tell. One walk over the processes serves all. Nothing is said yet of those of which it cannot tell either.
    pub(in crate::supervisor) fn look(&mut self, owners: &[Owner], now: Duration) -> Vec<(Owner, Look)> {
        let mut owners: BTreeSet<_> = owners.iter().copied().collect();
        if now >= self.looking.again_at {
            owners.append(&mut self.looking.unsure);
        }
        let mut looks = Vec::new();
        if let Asked::Look(asked, until) = &mut self.looking.asked
            && now >= *until
        {
            owners.extend(mem::take(asked));
            owners.append(&mut self.looking.waiting);
            self.looking.asked = Asked::TooMuch;
        }
        owners.retain(|owner| self.run(*owner).is_some_and(|run| run.exit.is_some()));
        self.look_into_groups(&mut owners, &mut looks, now);
        if owners.is_empty() {
            return looks;
        }
        let is_thread_needed = match self.looking.asked {
            // Nothing that can be told at once would do, and to ask twice is dear.
            Asked::Nothing | Asked::Look(..) if !self.orphans_come_to_us => true,
            _ => {
                let has_strangers = self.look_at_once(&mut owners, &mut looks, now);
                has_strangers && !matches!(self.looking.asked, Asked::TooMuch)
            }
        };
        if is_thread_needed {
            self.looking.waiting.append(&mut owners);
            self.ask_thread(now);
        }
        for owner in owners {
            looks.extend(self.note(owner, true, now).map(|look| (owner, look)));
        }
        looks
    }

    /// Has the next look go over this one too, though nothing was noticed of it.
    pub(in crate::supervisor) fn look_again(&mut self, owner: Owner) {
        self.looking.unsure.insert(owner);
    }

    /// The thread has looked.
    pub(in crate::supervisor) fn looked(&mut self, looked: Looked, now: Duration) -> Vec<(Owner, Look)> {
        let asked = match mem::replace(&mut self.looking.asked, Asked::Nothing) {
            Asked::Look(owners, _) => owners,
            Asked::Nothing | Asked::TooMuch => Vec::new(),
        };
        let mut owners: BTreeSet<_> = asked.into_iter().collect();
        let mut found: HashMap<Owner, Vec<Leftover>> = HashMap::new();
        for (owner, leftover) in looked.found {
            if self.run(owner).is_some() {
                owners.insert(owner);
                found.entry(owner).or_default().push(leftover);
            } else {
                leftover.kill();
            }
        }
        let mut looks = Vec::new();
        for owner in owners {
            let its = found.remove(&owner).unwrap_or_default();
            let is_clean = its.is_empty() && looked.is_whole;
            self.hold(owner, its);
            looks.extend(self.note(owner, is_clean, now).map(|look| (owner, look)));
        }
        self.ask_thread(now);
        looks
    }

    /// When there is to be another look, whatever happens until then.
    pub(in crate::supervisor) fn deadline(&self) -> Option<Duration> {
        let again = Some(self.looking.again_at).filter(|_| !self.looking.unsure.is_empty());
        match self.looking.asked {
            Asked::Look(_, until) => Some(again.map_or(until, |again| again.min(until))),
            Asked::Nothing | Asked::TooMuch => again,
        }
    }

    /// What people should know.
    pub(in crate::supervisor) fn conditions(&self) -> impl Iterator<Item = String> {
        self.condition().into_iter().chain(self.groups.condition())
    }

    /// What people should know, if the thread hangs.
    pub(super) fn condition(&self) -> Option<String> {
        matches!(self.looking.asked, Asked::TooMuch).then(|| {
            let which = match self.looking.reading.load(Ordering::Relaxed) {
                0 => "a process".to_owned(),
                pid => format!("process {pid}"),
            };
            format!(
                "cannot tell in full what runs have left behind: the environment of {which} cannot be read now (does it \
                 wait for a disk?); what has left the group of its run may live on until it can"
            )
        })
    }

    /// Has the thread hang until this says otherwise.
    #[cfg(test)]
    #[cfg(all(target_os = "linux", not(s7_posix)))]
    pub(super) fn hang(&mut self, until: crossbeam_channel::Receiver<()>) {
        assert!(self.looking.helper.ask(move || assert!(until.recv().is_err())));
    }

    /// Takes those out of which something is left by what can be told at once, or nothing could be told. Says whether
    /// there are strangers, which may belong to the others.
    fn look_at_once(
        &mut self,
        owners: &mut BTreeSet<Owner>,
        looks: &mut Vec<(Owner, Look)>,
        now: Duration,
    ) -> bool {
        let mut reserve = mem::take(&mut self.looking.reserve);
        let runs: Vec<_> = owners.iter().filter_map(|owner| self.run(*owner)).collect();
        let asked: Vec<_> = runs.iter().map(|run| run.asked()).collect();
        let is_main = |pid| self.main_pids.contains(&pid);
        let found = reserve.lend(|| os::leftovers_at_once(&asked, is_main, self.orphans_come_to_us));
        let indexes: Vec<_> = runs.iter().map(|run| run.owner).collect();
        self.looking.reserve = reserve;
        let mut left: HashMap<Owner, Vec<Leftover>> = HashMap::new();
        for (index, leftover) in found.held {
            left.entry(indexes[index]).or_default().push(leftover);
        }
        owners.retain(|owner| {
            let its = left.remove(owner).unwrap_or_default();
            let is_clean = its.is_empty() && found.is_whole;
            self.hold(*owner, its);
            let has_more = self.run(*owner).is_some_and(Run::has_more);
            if is_clean && !has_more {
                return true;
            }
            looks.extend(self.note(*owner, is_clean, now).map(|look| (*owner, look)));
            false
        });
        found.has_strangers
    }

    /// Has the thread look at those that wait for that, unless it is looking.
    fn ask_thread(&mut self, now: Duration) {
        if !matches!(self.looking.asked, Asked::Nothing) {
            return;
        }
        let owners = mem::take(&mut self.looking.waiting);
        let runs: Vec<_> = owners.iter().filter_map(|owner| self.run(*owner)).map(Run::shared).collect();
        if runs.is_empty() {
            return;
        }
        let main_pids = self.main_pids.clone();
        let orphans_come_to_us = self.orphans_come_to_us;
        let (reserve, reading) =
            (Arc::clone(&self.looking.reserve_of_thread), Arc::clone(&self.looking.reading));
        let mailbox = self.looking.mailbox.clone();
        let taken = self.looking.helper.ask(move || {
            let asked: Vec<_> = runs.iter().map(|(_, process, token)| os::Run { process, token }).collect();
            let is_main = |pid| main_pids.contains(&pid);
            let mut reserve = reserve.lock().unwrap_or_else(PoisonError::into_inner);
            let found =
                reserve.lend(|| os::leftovers_by_token(&asked, is_main, orphans_come_to_us, &reading));
            let held = found.held.into_iter().map(|(index, leftover)| (runs[index].0, leftover));
            mailbox.send(Command::Looked(Looked { found: held.collect(), is_whole: found.is_whole }));
        });
        if taken {
            self.looking.asked = Asked::Look(owners.into_iter().collect(), now.saturating_add(PATIENCE));
        } else {
            self.look_again_at(owners, now);
        }
    }

    /// What is to be said of a run by what is held of it. `is_clean` says whether the last look has found nothing, for
    /// sure.
    pub(super) fn note(&mut self, owner: Owner, is_clean: bool, now: Duration) -> Option<Look> {
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
                self.look_again_at([owner].into(), now);
                None
            }
        }
    }

    fn look_again_at(&mut self, mut owners: BTreeSet<Owner>, now: Duration) {
        self.looking.unsure.append(&mut owners);
        self.looking.again_at = now.saturating_add(LOOK_AGAIN);
    }

    /// Watches these, beside those of the run that are held already. One that cannot be watched is found again by
    /// the look that follows the end of another.
    pub(super) fn hold(&mut self, owner: Owner, found: Vec<Leftover>) {
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
            if let Some(population) = &run.population {
                self.watched.remove(&population.key());
            }
            self.forget_name(run.named);
            self.ended.push(run.process);
        }
    }
}

impl Run {
    pub(super) fn has_more(&self) -> bool {
        self.process.exit().is_none() || !self.leftovers.is_empty()
    }

    fn shared(&self) -> (Owner, Arc<Process>, Arc<str>) {
        (self.owner, Arc::clone(&self.process), Arc::clone(&self.token))
    }
}

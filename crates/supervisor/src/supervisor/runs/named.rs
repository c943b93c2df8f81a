//! The process that a run names as its main process (`MAINPID=`), as a daemon does whose first process only starts it.
//!
//! The run then lasts as long as that one. It is held as every process beside the first is; the first process, if it
//! ends well before, stays unreaped for so long, so that the id of its group stays its own.

use std::sync::Arc;

use super::{Owner, Run, Runs};
use crate::os::{self, Leftover, Sender};
use crate::run::{Exit, RunId};

/// What a run has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// Nothing: the first process is the main one.
    No,
    /// The process of this pid, which is among those that are held.
    Lives(u32),
    /// The process of this pid, which has ended so.
    Ended(u32, Exit),
}

impl Named {
    /// How the run has ended if its first process has ended so, or lives.
    pub(super) fn exit_beside(self, first: Option<Exit>) -> Option<Exit> {
        match self {
            Self::No => first,
            Self::Lives(_) => first.filter(|exit| !exit.is_success()),
            Self::Ended(_, exit) => Some(exit),
        }
    }
}

impl Runs {
    /// Takes this process for the main process of a run, if it belongs to it.
    pub(in super::super) fn name_main(&mut self, run: RunId, pid: u32) -> bool {
        let owner = Owner::Run(run);
        let Some(run) = self.run(owner).filter(|run| run.exit.is_none()) else { return false };
        let named = if run.process.pid() == pid {
            // One that has ended cannot be it again.
            if run.process.exit().is_some() {
                return false;
            }
            Named::No
        } else {
            let Some(process) = run.member(pid) else { return false };
            self.hold(owner, vec![process]);
            Named::Lives(pid)
        };
        let Some(run) = self.run_mut(owner) else { return false };
        let is_held = run.leftovers.iter().any(|held| held.leftover.pid() == pid);
        if named == Named::Lives(pid) && !is_held {
            return false;
        }
        let before = std::mem::replace(&mut run.named, named);
        self.forget_name(before);
        if let Named::Lives(pid) = named {
            self.named_pids.insert(pid);
        }
        true
    }

    /// Whether what this sender says may be taken for what the run says: if it is root, of our own user or of the run's,
    /// or if it belongs to the run. The user is enough, because programs that only notify are often gone before anybody
    /// can look at them; and belonging is enough, because many a program notifies when it has given up its user.
    ///
    /// Anybody can send us something, and to look closely at who it is takes time. So that is done for only one process
    /// in each round of the driver's, which `looked_at` remembers; from others of such users nothing is heard in it.
    pub(in super::super) fn may_speak(
        &mut self,
        run: RunId,
        sender: Sender,
        looked_at: &mut Option<(Sender, bool)>,
    ) -> bool {
        let Some(run) = self.run_mut(Owner::Run(run)) else { return false };
        if os::may_speak_for_all(sender.user) || run.user == Some(sender.user) {
            return true;
        }
        let (who, may_speak) = *looked_at.get_or_insert_with(|| {
            // It may have changed its user since it was last asked for.
            run.user = os::user_of(&run.asked());
            let is_its_user = run.user == Some(sender.user);
            (sender, is_its_user || run.member(sender.pid).is_some())
        });
        may_speak && who == sender
    }

    /// From where on all that a run has started is found, if it lives: its first process, or if that has ended, the one
    /// that goes on for it. With its token.
    pub(in super::super) fn root(&self, run: RunId) -> Option<(u32, &Arc<str>)> {
        let lives = |run: &&Run| run.exit.is_none() && run.process.exit().is_none();
        let first = self.run(Owner::Run(run)).filter(lives).map(|run| (run.process.pid(), &run.token));
        first.or_else(|| Some((self.living(run)?, self.token(run)?)))
    }

    /// Takes note that a process that was held has ended: it may be the one that was named.
    pub(super) fn note_end(&mut self, owner: Owner, ended: &Leftover) {
        let Some(run) = self.run_mut(owner) else { return };
        if run.named == Named::Lives(ended.pid()) {
            run.named = Named::Ended(ended.pid(), ended.exit().unwrap_or(Exit::Unknown));
            self.named_pids.remove(&ended.pid());
        }
    }

    pub(super) fn forget_name(&mut self, named: Named) {
        if let Named::Lives(pid) = named {
            self.named_pids.remove(&pid);
        }
    }
}

impl Run {
    /// The pid of the process that is its main process for people.
    pub(super) fn main_pid(&self) -> u32 {
        match self.named {
            Named::No => self.process.pid(),
            Named::Lives(pid) | Named::Ended(pid, _) => pid,
        }
    }

    /// The process that it has named, if that lives.
    pub(super) fn named_process(&self) -> Option<&Leftover> {
        let Named::Lives(pid) = self.named else { return None };
        self.leftovers.iter().find(|held| held.leftover.pid() == pid).map(|held| &*held.leftover)
    }
}

//! What the driver does about what an earlier supervisor has left.

use std::io;
use std::sync::Arc;

use super::Driver;
use crate::core::{Found, Input};
use crate::os::Process;
use crate::run::RunId;
use crate::supervisor::records::Main;
use crate::supervisor::takeover::{Left, Legacy};

impl Driver {
    /// Takes charge of what still runs, and tells the core of all that is left. Before it begins.
    ///
    /// # Errors
    /// If a process cannot be watched. Nothing was done to any then.
    pub(in crate::supervisor) fn take_over(&mut self, legacy: Legacy) -> io::Result<()> {
        self.runs.use_groups(legacy.groups);
        let goes_on: Vec<_> = legacy.left.iter().filter_map(Left::living).collect();
        for (id, number) in self.means.pump.standing()? {
            let known = self.core.specs().chain(self.core.leaving()).find(|(_, spec)| spec.id == id);
            if known.is_some_and(|(component, _)| goes_on.contains(&RunId { component, number })) {
                continue;
            }
            // What cannot be opened now is found again at the next start: no reason not to supervise.
            let _ = self.means.pump.let_go((&id, number), known);
        }
        legacy.conditions.into_iter().for_each(|condition| self.ledger.warn(condition));
        for left in legacy.left {
            self.take_over_one(left)?;
        }
        self.means.pump.wake();
        Ok(())
    }

    /// Supervision begins.
    pub(super) fn begin_supervision(&mut self) {
        self.means.voices.settle();
        self.tell(Input::Begin);
        for run in std::mem::take(&mut self.buried) {
            self.tell(Input::Gone { run });
        }
    }

    fn take_over_one(&mut self, left: Left) -> io::Result<()> {
        let Left { key, memory, run, is_outdated, digest } = left;
        if let Some(digest) = digest {
            self.ledger.goes_on_with(key, digest);
        }
        if run.is_some() {
            // What is still to be run for it is run as it was.
            self.means.launches.learn(key, self.core.spec(key));
        }
        let found = match run {
            None => Found::Nothing,
            Some((number, Main::Lives(process))) => {
                let pid = self.adopt(RunId { component: key, number }, process, memory.has_started())?;
                Found::Alive { number, pid, is_outdated }
            }
            Some((number, Main::Ended(exit))) => {
                self.buried.push(RunId { component: key, number });
                Found::Dead { number, exit: exit.unwrap_or(crate::run::Exit::Unknown) }
            }
        };
        self.tell(Input::Recalled { key, memory: Box::new(memory), found });
        Ok(())
    }

    fn adopt(&mut self, run: RunId, process: Process, is_ready: bool) -> io::Result<u32> {
        let spec = self.core.spec(run.component);
        let token: Arc<str> = Arc::from(self.means.tokens.of(&spec.id, run.number));
        let pid = self.runs.adopt(run, &spec.id, Arc::clone(&token), process)?;
        // What cannot be heard, or stored, is missed; it runs on all the same.
        let heard = self.means.voices.adopt(run, &token, spec, is_ready);
        let stored = self.means.pump.adopt(run, spec, is_ready);
        for error in [heard.err(), stored.err()].into_iter().flatten() {
            let why = crate::os::in_words(&error);
            self.ledger.warn(format!("cannot hear what {} says, or store what it writes: {why}", spec.id));
        }
        Ok(pid)
    }
}

impl Left {
    fn living(&self) -> Option<RunId> {
        match self.run {
            Some((number, Main::Lives(_))) => Some(RunId { component: self.key, number }),
            _ => None,
        }
    }
}

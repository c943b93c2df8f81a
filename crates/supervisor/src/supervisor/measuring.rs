//! How much memory runs use, found out beside the driver: the kernel may take long to tell.

use std::collections::HashSet;
use std::sync::Arc;

use super::handle::{Command, Mailbox};
use super::helper::Helper;
use super::runs::Runs;
use crate::os;
use crate::run::RunId;

/// Measures one run after the other.
#[derive(Debug)]
pub(super) struct Measuring {
    helper: Helper,
    mailbox: Mailbox,
    under_way: HashSet<RunId>,
}

impl Measuring {
    pub(super) fn new(mailbox: Mailbox) -> Self {
        Self { helper: Helper::new("memory"), mailbox, under_way: HashSet::new() }
    }

    /// Begins to measure a run, unless that is under way already or its main process has ended. (If it ends meanwhile,
    /// and its pid becomes another's, then the run is over before anybody hears of the figure.)
    pub(super) fn begin(&mut self, run: RunId, runs: &Runs) {
        let Some((pid, token)) = runs.root(run) else { return };
        if !self.under_way.insert(run) {
            return;
        }
        let (token, orphans_come_to_us) = (Arc::clone(token), runs.orphans_come_to_us());
        let mailbox = self.mailbox.clone();
        let taken = self.helper.ask(move || {
            os::lower_this_thread();
            let memory = os::memory(pid, &token, orphans_come_to_us);
            mailbox.send(Command::Measured { run, memory });
        });
        if !taken {
            self.under_way.remove(&run);
        }
    }

    /// A figure has come.
    pub(super) fn done(&mut self, run: RunId) {
        self.under_way.remove(&run);
    }
}

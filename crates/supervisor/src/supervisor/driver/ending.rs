//! How supervision ends: with everything, or with nothing but itself.

use std::time::Duration;

use polling::Events;

use super::Driver;
use crate::request::Outcome;
use crate::supervisor::voices::KeptOpen;

/// How long the components' last output may take to reach its files when supervision ends.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Likewise what there is of it when we leave: what is not read waits for the next supervisor.
const OUTPUT_SO_FAR: Duration = Duration::from_millis(200);

/// How long what is left of tasks may take to end when supervision does.
const LAST_TASKS: Duration = Duration::from_secs(1);

impl Driver {
    /// Everything has stopped.
    pub(super) fn end(mut self, outcome: Outcome) -> Outcome {
        self.end_tasks();
        self.runs.end_orphans();
        drop(self.finish_output(LAST_OUTPUT));
        self.ledger.end();
        // Nothing is written down any more for which the last answers could wait.
        self.release();
        outcome
    }

    /// Everything runs on: only what we have begun for ourselves is ended, and what was written until now is stored. What is
    /// still to be written down is, when the ledger goes.
    pub(super) fn leave(mut self, outcome: Outcome) -> (Outcome, KeptOpen) {
        self.means.tasks.abandon_all(&mut self.runs);
        self.runs.leave();
        let heard = self.means.voices.keep();
        let written = self.finish_output(OUTPUT_SO_FAR);
        (outcome, heard.and(written))
    }

    /// Ends what is left of tasks, though not at any price.
    fn end_tasks(&mut self) {
        self.means.tasks.abandon_all(&mut self.runs);
        let began = self.now();
        let mut events = Events::new();
        while self.runs.has_tasks()
            && let Some(remaining) = LAST_TASKS.checked_sub(self.now().saturating_sub(began))
        {
            events.clear();
            let _ = self.poller.wait(&mut events, Some(remaining));
            self.round(&events);
            self.runs.reap_ended();
        }
    }
}

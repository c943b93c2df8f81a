//! What other threads send to the driver, and the answers that they get.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Driver;
use crate::core::{Ask, Input, RequestId};
use crate::request::{Outcome, RequestError};
use crate::supervisor::handle::{Command, Done, TakenUp};

impl Driver {
    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Ask { ask, by, taken_up, done } => self.ask(ask, by, taken_up, done),
            Command::Forget { request } => {
                if self.done.remove(&request).is_some() {
                    self.tell(Input::Forget { request });
                }
            }
            Command::Status { keys, answer } => {
                let mut status = self.core.status(self.now(), &keys);
                status.conditions.extend(self.means.pump.conditions());
                status.conditions.extend(self.runs.conditions());
                status.conditions.extend(self.ledger.conditions());
                // Many a thing goes wrong in the same way for several logs.
                let mut told = HashSet::new();
                status.conditions.retain(|condition| told.insert(condition.clone()));
                // Whoever asked may have gone away.
                let _ = answer.try_send(status);
            }
            Command::Plan { setup, answer } => {
                let _ = answer.try_send(self.core.plan(&setup));
            }
            Command::Specs { keys, answer } => {
                let specs: HashMap<_, _> = self.core.specs().chain(self.core.leaving()).collect();
                let specs = keys.iter().filter_map(|key| specs.get(key).copied().cloned());
                // Whoever asked may have gone away.
                let _ = answer.try_send(specs.collect());
            }
            Command::Detail { key, answer } => {
                let known = self.core.has(key).then(|| {
                    let detail = self.core.detail(self.now(), key);
                    let group = detail.component.run.and_then(|run| self.runs.control_group(run));
                    (detail, group)
                });
                let _ = answer.try_send(known);
            }
            Command::Subscribe { answer } => {
                let _ = answer.try_send((self.readers.told(), self.readers.add()));
            }
            Command::Output(news) => self.hear_of_output(news),
            Command::Found { named, account } => self.found(&named, &account),
            Command::Fell { run, why } => self.fell(run, why),
            Command::Answered { serial, result } => {
                let come_of = self.means.tasks.answered(serial, result);
                self.tell_of(come_of);
            }
            Command::Resolved { serial, addresses } => {
                let come_of = self.means.tasks.resolved(serial, addresses);
                self.tell_of(come_of);
            }
            // Answers are released in each round.
            Command::Recorded => {
                if self.ledger.is_bare() {
                    self.changed.extend(self.core.specs().chain(self.core.leaving()).map(|(key, _)| key));
                }
            }
            Command::Measured { run, memory } => {
                self.means.measuring.done(run);
                self.tell(Input::Measured { run, memory });
            }
            Command::Looked(looked) => {
                let looks = self.runs.looked(looked, self.now());
                self.draw_conclusions(looks);
            }
            Command::LongestShutdown { answer } => {
                let _ = answer.try_send(self.core.longest_shutdown());
            }
            Command::ReopenLogs => {
                // Refused only if the pump's thread has gone, which `conditions` tells.
                let _ = self.means.pump.reopen();
            }
        }
    }

    fn ask(&mut self, ask: Ask, by: Arc<str>, taken_up: TakenUp, done: Done) {
        if let Ask::Leave = ask {
            // What was said until now, nobody can hear later.
            for run in self.means.voices.runs() {
                self.hear_run(run);
            }
        }
        self.last_request += 1;
        let request = RequestId(self.last_request);
        self.taken_up.insert(request, taken_up);
        self.done.insert(request, done);
        self.tell(Input::Request { request, ask, by });
    }

    /// Has the files of a component's output end; or why that cannot even be tried.
    pub(super) fn rotate(&mut self, request: RequestId, key: u32) -> Option<Input> {
        let asked = self.means.pump.rotate(request, key, self.core.spec(key));
        asked.err().map(|error| Input::Rotated { request, key, result: Err(error.to_string().into()) })
    }

    pub(super) fn tell_done(&mut self, request: RequestId, outcome: Outcome) {
        if let Some(done) = self.done.remove(&request) {
            // A fault of the host's must not end supervision.
            let _ = catch_unwind(AssertUnwindSafe(|| done(outcome)));
        }
    }

    /// Gives the answers that need not wait any longer.
    pub(super) fn release(&mut self) {
        while let Some((request, outcome)) = self.ledger.release(self.now()) {
            self.tell_done(request, outcome);
        }
    }

    pub(super) fn answer(&mut self, request: RequestId, answer: Result<RequestId, RequestError>) {
        if let Some(taken_up) = self.taken_up.remove(&request) {
            // Whoever asked may have gone away.
            let _ = taken_up.try_send(answer);
        }
    }
}

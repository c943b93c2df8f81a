//! What is written down of components as they go, so that another supervisor can go on where this one is killed; and the
//! answers that wait for that: whoever is told that something is stopped may rely on it.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use super::handle::{Command, Mailbox};
use super::records::{Held, Record, Recorded, Recorder, Records, digest};
use crate::core::{Memory, RequestId};
use crate::os::Identity;
use crate::request::Outcome;
use crate::spec::{ComponentId, ProcessSpec};
use crate::tokens::Key;

/// The records as the driver writes them. Without a folder for them it writes none, and nothing waits.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    recorder: Option<Recorder>,
    /// By key: what the component is called, and what its run was started with, or will be.
    digests: HashMap<u32, (ComponentId, Box<str>)>,
    /// With which digests are made.
    key: Option<Key>,
    held: Held<(RequestId, Outcome)>,
    /// What was wrong with what an earlier supervisor has left, or keeps us from writing: a sentence each.
    conditions: Vec<String>,
}

impl Ledger {
    /// Writes to these records, of these components.
    ///
    /// # Errors
    /// If there can be no thread for it.
    pub(super) fn new<'a>(
        records: Records,
        specs: impl Iterator<Item = (u32, &'a ProcessSpec)>,
        mailbox: Mailbox,
    ) -> io::Result<Self> {
        let key = records.key();
        let digests =
            specs.map(|(component, spec)| (component, (spec.id.clone(), digest(spec, key).into()))).collect();
        let recorder = records.recorder(move || mailbox.send(Command::Recorded))?;
        Ok(Self { recorder: Some(recorder), key: Some(key), digests, ..Self::default() })
    }

    /// The run of a component goes on that was started with something else than it would be now.
    pub(super) fn goes_on_with(&mut self, key: u32, digest: String) {
        if let Some((_, its)) = self.digests.get_mut(&key) {
            *its = digest.into();
        }
    }

    /// There is this component, of which something may be written down before it is begun.
    pub(super) fn knows(&mut self, component: u32, spec: &ProcessSpec) {
        if !self.digests.contains_key(&component) {
            self.begins(component, spec);
        }
    }

    /// A component is begun as this.
    pub(super) fn begins(&mut self, component: u32, spec: &ProcessSpec) {
        if let Some(key) = self.key {
            self.digests.insert(component, (spec.id.clone(), digest(spec, key).into()));
        }
    }

    /// There is nothing to be known of a component any more.
    pub(super) fn forget(&mut self, key: u32) {
        if let (Some((id, _)), Some(recorder)) = (self.digests.remove(&key), &self.recorder) {
            recorder.forget(&id);
        }
    }

    /// Tells people this from now on.
    pub(super) fn warn(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    /// Has this written down of a component.
    pub(super) fn remember(&self, key: u32, id: &ComponentId, memory: Memory, main: Option<Identity>) {
        let Some(recorder) = &self.recorder else { return };
        let run = memory.run().map(|(number, _)| number);
        let process = run.zip(main).map(|(run, identity)| Recorded { run, identity });
        let digest = self.digests.get(&key).map_or_else(String::new, |(_, digest)| digest.to_string());
        recorder.remember(id, &Record { memory, process, digest });
    }

    /// Whether all is to be written down once more, because somebody has removed what was written. Says so once.
    pub(super) fn is_bare(&self) -> bool {
        self.recorder.as_ref().is_some_and(Recorder::take_bareness)
    }

    /// Holds back the answer to a request until all is stored that was handed over before; or gives it back if it is already.
    pub(super) fn hold(
        &mut self,
        request: RequestId,
        outcome: Outcome,
        now: Duration,
    ) -> Option<(RequestId, Outcome)> {
        let Some(number) = self.recorder.as_ref().and_then(Recorder::ask) else {
            return Some((request, outcome));
        };
        self.held.hold((request, outcome), number, now);
        None
    }

    /// The next answer that need not wait any longer.
    pub(super) fn release(&mut self, now: Duration) -> Option<(RequestId, Outcome)> {
        let stored = self.recorder.as_ref().map_or(u64::MAX, Recorder::stored);
        self.held.release(stored, now)
    }

    /// When an answer is given whatever is stored by then.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.held.deadline()
    }

    /// What people should know.
    pub(super) fn conditions(&self) -> impl Iterator<Item = String> {
        self.conditions.iter().cloned().chain(self.recorder.as_ref().and_then(Recorder::condition))
    }

    /// Everything has stopped in order: nobody is to go on.
    pub(super) fn end(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.end();
        }
    }
}

//! What the journal tells of the last run that has ended, beside why.

use std::collections::BTreeMap;

use serde::Serialize;
use supervisor_control::wire::{EventDocument, What};

/// The last run that has ended, or is being ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct LastRun {
    /// Its number.
    pub(in super::super) run: u64,
    /// When it ended.
    pub(in super::super) ended: Option<String>,
    /// How it ended.
    pub(in super::super) exit: Option<String>,
    /// How long it was up, in seconds.
    pub(in super::super) uptime: Option<f64>,
    /// The most memory that it has had, in bytes.
    pub(in super::super) peak_memory: Option<u64>,
    /// What it wrote last, the oldest line first.
    pub(in super::super) last_lines: Vec<String>,
    /// What was done for evidence, the oldest step first.
    pub(in super::super) evidence: Vec<Evidence>,
    /// What the operating system told of it while it hung.
    pub(in super::super) facts: BTreeMap<String, String>,
}

/// A step of evidence, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in super::super) struct Evidence {
    /// The step: `SIGQUIT`, `jstack 4711`.
    pub(in super::super) step: String,
    /// What a command answered.
    pub(in super::super) answer: Option<String>,
    /// Why it failed.
    pub(in super::super) error: Option<String>,
}

/// What has been read of it, the newest first.
#[derive(Debug, Default)]
pub(super) struct ReadingOfRun {
    last: Option<LastRun>,
    /// Whether nothing more can be told of it.
    is_whole: bool,
}

impl ReadingOfRun {
    /// Takes what belongs to it.
    pub(super) fn read(&mut self, document: &EventDocument) {
        if matches!(document.what, What::SupervisorEnded { .. }) && self.last.is_some() {
            self.is_whole = true;
        }
        let (Some(run), false) = (document.run, self.is_whole) else { return };
        match &self.last {
            None if !tells_of_an_end(&document.what) => return,
            Some(last) if last.run != run => return,
            _ => {}
        }
        let last = self.last.get_or_insert_with(|| LastRun { run, ..LastRun::default() });
        match &document.what {
            What::Exited { exit, uptime, peak_memory, .. } => {
                last.ended = Some(document.time.clone());
                last.exit = Some(exit.message.clone());
                last.uptime = Some(*uptime);
                last.peak_memory = *peak_memory;
            }
            What::NotSpawned { reason, .. } => {
                last.ended = Some(document.time.clone());
                last.exit = Some(reason.clone());
                self.is_whole = true;
            }
            What::LastWords { lines } => last.last_lines.clone_from(lines),
            What::Facts { facts } => last.facts.clone_from(facts),
            What::Step { of, step, answer, error } if of == "evidence" => {
                // A command is told when it begins and when it has ended, which says more.
                let is_beginning = answer.is_none() && error.is_none();
                if is_beginning && last.evidence.last().is_some_and(|next| next.step == *step) {
                    return;
                }
                let evidence = Evidence { step: step.clone(), answer: answer.clone(), error: error.clone() };
                last.evidence.push(evidence);
            }
            What::Spawned { .. } => self.is_whole = true,
            _ => {}
        }
    }

    /// Whether nothing more can be told of it.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// All that was told of it.
    pub(super) fn finish(self) -> Option<LastRun> {
        let mut last = self.last?;
        last.evidence.reverse();
        Some(last)
    }
}

/// Whether this is told only of runs that have ended, or are being ended.
fn tells_of_an_end(what: &What) -> bool {
    match what {
        What::Exited { .. } | What::NotSpawned { .. } => true,
        What::Judged { .. } | What::Facts { .. } | What::LastWords { .. } => true,
        What::Step { of, .. } => of == "evidence",
        _ => false,
    }
}

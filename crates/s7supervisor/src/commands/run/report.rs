//! What the supervisor in the background tells `start`, in lines of one word on standard output.

use std::collections::HashSet;

use supervisor::{ComponentId, ComponentState, Event, EventKind, Status};

use crate::os::background::leave_outputs;
use crate::say;

/// Another supervisor holds the lock of the `temp` folder; the message follows. The last word.
pub(crate) const HELD: &str = "held";
/// Control works; the components are on their way.
pub(crate) const READY: &str = "ready";
/// All components that start by themselves are up. The last word.
pub(crate) const UP: &str = "up";
/// A component did not start; the line before says which and why. The last word.
pub(crate) const FAILED: &str = "failed";

/// The start as `start` waits for it, until its last word.
pub(crate) struct Report {
    /// The components that are still to start.
    pending: HashSet<ComponentId>,
    /// Those whose last run ended before this supervisor began, until their next one.
    unattended: HashSet<ComponentId>,
}

/// How a start ended.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Up,
    Failed(String),
}

impl Report {
    /// Says that control works, and waits for these components.
    pub(crate) fn ready(components: impl IntoIterator<Item = ComponentId>) -> Option<Self> {
        say::answer(READY);
        let report = Self { pending: components.into_iter().collect(), unattended: HashSet::new() };
        let verdict = report.verdict();
        report.unless_ended(verdict)
    }

    /// Goes on waiting for these components, where the supervisor before has said that control works.
    pub(crate) fn resumed(
        components: impl IntoIterator<Item = ComponentId>,
        status: &Status,
    ) -> Option<Self> {
        Self { pending: components.into_iter().collect(), unattended: HashSet::new() }.resume(status)
    }

    /// Takes note of an event. `None` once the last word has been said.
    pub(crate) fn observe(mut self, event: &Event) -> Option<Self> {
        let verdict = self.heed(event);
        self.unless_ended(verdict)
    }

    /// Takes note of how everything is, after events have been lost.
    pub(crate) fn resume(mut self, status: &Status) -> Option<Self> {
        let mut verdict = None;
        for component in &status.components {
            match &component.state {
                // Nobody waits for what somebody has stopped under an earlier supervisor.
                _ if !component.wanted && !status.shutting_down => drop(self.pending.remove(&component.id)),
                ComponentState::Up
                | ComponentState::Unready
                | ComponentState::Unhealthy
                | ComponentState::Completed => {
                    self.pending.remove(&component.id);
                }
                ComponentState::Waiting { for_component, which_is: Some(state) } => {
                    let why = format!("it waits for {for_component}: {state}");
                    verdict = verdict.or_else(|| self.failure(&component.id, &why));
                }
                ComponentState::Backoff { .. } | ComponentState::Tripped { .. } | ComponentState::Failed => {
                    let why = component.last_end.as_ref().map(ToString::to_string).unwrap_or_default();
                    verdict = verdict.or_else(|| self.failure(&component.id, &why));
                }
                _ => {}
            }
        }
        let verdict = verdict.or_else(|| self.verdict());
        self.unless_ended(verdict)
    }

    fn heed(&mut self, event: &Event) -> Option<Verdict> {
        if let EventKind::ShuttingDown { given_up } = &event.kind {
            return Some(Verdict::Failed(match given_up {
                None => "the supervisor was told to stop".to_owned(),
                Some(id) => format!("{id}, which is essential, was given up"),
            }));
        }
        let id = event.component.as_ref()?;
        match &event.kind {
            EventKind::Started { .. } | EventKind::Adopted { started: true, .. } | EventKind::Completed => {
                self.pending.remove(id);
                self.verdict()
            }
            // What has ended before this supervisor began is no start that has failed.
            EventKind::EndedUnattended { .. } => {
                self.unattended.insert(id.clone());
                None
            }
            EventKind::Spawned { .. } => {
                self.unattended.remove(id);
                None
            }
            EventKind::Exited { .. } | EventKind::Backoff { .. } if self.unattended.contains(id) => None,
            EventKind::NotSpawned { error, .. } => self.failure(id, &error.to_string()),
            EventKind::Exited { exit, asked: false, .. } if !exit.is_success() => {
                self.failure(id, &exit.to_string())
            }
            EventKind::Judged { fault, .. } => self.failure(id, &fault.to_string()),
            EventKind::Blocked { on, state, .. } => self.failure(id, &format!("it waits for {on}: {state}")),
            // It ended with success, but its policy wants it up.
            EventKind::Backoff { .. } => self.failure(id, "it ended before it was up"),
            EventKind::GivenUp { end } => self.failure(id, &end.to_string()),
            EventKind::Stopped => self.failure(id, "somebody stopped it"),
            _ => None,
        }
    }

    fn verdict(&self) -> Option<Verdict> {
        self.pending.is_empty().then_some(Verdict::Up)
    }

    fn failure(&self, id: &ComponentId, why: &str) -> Option<Verdict> {
        self.pending.contains(id).then(|| Verdict::Failed(format!("{id} did not start: {why}")))
    }

    fn unless_ended(self, verdict: Option<Verdict>) -> Option<Self> {
        let word = match verdict {
            None => return Some(self),
            Some(Verdict::Up) => UP,
            Some(Verdict::Failed(why)) => {
                say::tell(&say::printable(&why));
                FAILED
            }
        };
        say::answer(word);
        // Which lets go of the pipe, and ends the wait of `start`.
        leave_outputs();
        None
    }
}

//! What the events of one component come to.

use std::time::Duration;

use supervisor::{ComponentStatus, Event, EventKind};

/// What the events of one component come to.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) runs: usize,
    pub(super) restarts: u64,
    pub(super) trips: u64,
    /// How long it was up in all, but for the present time.
    pub(super) up: Duration,
    /// Since when it is up, if it is.
    up_since: Option<Duration>,
    /// Whether it is up but for what it says of itself, or for what its checks say.
    has_started: bool,
    is_unready: bool,
    is_unwell: bool,
    /// What it was doing at the end.
    pub(super) state: String,
}

impl Tally {
    /// Notes an event of its component.
    pub(super) fn note(&mut self, event: &Event) {
        match event.kind {
            EventKind::Started { .. } => self.has_started = true,
            EventKind::Unready { .. } => self.is_unready = true,
            EventKind::ReadyAgain { .. } => self.is_unready = false,
            EventKind::Unwell { .. } => self.is_unwell = true,
            EventKind::Well { .. } => self.is_unwell = false,
            EventKind::Tripped { .. } => self.trips += 1,
            EventKind::Stopping { .. } | EventKind::Judged { .. } | EventKind::Exited { .. } => {
                (self.has_started, self.is_unready, self.is_unwell) = (false, false, false);
            }
            _ => {}
        }
        self.settle(event.at);
    }

    /// Notes the end of the simulated time, and how the component is then.
    pub(super) fn finish(&mut self, now: Duration, component: &ComponentStatus, runs: usize) {
        self.settle(now);
        self.runs = runs;
        self.restarts = component.restarts;
        self.state = component.state.to_string();
    }

    /// Counts the time until now, and begins to count if it is up.
    fn settle(&mut self, now: Duration) {
        let is_up = self.has_started && !self.is_unready && !self.is_unwell;
        let since = std::mem::replace(&mut self.up_since, is_up.then_some(now));
        self.up += since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
    }
}

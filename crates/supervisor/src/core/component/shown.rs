//! A component's state as people see it.

use std::time::Duration;

use super::{Component, Rest, State, Waits};
use crate::status::{ComponentState, ComponentStatus};

impl Component {
    /// What is true of it now. `waits` is what it waits for, if it is queued.
    pub(in crate::core) fn status(&self, now: Duration, waits: Option<Waits>) -> ComponentStatus {
        let live = match &self.state {
            State::Up { process, .. } => Some(*process),
            State::Ending { process, ending, .. } => process.filter(|_| ending.exit.is_none()),
            _ => None,
        };
        ComponentStatus {
            id: self.spec.id.clone(),
            description: self.spec.description.clone(),
            state: self.shown_state(now, waits),
            wanted: self.wanted,
            since: self.since,
            run: self.run(),
            pid: live.map(|process| process.pid),
            uptime: live.map(|process| now.saturating_sub(process.spawned)),
            restarts: self.restarts,
            last_end: self.last_end.clone(),
            note: self.guards().note.clone().filter(|_| live.is_some()),
            fault: self.fault().cloned(),
            usage: None,
        }
    }

    /// Its state in one word.
    pub(in crate::core) fn state_word(&self, now: Duration) -> &'static str {
        if self.is_queued() { "waiting" } else { self.shown_state(now, None).word() }
    }

    fn shown_state(&self, now: Duration, waits: Option<Waits>) -> ComponentState {
        match &self.state {
            State::Down(Rest::Stopped) => ComponentState::Stopped,
            State::Down(Rest::Completed) => ComponentState::Completed,
            State::Down(Rest::Failed) => ComponentState::Failed,
            State::Queued { .. } => match waits {
                Some(Waits::For(for_component, which_is)) => {
                    ComponentState::Waiting { for_component, which_is }
                }
                Some(Waits::ForAToken(remaining)) => {
                    ComponentState::Backoff { remaining, in_a_row: self.restarts_in_a_row() }
                }
                None => ComponentState::Starting,
            },
            State::Backoff { until, in_a_row, .. } => {
                ComponentState::Backoff { remaining: until.saturating_sub(now), in_a_row: *in_a_row }
            }
            State::Tripped { until } => ComponentState::Tripped { remaining: until.saturating_sub(now) },
            State::Spawning { .. } | State::Up { started: None, .. } => ComponentState::Starting,
            State::Up { .. } if self.guards().is_unready() => ComponentState::Unready,
            State::Up { .. } if self.guards().fault().is_some() => ComponentState::Unhealthy,
            State::Up { .. } => ComponentState::Up,
            State::Ending { ending, .. } => ComponentState::Stopping {
                elapsed: now.saturating_sub(ending.since),
                timeout: ending.limit(self.stop_time()).saturating_sub(ending.since),
                survivors: self.survivors().unwrap_or_default(),
            },
        }
    }
}

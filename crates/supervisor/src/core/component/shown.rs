//! A component's state as people see it.

use std::time::Duration;

use super::{Component, KILL_GRACE, Kill, Rest, State};
use crate::spec::ComponentId;
use crate::status::{ComponentState, ComponentStatus};

impl Component {
    /// What is true of it now. `predecessor` is who comes before it in the start sequence.
    pub(in crate::core) fn status(&self, now: Duration, predecessor: Option<ComponentId>) -> ComponentStatus {
        let live = match &self.state {
            State::Up { pid, spawned, .. } => Some((*pid, *spawned)),
            State::Ending { process, ending, .. } => process.filter(|_| ending.exit.is_none()),
            State::Down(_) | State::Queued | State::Backoff { .. } | State::Spawning { .. } => None,
        };
        ComponentStatus {
            id: self.spec.id.clone(),
            description: self.spec.description.clone(),
            state: self.shown_state(now, predecessor),
            wanted: self.wanted,
            since: self.since,
            run: self.run(),
            pid: live.map(|(pid, _)| pid),
            uptime: live.map(|(_, spawned)| now.saturating_sub(spawned)),
            restarts: self.restarts,
            last_end: self.last_end.clone(),
            note: None,
            fault: None,
            usage: None,
        }
    }

    fn shown_state(&self, now: Duration, predecessor: Option<ComponentId>) -> ComponentState {
        match &self.state {
            State::Down(Rest::Stopped) => ComponentState::Stopped,
            State::Down(Rest::Completed) => ComponentState::Completed,
            State::Down(Rest::Failed) => ComponentState::Failed,
            State::Queued => match predecessor {
                Some(for_component) => ComponentState::Waiting { for_component, which_is: None },
                None => ComponentState::Starting,
            },
            State::Backoff { until, in_a_row } => {
                ComponentState::Backoff { remaining: until.saturating_sub(now), in_a_row: *in_a_row }
            }
            State::Spawning { .. } | State::Up { started: None, .. } => ComponentState::Starting,
            State::Up { started: Some(_), .. } => ComponentState::Up,
            State::Ending { ending, .. } => ComponentState::Stopping {
                elapsed: now.saturating_sub(ending.since),
                timeout: match ending.kill {
                    Kill::At(_) => self.spec.stop_timeout,
                    Kill::IfNeeded | Kill::InVain => KILL_GRACE,
                    Kill::Sent(time) => time.saturating_add(KILL_GRACE).saturating_sub(ending.since),
                },
                survivors: self.survivors().unwrap_or_default(),
            },
        }
    }
}

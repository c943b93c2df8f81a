//! What others see of a component, who may have to wait for it or to act on it.

use std::mem::{Discriminant, discriminant};

use super::{Component, Rest, State};
use crate::spec::Condition;

/// What they see. When it differs, that may mean something for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct Face {
    state: Discriminant<State>,
    is_busy: bool,
    has_started: bool,
    is_ready: bool,
    has_completed: bool,
}

/// How much hope there is that a component will come to what is needed of it, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::core) enum Hope {
    /// It was given up.
    Failed,
    /// It rests because it restarted too often.
    Tripped,
    /// Nobody wants it, or it has done its work.
    Down,
    /// It waits for whom it needs itself.
    Blocked,
    /// Its run is ending.
    Ending,
    /// It waits for its next try.
    Backoff,
    /// It is about to start, or has a run that may come to it.
    OnItsWay,
}

impl Component {
    pub(in crate::core) fn face(&self) -> Face {
        Face {
            state: discriminant(&self.state),
            is_busy: self.is_busy(),
            has_started: self.has_started(),
            is_ready: self.satisfies(Condition::Ready),
            has_completed: self.satisfies(Condition::Completed),
        }
    }

    /// How much hope there is that it will come to what is needed of it and is not so now.
    pub(in crate::core) fn hope(&self) -> Hope {
        match &self.state {
            _ if self.launching.is_some() => Hope::OnItsWay,
            State::Down(Rest::Failed) => Hope::Failed,
            State::Tripped { .. } => Hope::Tripped,
            State::Down(Rest::Stopped | Rest::Completed) => Hope::Down,
            State::Queued { .. } => Hope::Blocked,
            // What comes of an end that nobody asked for is to be seen.
            State::Ending { ending, .. }
                if self.wanted && ending.may_bring_more() && self.halting.is_none() =>
            {
                Hope::OnItsWay
            }
            State::Ending { .. } => Hope::Ending,
            State::Backoff { .. } => Hope::Backoff,
            State::Spawning { .. } | State::Up { .. } => Hope::OnItsWay,
        }
    }
}

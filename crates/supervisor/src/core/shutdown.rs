//! How everything is stopped: because somebody asked for it, an essential component was given up, or nothing will run again.

use std::collections::HashMap;
use std::time::Duration;

use super::Core;
use super::ask::{IMPATIENCE, NOBODY};
use super::component::{Component, Milestone};
use super::message::{Action, RequestId};
use crate::event::{Event, EventKind};
use crate::request::{Achieved, Outcome};
use crate::spec::ComponentId;

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    No,
    InOrder,
    Immediate,
    Over,
}

impl Core {
    /// Stops everything because an essential component was given up.
    pub(super) fn shut_down_for(&mut self, given_up: ComponentId) {
        if self.shutdown == Shutdown::No {
            self.shut_down(NOBODY, false, Some(given_up));
        }
    }

    /// Stops everything; the last step of it is `End`.
    pub(super) fn shut_down(&mut self, request: RequestId, immediately: bool, given_up: Option<ComponentId>) {
        let waits_for = self.shutdown_asked_at.map(|asked_at| self.now.saturating_sub(asked_at));
        let is_impatient = waits_for.is_some_and(|time| time >= IMPATIENCE);
        if request != NOBODY {
            self.shutdown_asked_at.get_or_insert(self.now);
        }
        let immediately = immediately || self.shutdown == Shutdown::InOrder && is_impatient;
        if self.shutdown == Shutdown::No {
            self.end_trial();
            self.shutdown = Shutdown::InOrder;
            self.wanted_before = self.keys().into_iter().filter(|key| self.component(*key).wanted).collect();
            self.given_up.clone_from(&given_up);
            let kind = EventKind::ShuttingDown { given_up };
            self.actions.push(Action::Emit(Event { at: self.now, component: None, kind }));
        }
        if immediately {
            self.shutdown = Shutdown::Immediate;
        }
        self.for_each(request, self.keys(), Self::unwant);
        if immediately {
            for key in self.keys() {
                let milestone: Option<Milestone> = self.transition(key, Component::kill);
                self.reached(key, milestone);
            }
        }
    }

    /// Ends supervision where nothing runs, will be tried again, or waits for anything but what never comes by itself.
    pub(super) fn end_if_done(&mut self) {
        if !self.rules.ends_when_done || self.shutdown != Shutdown::No || self.stirring > 0 {
            return;
        }
        let owes = |key| self.budget.as_ref().is_some_and(|budget| budget.is_owed_by(key));
        let waits = |key: &u32| self.component(*key).launching.is_some() || owes(*key);
        if self.keys().iter().any(waits) {
            return;
        }
        let unsuccessful = self.members().filter(|component| component.has_failed_its_work());
        self.unsuccessful = unsuccessful.map(|component| component.spec.id.clone()).collect();
        self.actions.push(Action::Emit(Event { at: self.now, component: None, kind: EventKind::AllDone }));
        self.shut_down(NOBODY, false, None);
    }

    /// How long it may take until everything that runs has stopped, if each takes all the time that it can get: what is said by
    /// `EXTEND_TIMEOUT_USEC`, the cleanup and the last kill included.
    pub(crate) fn longest_shutdown(&self) -> Duration {
        // In reverse start order: whoever needs one, and the later ranks, have stopped when it is told to.
        let mut stopped = HashMap::with_capacity(self.components.len());
        let (mut rank, mut later, mut latest) = (u32::MAX, Duration::ZERO, Duration::ZERO);
        for key in self.keys().into_iter().rev() {
            let its = self.graph.start_seat(key).rank;
            if its != rank {
                (rank, later) = (its, latest);
            }
            let dependants = self.graph.needed_by(key).iter().filter_map(|other| stopped.get(other));
            let begins = dependants.copied().chain([later]).max().unwrap_or_default();
            let ends: Duration = begins.saturating_add(self.component(key).longest_end());
            stopped.insert(key, ends);
            latest = latest.max(ends);
        }
        latest
    }

    pub(super) fn end_if_over(&mut self) {
        if self.shutdown != Shutdown::No && self.busy == 0 {
            self.shutdown = Shutdown::Over;
            self.give_up_rotations();
            let achieved =
                |component: &Component| component.survivors().map_or(Achieved::Done, Achieved::Unkillable);
            let named = |component: &Component| (component.spec.id.clone(), achieved(component));
            let components = self.members().map(named).collect();
            let outcome = Outcome {
                components,
                given_up: self.given_up.clone(),
                unsuccessful: std::mem::take(&mut self.unsuccessful),
                ..Outcome::default()
            };
            self.actions.push(Action::End { outcome });
        }
    }
}

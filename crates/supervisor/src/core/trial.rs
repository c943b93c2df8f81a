//! A changed registry on trial: unless all that was begun because of it becomes ready in time, everything is taken back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::component::Rest;
use super::message::{Action, RequestId};
use super::requests::Goal;
use crate::event::{Event, EventKind};
use crate::plan::Setup;
use crate::request::{Achieved, GoneBack};
use crate::status::Exactly;

/// The change that is on trial.
#[derive(Debug)]
pub(super) struct Trial {
    /// Its request, which is answered when it is over.
    request: RequestId,
    by: Arc<str>,
    time: Duration,
    pub(super) until: Duration,
    /// What everything goes back to.
    before: Arc<Setup>,
    /// Those that are to become ready.
    awaited: BTreeSet<u32>,
    /// Those of them that are not.
    unready: BTreeSet<u32>,
    /// Why it has failed.
    failure: Option<GoneBack>,
}

impl Core {
    /// Puts this in the place of what is supervised. With `confirm`, everything goes back unless all that is begun for that
    /// becomes ready within that time.
    pub(super) fn apply(
        &mut self,
        request: RequestId,
        setup: &Setup,
        confirm: Option<Duration>,
        by: &Arc<str>,
    ) {
        // What is on trial never was what one would go back to.
        let before = self.end_trial().map(|trial| trial.before);
        let before = confirm.map(|time| (time, before.unwrap_or_else(|| Arc::new(self.setup()))));
        self.gone_back = None;
        let begun = self.change(request, setup, before.is_some(), by);
        self.trial = before.map(|(time, before)| Trial {
            request,
            by: Arc::clone(by),
            time,
            until: self.now.saturating_add(time),
            before,
            awaited: begun.clone(),
            unready: begun,
            failure: None,
        });
    }

    /// Takes note of what a change of one means for the trial.
    pub(super) fn note_for_trial(&mut self, key: u32) {
        if self.trial.as_ref().is_none_or(|trial| !trial.awaited.contains(&key)) {
            return;
        }
        let (is_ready, component) = (self.is_so(key, Goal::Ready), self.component(key));
        let (is_wanted, is_failed) = (component.wanted, component.rests_as(Rest::Failed));
        let id = self.id(key);
        let Some(trial) = &mut self.trial else { return };
        if is_failed {
            trial.failure.get_or_insert_with(|| GoneBack { component: id, why: "was given up".into() });
        } else if is_ready || !is_wanted {
            trial.unready.remove(&key);
        } else {
            trial.unready.insert(key);
        }
    }

    /// The time of the trial may be up.
    pub(super) fn trial_due(&mut self) {
        let Some(trial) = self.trial.as_mut().filter(|trial| trial.until <= self.now) else { return };
        let Some(key) = trial.unready.first().copied() else { return };
        let why = format!("was not ready within {}", Exactly(trial.time)).into();
        let component = self.components[&key].spec.id.clone();
        trial.failure.get_or_insert(GoneBack { component, why });
    }

    /// All that was begun is ready: what was applied holds.
    pub(super) fn confirm_if_ready(&mut self) {
        let Some(Trial { request, awaited, .. }) = self.trial.take_if(|trial| trial.unready.is_empty())
        else {
            return;
        };
        for key in awaited {
            // Its first try may have failed.
            let achieved = if self.is_so(key, Goal::Ready) { Achieved::Done } else { Achieved::Overtaken };
            self.resolve(request, key, achieved);
        }
        self.actions.push(Action::Emit(Event { at: self.now, component: None, kind: EventKind::Confirmed }));
        self.requests.release(request, &mut self.actions);
    }

    /// The trial has failed: everything goes back.
    pub(super) fn go_back_if_failed(&mut self) {
        let Some(Trial { request, by, before, failure: Some(failure), .. }) =
            self.trial.take_if(|trial| trial.failure.is_some())
        else {
            return;
        };
        self.actions.push(Action::Lineup);
        let kind = EventKind::GoneBack { failure: failure.clone() };
        self.actions.push(Action::Emit(Event { at: self.now, component: None, kind }));
        self.gone_back = Some(failure.clone());
        let back = self.requests.turn_back(request, failure);
        let by = format!("{by}, going back").into();
        self.change(back, &before, false, &by);
    }

    /// There is no trial any more, whatever has come of it so far.
    pub(super) fn end_trial(&mut self) -> Option<Trial> {
        let trial = self.trial.take()?;
        self.requests.release(trial.request, &mut self.actions);
        Some(trial)
    }
}

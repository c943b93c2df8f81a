//! What comes after a run: whether it is begun again, and when.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::again::LONGEST_PAUSE;
use super::{Component, Context, Milestone, Rest, State};
use crate::error::SpawnError;
use crate::event::{EventKind, WaitReason};
use crate::policy::{Backoff, Decision, Jitter, RestartPolicy};
use crate::run::{End, History, PastRun, RunId};
use crate::spec::{ExitAction, ExitRule, OnGiveUp};
use crate::status::Detail;

/// The shortest wait after a run that could not be spawned, whatever the policy says: the machine lacks something.
const NOT_SPAWNED_WAIT: Duration = Duration::from_millis(100);

/// By which part of itself each of these waits is longer or shorter, so that those who wait together are not tried together.
const WANT_SPREAD: f64 = 0.1;

/// The longest rest of a tripped component whose trials fail, if it is not given a longer one from the beginning.
const LONGEST_REST: Duration = Duration::from_secs(3_600);

/// What is remembered of a component's restarts since somebody asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    history: History,
    /// When it was decided to restart it, within the window of its limit.
    decided: VecDeque<Duration>,
    /// Whether its run is a trial after it had tripped.
    trial: bool,
    /// How many trials have failed in a row.
    failed_trials: u32,
    /// How often in a row it could not be spawned for a want of ours.
    wants: u32,
}

impl Record {
    /// By which it is seen whether it has changed: the newest run, and how often there was none for a want of ours.
    pub(super) fn essence(&self) -> (Option<RunId>, u32) {
        (self.history.last().map(|past| past.run), self.wants)
    }

    /// The past runs are of the component of this key.
    pub(super) fn belongs_to(&mut self, key: u32) {
        self.history.belongs_to(key);
    }
}

impl Component {
    /// Somebody asks for a run: what went wrong before is forgiven.
    pub(in crate::core) fn forgive(&mut self) {
        self.record = Record::default();
    }

    /// The last runs that have ended, the newest first.
    pub(in crate::core) fn past_runs(&self) -> impl Iterator<Item = &PastRun> {
        self.past_runs.iter().rev()
    }

    fn remember(&mut self, past: &PastRun) {
        self.past_runs.push_back(past.clone());
        while self.past_runs.len() > Detail::PAST_RUNS {
            self.past_runs.pop_front();
        }
    }

    /// After a run: rest, or wait, or run again.
    pub(super) fn conclude(&mut self, past: PastRun, asked: bool, context: &mut Context<'_>) -> Milestone {
        let end = past.end.clone();
        self.remember(&past);
        self.last_end = Some(end.clone());
        // One that was told to stop may say that this went well; it has not done its work for that.
        self.has_done_its_work = !asked && self.halting.is_none() && end.is_success();
        if past.stable {
            self.record.trial = false;
            self.record.failed_trials = 0;
        }
        if asked || self.halting.is_some() || !self.wanted {
            self.enter(State::Down(Rest::Stopped), context);
            self.emit(EventKind::Stopped, context);
            return Milestone::Stopped;
        }
        let rule = self.rule_for(&end);
        if let Some(rule) = rule {
            self.emit(EventKind::Ruled { run: past.run, rule }, context);
        }
        let decision = match (rule.map(|rule| rule.action), self.decide(past, context)) {
            (Some(ExitAction::Stop), _) => {
                self.wanted = false;
                self.enter(State::Down(Rest::Stopped), context);
                self.emit(EventKind::Stopped, context);
                return Milestone::Ended(end);
            }
            (Some(ExitAction::GiveUp), _) => Decision::GiveUp,
            (Some(ExitAction::Restart), Decision::Complete | Decision::GiveUp) => {
                Backoff::default().decide(&self.record.history, self.jitter(context))
            }
            (Some(ExitAction::Restart) | None, decision) => decision,
        };
        match decision {
            Decision::Restart { after } => self.restart_after(after, &end, context),
            Decision::Complete => {
                self.enter(State::Down(Rest::Completed), context);
                self.emit(EventKind::Completed, context);
            }
            Decision::GiveUp => self.give_up(end.clone(), context),
        }
        Milestone::Ended(end)
    }

    /// It could not be spawned for a want of ours. That is no failure of its own: its policy is not asked and its limit not
    /// touched, nor are the others of its group, which run.
    ///
    /// `restart`: whether that run would have been one, as the next try is then.
    pub(super) fn spawn_again(
        &mut self,
        error: SpawnError,
        restart: bool,
        context: &mut Context<'_>,
    ) -> Milestone {
        let end = End::NotSpawned(error);
        self.last_end = Some(end.clone());
        self.has_done_its_work = false;
        if self.halting.is_some() || !self.wanted {
            self.enter(State::Down(Rest::Stopped), context);
            self.emit(EventKind::Stopped, context);
            return Milestone::Stopped;
        }
        let doubled = 2_u32.saturating_pow(self.record.wants);
        self.record.wants = self.record.wants.saturating_add(1);
        let delay = NOT_SPAWNED_WAIT.saturating_mul(doubled).min(LONGEST_PAUSE);
        let delay = self.jitter(context).spread(delay, WANT_SPREAD);
        let in_a_row = self.record.wants;
        let until = context.now.saturating_add(delay);
        self.enter(State::Backoff { until, in_a_row, restart }, context);
        self.emit(EventKind::Backoff { delay, in_a_row, why: WaitReason::Want }, context);
        Milestone::NotSpawned(end)
    }

    /// There is no want any more.
    pub(super) fn has_been_spawned(&mut self) {
        self.record.wants = 0;
    }

    /// What was lacking when it could not be spawned the last time, while it waits for the next try.
    pub(in crate::core) fn lacks(&self) -> Option<String> {
        let waits = matches!(self.state, State::Backoff { .. } | State::Queued { .. });
        match &self.last_end {
            Some(End::NotSpawned(error)) if waits && self.record.wants > 0 => Some(error.to_string()),
            _ => None,
        }
    }

    fn rule_for(&self, end: &End) -> Option<ExitRule> {
        let End::Exited(exit) = end else { return None };
        self.spec.exits.iter().find(|rule| rule.exit.matches(*exit)).copied()
    }

    /// Asks the policy. One that panics is a fault of the host's, which must not end supervision.
    fn decide(&mut self, past: PastRun, context: &mut Context<'_>) -> Decision {
        let jitter = self.jitter(context);
        let policy = &self.spec.restart;
        let memory = catch_unwind(AssertUnwindSafe(|| policy.memory()));
        self.record.history.record(past, *memory.as_ref().unwrap_or(&1));
        let decide = AssertUnwindSafe(|| policy.decide(&self.record.history, jitter));
        memory.and_then(|_| catch_unwind(decide)).unwrap_or_else(|_panic| {
            self.emit(EventKind::PolicyPanicked, context);
            Backoff::default().decide(&self.record.history, jitter)
        })
    }

    fn jitter(&self, context: &Context<'_>) -> Jitter {
        Jitter::draw(context.seed, self.spec.id.as_str(), self.runs)
    }

    fn restart_after(&mut self, after: Duration, end: &End, context: &mut Context<'_>) {
        if let Some(restarts) = self.restarts_too_many(context.now) {
            return self.trip(restarts, end, context);
        }
        let delay = match end {
            End::NotSpawned(_) => after.max(NOT_SPAWNED_WAIT),
            End::Exited(_) | End::Judged { .. } => after,
        };
        if delay.is_zero() {
            return self.enter(State::Queued { restart: true, paid: false }, context);
        }
        let in_a_row = self.restarts_in_a_row();
        let until = context.now.saturating_add(delay);
        self.enter(State::Backoff { until, in_a_row, restart: true }, context);
        self.emit(EventKind::Backoff { delay, in_a_row, why: WaitReason::Itself }, context);
    }

    /// It is to begin again, but has to wait for a token of the budget: for so long, unless others no longer wait for theirs.
    pub(in crate::core) fn wait_for_token(&mut self, delay: Duration, context: &mut Context<'_>) {
        let in_a_row = self.restarts_in_a_row();
        self.emit(EventKind::Backoff { delay, in_a_row, why: WaitReason::Budget }, context);
    }

    /// The how manieth restart in a row the next one is.
    pub(super) fn restarts_in_a_row(&self) -> u32 {
        self.record.history.in_a_row()
    }

    /// Counts one more restart, and says how many there were before it within the window, if it would be one too many.
    fn restarts_too_many(&mut self, now: Duration) -> Option<u32> {
        let intensity = self.spec.intensity.filter(|intensity| intensity.max > 0)?;
        let decided = &mut self.record.decided;
        decided.push_back(now);
        while decided.front().is_some_and(|time| now.saturating_sub(*time) >= intensity.within) {
            decided.pop_front();
        }
        let restarts = u32::try_from(decided.len()).unwrap_or(u32::MAX);
        let failed_trial = std::mem::take(&mut self.record.trial);
        self.record.failed_trials += u32::from(failed_trial);
        (restarts > intensity.max || failed_trial).then_some(restarts.saturating_sub(1))
    }

    fn trip(&mut self, restarts: u32, end: &End, context: &mut Context<'_>) {
        let Some(intensity) = self.spec.intensity else { return };
        let is_final = self.spec.essential && context.on_give_up == OnGiveUp::Shutdown;
        if intensity.retry_after.is_zero() || is_final {
            let within = intensity.within;
            self.emit(EventKind::Tripped { restarts, within, rest: Duration::ZERO }, context);
            return self.give_up(end.clone(), context);
        }
        self.record.decided.clear();
        let doubled = 2_u32.saturating_pow(self.record.failed_trials);
        let longest = LONGEST_REST.max(intensity.retry_after);
        let rest = intensity.retry_after.saturating_mul(doubled).min(longest);
        self.enter(State::Tripped { until: context.now.saturating_add(rest) }, context);
        self.emit(EventKind::Tripped { restarts, within: intensity.within, rest }, context);
    }

    fn give_up(&mut self, end: End, context: &mut Context<'_>) {
        self.enter(State::Down(Rest::Failed), context);
        self.emit(EventKind::GivenUp { end }, context);
    }

    /// The rest of a tripped component is over: the next run is a trial.
    pub(super) fn try_again(&mut self, context: &mut Context<'_>) {
        self.record.trial = true;
        self.enter(State::Queued { restart: true, paid: false }, context);
    }

    /// Somebody asks that what went wrong be forgotten. Whether there was anything.
    pub(in crate::core) fn reset(&mut self, context: &mut Context<'_>) -> bool {
        let had_failed = matches!(
            self.state,
            State::Backoff { .. }
                | State::Tripped { .. }
                | State::Queued { restart: true, .. }
                | State::Down(Rest::Failed)
        );
        self.forgive();
        if had_failed {
            self.wanted = false;
            self.enter(State::Down(Rest::Stopped), context);
        }
        self.emit(EventKind::Reset, context);
        had_failed
    }
}

//! How a run is asked whether it is ready and, once it has started, whether it is well.
//!
//! A probe that we could not begin says nothing about the component. So it is not counted: a check of health waits and is
//! made later, and as long as the probe of readiness waits for us, the time in which the run must be ready stands still.

use std::sync::Arc;
use std::time::Duration;

use super::again::{Again, LONGEST_PAUSE};
use super::guards::Guards;
use super::{Component, Context, Milestone, State};
use crate::chance::{mix, seed_for, unit};
use crate::core::Action;
use crate::core::message::{Task, TaskId};
use crate::core::probes::{Asking, Way};
use crate::event::EventKind;
use crate::run::{Fault, RunId};
use crate::spec::{self, GuardAction, Health, ProcessSpec, ReadyWhen};
use crate::status::Exactly;

/// The shortest and the longest pause between two probes of readiness; each pause is twice the one before.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// How long one probe of readiness may take.
const READINESS_PROBE: Duration = Duration::from_secs(5);

/// Checks of health come at multiples of this, so that those of many components are made together instead of waking us up
/// for each of them; or at multiples of a hundredth of their interval, if that is less.
const BEAT: Duration = Duration::from_millis(100);

/// How far the next probe has come. There is never more than one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Probe {
    /// It comes at this time.
    Planned { at: Duration, pause: Duration },
    /// It was due at a time, and waits for us since another: too many are under way.
    Wanted { due: Duration, since: Duration, pause: Duration },
    /// Likewise, because we lack what it takes.
    Lacking { due: Duration, since: Duration, pause: Duration },
    /// It is under way, and may take until this time.
    UnderWay { task: TaskId, due: Duration, until: Duration, pause: Duration },
}

impl Probe {
    /// The first probe of readiness.
    pub(super) fn of_readiness(now: Duration) -> Self {
        Self::Planned { at: now, pause: PAUSES[0] }
    }

    /// The first probe of health of a run that has started: at a place within the interval that is its component's own.
    pub(super) fn of_health(spec: &ProcessSpec, health: &Health, started: Duration, seed: u64) -> Self {
        let beat = BEAT.min(health.interval / 100);
        let place = health.interval.saturating_sub(beat).mul_f64(share_of(spec, seed));
        let at = started.saturating_add(health.start_after).saturating_add(place);
        Self::Planned { at: next_beat(at, beat), pause: Duration::ZERO }
    }
}

impl Component {
    /// How far its probe has come, as far as others are concerned.
    pub(in crate::core) fn asking(&self) -> Option<Asking> {
        let State::Up { started, .. } = &self.state else { return None };
        let probe = self.guards().probe?;
        let way = Way::of(self.question(started.is_some())?);
        match probe {
            Probe::Planned { .. } | Probe::Lacking { .. } => None,
            Probe::Wanted { since, .. } => Some(Asking::Waits(way, since)),
            Probe::UnderWay { .. } => Some(Asking::UnderWay(way)),
        }
    }

    /// By what it is being asked, if this task is that.
    pub(in crate::core) fn is_asked_by(&self, task: TaskId) -> Option<Way> {
        match (self.guards().probe, self.asking()) {
            (Some(Probe::UnderWay { task: probe, .. }), Some(Asking::UnderWay(way))) if probe == task => {
                Some(way)
            }
            _ => None,
        }
    }

    /// What is lacking to ask it, and since when.
    pub(in crate::core) fn unasked(&self) -> Option<(&str, Duration)> {
        let again = self.guards().again.as_ref().filter(|_| matches!(self.state, State::Up { .. }))?;
        Some((&again.why, again.since))
    }

    /// What it is asked: whether it is ready, or whether it is well.
    fn question(&self, has_started: bool) -> Option<&spec::Probe> {
        if has_started {
            return self.spec.health.as_ref().map(|health| &health.probe);
        }
        match &self.spec.readiness.as_ref()?.when {
            ReadyWhen::Probed(probe) => Some(probe),
            ReadyWhen::Notified | ReadyWhen::Descriptor(_) | ReadyWhen::Logged(_) => None,
        }
    }

    /// Does what is due of its probe.
    pub(super) fn guard_probe(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        match self.guards().probe {
            Some(Probe::Planned { at, pause }) if at <= now => {
                self.guards_mut().probe = Some(Probe::Wanted { due: at, since: now, pause });
            }
            Some(Probe::Lacking { due, since, pause }) => {
                let guards = self.guards_mut();
                if guards.again.as_mut().is_none_or(|again| again.take_due(now)) {
                    guards.probe = Some(Probe::Wanted { due, since, pause });
                }
            }
            Some(Probe::UnderWay { task, until, .. }) if until <= now => {
                context.actions.push(Action::Abandon { task });
                let silence = format!("no answer within {}", Exactly(self.time_to_answer()));
                // What is late is never ready, and reaches nothing.
                let _ = self.probed(Err(silence.into()), context);
            }
            _ => {}
        }
    }

    /// The probe whose time has come may begin.
    pub(in crate::core) fn begin_probe(&mut self, context: &mut Context<'_>) {
        let State::Up { run, started, .. } = &self.state else { return };
        let Some(Probe::Wanted { due, since, pause }) = self.guards().probe else { return };
        let (run, is_readiness) = (run.id, started.is_none());
        let until = context.now.saturating_add(self.time_to_answer());
        let kind = if is_readiness { Task::Readiness } else { Task::Health };
        let task = self.begin_task(run, kind, context);
        let guards = self.guards_mut();
        if is_readiness {
            guards.waited_for_us += context.now.saturating_sub(since);
        }
        guards.probe = Some(Probe::UnderWay { task, due, until, pause });
    }

    /// The probe under way could not be begun for a want of ours: it is tried again until it can.
    pub(super) fn probe_not_begun(&mut self, why: Arc<str>, context: &Context<'_>) {
        let guards = self.guards_mut();
        if let Some(Probe::UnderWay { due, pause, .. }) = guards.probe {
            guards.probe = Some(Probe::Lacking { due, since: context.now, pause });
            guards.again = Some(Again::after(guards.again.as_ref(), why, LONGEST_PAUSE, context.now));
        }
    }

    fn time_to_answer(&self) -> Duration {
        let health = self.spec.health.as_ref().filter(|_| self.has_started());
        health.map_or(READINESS_PROBE, |health| health.timeout)
    }

    /// A probe has answered, or failed to.
    pub(super) fn probed(
        &mut self,
        result: Result<Arc<str>, Arc<str>>,
        context: &mut Context<'_>,
    ) -> Option<Milestone> {
        let probe = self.guards_mut().probe.take();
        let (State::Up { run, started, .. }, Some(Probe::UnderWay { due, pause, .. })) = (&self.state, probe)
        else {
            return None;
        };
        let run = run.id;
        let is_readiness = started.is_none();
        self.guards_mut().again = None;
        if is_readiness {
            return match result {
                Ok(_) => self.ready(context),
                Err(answer) => {
                    let at = context.now.saturating_add(pause);
                    let pause = pause.saturating_mul(2).min(PAUSES[1]);
                    let guards = self.guards_mut();
                    guards.answer = Some(answer);
                    guards.probe = Some(Probe::Planned { at, pause });
                    None
                }
            };
        }
        let interval = self.spec.health.as_ref()?.interval;
        self.guards_mut().probe = Some(next_probe(due, interval, context.now));
        match result {
            Ok(_) => self.healthy(run, context),
            Err(answer) => self.probe_failed(run, answer, context),
        }
        None
    }

    fn healthy(&mut self, run: RunId, context: &mut Context<'_>) {
        self.guards_mut().failures = 0;
        let was_ill = self.change_guards(context, |guards| guards.unhealthy.take().is_some());
        self.tell_if_well(was_ill, run, context);
    }

    fn probe_failed(&mut self, run: RunId, answer: Arc<str>, context: &mut Context<'_>) {
        let Some(&Health { failures: limit, action, .. }) = self.spec.health.as_ref() else { return };
        let failures = self.guards().failures.saturating_add(1);
        self.guards_mut().failures = failures;
        if self.guards().unhealthy.is_none() {
            self.emit(EventKind::ProbeFailed { run, failures, limit, answer: Arc::clone(&answer) }, context);
        }
        if failures < limit {
            return;
        }
        let fault = Fault::Unhealthy { failures, answer };
        match action {
            GuardAction::Restart => self.judge(fault, context),
            GuardAction::Report => {
                let told = fault.clone();
                if self.change_guards(context, |guards| guards.unhealthy.replace(told)).is_none() {
                    self.emit(EventKind::Unwell { run, fault }, context);
                }
            }
        }
    }
}

impl Guards {
    /// By when the run must be ready; the time in which its probe waits for us does not count.
    pub(super) fn ready_deadline(&self) -> Option<Duration> {
        match self.probe {
            Some(Probe::Wanted { .. } | Probe::Lacking { .. }) => None,
            _ => self.ready_by.map(|by| by.saturating_add(self.waited_for_us)),
        }
    }
}

/// Each component has its own place within an interval, so that not all are looked at at once.
pub(super) fn share_of(spec: &ProcessSpec, seed: u64) -> f64 {
    unit(mix(seed_for(seed, spec.id.as_str(), u64::MAX)))
}

/// The first beat that is not before this time.
fn next_beat(time: Duration, beat: Duration) -> Duration {
    let beat = beat.as_nanos();
    let beyond = if beat == 0 { 0 } else { time.as_nanos() % beat };
    let rest = if beyond == 0 { 0 } else { beat - beyond };
    // A beat is at most a tenth of a second.
    time.saturating_add(Duration::from_nanos(rest as u64))
}

/// The next probe of health: an interval after this one was due. What was missed meanwhile is left out.
fn next_probe(due: Duration, interval: Duration, now: Duration) -> Probe {
    let mut at = due.saturating_add(interval);
    if at <= now {
        let missed = now.saturating_sub(due).as_nanos() / interval.as_nanos().max(1) + 1;
        let later = u32::try_from(missed).unwrap_or(u32::MAX);
        at = due.saturating_add(interval.saturating_mul(later));
    }
    Probe::Planned { at, pause: Duration::ZERO }
}

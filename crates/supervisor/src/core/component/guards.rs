//! What is watched of a run that is up: whether it becomes ready, whether it is well, and what it uses.

use std::sync::Arc;
use std::time::Duration;

use super::again::Again;
use super::probing::{Probe, share_of};
use super::reloading::Reload;
use super::{Component, Context, Milestone, State};
use crate::core::Action;
use crate::core::message::{Said, TaskId};
use crate::event::{EventKind, Unready};
use crate::run::{Fault, RunId};
use crate::spec::{GuardAction, ProcessSpec, ReadyWhen};

/// How often memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_secs(5);

/// All that is watched of one run.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// By when it must be ready, as if it had never waited for us.
    pub(super) ready_by: Option<Duration>,
    /// How long its probe of readiness could not be begun though it was due.
    pub(super) waited_for_us: Duration,
    /// The probe of readiness or, once it has started, that of health.
    pub(super) probe: Option<Probe>,
    /// The probe could not be begun yet.
    pub(super) again: Option<Again>,
    /// What the last probe of readiness answered.
    pub(super) answer: Option<Arc<str>>,
    /// How often the probe of health failed in a row.
    pub(super) failures: u32,
    /// How often it must give a sign of life, if it has said so itself.
    watchdog: Option<Duration>,
    /// By when it must give a sign of life.
    alive_by: Option<Duration>,
    /// When memory is looked at next.
    measure_at: Option<Duration>,
    unready: Option<Unready>,
    pub(super) unhealthy: Option<Fault>,
    too_large: Option<Fault>,
    pub(super) reload: Option<Reload>,
    /// What it said last of what it is doing.
    pub(super) note: Option<Arc<str>>,
}

impl Guards {
    /// Those of a run that begins now; none if there is nothing to watch.
    pub(super) fn of_a_new_run(spec: &ProcessSpec, context: &Context<'_>) -> Option<Box<Self>> {
        let now = context.now;
        let is_watched = spec.readiness.is_some()
            || spec.health.is_some()
            || spec.watchdog.is_some()
            || spec.memory.is_some();
        if !is_watched {
            return None;
        }
        let mut guards = Self::default();
        if let Some(readiness) = &spec.readiness {
            guards.ready_by = Some(now.saturating_add(readiness.timeout));
            if let ReadyWhen::Probed(_) = readiness.when {
                guards.probe = Some(Probe::of_readiness(now));
            }
        }
        guards.watch_memory(spec, context);
        Some(Box::new(guards))
    }

    /// It is watched how much memory it uses, or no longer.
    pub(super) fn watch_memory(&mut self, spec: &ProcessSpec, context: &Context<'_>) {
        let first = || context.now.saturating_add(MEMORY_INTERVAL.mul_f64(share_of(spec, context.seed)));
        self.measure_at = spec.memory.map(|_| self.measure_at.unwrap_or_else(first));
        self.too_large = None;
    }

    /// Readiness is no longer the question, but health is.
    pub(super) fn run_has_started(&mut self, spec: &ProcessSpec, at: Duration, context: &mut Context<'_>) {
        self.ready_by = None;
        self.again = None;
        if let Some(Probe::UnderWay { task, .. }) = self.probe.take() {
            context.actions.push(Action::Abandon { task });
        }
        let health = spec.health.as_ref();
        self.probe = health.map(|health| Probe::of_health(spec, health, at, context.seed));
        self.alive_by = spec.watchdog.map(|_| at.saturating_add(self.watchdog_of(spec)));
    }

    /// What it says of its watchdog.
    pub(super) fn sign_of_life(&mut self, said: &Said, spec: &ProcessSpec, now: Duration) {
        self.watchdog = said.watchdog.or(self.watchdog);
        if said.alive || said.watchdog.is_some() {
            let timeout = self.watchdog_of(spec);
            self.alive_by = self.alive_by.map(|_| now.saturating_add(timeout));
        }
    }

    /// How often it must give a sign of life: as it has said itself, else by its specification.
    fn watchdog_of(&self, spec: &ProcessSpec) -> Duration {
        self.watchdog.or(spec.watchdog).unwrap_or(Duration::MAX)
    }

    /// More time to become ready: at most twice what it has.
    pub(super) fn extend_start(&mut self, to: Duration, spawned: Duration, spec: &ProcessSpec) {
        let (Some(by), Some(readiness)) = (self.ready_by, &spec.readiness) else { return };
        let longest = spawned.saturating_add(readiness.timeout.saturating_mul(2));
        self.ready_by = Some(by.max(to.saturating_sub(self.waited_for_us).min(longest)));
    }

    pub(super) fn is_unready(&self) -> bool {
        self.unready.is_some()
    }

    pub(super) fn unready(&self) -> Option<Unready> {
        self.unready
    }

    pub(super) fn set_unready(&mut self, unready: Option<Unready>) {
        self.unready = unready;
    }

    /// The rule that is broken and only told of.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.unhealthy.as_ref().or(self.too_large.as_ref())
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let probe = match self.probe {
            Some(Probe::Planned { at, .. }) => Some(at),
            Some(Probe::Lacking { .. }) => self.again.as_ref().and_then(Again::at),
            Some(Probe::UnderWay { until, .. }) => Some(until),
            Some(Probe::Wanted { .. }) | None => None,
        };
        let reload = self.reload.as_ref().map(Reload::deadline);
        [self.ready_deadline(), probe, self.alive_by, self.measure_at, reload].into_iter().flatten().min()
    }
}

impl Component {
    /// Does what is due of all that is watched.
    pub(super) fn guard(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        let now = context.now;
        let is_due = |time: Option<Duration>| time.is_some_and(|time| time <= now);
        if is_due(self.guards().alive_by) {
            let timeout = self.guards().watchdog_of(&self.spec);
            self.judge(Fault::Silent { timeout }, context);
            return None;
        }
        if is_due(self.guards().measure_at) {
            self.guards_mut().measure_at = Some(now.saturating_add(MEMORY_INTERVAL));
            context.actions.extend(self.run().map(|run| Action::Measure { run }));
        }
        self.guard_probe(context);
        if is_due(self.guards().ready_deadline()) {
            self.not_ready(context);
            return None;
        }
        self.guard_reload(context)
    }

    /// The time in which it must be ready is up. It may have had more than by its specification.
    fn not_ready(&mut self, context: &mut Context<'_>) {
        let (State::Up { process, .. }, Some(by)) = (&self.state, self.guards().ready_by) else { return };
        let timeout = by.saturating_sub(process.spawned);
        let answer = self.guards().answer.clone();
        self.judge(Fault::NotReady { timeout, answer }, context);
    }

    /// A task has ended.
    pub(in crate::core) fn finished(
        &mut self,
        task: TaskId,
        result: Result<Arc<str>, Arc<str>>,
        context: &mut Context<'_>,
    ) -> Option<Milestone> {
        if !matches!(self.state, State::Up { .. }) {
            self.step_finished(task, result, context)
        } else if self.is_asked_by(task).is_some() {
            self.probed(result, context)
        } else if self.is_reloaded_by(task) {
            self.reload_step_finished(result, context)
        } else {
            None
        }
    }

    /// A task could not be begun, because we lack something.
    pub(in crate::core) fn not_begun(&mut self, task: TaskId, why: Arc<str>, context: &mut Context<'_>) {
        if !matches!(self.state, State::Up { .. }) {
            self.step_not_begun(task, why, context);
        } else if self.is_asked_by(task).is_some() {
            self.probe_not_begun(why, context);
        } else if self.is_reloaded_by(task) {
            self.reload_not_begun(why, context);
        }
    }

    /// What people see of a run that is up may change: then it is in that state since now.
    pub(super) fn change_guards<R>(
        &mut self,
        context: &Context<'_>,
        change: impl FnOnce(&mut Guards) -> R,
    ) -> R {
        let before = self.state_word(context.now);
        let result = change(self.guards_mut());
        if self.state_word(context.now) != before {
            self.since = context.now;
        }
        result
    }

    /// It is well again only when it breaks no other rule.
    pub(super) fn tell_if_well(&mut self, was_ill: bool, run: RunId, context: &mut Context<'_>) {
        if was_ill && self.guards().fault().is_none() {
            self.emit(EventKind::Well { run }, context);
        }
    }

    /// So much memory is used by its processes.
    pub(in crate::core) fn measured(&mut self, used: u64, context: &mut Context<'_>) {
        let (State::Up { run, .. }, Some(limit)) = (&self.state, self.spec.memory) else { return };
        let run = run.id;
        if used <= limit.max {
            let was_large = self.change_guards(context, |guards| guards.too_large.take().is_some());
            return self.tell_if_well(was_large, run, context);
        }
        let fault = Fault::TooLarge { used, max: limit.max };
        match limit.action {
            GuardAction::Restart => self.judge(fault, context),
            GuardAction::Report => {
                let told = fault.clone();
                if self.change_guards(context, |guards| guards.too_large.replace(told)).is_none() {
                    self.emit(EventKind::Unwell { run, fault }, context);
                }
            }
        }
    }

    /// The run is about to end: what is asked of it, or done to it, is given up.
    pub(super) fn abandon_tasks(&mut self, context: &mut Context<'_>) {
        let Some(guards) = &mut self.guards else { return };
        let reload = guards.reload.take();
        if reload.is_some() {
            self.broken_reload = Some("it ended meanwhile");
        }
        let probe = match guards.probe.take() {
            Some(Probe::UnderWay { task, .. }) => Some(task),
            _ => None,
        };
        let tasks = probe.into_iter().chain(reload.and_then(|reload| reload.task));
        context.actions.extend(tasks.map(|task| Action::Abandon { task }));
    }
}

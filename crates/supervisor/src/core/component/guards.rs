//! What is watched of a run that is up: whether it becomes ready, whether it is well, and what it uses.

use std::sync::Arc;
use std::time::Duration;

use super::{Component, Context, Milestone, State};
use crate::chance::{mix, seed_for, unit};
use crate::core::Action;
use crate::core::message::{Said, Task, TaskId};
use crate::event::{EventKind, StepOf, Unready};
use crate::run::{Fault, RunId};
use crate::spec::{GuardAction, Health, ProcessSpec, ReadyWhen};

/// The shortest and the longest pause between two probes of readiness; each pause is twice the one before.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// How long one probe of readiness may take.
const READINESS_PROBE: Duration = Duration::from_secs(5);

/// How often memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_secs(5);

/// All that is watched of one run.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// By when it must be ready.
    ready_by: Option<Duration>,
    /// The probe of readiness or, once it has started, that of health.
    probe: Option<Probe>,
    /// What the last probe of readiness answered.
    answer: Option<Arc<str>>,
    /// How often the probe of health failed in a row.
    failures: u32,
    /// How often it must give a sign of life, if it has said so itself.
    watchdog: Option<Duration>,
    /// By when it must give a sign of life.
    alive_by: Option<Duration>,
    /// When memory is looked at next.
    measure_at: Option<Duration>,
    unready: Option<Unready>,
    unhealthy: Option<Fault>,
    too_large: Option<Fault>,
    reload: Option<Reload>,
    /// What it said last of what it is doing.
    pub(super) note: Option<Arc<str>>,
}

/// How far the next probe has come. There is never more than one.
#[derive(Clone, Copy, Debug)]
enum Probe {
    /// It comes at this time.
    Planned { at: Duration, pause: Duration },
    /// Its time has come, but too many are under way.
    Wanted { since: Duration, pause: Duration },
    /// It is under way, and may take until this time.
    UnderWay { task: TaskId, since: Duration, until: Duration, pause: Duration },
}

/// How far a reload has come: this step, until this time.
#[derive(Clone, Copy, Debug)]
struct Reload {
    step: usize,
    task: Option<TaskId>,
    until: Duration,
}

impl Guards {
    /// Those of a run that begins now; none if there is nothing to watch.
    pub(super) fn of_a_new_run(spec: &ProcessSpec, context: &Context<'_>) -> Option<Box<Self>> {
        let (now, seed) = (context.now, context.seed);
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
                guards.probe = Some(Probe::Planned { at: now, pause: PAUSES[0] });
            }
        }
        guards.measure_at =
            spec.memory.map(|_| now.saturating_add(MEMORY_INTERVAL.mul_f64(share_of(spec, seed))));
        Some(Box::new(guards))
    }

    /// Readiness is no longer the question, but health is.
    pub(super) fn run_has_started(&mut self, spec: &ProcessSpec, at: Duration, context: &mut Context<'_>) {
        self.ready_by = None;
        if let Some(Probe::UnderWay { task, .. }) = self.probe.take() {
            context.actions.push(Action::Abandon { task });
        }
        self.probe = spec.health.as_ref().map(|health| {
            let share = share_of(spec, context.seed);
            let first = at.saturating_add(health.start_after).saturating_add(health.interval.mul_f64(share));
            Probe::Planned { at: first, pause: Duration::ZERO }
        });
        self.alive_by = spec.watchdog.map(|_| at.saturating_add(self.watchdog_of(spec)));
    }

    /// What it says of its watchdog.
    pub(super) fn sign_of_life(&mut self, said: &Said, spec: &ProcessSpec, now: Duration) {
        if let Some(timeout) = said.watchdog.filter(|timeout| !timeout.is_zero()) {
            self.watchdog = Some(timeout);
        }
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
        self.ready_by = Some(by.max(to.min(longest)));
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

    pub(super) fn wants_a_probe(&self) -> bool {
        matches!(self.probe, Some(Probe::Wanted { .. }))
    }

    pub(super) fn probes_under_way(&self) -> usize {
        usize::from(matches!(self.probe, Some(Probe::UnderWay { .. })))
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let probe = self.probe.and_then(|probe| match probe {
            Probe::Planned { at, .. } => Some(at),
            Probe::Wanted { .. } => None,
            Probe::UnderWay { until, .. } => Some(until),
        });
        let reload = self.reload.map(|reload| reload.until);
        [self.ready_by, probe, self.alive_by, self.measure_at, reload].into_iter().flatten().min()
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
        match self.guards().probe {
            Some(Probe::Planned { at, pause }) if at <= now => {
                self.guards_mut().probe = Some(Probe::Wanted { since: at, pause });
            }
            Some(Probe::UnderWay { task, since, until, .. }) if until <= now => {
                context.actions.push(Action::Abandon { task });
                let took = until.saturating_sub(since);
                let silence = format!("no answer within {}", crate::status::Short(took));
                self.probed(Err(silence.into()), context);
            }
            _ => {}
        }
        if is_due(self.guards().ready_by) {
            let timeout = self.spec.readiness.as_ref().map_or(Duration::ZERO, |readiness| readiness.timeout);
            let answer = self.guards().answer.clone();
            self.judge(Fault::NotReady { timeout, answer }, context);
            return None;
        }
        match self.guards().reload {
            Some(Reload { step, task, until }) if until <= now => {
                if let Some(task) = task {
                    context.actions.push(Action::Abandon { task });
                    let why: Arc<str> = "it did not end in time, and was killed".into();
                    self.tell_of_reload(step, Some(Err(Arc::clone(&why))), context);
                    return self.reloaded(Err(why));
                }
                self.reload_from(step + 1, context)
            }
            _ => None,
        }
    }

    /// The probe whose time has come may begin.
    pub(in crate::core) fn begin_probe(&mut self, context: &mut Context<'_>) {
        let (State::Up { run, started, .. }, Some(Probe::Wanted { since, pause })) =
            (&self.state, self.guards().probe)
        else {
            return;
        };
        let (task, limit) = match (started, &self.spec.health) {
            (None, _) => (Task::Readiness, READINESS_PROBE),
            (Some(_), Some(health)) => (Task::Health, health.timeout),
            (Some(_), None) => return,
        };
        let until = context.now.saturating_add(limit);
        let task = self.begin_task(run.id, task, context);
        // The next probe of health is counted from when this one was due, that of readiness from its end.
        self.guards_mut().probe = Some(Probe::UnderWay { task, since, until, pause });
    }

    /// A task has ended.
    pub(in crate::core) fn finished(
        &mut self,
        task: TaskId,
        result: Result<Arc<str>, Arc<str>>,
        context: &mut Context<'_>,
    ) -> Option<Milestone> {
        match (self.guards().probe, self.guards().reload) {
            _ if !matches!(self.state, State::Up { .. }) => self.step_finished(task, result, context),
            (Some(Probe::UnderWay { task: probe, .. }), _) if probe == task => self.probed(result, context),
            (_, Some(Reload { step, task: Some(command), .. })) if command == task => {
                self.tell_of_reload(step, Some(result.clone()), context);
                match result {
                    Ok(_) => self.reload_from(step + 1, context),
                    Err(why) => self.reloaded(Err(why)),
                }
            }
            _ => None,
        }
    }

    /// A probe has answered, or failed to.
    fn probed(&mut self, result: Result<Arc<str>, Arc<str>>, context: &mut Context<'_>) -> Option<Milestone> {
        let probe = self.guards_mut().probe.take();
        let (State::Up { run, started, .. }, Some(Probe::UnderWay { since, pause, .. })) =
            (&self.state, probe)
        else {
            return None;
        };
        let run = run.id;
        match (started, self.spec.health.clone(), result) {
            (None, _, Ok(_)) => self.ready(context),
            (None, _, Err(answer)) => {
                self.guards_mut().answer = Some(answer);
                let at = context.now.saturating_add(pause);
                let pause = pause.saturating_mul(2).min(PAUSES[1]);
                self.guards_mut().probe = Some(Probe::Planned { at, pause });
                None
            }
            (Some(_), Some(health), result) => {
                self.guards_mut().probe = Some(next_probe(since, &health, context.now));
                match result {
                    Ok(_) => {
                        self.healthy(run, context);
                        None
                    }
                    Err(answer) => {
                        self.probe_failed(run, &health, answer, context);
                        None
                    }
                }
            }
            (Some(_), None, _) => None,
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

    fn healthy(&mut self, run: RunId, context: &mut Context<'_>) {
        self.guards_mut().failures = 0;
        let was_ill = self.change_guards(context, |guards| guards.unhealthy.take().is_some());
        self.tell_if_well(was_ill, run, context);
    }

    /// It is well again only when it breaks no other rule.
    fn tell_if_well(&mut self, was_ill: bool, run: RunId, context: &mut Context<'_>) {
        if was_ill && self.guards().fault().is_none() {
            self.emit(EventKind::Well { run }, context);
        }
    }

    fn probe_failed(&mut self, run: RunId, health: &Health, answer: Arc<str>, context: &mut Context<'_>) {
        let (failures, limit) = (self.guards().failures.saturating_add(1), health.failures);
        self.guards_mut().failures = failures;
        if self.guards().unhealthy.is_none() {
            self.emit(EventKind::ProbeFailed { run, failures, limit, answer: Arc::clone(&answer) }, context);
        }
        if failures < limit {
            return;
        }
        let fault = Fault::Unhealthy { failures, answer };
        match health.action {
            GuardAction::Restart => self.judge(fault, context),
            GuardAction::Report => {
                let told = fault.clone();
                if self.change_guards(context, |guards| guards.unhealthy.replace(told)).is_none() {
                    self.emit(EventKind::Unwell { run, fault }, context);
                }
            }
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

    /// Somebody asks it to read its configuration again. Whether it can be told.
    pub(in crate::core) fn reload(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        // One that is under way serves this one too.
        if self.guards().reload.is_some() { None } else { self.reload_from(0, context) }
    }

    fn reload_from(&mut self, step: usize, context: &mut Context<'_>) -> Option<Milestone> {
        let (Some(run), Some(next)) = (self.run(), self.spec.reload.get(step).cloned()) else {
            return self.reloaded(Ok(()));
        };
        let task = self.do_step(run, &next, StepOf::Reload, Task::Reload(step), context);
        if task.is_none() && step + 1 == self.spec.reload.len() {
            // Nothing comes after the last signal that would have to wait for it.
            return self.reloaded(Ok(()));
        }
        let until = context.now.saturating_add(next.limit());
        self.guards_mut().reload = Some(Reload { step, task, until });
        None
    }

    fn reloaded(&mut self, result: Result<(), Arc<str>>) -> Option<Milestone> {
        self.guards_mut().reload = None;
        Some(Milestone::Reloaded(result))
    }

    fn tell_of_reload(
        &self,
        step: usize,
        result: Option<Result<Arc<str>, Arc<str>>>,
        context: &mut Context<'_>,
    ) {
        let (Some(run), Some(crate::spec::Step::Run { command, .. })) =
            (self.run(), self.spec.reload.get(step))
        else {
            return;
        };
        let step = command.program.to_string_lossy().into();
        self.emit(EventKind::Step { run, of: StepOf::Reload, step, result }, context);
    }

    /// The run is about to end: what is asked of it, or done to it, is given up.
    pub(super) fn abandon_tasks(&mut self, context: &mut Context<'_>) {
        if !matches!(self.state, State::Up { .. }) {
            return;
        }
        let Some(guards) = &mut self.guards else { return };
        let reload = guards.reload.take();
        self.reload_is_broken |= reload.is_some();
        let probe = match guards.probe.take() {
            Some(Probe::UnderWay { task, .. }) => Some(task),
            _ => None,
        };
        let tasks = probe.into_iter().chain(reload.and_then(|reload| reload.task));
        context.actions.extend(tasks.map(|task| Action::Abandon { task }));
    }
}

/// Each component has its own place within an interval, so that not all are looked at at once.
fn share_of(spec: &ProcessSpec, seed: u64) -> f64 {
    unit(mix(seed_for(seed, spec.id.as_str(), u64::MAX)))
}

/// The next probe of health: an interval after this one was due. What was missed meanwhile is left out.
fn next_probe(since: Duration, health: &Health, now: Duration) -> Probe {
    let mut at = since.saturating_add(health.interval);
    if at <= now {
        let interval = health.interval.as_nanos().max(1);
        let missed = now.saturating_sub(since).as_nanos() / interval + 1;
        let later = u32::try_from(missed).unwrap_or(u32::MAX);
        at = since.saturating_add(health.interval.saturating_mul(later));
    }
    Probe::Planned { at, pause: Duration::ZERO }
}

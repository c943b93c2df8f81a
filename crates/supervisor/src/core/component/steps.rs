//! The steps on the way to the end of a run, of which some are commands: evidence, stopping, cleanup.

use std::sync::Arc;
use std::time::Duration;

use super::again::{Again, COMMAND_PAUSE};
use super::ending::{KILL_GRACE, Phase};
use super::{Component, Context, Milestone, State};
use crate::core::Action;
use crate::core::message::{Task, TaskId};
use crate::event::{EventKind, KillReason, StepOf};
use crate::run::RunId;
use crate::signal::Signal;
use crate::spec::{Command, Recipient, Step};

impl Component {
    pub(super) fn begin_evidence(&mut self, then_kill: bool, context: &mut Context<'_>) {
        let State::Ending { run, ending, .. } = &mut self.state else { return };
        let run = run.id;
        if std::mem::replace(&mut ending.has_evidence, true) {
            return self.after_evidence(then_kill, context);
        }
        if ending.exit.is_none() {
            context.actions.push(Action::Inspect { run });
        }
        self.take_evidence(run, 0, then_kill, context);
    }

    pub(super) fn take_evidence(
        &mut self,
        run: RunId,
        step: usize,
        then_kill: bool,
        context: &mut Context<'_>,
    ) {
        let has_process = matches!(&self.state, State::Ending { ending, .. } if ending.exit.is_none());
        let Some(next) = self.spec.evidence.get(step).filter(|_| has_process).cloned() else {
            return self.after_evidence(then_kill, context);
        };
        let task = self.do_step(run, &next, StepOf::Evidence, Task::Evidence(step), context);
        let until = context.now.saturating_add(next.limit());
        self.set_phase(Phase::Evidence { step, task, until, then_kill });
    }

    fn after_evidence(&mut self, then_kill: bool, context: &mut Context<'_>) {
        if then_kill { self.send_kill(KillReason::Timeout, context) } else { self.begin_stopping(context) }
    }

    pub(super) fn begin_stopping(&mut self, context: &mut Context<'_>) {
        let limit = context.now.saturating_add(self.stop_time());
        self.take_step(0, context.now, limit, context);
    }

    pub(super) fn take_step(
        &mut self,
        step: usize,
        began: Duration,
        limit: Duration,
        context: &mut Context<'_>,
    ) {
        let Some(run) = self.run() else { return };
        let Some(next) = self.stop_step(step).filter(|_| context.now < limit || step == 0) else {
            return self.begin_evidence(true, context);
        };
        let task = self.do_step(run, &next, StepOf::Stop, Task::Stop(step), context);
        let until = context.now.saturating_add(next.limit()).min(limit);
        self.set_phase(Phase::Stopping { step, task, until, began, limit });
    }

    /// How long it may take to stop.
    pub(super) fn stop_time(&self) -> Duration {
        if self.spec.stop.is_empty() {
            return self.spec.stop_timeout;
        }
        let steps = self.spec.stop.iter().fold(Duration::ZERO, |sum, step| sum.saturating_add(step.limit()));
        steps.min(self.spec.stop_timeout)
    }

    /// How long it may take until nothing of it is left, from when it is told to stop: none if nothing runs.
    pub(in crate::core) fn longest_end(&self) -> Duration {
        if self.run().is_none() {
            return Duration::ZERO;
        }
        let cleanup = self.spec.cleanup.as_ref().map_or(Duration::ZERO, |cleanup| cleanup.timeout);
        self.stop_time().saturating_mul(2).saturating_add(cleanup).saturating_add(KILL_GRACE)
    }

    /// The steps of stopping: by default SIGTERM to the group, with all the time there is.
    pub(super) fn stop_step(&self, step: usize) -> Option<Step> {
        if self.spec.stop.is_empty() {
            let wait = self.spec.stop_timeout;
            let terminate = Step::Signal { signal: Signal::TERM, wait, to: Recipient::Group };
            return (step == 0).then_some(terminate);
        }
        self.spec.stop.get(step).cloned()
    }

    /// Does a step of whatever it belongs to; a command is a task.
    pub(super) fn do_step(
        &mut self,
        run: RunId,
        step: &Step,
        of: StepOf,
        task: Task,
        context: &mut Context<'_>,
    ) -> Option<TaskId> {
        let (task, words) = match step {
            Step::Signal { signal, to, .. } => {
                self.sent.add(*signal);
                context.actions.push(Action::Signal { run, signal: *signal, to: *to });
                (None, signal.to_string())
            }
            Step::Run { command, .. } => {
                (Some(self.begin_task(run, task, context)), command.program.to_string_lossy().into_owned())
            }
        };
        let is_default_stop = of == StepOf::Stop && self.spec.stop.is_empty();
        if !is_default_stop {
            self.emit(EventKind::Step { run, of, step: words.into(), result: None }, context);
        }
        task
    }

    /// Runs the cleanup, if there is one.
    pub(super) fn begin_cleanup(&mut self, context: &mut Context<'_>) -> bool {
        let State::Ending { run, ending, .. } = &self.state else { return false };
        let run = run.id;
        if let Phase::Cleanup { .. } = ending.phase {
            return true;
        }
        self.give_up_step(context);
        let Some(cleanup) = &self.spec.cleanup else { return false };
        let until = context.now.saturating_add(cleanup.timeout);
        let step = cleanup.command.program.to_string_lossy().into();
        let task = self.begin_task(run, Task::Cleanup, context);
        self.emit(EventKind::Step { run, of: StepOf::Cleanup, step, result: None }, context);
        self.set_phase(Phase::Cleanup { task: Some(task), until });
        true
    }

    /// A command of its ending has ended.
    pub(super) fn step_finished(
        &mut self,
        finished: TaskId,
        result: Result<Arc<str>, Arc<str>>,
        context: &mut Context<'_>,
    ) -> Option<Milestone> {
        let State::Ending { run, ending, .. } = &mut self.state else { return None };
        ending.task()?.take_if(|task| *task == finished)?;
        ending.again = None;
        let (run, phase) = (run.id, ending.phase.clone());
        self.tell_of_step(finished.task, result, context);
        match phase {
            Phase::Evidence { step, then_kill, .. } => {
                self.take_evidence(run, step + 1, then_kill, context);
                None
            }
            // What the last step has brought about is given the rest of its time.
            Phase::Stopping { step, began, limit, .. } if self.stop_step(step + 1).is_some() => {
                self.take_step(step + 1, began, limit, context);
                None
            }
            Phase::Stopping { .. } => None,
            _ => self.finish_run(context),
        }
    }

    /// What has become of the command of this phase is told, and if it is under way it is killed.
    pub(super) fn give_up_step(&mut self, context: &mut Context<'_>) {
        let State::Ending { ending, .. } = &mut self.state else { return };
        let Some(task) = ending.phase.task_kind() else { return };
        let why = match (ending.task().and_then(Option::take), ending.again.take()) {
            (Some(task), _) => {
                context.actions.push(Action::Abandon { task });
                "it had not ended in time, and was killed".into()
            }
            (None, Some(again)) => again.why,
            (None, None) => return,
        };
        self.tell_of_step(task, Err(why), context);
    }

    /// Tells what has come of a command of its ending.
    fn tell_of_step(&self, task: Task, result: Result<Arc<str>, Arc<str>>, context: &mut Context<'_>) {
        let (of, command) = match task {
            Task::Evidence(step) => (StepOf::Evidence, self.spec.evidence.get(step).and_then(command_of)),
            Task::Stop(step) => (StepOf::Stop, self.spec.stop.get(step).and_then(command_of)),
            Task::Cleanup => (StepOf::Cleanup, self.spec.cleanup.as_ref().map(|cleanup| &cleanup.command)),
            Task::Readiness | Task::Health | Task::Reload(_) => return,
        };
        let (Some(run), Some(command)) = (self.run(), command) else { return };
        let step = command.program.to_string_lossy().into();
        self.emit(EventKind::Step { run, of, step, result: Some(result) }, context);
    }

    /// A command of its ending could not be begun for a want of ours: it is tried again until its time is up.
    pub(super) fn step_not_begun(&mut self, task: TaskId, why: Arc<str>, context: &Context<'_>) {
        let State::Ending { ending, .. } = &mut self.state else { return };
        if ending.task().and_then(|its| its.take_if(|its| *its == task)).is_some() {
            ending.again = Some(Again::after(ending.again.as_ref(), why, COMMAND_PAUSE, context.now));
        }
    }

    pub(super) fn try_step_again(&mut self, run: RunId, context: &mut Context<'_>) {
        let State::Ending { ending, .. } = &self.state else { return };
        let Some(task) = ending.phase.task_kind() else { return };
        let begun = self.begin_task(run, task, context);
        if let State::Ending { ending, .. } = &mut self.state
            && let Some(task) = ending.task()
        {
            *task = Some(begun);
        }
    }
}

impl Phase {
    /// What its command is, if its step is one.
    fn task_kind(&self) -> Option<Task> {
        match self {
            Self::Evidence { step, .. } => Some(Task::Evidence(*step)),
            Self::Stopping { step, .. } => Some(Task::Stop(*step)),
            Self::Cleanup { .. } => Some(Task::Cleanup),
            Self::Leftovers(_) | Self::Killed(_) | Self::KilledInVain { .. } => None,
        }
    }
}

fn command_of(step: &Step) -> Option<&Command> {
    match step {
        Step::Run { command, .. } => Some(command),
        Step::Signal { .. } => None,
    }
}

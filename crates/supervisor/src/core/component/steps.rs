//! The steps by which a run ends: signals, and commands that take their time.

use std::sync::Arc;
use std::time::Duration;

use super::again::{Again, COMMAND_PAUSE};
use super::ending::Phase;
use super::{Component, Context, Milestone, State};
use crate::core::Action;
use crate::core::message::{Task, TaskId};
use crate::event::{EventKind, StepOf};
use crate::run::RunId;
use crate::signal::Signal;
use crate::spec::{Command, Recipient, Step};

impl Component {
    /// How long it may take to stop.
    pub(super) fn stop_time(&self) -> Duration {
        if self.spec.stop.is_empty() {
            return self.spec.stop_timeout;
        }
        let steps = self.spec.stop.iter().fold(Duration::ZERO, |sum, step| sum.saturating_add(step.limit()));
        steps.min(self.spec.stop_timeout)
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

    /// What has become of the command of this phase is told, and if it is under way it is killed.
    pub(super) fn give_up_step(&mut self, context: &mut Context<'_>) {
        let State::Ending { run, ending, .. } = &mut self.state else { return };
        let (run, again) = (run.id, ending.again.take());
        let (of, command) = match ending.phase {
            Phase::Evidence { step, .. } => (StepOf::Evidence, command_of(self.spec.evidence.get(step))),
            Phase::Stopping { step, .. } => (StepOf::Stop, command_of(self.spec.stop.get(step))),
            Phase::Cleanup { .. } => {
                (StepOf::Cleanup, self.spec.cleanup.as_ref().map(|cleanup| &cleanup.command))
            }
            Phase::Leftovers | Phase::Killed(_) | Phase::KilledInVain => return,
        };
        let why: Arc<str> = match (ending.task().and_then(Option::take), again) {
            (Some(task), _) => {
                context.actions.push(Action::Abandon { task });
                "it had not ended in time, and was killed".into()
            }
            (None, Some(again)) => again.why,
            (None, None) => return,
        };
        let step = command.map_or("".into(), |command| command.program.to_string_lossy().into());
        self.emit(EventKind::Step { run, of, step, result: Some(Err(why)) }, context);
    }

    /// A command of its ending has ended.
    pub(super) fn step_finished(
        &mut self,
        finished: TaskId,
        result: Result<Arc<str>, Arc<str>>,
        context: &mut Context<'_>,
    ) -> Option<Milestone> {
        let State::Ending { run, ending, .. } = &self.state else { return None };
        let (run, phase) = (run.id, ending.phase.clone());
        let (of, command) = match (&phase, finished.task) {
            (Phase::Evidence { task: Some(task), .. }, Task::Evidence(step)) if *task == finished => {
                (StepOf::Evidence, command_of(self.spec.evidence.get(step)))
            }
            (Phase::Stopping { task: Some(task), .. }, Task::Stop(step)) if *task == finished => {
                (StepOf::Stop, command_of(self.spec.stop.get(step)))
            }
            (Phase::Cleanup { task: Some(task), .. }, Task::Cleanup) if *task == finished => {
                (StepOf::Cleanup, self.spec.cleanup.as_ref().map(|cleanup| &cleanup.command))
            }
            _ => return None,
        };
        let step = command.map_or("".into(), |command| command.program.to_string_lossy().into());
        self.emit(EventKind::Step { run, of, step, result: Some(result) }, context);
        if let State::Ending { ending, .. } = &mut self.state {
            ending.again = None;
            ending.task().and_then(Option::take);
        }
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

    /// A command of its ending could not be begun for a want of ours: it is tried again until its time is up.
    pub(super) fn step_not_begun(&mut self, task: TaskId, why: Arc<str>, context: &Context<'_>) {
        let State::Ending { ending, .. } = &mut self.state else { return };
        if ending.task().and_then(|its| its.take_if(|its| *its == task)).is_some() {
            ending.again = Some(Again::after(ending.again.as_ref(), why, COMMAND_PAUSE, context.now));
        }
    }

    pub(super) fn try_step_again(&mut self, run: RunId, context: &mut Context<'_>) {
        let State::Ending { ending, .. } = &self.state else { return };
        let task = match ending.phase {
            Phase::Evidence { step, .. } => Task::Evidence(step),
            Phase::Stopping { step, .. } => Task::Stop(step),
            Phase::Cleanup { .. } => Task::Cleanup,
            Phase::Leftovers | Phase::Killed(_) | Phase::KilledInVain => return,
        };
        let begun = self.begin_task(run, task, context);
        if let State::Ending { ending, .. } = &mut self.state
            && let Some(task) = ending.task()
        {
            *task = Some(begun);
        }
    }
}

fn command_of(step: Option<&Step>) -> Option<&Command> {
    match step {
        Some(Step::Run { command, .. }) => Some(command),
        Some(Step::Signal { .. }) | None => None,
    }
}

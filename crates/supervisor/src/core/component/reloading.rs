//! How a run is told to read its configuration again, step by step.

use std::sync::Arc;
use std::time::Duration;

use super::again::{Again, COMMAND_PAUSE};
use super::{Component, Context, Milestone};
use crate::core::Action;
use crate::core::message::{Task, TaskId};
use crate::event::{EventKind, StepOf};
use crate::spec::Step;

/// How far a reload has come: this step, until this time.
#[derive(Clone, Debug)]
pub(super) struct Reload {
    step: usize,
    pub(super) task: Option<TaskId>,
    until: Duration,
    /// Its command could not be begun yet.
    again: Option<Again>,
}

impl Reload {
    pub(super) fn deadline(&self) -> Duration {
        self.again.as_ref().and_then(Again::at).map_or(self.until, |at| at.min(self.until))
    }
}

impl Component {
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
        self.guards_mut().reload = Some(Reload { step, task, until, again: None });
        None
    }

    /// Does what is due of its reload.
    pub(super) fn guard_reload(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        let reload = self.guards().reload.as_ref().filter(|reload| reload.deadline() <= context.now)?;
        let Reload { step, task, until, again } = reload.clone();
        match (task, again) {
            (_, Some(mut again)) if until > context.now => {
                again.take_due(context.now);
                let run = self.run()?;
                let task = Some(self.begin_task(run, Task::Reload(step), context));
                self.guards_mut().reload = Some(Reload { step, task, until, again: Some(again) });
                None
            }
            (Some(task), _) => {
                context.actions.push(Action::Abandon { task });
                let why: Arc<str> = "it did not end in time, and was killed".into();
                self.tell_of_reload(step, Err(Arc::clone(&why)), context);
                self.reloaded(Err(why))
            }
            (None, Some(again)) => {
                self.tell_of_reload(step, Err(Arc::clone(&again.why)), context);
                self.reloaded(Err(again.why))
            }
            (None, None) => self.reload_from(step + 1, context),
        }
    }

    /// Whether this task is its command.
    pub(super) fn is_reloaded_by(&self, task: TaskId) -> bool {
        self.guards().reload.as_ref().is_some_and(|reload| reload.task == Some(task))
    }

    /// Its command has ended.
    pub(super) fn reload_step_finished(
        &mut self,
        result: Result<Arc<str>, Arc<str>>,
        context: &mut Context<'_>,
    ) -> Option<Milestone> {
        let step = self.guards().reload.as_ref()?.step;
        self.tell_of_reload(step, result.clone(), context);
        match result {
            Ok(_) => self.reload_from(step + 1, context),
            Err(why) => self.reloaded(Err(why)),
        }
    }

    /// Its command could not be begun for a want of ours: it is tried again until its time is up.
    pub(super) fn reload_not_begun(&mut self, why: Arc<str>, context: &Context<'_>) {
        if let Some(reload) = &mut self.guards_mut().reload {
            reload.task = None;
            reload.again = Some(Again::after(reload.again.as_ref(), why, COMMAND_PAUSE, context.now));
        }
    }

    fn reloaded(&mut self, result: Result<(), Arc<str>>) -> Option<Milestone> {
        self.guards_mut().reload = None;
        Some(Milestone::Reloaded(result))
    }

    fn tell_of_reload(&self, step: usize, result: Result<Arc<str>, Arc<str>>, context: &mut Context<'_>) {
        let (Some(run), Some(Step::Run { command, .. })) = (self.run(), self.spec.reload.get(step)) else {
            return;
        };
        let step = command.program.to_string_lossy().into();
        self.emit(EventKind::Step { run, of: StepOf::Reload, step, result: Some(result) }, context);
    }
}

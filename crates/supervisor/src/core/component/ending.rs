//! How a run ends: why, how far that has come, the kill, and what is left. The steps on the way are in `steps`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::again::Again;
use super::{Component, Context, Milestone, State};
use crate::core::Action;
use crate::core::message::TaskId;
use crate::event::{EventKind, KillReason};
use crate::run::{Exit, Fault, RunId};
use crate::signal::Signal;
use crate::spec::{Recipient, Step};

/// How long killed processes are given to be gone before they are said to be unkillable.
pub(in crate::core) const KILL_GRACE: Duration = Duration::from_secs(5);

/// The longest pause between two looks at what has outlived its kill. The first one is as long as the grace, each other twice as long.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How far the end of a run has come.
#[derive(Debug)]
pub(super) struct Ending {
    /// Since when it has been ending.
    pub(super) since: Duration,
    pub(super) why: Why,
    /// When somebody asked for it first, if somebody did.
    asked_at: Option<Duration>,
    /// How and when its main process ended, once it has.
    pub(super) exit: Option<(Exit, Duration)>,
    pub(super) phase: Phase,
    /// The command of this phase could not be begun yet.
    pub(super) again: Option<Again>,
    /// Whether evidence has been taken.
    pub(super) has_evidence: bool,
    /// The processes that were last seen alive, beside the main process.
    pub(super) left: Vec<u32>,
}

/// Why a run ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    /// Its main process ended.
    ByItself,
    /// Somebody asked for it, or its group is restarted.
    Asked,
    /// It broke a rule.
    Judged(Fault),
}

/// What is being done about a run that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing since this time: it has ended by itself. As soon as anything is found to be left, that is killed.
    Leftovers(Duration),
    /// Evidence is taken of why it hangs: this step, until this time. Then it is stopped, or killed.
    Evidence { step: usize, task: Option<TaskId>, until: Duration, then_kill: bool },
    /// It is stopped: by this step, until this time; and killed when the limit has come.
    Stopping { step: usize, task: Option<TaskId>, until: Duration, began: Duration, limit: Duration },
    /// It was killed at this time.
    Killed(Duration),
    /// It was killed, and something has outlived it. Not every process can be watched, so that it is looked at again at this time, and then
    /// after a longer pause.
    KilledInVain { look_at: Duration, pause: Duration },
    /// Nothing of it is left, and its cleanup runs.
    Cleanup { task: Option<TaskId>, until: Duration },
}

impl Ending {
    pub(super) fn by_itself(exit: Exit, now: Duration) -> Self {
        Self {
            since: now,
            why: Why::ByItself,
            asked_at: None,
            exit: Some((exit, now)),
            phase: Phase::Leftovers(now),
            again: None,
            has_evidence: false,
            left: Vec::new(),
        }
    }

    /// One that an earlier supervisor had begun, of a run whose main process has ended meanwhile.
    pub(super) fn after_all(why: Why, exit: Exit, at: Duration) -> Self {
        Self { why, ..Self::by_itself(exit, at) }
    }

    fn because(why: Why, now: Duration) -> Self {
        Self { why, exit: None, ..Self::by_itself(Exit::Unknown, now) }
    }

    /// Whether it is not known yet what comes of it: nobody has asked for it, and nothing withstands it.
    pub(super) fn may_bring_more(&self) -> bool {
        self.why != Why::Asked && !self.is_in_vain()
    }

    /// Whether something has outlived the kill.
    pub(super) fn is_in_vain(&self) -> bool {
        matches!(self.phase, Phase::KilledInVain { .. })
    }

    /// When it must be looked at though nothing has happened.
    pub(super) fn deadline(&self) -> Duration {
        let again = self.again.as_ref().and_then(Again::at);
        again.unwrap_or(Duration::MAX).min(self.phase_deadline())
    }

    /// When the time of what is being done is up.
    fn phase_deadline(&self) -> Duration {
        match self.phase {
            Phase::Evidence { until, .. } | Phase::Cleanup { until, .. } => until,
            Phase::Stopping { until, limit, .. } => until.min(limit),
            Phase::Leftovers(time) | Phase::Killed(time) => time.saturating_add(KILL_GRACE),
            Phase::KilledInVain { look_at, .. } => look_at,
        }
    }

    /// The command of this phase, if it is being run.
    pub(super) fn task(&mut self) -> Option<&mut Option<TaskId>> {
        match &mut self.phase {
            Phase::Evidence { task, .. } | Phase::Stopping { task, .. } | Phase::Cleanup { task, .. } => {
                Some(task)
            }
            Phase::Leftovers(_) | Phase::Killed(_) | Phase::KilledInVain { .. } => None,
        }
    }

    /// More time to stop, at most twice what it has.
    pub(super) fn extend(&mut self, to: Duration, stop_timeout: Duration) {
        if let Phase::Stopping { until, began, limit, .. } = &mut self.phase {
            let longest = began.saturating_add(stop_timeout.saturating_mul(2));
            let to = to.min(longest);
            // The step that it has come to is given the time too: otherwise the next one would cut it short.
            *until = to.max(*until);
            *limit = to.max(*limit);
        }
    }

    /// When it will be killed, as far as is known now.
    pub(super) fn limit(&self, stop_timeout: Duration) -> Duration {
        match self.phase {
            Phase::KilledInVain { .. } => self.since.saturating_add(KILL_GRACE),
            Phase::Evidence { until, then_kill: true, .. } | Phase::Cleanup { until, .. } => until,
            Phase::Evidence { until, then_kill: false, .. } => until.saturating_add(stop_timeout),
            Phase::Stopping { limit, .. } => limit,
            Phase::Leftovers(time) | Phase::Killed(time) => time.saturating_add(KILL_GRACE),
        }
    }
}

impl Component {
    /// Its turn to stop has come. A run that is not up yet, or is ending already, is left to that.
    pub(in crate::core) fn stop(&mut self, context: &mut Context<'_>) {
        let run = self.end_run(Why::Asked, context);
        if let State::Ending { ending, .. } = &mut self.state {
            ending.asked_at.get_or_insert(context.now);
        }
        let Some(run) = run else { return };
        self.begin_stopping(context);
        self.emit(EventKind::Stopping { run, timeout: self.stop_time() }, context);
    }

    /// It has broken a rule: it is looked at, and then stopped.
    pub(super) fn judge(&mut self, fault: Fault, context: &mut Context<'_>) {
        let Some(run) = self.end_run(Why::Judged(fault.clone()), context) else { return };
        self.emit(EventKind::Judged { run, fault }, context);
        self.begin_evidence(false, context);
    }

    /// An end for a fault goes on that an earlier supervisor has begun. It is told again: what was told before may be lost.
    pub(super) fn judge_again(&mut self, fault: Fault, context: &mut Context<'_>) {
        let Some(run) = self.end_run(Why::Judged(fault.clone()), context) else { return };
        self.emit(EventKind::Judged { run, fault }, context);
        if let State::Ending { ending, .. } = &mut self.state {
            ending.has_evidence = true;
        }
        self.begin_stopping(context);
    }

    /// Somebody does not want to wait: everything of its run is killed.
    pub(in crate::core) fn kill(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        self.end_run(Why::Asked, context);
        let State::Ending { ending, .. } = &self.state else { return None };
        match ending.phase {
            Phase::Leftovers(_) | Phase::Evidence { .. } | Phase::Stopping { .. } => {
                self.send_kill(KillReason::Asked, context);
                None
            }
            Phase::Cleanup { task, .. } => {
                context.actions.extend(task.map(|task| Action::Abandon { task }));
                self.finish_run(context)
            }
            Phase::Killed(_) | Phase::KilledInVain { .. } => None,
        }
    }

    /// Whether somebody has asked for this end, so long ago.
    pub(in crate::core) fn was_told_to_stop_for(&self, now: Duration) -> Option<Duration> {
        let State::Ending { ending, .. } = &self.state else { return None };
        ending.asked_at.map(|asked_at| now.saturating_sub(asked_at))
    }

    /// From `Up` to `Ending`.
    fn end_run(&mut self, why: Why, context: &mut Context<'_>) -> Option<RunId> {
        self.abandon_tasks(context);
        let State::Up { run, process, started } = self.state else { return None };
        let ending = Box::new(Ending::because(why, context.now));
        self.enter(State::Ending { run, process: Some(process), started, ending }, context);
        Some(run.id)
    }

    /// The main process of a run that was to end has.
    pub(super) fn main_has_ended(&mut self, exit: Exit, context: &mut Context<'_>) {
        let State::Ending { ending, .. } = &mut self.state else { return };
        ending.exit = Some((exit, context.now));
        if let Phase::Evidence { .. } = ending.phase {
            // There is nothing to be found out any more.
            self.give_up_step(context);
            self.set_phase(Phase::Leftovers(context.now));
        }
    }

    /// These processes of the run live on beside, or after, its main process.
    pub(in crate::core) fn left(&mut self, pids: Vec<u32>, context: &mut Context<'_>) {
        let State::Ending { run, ending, .. } = &mut self.state else { return };
        ending.left = pids;
        let run = run.id;
        match ending.phase {
            Phase::Stopping { step, .. } => {
                // Those that have left the group have not heard of the stop yet.
                if let Some(Step::Signal { signal, to: Recipient::Group, .. }) = self.stop_step(step) {
                    context.actions.push(Action::Signal { run, signal, to: Recipient::Group });
                }
            }
            Phase::Leftovers(_) => self.send_kill(KillReason::Leftovers, context),
            // Found only after the kill: it was born meanwhile, or hidden behind what was killed.
            Phase::Killed(_) | Phase::KilledInVain { .. } => context.actions.push(Action::Kill { run }),
            Phase::Evidence { .. } | Phase::Cleanup { .. } => {}
        }
    }

    pub(super) fn send_kill(&mut self, why: KillReason, context: &mut Context<'_>) {
        self.give_up_step(context);
        let Some(run) = self.run() else { return };
        self.set_phase(Phase::Killed(context.now));
        self.sent.add(Signal::KILL);
        context.actions.push(Action::Kill { run });
        self.emit(EventKind::Killed { run, why }, context);
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        if let State::Ending { ending, .. } = &mut self.state {
            ending.phase = phase;
            ending.again = None;
        }
    }

    /// A command is to be tried again, or the time of what is being done about its end is up.
    pub(super) fn ending_due(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        let State::Ending { run, ending, .. } = &mut self.state else { return None };
        let (run, phase) = (run.id, ending.phase.clone());
        if ending.phase_deadline() > context.now {
            if ending.again.as_mut().is_some_and(|again| again.take_due(context.now)) {
                self.try_step_again(run, context);
            }
            return None;
        }
        self.give_up_step(context);
        match phase {
            // Nobody could tell whether anything is left: then what is known of it is killed.
            Phase::Leftovers(_) => {
                self.send_kill(KillReason::Leftovers, context);
                None
            }
            Phase::KilledInVain { pause, .. } => {
                context.actions.push(Action::Look { run });
                let pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                self.set_phase(Phase::KilledInVain { look_at: context.now.saturating_add(pause), pause });
                None
            }
            Phase::Evidence { step, then_kill, .. } => {
                self.take_evidence(run, step + 1, then_kill, context);
                None
            }
            Phase::Stopping { step, began, limit, .. } => {
                self.take_step(step + 1, began, limit, context);
                None
            }
            Phase::Killed(_) => {
                let (look_at, pause) = (context.now.saturating_add(KILL_GRACE), KILL_GRACE);
                self.set_phase(Phase::KilledInVain { look_at, pause });
                let pids = self.survivors()?;
                self.emit(EventKind::Unkillable { run, pids: pids.clone() }, context);
                Some(Milestone::Unkillable(pids))
            }
            Phase::Cleanup { .. } => self.finish_run(context),
        }
    }
}

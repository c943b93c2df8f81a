//! What each input makes of a component.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Component, Context, Ending, Kill, Milestone, NOT_SPAWNED_WAIT, Rest, Run, State};
use crate::core::Action;
use crate::error::SpawnError;
use crate::event::{Event, EventKind, KillReason};
use crate::policy::{Backoff, Decision, Jitter, RestartPolicy};
use crate::run::{End, Exit, History, PastRun, RunId};
use crate::signal::Signal;
use crate::spec::Recipient;

impl Component {
    /// Somebody asks for a run: what went wrong before is forgiven.
    pub(in crate::core) fn forgive(&mut self) {
        self.history = History::default();
    }

    /// Waits for its turn to start.
    pub(in crate::core) fn queue(&mut self, context: &mut Context<'_>) {
        self.enter(State::Queued, context);
    }

    /// Has no run and shall have none.
    pub(in crate::core) fn rest(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Queued | State::Backoff { .. } => {
                self.enter(State::Down(Rest::Stopped), context);
                self.emit(EventKind::Stopped, context);
            }
            State::Down(Rest::Failed) => self.enter(State::Down(Rest::Stopped), context),
            State::Down(_) | State::Spawning { .. } | State::Up { .. } | State::Ending { .. } => {}
        }
    }

    /// Its turn to start has come.
    pub(in crate::core) fn begin(&mut self, context: &mut Context<'_>) {
        self.begin_run(false, context);
    }

    fn begin_run(&mut self, restart: bool, context: &mut Context<'_>) {
        self.runs += 1;
        self.restarts += u64::from(restart);
        let id = RunId { component: self.key, number: self.runs };
        self.enter(State::Spawning { run: Run { id, began: context.now, restart } }, context);
        context.actions.push(Action::Spawn { run: id });
    }

    /// Its turn to stop has come. A run that is not up yet, or is ending already, is left to that.
    pub(in crate::core) fn stop(&mut self, context: &mut Context<'_>) {
        let kill = Kill::At(context.now.saturating_add(self.spec.stop_timeout));
        if let Some(run) = self.end_run(kill, context) {
            context.actions.push(Action::Signal { run, signal: Signal::TERM, to: Recipient::Group });
            self.emit(EventKind::Stopping { run, timeout: self.spec.stop_timeout }, context);
        }
    }

    /// Somebody does not want to wait: everything of its run is killed.
    pub(in crate::core) fn kill(&mut self, context: &mut Context<'_>) {
        self.end_run(Kill::IfNeeded, context);
        if let State::Ending { ending: Ending { kill: Kill::IfNeeded | Kill::At(_), .. }, .. } = &self.state {
            self.send_kill(KillReason::Asked, context);
        }
    }

    /// From `Up` to an `Ending` that was asked for.
    fn end_run(&mut self, kill: Kill, context: &mut Context<'_>) -> Option<RunId> {
        let State::Up { run, pid, spawned, started } = self.state else { return None };
        let ending = Ending { since: context.now, asked: true, exit: None, kill, left: Vec::new() };
        self.enter(State::Ending { run, process: Some((pid, spawned)), started, ending }, context);
        Some(run.id)
    }

    fn send_kill(&mut self, why: KillReason, context: &mut Context<'_>) {
        let State::Ending { run, ending, .. } = &mut self.state else { return };
        let run = run.id;
        ending.kill = Kill::Sent(context.now);
        context.actions.push(Action::Kill { run });
        self.emit(EventKind::Killed { run, why }, context);
    }

    /// Its process lives.
    pub(in crate::core) fn spawned(&mut self, pid: u32, context: &mut Context<'_>) -> Option<Milestone> {
        let State::Spawning { run } = self.state else { return None };
        self.enter(State::Up { run, pid, spawned: context.now, started: None }, context);
        self.emit(EventKind::Spawned { run: run.id, pid }, context);
        self.start_if_due(context)
    }

    /// It could not be spawned.
    pub(in crate::core) fn not_spawned(
        &mut self,
        error: SpawnError,
        context: &mut Context<'_>,
    ) -> Option<Milestone> {
        let State::Spawning { run } = self.state else { return None };
        self.emit(EventKind::NotSpawned { run: run.id, error: error.clone() }, context);
        let end = PastRun {
            run: run.id,
            restart: run.restart,
            began: run.began,
            ended: context.now,
            end: End::NotSpawned(error),
            stable: false,
        };
        Some(self.conclude(end, false, context))
    }

    /// Its main process has ended; more of the run may be left.
    pub(in crate::core) fn exited(
        &mut self,
        exit: Exit,
        peak_memory: Option<u64>,
        context: &mut Context<'_>,
    ) {
        let now = context.now;
        match &mut self.state {
            State::Ending { ending, .. } if ending.exit.is_some() => return,
            State::Ending { ending, .. } => ending.exit = Some((exit, now)),
            State::Up { run, pid, spawned, started } => {
                let state = State::Ending {
                    run: *run,
                    process: Some((*pid, *spawned)),
                    started: *started,
                    ending: Ending::by_itself(exit, now),
                };
                self.enter(state, context);
            }
            State::Spawning { run } => {
                let ending = Ending::by_itself(exit, now);
                let state = State::Ending { run: *run, process: None, started: None, ending };
                self.enter(state, context);
            }
            State::Down(_) | State::Queued | State::Backoff { .. } => return,
        }
        if let State::Ending { run, process, ending, .. } = &self.state {
            let uptime = process.map_or(Duration::ZERO, |(_, spawned)| now.saturating_sub(spawned));
            self.emit(
                EventKind::Exited { run: run.id, exit, uptime, asked: ending.asked, peak_memory },
                context,
            );
        }
    }

    /// These processes of the run live on beside, or after, its main process.
    pub(in crate::core) fn left(&mut self, pids: Vec<u32>, context: &mut Context<'_>) {
        let State::Ending { run, ending, .. } = &mut self.state else { return };
        ending.left = pids;
        match ending.kill {
            // Those that have left the group have not heard of the stop yet.
            Kill::At(_) => context.actions.push(Action::Signal {
                run: run.id,
                signal: Signal::TERM,
                to: Recipient::Group,
            }),
            Kill::IfNeeded => self.send_kill(KillReason::Leftovers, context),
            // Found only after the kill: it was born meanwhile, or hidden behind what was killed.
            Kill::Sent(_) | Kill::InVain => context.actions.push(Action::Kill { run: run.id }),
        }
    }

    /// Nothing of the run is left.
    pub(in crate::core) fn gone(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        self.exited(Exit::Unknown, None, context);
        let State::Ending { run, started, ending, .. } = &self.state else { return None };
        let (exit, ended) = ending.exit?;
        let asked = ending.asked;
        let stable = started.is_some_and(|started| ended.saturating_sub(started) >= self.spec.reset_after);
        let (run, end) = (*run, End::Exited(exit));
        let past = PastRun { run: run.id, restart: run.restart, began: run.began, ended, end, stable };
        Some(self.conclude(past, asked, context))
    }

    /// After a run: rest, or wait, or run again.
    fn conclude(&mut self, past: PastRun, asked: bool, context: &mut Context<'_>) -> Milestone {
        let end = past.end.clone();
        self.last_end = Some(end.clone());
        if asked || self.halting.is_some() || !self.wanted {
            self.enter(State::Down(Rest::Stopped), context);
            self.emit(EventKind::Stopped, context);
            return Milestone::Stopped;
        }
        match self.decide(past, context) {
            Decision::Restart { after } => self.back_off(after, &end, context),
            Decision::Complete => {
                self.enter(State::Down(Rest::Completed), context);
                self.emit(EventKind::Completed, context);
            }
            Decision::GiveUp => {
                self.enter(State::Down(Rest::Failed), context);
                self.emit(EventKind::GivenUp { end: end.clone() }, context);
            }
        }
        Milestone::Ended(end)
    }

    /// Asks the policy. One that panics is a fault of the host's, which must not end supervision.
    fn decide(&mut self, past: PastRun, context: &mut Context<'_>) -> Decision {
        let jitter = Jitter::draw(context.seed, self.spec.id.as_str(), past.run.number);
        let policy = &self.spec.restart;
        let memory = catch_unwind(AssertUnwindSafe(|| policy.memory()));
        self.history.record(past, *memory.as_ref().unwrap_or(&1));
        let decide = AssertUnwindSafe(|| policy.decide(&self.history, jitter));
        memory.and_then(|_| catch_unwind(decide)).unwrap_or_else(|_panic| {
            self.emit(EventKind::PolicyPanicked, context);
            Backoff::default().decide(&self.history, jitter)
        })
    }

    fn back_off(&mut self, after: Duration, end: &End, context: &mut Context<'_>) {
        let delay = match end {
            End::NotSpawned(_) => after.max(NOT_SPAWNED_WAIT),
            End::Exited(_) | End::Judged { .. } => after,
        };
        if delay.is_zero() {
            return self.begin_run(true, context);
        }
        let in_a_row = self.history.in_a_row();
        self.enter(State::Backoff { until: context.now.saturating_add(delay), in_a_row }, context);
        self.emit(EventKind::Backoff { delay, in_a_row }, context);
    }

    /// Its deadline has come.
    pub(in crate::core) fn due(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        match &mut self.state {
            State::Backoff { .. } => {
                self.begin_run(true, context);
                None
            }
            State::Up { .. } => self.start_if_due(context),
            State::Ending { ending, .. } => match ending.kill {
                Kill::At(_) => {
                    self.send_kill(KillReason::Timeout, context);
                    None
                }
                Kill::Sent(_) => {
                    ending.kill = Kill::InVain;
                    let pids = self.survivors()?;
                    let run = self.run()?;
                    self.emit(EventKind::Unkillable { run, pids: pids.clone() }, context);
                    Some(Milestone::Unkillable(pids))
                }
                Kill::IfNeeded | Kill::InVain => None,
            },
            State::Down(_) | State::Queued | State::Spawning { .. } => None,
        }
    }

    /// It has started once it has been up for its start delay.
    pub(in crate::core) fn start_if_due(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        let State::Up { run, spawned, started, .. } = &mut self.state else { return None };
        let due = spawned.saturating_add(self.spec.start_delay);
        if started.is_some() || due > context.now {
            return None;
        }
        *started = Some(due);
        let run = run.id;
        self.since = due;
        self.emit(EventKind::Started { run }, context);
        Some(Milestone::Started)
    }

    fn enter(&mut self, state: State, context: &Context<'_>) {
        self.state = state;
        self.since = context.now;
    }

    fn emit(&self, kind: EventKind, context: &mut Context<'_>) {
        let component = Some(self.spec.id.clone());
        context.actions.push(Action::Emit(Event { at: context.now, component, kind }));
    }
}

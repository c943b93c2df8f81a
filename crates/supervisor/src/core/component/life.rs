//! From the turn of a run to its end.

use std::sync::Arc;
use std::time::Duration;

use super::ending::{Ending, Why};
use super::guards::Guards;
use super::{Component, Context, Milestone, Process, Rest, Run, Sent, State};
use crate::core::Action;
use crate::core::message::Said;
use crate::error::SpawnError;
use crate::event::{EventKind, Unready};
use crate::run::{End, Exit, Fault, PastRun, RunId};
use crate::spec::ReadyWhen;

impl Component {
    /// Waits for its turn to start, because somebody asked for it.
    pub(in crate::core) fn queue(&mut self, context: &mut Context<'_>) {
        self.enter(State::Queued { restart: false, paid: false }, context);
    }

    /// Has no run and shall have none.
    pub(in crate::core) fn rest(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Queued { .. } | State::Backoff { .. } | State::Tripped { .. } => {
                self.enter(State::Down(Rest::Stopped), context);
                self.emit(EventKind::Stopped, context);
            }
            State::Down(Rest::Failed) => self.enter(State::Down(Rest::Stopped), context),
            State::Down(_) | State::Spawning { .. } | State::Up { .. } | State::Ending { .. } => {}
        }
    }

    /// Its turn to start has come.
    pub(in crate::core) fn begin(&mut self, context: &mut Context<'_>) {
        let State::Queued { restart, .. } = self.state else { return };
        self.runs += 1;
        self.restarts += u64::from(restart);
        let id = RunId { component: self.key, number: self.runs };
        self.enter(State::Spawning { run: Run { id, began: context.now, restart } }, context);
        context.actions.push(Action::Spawn { run: id });
    }

    /// Its process lives.
    pub(in crate::core) fn spawned(&mut self, pid: u32, context: &mut Context<'_>) -> Option<Milestone> {
        let State::Spawning { run } = self.state else { return None };
        self.sent = Sent::default();
        let process = Process { pid, spawned: context.now };
        self.has_been_spawned();
        self.guards = Guards::of_a_new_run(&self.spec, context);
        self.enter(State::Up { run, process, started: None }, context);
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
        if error.is_shortage() {
            // What did not come to be was no restart.
            self.restarts -= u64::from(run.restart);
            return Some(self.spawn_again(error, run.restart, context));
        }
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

    /// It has started once it has been up for its start delay, where no readiness is declared.
    pub(in crate::core) fn start_if_due(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        let State::Up { process, started: None, .. } = &self.state else { return None };
        let due = process.spawned.saturating_add(self.spec.start_delay);
        if self.spec.readiness.is_some() || due > context.now {
            return None;
        }
        self.start(due, context)
    }

    /// It has said that it is ready, or a probe has.
    pub(in crate::core) fn ready(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        self.start(context.now, context)
    }

    fn start(&mut self, at: Duration, context: &mut Context<'_>) -> Option<Milestone> {
        let State::Up { run, started, .. } = &mut self.state else { return None };
        if started.replace(at).is_some() {
            return None;
        }
        let run = run.id;
        self.since = at;
        if let Some(guards) = &mut self.guards {
            guards.run_has_started(&self.spec, at, context);
        }
        self.emit(EventKind::Started { run }, context);
        Some(Milestone::Started)
    }

    /// It has said something to its notify socket.
    pub(in crate::core) fn notified(&mut self, said: &Said, context: &mut Context<'_>) -> Option<Milestone> {
        if let Some(time) = said.extend {
            self.extend(time, context.now);
        }
        let State::Up { run, process, started } = &mut self.state else { return None };
        if let Some(pid) = said.main_pid {
            process.pid = pid;
        }
        let (run, has_started) = (run.id, started.is_some());
        // Many a program says the same with every sign of life.
        if let Some(text) = said.status.as_ref().filter(|text| self.guards().note.as_ref() != Some(text)) {
            self.guards_mut().note = Some(Arc::clone(text));
            self.emit(EventKind::Noted { run, text: Arc::clone(text) }, context);
        }
        if let Some(guards) = &mut self.guards {
            guards.sign_of_life(said, &self.spec, context.now);
        }
        if said.hangs && self.spec.watchdog.is_some() {
            self.judge(Fault::Triggered, context);
            return None;
        }
        let is_declared =
            self.spec.readiness.as_ref().is_some_and(|readiness| readiness.when == ReadyWhen::Notified);
        if said.ready && !has_started && is_declared {
            return self.ready(context);
        }
        let unready = match (said.reloading, said.stopping) {
            (_, true) => Some(Unready::Ending),
            (true, false) => Some(Unready::Reloading),
            (false, false) => None,
        };
        match unready {
            Some(why) if has_started && self.guards().unready() != Some(why) => {
                self.change_guards(context, |guards| guards.set_unready(Some(why)));
                self.emit(EventKind::Unready { run, why }, context);
                None
            }
            None if said.ready && self.guards().is_unready() => {
                self.change_guards(context, |guards| guards.set_unready(None));
                self.emit(EventKind::ReadyAgain { run }, context);
                None
            }
            _ => None,
        }
    }

    /// More time for what it is doing: at most twice what it has by its specification.
    fn extend(&mut self, time: Duration, now: Duration) {
        let (until, stop_time) = (now.saturating_add(time), self.stop_time());
        match &mut self.state {
            State::Up { process, started: None, .. } => {
                if let Some(guards) = &mut self.guards {
                    guards.extend_start(until, process.spawned, &self.spec);
                }
            }
            State::Ending { ending, .. } => ending.extend(until, stop_time),
            _ => {}
        }
    }

    /// Its main process has ended; more of the run may be left.
    pub(in crate::core) fn exited(
        &mut self,
        exit: Exit,
        peak_memory: Option<u64>,
        context: &mut Context<'_>,
    ) {
        let now = context.now;
        self.abandon_tasks(context);
        match &mut self.state {
            State::Ending { ending, .. } if ending.exit.is_some() => return,
            State::Ending { .. } => self.main_has_ended(exit, context),
            State::Up { run, process, started } => {
                let (run, process, started) = (*run, Some(*process), *started);
                let ending = Box::new(Ending::by_itself(exit, now));
                self.enter(State::Ending { run, process, started, ending }, context);
            }
            State::Spawning { run } => {
                let (run, ending) = (*run, Box::new(Ending::by_itself(exit, now)));
                self.enter(State::Ending { run, process: None, started: None, ending }, context);
            }
            _ => return,
        }
        if let State::Ending { run, process, ending, .. } = &self.state {
            let uptime = process.map_or(Duration::ZERO, |process| now.saturating_sub(process.spawned));
            let (asked, sent) = (ending.why == Why::Asked, self.sent.explains(exit));
            self.emit(EventKind::Exited { run: run.id, exit, uptime, asked, sent, peak_memory }, context);
        }
    }

    /// Nothing of the run is left.
    pub(in crate::core) fn gone(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        self.exited(Exit::Unknown, None, context);
        if !self.is_ending() {
            return None;
        }
        if self.begin_cleanup(context) { None } else { self.finish_run(context) }
    }

    /// The run is over.
    pub(super) fn finish_run(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        let State::Ending { run, started, ending, .. } = &self.state else { return None };
        let (exit, ended) = ending.exit?;
        let (end, asked) = match &ending.why {
            Why::Asked => (End::Exited(exit), true),
            Why::ByItself => (End::Exited(exit), false),
            Why::Judged(fault) => (End::Judged { fault: fault.clone(), exit }, false),
        };
        let stable = started.is_some_and(|started| ended.saturating_sub(started) >= self.spec.reset_after);
        let past = PastRun { run: run.id, restart: run.restart, began: run.began, ended, end, stable };
        Some(self.conclude(past, asked, context))
    }

    /// What must happen to it by itself now does.
    pub(in crate::core) fn due(&mut self, context: &mut Context<'_>) -> Option<Milestone> {
        match &self.state {
            State::Backoff { restart, .. } => {
                let restart = *restart;
                self.enter(State::Queued { restart, paid: false }, context);
                None
            }
            State::Tripped { .. } => {
                self.try_again(context);
                None
            }
            State::Up { .. } => self.start_if_due(context).or_else(|| self.guard(context)),
            State::Ending { .. } => self.ending_due(context),
            State::Down(_) | State::Queued { .. } | State::Spawning { .. } => None,
        }
    }
}

//! What of a component outlives the supervisor, and how it goes on with the next one.
//!
//! All times are the core's, which go on over the death of a supervisor. What somebody waits for, and what is watched of a
//! run, is not remembered: who waited asks again, and what is watched is watched anew.

use std::collections::VecDeque;
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ending::{Ending, Why};
use super::guards::Guards;
use super::restarting::Record;
use super::{Component, Context, Process, Rest, Run, State};
use crate::event::EventKind;
use crate::run::{End, Exit, PastRun, RunId};

/// What is remembered of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    wanted: bool,
    runs: u64,
    restarts: u64,
    since: Duration,
    life: Life,
    last_end: Option<End>,
    #[serde(default)]
    past_runs: VecDeque<PastRun>,
    has_done_its_work: bool,
    record: Record,
    /// When the budget over all components would be full again.
    budget_full_at: Duration,
}

/// What it was doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Life {
    #[default]
    Unknown,
    Down(Rest),
    Queued {
        restart: bool,
    },
    Backoff {
        until: Duration,
        in_a_row: u32,
        /// Whether the next run is a restart.
        #[serde(default = "yes")]
        restart: bool,
    },
    Tripped {
        until: Duration,
    },
    Running {
        run: Run,
        process: Option<Process>,
        started: Option<Duration>,
        ending: Option<Leaving>,
    },
}

fn yes() -> bool {
    true
}

/// How its run was ending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Leaving {
    why: Why,
    exit: Option<(Exit, Duration)>,
}

/// What is found of a component's last run by a supervisor that comes after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, and there never was a process.
    Nothing,
    /// Its main process lives.
    Alive {
        /// The how manieth run it is.
        number: u64,
        pid: u32,
        /// Whether it was begun with another specification than the present one.
        is_outdated: bool,
    },
    /// Its main process has ended; more of it may be left.
    Dead {
        /// The how manieth run it is.
        number: u64,
        exit: Exit,
    },
}

/// By which it is seen whether something has changed that is to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct Essence {
    state: Discriminant<State>,
    since: Duration,
    wanted: bool,
    runs: u64,
    pid: Option<u32>,
    started: Option<Duration>,
    /// Whether it is being ended, and has ended.
    ending: Option<(Discriminant<Why>, bool)>,
    record: (Option<RunId>, u32),
}

impl Memory {
    /// The last run that is remembered: the how manieth it was, and its main process, if it was spawned.
    pub(crate) fn run(&self) -> Option<(u64, Option<u32>)> {
        match &self.life {
            Life::Running { run, process, .. } => Some((run.id.number, process.map(|process| process.pid))),
            _ => None,
        }
    }

    /// Whether its last run had started, and is remembered.
    pub(crate) fn has_started(&self) -> bool {
        matches!(self.life, Life::Running { started: Some(_), .. })
    }

    /// How many runs there had been.
    pub(crate) fn runs(&self) -> u64 {
        self.runs
    }

    /// That of one of whom nothing is written down though it runs: it is wanted, as far as is known.
    pub(crate) fn of_nobody() -> Self {
        Self { wanted: true, ..Self::default() }
    }

    /// When the budget over all components would be full again.
    pub(crate) fn budget_full_at(&self) -> Duration {
        self.budget_full_at
    }

    /// The same without what it says of the budget, which is not about this component alone.
    pub(crate) fn without_budget(self) -> Self {
        Self { budget_full_at: Duration::ZERO, ..self }
    }

    /// The same of one that is wanted.
    pub(in crate::core) fn wanted(self) -> Self {
        Self { wanted: true, ..self }
    }

    /// The same of one that is not wanted any more.
    pub(crate) fn unwanted(self) -> Self {
        Self { wanted: false, ..self }
    }
}

impl Component {
    pub(in crate::core) fn essence(&self) -> Essence {
        let (process, started) = match &self.state {
            State::Up { process, started, .. } => (Some(process), *started),
            _ => (None, None),
        };
        let ending = match &self.state {
            State::Ending { ending, .. } => Some((discriminant(&ending.why), ending.exit.is_some())),
            _ => None,
        };
        Essence {
            state: discriminant(&self.state),
            since: self.since,
            wanted: self.wanted,
            runs: self.runs,
            pid: process.map(|process| process.pid),
            started,
            ending,
            record: self.record.essence(),
        }
    }

    /// All that is to be remembered of it.
    pub(in crate::core) fn memory(&self, budget_full_at: Duration) -> Memory {
        let life = match &self.state {
            State::Down(rest) => Life::Down(*rest),
            State::Queued { restart, .. } => Life::Queued { restart: *restart },
            State::Backoff { until, in_a_row, restart } => {
                Life::Backoff { until: *until, in_a_row: *in_a_row, restart: *restart }
            }
            State::Tripped { until } => Life::Tripped { until: *until },
            State::Spawning { run } => {
                Life::Running { run: *run, process: None, started: None, ending: None }
            }
            State::Up { run, process, started } => {
                Life::Running { run: *run, process: Some(*process), started: *started, ending: None }
            }
            State::Ending { run, process, started, ending } => {
                let leaving = Leaving { why: ending.why.clone(), exit: ending.exit };
                Life::Running { run: *run, process: *process, started: *started, ending: Some(leaving) }
            }
        };
        Memory {
            wanted: self.wanted,
            runs: self.runs,
            restarts: self.restarts,
            since: self.since,
            life,
            last_end: self.last_end.clone(),
            past_runs: self.past_runs.clone(),
            has_done_its_work: self.has_done_its_work,
            record: self.record.clone(),
            budget_full_at,
        }
    }

    /// Goes on where an earlier supervisor left off. What of it runs is adopted, and what has ended meanwhile is told as such.
    /// Says whether its run is to be ended.
    pub(in crate::core) fn recall(
        &mut self,
        memory: Memory,
        found: Found,
        context: &mut Context<'_>,
    ) -> bool {
        let number = match found {
            Found::Nothing => 0,
            Found::Alive { number, .. } | Found::Dead { number, .. } => number,
        };
        self.wanted = memory.wanted;
        self.runs = memory.runs.max(number);
        self.restarts = memory.restarts;
        self.last_end = memory.last_end;
        self.past_runs = memory.past_runs;
        self.past_runs.iter_mut().for_each(|past| past.run.component = self.key);
        self.has_done_its_work = memory.has_done_its_work;
        self.record = memory.record;
        self.record.belongs_to(self.key);
        if found == Found::Nothing {
            self.recall_rest(&memory.life, memory.since, context);
            return false;
        }
        // A run that is not remembered was begun in the last moment.
        let unknown = Run { id: RunId { component: self.key, number }, began: context.now, restart: false };
        let (run, process, started, leaving) = match memory.life {
            Life::Running { run, process, started, ending } if run.id.number == number => {
                (Run { id: unknown.id, ..run }, process, started, ending)
            }
            _ => (unknown, None, None, None),
        };
        let spawned = process.map_or(context.now, |process| process.spawned);
        match found {
            Found::Nothing => false,
            Found::Alive { pid, is_outdated, .. } => {
                self.adopt(run, Process { pid, spawned }, started, context);
                self.since = started.unwrap_or(spawned);
                match leaving.map(|leaving| leaving.why) {
                    Some(Why::Judged(fault)) => {
                        self.judge_again(fault, context);
                        false
                    }
                    Some(Why::Asked) => true,
                    Some(Why::ByItself) | None => is_outdated || !self.wanted,
                }
            }
            Found::Dead { exit, .. } => {
                self.bury(run, process, started, leaving, exit, context);
                false
            }
        }
    }

    /// Nothing of it runs.
    fn recall_rest(&mut self, life: &Life, since: Duration, context: &mut Context<'_>) {
        let state = match *life {
            Life::Backoff { until, in_a_row, restart } => State::Backoff { until, in_a_row, restart },
            Life::Tripped { until } => State::Tripped { until },
            Life::Down(rest @ (Rest::Completed | Rest::Failed)) => State::Down(rest),
            Life::Queued { restart } if self.wanted => {
                return self.enter(State::Queued { restart, paid: false }, context);
            }
            // It was never spawned; or it had ended before anybody heard of its process, and the next one is a restart.
            Life::Running { run: Run { restart, .. }, ref ending, .. } if self.wanted => {
                let restart = restart || ending.is_some();
                return self.enter(State::Queued { restart, paid: false }, context);
            }
            Life::Unknown | Life::Down(Rest::Stopped) if self.wanted => {
                return self.enter(State::Queued { restart: false, paid: false }, context);
            }
            _ => State::Down(Rest::Stopped),
        };
        self.state = state;
        self.since = since;
    }

    fn adopt(&mut self, run: Run, process: Process, started: Option<Duration>, context: &mut Context<'_>) {
        self.guards = Guards::of_a_new_run(&self.spec, context);
        if started.is_some()
            && let Some(guards) = &mut self.guards
        {
            guards.run_has_started(&self.spec, context.now, context);
        }
        self.enter(State::Up { run, process, started }, context);
        let kind = EventKind::Adopted { run: run.id, pid: process.pid, started: started.is_some() };
        self.emit(kind, context);
    }

    /// Its main process ended while nobody was there, or shortly before.
    fn bury(
        &mut self,
        run: Run,
        process: Option<Process>,
        started: Option<Duration>,
        leaving: Option<Leaving>,
        exit: Exit,
        context: &mut Context<'_>,
    ) {
        let asked = !self.wanted;
        let (why, known) = leaving.map_or((None, None), |leaving| (Some(leaving.why), leaving.exit));
        let why = why.unwrap_or(if asked { Why::Asked } else { Why::ByItself });
        let (exit, at) = known.unwrap_or((exit, context.now));
        let ending = Box::new(Ending::after_all(why.clone(), exit, at));
        self.enter(State::Ending { run, process, started, ending }, context);
        if known.is_none() {
            self.emit(EventKind::EndedUnattended { run: run.id }, context);
            let uptime = process.map_or(Duration::ZERO, |process| at.saturating_sub(process.spawned));
            let asked = why == Why::Asked;
            let kind = EventKind::Exited { run: run.id, exit, uptime, asked, sent: false, peak_memory: None };
            self.emit(kind, context);
        }
    }
}

#[cfg(test)]
mod tests;

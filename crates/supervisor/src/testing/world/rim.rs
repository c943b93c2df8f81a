//! What the driver and the operating system are in the simulated world: time goes on, decisions are carried out on mock
//! processes, and news of them reaches the core.

use std::time::Duration;

use super::{FEWEST_PIDS, Happening, Process, Reported, World};
use crate::core::{Action, Input};
use crate::error::{SpawnError, SpawnStep};
use crate::run::{Exit, RunId};
use crate::testing::mock::Behaviour;

impl World {
    pub(super) fn next_time(&self) -> Option<Duration> {
        let planned = self.agenda.keys().next().map(|(time, _)| *time);
        let due = self.core.deadline().filter(|_| !self.ended);
        planned.into_iter().chain(due).min()
    }

    pub(super) fn step(&mut self) {
        let happening = match self.agenda.first_entry() {
            Some(entry) if entry.key().0 <= self.now => Some(entry.remove()),
            _ => None,
        };
        match happening {
            None => self.tell(Input::Tick),
            Some(Happening::News(input)) => self.deliver(input),
            Some(Happening::Ends { process, exit }) => self.process_ends(process, exit),
        }
    }

    /// Tells the core, and carries out what it decides.
    pub(super) fn tell(&mut self, input: Input) {
        for action in self.core.step(self.now, input) {
            self.trace.push(format!("{:?} {action:?}", self.now));
            let lives =
                |key| self.processes.values().any(|process| process.run.component == key && process.lives());
            self.witness.decided(self.now, &action, &lives);
            self.carry_out(action);
        }
        self.check_status();
    }

    /// Checks what people would be told, unless news is under way that will change it.
    pub(super) fn check_status(&self) {
        let news_under_way = self.agenda.keys().next().is_some_and(|(time, _)| *time <= self.now);
        let due = self.core.deadline().is_some_and(|time| time <= self.now);
        if !news_under_way && !due && !self.ended {
            let lives =
                |key| self.processes.values().any(|process| process.run.component == key && process.lives());
            self.witness.check_deadlines(self.now, &lives);
        }
        if news_under_way || self.news_comes_late {
            return;
        }
        let main =
            |process: &&Process, key: u32| process.is_main && process.lives() && process.run.component == key;
        let main_process =
            |key| self.processes.values().find(|process| main(process, key)).map(|process| process.pid);
        self.witness.after_step(&self.status(), &main_process);
    }

    pub(super) fn carry_out(&mut self, action: Action) {
        match action {
            Action::Spawn { run } => self.spawn(run),
            Action::Signal { run, signal, .. } => {
                self.signal(run, |behaviour| behaviour.obeys_after, signal.number());
            }
            Action::Begin { .. }
            | Action::Abandon { .. }
            | Action::Measure { .. }
            | Action::Inspect { .. } => {}
            Action::Kill { run } => {
                self.signal(run, |behaviour| behaviour.dies_after, 9);
                self.look(run);
            }
            Action::Emit(event) => self.events.push(event),
            Action::Accepted { request } => drop(self.answers.insert(request, Ok(None))),
            Action::Refused { request, why } => drop(self.answers.insert(request, Err(why))),
            Action::Done { request, outcome } => drop(self.answers.insert(request, Ok(Some(outcome)))),
            Action::End { .. } => self.ended = true,
        }
    }

    pub(super) fn spawn(&mut self, run: RunId) {
        let mut behaviour = (self.mocks[run.component as usize].behaviour)(run.number);
        let draws = &mut self.draws[run.component as usize];
        if self.hostility.spawns_fail && draws.one_in(4) {
            let reason = "the world is hostile".to_owned();
            behaviour.spawn_error = Some(SpawnError { step: SpawnStep::Process, reason, os_error: Some(11) });
        }
        if self.hostility.early_deaths && draws.one_in(4) {
            behaviour.ends = Some((Duration::ZERO, Exit::Code(127)));
        }
        if let Some(error) = behaviour.spawn_error {
            return self.report(run, Input::NotSpawned { run, error });
        }
        let children = std::mem::take(&mut behaviour.children);
        let Some(pid) = self.add_process(run, behaviour, true) else {
            let reason = "no pid is free".to_owned();
            let error = SpawnError { step: SpawnStep::Process, reason, os_error: Some(11) };
            return self.report(run, Input::NotSpawned { run, error });
        };
        self.reported.insert(run, Reported::default());
        self.report(run, Input::Spawned { run, pid });
        for child in children {
            self.add_process(run, child, false);
        }
    }

    pub(super) fn free_pid(&self) -> Option<u32> {
        // A world of many components needs more pids than the fewest.
        let pids = u32::try_from(self.mocks.len())
            .map_or(u32::MAX, |mocks| mocks.saturating_mul(4))
            .max(FEWEST_PIDS);
        let after_last = (1..=pids).map(|step| (self.last_pid + step - 1) % pids + 1);
        after_last.into_iter().find(|pid| self.processes.values().all(|process| process.pid != *pid))
    }

    pub(super) fn add_process(&mut self, run: RunId, behaviour: Behaviour, is_main: bool) -> Option<u32> {
        let pid = self.free_pid()?;
        self.last_pid = pid;
        self.born += 1;
        if let Some((after, exit)) = behaviour.ends {
            self.plan(after, Happening::Ends { process: self.born, exit });
        }
        self.processes.insert(self.born, Process { run, pid, is_main, behaviour, ended: None });
        Some(pid)
    }

    pub(super) fn signal(&mut self, run: RunId, delay: fn(&Behaviour) -> Option<Duration>, signal: i32) {
        let exit = Exit::Signal { signal, core_dumped: false };
        let ends: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, process)| process.run == run && process.lives())
            .filter_map(|(serial, process)| Some((*serial, delay(&process.behaviour)?)))
            .collect();
        for (process, after) in ends {
            self.plan(after, Happening::Ends { process, exit });
        }
    }

    pub(super) fn process_ends(&mut self, serial: u64, exit: Exit) {
        let Some(process) = self.processes.get_mut(&serial).filter(|process| process.lives()) else { return };
        process.ended = Some(exit);
        let (run, is_main) = (process.run, process.is_main);
        if is_main {
            self.report(run, Input::Exited { run, exit, peak_memory: None });
        } else {
            // Nobody waits for an orphan: it is reaped at once.
            self.processes.remove(&serial);
            self.look(run);
        }
    }

    /// What the rim does when something of a run has ended, or was killed: look what is left.
    pub(super) fn look(&mut self, run: RunId) {
        let Some(reported) = self.reported.get_mut(&run).filter(|reported| reported.exit && !reported.gone)
        else {
            return;
        };
        let left = |process: &&Process| process.run == run && process.lives();
        let pids: Vec<_> = self.processes.values().filter(left).map(|process| process.pid).collect();
        if pids.is_empty() {
            reported.gone = true;
            self.report(run, Input::Gone { run });
        } else if reported.left != pids {
            reported.left.clone_from(&pids);
            self.report(run, Input::Left { run, pids });
        }
    }

    /// Puts news on its way to the core.
    pub(super) fn report(&mut self, run: RunId, input: Input) {
        let draws = &mut self.draws[run.component as usize];
        let mut delay = Duration::ZERO;
        if self.hostility.late && !matches!(input, Input::Left { .. } | Input::Gone { .. }) {
            delay = draws.up_to(Duration::from_millis(50));
        }
        if self.hostility.early_deaths && matches!(input, Input::Spawned { .. }) && draws.one_in(4) {
            delay += Duration::from_millis(20);
        }
        if self.hostility.stale && draws.one_in(4) && !matches!(input, Input::Left { .. }) {
            let again = delay + draws.up_to(Duration::from_secs(2));
            let copy = match input.clone() {
                // Said again before it is true, it would be a lie rather than old news.
                Input::Gone { run } => Input::Exited { run, exit: Exit::Unknown, peak_memory: None },
                other => other,
            };
            self.plan(again, Happening::News(copy));
        }
        self.plan(delay, Happening::News(input));
    }

    pub(super) fn deliver(&mut self, input: Input) {
        let exited = match &input {
            Input::Exited { run, .. } => Some(*run),
            _ => None,
        };
        if let Input::Gone { run } = &input {
            self.processes.retain(|_, process| process.run != *run);
            self.witness.gone(*run);
        }
        self.tell(input);
        if let Some(run) = exited {
            let main_is_dead = self
                .processes
                .values()
                .any(|process| process.run == run && process.is_main && !process.lives());
            if main_is_dead {
                self.reported.entry(run).or_default().exit = true;
                self.look(run);
            }
        }
    }

    pub(super) fn plan(&mut self, after: Duration, happening: Happening) {
        self.happenings += 1;
        self.agenda.insert((self.now.saturating_add(after), self.happenings), happening);
    }

    pub(super) fn alive_serials(&self, id: &str) -> Vec<u64> {
        let key = self.key(id);
        let lives = |process: &Process| process.run.component == key && process.lives();
        self.processes.iter().filter(|(_, process)| lives(process)).map(|(serial, _)| *serial).collect()
    }
}

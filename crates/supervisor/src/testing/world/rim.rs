//! What the driver and the operating system are in the simulated world: time goes on, decisions are carried out on mock
//! processes, and news of them reaches the core.

use std::time::Duration;

use super::processes::Process;
use super::{CHECKED_AS_A_WHOLE, Happening, Reported, World, draws_of};
use crate::core::{Action, Input, RequestId, Said, Task, TaskId};
use crate::error::{SpawnError, SpawnStep};
use crate::os;
use crate::run::{Exit, RunId};
use crate::signal::Signal;
use crate::spec::{ReadyWhen, Recipient};
use crate::testing::mock::Behaviour;

/// When there is no deadline, nothing changes for this long either.
const LONG: Duration = Duration::from_secs(3600);

impl World {
    pub(super) fn next_time(&self) -> Option<Duration> {
        let planned = self.agenda.keys().next().map(|(time, _)| *time);
        let due = self.core.deadline().filter(|_| !self.has_ended());
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
            Some(Happening::SignOfLife { process, again }) => self.sign_of_life(process, again),
        }
    }

    /// Tells the core, and carries out what it decides; then looks whether all is as it must be.
    pub(super) fn tell(&mut self, input: Input) {
        self.decide(input);
        self.check_status();
    }

    pub(super) fn decide(&mut self, input: Input) {
        self.touched.extend(self.witness.told(&input));
        let actions = self.core.step(self.now, input);
        if actions.contains(&Action::Lineup) {
            self.recast();
        }
        self.witness.decides(&actions);
        for action in actions {
            self.trace.push(format!("{:?} {action:?}", self.now));
            let lives = |key| self.processes.lives(key);
            self.touched.extend(self.witness.decided(self.now, &action, &lives));
            self.carry_out(action);
        }
    }

    /// Checks what people would be told, unless news is under way that will change it.
    pub(super) fn check_status(&mut self) {
        let news_under_way = self.agenda.keys().next().is_some_and(|(time, _)| *time <= self.now);
        let due = self.core.deadline().is_some_and(|time| time <= self.now);
        if !news_under_way && !due && !self.has_ended() {
            self.witness.check_deadlines(self.now, &|key| self.processes.lives(key));
        }
        if news_under_way || self.news_comes_late {
            return;
        }
        let touched = std::mem::take(&mut self.touched);
        let keys = match self.mocks.len() {
            0..=CHECKED_AS_A_WHOLE => self.names.all_and_leaving(),
            _ => self.witness.around(&touched).into_iter().filter(|key| self.core.has(*key)).collect(),
        };
        let main = |process: &&Process| process.is_main && process.lives();
        let main_process = |key| self.processes.of(key).find(main).map(|process| process.pid);
        // Before the next deadline nothing changes but times.
        let until = self.core.deadline().map_or(LONG, |deadline| deadline.saturating_sub(self.now));
        let later = self.now + until / 2;
        let statuses =
            self.core.status_of(self.now, &keys).into_iter().zip(self.core.status_of(later, &keys));
        for (key, (status, status_later)) in keys.iter().zip(statuses) {
            self.witness.check_status(&status, *key, main_process(*key));
            self.witness.check_passing(status, until / 2, &status_later);
        }
    }

    pub(super) fn carry_out(&mut self, action: Action) {
        match action {
            Action::Spawn { run } => self.spawn(run),
            Action::Signal { run, signal, to } => self.obey(run, signal, to),
            // What it does with a signal of somebody's own is not simulated, nor is what the system could tell of it.
            Action::Forward { .. } | Action::Inspect { .. } => {}
            Action::Begin { task } => self.begin(task),
            // Its answer may be on its way already, and then comes though nobody wants it.
            Action::Abandon { .. } => {}
            Action::Measure { run } => {
                let memory = self.main_of(run).map_or(0, |process| process.behaviour.memory);
                self.foresee(Duration::ZERO, Happening::News(Input::Measured { run, memory }));
            }
            Action::Kill { run } => {
                self.end_by(run, |_| true, |behaviour| behaviour.dies_after, 9);
                self.look(run);
            }
            Action::Look { run } => self.look(run),
            Action::Rotate { request, key } => self.rotate_output(request, key),
            Action::Remember { key } => self.remember(key),
            // Its end is known from the lineup, and what is written of it goes at once.
            Action::Lineup => {}
            Action::Dismiss { key } => self.memories.forget(key),
            Action::Emit(event) => self.events.push(event),
            Action::Accepted { request } => drop(self.answers.insert(request, Ok(None))),
            Action::Refused { request, why } => drop(self.answers.insert(request, Err(why))),
            Action::Done { request, outcome } => {
                // Whoever is answered may rely on it.
                self.check_memories();
                self.memories.write();
                self.answers.insert(request, Ok(Some(outcome)));
            }
            Action::End { outcome } => self.end = Some(outcome),
            // Nothing of the rim's is to be ended; the world goes on as when a supervisor was killed.
            Action::Leave => {}
        }
    }

    pub(super) fn spawn(&mut self, run: RunId) {
        self.begun_as.insert(run.component, self.mocks[&run.component].spec.clone());
        let mut behaviour = (self.mocks[&run.component].behaviour)(run.number);
        let draws = draws_of(&mut self.draws, run.component);
        if self.hostility.spawns_fail && draws.one_in(4) {
            behaviour.spawn_error = Some(if draws.one_in(2) { shortage() } else { hostile() });
        }
        if self.is_short {
            behaviour.spawn_error = Some(shortage());
        }
        if self.hostility.early_deaths && draws.one_in(4) {
            behaviour.ends = Some((Duration::ZERO, Exit::Code(127)));
        }
        if let Some(error) = behaviour.spawn_error {
            return self.report(run, Input::NotSpawned { run, error });
        }
        let children = std::mem::take(&mut behaviour.children);
        let Some((process, pid)) = self.add_process(run, behaviour, true) else {
            return self.report(run, Input::NotSpawned { run, error: shortage() });
        };
        self.reported.insert(run, Reported::default());
        self.report(run, Input::Spawned { run, pid });
        self.plan_signs(run, process);
        for child in children {
            self.add_process(run, child, false);
        }
    }

    /// Each time there is something to end, unless the world is hostile.
    fn rotate_output(&mut self, request: RequestId, key: u32) {
        let draws = draws_of(&mut self.draws, key);
        let is_hostile = self.hostility.tasks_fail;
        let fails = is_hostile && draws.one_in(3);
        let result = if fails { Err("the disk is full".into()) } else { Ok(!is_hostile || draws.one_in(2)) };
        let late = if self.hostility.late { draws.up_to(Duration::from_millis(50)) } else { Duration::ZERO };
        self.foresee(late, Happening::News(Input::Rotated { request, key, result }));
    }

    /// Plans what the run will say of itself.
    fn plan_signs(&mut self, run: RunId, process: u64) {
        let spec = &self.mocks[&run.component].spec;
        let when = spec.readiness.as_ref().map(|readiness| readiness.when.clone());
        let watchdog = spec.watchdog;
        let ready_after = self.processes.get(process).and_then(|process| process.behaviour.ready_after);
        // The news that it lives comes first.
        let late = if self.news_comes_late { Duration::from_millis(100) } else { Duration::ZERO };
        let says = match when {
            Some(ReadyWhen::Notified) => {
                Some(Input::Notified { run, said: Said { ready: true, ..Said::default() } })
            }
            Some(ReadyWhen::Descriptor(_) | ReadyWhen::Logged(_)) => Some(Input::Ready { run }),
            Some(ReadyWhen::Probed(_)) | None => None,
        };
        if let (Some(says), Some(after)) = (says, ready_after) {
            self.foresee(after.max(late), Happening::News(says));
        }
        if let Some(timeout) = watchdog {
            self.foresee(timeout / 2, Happening::SignOfLife { process, again: timeout / 2 });
        }
    }

    fn sign_of_life(&mut self, serial: u64, again: Duration) {
        let Some(process) = self.processes.get(serial).filter(|process| process.lives()) else { return };
        if !self.hangs(process) {
            let run = process.run;
            self.foresee(again, Happening::SignOfLife { process: serial, again });
            self.tell(Input::Notified { run, said: Said { alive: true, ..Said::default() } });
        }
    }

    fn hangs(&self, process: &Process) -> bool {
        process.behaviour.hangs_after.is_some_and(|after| process.born.saturating_add(after) <= self.now)
    }

    fn main_of(&self, run: RunId) -> Option<&Process> {
        self.processes.of_run(run).find(|process| process.is_main && process.lives())
    }

    /// A probe or a command is begun.
    fn begin(&mut self, task: TaskId) {
        let run = task.run;
        let draws = draws_of(&mut self.draws, run.component);
        let is_hostile = self.hostility.tasks_fail;
        let (fails, never_ends) = (is_hostile && draws.one_in(8), is_hostile && draws.one_in(8));
        if self.is_short || is_hostile && draws.one_in(8) {
            let why = shortage().reason.into();
            return self.foresee(Duration::ZERO, Happening::News(Input::NotBegun { task, why }));
        }
        let main = self.main_of(run);
        let is_ready = |process: &Process| {
            let after = process.behaviour.ready_after;
            after.is_some_and(|after| process.born.saturating_add(after) <= self.now)
        };
        let succeeds = match task.task {
            Task::Readiness => main.is_some_and(is_ready),
            Task::Health if main.is_some_and(|process| self.hangs(process)) => return,
            Task::Health => main.is_some(),
            Task::Stop(_) | Task::Reload(_) | Task::Evidence(_) | Task::Cleanup => true,
        };
        let late = main.map_or(Duration::ZERO, |process| process.behaviour.answers_after);
        if let Task::Stop(_) = task.task {
            self.end_by(run, |_| true, |behaviour| behaviour.obeys_after, 15);
        }
        if !never_ends {
            let result =
                if succeeds && !fails { Ok("well".into()) } else { Err("connection refused".into()) };
            self.foresee(late, Happening::News(Input::Finished { task, result }));
        }
    }

    /// A signal reaches those whom it is for, who end by it if it is theirs.
    fn obey(&mut self, run: RunId, signal: Signal, to: Recipient) {
        let is_meant = |process: &Process| {
            let stops = signal == Signal::KILL || process.behaviour.stops_by == signal;
            stops && (to == Recipient::Group || process.is_main)
        };
        self.end_by(run, is_meant, |behaviour| behaviour.obeys_after, signal.number());
    }

    /// Its serial number and its pid.
    pub(super) fn add_process(
        &mut self,
        run: RunId,
        behaviour: Behaviour,
        is_main: bool,
    ) -> Option<(u64, u32)> {
        let ends = behaviour.ends;
        let process = self.processes.add(run, behaviour, is_main, self.now)?;
        let (serial, pid) = (process.serial, process.pid);
        if let Some((after, exit)) = ends {
            self.foresee(after, Happening::Ends { process: serial, exit });
        }
        Some((serial, pid))
    }

    pub(super) fn end_by(
        &mut self,
        run: RunId,
        is_meant: impl Fn(&Process) -> bool,
        delay: fn(&Behaviour) -> Option<Duration>,
        signal: i32,
    ) {
        let exit = Exit::Signal { signal, core_dumped: false };
        let ends: Vec<_> = self
            .processes
            .of_run(run)
            .filter(|process| process.lives() && is_meant(process))
            .filter_map(|process| Some((process.serial, delay(&process.behaviour)?)))
            .collect();
        for (process, after) in ends {
            self.foresee(after, Happening::Ends { process, exit });
        }
    }

    pub(super) fn process_ends(&mut self, serial: u64, exit: Exit) {
        let Some(process) = self.processes.get_mut(serial).filter(|process| process.lives()) else { return };
        process.ended = Some(exit);
        let (run, is_main) = (process.run, process.is_main);
        if is_main {
            self.report(run, Input::Exited { run, exit, peak_memory: None });
        } else {
            // Nobody waits for an orphan: it is reaped at once.
            let is_noticed =
                self.processes.remove(serial).is_some_and(|process| !process.behaviour.unwatched);
            if is_noticed {
                self.look(run);
            }
        }
    }

    /// What the rim does when something of a run has ended, or was killed: look what is left.
    pub(super) fn look(&mut self, run: RunId) {
        let Some(reported) = self.reported.get_mut(&run).filter(|reported| reported.exit && !reported.gone)
        else {
            return;
        };
        let left = || self.processes.of_run(run).filter(|process| process.lives());
        let watched = left().filter(|process| !process.behaviour.unwatched);
        let pids: Vec<_> = watched.map(|process| process.pid).collect();
        if left().next().is_none() {
            reported.gone = true;
            self.report(run, Input::Gone { run });
        } else if reported.left != pids {
            reported.left.clone_from(&pids);
            self.report(run, Input::Left { run, pids });
        }
    }

    /// Puts news on its way to the core.
    pub(super) fn report(&mut self, run: RunId, input: Input) {
        let draws = draws_of(&mut self.draws, run.component);
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
            self.foresee(again, Happening::News(copy));
        }
        self.foresee(delay, Happening::News(input));
    }

    pub(super) fn deliver(&mut self, input: Input) {
        let exited = match &input {
            Input::Exited { run, .. } => Some(*run),
            _ => None,
        };
        if let Input::Gone { run } = &input {
            self.processes.remove_run(*run);
            self.witness.gone(*run);
        }
        if let Input::Finished { task, .. } | Input::NotBegun { task, .. } = &input {
            self.witness.finished(*task);
        }
        self.tell(input);
        if let Some(run) = exited {
            let is_dead_main = |process: &Process| process.is_main && !process.lives();
            if self.processes.of_run(run).any(is_dead_main) {
                self.reported.entry(run).or_default().exit = true;
                self.look(run);
            }
        }
    }

    pub(super) fn foresee(&mut self, after: Duration, happening: Happening) {
        self.happenings += 1;
        self.agenda.insert((self.now.saturating_add(after), self.happenings), happening);
    }
}

/// What the rim tells when the supervisor or the machine lacks something.
fn shortage() -> SpawnError {
    let error = os::scarcity();
    SpawnError { step: SpawnStep::Process, reason: os::in_words(&error), os_error: error.raw_os_error() }
}

fn hostile() -> SpawnError {
    let reason = "the world is hostile".to_owned();
    SpawnError { step: SpawnStep::Process, reason, os_error: None }
}

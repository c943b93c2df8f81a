//! The one thread that waits: it feeds facts to the core and carries out what the core decides.

mod ending;
mod hearing;
mod launching;
mod obeying;
mod taking_over;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use polling::{Events, Poller};

use super::handle::{Command, Done, Mailbox, SharedNames, TakenUp, Told};
use super::launches::Launches;
use super::ledger::Ledger;
use super::measuring::Measuring;
use super::readers::Readers;
use super::runs::{Ended, Look, Owner, Runs};
use super::tasks::{Launcher, Tasks};
use super::voices::{KeptOpen, Voices};
use crate::core::{Action, Core, Input, RequestId, TaskId};
use crate::environment;
use crate::event::{Event, EventKind};
use crate::os::{self, LaunchPad, ReadEnd, Watched};
use crate::output::Pump;
use crate::request::Outcome;
use crate::run::RunId;
use crate::tokens::Tokens;

/// The poller's key for SIGCHLD; every other key is of a process.
const SIGCHLD_KEY: usize = 0;

/// How many events a round may bring before they are told in the middle of it.
const OUTBOX: usize = 256;

/// Whoever was not halted has heard what had come within this time.
const PROMPT: Duration = Duration::from_millis(50);

/// How often in a row it is asked anew what has come, where that takes longer.
const MOST_ROUNDS: usize = 4;

/// By what the driver carries out what is decided.
pub(super) struct Means {
    pub(super) pump: Pump,
    pub(super) pad: LaunchPad,
    pub(super) launches: Launches,
    pub(super) tasks: Tasks,
    pub(super) measuring: Measuring,
    pub(super) voices: Voices,
    pub(super) tokens: Tokens,
}

pub(super) struct Driver {
    core: Core,
    began: Instant,
    /// What the core's time was then: it goes on where another supervisor was killed.
    before: Duration,
    ledger: Ledger,
    /// Of which something is to be written down when the round's work is done, so that no replacement waits while another
    /// thread wakes up.
    changed: BTreeSet<u32>,
    poller: Arc<Poller>,
    commands: Receiver<Command>,
    runs: Runs,
    means: Means,
    /// Those by which handles find components.
    names: SharedNames,
    /// By which handles know that something may have changed.
    told: Told,
    readers: Readers,
    /// What has happened in this round: told when the round's work is done, so that nobody waits for the telling.
    outbox: Vec<Event>,
    sigchld: Option<Watched<ReadEnd>>,
    inherited: Vec<(OsString, OsString)>,
    last_request: u64,
    taken_up: HashMap<RequestId, TakenUp>,
    done: HashMap<RequestId, Done>,
    ended: Option<Outcome>,
    /// Runs that ended before we began, of which the core has been told: nothing of them is left.
    buried: Vec<RunId>,
}

impl Driver {
    pub(super) fn new(
        core: Core,
        poller: Arc<Poller>,
        (commands, mailbox, names, told): (Receiver<Command>, Mailbox, SharedNames, Told),
        means: Means,
        readers: Readers,
        sigchld: Option<ReadEnd>,
        (ledger, before): (Ledger, Duration),
    ) -> io::Result<Self> {
        let sigchld = sigchld.map(|sigchld| Watched::new(sigchld, &poller, SIGCHLD_KEY)).transpose()?;
        #[expect(clippy::disallowed_methods, reason = "the clock of all decisions")]
        let began = Instant::now();
        Ok(Self {
            core,
            began,
            before,
            ledger,
            changed: BTreeSet::new(),
            runs: Runs::new(
                Arc::clone(&poller),
                mailbox,
                os::TELLS_AT_ONCE || os::ORPHANS_MAY_COME && sigchld.is_some(),
            ),
            poller,
            commands,
            means,
            names,
            told,
            readers,
            outbox: Vec::new(),
            sigchld,
            inherited: environment::inherited(),
            last_request: 0,
            taken_up: HashMap::new(),
            done: HashMap::new(),
            ended: None,
            buried: Vec::new(),
        })
    }

    /// Supervises until everything has stopped, or is left running: then with what is kept open.
    pub(super) fn run(mut self) -> (Outcome, KeptOpen) {
        let mut events = Events::new();
        self.begin_supervision();
        loop {
            self.write_down();
            self.runs.reap_ended();
            self.tell_readers();
            if self.ended.is_some() {
                self.told.count();
            }
            match self.ended.take() {
                Some(outcome) if outcome.left => return self.leave(outcome),
                Some(outcome) => return (self.end(outcome), KeptOpen::default()),
                None => {}
            }
            let deadlines = [
                self.core.deadline(),
                self.runs.deadline(),
                self.ledger.deadline(),
                self.means.launches.deadline(),
            ];
            let timeout = deadlines.into_iter().flatten().min();
            let timeout = timeout.map(|deadline| deadline.saturating_sub(self.now()));
            events.clear();
            // Interrupted or refused: whatever has come is looked at, and the next round waits again.
            let _ = self.poller.wait(&mut events, timeout);
            self.round(&events);
            self.judge(&mut events);
        }
    }

    fn now(&self) -> Duration {
        self.before.saturating_add(self.began.elapsed())
    }

    /// Looks at everything that has come since the last round.
    fn round(&mut self, events: &Events) {
        // Before anything that they say themselves.
        self.welcome();
        self.give_up_overdue();
        let mut touched: Vec<_> = events.iter().filter_map(|event| self.runs.noticed(event.key)).collect();
        touched.sort_unstable();
        touched.dedup();
        // Before their ends: the last that a run has said may be which process goes on for it.
        self.hear(events, &touched);
        for owner in &touched {
            if let Some(ended) = self.runs.take_exit(*owner, self.now()) {
                self.ended(*owner, ended);
            }
        }
        for event in events.iter() {
            let come_of = self.means.tasks.noticed(event.key);
            self.tell_of(come_of);
        }
        self.runs.look_at_memory(self.now());
        self.look(&touched);
        if events.iter().any(|event| event.key == SIGCHLD_KEY) {
            self.reap_orphans();
        }
        self.welcome();
        // What comes while these are handled has its own notice.
        for _ in 0..self.commands.len() {
            // What comes after we were told to leave is for the next supervisor to find.
            if self.ended.as_ref().is_some_and(|outcome| outcome.left) {
                return;
            }
            if let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
        }
    }

    /// Has happen what is due, but only after what has come before: more than the round knew of, if we were halted, at
    /// whatever moment.
    fn judge(&mut self, events: &mut Events) {
        let mut now = self.now();
        for _ in 0..MOST_ROUNDS {
            if self.core.deadline().is_none_or(|deadline| deadline > now) {
                break;
            }
            let asked = now;
            events.clear();
            let _ = self.poller.wait(events, Some(Duration::ZERO));
            self.round(events);
            now = self.now();
            if now.saturating_sub(asked) < PROMPT {
                break;
            }
        }
        // After the command to leave there is nothing due, and no answer to give.
        if self.ended.as_ref().is_none_or(|outcome| !outcome.left) {
            if self.core.deadline().is_some_and(|deadline| deadline <= now) {
                self.tell_at(now, Input::Tick);
            }
            self.release();
        }
    }

    fn ended(&mut self, owner: Owner, ended: Ended) {
        match owner {
            Owner::Run(run) => {
                let Ended { exit, peak_memory } = ended;
                self.means.tasks.remember(run, &self.runs, self.core.spec(run.component));
                self.tell(Input::Exited { run, exit, peak_memory });
            }
            Owner::Task(serial) => {
                self.runs.kill(owner);
                let come_of = self.means.tasks.ended(serial, ended);
                self.tell_of(come_of);
            }
        }
    }

    /// Looks what is left of runs whose main processes have ended, and tells of it. What is left of a task is killed.
    fn look(&mut self, owners: &[Owner]) {
        let looks = self.runs.look(owners, self.now());
        self.draw_conclusions(looks);
    }

    fn draw_conclusions(&mut self, looks: Vec<(Owner, Look)>) {
        let mut has_last_words = false;
        for (owner, look) in looks {
            match (owner, look) {
                (Owner::Run(run), Look::Left(pids)) => self.tell(Input::Left { run, pids }),
                (Owner::Run(run), Look::Gone) => {
                    self.means.voices.close(run.component);
                    has_last_words |= self.means.pump.ended(run, self.core.spec(run.component));
                    self.tell(Input::Gone { run });
                }
                (Owner::Task(_), Look::Left(_)) => self.runs.kill(owner),
                (Owner::Task(_), Look::Gone) => {}
            }
        }
        // Only now, so that no replacement waits while another thread wakes up.
        if has_last_words {
            self.means.pump.wake();
        }
    }

    fn reap_orphans(&mut self) {
        let Some(sigchld) = &self.sigchld else { return };
        if !os::drain(&**sigchld) {
            // The host has closed its end: it would be readable for ever.
            self.sigchld = None;
        }
        self.runs.reap_orphans();
    }

    /// Tells the core, carries out what it decides, and tells it at once what came of that.
    fn tell(&mut self, input: Input) {
        self.tell_at(self.now(), input);
    }

    fn tell_at(&mut self, mut now: Duration, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(mut input) = inputs.pop_front() {
            self.hide_secrets(&mut input);
            self.told.count();
            for action in self.core.step(now, input) {
                inputs.extend(self.carry_out(action, now));
            }
            now = self.now();
            if self.outbox.len() >= OUTBOX {
                self.write_down();
                self.tell_readers();
            }
        }
    }

    /// Tells the core what has come of a task, if anything has.
    fn tell_of(&mut self, come_of: Option<Input>) {
        if let Some(input) = come_of {
            self.tell(input);
        }
    }

    fn tell_readers(&mut self) {
        self.outbox.drain(..).for_each(|event| self.readers.tell(&event));
    }

    fn carry_out(&mut self, action: Action, now: Duration) -> Option<Input> {
        match action {
            Action::Spawn { run } => {
                self.ledger.begins(run.component, self.core.spec(run.component));
                return self.spawn(run, now);
            }
            Action::Signal { run, signal, to } => self.runs.signal(run, signal, to),
            Action::Forward { run, signal } => self.runs.forward(run, signal),
            Action::Begin { task } => return self.begin(task),
            Action::Abandon { task } => self.means.tasks.abandon(task, &mut self.runs),
            Action::Measure { run } => self.means.measuring.begin(run, &self.runs),
            Action::Inspect { run } => self.inspect(run, now),
            Action::Kill { run } => self.runs.kill(Owner::Run(run)),
            Action::Look { run } => self.runs.look_again(Owner::Run(run)),
            Action::Rotate { request, key } => return self.rotate(request, key),
            Action::Remember { key } => {
                self.changed.insert(key);
            }
            Action::Lineup => {
                self.names.renew(&self.core);
                self.core.specs().for_each(|(key, spec)| self.ledger.knows(key, spec));
            }
            Action::Dismiss { key } => self.dismiss(key),
            Action::Emit(event) => self.outbox.push(event),
            Action::Accepted { request } => self.answer(request, Ok(request)),
            Action::Refused { request, why } => {
                self.done.remove(&request);
                self.answer(request, Err(why));
            }
            Action::Done { request, outcome } => {
                // Whoever is told that something is so may rely on it.
                self.write_down();
                if let Some((request, outcome)) = self.ledger.hold(request, outcome, now) {
                    self.tell_done(request, outcome);
                }
            }
            Action::End { outcome } => self.ended = Some(outcome),
            Action::Leave => self.ended = Some(Outcome { left: true, ..Outcome::default() }),
        }
        None
    }

    fn write_down(&mut self) {
        while let Some(key) = self.changed.pop_first() {
            if !self.core.has(key) {
                continue;
            }
            let memory = self.core.memory(key);
            let run = memory.run().map(|(number, _)| RunId { component: key, number });
            let identity = run.and_then(|run| self.runs.identity(run));
            self.ledger.remember(key, &self.core.spec(key).id, memory, identity);
        }
    }

    /// Nothing of this component is left, and it is none any more.
    fn dismiss(&mut self, key: u32) {
        self.changed.remove(&key);
        self.ledger.forget(key);
        self.means.launches.forget(key);
        self.means.tasks.forget(key);
        self.means.pump.forget(key);
        self.runs.forget_group(key);
    }

    fn begin(&mut self, task: TaskId) -> Option<Input> {
        let launcher = Launcher {
            spec: self.core.spec(task.run.component),
            inherited: &self.inherited,
            account: self.means.launches.account(task.run.component),
            terms: self.means.launches.terms,
            pad: &mut self.means.pad,
            runs: &mut self.runs,
            tokens: self.means.tokens,
        };
        self.means.tasks.begin(task, launcher)
    }

    fn inspect(&mut self, run: RunId, at: Duration) {
        let Some(pid) = self.runs.living(run) else { return };
        let facts = os::facts(pid);
        if !facts.is_empty() {
            let component = Some(self.core.spec(run.component).id.clone());
            let kind = EventKind::Facts { run, facts };
            self.outbox.push(Event { at, component, kind });
        }
    }
}

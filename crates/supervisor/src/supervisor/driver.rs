//! The one thread that waits: it feeds facts to the core and carries out what the core decides.

mod hearing;
mod launching;
mod taking_over;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use polling::{Events, Poller};

use super::handle::{Command, Done, Mailbox, TakenUp};
use super::launches::Launches;
use super::ledger::Ledger;
use super::measuring::Measuring;
use super::readers::Readers;
use super::runs::{Ended, Look, Owner, Runs};
use super::tasks::{Launcher, Tasks};
use super::voices::{KeptOpen, Voices};
use crate::core::{Action, Ask, Core, Input, RequestId, TaskId};
use crate::environment;
use crate::event::{Event, EventKind};
use crate::os::{self, LaunchPad, Watched};
use crate::output::Pump;
use crate::request::{Outcome, RequestError};
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

/// How long the components' last output may take to reach its files when supervision ends.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Likewise what there is of it when we leave: what is not read waits for the next supervisor.
const OUTPUT_SO_FAR: Duration = Duration::from_millis(200);

/// How long what is left of tasks may take to end when supervision does.
const LAST_TASKS: Duration = Duration::from_secs(1);

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
    readers: Readers,
    /// What has happened in this round: told when the round's work is done, so that nobody waits for the telling.
    outbox: Vec<Event>,
    sigchld: Option<Watched<OwnedFd>>,
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
        (commands, mailbox): (Receiver<Command>, Mailbox),
        means: Means,
        readers: Readers,
        sigchld: Option<OwnedFd>,
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
            runs: Runs::new(Arc::clone(&poller), mailbox, sigchld.is_some()),
            poller,
            commands,
            means,
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

    /// Everything has stopped.
    fn end(mut self, outcome: Outcome) -> Outcome {
        self.end_tasks();
        self.runs.end_orphans();
        self.finish_output(LAST_OUTPUT);
        self.ledger.end();
        outcome
    }

    /// Everything runs on: only what we have begun for ourselves is ended, and what was written until now is stored. What is
    /// still to be written down is, when the ledger goes.
    fn leave(mut self, outcome: Outcome) -> (Outcome, KeptOpen) {
        self.means.tasks.abandon_all(&mut self.runs);
        self.runs.leave();
        let kept = self.means.voices.keep();
        self.finish_output(OUTPUT_SO_FAR);
        (outcome, kept)
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
            self.tell_at(now, Input::Tick);
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

    fn obey(&mut self, command: Command) {
        match command {
            Command::Ask { ask, by, taken_up, done } => self.ask(ask, by, taken_up, done),
            Command::Forget { request } => {
                if self.done.remove(&request).is_some() {
                    self.tell(Input::Forget { request });
                }
            }
            Command::Status { keys, answer } => {
                let mut status = self.core.status(self.now(), &keys);
                status.conditions.extend(self.means.pump.conditions());
                status.conditions.extend(self.runs.conditions());
                status.conditions.extend(self.ledger.conditions());
                // Many a thing goes wrong in the same way for several logs.
                let mut told = HashSet::new();
                status.conditions.retain(|condition| told.insert(condition.clone()));
                // Whoever asked may have gone away.
                let _ = answer.try_send(status);
            }
            Command::Subscribe { answer } => {
                let _ = answer.try_send((self.readers.told(), self.readers.add()));
            }
            Command::Output(news) => self.hear_of_output(news),
            Command::Found { named, account } => self.found(&named, &account),
            Command::Fell { run, why } => self.fell(run, why),
            Command::Answered { serial, result } => {
                let come_of = self.means.tasks.answered(serial, result);
                self.tell_of(come_of);
            }
            Command::Resolved { serial, addresses } => {
                let come_of = self.means.tasks.resolved(serial, addresses);
                self.tell_of(come_of);
            }
            // Answers are released in each round.
            Command::Recorded => {
                if self.ledger.is_bare() {
                    self.changed.extend((0..).zip(self.core.specs()).map(|(key, _)| key));
                }
            }
            Command::Measured { run, memory } => {
                self.means.measuring.done(run);
                self.tell(Input::Measured { run, memory });
            }
            Command::Looked(looked) => {
                let looks = self.runs.looked(looked, self.now());
                self.draw_conclusions(looks);
            }
            Command::ReopenLogs => {
                // Refused only if the pump's thread has gone, which `conditions` tells.
                let _ = self.means.pump.reopen();
            }
        }
    }

    fn ask(&mut self, ask: Ask, by: Arc<str>, taken_up: TakenUp, done: Done) {
        if ask == Ask::Leave {
            // What was said until now, nobody can hear later.
            for run in self.means.voices.runs() {
                self.hear_run(run);
            }
        }
        self.last_request += 1;
        let request = RequestId(self.last_request);
        self.taken_up.insert(request, taken_up);
        self.done.insert(request, done);
        self.tell(Input::Request { request, ask, by });
    }

    /// Tells the core, carries out what it decides, and tells it at once what came of that.
    fn tell(&mut self, input: Input) {
        self.tell_at(self.now(), input);
    }

    fn tell_at(&mut self, mut now: Duration, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(mut input) = inputs.pop_front() {
            self.hide_secrets(&mut input);
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
            Action::Spawn { run } => return self.spawn(run, now),
            Action::Signal { run, signal, to } => self.runs.signal(run, signal, to),
            Action::Forward { run, signal } => self.runs.forward(run, signal),
            Action::Begin { task } => return self.begin(task),
            Action::Abandon { task } => self.means.tasks.abandon(task, &mut self.runs),
            Action::Measure { run } => self.means.measuring.begin(run, &self.runs),
            Action::Inspect { run } => self.inspect(run, now),
            Action::Kill { run } => self.runs.kill(Owner::Run(run)),
            Action::Look { run } => self.runs.look_again(Owner::Run(run)),
            Action::Remember { key } => {
                self.changed.insert(key);
            }
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
            let memory = self.core.memory(key);
            let run = memory.run().map(|(number, _)| RunId { component: key, number });
            let identity = run.and_then(|run| self.runs.identity(run));
            self.ledger.remember(key, &self.core.spec(key).id, memory, identity);
        }
    }

    fn tell_done(&mut self, request: RequestId, outcome: Outcome) {
        if let Some(done) = self.done.remove(&request) {
            // A fault of the host's must not end supervision.
            let _ = catch_unwind(AssertUnwindSafe(|| done(outcome)));
        }
    }

    /// Gives the answers that need not wait any longer.
    fn release(&mut self) {
        while let Some((request, outcome)) = self.ledger.release(self.now()) {
            self.tell_done(request, outcome);
        }
    }

    fn answer(&mut self, request: RequestId, answer: Result<RequestId, RequestError>) {
        if let Some(taken_up) = self.taken_up.remove(&request) {
            // Whoever asked may have gone away.
            let _ = taken_up.try_send(answer);
        }
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

    /// Ends what is left of tasks, though not at any price.
    fn end_tasks(&mut self) {
        self.means.tasks.abandon_all(&mut self.runs);
        let began = self.now();
        let mut events = Events::new();
        while self.runs.has_tasks()
            && let Some(remaining) = LAST_TASKS.checked_sub(self.now().saturating_sub(began))
        {
            events.clear();
            let _ = self.poller.wait(&mut events, Some(remaining));
            self.round(&events);
            self.runs.reap_ended();
        }
    }
}

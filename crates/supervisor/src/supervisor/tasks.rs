//! The tasks under way: probes, and steps that are commands.
//!
//! None of them holds the driver up. A command is a process, watched like every other; a connection is watched until it is
//! made; a host's name is looked up by a thread of its own, and HTTP is spoken by the [`Prober`] of the host. How long any
//! of it may take is the core's affair, which abandons what takes too long.
//!
//! A command is run as its component would be: as its user, in its folder, with its environment and limits, in a process
//! group of its own. When it has ended, what it leaves behind is killed, whatever kind of command it is.

mod answer;
mod command;
mod evidence;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use polling::Poller;

use self::answer::{cannot_run, connected, finished, with_note};
use self::command::{Place, Said};
use self::evidence::Subject;
use super::handle::{Command, Mailbox};
use super::helper::Helper;
use super::prober::{HttpQuestion, Interest, ProbeAnswer, Prober};
use super::runs::{Ended, Owner, Runs};
use crate::core::{Input, Task, TaskId};
use crate::os::{self, Connecting, Watched};
use crate::run::RunId;
use crate::spec::{self, Probe, ProcessSpec, ReadyWhen, Step};

pub(super) use self::answer::{Answer, Failure, failure_of, shown};
pub(super) use self::command::Launcher;

/// The poller's keys from here on are of tasks: their pipes and connections. Those below are of processes.
const FIRST_KEY: usize = 1 << (usize::BITS - 1);

/// How many addresses of a host are tried.
const MOST_ADDRESSES: usize = 8;

/// All tasks under way, each by a serial number of its own.
#[derive(Debug)]
pub(super) struct Tasks {
    poller: Arc<Poller>,
    mailbox: Mailbox,
    prober: Option<Arc<dyn Prober>>,
    state: Option<Arc<Path>>,
    resolver: Helper,
    keeper: Helper,
    last: u64,
    serials: HashMap<TaskId, u64>,
    under_way: HashMap<u64, UnderWay>,
    /// The last runs of components that clean up, by component: their cleanup comes when they are gone.
    last_runs: HashMap<u32, LastRun>,
}

/// What the commands of a run are told of it.
#[derive(Debug)]
struct LastRun {
    run: RunId,
    token: Arc<str>,
    /// Its main process, which is nobody's pid or a stranger's by the time of the cleanup.
    pid: u32,
}

#[derive(Debug)]
struct UnderWay {
    task: TaskId,
    work: Work,
}

#[derive(Debug)]
enum Work {
    /// A process of ours does it.
    Command { said: Said, subject: Option<Subject> },
    /// The first of these addresses is being connected to. Once one has failed, why.
    Connecting { socket: Watched<Connecting>, others: Vec<SocketAddr>, failure: Option<Failure> },
    /// A thread of ours does it.
    Helped,
    /// The prober does it.
    Asked(Arc<Interest>),
}

/// What a task comes to.
enum Errand<'a> {
    Probe(&'a Probe),
    Command(&'a spec::Command),
}

impl Tasks {
    pub(super) fn new(
        poller: Arc<Poller>,
        mailbox: Mailbox,
        prober: Option<Arc<dyn Prober>>,
        state: Option<Arc<Path>>,
    ) -> Self {
        Self {
            poller,
            mailbox,
            prober,
            state,
            resolver: Helper::new("resolver"),
            keeper: Helper::new("evidence"),
            last: 0,
            serials: HashMap::new(),
            under_way: HashMap::new(),
            last_runs: HashMap::new(),
        }
    }

    /// A component is none any more.
    pub(super) fn forget(&mut self, component: u32) {
        self.last_runs.remove(&component);
    }

    /// The main process of a run has ended: keeps what its cleanup will be told of it.
    pub(super) fn remember(&mut self, run: RunId, runs: &Runs, spec: &ProcessSpec) {
        if spec.cleanup.is_some()
            && let (Some(token), Some(pid)) = (runs.token(run), runs.main_pid(run))
        {
            self.last_runs.insert(run.component, LastRun { run, token: Arc::clone(token), pid });
        }
    }

    /// Begins a task. What it has come to, if that is known at once.
    pub(super) fn begin(&mut self, task: TaskId, mut launcher: Launcher<'_>) -> Option<Input> {
        self.last += 1;
        let serial = self.last;
        let spec = launcher.spec;
        let begun = match errand(spec, task.task) {
            Some(Errand::Command(command) | Errand::Probe(Probe::Exec(command))) => {
                self.run(serial, task, command, &mut launcher).map(Some)
            }
            Some(Errand::Probe(Probe::Tcp { host, port })) => self.connect(serial, host, *port),
            Some(Errand::Probe(Probe::Http { url, status })) => {
                self.ask_prober(serial, HttpQuestion::new(url, status.clone())).map(Some)
            }
            None => Err(Failure::Told("there is nothing to do".to_owned())),
        };
        match begun {
            Ok(None) => Some(finished(task, connected())),
            Ok(Some(work)) => {
                self.serials.insert(task, serial);
                self.under_way.insert(serial, UnderWay { task, work });
                None
            }
            Err(why) => Some(finished(task, Err(why))),
        }
    }

    /// Gives a task up. What it has said so far is kept if it is evidence.
    pub(super) fn abandon(&mut self, task: TaskId, runs: &mut Runs) {
        let Some(serial) = self.serials.remove(&task) else { return };
        let Some(under_way) = self.under_way.remove(&serial) else { return };
        match under_way.work {
            Work::Command { mut said, subject } => {
                runs.kill(Owner::Task(serial));
                if let (Some(subject), Some(text), Some(state)) = (subject, said.evidence(), &self.state) {
                    let state = Arc::clone(state);
                    self.keeper.ask(move || drop(evidence::store(&state, &subject, &text)));
                }
            }
            // A fault of the prober's must not end supervision.
            Work::Asked(interest) => drop(catch_unwind(AssertUnwindSafe(|| interest.lose()))),
            Work::Connecting { .. } | Work::Helped => {}
        }
    }

    /// Gives up all that is under way.
    pub(super) fn abandon_all(&mut self, runs: &mut Runs) {
        let tasks: Vec<_> = self.serials.keys().copied().collect();
        tasks.into_iter().for_each(|task| self.abandon(task, runs));
    }

    /// Something has come to a pipe or a connection of a task, if it is the key of one.
    pub(super) fn noticed(&mut self, key: usize) -> Option<Input> {
        let serial = key.checked_sub(FIRST_KEY)? as u64;
        let work = &mut self.under_way.get_mut(&serial)?.work;
        match work {
            Work::Command { said, .. } => {
                said.read();
                None
            }
            Work::Connecting { socket, others, failure } => match socket.outcome()? {
                Ok(()) => self.finish(serial, connected()),
                Err(error) => {
                    let failure = failure.take().unwrap_or_else(|| failure_of(&error));
                    let others = std::mem::take(others);
                    self.go_on_connecting(serial, others, Some(failure))
                }
            },
            Work::Helped | Work::Asked(_) => None,
        }
    }

    /// The command of this task has ended.
    pub(super) fn ended(&mut self, serial: u64, ended: Ended) -> Option<Input> {
        let UnderWay { work, .. } = self.under_way.get_mut(&serial)?;
        let Work::Command { said, subject } = work else { return None };
        let answer = said.answer(ended.exit);
        let kept = subject.take().zip(said.evidence()).zip(self.state.clone());
        let Some(((subject, text), state)) = kept else { return self.finish(serial, answer) };
        *work = Work::Helped;
        let (mailbox, told) = (self.mailbox.clone(), answer.clone());
        let taken = self.keeper.ask(move || {
            let kept = match evidence::store(&state, &subject, &text) {
                Ok(path) => format!("all of it is in {}", path.display()),
                Err(why) => why,
            };
            let result = with_note(told, &kept);
            mailbox.send(Command::Answered { serial, result });
        });
        if taken { None } else { self.finish(serial, with_note(answer, "too much waits to be stored")) }
    }

    /// A thread of ours, or the prober, has come to this.
    pub(super) fn answered(&mut self, serial: u64, answer: Answer) -> Option<Input> {
        self.finish(serial, answer)
    }

    /// The host of this task has these addresses.
    pub(super) fn resolved(
        &mut self,
        serial: u64,
        addresses: Result<Vec<SocketAddr>, Failure>,
    ) -> Option<Input> {
        match addresses {
            Ok(addresses) => self.go_on_connecting(serial, addresses, None),
            Err(why) => self.finish(serial, Err(why)),
        }
    }

    fn finish(&mut self, serial: u64, answer: Answer) -> Option<Input> {
        let task = self.under_way.remove(&serial)?.task;
        self.serials.remove(&task);
        Some(finished(task, answer))
    }

    fn run(
        &mut self,
        serial: u64,
        task: TaskId,
        command: &spec::Command,
        launcher: &mut Launcher<'_>,
    ) -> Result<Work, Failure> {
        // Only cleanup comes when nothing is left of a run.
        let gone = self.last_runs.get(&task.run.component).filter(|last| last.run == task.run);
        let token = match launcher.runs.token(task.run).or(gone.map(|last| &last.token)) {
            Some(token) => Arc::clone(token),
            None => launcher.tokens.of(&launcher.spec.id, task.run.number).into(),
        };
        let subject = match task.task {
            Task::Evidence(step) if self.state.is_some() => {
                Some(Subject { id: launcher.spec.id.clone(), run: task.run.number, step: step + 1 })
            }
            _ => None,
        };
        let place = Place {
            key: key_of(serial),
            owner: Owner::Task(serial),
            token: &token,
            number: task.number,
            pid: launcher.runs.main_pid(task.run).or(gone.map(|last| last.pid)),
            is_evidence: subject.is_some(),
        };
        let said = command::start(command, &place, launcher, &self.poller)?;
        Ok(Work::Command { said, subject })
    }

    /// Begins to connect; `None` if that is done already.
    fn connect(&mut self, serial: u64, host: &str, port: u16) -> Result<Option<Work>, Failure> {
        if let Some(addresses) = addresses_of(host, port) {
            return self.connecting(serial, addresses, None);
        }
        let (name, mailbox) = (host.to_owned(), self.mailbox.clone());
        let taken = self.resolver.ask(move || {
            let found = (name.as_str(), port).to_socket_addrs();
            let addresses = found.map(|found| found.take(MOST_ADDRESSES).collect());
            let cannot = |error: io::Error| {
                Failure::of(&error, format!("cannot look up {name:?}: {}", os::in_words(&error)))
            };
            let addresses = addresses.map_err(cannot);
            mailbox.send(Command::Resolved { serial, addresses });
        });
        let want = || Failure::Want("too many names are being looked up".to_owned());
        if taken { Ok(Some(Work::Helped)) } else { Err(want()) }
    }

    /// Begins to connect to the first address to which that is possible; `None` if that is done already.
    fn connecting(
        &self,
        serial: u64,
        addresses: Vec<SocketAddr>,
        mut failure: Option<Failure>,
    ) -> Result<Option<Work>, Failure> {
        let mut others = addresses.into_iter();
        while let Some(address) = others.next() {
            // What is known at once needs no poller.
            let begun = Connecting::begin(address).and_then(|socket| match socket.outcome() {
                _ if os::descriptors_are_scarce(&socket) => Err(os::scarcity()),
                Some(outcome) => outcome.map(|()| None),
                None => Watched::for_writing(socket, &self.poller, key_of(serial)).map(Some),
            });
            match begun {
                Ok(None) => return Ok(None),
                Ok(Some(socket)) => {
                    return Ok(Some(Work::Connecting { socket, others: others.collect(), failure }));
                }
                Err(error) => {
                    failure.get_or_insert_with(|| failure_of(&error));
                }
            }
        }
        Err(failure.unwrap_or_else(|| Failure::Told("the host has no address".to_owned())))
    }

    fn go_on_connecting(
        &mut self,
        serial: u64,
        addresses: Vec<SocketAddr>,
        failure: Option<Failure>,
    ) -> Option<Input> {
        // The socket that failed leaves the poller before the next one comes.
        self.under_way.get_mut(&serial)?.work = Work::Helped;
        match self.connecting(serial, addresses, failure) {
            Ok(None) => self.finish(serial, connected()),
            Ok(Some(work)) => {
                self.under_way.get_mut(&serial)?.work = work;
                None
            }
            Err(why) => self.finish(serial, Err(why)),
        }
    }

    fn ask_prober(&self, serial: u64, question: HttpQuestion) -> Result<Work, Failure> {
        let nobody = || Failure::Told("no prober: this supervisor speaks no HTTP".to_owned());
        let prober = self.prober.as_ref().ok_or_else(nobody)?;
        let mailbox = self.mailbox.clone();
        let answer = ProbeAnswer::to(move |result| mailbox.send(Command::Answered { serial, result }));
        let interest = answer.interest();
        // If it fails, the answer is dropped, which tells so.
        let _ = catch_unwind(AssertUnwindSafe(|| prober.probe(question, answer)));
        Ok(Work::Asked(interest))
    }
}

/// What a task is to do, by its specification.
fn errand(spec: &ProcessSpec, task: Task) -> Option<Errand<'_>> {
    match task {
        Task::Readiness => match &spec.readiness.as_ref()?.when {
            ReadyWhen::Probed(probe) => Some(Errand::Probe(probe)),
            ReadyWhen::Notified | ReadyWhen::Descriptor(_) | ReadyWhen::Logged(_) => None,
        },
        Task::Health => Some(Errand::Probe(&spec.health.as_ref()?.probe)),
        Task::Stop(step) => command(spec.stop.get(step)?),
        Task::Reload(step) => command(spec.reload.get(step)?),
        Task::Evidence(step) => command(spec.evidence.get(step)?),
        Task::Cleanup => Some(Errand::Command(&spec.cleanup.as_ref()?.command)),
    }
}

fn command(step: &Step) -> Option<Errand<'_>> {
    match step {
        Step::Run { command, .. } => Some(Errand::Command(command)),
        Step::Signal { .. } => None,
    }
}

/// What needs no looking up. `localhost` is what it is meant to be, whatever a name service says.
fn addresses_of(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let address = |address| SocketAddr::new(address, port);
    if host.eq_ignore_ascii_case("localhost") {
        return Some(vec![address(Ipv4Addr::LOCALHOST.into()), address(Ipv6Addr::LOCALHOST.into())]);
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    Some(vec![address(bare.parse::<IpAddr>().ok()?)])
}

/// The poller's key of a task; no supervisor lives to see a serial number that does not fit.
fn key_of(serial: u64) -> usize {
    FIRST_KEY | serial as usize
}

#[cfg(unix)]
#[cfg(test)]
mod tests;

//! How a supervisor is made.

use std::collections::HashSet;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use polling::Poller;

use super::Supervisor;
use super::driver::{Driver, Means};
use super::handle::{Command, Handle, Mailbox, SharedNames, Told, command_queue};
use super::launches::Launches;
use super::ledger::Ledger;
use super::measuring::Measuring;
use super::prober::Prober;
use super::readers::Readers;
use super::takeover::{Legacy, Past};
use super::tasks::Tasks;
use super::voices::{KeptOpen, Voices};
use crate::core::{Core, Rules};
use crate::event::Event;
use crate::os::{self, ControlGroups, LaunchPad, ReadEnd, Terms};
use crate::output::{Fifos, Notice, Pump};
use crate::relations::{self, RelationError, Wrong};
use crate::spec::{
    ComponentId, OnCrash, OnGiveUp, Output, ProcessSpec, Readiness, ReadyWhen, RestartBudget, log_pattern,
};
use crate::tokens::{Key, Tokens};

/// How to make a [`Supervisor`].
#[derive(Debug, Default)]
pub struct Builder {
    components: Vec<ProcessSpec>,
    seed: Option<u64>,
    restart_budget: Option<RestartBudget>,
    on_give_up: OnGiveUp,
    ends_when_done: bool,
    on_crash: OnCrash,
    readers: Readers,
    sigchld: Option<ReadEnd>,
    prober: Option<Arc<dyn Prober>>,
    state_dir: Option<PathBuf>,
    notify_dir: Option<PathBuf>,
    kept_open: KeptOpen,
    descriptor_limit: Option<u64>,
    cgroups: bool,
}

impl Builder {
    /// The most components that one supervisor takes.
    pub const MAX_COMPONENTS: usize = 10_000;

    /// Adds components, in the order in which those of the same priority start.
    #[must_use]
    pub fn components(mut self, components: impl IntoIterator<Item = ProcessSpec>) -> Self {
        self.components.extend(components);
        self
    }

    /// Where the jitter of restarts comes from: the same seed and the same facts lead to the same decisions.
    /// Default: drawn anew each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The most restarts over all components. Default: no limit.
    #[must_use]
    pub fn restart_budget(mut self, budget: RestartBudget) -> Self {
        self.restart_budget = Some(budget);
        self
    }

    /// What happens when an essential component is given up. Default: the others go on.
    #[must_use]
    pub fn on_give_up(mut self, what: OnGiveUp) -> Self {
        self.on_give_up = what;
        self
    }

    /// Whether supervision ends by itself when nothing will run again: every component has completed, was given up or stopped,
    /// or waits for one that has. Default: no.
    #[must_use]
    pub fn end_when_done(mut self, yes: bool) -> Self {
        self.ends_when_done = yes;
        self
    }

    /// What becomes of components when this process is killed. Default: they live on. Whether a later supervisor goes on with them
    /// depends on [`state_dir`](Self::state_dir). On Windows they end with this process, whatever is said here; on
    /// macOS and the BSDs none can be gone on with, and [`OnCrash::Stop`] is refused.
    #[must_use]
    pub fn on_crash(mut self, what: OnCrash) -> Self {
        self.on_crash = what;
        self
    }

    /// A reader of all that happens, from the very beginning. See [`Handle::subscribe`].
    pub fn subscribe(&mut self) -> Receiver<Event> {
        self.readers.add()
    }

    /// Makes the supervisor reap the orphans that the operating system gives to this process, because it is a
    /// subreaper or process 1, and find what is left of a run among them. Default: it looks at no process that is
    /// not its own.
    ///
    /// `sigchld` must become readable with each SIGCHLD; what is written to it is thrown away. The library installs
    /// no signal handler. Main processes are never spawned from the main thread of the host, which should start no
    /// process of its own either: it would be reaped like an orphan.
    #[cfg(unix)]
    #[must_use]
    pub fn reap_orphans(mut self, sigchld: OwnedFd) -> Self {
        self.sigchld = Some(os::read_end(sigchld));
        self
    }

    /// Who asks components by HTTP ([`Probe::Http`](crate::Probe::Http)). Default: nobody, so that such a probe fails.
    #[must_use]
    pub fn prober(mut self, prober: Arc<dyn Prober>) -> Self {
        self.prober = Some(prober);
        self
    }

    /// A folder for what outlives a run, and us. Default: none, and nothing is kept. It is made with mode 0700 if it, but not
    /// its parent, is missing.
    ///
    /// In `evidence/` below it is kept what the commands of [`ProcessSpec::evidence`] have said: up to 1 MiB of each in a
    /// file `<id>-run<number>-<step>-<yyyymmdd-hhmmss>.txt` that only its owner can read, the last ten of each component.
    ///
    /// In `output/` (mode 0700) are the pipes through which components write: named ones, which are gone when their runs are.
    /// If this process is killed, its components live on: what they write waits in the pipes, and they wait once those are full,
    /// where they would be ended by SIGPIPE without this.
    ///
    /// In `runs/` (mode 0700) it is written down what is to be known of each component. A supervisor that is started with the same
    /// folder, after this process was killed, goes on from that: it adopts what still runs (`Adopted`), tells what has ended meanwhile
    /// (`EndedUnattended`), and keeps to what somebody has stopped, waits, rests and counts. A run whose specification has
    /// changed is replaced, and one of a component that is none any more is stopped. An orderly end leaves nothing to go on from, and so
    /// does a reboot. Where nothing can be written, that is a condition in [`Status`](crate::Status), and nothing is adopted later.
    ///
    /// One supervisor at a time may use the folder, and nobody else.
    #[must_use]
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(folder.into());
        self
    }

    /// An existing folder for the sockets on which components speak `sd_notify`; each is gone when its run is. Default: none, and
    /// the sockets have abstract addresses, which not every client knows: the crate `sd-notify` does not.
    ///
    /// Components must be able to enter it, whatever their user (mode 0711), and its path should be short: with the name of
    /// a socket, at most 107 bytes. Where no socket can be made in it, that one has an abstract address.
    #[must_use]
    pub fn notify_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.notify_dir = Some(folder.into());
        self
    }

    /// What a supervisor before this one has kept open ([`Supervisor::wait_and_keep`]), which used the same
    /// [`state_dir`](Self::state_dir) and [`notify_dir`](Self::notify_dir): what its components have said since then is heard, and nothing that
    /// they say is refused. Default: nothing, and what they say on their sockets between two supervisors is refused.
    ///
    /// Each socket is known by its address. One that has none of a component that runs is closed.
    #[must_use]
    pub fn kept_open(mut self, kept: KeptOpen) -> Self {
        self.kept_open = kept;
        self
    }

    /// The soft limit of open descriptors that components begin with, where they have no limit `nofile` of their own: for a
    /// host that has raised its own, since programs that use `select` cannot deal with a high one, and some close all
    /// descriptors up to it. Default: that of this process.
    ///
    /// It counts no further than the hard limit, which components have as this process has it.
    #[must_use]
    pub fn descriptor_limit(mut self, soft: u64) -> Self {
        self.descriptor_limit = Some(soft);
        self
    }

    /// Whether each component runs in a control group of its own, where groups of version 2 can be made below the one of this
    /// process. Default: no.
    ///
    /// Then whatever a component has started is gone when it has stopped, even if it has changed its session, its process group and
    /// its environment and its parent has ended; without, such a process is not found. It takes write permission to that
    /// folder, as root has it, or where it is delegated (`Delegate=yes` in a systemd unit). Where none can be made nothing
    /// else changes, and [`Supervisor::control_groups`] says why.
    ///
    /// The groups are `s7supervisor-<name>/s7-<id>`, the name being drawn at random. An orderly end removes them.
    #[must_use]
    pub fn cgroups(mut self, yes: bool) -> Self {
        self.cgroups = yes;
        self
    }

    /// Checks the components and starts supervising them, in a thread of its own.
    ///
    /// # Errors
    /// [`StartError`]; nothing was started then.
    pub fn start(self) -> Result<Supervisor, StartError> {
        check(&self.components)?;
        if self.on_crash == OnCrash::Stop && !os::CAN_END_WITH_US {
            let why = "this system tells no process that the one which has started it has ended";
            return Err(StartError::system("have components end with the supervisor", &why));
        }
        let seed = match self.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(|error| StartError::system("draw a random seed", &error))?,
        };
        let state_dir: Option<Arc<Path>> = self.state_dir.map(Arc::from);
        let components = self.components;
        let mut conditions = Vec::new();
        let past = state_dir
            .as_deref()
            .and_then(|folder| Past::read(folder).map_err(|condition| conditions.push(condition)).ok());
        let strangers = past.iter().flat_map(|past| past.strangers(&components)).collect();
        let ends_with_us = os::ENDS_WITH_US || self.on_crash == OnCrash::Stop;
        let rules = Rules {
            budget: self.restart_budget,
            on_give_up: self.on_give_up,
            remembers: past.is_some(),
            ends_with_us,
            ends_when_done: self.ends_when_done,
        };
        let core = Core::new(components, strangers, rules, seed);
        let names = SharedNames::of(&core);
        let poller = Arc::new(Poller::new().map_err(|error| StartError::system("make a poller", &error))?);
        let pad =
            LaunchPad::new().map_err(|error| StartError::system("prepare to start processes", &error))?;
        let (commands, queue) = command_queue();
        let output = |error| StartError::system("prepare the components' output", &error);
        let fifos = Fifos::within(state_dir.as_deref()).map_err(output)?;
        let pump = Pump::start(notice(&commands, &poller), fifos.clone()).map_err(output)?;
        let mailbox = Mailbox::new(&commands, &poller);
        let tasks = Tasks::new(Arc::clone(&poller), mailbox.clone(), self.prober, state_dir);
        let told = Told::default();
        let handle = Handle::new(commands, Arc::clone(&poller), names.clone(), told.clone());
        let terms = Terms { open_files: self.descriptor_limit, ends_with_us };
        let launches = Launches::new(Arc::clone(&poller), mailbox.clone(), terms);
        let mut voices = Voices::new(Arc::clone(&poller), self.notify_dir, fifos);
        voices.resume(self.kept_open);
        let tokens = match &past {
            Some(past) => past.tokens(),
            // No other supervisor makes, or knows, the same.
            None => {
                Tokens::with(Key::random().map_err(|error| StartError::system("draw a random key", &error))?)
            }
        };
        let age = past.as_ref().map_or(Duration::ZERO, Past::age);
        let groups = if self.cgroups {
            let has_predecessor = past.as_ref().is_some_and(Past::has_predecessor);
            ControlGroups::open(&tokens.maker(), has_predecessor)
        } else {
            Err("they were not asked for".to_owned())
        };
        let control_groups = groups.as_ref().map(|groups| groups.path().to_owned()).map_err(Clone::clone);
        let (mut ledger, mut legacy) = (Ledger::default(), Legacy::default());
        if let Some(past) = past {
            let left = |error| StartError::system("find out what an earlier supervisor has left", &error);
            let (records, its) = past.into_legacy(&core, groups.ok()).map_err(left)?;
            ledger = Ledger::new(records, core.specs().chain(core.leaving()), mailbox.clone())
                .map_err(|error| StartError::system("keep records of runs", &error))?;
            legacy = its;
            if ends_with_us {
                // What has outlived the one before is not gone on with.
                legacy.left.iter_mut().for_each(|left| left.is_outdated = true);
            }
        } else {
            legacy.groups = groups.ok();
        }
        legacy.conditions.append(&mut conditions);
        let means =
            Means { pump, pad, launches, tasks, measuring: Measuring::new(mailbox.clone()), voices, tokens };
        let channels = (queue, mailbox, names, told);
        let mut driver =
            Driver::new(core, poller, channels, means, self.readers, self.sigchld, (ledger, age))
                .map_err(|error| StartError::system("watch for SIGCHLD", &error))?;
        driver.take_over(legacy).map_err(|error| {
            StartError::system("take charge of what an earlier supervisor has left", &error)
        })?;
        #[expect(clippy::disallowed_methods, reason = "the one thread of the driver")]
        let thread = thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || driver.run())
            .map_err(|error| StartError::system("start the supervisor's thread", &error))?;
        Ok(Supervisor { handle, thread: Some(thread), control_groups })
    }
}

/// Has the pump tell the driver what becomes of output. It does not keep the queue alive by that: the driver ends the
/// pump, not the other way round.
fn notice(commands: &Sender<Command>, poller: &Arc<Poller>) -> Notice {
    let (commands, poller) = (commands.clone(), Arc::clone(poller));
    Arc::new(move |news| {
        // Refused only when the driver has ended, and with it everybody who could be told.
        let _ = commands.send(Command::Output(news));
        let _ = poller.notify();
    })
}

/// Whether these components can be supervised together.
pub(crate) fn check(components: &[ProcessSpec]) -> Result<(), StartError> {
    if components.len() > Builder::MAX_COMPONENTS {
        return Err(StartError::TooMany);
    }
    let mut names = HashSet::with_capacity(components.len());
    if let Some(spec) = components.iter().find(|spec| !names.insert(spec.id.as_str().to_ascii_lowercase())) {
        return Err(StartError::Duplicate(spec.id.clone()));
    }
    if let Some(Wrong { component, problem, .. }) = relations::check(components).into_iter().next() {
        return Err(RelationError { component: components[component].id.clone(), problem }.into());
    }
    components.iter().try_for_each(check_readiness)?;
    components.iter().try_for_each(|spec| {
        let component = || spec.id.clone();
        os::unsupported(spec)
            .map_or(Ok(()), |what| Err(StartError::Unsupported { component: component(), what }))
    })
}

fn check_readiness(spec: &ProcessSpec) -> Result<(), StartError> {
    let Some(Readiness { when: ReadyWhen::Logged(text), .. }) = &spec.readiness else { return Ok(()) };
    let refused = |why| Err(StartError::Readiness { component: spec.id.clone(), why });
    match log_pattern(text) {
        Err(why) => refused(format!("{text:?} is no regular expression: {why}")),
        Ok(_) if spec.output == Output::Inherit => {
            refused("its output is that of the host, where nobody looks for it".to_owned())
        }
        Ok(_) => Ok(()),
    }
}

/// Why a supervisor could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two components have the same id but for case.
    #[error("two components are called {0:?}")]
    Duplicate(ComponentId),
    /// There are more than [`Builder::MAX_COMPONENTS`].
    #[error("there are more than 10,000 components")]
    TooMany,
    /// It could never be known that a component is ready.
    #[error("cannot find out whether {component} is ready: {why}")]
    Readiness {
        /// Which.
        component: ComponentId,
        /// Why not.
        why: String,
    },
    /// This operating system cannot do what is asked for.
    #[error("cannot supervise {component} here: {what}")]
    Unsupported {
        /// Which component asks for it.
        component: ComponentId,
        /// What it is, in words.
        what: String,
    },
    /// A component depends on what is not there or on itself, or its restart group is at odds.
    #[error(transparent)]
    Relation(#[from] RelationError),
    /// The operating system refused what supervision itself needs.
    #[error("cannot {what}: {why}")]
    System {
        /// What it refused.
        what: &'static str,
        /// Why, in the words of the operating system.
        why: String,
    },
}

impl StartError {
    fn system(what: &'static str, why: &impl ToString) -> Self {
        Self::System { what, why: why.to_string() }
    }
}

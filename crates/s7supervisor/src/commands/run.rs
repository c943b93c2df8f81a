//! `run`: the components, supervised in the foreground (or, hidden, in the background for `start`).
//!
//! - `home`: the folders, locks and files that make this the one supervisor of its place
//! - `signals`: what the operating system is used to say
//! - `narrate`: events as lines of the log
//! - `report`: how the start goes, for `start`
//!
//! The main thread waits in one place, in [`Supervision::watch`]; supervision itself goes on in the library's thread
//! whatever happens here.

mod home;
mod narrate;
mod notify_folder;
pub(crate) mod report;
mod signals;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, after, never, select};
use signal_hook::consts::SIGCHLD;
use supervisor::registry::Registry;
use supervisor::{Achieved, Event, EventKind, Handle, Outcome, Request, Supervisor};
use supervisor_control::journal::{Header, Journal};
use supervisor_control::{HttpProber, Server};
use tracing::{debug, error, info, warn};

use self::home::Home;
use self::narrate::Narrator;
use self::report::Report;
use self::signals::{Signal, Signals};
use crate::arguments::{Cgroups, Place, Run};
use crate::exit::{Ended, Exit, Failure};
use crate::os;
use crate::temp_folder::SOCKET;

/// How long the last answers may take to be sent, once supervision has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// So many events are many.
const STORM: u32 = 1_000;

/// How long after starting, or a storm, what it has left behind is given back.
const SETTLING: Duration = Duration::from_millis(500);

/// Supervises the components of the registry until somebody ends it.
pub(crate) fn run(place: &Place, asked: &Run) -> Ended {
    os::share_one_heap();
    // What we happen to have inherited is not for the components.
    close_fds::set_fds_cloexec(3, &[]);
    if asked.background {
        // Fails only for the leader of a session, who has left already.
        let _left = rustix::process::setsid();
    }
    let registry = place.load(asked.file.as_deref())?;
    let home = Home::open(&place.temp_of(&registry), &registry, asked.background)?;
    let signals = Signals::listen().map_err(|error| cannot("listen for signals", &error))?;
    Supervision::begin(registry, home, signals, asked)?.watch()
}

/// Everything that the main thread looks after.
struct Supervision {
    supervisor: Supervisor,
    handle: Handle,
    events: Receiver<Event>,
    signals: Signals,
    home: Home,
    registry: PathBuf,
    server: Server,
    journal: Journal,
    narrator: Narrator,
    report: Option<Report>,
    statistics_interval: Option<Duration>,
    statistics: Receiver<Instant>,
    stopping: Stopping,
}

/// How far signals have brought the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    No,
    InOrder,
    AtOnce,
}

impl Supervision {
    fn begin(registry: Registry, home: Home, signals: Signals, asked: &Run) -> Result<Self, Failure> {
        info!(
            "s7supervisor {} started, pid {}, registry {}",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            registry.path.display()
        );
        let sigchld = reap_orphans().map_err(|error| cannot("become the parent of orphans", &error))?;
        let wanted = registry.components.iter().filter(|spec| asked.background && spec.autostart);
        let wanted: Vec<_> = wanted.map(|spec| spec.id.clone()).collect();
        let mut builder = Supervisor::builder()
            .components(registry.components)
            .on_give_up(registry.config.on_give_up)
            .end_when_done(asked.exit_when_done)
            .prober(Arc::new(HttpProber::new()))
            .state_dir(home.temp.path())
            .cgroups(asked.cgroups == Cgroups::Auto)
            .reap_orphans(sigchld.into());
        if let Some(budget) = registry.config.restart_budget {
            builder = builder.restart_budget(budget);
        }
        if let Some(folder) = &home.notify {
            builder = builder.notify_dir(folder.path());
        }
        if let Some(soft) = os::raise_descriptor_limit() {
            builder = builder.descriptor_limit(soft);
        }
        let (events, to_journal) = (builder.subscribe(), builder.subscribe());
        let supervisor = builder.start().map_err(|error| cannot("start supervision", &error))?;
        match supervisor.control_groups() {
            Ok(folder) => info!("components run in control groups in {}", folder.display()),
            Err(why) => info!("components run in no control groups of their own: {why}"),
        }
        let handle = supervisor.handle();
        let journal = keep_journal(to_journal, &home, &registry.path)
            .map_err(|error| cannot("keep a journal", &error))?;
        let server = serve(&handle, &home, &registry.path, &journal).map_err(|error| {
            cannot(&format!("make the control socket {}", home.temp.path().join(SOCKET).display()), &error)
        })?;
        let mut supervision = Self {
            supervisor,
            handle,
            events,
            signals,
            home,
            registry: registry.path,
            server,
            journal,
            narrator: Narrator::default(),
            report: None,
            statistics_interval: registry.config.trace_stats_interval,
            statistics: never(),
            stopping: Stopping::No,
        };
        supervision.await_statistics();
        if asked.background {
            let report = Report::ready(wanted);
            // What goes on from an earlier supervisor is up already.
            supervision.report = match (report, supervision.handle.status()) {
                (Some(report), Ok(status)) if status.components.iter().any(|its| its.run.is_some()) => {
                    report.resume(&status)
                }
                (report, _) => report,
            };
        }
        Ok(supervision)
    }

    /// Looks after everything until supervision has ended.
    fn watch(mut self) -> Ended {
        // The start of many, or a storm, leaves much behind that nobody will need soon.
        let (mut told, mut settled) = (0, after(SETTLING));
        loop {
            select! {
                recv(self.events) -> event => match event {
                    Ok(event) => {
                        self.take_note(&event);
                        told += 1;
                        if told == STORM {
                            settled = after(SETTLING);
                        }
                    }
                    Err(_) => break,
                },
                recv(settled) -> _ => {
                    os::give_memory_back();
                    (told, settled) = (0, never());
                }
                recv(self.signals.receiver()) -> signal => match signal {
                    Ok(signal) => self.obey(signal),
                    Err(_) => self.signals.forget(),
                },
                recv(self.statistics) -> _ => self.tell_statistics(),
            }
        }
        let outcome = self.supervisor.wait();
        if let Err(error) = &outcome {
            error!("supervision broke off by a fault of its own, and every component was killed: {error}");
        }
        self.server.finish(FAREWELL);
        self.journal.finish(FAREWELL);
        let exit = exit(&outcome, self.stopping);
        info!("ended with exit code {}", exit.code());
        let names = |outcome: &Outcome| {
            outcome.unsuccessful.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let unsuccessful = outcome.as_ref().map_or_else(|_| String::new(), names);
        match outcome.ok().and_then(|outcome| outcome.given_up) {
            Some(id) => {
                Err(Failure::new(exit, format!("stopped because {id}, which is essential, was given up")))
            }
            None if !unsuccessful.is_empty() => {
                let message =
                    format!("nothing will run again, and these have not done their work: {unsuccessful}");
                Err(Failure::new(exit, message))
            }
            None => Ok(exit),
        }
    }

    fn take_note(&mut self, event: &Event) {
        self.narrator.tell(event);
        let Some(report) = self.report.take() else { return };
        self.report = match event.kind {
            EventKind::Lost { .. } => self.handle.status().ok().and_then(|status| report.resume(&status)),
            _ => report.observe(event),
        };
    }

    fn obey(&mut self, signal: Signal) {
        debug!("received {signal}");
        match signal {
            Signal::Stop(name) => self.stop(name),
            Signal::HangUp if self.signals.on_terminal() => self.stop("SIGHUP"),
            Signal::HangUp => warn!("SIGHUP: not supported yet: apply"),
            Signal::Reopen => self.reopen(),
        }
    }

    /// In order at first, at once when asked again.
    fn stop(&mut self, signal: &str) {
        self.stopping = match self.stopping {
            Stopping::No => Stopping::InOrder,
            Stopping::InOrder | Stopping::AtOnce => Stopping::AtOnce,
        };
        let request = Request::Shutdown { immediately: self.stopping == Stopping::AtOnce };
        if let Err(error) = self.handle.submit(request, signal, drop) {
            // It has ended meanwhile.
            debug!("{error}");
        }
    }

    /// After somebody has moved the log away, or removed the socket.
    fn reopen(&mut self) {
        if let Err(error) = self.home.log.reopen() {
            error!("cannot open the log again, and go on with the old file: {error}");
        }
        if let Err(error) = self.handle.reopen_logs() {
            debug!("{error}");
        }
        if self.home.temp.has(SOCKET) {
            return;
        }
        match serve(&self.handle, &self.home, &self.registry, &self.journal) {
            Ok(server) => self.server = server,
            Err(error) => error!("cannot make the control socket again: {error}"),
        }
    }

    fn tell_statistics(&mut self) {
        if let Ok(status) = self.handle.status() {
            status.components.iter().for_each(narrate::tell_statistics);
        }
        self.await_statistics();
    }

    fn await_statistics(&mut self) {
        self.statistics = self.statistics_interval.map_or_else(never, after);
    }
}

/// Makes us the parent of what components leave behind. What is returned tells of each child that ends.
fn reap_orphans() -> std::io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGCHLD, writer)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(reader)
}

/// Keeps the journal in the `temp` folder.
fn keep_journal(events: Receiver<Event>, home: &Home, registry: &Path) -> std::io::Result<Journal> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let header = Header { version, registry: Some(registry.display().to_string()) };
    Journal::start(home.temp.folder().try_clone_to_owned()?, events, &header)
}

/// Serves control at the socket in the `temp` folder. We hold the lock, so that nobody listens on one that is there.
fn serve(handle: &Handle, home: &Home, registry: &Path, journal: &Journal) -> std::io::Result<Server> {
    let trouble = journal.trouble();
    Server::builder(handle.clone())
        .condition(move || trouble.now())
        .journal_began(journal.began())
        .registry(registry)
        .supervisor_version(env!("CARGO_PKG_VERSION"))
        .replace_socket(true)
        .bind_in(home.temp.folder().try_clone_to_owned()?, SOCKET)
}

/// `outcome` is an error where supervision broke off.
fn exit<E>(outcome: &Result<Outcome, E>, stopping: Stopping) -> Exit {
    let Ok(outcome) = outcome else { return Exit::Failed };
    let unkillable = |(_, achieved): &(_, Achieved)| matches!(achieved, Achieved::Unkillable(_));
    if stopping == Stopping::AtOnce || outcome.components.iter().any(unkillable) {
        Exit::Forced
    } else if outcome.given_up.is_some() || !outcome.unsuccessful.is_empty() {
        Exit::GivenUp
    } else {
        Exit::Done
    }
}

fn cannot(what: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("cannot {what}: {why}"))
}

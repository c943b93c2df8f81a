//! `run`: the components, supervised in the foreground (or, hidden, in the background for `start`).
//!
//! - `handover`, `successor`: how another program goes on for this one, and whether it can
//! - `home`: the folders, locks and files that make this the one supervisor of its place
//! - `signals`: what the operating system is used to say
//! - `narrate`: events as lines of the log
//! - `report`: how the start goes, for `start`
//!
//! The main thread waits in one place, in [`Supervision::watch`]; supervision itself goes on in the library's thread
//! whatever happens here.

mod handover;
mod home;
mod narrate;
mod notify_folder;
pub(crate) mod report;
mod signals;
mod successor;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
use signal_hook::consts::SIGCHLD;
use supervisor::registry::Registry;
use supervisor::{Achieved, Event, EventKind, Handle, Outcome, Request, Supervisor};
use supervisor_control::journal::{Header, Journal};
use supervisor_control::wire::UpgradeDocument;
use supervisor_control::{HttpProber, Server};
use tracing::{debug, error, info, warn};

use self::handover::{Estate, Handed, Note};
use self::home::Home;
use self::narrate::Narrator;
use self::report::Report;
use self::signals::{Signal, Signals};
use self::successor::{Examiner, Fingerprint, Successor};
use crate::arguments::{Cgroups, OnCrash, Output, Place, Run};
use crate::commands::logs::Echo;
use crate::exit::{Ended, Exit, Failure};
use crate::temp_folder::SOCKET;
use crate::{os, own_log};

/// How long the last answers may take to be sent, once supervision has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long the answers that are under way may take before an upgrade; whoever has none by then asks the next supervisor.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the components' last lines may take to be passed on to standard output.
const LAST_OUTPUT: Duration = Duration::from_secs(5);

/// So many events are many.
const STORM: u32 = 100;

/// How long after starting, a storm or a status what that has left behind is given back.
const SETTLING: Duration = Duration::from_millis(500);

/// Supervises the components of the registry until somebody ends it.
pub(crate) fn run(place: &Place, asked: &Run) -> Ended {
    os::share_one_heap();
    // They are taken by the one thread that listens for them: none gets lost between two programs.
    os::defer_signals();
    let Some(handed) = Handed::receive()? else { return begin(place, asked, None)?.watch() };
    handed.take_name();
    let begun = catch_unwind(AssertUnwindSafe(|| begin(place, asked, Some(&handed))));
    match begun.unwrap_or_else(|_| Err(Failure::failed("it broke off by a fault of its own"))) {
        Ok(supervision) => {
            drop(handed);
            supervision.watch()
        }
        Err(failure) => Err(handed.go_back(failure)),
    }
}

/// Begins to supervise, where another program has left off if one has.
fn begin(place: &Place, asked: &Run, handed: Option<&Handed>) -> Result<Supervision, Failure> {
    // What we happen to have inherited is not for the components.
    close_fds::set_fds_cloexec(3, &[]);
    if asked.background {
        // Fails only for the leader of a session, who has left already.
        let _left = rustix::process::setsid();
    }
    let (executable, path) = match handed {
        Some(Handed { note, .. }) => (note.executable.clone(), note.path.clone()),
        None => {
            let path =
                std::env::current_exe().map_err(|error| cannot("learn which program this is", &error))?;
            (Some(path.clone()), path)
        }
    };
    let registry = place.load_for(asked.file.as_deref(), executable.clone())?;
    let files = Fingerprint::of_registry(&registry);
    let locks =
        handed.map(Handed::locks).transpose().map_err(|error| cannot("take over the locks", &error))?;
    let is_heard = handed.is_some_and(|handed| !handed.kept.is_empty());
    let home = Home::open(&place.temp_of(&registry), &registry, asked.background, (locks, is_heard))?;
    let signals = Signals::listen().map_err(|error| cannot("listen for signals", &error))?;
    let (found, successors) = bounded(1);
    let (temp, is_busy) = (home.temp.path().to_owned(), AtomicBool::new(false));
    let examiner = Arc::new(Examiner { path, executable, temp, files, found, is_busy });
    Supervision::begin(registry, home, signals, asked, (examiner, successors, handed))
}

/// Everything that the main thread looks after.
struct Supervision {
    supervisor: Supervisor,
    handle: Handle,
    events: Receiver<Event>,
    signals: Signals,
    home: Home,
    registry: PathBuf,
    examiner: Arc<Examiner>,
    successors: Receiver<Successor>,
    /// The last one.
    upgrade: Option<UpgradeDocument>,
    /// None where it could not be made again.
    server: Option<Server>,
    /// Somebody has asked for a status.
    status_asked: (Sender<()>, Receiver<()>),
    /// The soft limit of descriptors that components have, where ours is another.
    descriptor_limit: Option<u64>,
    journal: Journal,
    narrator: Narrator,
    report: Option<Report>,
    echo: Option<Echo>,
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
    fn begin(
        registry: Registry,
        home: Home,
        signals: Signals,
        asked: &Run,
        (examiner, successors, handed): (Arc<Examiner>, Receiver<Successor>, Option<&Handed>),
    ) -> Result<Self, Failure> {
        let upgrade = handed.map(|handed| handed.note.upgrade.clone());
        tell_of_beginning(&registry.path, upgrade.as_ref());
        let sigchld = reap_orphans().map_err(|error| cannot("become the parent of orphans", &error))?;
        let wanted = registry.components.iter().filter(|spec| asked.background && spec.autostart);
        let wanted: Vec<_> = wanted.map(|spec| spec.id.clone()).collect();
        // Before anything is written.
        let echo = pass_on_output(asked.output, &registry);
        let mut builder = Supervisor::builder()
            .components(registry.components)
            .on_give_up(registry.config.on_give_up)
            .end_when_done(asked.exit_when_done)
            .on_crash(match asked.on_crash {
                OnCrash::Adopt => supervisor::OnCrash::Adopt,
                OnCrash::Stop => supervisor::OnCrash::Stop,
            })
            .prober(Arc::new(HttpProber::new()))
            .state_dir(home.temp.path())
            .cgroups(asked.cgroups == Cgroups::Auto)
            .reap_orphans(sigchld.into());
        if let Some(budget) = registry.config.restart_budget {
            builder = builder.restart_budget(budget);
        }
        if let Some(handed) = handed {
            builder = builder.kept_open(handed.kept.clone());
        }
        if let Some(folder) = &home.notify {
            builder = builder.notify_dir(folder.path());
        }
        // What was raised already was so by the program before.
        let soft = handed.and_then(|handed| handed.note.descriptor_limit).or_else(os::raise_descriptor_limit);
        if let Some(soft) = soft {
            builder = builder.descriptor_limit(soft);
        }
        let (events, to_journal) = (builder.subscribe(), builder.subscribe());
        let supervisor = builder.start().map_err(|error| cannot("start supervision", &error))?;
        match supervisor.control_groups() {
            Ok(folder) => info!("components run in control groups in {}", folder.display()),
            Err(why) => info!("components run in no control groups of their own: {why}"),
        }
        let handle = supervisor.handle();
        let status_asked = bounded(1);
        let surroundings = keep_journal(to_journal, &home, &registry.path, upgrade.clone())
            .map_err(|error| cannot("keep a journal", &error))
            .and_then(|journal| {
                let served = Served {
                    registry: &registry.path,
                    journal: &journal,
                    status_asked: &status_asked.0,
                    examiner: &examiner,
                    upgrade: upgrade.as_ref(),
                };
                let listener = handed.map(Handed::listener).transpose();
                let server = listener.and_then(|listener| {
                    serve(&handle, &home, &served, listener.flatten().map(UnixListener::from))
                });
                let socket = home.temp.path().join(SOCKET);
                let cannot = |error| cannot(&format!("make the control socket {}", socket.display()), &error);
                Ok((journal, server.map_err(cannot)?))
            });
        let (journal, server) = surroundings.inspect_err(|_| {
            if handed.is_some() {
                // The program before goes on with what runs. Should this be refused, all is stopped.
                let _ = handle.leave("an upgrade that failed");
            }
        })?;
        let mut supervision = Self {
            supervisor,
            handle,
            events,
            signals,
            home,
            registry: registry.path,
            examiner,
            successors,
            upgrade,
            server: Some(server),
            status_asked,
            descriptor_limit: soft,
            journal,
            narrator: Narrator::default(),
            report: None,
            echo,
            statistics_interval: registry.config.trace_stats_interval,
            statistics: never(),
            stopping: Stopping::No,
        };
        supervision.await_statistics();
        if let Some(Handed { note, .. }) = handed {
            if asked.background && note.reporting {
                let status = supervision.handle.status().ok();
                supervision.report = status.and_then(|status| Report::resumed(wanted, &status));
            }
            note.signals.iter().for_each(|signal| supervision.obey(*signal));
        } else if asked.background {
            let report = Report::ready(wanted);
            // What goes on from an earlier supervisor may be up already, or tripped, or stopped by somebody.
            supervision.report = match (report, supervision.handle.status()) {
                (Some(report), Ok(status)) => report.resume(&status),
                (report, _) => report,
            };
        }
        Ok(supervision)
    }

    /// Looks after everything until supervision has ended.
    fn watch(mut self) -> Ended {
        // The start of many, a storm, or the answer to who asks for all leaves much behind that nobody will need soon.
        let (mut told, mut is_settling, mut settled) = (0, true, after(SETTLING));
        loop {
            select! {
                recv(self.events) -> event => match event {
                    Ok(event) => {
                        self.take_note(&event);
                        told += 1;
                        if told >= STORM && !is_settling {
                            (is_settling, settled) = (true, after(SETTLING));
                        }
                    }
                    Err(_) => break,
                },
                recv(settled) -> _ => {
                    os::give_memory_back();
                    (told, is_settling, settled) = (0, false, never());
                }
                recv(self.status_asked.1) -> _ => if !is_settling {
                    (is_settling, settled) = (true, after(SETTLING));
                },
                recv(self.signals.receiver()) -> signal => match signal {
                    Ok(signal) => self.obey(signal),
                    Err(_) => self.signals.forget(),
                },
                recv(self.statistics) -> _ => self.tell_statistics(),
                recv(self.successors) -> successor => if let Ok(successor) = successor {
                    self = self.give_way(successor)?;
                }
            }
        }
        let outcome = self.supervisor.wait();
        if let Err(error) = &outcome {
            error!("supervision broke off by a fault of its own, and every component was killed: {error}");
        }
        if let Some(server) = self.server {
            server.finish(FAREWELL);
        }
        self.journal.finish(FAREWELL);
        let exit = exit(&outcome, self.stopping);
        info!("ended with exit code {}", exit.code());
        if let Some(echo) = self.echo {
            echo.finish(LAST_OUTPUT, false);
        }
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

    /// Lets another program go on. Returns only where that is not to be: with what goes on as before, or with the end.
    fn give_way(mut self, successor: Successor) -> Result<Self, Failure> {
        let Successor { request, program, path, version } = successor;
        let own = match File::open("/proc/self/exe") {
            Ok(own) if self.stopping == Stopping::No => own,
            Ok(_) => {
                request.answer(Err("the supervisor is shutting down".to_owned()));
                return Ok(self);
            }
            Err(error) => {
                request
                    .answer(Err(format!("there would be no way back: cannot open /proc/self/exe: {error}")));
                return Ok(self);
            }
        };
        let mut upgrade = UpgradeDocument {
            number: self.upgrade.as_ref().map_or(0, |upgrade| upgrade.number) + 1,
            from: env!("CARGO_PKG_VERSION").to_owned(),
            to: version,
            by: request.by.to_string(),
            failure: None,
        };
        info!("upgrading to version {} ({}), asked for by {}", upgrade.to, path.display(), upgrade.by);
        request.answer(Ok(upgrade.clone()));
        let listener = self.server.take().and_then(|server| server.hand_over(DRAIN, &upgrade.to));
        if let Err(error) = self.handle.leave(format!("{}, to upgrade to version {}", upgrade.by, upgrade.to))
        {
            warn!("the upgrade was not begun: {error}");
            upgrade.failure = Some(error.to_string());
            self.upgrade = Some(upgrade);
            self.serve(listener);
            return Ok(self);
        }
        while let Ok(event) = self.events.recv() {
            self.take_note(&event);
        }
        let ended = self.supervisor.wait_and_keep();
        self.journal.finish(FAREWELL);
        if let Some(echo) = self.echo {
            echo.finish(LAST_OUTPUT, true);
        }
        let Some((_, kept)) = ended.ok().filter(|(outcome, _)| outcome.left) else {
            let fault = "supervision broke off by a fault of its own, and every component was killed";
            return Err(Failure::failed(fault));
        };
        os::defer_signals();
        let mut note = Note::new(upgrade, &path, self.examiner.executable.as_deref());
        note.signals = self.signals.end();
        note.reporting = self.report.is_some();
        note.descriptor_limit = self.descriptor_limit;
        let mut estate = Estate {
            locks: self.home.locks(),
            listener: listener.as_ref().map(AsFd::as_fd),
            kept: &kept,
            way_back: Some((own.as_fd(), &self.examiner.path)),
        };
        let error = note.clone().pass_on(program.as_fd(), &estate);
        note.upgrade.failure = Some(format!("cannot execute {}: {error}", path.display()));
        note.path.clone_from(&self.examiner.path);
        estate.way_back = None;
        let error = note.pass_on(own.as_fd(), &estate);
        Err(cannot("go on, neither as another program nor as this one", &error))
    }

    /// Makes the control socket again, or goes on with this one.
    fn serve(&mut self, listener: Option<UnixListener>) {
        let served = Served {
            registry: &self.registry,
            journal: &self.journal,
            status_asked: &self.status_asked.0,
            examiner: &self.examiner,
            upgrade: self.upgrade.as_ref(),
        };
        match serve(&self.handle, &self.home, &served, listener) {
            Ok(server) => self.server = Some(server),
            Err(error) => error!("cannot make the control socket again: {error}"),
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
            Signal::Terminate => self.stop("SIGTERM"),
            Signal::Interrupt => self.stop("SIGINT"),
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
        self.serve(None);
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

/// Passes what the components write on to standard output, if somebody wants that. Without, all goes on.
fn pass_on_output(output: Output, registry: &Registry) -> Option<Echo> {
    let own = own_log::settings(&registry.config.log, None);
    let echo = match output {
        Output::Quiet => return None,
        Output::Prefixed | Output::Json => Echo::begin(&registry.components, own, output == Output::Json),
    };
    echo.inspect_err(|error| warn!("cannot pass output on: {error}")).ok()
}

/// Keeps the journal in the `temp` folder.
fn keep_journal(
    events: Receiver<Event>,
    home: &Home,
    registry: &Path,
    upgrade: Option<UpgradeDocument>,
) -> std::io::Result<Journal> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let header = Header { version, registry: Some(registry.display().to_string()), upgrade };
    Journal::start(home.temp.folder().try_clone_to_owned()?, events, &header)
}

/// What control is about, beside supervision.
struct Served<'a> {
    registry: &'a Path,
    journal: &'a Journal,
    /// Is told of each status.
    status_asked: &'a Sender<()>,
    examiner: &'a Arc<Examiner>,
    upgrade: Option<&'a UpgradeDocument>,
}

/// Serves control at the socket in the `temp` folder. We hold the lock, so that nobody listens on one that is there.
///
/// `listener`: that socket, where it is there already.
fn serve(
    handle: &Handle,
    home: &Home,
    served: &Served<'_>,
    listener: Option<UnixListener>,
) -> std::io::Result<Server> {
    let Served { registry, journal, upgrade, .. } = *served;
    let (trouble, asked) = (journal.trouble(), served.status_asked.clone());
    let (examiner, level) = (Arc::clone(served.examiner), home.log.level.clone());
    let folder = home.temp.folder().try_clone_to_owned()?;
    let builder = Server::builder(handle.clone())
        .condition(move || {
            // Full: that somebody has asked is known already.
            let _ = asked.try_send(());
            trouble.now()
        })
        .journal_began(journal.began())
        .registry(registry)
        .supervisor_version(env!("CARGO_PKG_VERSION"))
        .upgrader(move |request| examiner.examine(request))
        .upgrade(upgrade.cloned())
        .trace_level(move |asked, by| {
            if let Some(asked) = asked {
                level.set(asked);
                info!("trace level {asked}, asked for by {by}");
            }
            level.now()
        })
        .replace_socket(true);
    match listener {
        Some(listener) => builder.resume_in(folder, SOCKET, listener),
        None => builder.bind_in(folder, SOCKET),
    }
}

fn tell_of_beginning(registry: &Path, upgrade: Option<&UpgradeDocument>) {
    let (version, pid, registry) = (env!("CARGO_PKG_VERSION"), std::process::id(), registry.display());
    match upgrade {
        None => info!("s7supervisor {version} started, pid {pid}, registry {registry}"),
        Some(UpgradeDocument { from, by, failure: None, .. }) => {
            info!("s7supervisor upgraded from {from} to {version} by {by}, pid {pid}, registry {registry}");
        }
        Some(UpgradeDocument { to, failure: Some(why), .. }) => {
            error!("s7supervisor stays {version}, pid {pid}: the upgrade to {to} failed: {why}");
        }
    }
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

//! `run`: the components, supervised in the foreground (or, hidden, in the background for `start`).
//!
//! - `applying`: a changed registry
//! - `beginning`: from a registry to a supervisor that is told of, answers and keeps a journal
//! - `unix`, `windows`: what only one of them knows: signals, or the service control manager; what is told to the service
//!   manager; how another program goes on for this one, and whether it can
//! - `home`: the folders, locks and files that make this the one supervisor of its place
//! - `fingerprint`: whether the registry has changed
//! - `serving`: the control socket and the journal
//! - `narrate`: events as lines of the log
//! - `manager`: what the service manager is told
//! - `reach`: whom it answers beside its own user
//! - `report`: how the start goes, for `start`
//!
//! The main thread waits in one place, in [`Supervision::watch`]; supervision itself goes on in the library's thread
//! whatever happens here.

mod applying;
mod beginning;
mod fingerprint;
mod home;
mod manager;
mod narrate;
mod reach;
pub(crate) mod report;
mod serving;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, never, select};
use supervisor::{Achieved, Event, EventKind, Handle, Outcome, Request, Supervisor};
use supervisor_control::Server;
use supervisor_control::journal::Journal;
use supervisor_control::wire::UpgradeDocument;
use tracing::{debug, error, info};

use self::applying::{Applier, News};
use self::beginning::begin;
use self::home::Home;
use self::manager::ServiceManager;
use self::narrate::Narrator;
use self::report::Report;
use self::system::{Examiner, Handed, Signals, Successor};
#[cfg(unix)]
use self::unix as system;
#[cfg(windows)]
use self::windows as system;
use crate::arguments::{Place, Run};
use crate::commands::logs::Echo;
use crate::exit::{Ended, Exit, Failure};
use crate::os;

/// How long the last answers may take to be sent, once supervision has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long the components' last lines may take to be passed on to standard output.
const LAST_OUTPUT: Duration = Duration::from_secs(5);

/// So many events are many.
const STORM: u32 = 100;

/// How long after starting, a storm or a status what that has left behind is given back.
const SETTLING: Duration = Duration::from_millis(500);

/// Supervises the components of the registry until somebody ends it.
pub(crate) fn run(place: &Place, asked: &Run) -> Ended {
    let (place, as_asked) = (place.clone(), asked.clone());
    system::run_as_asked(asked, move || supervise(&place, &as_asked))
}

fn supervise(place: &Place, asked: &Run) -> Ended {
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

/// Everything that the main thread looks after.
#[cfg_attr(
    any(not(target_os = "linux"), s7_posix),
    expect(dead_code, reason = "some of it is only for signals and upgrades")
)]
struct Supervision {
    supervisor: Supervisor,
    handle: Handle,
    events: Receiver<Event>,
    signals: Signals,
    home: Home,
    registry: PathBuf,
    /// What is declared beside the components.
    about: serde_json::Value,
    examiner: Arc<Examiner>,
    successors: Receiver<Successor>,
    applier: Arc<Applier>,
    changes: Receiver<News>,
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
    manager: ServiceManager,
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
                recv(self.changes) -> news => if let Ok(news) = news {
                    self.note_change(news);
                },
                recv(self.manager.status_due) -> _ => self.manager.tell_status(),
                recv(self.manager.sign_due) -> _ => self.manager.give_sign(&self.handle),
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

    fn take_note(&mut self, event: &Event) {
        self.narrator.tell(event);
        self.manager.heed(event, &self.handle);
        let Some(report) = self.report.take() else { return };
        self.report = match event.kind {
            EventKind::Lost { .. } => self.handle.status().ok().and_then(|status| report.resume(&status)),
            _ => report.observe(event),
        };
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

//! From a registry to a supervisor that is told of, answers, and keeps a journal.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, bounded, never, unbounded};
use supervisor::registry::{Config, Registry};
use supervisor::{Builder, ComponentId, Handle, ProcessSpec, Supervisor};
use supervisor_control::wire::UpgradeDocument;
use supervisor_control::{HttpProber, Server};
use tracing::{error, info, warn};

use super::applying::{Applier, Source};
use super::fingerprint::Fingerprint;
use super::home::Home;
use super::manager::ServiceManager;
use super::narrate::Narrator;
use super::report::Report;
use super::serving::{Served, keep_journal, serve};
use super::system::{Examiner, Handed, Signals, Successor, equip};
use super::{Stopping, Supervision, cannot};
use crate::arguments::{OnCrash, Output, Place, Run};
use crate::commands::logs::Echo;
use crate::commands::show;
use crate::exit::Failure;
use crate::os::{background, door};
use crate::{os, own_log};

/// Begins to supervise, where another program has left off if one has.
pub(super) fn begin(place: &Place, asked: &Run, handed: Option<&Handed>) -> Result<Supervision, Failure> {
    // What we happen to have inherited is not for the components.
    background::keep_inheritance_private();
    if asked.background {
        background::leave_terminal();
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
    let source: Source = Arc::new(Mutex::new(Some(Fingerprint::of_registry(&registry))));
    let locks =
        handed.map(Handed::locks).transpose().map_err(|error| cannot("take over the locks", &error))?;
    let is_heard = handed.is_some_and(|handed| !handed.kept.is_empty());
    let temp = place.temp_of(&registry);
    let home = Home::open(&temp, &registry, (asked.background, &asked.serving), (locks, is_heard))?;
    let signals = Signals::listen().map_err(|error| cannot("listen for signals", &error))?;
    let (found, successors) = bounded(1);
    let (temp, is_busy) = (home.temp.path().to_owned(), AtomicBool::new(false));
    let examiner = Arc::new(Examiner { path, executable, temp, source: Arc::clone(&source), found, is_busy });
    let place = Place { temp: place.temp.clone(), ..place.absolute(&registry) };
    Supervision::begin(registry, home, signals, asked, (examiner, successors, handed), (place, source))
}

impl Supervision {
    fn begin(
        registry: Registry,
        home: Home,
        signals: Signals,
        asked: &Run,
        (examiner, successors, handed): (Arc<Examiner>, Receiver<Successor>, Option<&Handed>),
        (place, source): (Place, Source),
    ) -> Result<Self, Failure> {
        let upgrade = handed.map(|handed| handed.note.upgrade.clone());
        let about = show::about(&registry, home.temp.path());
        tell_of_beginning(&registry.path, upgrade.as_ref());
        let wanted = registry.components.iter().filter(|spec| spec.autostart);
        let wanted: Vec<_> = wanted.map(|spec| spec.id.clone()).collect();
        // Before anything is written.
        let echo = pass_on_output(asked.output, &registry);
        // What was raised already was so by the program before.
        let soft = handed.and_then(|handed| handed.note.descriptor_limit).or_else(os::raise_descriptor_limit);
        let builder = builder(registry.components, &registry.config, &home, asked);
        let mut builder = equip(builder, &home, asked, soft, handed)
            .map_err(|error| cannot("become the parent of orphans", &error))?;
        let (events, to_journal) = (builder.subscribe(), builder.subscribe());
        let supervisor = builder.start().map_err(|error| cannot("start supervision", &error))?;
        match supervisor.control_groups() {
            Ok(folder) => info!("components run in control groups in {}", folder.display()),
            Err(why) => info!("components run in no control groups of their own: {why}"),
        }
        let handle = supervisor.handle();
        let (news, changes) = unbounded();
        let applier = Arc::new(Applier {
            handle: handle.clone(),
            place,
            executable: examiner.executable.clone(),
            registry: registry.path.clone(),
            source,
            config: Mutex::new(registry.config.clone()),
            level: home.log.level.clone(),
            echo: echo.as_ref().map(Echo::also),
            news,
            is_busy: AtomicBool::new(false),
        });
        let status_asked = bounded(1);
        let journal = keep_journal(to_journal, &home, &registry.path, upgrade.clone())
            .map_err(|error| cannot("keep a journal", &error));
        let surroundings = journal.and_then(|journal| {
            let served = Served {
                registry: &registry.path,
                about: &about,
                journal: &journal,
                status_asked: &status_asked.0,
                examiner: &examiner,
                applier: &applier,
                upgrade: upgrade.as_ref(),
            };
            let server = serve_first(&handle, &home, &served, handed)?;
            Ok((journal, server))
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
            about,
            examiner,
            successors,
            applier,
            changes,
            upgrade,
            server: Some(server),
            status_asked,
            descriptor_limit: soft,
            journal,
            narrator: Narrator::default(),
            report: None,
            manager: ServiceManager::none(),
            echo,
            statistics_interval: registry.config.trace_stats_interval,
            statistics: never(),
            stopping: Stopping::No,
        };
        supervision.await_statistics();
        if !asked.background {
            supervision.manager = ServiceManager::find(wanted.clone(), &supervision.handle);
        }
        supervision.go_on_from(handed, asked.background.then_some(wanted));
        Ok(supervision)
    }

    /// Goes on with what another program had heard and has not done. `wanted`: whose start is reported, if somebody waits for it.
    fn go_on_from(&mut self, handed: Option<&Handed>, wanted: Option<Vec<ComponentId>>) {
        let status = || self.handle.status().ok();
        self.report = match (wanted, handed) {
            (Some(wanted), Some(Handed { note, .. })) if note.reporting => {
                status().and_then(|status| Report::resumed(wanted, &status))
            }
            // What goes on from an earlier supervisor may be up already, or tripped, or stopped by somebody.
            (Some(wanted), None) => match (Report::ready(wanted), status()) {
                (Some(report), Some(status)) => report.resume(&status),
                (report, _) => report,
            },
            _ => None,
        };
        if let Some(Handed { note, .. }) = handed {
            note.signals.iter().for_each(|signal| self.obey(*signal));
        }
    }
}

/// Serves control at a new socket, or at that of the program before.
fn serve_first(
    handle: &Handle,
    home: &Home,
    served: &Served<'_>,
    handed: Option<&Handed>,
) -> Result<Server, Failure> {
    let listeners = handed.map(Handed::listeners).transpose();
    let server = listeners.and_then(|listeners| serve(handle, home, served, listeners.unwrap_or_default()));
    let door = home.temp.path().join(door::NAME);
    server.map_err(|error| cannot(&format!("let anybody in at {}", door.display()), &error))
}

/// The supervisor of these components, as the registry and the command line want it.
fn builder(components: Vec<ProcessSpec>, config: &Config, home: &Home, asked: &Run) -> Builder {
    let mut builder = Supervisor::builder()
        .components(components)
        .on_give_up(config.on_give_up)
        .end_when_done(asked.exit_when_done)
        .on_crash(match asked.on_crash {
            OnCrash::Adopt => supervisor::OnCrash::Adopt,
            OnCrash::Stop => supervisor::OnCrash::Stop,
        })
        .prober(Arc::new(HttpProber::new()))
        .state_dir(home.temp.path());
    if let Some(budget) = config.restart_budget {
        builder = builder.restart_budget(budget);
    }
    builder
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

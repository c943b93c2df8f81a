//! The control socket and the journal of a supervisor that runs.

use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use serde_json::Value;
use supervisor::{Event, Handle};
use supervisor_control::journal::{Header, Journal};
use supervisor_control::wire::UpgradeDocument;
use supervisor_control::{HandedOver, Server};
use tracing::info;

use super::applying::Applier;
use super::home::Home;
use super::system::Examiner;
use crate::os::door;

/// What control is about, beside supervision.
pub(super) struct Served<'a> {
    pub(super) registry: &'a Path,
    /// What is declared beside the components.
    pub(super) about: &'a Value,
    pub(super) journal: &'a Journal,
    /// Is told of each status.
    pub(super) status_asked: &'a Sender<()>,
    pub(super) examiner: &'a Arc<Examiner>,
    pub(super) applier: &'a Arc<Applier>,
    pub(super) upgrade: Option<&'a UpgradeDocument>,
}

/// Serves control at the socket in the `temp` folder. We hold the lock, so that nobody listens on one that is there.
///
/// `listeners`: that socket, and ports, where they are there already.
pub(super) fn serve(
    handle: &Handle,
    home: &Home,
    served: &Served<'_>,
    listeners: HandedOver,
) -> std::io::Result<Server> {
    let Served { registry, journal, upgrade, .. } = *served;
    let (trouble, asked) = (journal.trouble(), served.status_asked.clone());
    let (examiner, level, log) = (Arc::clone(served.examiner), home.log.level.clone(), home.log.clone());
    let (about, applier) = (served.about.clone(), Arc::clone(served.applier));
    let builder = Server::builder(handle.clone())
        .condition(move || {
            // Full: that somebody has asked is known already.
            let _ = asked.try_send(());
            trouble.now()
        })
        .journal(journal.reader())
        .about(move || about.clone())
        .registry(registry)
        .supervisor_version(env!("CARGO_PKG_VERSION"))
        .changer(move |request| applier.change(request))
        .upgrader(move |request| examiner.examine(request))
        .upgrade(upgrade.cloned())
        .trace_level(move |asked, by| {
            if let Some(asked) = asked {
                level.set(asked);
                info!("trace level {asked}, asked for by {by}");
            }
            level.now()
        })
        .own_log(move || log.rotate());
    let builder = home.reach.extend(builder, listeners.tcp);
    door::open(builder, &home.temp, listeners.socket, home.reach.address())
}

/// Keeps the journal in the `temp` folder.
pub(super) fn keep_journal(
    events: Receiver<Event>,
    home: &Home,
    registry: &Path,
    upgrade: Option<UpgradeDocument>,
) -> std::io::Result<Journal> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let header = Header { version, registry: Some(registry.display().to_string()), upgrade };
    Journal::start(home.temp.for_journal()?, events, &header)
}

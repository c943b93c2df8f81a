//! Events as lines of the log.

use std::collections::HashMap;

use bytesize::ByteSize;
use supervisor::{ComponentId, ComponentStatus, Event, EventKind, KillReason, Short};
use tracing::{debug, error, info, trace, warn};

/// Tells events to the log, and remembers what a later line needs.
#[derive(Default)]
pub(super) struct Narrator {
    /// The pid of each component's current run.
    pids: HashMap<ComponentId, u32>,
}

impl Narrator {
    /// Tells one event.
    pub(super) fn tell(&mut self, event: &Event) {
        trace!("{event:?}");
        match &event.component {
            Some(id) => self.tell_of(id, &event.kind),
            None => tell_of_all(&event.kind),
        }
    }

    fn tell_of(&mut self, id: &ComponentId, kind: &EventKind) {
        let subject = id.as_str();
        match kind {
            EventKind::Requested { verb, by } => debug!(subject, "{verb}, asked for by {by}"),
            EventKind::Spawned { run, pid } => {
                self.pids.insert(id.clone(), *pid);
                debug!(subject, "starting, pid {pid} ({run})");
            }
            EventKind::Started { run } => {
                let pid = self.pids.get(id).copied().unwrap_or_default();
                info!(subject, "up, pid {pid} ({run})");
            }
            EventKind::NotSpawned { run, error } => error!(subject, "{error} ({run})"),
            EventKind::Stopping { run, timeout } => {
                debug!(subject, "stopping, has {} ({run})", Short(*timeout));
            }
            EventKind::Exited { run, exit, uptime, asked, .. } => {
                let (uptime, pid) = (Short(*uptime), self.pids.remove(id).unwrap_or_default());
                match (asked, exit.is_success()) {
                    (true, _) => info!(subject, "ended as told: {exit} after {uptime}, pid {pid} ({run})"),
                    (false, true) => info!(subject, "ended: {exit} after {uptime}, pid {pid} ({run})"),
                    (false, false) => warn!(subject, "crashed: {exit} after {uptime}, pid {pid} ({run})"),
                }
            }
            EventKind::Killed { run, why } => match why {
                KillReason::Timeout => warn!(subject, "killed: did not stop in time ({run})"),
                KillReason::Leftovers => warn!(subject, "killed what it left behind ({run})"),
                _ => warn!(subject, "killed: somebody did not want to wait ({run})"),
            },
            EventKind::Unkillable { run, pids } => {
                error!(subject, "cannot be killed: processes {pids:?} are still there ({run})");
            }
            EventKind::Backoff { delay, in_a_row } => {
                debug!(subject, "next try in {}, restart {in_a_row} in a row", Short(*delay));
            }
            EventKind::Stopped => info!(subject, "stopped"),
            EventKind::Completed => info!(subject, "completed"),
            EventKind::GivenUp { end } => error!(subject, "given up: {end}"),
            EventKind::OutputStored { problem: Some(problem) } => warn!(subject, "{problem}"),
            EventKind::OutputStored { problem: None } => info!(subject, "its output is stored again"),
            EventKind::PolicyPanicked => error!(subject, "its restart policy panicked; the default decided"),
            other => debug!(subject, "{other:?}"),
        }
    }
}

fn tell_of_all(kind: &EventKind) {
    match kind {
        EventKind::Requested { verb, by } => debug!("{verb}, asked for by {by}"),
        EventKind::ShuttingDown { given_up: None } => info!("stopping all components"),
        EventKind::ShuttingDown { given_up: Some(id) } => {
            error!("stopping all components, because {id}, which is essential, was given up");
        }
        EventKind::Lost { count } => warn!("{count} events were lost: the log was too slow for them"),
        other => debug!("{other:?}"),
    }
}

/// Tells what a component uses, if it runs.
pub(super) fn tell_statistics(component: &ComponentStatus) {
    let (Some(usage), Some(uptime)) = (component.usage, component.uptime) else { return };
    info!(
        subject = component.id.as_str(),
        "memory {}, cpu {}, up {}, restarts {}",
        ByteSize::b(usage.memory),
        Short(usage.cpu),
        Short(uptime),
        component.restarts
    );
}

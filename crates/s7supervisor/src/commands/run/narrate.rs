//! Events as lines of the log.
//!
//! At trace level 1: starts, stops, crashes, trips, and what is wrong; at 2: requests and decisions; at 3: probes, and
//! every event in full.

use std::collections::HashMap;

use bytesize::ByteSize;
use supervisor::{ComponentId, ComponentStatus, Event, EventKind, Short};
use supervisor_control::wire::Sentence;
use tracing::{Level, debug, error, info, trace, warn};

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
        let Some(id) = &event.component else {
            return write(level(&event.kind), None, &Sentence(&event.kind).to_string());
        };
        let mut text = Sentence(&event.kind).to_string();
        if let Some(pid) = self.pid(id, &event.kind) {
            text = format!("{text}, pid {pid}");
        }
        if let Some(run) = event.kind.run() {
            text = format!("{text} ({run})");
        }
        write(level(&event.kind), Some(id), &text);
    }

    /// The pid, where the event tells a part of the run's life but does not name it itself.
    fn pid(&mut self, id: &ComponentId, kind: &EventKind) -> Option<u32> {
        match kind {
            EventKind::Spawned { pid, .. } => {
                self.pids.insert(id.clone(), *pid);
                None
            }
            EventKind::Started { .. } => self.pids.get(id).copied(),
            EventKind::Exited { .. } => self.pids.remove(id),
            _ => None,
        }
    }
}

fn level(kind: &EventKind) -> Level {
    match kind {
        EventKind::NotSpawned { .. }
        | EventKind::GivenUp { .. }
        | EventKind::Unkillable { .. }
        | EventKind::PolicyPanicked
        | EventKind::ShuttingDown { given_up: Some(_) } => Level::ERROR,
        EventKind::Exited { asked: false, exit, .. } if !exit.is_success() => Level::WARN,
        EventKind::Killed { .. }
        | EventKind::Judged { .. }
        | EventKind::Unwell { .. }
        | EventKind::Tripped { .. }
        | EventKind::OutputStored { problem: Some(_) }
        | EventKind::GoneBack { .. }
        | EventKind::Lost { .. } => Level::WARN,
        EventKind::Started { .. }
        | EventKind::Exited { .. }
        | EventKind::Well { .. }
        | EventKind::Confirmed
        | EventKind::Stopped
        | EventKind::Completed
        | EventKind::OutputStored { problem: None }
        | EventKind::ShuttingDown { given_up: None } => Level::INFO,
        EventKind::ProbeFailed { .. } | EventKind::Noted { .. } => Level::TRACE,
        // Requests and decisions, and whatever the library will tell of beyond.
        _ => Level::DEBUG,
    }
}

fn write(level: Level, id: Option<&ComponentId>, text: &str) {
    let subject = id.map(ComponentId::as_str);
    match level {
        Level::ERROR => error!(subject, "{text}"),
        Level::WARN => warn!(subject, "{text}"),
        Level::INFO => info!(subject, "{text}"),
        Level::DEBUG => debug!(subject, "{text}"),
        Level::TRACE => trace!(subject, "{text}"),
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

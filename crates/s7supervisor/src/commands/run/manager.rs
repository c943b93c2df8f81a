//! What the service manager is told, where there is one that listens: systemd, or the service control manager of Windows (`told`).
//!
//! - that we are ready, once every component that starts by itself has started, or has failed at it for the first time: the status says which.
//! - how many are up and which are in trouble: when that changes, but once a second at most.
//! - a sign of life, as often as it is wanted, as long as supervision itself answers.
//! - when somebody wants a registry applied, and when that is over, whatever has come of it.
//! - that everything stops, and all the time that the components may take for that.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, after, never};
use supervisor::{ComponentId, ComponentState, Event, EventKind, Handle, Status};
use tracing::warn;

use super::system::told;

/// The status is told no more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// So much longer than the components may take us to end after them.
const LAST_MOMENTS: Duration = Duration::from_secs(30);

/// Of so many components it is told what their trouble is.
const MOST_NAMED: usize = 8;

/// Who listens for what we are doing, and what that is.
pub(super) struct ServiceManager {
    is_there: bool,
    /// Those that have neither started nor failed at it. None once readiness was told.
    pending: Option<HashSet<ComponentId>>,
    up: HashSet<ComponentId>,
    trouble: BTreeMap<ComponentId, &'static str>,
    /// So many registries are being applied.
    reloads: usize,
    is_stopping: bool,
    /// How long we may give no sign of life.
    watchdog: Option<Duration>,
    /// When the status is to be told.
    pub(super) status_due: Receiver<Instant>,
    /// When a sign of life is due.
    pub(super) sign_due: Receiver<Instant>,
    is_resting: bool,
    told: String,
}

impl ServiceManager {
    /// Whoever listens for the main process of a service, which we are; it waits for these components.
    pub(super) fn find(wanted: Vec<ComponentId>, handle: &Handle) -> Self {
        let mut manager = Self { is_there: told::is_heard(), ..Self::none() };
        if manager.is_there {
            manager.pending = Some(wanted.into_iter().collect());
            manager.watchdog = told::watchdog();
            manager.give_sign(handle);
            manager.look(handle);
        }
        manager
    }

    /// Nobody listens.
    pub(super) fn none() -> Self {
        Self {
            is_there: false,
            pending: None,
            up: HashSet::new(),
            trouble: BTreeMap::new(),
            reloads: 0,
            is_stopping: false,
            watchdog: None,
            status_due: never(),
            sign_due: never(),
            is_resting: false,
            told: String::new(),
        }
    }

    /// Takes note of an event, and tells what follows from it.
    pub(super) fn heed(&mut self, event: &Event, handle: &Handle) {
        if !self.is_there {
            return;
        }
        match (&event.kind, &event.component) {
            (EventKind::ShuttingDown { .. }, _) => self.stop(handle),
            (EventKind::Lost { .. }, _) => self.look(handle),
            (kind, Some(id)) => {
                self.take_note(kind, id);
                self.change();
            }
            _ => {}
        }
    }

    fn take_note(&mut self, kind: &EventKind, id: &ComponentId) {
        match kind {
            EventKind::Started { .. } | EventKind::Adopted { started: true, .. } => {
                self.up.insert(id.clone());
                self.is_well(id);
            }
            EventKind::Well { .. } => self.is_well(id),
            EventKind::Completed | EventKind::Stopped => {
                self.up.remove(id);
                self.is_well(id);
            }
            EventKind::Unwell { .. } => self.is_in_trouble(id, "unhealthy"),
            EventKind::Exited { asked, exit, .. } => {
                self.up.remove(id);
                if !asked && !exit.is_success() {
                    self.is_settled(id);
                }
            }
            EventKind::Judged { .. } => self.is_settled(id),
            EventKind::NotSpawned { .. } => self.is_in_trouble(id, "cannot be started"),
            EventKind::Backoff { .. } => self.is_in_trouble(id, "backoff"),
            EventKind::Blocked { .. } => self.is_in_trouble(id, "waits for another"),
            EventKind::Tripped { .. } => {
                told::trouble(id, "has failed so often that it is not started for a while");
                self.is_in_trouble(id, "tripped");
            }
            EventKind::GivenUp { .. } => {
                told::trouble(id, "has failed and is not started again");
                self.is_in_trouble(id, "failed");
            }
            _ => {}
        }
    }

    fn is_well(&mut self, id: &ComponentId) {
        self.trouble.remove(id);
        self.is_settled(id);
    }

    fn is_in_trouble(&mut self, id: &ComponentId, why: &'static str) {
        if why != "unhealthy" {
            self.up.remove(id);
        }
        self.trouble.insert(id.clone(), why);
        self.is_settled(id);
    }

    /// It has started, or has failed at it: nobody waits for it any more.
    fn is_settled(&mut self, id: &ComponentId) {
        if let Some(pending) = &mut self.pending {
            pending.remove(id);
        }
    }

    /// Finds out how everything is, where no event has told.
    fn look(&mut self, handle: &Handle) {
        let Ok(Status { components, .. }) = handle.status() else { return };
        (self.up, self.trouble) = (HashSet::new(), BTreeMap::new());
        for component in components {
            let id = component.id;
            match component.state {
                ComponentState::Up | ComponentState::Unready => {
                    self.up.insert(id.clone());
                    self.is_well(&id);
                }
                ComponentState::Unhealthy => {
                    self.up.insert(id.clone());
                    self.is_in_trouble(&id, "unhealthy");
                }
                ComponentState::Backoff { .. } => self.is_in_trouble(&id, "backoff"),
                ComponentState::Tripped { .. } => self.is_in_trouble(&id, "tripped"),
                ComponentState::Failed => self.is_in_trouble(&id, "failed"),
                ComponentState::Waiting { which_is: Some(_), .. } => {
                    self.is_in_trouble(&id, "waits for another");
                }
                ComponentState::Completed => self.is_settled(&id),
                // Nobody waits for what somebody has stopped under an earlier supervisor.
                _ if !component.wanted => self.is_settled(&id),
                _ => {}
            }
        }
        self.change();
    }

    /// Something has changed: readiness is told at once, the rest when the pause is over.
    fn change(&mut self) {
        let is_ready = self.pending.as_ref().is_some_and(HashSet::is_empty);
        if is_ready {
            self.pending = None;
            told::ready();
        }
        if is_ready || !self.is_resting {
            self.tell_status();
        }
    }

    /// Tells the status, if it is another than was told last; it is not asked again before a pause is over.
    pub(super) fn tell_status(&mut self) {
        let status = self.status();
        if status == self.told {
            (self.is_resting, self.status_due) = (false, never());
            return;
        }
        told::status(&status);
        self.told = status;
        (self.is_resting, self.status_due) = (true, after(PAUSE));
    }

    fn status(&self) -> String {
        let mut parts = Vec::new();
        if self.is_stopping {
            parts.push("stopping".to_owned());
        }
        parts.push(format!("{} up", self.up.len()));
        if let Some(pending) = self.pending.as_ref().map(HashSet::len).filter(|pending| *pending > 0) {
            parts.push(format!("{pending} starting"));
        }
        parts.extend(self.trouble.iter().take(MOST_NAMED).map(|(id, why)| format!("{id}: {why}")));
        let unnamed = self.trouble.len().saturating_sub(MOST_NAMED);
        if unnamed > 0 {
            parts.push(format!("and {unnamed} more"));
        }
        parts.join(", ")
    }

    /// Gives a sign of life, if supervision answers; if not, the service manager ends us, and the next supervisor adopts
    /// what runs.
    pub(super) fn give_sign(&mut self, handle: &Handle) {
        let Some(timeout) = self.watchdog else { return };
        if handle.is_answering(timeout / 4) {
            told::sign_of_life();
        } else {
            warn!("supervision does not answer: the watchdog gets no sign of life");
        }
        self.sign_due = after(timeout / 2);
    }

    /// Somebody wants a registry applied. The time tells this reload from one that was asked for later.
    pub(super) fn reload_begins(&mut self) {
        self.reloads += 1;
        if self.is_serving() {
            told::reloading();
        }
    }

    /// One of them is applied, or refused: the service has reloaded when none is left.
    pub(super) fn reload_ends(&mut self) {
        self.reloads = self.reloads.saturating_sub(1);
        if self.reloads == 0 && self.is_serving() {
            told::reloaded();
        }
    }

    /// Whether the service is neither starting nor stopping: until then, "ready" would mean something else.
    fn is_serving(&self) -> bool {
        self.is_there && self.pending.is_none() && !self.is_stopping
    }

    /// Everything stops, for whatever reason.
    fn stop(&mut self, handle: &Handle) {
        if self.reloads > 0 && self.is_serving() {
            // systemd hears of the end of a reload only if it comes before that of the service.
            told::reloaded();
        }
        self.is_stopping = true;
        let longest = handle.longest_shutdown().unwrap_or_default().saturating_add(LAST_MOMENTS);
        told::stopping(longest);
        self.tell_status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_names_who_is_in_trouble_but_not_everybody() {
        let id = |number: usize| ComponentId::new(&format!("c{number}")).unwrap();
        let mut manager = ServiceManager::none();
        manager.pending = Some([id(0), id(1)].into());
        assert_eq!(manager.status(), "0 up, 2 starting");
        manager.take_note(&EventKind::Completed, &id(0));
        manager.is_in_trouble(&id(1), "backoff");
        assert_eq!(manager.status(), "0 up, c1: backoff");
        assert!(manager.pending.as_ref().is_some_and(HashSet::is_empty), "it has failed for the first time");
        (2..20).for_each(|number| manager.is_in_trouble(&id(number), "tripped"));
        assert!(manager.status().ends_with("and 11 more"), "{}", manager.status());
        (1..20).for_each(|number| manager.take_note(&EventKind::Stopped, &id(number)));
        assert_eq!(manager.status(), "0 up");
    }
}

//! What the service control manager and the event log are told.

use std::time::Duration;

use supervisor::ComponentId;

use super::service;
use crate::os::event_log::{self, Message};

/// Whether somebody listens.
pub(crate) fn is_heard() -> bool {
    service::name().is_some()
}

/// The service control manager wants no sign of life.
pub(crate) fn watchdog() -> Option<Duration> {
    None
}

/// Everything that starts by itself has started, or has failed at it.
pub(crate) fn ready() {
    service::running();
    if let Some(name) = service::name() {
        let text = format!("The supervisor {} has started.", env!("CARGO_PKG_VERSION"));
        event_log::tell(name, Message::Started, &text);
    }
}

/// How everything is: there is no place for that, but that it has changed is progress.
pub(crate) fn status(_: &str) {
    service::progress();
}

/// The service control manager has no word for what the registry is.
pub(crate) fn reloading() {}

/// Nor for this.
pub(crate) fn reloaded() {}

pub(crate) fn sign_of_life() {}

/// Everything stops, which may take so long.
pub(crate) fn stopping(longest: Duration) {
    service::stopping(longest);
}

/// A component is in lasting trouble.
pub(crate) fn trouble(id: &ComponentId, why: &str) {
    if let Some(name) = service::name() {
        event_log::tell(name, Message::Trouble, &format!("{id} {why}: see `s7supervisor why {id}`."));
    }
}

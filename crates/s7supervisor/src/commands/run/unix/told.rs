//! What systemd is told, by `sd_notify`.
//!
//! <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>

use std::time::Duration;

use sd_notify::NotifyState;
use supervisor::ComponentId;
use tracing::debug;

/// Whether somebody listens.
pub(crate) fn is_heard() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// How long we may give no sign of life.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Everything that starts by itself has started, or has failed at it.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// How everything is, in a line.
pub(crate) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Somebody wants a registry applied. The time tells this reload from one that was asked for later.
pub(crate) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    tell(&[Some(NotifyState::Reloading), now.ok()].into_iter().flatten().collect::<Vec<_>>());
}

/// That is over, whatever has come of it.
pub(crate) fn reloaded() {
    ready();
}

pub(crate) fn sign_of_life() {
    tell(&[NotifyState::Watchdog]);
}

/// Everything stops, which may take so long.
pub(crate) fn stopping(longest: Duration) {
    let extend = format!("EXTEND_TIMEOUT_USEC={}", longest.as_micros());
    tell(&[NotifyState::Stopping, NotifyState::Custom(&extend)]);
}

/// Nobody but the log is told that a component is in lasting trouble.
pub(crate) fn trouble(_: &ComponentId, _: &str) {}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("cannot tell the service manager: {error}");
    }
}

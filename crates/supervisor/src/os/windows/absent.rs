//! What the Unix systems have and Windows has nothing of. It bears the names that it has there, so that nobody else need know.

use std::io;
use std::os::windows::io::BorrowedHandle;

use super::Leftover;
use super::watched::Watchable;
use crate::os::absent::{NotifySocket, Population};
use crate::signal::Signal;
use crate::spec::{ProcessSpec, ReadyWhen, Step};

/// What of a specification cannot be had here, if anything: the end of a sentence that says so of its component.
pub(crate) fn unsupported(spec: &ProcessSpec) -> Option<String> {
    let when = spec.readiness.as_ref().map(|readiness| &readiness.when);
    let no = |what: &str| Some(format!("Windows has no {what}"));
    if spec.group.is_some() {
        return no("group as which something runs");
    }
    if spec.umask.is_some() {
        return no("umask");
    }
    if spec.nice.is_some() {
        return no("niceness");
    }
    if let Some(limit) = spec.limits.first() {
        return no(&format!("limit {}", limit.resource.name()));
    }
    match when {
        Some(ReadyWhen::Notified) => return no("sd_notify by which it could say that it is ready"),
        Some(ReadyWhen::Descriptor(_)) => return no("descriptor on which it could say that it is ready"),
        _ => {}
    }
    if spec.watchdog.is_some() {
        return no("sd_notify by which it could give a sign of life");
    }
    let signal = |step: &Step| match step {
        Step::Signal { signal, .. } if !can_send(*signal) => Some(*signal),
        _ => None,
    };
    let steps = spec.stop.iter().chain(&spec.reload).chain(&spec.evidence);
    let signal = steps.filter_map(signal).next();
    signal.map(|signal| format!("Windows has no {signal}: only TERM, by which it is asked to stop, and KILL"))
}

/// Whether there is anything that this signal could mean: to ask a run to stop, or to kill it.
pub(crate) fn can_send(signal: Signal) -> bool {
    signal == Signal::TERM || signal == Signal::KILL
}

/// Why there are no control groups.
pub(in super::super) const NO_CONTROL_GROUPS: &str =
    "Windows has none; whatever a component starts is in its job, and ends with it";

impl Watchable for Population {
    const HAPPENS_ONCE: bool = false;

    fn waitable(&self) -> BorrowedHandle<'_> {
        match *self {}
    }
}

impl Watchable for NotifySocket {
    const HAPPENS_ONCE: bool = false;

    fn waitable(&self) -> BorrowedHandle<'_> {
        match *self {}
    }
}

/// Handles are kept back for nobody: a process may have millions of them.
#[derive(Debug, Default)]
pub(crate) struct Reserve;

impl Reserve {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn lend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        work()
    }
}

/// They are not.
pub(crate) fn descriptors_are_scarce<T>(_newest: &T) -> bool {
    false
}

/// What it would mean.
pub(crate) fn scarcity() -> io::Error {
    let code = windows_sys::Win32::Foundation::ERROR_TOO_MANY_OPEN_FILES;
    io::Error::from_raw_os_error(code.cast_signed())
}

/// What descends from these need not be taken hold of: it is in their job.
pub(crate) fn descendants(_roots: &[u32], _is_main: impl Fn(u32) -> bool) -> Vec<Leftover> {
    Vec::new()
}

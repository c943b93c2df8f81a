//! What these systems lack of what a specification may ask for.

use std::os::fd::{AsFd, BorrowedFd};

use crate::os::absent::{NotifySocket, Population};
use crate::signal::Signal;
use crate::spec::{ProcessSpec, ReadyWhen, Step};

/// Why there are no control groups.
pub(in crate::os) const NO_CONTROL_GROUPS: &str =
    "only Linux has them; what leaves the process group of a component may outlive it";

/// What of a specification cannot be had here, if anything: the end of a sentence that says so of its component.
pub(crate) fn unsupported(spec: &ProcessSpec) -> Option<String> {
    let when = spec.readiness.as_ref().map(|readiness| &readiness.when);
    if matches!(when, Some(ReadyWhen::Notified)) {
        return Some("only on Linux can it say by sd_notify that it is ready".to_owned());
    }
    if spec.watchdog.is_some() {
        return Some("only on Linux can it give a sign of life by sd_notify".to_owned());
    }
    let signal = |step: &Step| match step {
        Step::Signal { signal, .. } if !can_send(*signal) => Some(*signal),
        _ => None,
    };
    let steps = spec.stop.iter().chain(&spec.reload).chain(&spec.evidence);
    let signal = steps.filter_map(signal).next();
    signal.map(|signal| format!("this system has no {signal}"))
}

/// Whether there is such a signal on all of these systems.
pub(crate) fn can_send(signal: Signal) -> bool {
    signal.number() < 32
}

impl AsFd for Population {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}

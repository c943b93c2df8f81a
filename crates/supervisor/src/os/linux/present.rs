//! What other systems lack.

use std::os::fd::OwnedFd;

pub(crate) use crate::os::posix::{pipe, read_some};
use crate::signal::Signal;
use crate::spec::ProcessSpec;

/// The end of a pipe that is read.
pub(crate) type ReadEnd = OwnedFd;

/// The end of a pipe that somebody else has made.
pub(crate) fn read_end(pipe: OwnedFd) -> ReadEnd {
    pipe
}

/// Whether something of a pipe is held here, of which the poller knows nothing: it is looked at where it is.
pub(crate) fn is_silent(_pipe: &ReadEnd) -> bool {
    false
}

/// Whether there is such a signal: there is every one.
pub(crate) fn can_send(_signal: Signal) -> bool {
    true
}

/// What of a specification cannot be had here, if anything: the end of a sentence that says so of its component.
pub(crate) fn unsupported(_spec: &ProcessSpec) -> Option<String> {
    None
}

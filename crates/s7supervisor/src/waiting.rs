//! Waiting for no longer than one was told to.

use std::time::Instant;

/// Now, on the clock that never jumps.
#[expect(clippy::disallowed_methods, reason = "commands wait no longer than they are told")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

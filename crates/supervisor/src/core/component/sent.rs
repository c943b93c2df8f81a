//! The signals that a run has been sent.

use crate::run::Exit;
use crate::signal::Signal;

/// Signals, a bit each: there are no more than 64.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent(u64);

impl Sent {
    pub(super) fn add(&mut self, signal: Signal) {
        self.0 |= Self::bit(signal.number());
    }

    /// Whether it was one of these that ended a process so.
    pub(super) fn explains(self, exit: Exit) -> bool {
        match exit {
            Exit::Signal { signal, .. } => self.0 & Self::bit(signal) != 0,
            Exit::Code(_) | Exit::OutOfMemory | Exit::Unknown => false,
        }
    }

    fn bit(signal: i32) -> u64 {
        u32::try_from(signal).ok().and_then(|number| 1_u64.checked_shl(number.wrapping_sub(1))).unwrap_or(0)
    }
}

//! How the stand-in ends.

use super::system::die_of;
use crate::exit::Ended;

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

impl Ending {
    /// Ends. Returns only when that failed.
    #[expect(
        clippy::disallowed_methods,
        reason = "any exit code may be asked for, also those that mean nothing"
    )]
    pub(super) fn end(self) -> Ended {
        match self {
            Self::Code(code) => std::process::exit(i32::from(code)),
            Self::Signal(signal) => die_of(signal),
        }
    }
}

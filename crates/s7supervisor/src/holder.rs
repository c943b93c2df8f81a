//! Who holds a place: what is written into the file of a lock, for people.

use serde::{Deserialize, Serialize};

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Its pid.
    pub(crate) pid: u32,
    /// The registry that it runs.
    pub(crate) registry: String,
    /// Whether `start` made it, so that `restart` may replace it.
    pub(crate) background: bool,
}

/// Why a lock could not be had.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Somebody else has it; who, if it could be read.
    Held(Option<Holder>),
    /// The operating system refused.
    System(std::io::Error),
}

impl<E: Into<std::io::Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::System(error.into())
    }
}

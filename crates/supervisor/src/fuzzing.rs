//! Private doors for the targets in `fuzz/`. They are built by `cargo fuzz` alone, and no part of the interface.

use std::sync::Arc;
use std::time::Duration;

use crate::registry::{RegistryError, problems_of_structure};
use crate::spec::ProcessSpec;
use crate::supervisor::{StartError, check, parse};

/// What a datagram of `sd_notify` is taken to say.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    /// The `NAME=value` of those that are said or not.
    pub words: Vec<&'static str>,
    /// `STATUS=`
    pub status: Option<Arc<str>>,
    /// `WATCHDOG_USEC=`
    pub watchdog: Option<Duration>,
    /// `EXTEND_TIMEOUT_USEC=`
    pub extend: Option<Duration>,
    /// `MAINPID=`
    pub main_pid: Option<u32>,
}

/// Hears a datagram.
#[must_use]
pub fn hear(datagram: &[u8]) -> Heard {
    let said = parse(datagram);
    let words = [
        (said.ready, "READY=1"),
        (said.reloading, "RELOADING=1"),
        (said.stopping, "STOPPING=1"),
        (said.alive, "WATCHDOG=1"),
        (said.hangs, "WATCHDOG=trigger"),
    ];
    Heard {
        words: words.into_iter().filter_map(|(is_said, word)| is_said.then_some(word)).collect(),
        status: said.status,
        watchdog: said.watchdog,
        extend: said.extend,
        main_pid: said.main_pid,
    }
}

/// What is wrong with the text and the structure of a registry, of which no file is read.
#[must_use]
pub fn structure(registry: &[u8]) -> Option<RegistryError> {
    problems_of_structure(registry)
}

/// Whether a supervisor takes these components.
///
/// # Errors
/// Why it does not.
pub fn takes(components: &[ProcessSpec]) -> Result<(), StartError> {
    check(components)
}

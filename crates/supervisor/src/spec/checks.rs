//! How a component is watched: whether it is ready, whether it is well, and what it may use.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use regex::bytes::{Regex, RegexBuilder};

use super::Command;

/// How it is known that a component is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// What says so.
    pub when: ReadyWhen,
    /// How long a run may take to be ready; after that, its start has failed. Usual: 60 s.
    pub timeout: Duration,
}

/// What says that a component is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadyWhen {
    /// It sends `READY=1` to its `NOTIFY_SOCKET`.
    /// <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>
    ///
    /// Any process of it may send that, and so may any of its user, of the supervisor's, or of root. With `MAINPID=` it may
    /// name another of its processes as its main process, as a daemon does: then it runs as long as that.
    Notified,
    /// It writes a newline to this descriptor, which is above 2. <https://skarnet.org/software/s6/notifywhenup.html>
    Descriptor(i32),
    /// A probe succeeds: it is tried again and again until then.
    Probed(Probe),
    /// A line of its output matches this regular expression, as the `regex` package reads it.
    /// <https://docs.rs/regex/latest/regex/#syntax>
    ///
    /// The first 16 KiB of a line count. The output may go nowhere, but not to that of the host
    /// ([`Output::Inherit`](crate::Output::Inherit)).
    Logged(String),
}

/// The regular expression of [`ReadyWhen::Logged`], which is matched against the bytes of a line.
///
/// # Errors
/// Why it is none, as the end of a sentence.
pub(crate) fn log_pattern(pattern: &str) -> Result<Regex, String> {
    /// In bytes, compiled. A few repetitions of repetitions would otherwise take any amount of memory.
    const MOST_MEMORY: usize = 1 << 20;
    let compiled = RegexBuilder::new(pattern).size_limit(MOST_MEMORY).dfa_size_limit(MOST_MEMORY).build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it needs more than 1 MiB of memory".to_owned(),
        // The last of several lines, the others of which show the place.
        other => {
            let text = other.to_string();
            let why = text.lines().last().unwrap_or_default();
            why.strip_prefix("error: ").unwrap_or(why).to_owned()
        }
    })
}

/// A question that is put to a component from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// Does it take a connection?
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Does it answer a GET with one of these? Asked by the [`Prober`](crate::Prober) of the host.
    Http {
        /// An `http://` URL.
        url: String,
        /// The statuses that are good.
        status: RangeInclusive<u16>,
    },
    /// Does a command end with code 0? It runs as steps do ([`Step::Run`](crate::Step::Run)).
    Exec(Command),
}

/// How it is known that a component that has started is still well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What it is asked.
    pub probe: Probe,
    /// From one question to the next. Usual: 10 s.
    pub interval: Duration,
    /// How long an answer may take. Usual: 2 s.
    pub timeout: Duration,
    /// How many failures in a row mean that it is not well. Usual: 3.
    pub failures: u32,
    /// How long after its start it is first asked. Usual: zero.
    pub start_after: Duration,
    /// What is done about it.
    pub action: GuardAction,
}

/// What is done about a component that breaks a rule while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuardAction {
    /// It is stopped, and its end counts as a failure.
    #[default]
    Restart,
    /// It is only told.
    Report,
}

impl fmt::Display for GuardAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart => "restart",
            Self::Report => "report",
        })
    }
}

/// The most memory that a component may use: anonymous, shared and swapped, over its whole tree of processes, shared
/// parts once. Looked at every 5 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes.
    pub max: u64,
    /// What is done about one that uses more.
    pub action: GuardAction,
}

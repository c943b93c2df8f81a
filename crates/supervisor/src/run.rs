//! A run of a component: how it is named, how it ended, and what is remembered of it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use bytesize::ByteSize;

use crate::error::SpawnError;
use crate::signal::Signal;
use crate::status::Exactly;

/// One run of one component, from the decision to spawn it until nothing of it is left. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId {
    /// Which component, as its place in the order in which they were given.
    pub(crate) component: u32,
    /// The how manieth run of it, beginning with 1.
    pub(crate) number: u64,
}

impl RunId {
    /// The how manieth run of its component this is, beginning with 1.
    #[must_use]
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}", self.number)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.component, self.number)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core dump.
        core_dumped: bool,
    },
    /// By SIGKILL, and the operating system says that this was because memory had run out.
    OutOfMemory,
    /// It has ended, but the operating system did not tell how (the host reaped it, for instance).
    Unknown,
}

impl Exit {
    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// The name of the signal that ended it, without `SIG`: `KILL`, or its number where it has no name.
    #[must_use]
    pub fn signal(self) -> Option<Cow<'static, str>> {
        match self {
            Self::Signal { signal, .. } => {
                let name = Signal::from_number(signal).and_then(Signal::name);
                Some(name.map_or_else(|| signal.to_string().into(), Cow::Borrowed))
            }
            Self::OutOfMemory => Some("KILL".into()),
            Self::Code(_) | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal { signal, core_dumped } => {
                match Signal::from_number(signal) {
                    Some(signal) => signal.fmt(f)?,
                    None => write!(f, "signal {signal}")?,
                }
                f.write_str(if core_dumped { " (core dumped)" } else { "" })
            }
            Self::OutOfMemory => f.write_str("SIGKILL (out of memory)"),
            Self::Unknown => f.write_str("unknown end"),
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum End {
    /// Its main process ended.
    Exited(Exit),
    /// It could not be started at all.
    NotSpawned(SpawnError),
    /// It was ended because of a fault.
    Judged {
        /// Which.
        fault: Fault,
        /// How its main process ended then.
        exit: Exit,
    },
}

impl End {
    /// Whether the main process ended by itself with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited(exit) if exit.is_success())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(exit) => exit.fmt(f),
            Self::NotSpawned(error) => error.fmt(f),
            Self::Judged { fault, .. } => fault.fmt(f),
        }
    }
}

/// Why a run was ended though nobody asked for it and its main process lived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fault {
    /// It was not ready in time.
    NotReady {
        /// The time it had: more than by its specification if it had asked for that. What it waited for the supervisor, which could
        /// not ask it, is left out.
        timeout: Duration,
        /// What the last probe answered, where it is probed.
        answer: Option<Arc<str>>,
    },
    /// It failed its health check too often.
    Unhealthy {
        /// How often in a row.
        failures: u32,
        /// What the last probe answered.
        answer: Arc<str>,
    },
    /// It gave no sign of life in time.
    Silent {
        /// The time it had.
        timeout: Duration,
    },
    /// It said of itself, by `WATCHDOG=trigger`, that it hangs.
    Triggered,
    /// It used more memory than it may.
    TooLarge {
        /// How much, in bytes.
        used: u64,
        /// How much it may use, in bytes.
        max: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady { timeout, answer: None } => write!(f, "not ready within {}", Exactly(*timeout)),
            Self::NotReady { timeout, answer: Some(answer) } => {
                write!(f, "not ready within {}: {answer}", Exactly(*timeout))
            }
            Self::Unhealthy { failures: 1, answer } => write!(f, "health check failed: {answer}"),
            Self::Unhealthy { failures, answer } => {
                write!(f, "health check failed {failures} times: {answer}")
            }
            Self::Silent { timeout } => write!(f, "no sign of life for {}", Exactly(*timeout)),
            Self::Triggered => f.write_str("it says that it hangs"),
            Self::TooLarge { used, max } => {
                let size = |bytes: u64| ByteSize::b(bytes).display().iec_short();
                write!(f, "uses {} of memory, more than {}", size(*used), size(*max))
            }
        }
    }
}

/// A run that has ended by itself. All times are since the supervisor started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    /// Which run it was.
    pub run: RunId,
    /// Whether the supervisor began it by itself after an end, rather than because somebody asked for it.
    pub restart: bool,
    /// When it was to be spawned.
    pub began: Duration,
    /// When its main process ended, or when it turned out that it could not be spawned.
    pub ended: Duration,
    /// How it ended.
    pub end: End,
    /// Whether it was up for [`ProcessSpec::reset_after`](crate::ProcessSpec::reset_after) beyond its start.
    pub stable: bool,
}

/// The past runs of one component since somebody asked for it: all that a policy may decide by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    runs: VecDeque<PastRun>,
    in_a_row: u32,
}

impl History {
    /// The most runs that are remembered, whatever a policy asks for.
    pub const MAX_CAPACITY: usize = 10_000;

    /// The run that has just ended: the one to decide about. `None` before the first end.
    #[must_use]
    pub fn last(&self) -> Option<&PastRun> {
        self.runs.back()
    }

    /// The remembered runs, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &PastRun> {
        self.runs.iter().rev()
    }

    /// The how manieth restart in a row the next one would be: 1 is the first after a stable run, or the first at
    /// all; each unstable run adds one.
    #[must_use]
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row.max(1)
    }

    /// The runs are of the component of this key.
    pub(crate) fn belongs_to(&mut self, key: u32) {
        self.runs.iter_mut().for_each(|past| past.run.component = key);
    }

    /// Adds a run that has ended, and forgets the oldest beyond `capacity`.
    pub fn record(&mut self, run: PastRun, capacity: usize) {
        self.in_a_row = if run.stable { 1 } else { self.in_a_row.saturating_add(1) };
        self.runs.push_back(run);
        while self.runs.len() > capacity.clamp(1, Self::MAX_CAPACITY) {
            self.runs.pop_front();
        }
    }
}

//! Things done to a running component one after the other: to stop it, to have it reload, to find out why it hangs.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use crate::signal::Signal;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A signal is sent.
    Signal {
        /// Which.
        signal: Signal,
        /// How long it is given to have an effect, before the next step.
        wait: Duration,
        /// To whom.
        to: Recipient,
    },
    /// A command is run, as the component's user, in its folder and with its environment, and `S7_ID`, `S7_PID` (its main
    /// process, which has ended in a cleanup) and `S7_RUN`. The last line that it writes is its answer. What it has started and left behind
    /// when it ends is killed.
    Run {
        /// The command.
        command: Command,
        /// How long it may take before it is killed.
        timeout: Duration,
    },
}

impl Step {
    /// How long the step may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        match self {
            Self::Signal { wait, .. } => *wait,
            Self::Run { timeout, .. } => *timeout,
        }
    }
}

/// Who gets a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recipient {
    /// Every process of the component.
    #[default]
    Group,
    /// Its main process.
    Main,
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Group => "group",
            Self::Main => "main",
        })
    }
}

/// A program and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// A path, or a bare name that is looked up in the component's `PATH`.
    pub program: OsString,
    /// The arguments after the program's own name.
    pub arguments: Vec<OsString>,
}

/// A command that is run after every end of a component, before its next run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// The command.
    pub command: Command,
    /// How long it may take before it is killed.
    pub timeout: Duration,
}

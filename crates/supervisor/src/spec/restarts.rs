//! What may stand between an end and the next run, beside the policy.

use std::fmt;
use std::time::Duration;

use crate::run::Exit;
use crate::signal::Signal;

/// How often a component may be restarted before it is *tripped* (OTP's intensity and period).
/// <https://www.erlang.org/doc/system/sup_princ.html#maximum-restart-intensity>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// The most restarts within the window; one more is too many. 0: no limit.
    pub max: u32,
    /// How long the window is. Usual: 60 s.
    pub within: Duration,
    /// How long a tripped component rests before one trial run; zero: it is given up at once. The rest doubles, up to an hour,
    /// while trials fail. Usual: 5 min.
    pub retry_after: Duration,
}

/// What to do after a certain end, whatever the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitRule {
    /// After which end.
    pub exit: ExitMatch,
    /// What.
    pub action: ExitAction,
}

/// Certain ends of a main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitMatch {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(Signal),
}

impl ExitMatch {
    /// Whether this end is meant.
    #[must_use]
    pub fn matches(self, exit: Exit) -> bool {
        match self {
            Self::Code(code) => exit == Exit::Code(code),
            Self::Signal(Signal::KILL) if exit == Exit::OutOfMemory => true,
            Self::Signal(signal) => {
                matches!(exit, Exit::Signal { signal: its, .. } if its == signal.number())
            }
        }
    }
}

impl fmt::Display for ExitMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => signal.fmt(f),
        }
    }
}

/// What an [`ExitRule`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExitAction {
    /// Run it again: when, is up to the policy, or to the default one if that says never.
    #[default]
    Restart,
    /// It is no longer wanted.
    Stop,
    /// Leave it down, and say that it failed.
    GiveUp,
}

impl fmt::Display for ExitAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::GiveUp => "giveUp",
        })
    }
}

/// How many restarts there may be over all components: a token bucket of `max` tokens that fills up within `within`. Each
/// restart takes one, and waits its turn when there is none. What a person asks for takes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartBudget {
    /// The most restarts at once. 0: no limit.
    pub max: u32,
    /// How long it takes until as many more are allowed. Usual: 10 s.
    pub within: Duration,
}

/// What becomes of components when their supervisor is killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCrash {
    /// They live on, and the next supervisor adopts them.
    #[default]
    Adopt,
    /// Their main processes are told to stop, by the first signal of their steps; what has outlived that is stopped, and started anew,
    /// by the next supervisor. What they have started is not told. A program that changes its user by itself (set-user-id) takes
    /// itself out of this.
    Stop,
}

/// What happens when an essential component is given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnGiveUp {
    /// The others go on.
    #[default]
    Continue,
    /// Everything is stopped in order, and the supervisor ends.
    Shutdown,
}

impl fmt::Display for OnGiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continue => "continue",
            Self::Shutdown => "shutdown",
        })
    }
}

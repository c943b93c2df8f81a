//! What to do when a component has ended though it is wanted.
//!
//! A policy is a pure function of the component's [`History`]: it reads no clock and keeps no state, so that the same
//! past always leads to the same decision and a policy can be tested without a process.

use std::fmt;
use std::time::Duration;

use crate::chance::{mix, seed_for, unit};
use crate::run::History;

/// Decides what happens after the end of a run that nobody asked for.
///
/// A policy is asked once for each such end, after the run has been added to the history. It must return quickly:
/// supervision waits for it. If it panics, [`Backoff::default`] decides instead, and an event tells so.
///
/// ```
/// use std::time::Duration;
/// use supervisor::{Decision, History, Jitter, RestartPolicy};
///
/// /// Tries three times in a row, a second apart.
/// #[derive(Debug)]
/// struct ThreeTimes;
///
/// impl RestartPolicy for ThreeTimes {
///     fn decide(&self, history: &History, _jitter: Jitter) -> Decision {
///         if history.in_a_row() <= 3 {
///             Decision::Restart { after: Duration::from_secs(1) }
///         } else {
///             Decision::GiveUp
///         }
///     }
/// }
/// ```
pub trait RestartPolicy: fmt::Debug + Send + Sync {
    /// What to do now that `history.last()` has ended. `jitter` is this decision's share of chance.
    fn decide(&self, history: &History, jitter: Jitter) -> Decision;

    /// How many past runs the policy wants to see, at most [`History::MAX_CAPACITY`]. Default: 8.
    fn memory(&self) -> usize {
        8
    }

    /// Whether it ever decides to run a component again. Default: yes.
    ///
    /// One that never does leaves a member of a restart group as it is when the group restarts.
    fn restarts(&self) -> bool {
        true
    }

    /// What it does, for people. The built-in policies say it in the words of the registry:
    /// `always, delay 0s, maxDelay 60s, factor 2, jitter 0.1`. Default: the debug text.
    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

/// What a [`RestartPolicy`] decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Run it again.
    Restart {
        /// How long after its end. A run that could not be spawned is never tried again before 100 ms.
        after: Duration,
    },
    /// It has done its work: leave it as it is.
    Complete,
    /// Leave it down, and say that it failed.
    GiveUp,
}

/// A share of chance for one decision, drawn from the seed of the supervisor, the component and the run: the same
/// inputs give the same draw.
#[derive(Clone, Copy, Debug)]
pub struct Jitter(f64);

impl Jitter {
    /// No chance at all: [`Jitter::spread`] leaves every duration as it is.
    pub const NONE: Self = Self(0.5);

    /// The draw for the `number`-th run of the component that `name` names.
    pub(crate) fn draw(seed: u64, name: &str, number: u64) -> Self {
        Self(unit(mix(seed_for(seed, name, number))))
    }

    /// The draw itself, evenly spread in `0.0 .. 1.0`.
    #[must_use]
    pub fn unit(self) -> f64 {
        self.0
    }

    /// `duration` times 1 plus or minus `fraction`, evenly spread.
    #[must_use]
    pub fn spread(self, duration: Duration, fraction: f64) -> Duration {
        times(duration, 1.0 + (self.0 * 2.0 - 1.0) * fraction)
    }
}

/// `duration` times `factor`; what is not a time at all, or no longer fits one, is the longest there is.
fn times(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor.max(0.0)).unwrap_or(Duration::MAX)
}

/// A time as a registry has it: `0s`, `250ms`, `60s`.
fn exactly(time: Duration) -> String {
    if time.is_zero() { "0s".to_owned() } else { format!("{time:?}") }
}

/// Never runs it again: a success completes it, a failure is final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Never;

impl RestartPolicy for Never {
    fn decide(&self, history: &History, _jitter: Jitter) -> Decision {
        if last_succeeded(history) { Decision::Complete } else { Decision::GiveUp }
    }

    fn memory(&self) -> usize {
        1
    }

    fn restarts(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        "never".to_owned()
    }
}

/// A success completes it; after a failure, the policy inside decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnFailure<P = Backoff>(
    /// Decides after a failure.
    pub P,
);

impl<P: RestartPolicy> RestartPolicy for OnFailure<P> {
    fn decide(&self, history: &History, jitter: Jitter) -> Decision {
        if last_succeeded(history) { Decision::Complete } else { self.0.decide(history, jitter) }
    }

    fn memory(&self) -> usize {
        self.0.memory()
    }

    fn restarts(&self) -> bool {
        self.0.restarts()
    }

    fn describe(&self) -> String {
        // What is inside is asked only after failures, where "always" would mislead.
        let inside = self.0.describe();
        format!("onFailure, {}", inside.strip_prefix("always, ").unwrap_or(&inside))
    }
}

fn last_succeeded(history: &History) -> bool {
    history.last().is_some_and(|run| run.end.is_success())
}

/// Runs it again after the same pause each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed(
    /// The pause between an end and the next try.
    pub Duration,
);

impl RestartPolicy for Fixed {
    fn decide(&self, _history: &History, _jitter: Jitter) -> Decision {
        Decision::Restart { after: self.0 }
    }

    fn memory(&self) -> usize {
        1
    }

    fn describe(&self) -> String {
        format!("always, delay {0}, maxDelay {0}", exactly(self.0))
    }
}

/// Runs it again, at once after a stable run and ever later while it keeps failing.
///
/// The first restart after a stable run waits `delay`; the n-th in a row waits the longer of `delay` and
/// 100 ms x `factor`^(n - 2), times 1 plus or minus `jitter`, and at most `max_delay`. So what crashes once is back
/// at once, and what crashes for ever costs next to nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The shortest wait. Default: zero.
    pub delay: Duration,
    /// The longest wait; zero means that it never waits. Default: 60 s.
    pub max_delay: Duration,
    /// By how much each wait is longer than the one before, at least 1. Default: 2.
    pub factor: f64,
    /// How far a wait may lie from the rule, as a part of it, from 0 to 1. Default: 0.1.
    pub jitter: f64,
}

impl Backoff {
    /// The second wait in a row, if `delay` is not longer.
    const FIRST_WAIT: Duration = Duration::from_millis(100);
}

impl Default for Backoff {
    fn default() -> Self {
        Self { delay: Duration::ZERO, max_delay: Duration::from_secs(60), factor: 2.0, jitter: 0.1 }
    }
}

impl RestartPolicy for Backoff {
    fn decide(&self, history: &History, jitter: Jitter) -> Decision {
        let after = match history.in_a_row() {
            0 | 1 => self.delay,
            n => {
                let doublings = i32::try_from(n - 2).unwrap_or(i32::MAX);
                let wait = times(Self::FIRST_WAIT, self.factor.max(1.0).powi(doublings)).max(self.delay);
                jitter.spread(wait.min(self.max_delay), self.jitter)
            }
        };
        Decision::Restart { after: after.min(self.max_delay) }
    }

    fn memory(&self) -> usize {
        1
    }

    fn describe(&self) -> String {
        let (delay, max_delay) = (exactly(self.delay), exactly(self.max_delay));
        format!("always, delay {delay}, maxDelay {max_delay}, factor {}, jitter {}", self.factor, self.jitter)
    }
}

/// Gives up when there were too many restarts within a window (OTP's intensity and period); until then, the policy
/// inside decides. <https://www.erlang.org/doc/system/sup_princ.html#maximum-restart-intensity>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<P = Backoff> {
    /// The most restarts within the window; one more is too many. 0: no limit.
    pub max: u32,
    /// How long the window is.
    pub within: Duration,
    /// Decides while the limit is kept.
    pub policy: P,
}

impl<P: RestartPolicy> RestartPolicy for Limit<P> {
    fn decide(&self, history: &History, jitter: Jitter) -> Decision {
        let Some(now) = history.last().map(|run| run.ended) else {
            return self.policy.decide(history, jitter);
        };
        let recent = history
            .newest_first()
            .take_while(|run| now.saturating_sub(run.began) < self.within)
            .filter(|run| run.restart)
            .count();
        let too_many = self.max > 0 && recent >= self.max as usize;
        match self.policy.decide(history, jitter) {
            Decision::Restart { .. } if too_many => Decision::GiveUp,
            decision => decision,
        }
    }

    fn memory(&self) -> usize {
        self.policy.memory().max(self.max as usize + 1)
    }

    fn restarts(&self) -> bool {
        self.policy.restarts()
    }

    fn describe(&self) -> String {
        format!("{}, max {} within {}", self.policy.describe(), self.max, exactly(self.within))
    }
}

#[cfg(test)]
mod tests;

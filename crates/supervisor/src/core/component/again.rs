//! What could not be begun for a want of ours, and is tried again: a probe, or a command within its time.
//!
//! Each component tries for itself. What is lacking may be its own user's (a limit on processes), and then nobody else has to
//! wait for it.

use std::sync::Arc;
use std::time::Duration;

/// The shortest pause before the next try; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What could not be begun yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Again {
    /// What we lack.
    pub(super) why: Arc<str>,
    /// Since when.
    pub(super) since: Duration,
    /// When it is tried again; `None` while it is being tried.
    at: Option<Duration>,
    pause: Duration,
}

impl Again {
    /// After a try has come to nothing for this reason. `before` is what was known from the try before that, and no pause is
    /// longer than `longest`.
    pub(super) fn after(before: Option<&Self>, why: Arc<str>, longest: Duration, now: Duration) -> Self {
        let pause = before.map_or(FIRST_PAUSE, |before| before.pause.saturating_mul(2).min(longest));
        let since = before.map_or(now, |before| before.since);
        Self { why, since, at: Some(now.saturating_add(pause)), pause }
    }

    /// When it is tried again.
    pub(super) fn at(&self) -> Option<Duration> {
        self.at
    }

    /// Whether it is to be tried now, which is said once.
    pub(super) fn take_due(&mut self, now: Duration) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }
}

/// The longest pause of a command, whose time is limited.
pub(super) const COMMAND_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause of a probe, and of a run.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

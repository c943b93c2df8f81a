//! How many restarts there may be over all components.

use std::time::Duration;

use crate::spec::RestartBudget;

/// A token bucket, kept as one time: when it will be full again (the generic cell rate algorithm).
/// <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>
#[derive(Debug)]
pub(super) struct Budget {
    /// How long one token takes to come.
    token: Duration,
    /// How long all of them take.
    whole: Duration,
    full_at: Duration,
}

impl Budget {
    /// A full one; `None` if there is no limit.
    pub(super) fn new(budget: RestartBudget) -> Option<Self> {
        let token = budget.within.checked_div(budget.max)?;
        // What the division leaves over must not let more than `max` tokens be there at once.
        Some(Self { token, whole: token.saturating_mul(budget.max), full_at: Duration::ZERO })
    }

    /// Takes a token, or the next one that will come, and says when it is there.
    pub(super) fn take(&mut self, now: Duration) -> Duration {
        self.full_at = self.full_at.max(now).saturating_add(self.token);
        self.full_at.saturating_sub(self.whole).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_allowed_go_at_once_and_the_others_as_tokens_come() {
        let seconds = Duration::from_secs;
        let mut budget = Budget::new(RestartBudget { max: 5, within: seconds(10) }).expect("a limit");
        let at = |budget: &mut Budget, now, count| -> Vec<u64> {
            (0..count).map(|_| budget.take(seconds(now)).as_secs()).collect()
        };
        assert_eq!(at(&mut budget, 100, 8), [100, 100, 100, 100, 100, 102, 104, 106]);
        assert_eq!(at(&mut budget, 101, 1), [108]);
        assert_eq!(at(&mut budget, 200, 6), [200, 200, 200, 200, 200, 202], "full again");
        assert!(Budget::new(RestartBudget { max: 0, within: seconds(10) }).is_none());
    }
}

//! How many restarts there may be over all components.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::spec::RestartBudget;

/// A token bucket, kept as one time: when it will be full again (the generic cell rate algorithm); and those that wait for
/// tokens, each of which goes to the first who still does. <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>
#[derive(Debug)]
pub(super) struct Budget {
    /// How long one token takes to come.
    token: Duration,
    /// How long all of them take.
    whole: Duration,
    full_at: Duration,
    /// Those that owe a token, in the order in which they came.
    owing: BTreeMap<u64, u32>,
    /// By component: its place among them.
    places: HashMap<u32, u64>,
    last_place: u64,
}

impl Budget {
    /// A full one; `None` if there is no limit.
    pub(super) fn new(budget: RestartBudget) -> Option<Self> {
        let token = budget.within.checked_div(budget.max)?;
        Some(Self {
            token,
            // What the division leaves over must not let more than `max` tokens be there at once.
            whole: token.saturating_mul(budget.max),
            full_at: Duration::ZERO,
            owing: BTreeMap::new(),
            places: HashMap::new(),
            last_place: 0,
        })
    }

    /// Goes on for another one, whose places and waits it keeps: with no more tokens missing than this one has.
    pub(super) fn follow(&mut self, before: Self, now: Duration) {
        self.full_at = before.full_at.min(now.saturating_add(self.whole));
        (self.owing, self.places, self.last_place) = (before.owing, before.places, before.last_place);
    }

    /// Takes a token for this one, if there is one and nobody has come before it. Otherwise it has to wait: for so long, unless
    /// others leave.
    pub(super) fn take(&mut self, key: u32, now: Duration) -> Result<(), Duration> {
        if self.owing.is_empty() && self.take_token(now) {
            return Ok(());
        }
        self.last_place += 1;
        self.owing.insert(self.last_place, key);
        self.places.insert(key, self.last_place);
        Err(self.comes_at(self.owing.len()).saturating_sub(now))
    }

    /// Takes a token for the first of those that wait, if there is one.
    pub(super) fn call(&mut self, now: Duration) -> Option<u32> {
        let (place, key) = self.owing.first_key_value().map(|(place, key)| (*place, *key))?;
        if !self.take_token(now) {
            return None;
        }
        self.owing.remove(&place);
        self.places.remove(&key);
        Some(key)
    }

    /// The token that was taken last has not been used.
    pub(super) fn give_back(&mut self) {
        self.full_at = self.full_at.saturating_sub(self.token);
    }

    /// This one does not wait for a token, or no longer.
    pub(super) fn leave(&mut self, key: u32) {
        if let Some(place) = self.places.remove(&key) {
            self.owing.remove(&place);
        }
    }

    /// When it would be full again.
    pub(super) fn full_at(&self) -> Duration {
        self.full_at
    }

    /// Goes on where an earlier supervisor left off, whose budget may have been another one: with no more tokens missing than this one
    /// has.
    pub(super) fn go_on(&mut self, full_at: Duration, now: Duration) {
        self.full_at = self.full_at.max(full_at.min(now.saturating_add(self.whole)));
    }

    /// Whether this one waits for a token.
    pub(super) fn is_owed_by(&self, key: u32) -> bool {
        self.places.contains_key(&key)
    }

    /// When somebody is to be called.
    pub(super) fn next(&self) -> Option<Duration> {
        (!self.owing.is_empty()).then(|| self.comes_at(1))
    }

    /// All that wait, and for how long, unless others leave.
    pub(super) fn waits(&self, now: Duration) -> impl Iterator<Item = (u32, Duration)> {
        let waits = move |(count, key): (usize, &u32)| (*key, self.comes_at(count).saturating_sub(now));
        (1..).zip(self.owing.values()).map(waits)
    }

    /// When the n-th token from now on is there.
    fn comes_at(&self, n: usize) -> Duration {
        let tokens = self.token.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
        self.full_at.saturating_add(tokens).saturating_sub(self.whole)
    }

    fn take_token(&mut self, now: Duration) -> bool {
        let is_there = self.comes_at(1) <= now;
        if is_there {
            self.full_at = self.full_at.max(now).saturating_add(self.token);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn five_in_ten_seconds() -> Budget {
        Budget::new(RestartBudget { max: 5, within: seconds(10) }).expect("a limit")
    }

    #[test]
    fn as_many_as_allowed_go_at_once_and_the_others_as_tokens_come() {
        let mut budget = five_in_ten_seconds();
        let takes: Vec<_> = (0..8).map(|key| budget.take(key, seconds(100))).collect();
        assert!(takes[..5].iter().all(Result::is_ok));
        assert_eq!(takes[5..], [2, 4, 6].map(|wait| Err(seconds(wait))));
        assert_eq!(budget.take(8, seconds(101)), Err(seconds(7)));
        assert_eq!((budget.next(), budget.call(seconds(101))), (Some(seconds(102)), None));
        assert_eq!([102, 103, 104].map(|now| budget.call(seconds(now))), [Some(5), None, Some(6)]);
        assert_eq!(budget.take(9, seconds(200)), Err(Duration::ZERO), "others have come before it");
        let called: Vec<_> = std::iter::from_fn(|| budget.call(seconds(200))).collect();
        assert_eq!((called, budget.next()), (vec![7, 8, 9], None));
        assert!([10, 11].iter().all(|key| budget.take(*key, seconds(200)).is_ok()), "five in all");
        assert_eq!(budget.take(12, seconds(200)), Err(seconds(2)));
        assert!(Budget::new(RestartBudget { max: 0, within: seconds(10) }).is_none());
    }

    #[test]
    fn who_leaves_makes_room_and_what_is_given_back_is_there() {
        let mut budget = five_in_ten_seconds();
        let taken = (0..8).filter(|key| budget.take(*key, Duration::ZERO).is_ok());
        assert_eq!(taken.count(), 5);
        assert!(budget.is_owed_by(5) && !budget.is_owed_by(0));
        budget.leave(5);
        budget.leave(6);
        budget.leave(0);
        assert!(!budget.is_owed_by(5));
        assert_eq!(budget.waits(seconds(1)).collect::<Vec<_>>(), [(7, seconds(1))]);
        assert_eq!((budget.next(), budget.call(seconds(2))), (Some(seconds(2)), Some(7)));
        budget.give_back();
        assert_eq!((budget.take(8, seconds(2)), budget.take(9, seconds(2))), (Ok(()), Err(seconds(2))));
    }
}

//! How unkind a simulated world is, beyond what its components do.

use crate::chance::{mix, seed_for};
use std::time::Duration;

/// What goes wrong between the supervisor and its processes. Each is drawn from the seed, for each component apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hostility {
    /// News comes up to 50 ms late.
    pub late: bool,
    /// News comes again later, when it is no longer true.
    pub stale: bool,
    /// Every fourth spawn fails, every other of them for want of something, and some fail late.
    pub spawns_fail: bool,
    /// Processes die before the news that they live is told, and the news comes in the wrong order or merged.
    pub early_deaths: bool,
    /// Every third probe and command fails, never ends, or cannot be begun.
    pub tasks_fail: bool,
    /// What is to be remembered is written down late, and lost where the supervisor dies before.
    pub forgetful: bool,
}

impl Hostility {
    /// Each of them with even odds, by the seed.
    #[must_use]
    pub fn drawn_from(seed: u64) -> Self {
        let bits = seed_for(seed, "hostility", 0);
        let bit = |n: u32| bits & (1 << n) != 0;
        Self {
            late: bit(0),
            stale: bit(1),
            spawns_fail: bit(2),
            early_deaths: bit(3),
            tasks_fail: bit(4),
            forgetful: bit(5),
        }
    }
}

/// A stream of draws for one component.
#[derive(Clone, Debug)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(seed: u64, name: &str) -> Self {
        Self(seed_for(seed, name, 1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    pub(super) fn up_to(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.next() % (micros + 1))
    }
}

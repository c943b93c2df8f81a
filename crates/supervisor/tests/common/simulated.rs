//! What the tests in the simulated world have in common.

use std::time::Duration;

use supervisor::testing::Behaviour;

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn steady() -> Behaviour {
    Behaviour::steady()
}

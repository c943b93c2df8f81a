//! What strangers can bring about as often as they like is told in the log now and then, with how often it was.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// So long nothing is told after something was.
const SILENCE: Duration = Duration::from_secs(10);

/// Something that happens again and again.
#[derive(Debug, Default)]
pub(super) struct Paced {
    untold: Cell<u64>,
    told: Cell<Option<Instant>>,
}

impl Paced {
    /// It has happened: how often since it was told last, if it is to be told now.
    pub(super) fn note(&self) -> Option<u64> {
        let (count, now) = (self.untold.get() + 1, Instant::now());
        if self.told.get().is_some_and(|told| now.duration_since(told) < SILENCE) {
            self.untold.set(count);
            return None;
        }
        self.untold.set(0);
        self.told.set(Some(now));
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_are_counted() {
        let paced = Paced::default();
        assert_eq!([paced.note(), paced.note(), paced.note()], [Some(1), None, None]);
        paced.told.set(Instant::now().checked_sub(SILENCE));
        assert_eq!([paced.note(), paced.note()], [Some(3), None]);
    }
}

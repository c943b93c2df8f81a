//! The number and the time of each event.

use std::time::{Duration, SystemTime};

use supervisor::{Event, EventKind};

use super::EventDocument;

/// Numbers the events of one reader, and says when they happened: a number and a time for each.
///
/// Time goes by the wall clock as it is now and not as it was when the supervisor started, because clocks are set
/// right while supervisors run, above all soon after boot.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    /// How many events there have been.
    pub(crate) count: u64,
    /// When the supervisor started, on the clock that never jumps, as far as the events have told: the least late
    /// of them all.
    began: Option<std::time::Instant>,
}

impl Numbering {
    /// The numbering of events after `count` that went before.
    pub(crate) fn after(count: u64) -> Self {
        Self { count, began: None }
    }

    /// The document of the next event.
    pub(crate) fn document(&mut self, event: &Event) -> EventDocument {
        self.count += if let EventKind::Lost { count } = event.kind { count } else { 1 };
        let age = self.age(event.at);
        EventDocument::new(event, self.count, wall_clock().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// How long ago that was, so long after the start of the supervisor.
    fn age(&mut self, at: Duration) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "what is told late did not happen late")]
        let now = std::time::Instant::now();
        let Some(latest) = now.checked_sub(at) else { return Duration::ZERO };
        let began = self.began.map_or(latest, |began| began.min(latest));
        self.began = Some(began);
        latest.saturating_duration_since(began)
    }
}

#[expect(clippy::disallowed_methods, reason = "documents tell people when something happened")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_late_did_not_happen_late() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.age(Duration::from_millis(20)), Duration::ZERO);
        // So long after the first one, and told at the same moment: the first one was told late.
        let later = Duration::from_secs(60);
        assert!(numbering.age(Duration::from_millis(20) + later).is_zero());
        let age = numbering.age(Duration::from_millis(20));
        assert!(age >= later && age < later * 2, "{age:?}");
    }
}

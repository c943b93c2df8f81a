//! When something must happen by itself: at most one deadline for each component.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The deadlines of all components, the next one first.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Duration, u32)>,
    by_component: BTreeMap<u32, Duration>,
}

impl Deadlines {
    /// Replaces the component's deadline.
    pub(super) fn set(&mut self, component: u32, deadline: Option<Duration>) {
        let before = self.by_component.get(&component).copied();
        if before == deadline {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, component));
        }
        match deadline {
            Some(deadline) => {
                self.by_time.insert((deadline, component));
                self.by_component.insert(component, deadline);
            }
            None => drop(self.by_component.remove(&component)),
        }
    }

    /// The next deadline of all.
    pub(super) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(time, _)| *time)
    }

    /// Takes the next deadline that has come, if one has.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<u32> {
        let (_, component) = *self.by_time.first().filter(|(time, _)| *time <= now)?;
        self.set(component, None);
        Some(component)
    }
}

//! When something must happen by itself: at most one deadline for each component.

use std::collections::BTreeSet;
use std::time::Duration;

/// The deadlines of all components, the next one first.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Duration, u32)>,
    by_component: Vec<Option<Duration>>,
}

impl Deadlines {
    /// For so many components, with none set.
    pub(super) fn new(components: usize) -> Self {
        Self { by_time: BTreeSet::new(), by_component: vec![None; components] }
    }

    /// Replaces the component's deadline.
    pub(super) fn set(&mut self, component: u32, deadline: Option<Duration>) {
        let slot = &mut self.by_component[component as usize];
        if *slot == deadline {
            return;
        }
        if let Some(old) = slot.take() {
            self.by_time.remove(&(old, component));
        }
        if let Some(new) = deadline {
            self.by_time.insert((new, component));
        }
        *slot = deadline;
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

//! What the supervisor tells of its components: in what state they are, and what has happened to them.

use serde_json::Value;

use crate::site::Site;

/// A component, as `status --json` tells of it.
pub(crate) fn component(site: &Site, id: &str) -> Value {
    site.status().into_iter().find(|component| component["id"] == id).unwrap_or_default()
}

/// Whether a component is up, and has been restarted so often.
pub(crate) fn is_up(site: &Site, id: &str, restarts: u64) -> bool {
    let component = component(site, id);
    component["state"] == "up" && component["restarts"] == restarts
}

/// Everything that has happened, the oldest first, as `events --json` tells it.
pub(crate) struct Story(Vec<Value>);

impl Story {
    pub(crate) fn of(site: &Site) -> Self {
        let answer = site.ask(&["events", "-n", "10000", "--json"]);
        Self(answer.lines().map(|line| serde_json::from_str(line).expect("an event is JSON")).collect())
    }

    /// The same, once this has happened so often to this component: it is written down a moment later.
    pub(crate) fn once(site: &Site, id: &str, event: &str, times: usize) -> Self {
        let is_it = |told: &&Value| told["component"] == id && told["event"] == event;
        site.wait_until("journal", |site| Self::of(site).0.iter().filter(is_it).count() >= times);
        Self::of(site)
    }

    /// The first event of this name that happened to this component.
    pub(crate) fn first(&self, id: &str, event: &str) -> &Value {
        let first = self.0.iter().find(|told| told["component"] == id && told["event"] == event);
        first.unwrap_or_else(|| panic!("nothing is told of {id} {event}: {:#?}", self.0))
    }

    /// Asserts that these happened one after the other, each the first of its component and name.
    pub(crate) fn assert_order<const N: usize>(&self, events: [(&str, &str); N]) {
        let told =
            events.map(|(id, event)| self.first(id, event)["seq"].as_u64().expect("each has a number"));
        assert!(told.is_sorted(), "{events:?} happened in another order: {told:?}");
    }
}

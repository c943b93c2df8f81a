//! One component from all sides.

use std::time::Duration;

use super::Core;
use crate::spec::ComponentId;
use crate::status::{ComponentStatus, Detail};

impl Core {
    /// All that is known of the component of this key, but for its processes.
    pub(crate) fn detail(&self, now: Duration, key: u32) -> Detail {
        let now = self.now.max(now);
        let status = |keys: &[u32]| self.status_of(now, keys);
        let needs = self.graph.needs(key);
        let needed: Vec<_> = needs.iter().map(|(needed, _)| *needed).collect();
        let conditions = needs.iter().map(|(_, condition)| *condition);
        let id = |member: u32| -> ComponentId { self.spec(member).id.clone() };
        let component: ComponentStatus = status(&[key]).swap_remove(0);
        Detail {
            uptime: now.saturating_sub(self.began),
            component,
            spec: self.spec(key).clone(),
            past_runs: self.component(key).past_runs().cloned().collect(),
            depends_on: conditions.zip(status(&needed)).collect(),
            dependants: status(self.graph.needed_by(key)),
            group: self.groups.members(key).into_iter().map(id).collect(),
            processes: Vec::new(),
        }
    }
}

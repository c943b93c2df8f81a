//! Components that restart together.

use std::collections::{BTreeSet, HashMap};

use super::sequence::Wave;
use crate::spec::{ProcessSpec, Strategy};

/// The groups, and which of them are restarting.
#[derive(Debug)]
pub(super) struct Groups {
    /// By component: its group.
    of: HashMap<u32, usize>,
    groups: Vec<Group>,
    waves: u64,
}

#[derive(Debug)]
struct Group {
    strategy: Strategy,
    /// In start order.
    members: Vec<u32>,
    restart: Option<Restart>,
}

/// A restart of a group that is under way: nobody begins before all have ended and the wait of the first is over.
#[derive(Debug)]
pub(super) struct Restart {
    /// The member whose end began it.
    pub(super) leader: u32,
    /// Those whose runs have not ended yet.
    pub(super) running: BTreeSet<u32>,
}

impl Groups {
    pub(super) fn new(specs: &[ProcessSpec]) -> Self {
        let mut groups = Self { of: HashMap::new(), groups: Vec::new(), waves: 0 };
        let mut by_name = HashMap::new();
        for (key, spec) in (0..).zip(specs) {
            let Some(group) = &spec.restart_group else { continue };
            let index = *by_name.entry(group.name.as_str()).or_insert_with(|| {
                groups.groups.push(Group { strategy: group.strategy, members: Vec::new(), restart: None });
                groups.groups.len() - 1
            });
            groups.groups[index].members.push(key);
            groups.of.insert(key, index);
        }
        groups
    }

    /// Who may have to restart with this member.
    pub(super) fn companions(&self, key: u32) -> Vec<u32> {
        let Some(group) = self.of.get(&key).map(|index| &self.groups[*index]) else { return Vec::new() };
        let restarts_too = |other: &u32| match group.strategy {
            Strategy::OneForOne => false,
            Strategy::OneForAll => *other != key,
            Strategy::RestForOne => *other > key,
        };
        group.members.iter().copied().filter(restarts_too).collect()
    }

    /// All members of its group, in start order.
    pub(super) fn members(&self, key: u32) -> Vec<u32> {
        self.of.get(&key).map_or_else(Vec::new, |index| self.groups[*index].members.clone())
    }

    /// Begins a restart that this member leads, and gives it a wave of its own.
    pub(super) fn begin(&mut self, leader: u32, running: BTreeSet<u32>) -> Wave {
        if let Some(index) = self.of.get(&leader) {
            let group = &mut self.groups[*index];
            let mut running = running;
            // One that has begun already goes on within this one.
            running.extend(group.restart.take().into_iter().flat_map(|restart| restart.running));
            running.remove(&leader);
            group.restart = Some(Restart { leader, running });
        }
        self.waves += 1;
        Wave::of_group(self.waves)
    }

    /// The restart that a member takes part in.
    pub(super) fn restart(&self, key: u32) -> Option<&Restart> {
        self.of.get(&key).and_then(|index| self.groups[*index].restart.as_ref())
    }

    /// Takes note that nothing of a member runs any more, or that it need not be waited for.
    pub(super) fn ended(&mut self, key: u32) {
        if let Some(restart) = self.of.get(&key).and_then(|index| self.groups[*index].restart.as_mut()) {
            restart.running.remove(&key);
        }
    }

    /// The restart is over: its members may begin.
    pub(super) fn finish(&mut self, key: u32) {
        if let Some(index) = self.of.get(&key) {
            self.groups[*index].restart = None;
        }
    }
}

//! Components that restart together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::sequence::Wave;
use crate::spec::{ProcessSpec, Strategy};

/// The groups, and which of them are restarting.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// By component: the name of its group.
    of: HashMap<u32, Arc<str>>,
    groups: BTreeMap<Arc<str>, Group>,
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
    /// Who restarts together from now on, of these components in start order. A restart that is under way goes on among those that still
    /// belong to the group, unless its leader does not.
    pub(super) fn regroup<'a>(&mut self, members: impl Iterator<Item = (u32, &'a ProcessSpec)>) {
        let mut before = std::mem::take(&mut self.groups);
        self.of.clear();
        for (key, spec) in members {
            let Some(group) = &spec.restart_group else { continue };
            let name: Arc<str> = Arc::from(group.name.as_str());
            let of_this_name = self.groups.entry(Arc::clone(&name));
            let of_this_name = of_this_name.or_insert_with_key(|name| Group {
                strategy: group.strategy,
                members: Vec::new(),
                restart: before.remove(name).and_then(|group| group.restart),
            });
            of_this_name.members.push(key);
            self.of.insert(key, name);
        }
        for group in self.groups.values_mut() {
            let members = &group.members;
            group.restart = group.restart.take().filter(|restart| members.contains(&restart.leader));
            if let Some(restart) = &mut group.restart {
                restart.running.retain(|key| members.contains(key));
            }
        }
    }

    /// Who may have to restart with this member.
    pub(super) fn companions(&self, key: u32) -> Vec<u32> {
        let Some(group) = self.group(key) else { return Vec::new() };
        let mut members = group.members.iter().copied();
        match group.strategy {
            Strategy::OneForOne => Vec::new(),
            Strategy::OneForAll => members.filter(|other| *other != key).collect(),
            Strategy::RestForOne => {
                members.by_ref().find(|other| *other == key);
                members.collect()
            }
        }
    }

    /// All members of its group, in start order.
    pub(super) fn members(&self, key: u32) -> Vec<u32> {
        self.group(key).map_or_else(Vec::new, |group| group.members.clone())
    }

    /// Begins a restart that this member leads, and gives it a wave of its own.
    pub(super) fn begin(&mut self, leader: u32, running: BTreeSet<u32>) -> Wave {
        if let Some(group) = self.group_mut(leader) {
            let mut running = running;
            // One that has begun already goes on within this one.
            running.extend(group.restart.take().into_iter().flat_map(|restart| restart.running));
            running.remove(&leader);
            group.restart = Some(Restart { leader, running });
        }
        self.waves += 1;
        Wave::Group(self.waves)
    }

    /// The restart that a member takes part in.
    pub(super) fn restart(&self, key: u32) -> Option<&Restart> {
        self.group(key)?.restart.as_ref()
    }

    /// Takes note that nothing of a member runs any more, or that it need not be waited for.
    pub(super) fn ended(&mut self, key: u32) {
        if let Some(restart) = self.group_mut(key).and_then(|group| group.restart.as_mut()) {
            restart.running.remove(&key);
        }
    }

    /// The restart is over: its members may begin.
    pub(super) fn finish(&mut self, key: u32) {
        if let Some(group) = self.group_mut(key) {
            group.restart = None;
        }
    }

    fn group(&self, key: u32) -> Option<&Group> {
        self.groups.get(self.of.get(&key)?)
    }

    fn group_mut(&mut self, key: u32) -> Option<&mut Group> {
        self.groups.get_mut(self.of.get(&key)?)
    }
}

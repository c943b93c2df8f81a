//! Runs in control groups of their own: there nothing need be looked for. Who is in the group of a run belongs to it, and the
//! kernel tells when nobody is left.
//!
//! A component keeps its group from run to run, because to make one takes longer than to start a process in it; but one in
//! which was killed is not used again. Where groups
//! cannot be had, or only for some runs, the others are looked after by what can be seen of processes.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::{Look, Owner, Run, Runs};
use crate::error::SpawnError;
use crate::os::{self, ControlGroup, ControlGroups, Leftover, Members, OutOfMemory, Process, Watched};
use crate::spec::ComponentId;

/// The control groups of components.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_component: HashMap<u32, Group>,
    /// Of the poller, for the memory of these.
    keys: HashMap<usize, u32>,
    /// Those in the memory of which something has happened.
    rung: Vec<u32>,
    /// Why there are none any more.
    condition: Option<String>,
    /// None where there can be none. An orderly end removes it.
    folder: Option<ControlGroups>,
}

/// That of one component.
#[derive(Debug)]
struct Group {
    group: Arc<ControlGroup>,
    /// What the kernel says of memory of that group alone, where it does.
    memory: Option<OutOfMemory>,
    /// Whether anything was started in it.
    has_served: bool,
}

impl Runs {
    /// Has components started in control groups from now on.
    pub(in crate::supervisor) fn use_groups(&mut self, folder: Option<ControlGroups>) {
        self.groups.folder = folder;
    }

    /// The group in which a run of this component is to be started.
    pub(in crate::supervisor) fn group_for(
        &mut self,
        component: u32,
        id: &ComponentId,
    ) -> Option<Arc<ControlGroup>> {
        let known = self.groups.by_component.get(&component);
        if let Some(known) = known.filter(|known| !known.group.is_spent()) {
            return Some(Arc::clone(&known.group));
        }
        self.groups.forget(component);
        match self.groups.folder.as_mut()?.group(id.as_str()) {
            Ok(group) => Some(self.use_group(component, group?)),
            Err(error) => {
                self.groups.give_up(&os::in_words(&error));
                None
            }
        }
    }

    /// A component is none any more: its group is removed.
    pub(in crate::supervisor) fn forget_group(&mut self, component: u32) {
        let group = self.groups.forget(component).and_then(|known| Arc::into_inner(known.group));
        // One in which something is left is removed by an orderly end.
        group.into_iter().for_each(|group| drop(group.remove()));
    }

    /// What a run is to be started in after it could not be started in the group that it was to have: another group, if that
    /// one was of use before.
    pub(in crate::supervisor) fn instead_of_group(
        &mut self,
        component: u32,
        id: &ComponentId,
        error: &SpawnError,
    ) -> Option<Arc<ControlGroup>> {
        let refused = self.groups.forget(component);
        if refused.is_some_and(|refused| refused.has_served) {
            return self.group_for(component, id);
        }
        self.groups.give_up(&error.reason);
        None
    }

    /// The group of this component in which an earlier supervisor has started this process, if it has.
    pub(super) fn group_of_adopted(
        &mut self,
        component: u32,
        id: &ComponentId,
        main: &Process,
    ) -> Option<Arc<ControlGroup>> {
        let existing = self.groups.folder.as_ref()?.existing(id.as_str());
        Some(self.use_group(component, existing.filter(|group| group.has(main))?))
    }

    /// Whether the kernel has killed the main process of this run, or a task, because memory had run out.
    pub(super) fn is_kill_for_memory(&mut self, owner: Owner, now: Duration) -> bool {
        // What is counted for a group is counted for us as well, and explains nothing else.
        let by_all = self.out_of_memory.explains_an_end(now);
        let is_grouped = self.run(owner).is_some_and(|run| run.group.is_some());
        match owner {
            Owner::Run(run) if is_grouped => {
                let group = self.groups.by_component.get_mut(&run.component);
                let memory = group.and_then(|group| group.memory.as_mut());
                memory.map_or(by_all, |memory| memory.explains_an_end(now))
            }
            _ => by_all,
        }
    }

    /// Takes those out that have groups, and says what is left of them.
    pub(super) fn look_into_groups(
        &mut self,
        owners: &mut BTreeSet<Owner>,
        looks: &mut Vec<(Owner, Look)>,
        now: Duration,
    ) {
        let has_group = |owner: &Owner| self.run(*owner).is_some_and(|run| run.group.is_some());
        let grouped: Vec<_> = owners.iter().copied().filter(has_group).collect();
        for owner in grouped {
            owners.remove(&owner);
            looks.extend(self.look_into_group(owner, now).map(|look| (owner, look)));
        }
    }

    fn look_into_group(&mut self, owner: Owner, now: Duration) -> Option<Look> {
        let mut left = self.left_in_group(owner);
        let is_whole = |left: &Option<Members>| left.as_ref().is_none_or(|members| members.is_whole);
        if !left.as_ref().is_ok_and(is_whole) {
            let mut reserve = mem::take(&mut self.looking.reserve);
            left = reserve.lend(|| self.left_in_group(owner));
            self.looking.reserve = reserve;
        }
        match left {
            Ok(None) => {
                self.drop_ended(owner);
                self.note(owner, true, now)
            }
            // Somebody lives, or is just ending, who is not in sight. The kernel will tell.
            Ok(Some(Members { held, is_whole: true }))
                if held.is_empty() && !self.run(owner).is_some_and(Run::has_more) =>
            {
                None
            }
            Ok(Some(members)) => {
                self.hold(owner, members.held);
                self.note(owner, false, now)
            }
            Err(_) => self.note(owner, false, now),
        }
    }

    /// Those who are left in the group of a run beside its main process, if anybody is; and has the poller tell when that
    /// changes.
    fn left_in_group(&mut self, owner: Owner) -> io::Result<Option<Members>> {
        let Some(run) = self.run(owner) else { return Ok(None) };
        let Some((group, main)) = run.group() else { return Ok(None) };
        if let Some(population) = &run.population {
            return Ok(population.is_any()?.then(|| group.members(main)));
        }
        let population = match group.population() {
            // Somebody has removed it, which takes that it is empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            population => population?,
        };
        if !population.is_any()? {
            return Ok(None);
        }
        let members = group.members(main);
        // What has changed since it was read is told as well.
        self.last_key += 1;
        let population = Watched::for_priority(population, &self.poller, self.last_key)?;
        self.watched.insert(self.last_key, owner);
        if let Some(run) = self.run_mut(owner) {
            run.population = Some(population);
        }
        Ok(Some(members))
    }

    /// Lets go of processes that have ended, though the poller has not said so yet.
    fn drop_ended(&mut self, owner: Owner) {
        let Some(run) = self.run(owner) else { return };
        let ended = run.leftovers.iter().filter(|held| held.leftover.ends_within(Duration::ZERO));
        let keys: Vec<_> = ended.map(|held| held.leftover.key()).collect();
        for key in keys {
            self.noticed(key);
        }
    }

    fn use_group(&mut self, component: u32, group: ControlGroup) -> Arc<ControlGroup> {
        self.last_key += 1;
        let memory = OutOfMemory::in_group(group.path(), &self.poller, self.last_key);
        if memory.is_some() {
            self.groups.keys.insert(self.last_key, component);
        }
        let group = Arc::new(group);
        let known = Group { group: Arc::clone(&group), memory, has_served: false };
        self.groups.by_component.insert(component, known);
        group
    }
}

impl Run {
    /// Its control group, and the pid of its first process.
    pub(super) fn group(&self) -> Option<(Arc<ControlGroup>, u32)> {
        self.group.as_ref().map(|group| (Arc::clone(group), self.process.pid()))
    }

    /// The process of this pid, if it lives and belongs to the run.
    pub(super) fn member(&self, pid: u32) -> Option<Leftover> {
        match &self.group {
            Some(group) => group.member(pid),
            None => os::member(&self.asked(), pid),
        }
    }
}

impl Groups {
    /// The group in which that was started which now has its program.
    pub(super) fn started_in(&mut self, owner: Owner) -> Option<Arc<ControlGroup>> {
        let Owner::Run(run) = owner else { return None };
        let known = self.by_component.get_mut(&run.component)?;
        known.has_served = true;
        Some(Arc::clone(&known.group))
    }

    /// The poller has reported something.
    pub(super) fn noticed(&mut self, key: usize) {
        let Some(component) = self.keys.get(&key) else { return };
        self.rung.push(*component);
        let memory = self.by_component.get_mut(component).and_then(|group| group.memory.as_mut());
        if let Some(memory) = memory {
            memory.rung();
        }
    }

    /// Takes note of what the kernel has done, by which ends may be explained later.
    pub(super) fn look_at_memory(&mut self, now: Duration) {
        for component in mem::take(&mut self.rung) {
            let memory = self.by_component.get_mut(&component).and_then(|group| group.memory.as_mut());
            if let Some(memory) = memory {
                memory.look(now);
            }
        }
    }

    /// What people should know.
    pub(super) fn condition(&self) -> Option<String> {
        self.condition.clone()
    }

    /// Has this component no group any more.
    fn forget(&mut self, component: u32) -> Option<Group> {
        self.keys.retain(|_, its| *its != component);
        self.by_component.remove(&component)
    }

    /// Makes no more groups.
    fn give_up(&mut self, why: &str) {
        let Some(folder) = self.folder.take() else { return };
        self.condition = Some(format!(
            "cannot start components in control groups in {}: {why}; what hides whose it is may outlive its component",
            folder.path().display()
        ));
    }
}

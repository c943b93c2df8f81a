//! The processes of a run, as people see them.
//!
//! Only what the kernel tells at once is read: not the command lines, which lie in the memory of the processes, so that
//! one that hangs could hold up whoever reads them.

use std::collections::HashSet;

use super::cgroup::ControlGroup;
use super::proc::{Reader, Stat};
use super::usage::{MOST_DESCENDANTS, Sum};
use crate::status::{Detail, ProcessStatus, Usage};

/// What the main process of a run uses with what descends from it, if it lives, as a [`Meter`](super::Meter) would have it; and all
/// of these, and whoever else is in its control group, if it has one of its own: each after its parent, and no more than the first
/// [`Detail::MOST_PROCESSES`]. (By its pid, a process may have become another's by the time somebody looks at it; so it is looked
/// at only where its parent is the right one, or in the group.)
pub(crate) fn processes(main: u32, group: Option<&ControlGroup>) -> (Option<Usage>, Vec<ProcessStatus>) {
    let mut reader = Reader::default();
    let mut tree = Tree::default();
    tree.grow(&mut reader, main);
    let usage = tree.found.first().map(|_| tree.sum.usage());
    let members = group.and_then(|group| group.pids().ok()).unwrap_or_default();
    let mut others: Vec<u32> = members.iter().copied().filter(|pid| !tree.seen.contains(pid)).collect();
    // Those first whose parents are elsewhere: the others descend from them.
    let has_parent_here =
        |pid: &u32| Reader::default().stat(*pid).is_some_and(|stat| members.contains(&stat.parent));
    others.sort_by_cached_key(|pid| (has_parent_here(pid), *pid));
    for pid in others {
        tree.grow(&mut reader, pid);
    }
    (usage, tree.found)
}

#[derive(Default)]
struct Tree {
    found: Vec<ProcessStatus>,
    seen: HashSet<u32>,
    sum: Sum,
}

impl Tree {
    /// Adds this process, if it lives, and all that descends from it.
    fn grow(&mut self, reader: &mut Reader, root: u32) {
        let mut open = vec![(root, None)];
        while let Some((pid, parent)) = open.pop() {
            if self.seen.len() > MOST_DESCENDANTS || !self.seen.insert(pid) {
                continue;
            }
            let Some((stat, name)) = reader.stat_and_name(pid) else { continue };
            // A pid that has changed hands since it was listed has another parent.
            if parent.is_some_and(|parent| parent != stat.parent) || (parent.is_none() && stat.is_dead()) {
                continue;
            }
            self.sum.add(&stat);
            if stat.is_dead() {
                continue;
            }
            if self.found.len() < Detail::MOST_PROCESSES {
                self.found.push(status(&stat, pid, name));
            }
            let mut children = reader.children(pid, stat.threads);
            children.sort_unstable_by(|one, other| other.cmp(one));
            open.extend(children.into_iter().map(|child| (child, Some(pid))));
        }
    }
}

fn status(stat: &Stat, pid: u32, name: String) -> ProcessStatus {
    let Usage { memory, cpu } = Sum::of(stat).usage();
    ProcessStatus { pid, parent: stat.parent, name, memory, cpu }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;

    #[test]
    fn each_process_comes_after_its_parent_with_its_name_and_what_has_ended_does_not_come() {
        // The zombie is that of a program that does not wait for its children.
        let script = "sh -c 'sleep 1000 & sh -c \"exit 0\" & exec sleep 1001' & wait";
        let started = Component::shell(script).start();
        // A program that has only just begun has its name before it has any memory.
        let found = loop {
            let found = processes(started.pid(), None).1;
            if found.iter().map(|process| process.name.as_str()).eq(["sh", "sleep", "sleep"])
                && found.iter().all(|process| process.memory > 0)
            {
                break found;
            }
        };
        assert_eq!(found[0].pid, started.pid());
        assert_eq!((found[1].parent, found[2].parent), (found[0].pid, found[1].pid));
    }

    #[test]
    fn of_what_is_gone_there_are_no_processes() {
        let started = Component::shell("exit 0").start();
        started.wait();
        assert_eq!(processes(started.pid(), None).1, []);
    }
}

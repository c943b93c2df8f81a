//! What processes use.

use std::collections::HashMap;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};

use super::proc::{Reader, Stat, all_processes};
use crate::status::Usage;

/// The most descendants that are measured for one process; with more, the figures are those of the first so many.
const MOST_DESCENDANTS: usize = 1_000;

/// Resident memory and processor time of each of these processes and of its descendants; `None` if it is gone.
///
/// Memory that several of them share counts for each. The time of descendants that have ended counts once their
/// parents have waited for them.
pub(crate) fn usage(pids: &[u32]) -> Vec<Option<Usage>> {
    let mut reader = Reader::default();
    let all: Vec<u32> = all_processes().collect();
    // To walk down from a process is to read two files of each that is met. Where most of what runs on the machine is
    // asked for, it is cheaper to read one file of everything.
    if all.len() < 2 * pids.len() {
        let census = Census::take(&mut reader, all);
        let usage = |pid: &u32| usage_of(*pid, *census.stats.get(pid)?, |parent, _| census.children(parent));
        return pids.iter().map(usage).collect();
    }
    let usage =
        |pid: &u32| usage_of(*pid, reader.stat(*pid)?, |parent, stat| walk(&mut reader, parent, stat));
    pids.iter().map(usage).collect()
}

fn usage_of(pid: u32, main: Stat, mut children: impl FnMut(u32, Stat) -> Vec<(u32, Stat)>) -> Option<Usage> {
    if main.is_dead() {
        return None;
    }
    let (mut pages, mut ticks) = (main.resident_pages, main.cpu_ticks);
    let mut parents = vec![(pid, main)];
    let mut descendants = 0;
    while let Some((parent, stat)) = parents.pop() {
        for (child, stat) in children(parent, stat) {
            if descendants == MOST_DESCENDANTS {
                return Some(total(pages, ticks));
            }
            descendants += 1;
            pages = pages.saturating_add(stat.resident_pages);
            ticks = ticks.saturating_add(stat.cpu_ticks);
            parents.push((child, stat));
        }
    }
    Some(total(pages, ticks))
}

/// The children of a process, as the kernel lists them.
fn walk(reader: &mut Reader, parent: u32, stat: Stat) -> Vec<(u32, Stat)> {
    let children = reader.children(parent, stat.threads).into_iter();
    let children = children.filter_map(|child| Some((child, reader.stat(child)?)));
    // A pid that has changed hands since it was listed has another parent.
    children.filter(|(_, stat)| stat.parent == parent).collect()
}

/// All processes of the machine.
struct Census {
    stats: HashMap<u32, Stat>,
    by_parent: HashMap<u32, Vec<u32>>,
}

impl Census {
    fn take(reader: &mut Reader, pids: Vec<u32>) -> Self {
        let stats: HashMap<_, _> =
            pids.into_iter().filter_map(|pid| Some((pid, reader.stat(pid)?))).collect();
        let mut by_parent: HashMap<u32, Vec<u32>> = HashMap::new();
        for (pid, stat) in &stats {
            by_parent.entry(stat.parent).or_default().push(*pid);
        }
        Self { stats, by_parent }
    }

    fn children(&self, parent: u32) -> Vec<(u32, Stat)> {
        let children = self.by_parent.get(&parent).into_iter().flatten();
        children.filter_map(|child| Some((*child, *self.stats.get(child)?))).collect()
    }
}

fn total(pages: u64, ticks: u64) -> Usage {
    let memory = pages.saturating_mul(page_size() as u64);
    let cpu = Duration::from_millis(ticks.saturating_mul(1000) / clock_ticks_per_second().max(1));
    Usage { memory, cpu }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;

    fn usage_of_one(pid: u32) -> Option<Usage> {
        usage(&[pid])[0]
    }

    #[test]
    fn descendants_count_with_their_process() {
        // The grandchild stops itself, so that its memory does not change any more.
        let script = "sh -c 'sh -c \"echo \\$\\$; kill -STOP \\$\\$\" & wait' & wait";
        let mut started = Component::shell(script).start();
        let grandchild: u32 = started.line().parse().unwrap();

        let mut reader = Reader::default();
        let mut memory_of = |pid| reader.stat(pid).unwrap().resident_pages * page_size() as u64;
        let (main, grandchild) = (memory_of(started.pid()), memory_of(grandchild));
        assert!(main > 0 && grandchild > 0);
        let all = usage_of_one(started.pid()).unwrap().memory;
        assert!(all > main + grandchild, "the child between them counts as well: {all} {main} {grandchild}");
    }

    #[test]
    fn whether_few_or_most_processes_are_asked_for_makes_no_difference() {
        let script = "sh -c 'echo ready; kill -STOP $$' & wait";
        let mut started = Component::shell(script).start();
        started.line();
        let pid = started.pid();
        let walked = usage_of_one(pid).unwrap().memory;
        // More names of one process than there are processes.
        let most = vec![pid; 2 * all_processes().count()];
        let all = usage(&most);
        assert_eq!(all.len(), most.len());
        assert!(
            all.iter().all(|usage| usage.is_some_and(|usage| usage.memory == walked)),
            "{walked} {:?}",
            all[0]
        );
    }

    #[test]
    fn the_time_of_children_that_have_ended_counts() {
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let mut started = Component::shell(&format!("sh -c '{busy}'; echo ready; exec sleep 1000")).start();
        started.line();
        assert!(usage_of_one(started.pid()).unwrap().cpu > Duration::ZERO);
    }

    #[test]
    fn what_is_gone_uses_nothing() {
        let started = Component::shell("exit 0").start();
        started.wait();
        assert_eq!(usage_of_one(started.pid()), None, "a zombie");
        let pid = started.pid();
        started.into_process().reap();
        assert_eq!(usage_of_one(pid), None);
    }
}

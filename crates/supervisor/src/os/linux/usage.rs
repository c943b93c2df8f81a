//! What processes use.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::proc::{Reader, Stat, all_processes};
use crate::status::Usage;

/// The most descendants that are measured for one process; with more, the figures are those of the first so many.
const MOST_DESCENDANTS: usize = 1_000;

/// From so many processes on it is worth while to see how many there are in all.
const MANY: usize = 32;

/// Which part of the descriptors that this process may have are kept for measuring: one in so many.
const KEPT_SHARE: u64 = 4;

/// Measures processes. It keeps the files of those that it is asked about in great number, because opening one costs
/// as much as reading it; such a file never comes to mean another process, as a pid may.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    kept: HashMap<u32, OwnedFd>,
}

impl Meter {
    /// Resident memory and processor time of each of these processes, with its descendants; `None` where it is gone.
    ///
    /// Memory that several of them share counts for each. The time of descendants that have ended counts once their
    /// parents have waited for them.
    pub(crate) fn usages(&mut self, pids: &[u32]) -> Vec<Option<Usage>> {
        let mut reader = Reader::default();
        let everybody: Vec<u32> = if pids.len() < MANY { Vec::new() } else { all_processes().collect() };
        // Looking at strangers costs as much as asking a process for its children.
        if everybody.is_empty() || everybody.len() > 2 * pids.len() {
            return pids.iter().map(|pid| tree(&mut reader, *pid)).collect();
        }
        let mains: HashSet<u32> = pids.iter().copied().collect();
        self.kept.retain(|pid, _| mains.contains(pid));
        let stat = |pid| {
            let stat = if mains.contains(&pid) { self.main(&mut reader, pid) } else { reader.stat(pid) };
            Some((pid, stat?))
        };
        sums(&everybody.into_iter().filter_map(stat).collect(), pids)
    }

    fn main(&mut self, reader: &mut Reader, pid: u32) -> Option<Stat> {
        if let Some(stat) = self.kept.get(&pid).and_then(|file| reader.stat_again(file)) {
            return Some(stat);
        }
        let (file, stat) = reader.open_stat(pid)?;
        let room = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / KEPT_SHARE;
        if (self.kept.len() as u64) < room {
            self.kept.insert(pid, file);
        } else {
            self.kept.remove(&pid);
        }
        Some(stat)
    }
}

/// One process and what it descends to.
fn tree(reader: &mut Reader, pid: u32) -> Option<Usage> {
    let main = reader.stat(pid).filter(|stat| !stat.is_dead())?;
    let mut sum = Sum::of(&main);
    let mut parents: Vec<(u32, Stat)> = vec![(pid, main)];
    let mut descendants = 0;
    while let Some((parent, stat)) = parents.pop() {
        for child in reader.children(parent, stat.threads) {
            if descendants == MOST_DESCENDANTS {
                return Some(sum.usage());
            }
            // A pid that has changed hands since it was listed has another parent.
            let Some(stat) = reader.stat(child).filter(|stat| stat.parent == parent) else { continue };
            descendants += 1;
            sum.add(&stat);
            parents.push((child, stat));
        }
    }
    Some(sum.usage())
}

/// Of all processes of the machine, each counts for the first of `pids` among its ancestors and itself.
fn sums(stats: &HashMap<u32, Stat>, pids: &[u32]) -> Vec<Option<Usage>> {
    let lives = |pid: &u32| stats.get(pid).is_some_and(|stat| !stat.is_dead());
    let living = pids.iter().copied().filter(lives);
    let mut sums: HashMap<u32, Sum> = living.map(|pid| (pid, Sum::default())).collect();
    for (pid, stat) in stats {
        let mut ancestor = *pid;
        // Pids may have changed hands while they were read, so that parents could go round in a circle.
        for _ in 0..MOST_DESCENDANTS {
            if let Some(sum) = sums.get_mut(&ancestor) {
                sum.add(stat);
                break;
            }
            let Some(next) = stats.get(&ancestor) else { break };
            ancestor = next.parent;
        }
    }
    pids.iter().map(|pid| sums.get(pid).map(Sum::usage)).collect()
}

/// What several processes use together.
#[derive(Default)]
struct Sum {
    pages: u64,
    ticks: u64,
}

impl Sum {
    fn of(stat: &Stat) -> Self {
        Self { pages: stat.resident_pages, ticks: stat.cpu_ticks }
    }

    fn add(&mut self, stat: &Stat) {
        self.pages = self.pages.saturating_add(stat.resident_pages);
        self.ticks = self.ticks.saturating_add(stat.cpu_ticks);
    }

    fn usage(&self) -> Usage {
        let memory = self.pages.saturating_mul(page_size() as u64);
        let cpu = Duration::from_millis(self.ticks.saturating_mul(1000) / clock_ticks_per_second().max(1));
        Usage { memory, cpu }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;

    fn measure(pids: &[u32]) -> Vec<Option<Usage>> {
        Meter::default().usages(pids)
    }

    #[test]
    fn what_is_kept_of_a_process_never_comes_to_mean_another_and_is_let_go_with_it() {
        let started = Component::shell("exec sleep 1000").start();
        let pids = [started.pid(); 100_000];
        let mut meter = Meter::default();
        assert!(meter.usages(&pids)[0].is_some());
        assert!(meter.usages(&pids)[0].is_some(), "read again");
        assert_eq!(meter.kept.len(), 1);
        started.process().kill();
        started.wait();
        started.into_process().reap();
        assert!(meter.usages(&pids).iter().all(Option::is_none));
        assert!(meter.usages(&[u32::MAX; 100_000]).iter().all(Option::is_none));
        assert!(meter.kept.is_empty());
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
        let together = measure(&[started.pid()])[0].unwrap().memory;
        assert!(together > main + grandchild, "the child between them counts as well");
        // More than half of all processes, so that all are looked at.
        let many: Vec<u32> = std::iter::repeat_n(u32::MAX, 100_000).chain([started.pid()]).collect();
        let by_looking = measure(&many).pop().unwrap().unwrap().memory;
        // The kernel counts roughly; each of the three is far more than this.
        assert!(
            by_looking.abs_diff(together) < together / 6,
            "both ways say the same: {by_looking} {together}"
        );
    }

    #[test]
    fn the_time_of_children_that_have_ended_counts() {
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let mut started = Component::shell(&format!("sh -c '{busy}'; echo ready; exec sleep 1000")).start();
        started.line();
        assert!(measure(&[started.pid()])[0].unwrap().cpu > Duration::ZERO);
    }

    #[test]
    fn what_is_gone_uses_nothing() {
        let started = Component::shell("exit 0").start();
        started.wait();
        assert_eq!(measure(&[started.pid()]), [None], "a zombie");
        assert!(measure(&[started.pid(); 100_000]).iter().all(Option::is_none));
        let pid = started.pid();
        started.into_process().reap();
        assert_eq!(measure(&[pid]), [None]);
    }
}

//! What processes use.

use std::collections::HashMap;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::proc::{Reader, Stat};
use crate::status::Usage;

/// The most descendants that are measured for one process; with more, the figures are those of the first so many.
pub(super) const MOST_DESCENDANTS: usize = 1_000;

/// From so many processes on it is worth while to see how many there are in all.
const MANY: usize = 32;

/// The most threads that look at processes together.
const MOST_HELPERS: usize = 4;

/// Which part of the descriptors that this process may have are kept for measuring: one in so many.
const KEPT_SHARE: u64 = 4;

/// Measures processes. Where it looks at everybody it keeps their files, because opening one costs
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
        let everybody: Vec<u32> =
            if pids.len() < MANY { Vec::new() } else { reader.all_processes().collect() };
        // Looking at strangers costs as much as asking a process for its children.
        if everybody.is_empty() || everybody.len() > 2 * pids.len() {
            return pids.iter().map(|pid| tree(&mut reader, *pid)).collect();
        }
        let mut stats = HashMap::with_capacity(everybody.len());
        for (pid, stat, opened) in self.look_at(&everybody) {
            stats.insert(pid, stat);
            self.keep(pid, opened);
        }
        self.kept.retain(|pid, _| stats.contains_key(pid));
        sums(&stats, pids)
    }

    /// Looks at all of these processes, several of them at a time: the kernel takes microseconds for each.
    fn look_at(&self, everybody: &[u32]) -> Vec<Seen> {
        let helpers = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_HELPERS);
        let mut parts = everybody.chunks(everybody.len().div_ceil(helpers).max(MANY));
        let mine = parts.next().unwrap_or_default();
        let look = |part| self.look_at_part(part);
        thread::scope(|scope| {
            let helped = |part| {
                let name = thread::Builder::new().name("measuring".to_owned());
                (part, name.spawn_scoped(scope, move || look(part)))
            };
            let helpers: Vec<_> = parts.map(helped).collect();
            let mut seen = look(mine);
            for (part, helper) in helpers {
                let helped = helper.ok().and_then(|helper| helper.join().ok());
                seen.extend(helped.unwrap_or_else(|| look(part)));
            }
            seen
        })
    }

    fn look_at_part(&self, part: &[u32]) -> Vec<Seen> {
        let mut reader = Reader::default();
        let look = |pid: &u32| {
            if let Some(stat) = self.kept.get(pid).and_then(|file| reader.stat_again(file)) {
                return Some((*pid, stat, None));
            }
            let (file, stat) = reader.open_stat(*pid)?;
            Some((*pid, stat, Some(file)))
        };
        part.iter().filter_map(look).collect()
    }

    /// Keeps the file of a process for the next time, if it was opened and there is room for it.
    fn keep(&mut self, pid: u32, opened: Option<OwnedFd>) {
        let Some(file) = opened else { return };
        let room = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / KEPT_SHARE;
        if (self.kept.len() as u64) < room {
            self.kept.insert(pid, file);
        } else {
            self.kept.remove(&pid);
        }
    }
}

/// A process, what was read of it, and the file if it had to be opened.
type Seen = (u32, Stat, Option<OwnedFd>);

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
pub(super) struct Sum {
    pages: u64,
    ticks: u64,
}

impl Sum {
    pub(super) fn of(stat: &Stat) -> Self {
        Self { pages: stat.resident_pages, ticks: stat.cpu_ticks }
    }

    pub(super) fn add(&mut self, stat: &Stat) {
        self.pages = self.pages.saturating_add(stat.resident_pages);
        self.ticks = self.ticks.saturating_add(stat.cpu_ticks);
    }

    pub(super) fn usage(&self) -> Usage {
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
        assert!(meter.kept.contains_key(&started.pid()));
        started.process().kill();
        started.wait();
        let pid = started.pid();
        started.into_process().reap();
        assert!(meter.usages(&pids).iter().all(Option::is_none));
        assert!(!meter.kept.contains_key(&pid));
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

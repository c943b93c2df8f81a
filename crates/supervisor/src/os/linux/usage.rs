//! What a process uses.

use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};

use super::proc::{Reader, Stat};
use crate::status::Usage;

/// The most descendants that are measured for one process; with more, the figures are those of the first so many.
const MOST_DESCENDANTS: usize = 1_000;

/// Resident memory and processor time of a process and of its descendants; `None` if it is gone.
///
/// Memory that several of them share counts for each. The time of descendants that have ended counts once their
/// parents have waited for them.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let mut reader = Reader::default();
    let main = reader.stat(pid).filter(|stat| !stat.is_dead())?;
    let (mut pages, mut ticks) = (main.resident_pages, main.cpu_ticks);
    let mut parents: Vec<(u32, Stat)> = vec![(pid, main)];
    let mut descendants = 0;
    while let Some((parent, stat)) = parents.pop() {
        for child in reader.children(parent, stat.threads) {
            if descendants == MOST_DESCENDANTS {
                return Some(total(pages, ticks));
            }
            // A pid that has changed hands since it was listed has another parent.
            let Some(stat) = reader.stat(child).filter(|stat| stat.parent == parent) else { continue };
            descendants += 1;
            pages = pages.saturating_add(stat.resident_pages);
            ticks = ticks.saturating_add(stat.cpu_ticks);
            parents.push((child, stat));
        }
    }
    Some(total(pages, ticks))
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
        let all = usage(started.pid()).unwrap().memory;
        assert!(all > main + grandchild, "the child between them counts as well: {all} {main} {grandchild}");
    }

    #[test]
    fn the_time_of_children_that_have_ended_counts() {
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let mut started = Component::shell(&format!("sh -c '{busy}'; echo ready; exec sleep 1000")).start();
        started.line();
        assert!(usage(started.pid()).unwrap().cpu > Duration::ZERO);
    }

    #[test]
    fn what_is_gone_uses_nothing() {
        let started = Component::shell("exit 0").start();
        started.wait();
        assert_eq!(usage(started.pid()), None, "a zombie");
        let pid = started.pid();
        started.into_process().reap();
        assert_eq!(usage(pid), None);
    }
}

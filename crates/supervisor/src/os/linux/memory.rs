//! How much memory a component uses, for those that have a limit.
//!
//! What counts is what the machine would get back if the component were ended: memory of its own (anonymous), shared
//! memory and what of both is swapped out. Files that are mapped do not count. What several processes share counts once,
//! because each of them bears its part of it.

use std::collections::HashSet;

use rustix::process::getpid;

use super::proc::Reader;
use crate::os::RUN_VARIABLE;

/// The most processes that are measured for one component.
const MOST: usize = 1_000;

/// Parts of shared memory, in `smaps_rollup`. <https://docs.kernel.org/filesystems/proc.html>
const SHARES: [&str; 3] = ["Pss_Anon:", "Pss_Shmem:", "SwapPss:"];

/// Whole sizes, in `status`.
const SIZES: [&str; 3] = ["RssAnon:", "RssShmem:", "VmSwap:"];

/// The memory, in bytes, that this process, its descendants and the orphans with this token use together. What is shared
/// counts for each process that we are not allowed to look at closely.
///
/// This may take long: the kernel goes through all of their memory.
pub(crate) fn memory(pid: u32, token: &str, orphans_come_to_us: bool) -> u64 {
    let mut reader = Reader::default();
    let own = getpid().as_raw_nonzero().get().unsigned_abs();
    let orphans = if orphans_come_to_us { reader.children_of_thread(own, own) } else { None };
    let family = family(&mut reader, pid, token, orphans.unwrap_or_default());
    family.into_iter().fold(0, |sum: u64, pid| sum.saturating_add(memory_of(&mut reader, pid)))
}

/// The process and its descendants, and the trees of those orphans that have this token. A daemon is an orphan itself, and
/// still each is in it once.
fn family(reader: &mut Reader, pid: u32, token: &str, orphans: Vec<u32>) -> HashSet<u32> {
    let mut family: HashSet<_> = reader.tree(pid, MOST).into_iter().collect();
    for orphan in orphans {
        if family.len() < MOST
            && !family.contains(&orphan)
            && reader.variable(orphan, [RUN_VARIABLE]) == Some(token.as_bytes())
        {
            let room = MOST - family.len();
            family.extend(reader.tree(orphan, room));
        }
    }
    family
}

/// Nothing for one that is gone.
fn memory_of(reader: &mut Reader, pid: u32) -> u64 {
    let mut of = |file: &str, names| {
        let text = reader.read(&format!("/proc/{pid}/{file}"))?;
        sum_of(str::from_utf8(text).ok()?, names)
    };
    of("smaps_rollup", SHARES).or_else(|| of("status", SIZES)).unwrap_or(0)
}

/// The sum of these lines, in bytes; `None` if there is none of them.
fn sum_of(text: &str, names: [&str; 3]) -> Option<u64> {
    let kilobytes = |line: &str| {
        let value = names.iter().find_map(|name| line.strip_prefix(name))?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let lines = text.lines().filter_map(kilobytes);
    lines.reduce(u64::saturating_add).map(|sum| sum.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;

    #[test]
    fn the_lines_that_count_are_added_up() {
        let rollup = "55d0-7fff ---p 00000000 00:00 0 [rollup]\nRss: 999 kB\nPss: 500 kB\nPss_Anon:  40 kB\n\
                      Pss_File: 400 kB\nPss_Shmem:  2 kB\nSwap: 77 kB\nSwapPss:  1 kB\n";
        assert_eq!(sum_of(rollup, SHARES), Some(43 * 1024));
        assert_eq!(sum_of("VmRSS: 9 kB\nRssAnon:\t 5 kB\nRssFile: 4 kB\n", SIZES), Some(5 * 1024));
        assert_eq!(sum_of("Name: x\nState: Z (zombie)\n", SIZES), None);
    }

    #[test]
    fn descendants_count_and_files_do_not() {
        // A shell keeps a variable of 30 MB, and so does its child; both have stopped when they are measured.
        let large = "x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo ready; kill -STOP $$; :";
        let mut both = Component::new("/bin/sh", &["-c", "sh -c \"$1\" & eval \"$1\"", "sh", large]).start();
        assert_eq!((both.line(), both.line()), ("ready".into(), "ready".into()));
        let together = memory(both.pid(), both.token(), false);
        assert!((60_000_000..200_000_000).contains(&together), "{together}");
        let other = Component::new("/bin/sleep", &["1000"]).start();
        let small = memory(other.pid(), other.token(), false);
        assert!((1..5_000_000).contains(&small), "{small}");
    }

    #[test]
    fn a_daemon_that_is_named_and_an_orphan_as_well_counts_once() {
        let mut daemon = Component::shell("sleep 1000 & echo $!; wait").start();
        let child: u32 = daemon.line().parse().unwrap();
        // It has an environment by which it is known once its program runs.
        let mut beside = Component::shell("echo; kill -STOP $$");
        daemon.token().clone_into(&mut beside.token);
        let (mut beside, stranger) = (beside.start(), Component::new("/bin/sleep", &["1000"]).start());
        beside.line();
        let orphans = vec![daemon.pid(), beside.pid(), stranger.pid(), child];
        let family = family(&mut Reader::default(), daemon.pid(), daemon.token(), orphans);
        assert_eq!(family, HashSet::from([daemon.pid(), child, beside.pid()]));
    }

    #[test]
    fn what_is_gone_uses_nothing() {
        let started = Component::new("/bin/true", &[]).start();
        started.wait();
        assert_eq!(memory(started.pid(), started.token(), false), 0);
    }
}

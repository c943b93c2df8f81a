//! The orphans that come to us, if this process is a subreaper or process 1.
//!
//! The kernel gives them to the first living thread of it, which is the main thread; main processes of runs are children
//! of the driver's thread. So the children of our main thread are just the orphans, and all of `/proc` need not be read.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use super::leftovers::{our_pid, pid_of};
use super::proc::Reader;

/// Kills the orphans that have come to us, and those that come to us by that, and waits until they are gone: for a
/// second at most.
pub(crate) fn end_orphans(is_main: impl Fn(u32) -> bool) {
    const ROUNDS: usize = 20;
    let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let mut reader = Reader::default();
    for _ in 0..ROUNDS {
        reap_orphans(&is_main);
        // They are children of ours that nobody else reaps, so that their pids are their own.
        let orphans = reader.children_of_thread(our_pid(), our_pid()).unwrap_or_default();
        let orphans = orphans.into_iter().filter(|pid| !is_main(*pid)).filter_map(pid_of);
        let held: Vec<_> = orphans.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
        let Some(first) = held.first() else { return };
        for orphan in &held {
            let _ = pidfd_send_signal(orphan, Signal::KILL);
        }
        let _ = poll(&mut [PollFd::new(first, PollFlags::IN)], Some(&patience));
    }
}

/// Reaps the orphans among our main thread's children that have ended, but never the main process of a run.
///
/// Only for a process that is a subreaper or process 1: what its main thread has started itself is reaped too.
pub(crate) fn reap_orphans(is_main: impl Fn(u32) -> bool) {
    let (mut reader, own) = (Reader::default(), our_pid());
    let children = reader.children_of_thread(own, own).unwrap_or_else(|| {
        let all = reader.all_processes();
        all.filter(|pid| reader.stat(*pid).is_some_and(|stat| stat.parent == own)).collect()
    });
    for child in children.into_iter().filter(|pid| !is_main(*pid)).filter_map(pid_of) {
        // Nothing but our own children can be waited for, and only what has ended is.
        let _ = retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOHANG));
    }
}

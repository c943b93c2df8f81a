//! Linux: processes are held by pidfds, everything else is read from `/proc`.

mod leftovers;
mod proc;
mod process;
mod usage;

use rustix::io;
use rustix::process::{Gid, Uid};
use rustix::thread;

pub(crate) use leftovers::{Leftover, descendants, leftovers, reap_orphans};
pub(crate) use process::{Process, destroy, spawn};
pub(crate) use usage::Meter;

// The ids of the calling thread, for the child of a fork, which has but one. These are the system calls themselves:
// the C library's functions of the same purpose would look for other threads to change, under a lock.

/// Sets the supplementary groups.
pub(super) fn set_groups(groups: &[Gid]) -> io::Result<()> {
    thread::set_thread_groups(groups)
}

/// Sets the real, effective and saved group.
pub(super) fn set_group(group: Gid) -> io::Result<()> {
    thread::set_thread_res_gid(group, group, group)
}

/// Sets the real, effective and saved user, after which there is no way back.
pub(super) fn set_user(user: Uid) -> io::Result<()> {
    thread::set_thread_res_uid(user, user, user)
}

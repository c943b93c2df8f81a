//! Linux: processes are held by pidfds, everything else is read from `/proc`.

mod adopted;
mod bearers;
mod descendants;
mod facts;
mod identity;
mod launch_pad;
mod leftovers;
mod member;
mod memory;
mod notify_socket;
mod orphans;
mod out_of_memory;
mod pipes;
mod proc;
mod process;
mod usage;

use rustix::io;
use rustix::process::{Gid, Uid};
use rustix::thread;

pub(crate) use adopted::Fate;
pub(crate) use bearers::{Bearer, bearers, families};
pub(crate) use descendants::descendants;
pub(crate) use facts::facts;
pub(crate) use identity::{Identity, Place};
pub(crate) use launch_pad::LaunchPad;
pub(super) use launch_pad::{pass_on, reset_signals};
#[cfg(test)]
pub(crate) use leftovers::leftovers;
pub(crate) use leftovers::{Leftover, leftovers_at_once, leftovers_by_token};
pub(crate) use member::{may_speak_for_all, member, user_of};
pub(crate) use memory::memory;
pub(crate) use notify_socket::{NotifySocket, Sender};
pub(crate) use orphans::{end_orphans, reap_orphans};
pub(crate) use out_of_memory::OutOfMemory;
pub(crate) use pipes::{
    Lens, PIPE_SIZE, discard, enlarge, give_to, held_by, is_at_end, make_fifo, most_large_pipes,
    move_to_file, open_fifo,
};
pub(crate) use process::{Process, destroy, spawn};
pub(crate) use usage::Meter;

// The ids of the calling thread, for the child of a fork, which has but one. These are the system calls themselves:
// the C library's functions of the same purpose would look for other threads to change, under a lock.

/// Has the exec close every descriptor but the first three. Before Linux 5.11 it is left as it is.
pub(super) fn close_others_on_exec() {
    // SAFETY: a call with numbers, which closes nothing now.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

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

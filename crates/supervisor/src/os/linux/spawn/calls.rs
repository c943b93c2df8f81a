//! What a child asks of the kernel on its way, by system calls and nothing else: `posix/child.rs` says in which order.

use std::ffi::{CStr, c_char, c_long};

use rustix::io::Errno;

use super::system::{self, call};
use crate::os::posix::Bounds;

/// A call with numbers alone, which touches no memory.
pub(super) fn plain(number: c_long, arguments: [usize; 4]) -> Result<(), Errno> {
    // SAFETY: that is why.
    unsafe { call(number, arguments) }.map(drop)
}

pub(in crate::os) fn change_to(folder: &CStr) -> Result<(), Errno> {
    // SAFETY: a text that ends with null.
    unsafe { call(libc::SYS_chdir, [folder.as_ptr() as usize, 0, 0, 0]) }.map(drop)
}

pub(in crate::os) fn set_limit(resource: usize, bounds: Bounds) -> Result<(), Errno> {
    let [rlim_cur, rlim_max] = [bounds.soft, bounds.hard].map(|bound| bound.unwrap_or(libc::RLIM64_INFINITY));
    let limit = libc::rlimit64 { rlim_cur, rlim_max };
    let (itself, unasked) = (0, 0);
    // SAFETY: the call reads the limit, and writes nothing.
    unsafe { call(libc::SYS_prlimit64, [itself, resource, &raw const limit as usize, unasked]) }.map(drop)
}

pub(in crate::os) fn set_niceness(nice: i32) -> Result<(), Errno> {
    plain(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, 0, nice as usize, 0])
}

pub(in crate::os) fn set_umask(umask: u32) {
    // It cannot fail.
    let _ = plain(libc::SYS_umask, [umask as usize, 0, 0, 0]);
}

pub(in crate::os) fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: as many groups as are said, each a number of 32 bits.
    unsafe { call(system::SET_GROUPS, [groups.len(), groups.as_ptr() as usize, 0, 0]) }.map(drop)
}

pub(in crate::os) fn set_group(group: u32) -> Result<(), Errno> {
    let group = group as usize;
    plain(system::SET_GROUP, [group, group, group, 0])
}

pub(in crate::os) fn set_user(user: u32) -> Result<(), Errno> {
    let user = user as usize;
    plain(system::SET_USER, [user, user, user, 0])
}

/// Has the kernel send the calling process this signal when its parent dies. One that has died before is found out by its pid.
pub(in crate::os) fn end_with_parent(signal: i32, parent: u32) -> Result<(), Errno> {
    plain(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, signal as usize, 0, 0])?;
    // SAFETY: it takes nothing.
    match unsafe { call(libc::SYS_getppid, [0; 4]) } {
        Ok(pid) if pid == parent as usize => Ok(()),
        _ => Err(Errno::SRCH),
    }
}

/// Becomes a program, or comes back with the reason.
///
/// # Safety
/// A text that ends with null, and two lists of such texts that end with null.
pub(in crate::os) unsafe fn execute(
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) -> Errno {
    // SAFETY: the caller says so.
    match unsafe { call(libc::SYS_execve, [program as usize, arguments as usize, environment as usize, 0]) } {
        // It does not come back then.
        Ok(_) => Errno::INVAL,
        Err(errno) => errno,
    }
}

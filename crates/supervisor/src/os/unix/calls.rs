//! What a child asks of the system on its way, by functions of the C library that may be called after `fork`: `posix/child.rs` says
//! in which order.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;

use rustix::io::Errno;

use crate::os::posix::Bounds;

/// Higher than the number of any signal; what is none is refused.
const LAST_SIGNAL: c_int = 127;

/// Up to which number descriptors are looked at that somebody may have left open for everybody.
const MOST_DESCRIPTORS: RawFd = 4096;

/// What a function has answered that says -1 where it has failed.
fn done(answer: c_int) -> Result<(), Errno> {
    if answer != -1 {
        return Ok(());
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

/// Begins a process group.
pub(super) fn lead_a_group() -> Result<(), Errno> {
    // SAFETY: it takes numbers.
    done(unsafe { libc::setpgid(0, 0) })
}

/// Has the exec close every descriptor but the first three, as far as their numbers are not very high. (What we open ourselves is
/// closed by it whatever its number.)
pub(super) fn close_others_on_exec() {
    for number in 3..MOST_DESCRIPTORS {
        // SAFETY: it takes numbers; that there is no such descriptor does no harm.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Has the program find `descriptor` as `number`.
pub(super) fn pass_on(descriptor: RawFd, number: RawFd) -> Result<(), Errno> {
    if descriptor == number {
        // SAFETY: it takes numbers.
        return done(unsafe { libc::fcntl(number, libc::F_SETFD, 0) });
    }
    // SAFETY: what is open as that number is closed, and nothing in this child uses it again.
    done(unsafe { libc::dup2(descriptor, number) })
}

/// Has every signal as the system has it, and lets signals come.
pub(super) fn reset_signals() {
    // SAFETY: structs of numbers, which are filled before they are used; the actions and the mask of a child are its own.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigemptyset(&raw mut action.sa_mask);
        for signal in 1..=LAST_SIGNAL {
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const action.sa_mask, ptr::null_mut());
    }
}

pub(in crate::os) fn change_to(folder: &CStr) -> Result<(), Errno> {
    // SAFETY: a text that ends with null.
    done(unsafe { libc::chdir(folder.as_ptr()) })
}

pub(in crate::os) fn set_limit(resource: usize, bounds: Bounds) -> Result<(), Errno> {
    // What the system cannot count to is no limit. The systems differ in whether their numbers have a sign.
    let none = libc::RLIM_INFINITY;
    let bound = |bound: Option<u64>| bound.map_or(none, |bound| bound.min(none as u64) as libc::rlim_t);
    let limit = libc::rlimit { rlim_cur: bound(bounds.soft), rlim_max: bound(bounds.hard) };
    // SAFETY: the call reads the limit; the number is one of its own, in the type that it has here.
    done(unsafe { libc::setrlimit(resource as _, &raw const limit) })
}

pub(in crate::os) fn set_niceness(nice: i32) -> Result<(), Errno> {
    // SAFETY: it takes numbers.
    done(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })
}

pub(in crate::os) fn set_umask(umask: u32) {
    // SAFETY: it takes a number, and cannot fail. No mask is above 0777.
    unsafe { libc::umask(umask as libc::mode_t) };
}

pub(in crate::os) fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: as many groups as are said: no more than a number of any type can count.
    done(unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) })
}

/// For root, all of its ids.
pub(in crate::os) fn set_group(group: u32) -> Result<(), Errno> {
    // SAFETY: it takes a number.
    done(unsafe { libc::setgid(group) })
}

/// The same.
pub(in crate::os) fn set_user(user: u32) -> Result<(), Errno> {
    // SAFETY: it takes a number.
    done(unsafe { libc::setuid(user) })
}

/// Nobody is told of a parent's death: whoever asks for that is refused before.
pub(in crate::os) fn end_with_parent(_signal: i32, _parent: u32) -> Result<(), Errno> {
    Err(Errno::NOSYS)
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
    let answer = unsafe { libc::execve(program, arguments, environment) };
    done(answer).err().unwrap_or(Errno::INVAL)
}

//! System calls as the kernel knows them, for a child that lives in our memory.
//!
//! The C library's functions are not for it. They write `errno`, which is that of the thread that started the child and
//! goes on meanwhile; and those that change ids signal all threads of the process to change theirs too.

use std::ffi::{c_int, c_long, c_void};
use std::io;

use rustix::io::Errno;

#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
pub(super) use libc::{SYS_setgroups as SET_GROUPS, SYS_setresgid as SET_GROUP, SYS_setresuid as SET_USER};
// Those without the digits take ids of sixteen bits there.
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
pub(super) use libc::{
    SYS_setgroups32 as SET_GROUPS, SYS_setresgid32 as SET_GROUP, SYS_setresuid32 as SET_USER,
};

/// What begins in a child.
pub(super) type Entry = extern "C" fn(*mut c_void) -> c_int;

/// Whether [`call`] leaves `errno` alone, so that the child may run beside the thread that has started it.
pub(super) const RUNS_BESIDE: bool = cfg!(target_arch = "x86_64");

/// What `clone3` takes (`linux/sched.h`), up to Linux 5.7.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct CloneArguments {
    pub(super) flags: u64,
    pub(super) pidfd: u64,
    pub(super) child_tid: u64,
    pub(super) parent_tid: u64,
    pub(super) exit_signal: u64,
    pub(super) stack: u64,
    pub(super) stack_size: u64,
    pub(super) tls: u64,
    pub(super) set_tid: u64,
    pub(super) set_tid_size: u64,
    pub(super) cgroup: u64,
}

/// A system call.
///
/// # Safety
/// The arguments are as this call wants them.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn call(number: c_long, arguments: [usize; 4]) -> Result<usize, Errno> {
    let [first, second, third, fourth] = arguments;
    let answer: isize;
    // SAFETY: the registers are those of the kernel's convention: it changes rax, rcx and r11. What the call does to
    // memory is the caller's affair.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    told(answer)
}

/// A system call.
///
/// # Safety
/// The arguments are as this call wants them.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn call(number: c_long, arguments: [usize; 4]) -> Result<usize, Errno> {
    let [first, second, third, fourth] = arguments;
    // SAFETY: the caller knows what it calls.
    let answer = unsafe { libc::syscall(number, first, second, third, fourth) };
    usize::try_from(answer).map_err(|_| last_errno())
}

/// Makes a child that begins with `entry` on the stack that the arguments name. Returns its pid.
///
/// # Safety
/// The arguments are as the call wants them, and what they point to, the stack and what `argument` points to live for as
/// long as the child uses them. `entry` ends the process.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn clone3(
    arguments: &CloneArguments,
    entry: Entry,
    argument: *mut c_void,
) -> Result<usize, Errno> {
    let answer: isize;
    // SAFETY: as with `call`. The child, to which zero is returned, begins with an empty stack, whose top is aligned as a
    // call wants it; it never leaves `entry`.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => answer,
            in("rdi") std::ptr::from_ref(arguments),
            in("rsi") size_of::<CloneArguments>(),
            in("r12") entry,
            in("r13") argument,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    told(answer)
}

/// Nobody has tried it on this kind of machine.
///
/// # Safety
/// It does nothing.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn clone3(_: &CloneArguments, _: Entry, _: *mut c_void) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}

/// Makes a child by the older call, which takes no control group and keeps our handlers.
///
/// # Safety
/// As with [`clone3`].
pub(super) unsafe fn clone(
    arguments: &CloneArguments,
    entry: Entry,
    argument: *mut c_void,
) -> Result<usize, Errno> {
    // The flags that are numbered from 32 on are left out, and there is room for the signal below the others.
    let flags = (arguments.flags | arguments.exit_signal) & u64::from(u32::MAX);
    let flags = c_int::try_from(flags).map_err(|_| Errno::INVAL)?;
    let top = (arguments.stack + arguments.stack_size) as *mut c_void;
    let (pidfd, child_tid) = (arguments.pidfd as *mut c_int, arguments.child_tid as *mut c_int);
    let no_tls = std::ptr::null_mut::<c_void>();
    // SAFETY: the same arguments in the order of the C library's function.
    let pid = unsafe { libc::clone(entry, top, flags, argument, pidfd, no_tls, child_tid) };
    usize::try_from(pid).map_err(|_| last_errno())
}

/// The kernel answers with `errno` below zero.
#[cfg(target_arch = "x86_64")]
fn told(answer: isize) -> Result<usize, Errno> {
    usize::try_from(answer)
        .map_err(|_| Errno::from_raw_os_error(i32::try_from(-answer).unwrap_or(libc::EINVAL)))
}

/// What the C library's function that has just failed says.
fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

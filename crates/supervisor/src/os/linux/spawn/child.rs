//! What a child does between its beginning and its program.
//!
//! It makes system calls and nothing else. It allocates nothing and takes no lock, for our other threads may hold any of
//! them; it cannot panic; and nothing that it calls uses what belongs to the thread that has started it.

use std::ffi::{c_int, c_uint, c_void};
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::calls::plain;
use super::ground::Report;
use super::system::call;
use crate::os::posix::{Attributes, Failure, Image, Step};

/// Signals are numbered up to this.
const LAST_SIGNAL: usize = 64;

/// How many bytes a set of signals has in the kernel.
const SIGNAL_SET_SIZE: usize = LAST_SIGNAL / 8;

/// More than `struct sigaction` has in any kernel.
type SignalAction = [u64; 8];

/// Everything that a child does, made ready beforehand.
#[derive(Debug)]
pub(in crate::os) struct Plan {
    pub(in crate::os) image: Image,
    pub(in crate::os) attributes: Attributes,
    /// Where it finds what shall be its input, output and error, and the number that is the highest of all that it needs.
    /// `None` if they are in place, and the table is its own.
    pub(super) descriptors: Option<([RawFd; 3], RawFd)>,
    /// The number under which its program says that it is ready, and where that is now.
    pub(super) ready: Option<(RawFd, RawFd)>,
    /// Where it begins in a control group by writing itself into this file of it. `None` if it is where it shall be.
    pub(super) members: Option<RawFd>,
}

/// Runs the plan of a report, and ends the child if it comes back.
pub(super) extern "C" fn begin(report: *mut c_void) -> c_int {
    // SAFETY: whoever starts a child passes its report, and keeps that and the plan until the child has left our memory.
    // The call ends this process alone.
    unsafe {
        run(report.cast_const().cast());
        let _ = call(libc::SYS_exit_group, [127, 0, 0, 0]);
    }
    127
}

/// Runs the plan of the report at this address in a child that has memory of its own, and returns why it came back.
///
/// # Safety
/// There is a report, and its plan, or a copy of it, lives.
pub(super) unsafe fn run_forked(report: usize) -> Errno {
    // SAFETY: the caller says so.
    unsafe { run(report as *const Report) }
}

/// # Safety
/// As above.
unsafe fn run(report: *const Report) -> Errno {
    // SAFETY: the caller says so; and only the child writes the failure.
    unsafe {
        let report = &*report;
        let failure = (*report.plan).run(report);
        *report.failure.get() = Some(failure);
        failure.errno
    }
}

impl Plan {
    /// Becomes the program. It comes back only with what has failed.
    fn run(&self, report: &Report) -> Failure {
        match self.prepare(report) {
            Ok(()) => Failure { step: Step::Program, errno: self.image.execute() },
            Err(failure) => failure,
        }
    }

    fn prepare(&self, report: &Report) -> Result<(), Failure> {
        if let Some((stdio, highest)) = self.descriptors {
            take_table(highest).map_err(Step::Table.failed())?;
            report.has_table.store(1, Ordering::Release);
            for (number, descriptor) in (0..).zip(stdio) {
                pass_on(descriptor, number).map_err(Step::Descriptor(number).failed())?;
            }
        }
        close_others_on_exec();
        if let Some((number, descriptor)) = self.ready {
            // If the number is one that was reserved, that one has been passed on already.
            pass_on(descriptor, number).map_err(Step::Descriptor(number).failed())?;
        }
        if let Some(members) = self.members {
            join(members).map_err(Step::ControlGroup.failed())?;
        }
        plain(libc::SYS_setpgid, [0; 4]).map_err(Step::ProcessGroup.failed())?;
        reset_signals();
        self.attributes.apply()?;
        unblock_signals();
        Ok(())
    }
}

/// Gets a table of descriptors of its own, with those up to this number.
fn take_table(highest: RawFd) -> Result<(), Errno> {
    let unshare = [highest as usize + 1, c_uint::MAX as usize, libc::CLOSE_RANGE_UNSHARE as usize, 0];
    // What is closed is in the new table only.
    plain(libc::SYS_close_range, unshare)
}

/// Has the exec close every descriptor but the first three. Before Linux 5.11 it is left as it is.
fn close_others_on_exec() {
    let mark = [3, c_uint::MAX as usize, libc::CLOSE_RANGE_CLOEXEC as usize, 0];
    let _ = plain(libc::SYS_close_range, mark);
}

/// Has the program find `descriptor` as `number`. Whatever is open as that is closed: the table is the child's own, and it
/// uses nothing of it again.
fn pass_on(descriptor: RawFd, number: RawFd) -> Result<(), Errno> {
    let (descriptor, number) = (descriptor as usize, number as usize);
    if descriptor == number {
        return plain(libc::SYS_fcntl, [number, libc::F_SETFD as usize, 0, 0]);
    }
    plain(libc::SYS_dup3, [descriptor, number, 0, 0])
}

/// Moves itself to the control group of which this is the file of members.
fn join(members: RawFd) -> Result<(), Errno> {
    let itself = b"0";
    // SAFETY: one byte, which is there.
    unsafe { call(libc::SYS_write, [members as usize, itself.as_ptr() as usize, itself.len(), 0]) }.map(drop)
}

/// Has every signal as the system has it: our handlers are given up, and so is what we ignore or have inherited as ignored
/// (SIGPIPE by Rust, SIGINT and SIGQUIT in the background of a shell, SIGHUP by `nohup`).
fn reset_signals() {
    for signal in 1..=LAST_SIGNAL {
        let mut action: SignalAction = [0; 8];
        // SAFETY: the call writes no more than the action has room for. The actions of a child are its own.
        let asked = unsafe {
            call(libc::SYS_rt_sigaction, [signal, 0, action.as_mut_ptr() as usize, SIGNAL_SET_SIZE])
        };
        if asked.is_ok() && action != [0; 8] {
            action = [0; 8];
            // SAFETY: the call reads the action, of which zeros mean "as the system has it".
            let _ = unsafe {
                call(libc::SYS_rt_sigaction, [signal, action.as_ptr() as usize, 0, SIGNAL_SET_SIZE])
            };
        }
    }
}

/// Lets signals come.
fn unblock_signals() {
    let none = 0_u64;
    let set = [libc::SIG_SETMASK as usize, ptr::from_ref(&none) as usize, 0, SIGNAL_SET_SIZE];
    // SAFETY: the call reads a set of signals.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, set) };
}

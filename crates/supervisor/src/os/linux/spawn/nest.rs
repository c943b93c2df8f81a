//! A child on its way to its program, and what it uses of ours meanwhile.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::time::Timespec;

use super::child::{self, Plan};
use super::ground::Ground;
use super::system::{self, CloneArguments};
use super::undumpable::Undumpable;
use super::{Process, Road};
use crate::error::SpawnError;
use crate::os::posix::{self, Clues, Failure};

/// How long a child is waited for. It takes a fraction of a millisecond where the system has nothing else to do.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// How often it is looked whether a child has a table of its own that has not had its turn yet.
const A_MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// From `linux/sched.h`: the C library's numbers are those of `clone`, which has no room for them.
const CLEAR_HANDLERS: u64 = 1 << 32;
const INTO_CGROUP: u64 = 1 << 33;

/// What a child uses, and nobody else, until it has left our memory.
#[derive(Debug)]
pub(super) struct Nest {
    pub(super) plan: Box<Plan>,
    pub(super) ground: Ground,
    pub(super) _members: Option<OwnedFd>,
    pub(super) _undumpable: Option<Undumpable>,
}

/// A child that has not become its program yet, and may never.
#[derive(Debug)]
pub(crate) struct Fledgling {
    pub(super) process: Process,
    pub(super) clues: Box<Clues>,
    /// Given up only once the child has left it: if nobody asks for the outcome, it is never used again.
    pub(super) nest: ManuallyDrop<Nest>,
}

/// A [`Fledgling`] that did not become its program, and is gone.
#[derive(Debug)]
pub(crate) struct Fall {
    failure: Failure,
    clues: Box<Clues>,
}

impl Fall {
    /// Why. That may take as long to find out as it has taken to fail.
    pub(crate) fn explain(&self) -> SpawnError {
        posix::explain(&self.clues, self.failure)
    }
}

impl Nest {
    /// Begins the child. Its descriptor is the process.
    pub(super) fn begin(&mut self, road: Road, cgroup: Option<BorrowedFd<'_>>) -> Result<Process, Errno> {
        self.ground.clear(&self.plan);
        let report = self.ground.report();
        let (stack, stack_size) = self.ground.stack();
        let mut pidfd: RawFd = -1;
        let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID;
        let beside = if system::RUNS_BESIDE { 0 } else { libc::CLONE_VFORK };
        let arguments = CloneArguments {
            // These numbers are below 2^31.
            flags: (flags | beside) as u64 | CLEAR_HANDLERS | cgroup.map_or(0, |_| INTO_CGROUP),
            pidfd: ptr::from_mut(&mut pidfd) as u64,
            child_tid: report.living.as_ptr() as u64,
            exit_signal: libc::SIGCHLD as u64,
            stack: stack as u64,
            stack_size: stack_size as u64,
            cgroup: cgroup.map_or(0, |cgroup| cgroup.as_raw_fd() as u64),
            ..CloneArguments::default()
        };
        let begin = if road == Road::Clone3 { system::clone3 } else { system::clone };
        // SAFETY: the stack is the child's alone and its top is aligned. All that the child uses lives in this nest, which
        // is kept until the kernel says that the child has left our memory; meanwhile nobody changes any of it. Other
        // threads go on, and the child changes nothing that they see: neither descriptors, before it has a table of its
        // own, nor memory other than its stack and the report. The kernel has written the pidfd before it returns.
        let pid = unsafe { begin(&arguments, child::begin, self.ground.address() as *mut c_void)? };
        // SAFETY: a new descriptor, which is ours.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        // The kernel's pids are above zero and fit.
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        Ok(Process::held(pid, pidfd))
    }

    /// Waits until the child has left our memory, but not for ever. Says whether it has. In any case it has a table of
    /// descriptors of its own then.
    pub(super) fn await_program(&self) -> bool {
        self.ground.await_leaving(PATIENCE);
        // It waits for nothing before it has its table, but for its turn.
        while !self.ground.is_left() && self.ground.report().has_table.load(Ordering::Acquire) == 0 {
            self.ground.await_leaving(A_MOMENT);
        }
        self.ground.is_left()
    }
}

impl Fledgling {
    /// The process, which may be ended.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it runs its program, or has ended.
    pub(crate) fn has_landed(&self) -> bool {
        self.nest.ground.is_left()
    }

    /// What has become of it: the process that runs its program, or what has kept it from that, and then it is gone. It waits
    /// until it [has landed](Self::has_landed).
    pub(crate) fn outcome(self) -> Result<Process, Fall> {
        while !self.has_landed() {
            self.nest.ground.await_leaving(PATIENCE);
        }
        let mut nest = ManuallyDrop::into_inner(self.nest);
        let Some(failure) = nest.ground.failure() else { return Ok(self.process) };
        self.process.await_end();
        Err(Fall { failure, clues: self.clues })
    }
}

//! The memory that a child and we share while it lives in ours.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, mprotect};
use rustix::thread::futex;
use rustix::time::Timespec;

use super::child::Plan;
use crate::os::posix::{Failure, Mapping};

/// More than enough for what the child calls, none of which has large variables.
const STACK_SIZE: usize = 64 * 1024;

/// Below the stack, so that a child that needed more would end and not write over what is ours. No system has larger pages
/// by default.
const GUARD_SIZE: usize = 64 * 1024;

/// A stack for a child, and what it reports. It serves one child after the other.
#[derive(Debug)]
pub(super) struct Ground {
    /// The guard, and above it the stack.
    stack: Mapping,
    report: Mapping,
}

/// What the child tells, in memory that a child with memory of its own shares too.
#[derive(Debug)]
pub(super) struct Report {
    /// What the child does.
    pub(super) plan: *const Plan,
    /// Not zero until the child has left our memory: the kernel sees to it.
    pub(super) living: AtomicU32,
    /// Not zero once the child has a table of descriptors of its own.
    pub(super) has_table: AtomicU32,
    /// What has kept it from running its program. The child writes it, and nobody reads it before the child has gone.
    pub(super) failure: UnsafeCell<Option<Failure>>,
}

impl Ground {
    pub(super) fn new() -> Result<Self, Errno> {
        let stack = Mapping::new(GUARD_SIZE + STACK_SIZE, MapFlags::PRIVATE | MapFlags::STACK)?;
        // SAFETY: memory that has just been made, and that nobody is to use.
        unsafe { mprotect(stack.start(), GUARD_SIZE, MprotectFlags::empty())? };
        // All zeros, which is a report too.
        Ok(Self { stack, report: Mapping::new(size_of::<Report>(), MapFlags::SHARED)? })
    }

    /// The lowest address of the stack, and its size. Its top is aligned as that of a page.
    pub(super) fn stack(&self) -> (usize, usize) {
        (self.stack.start() as usize + GUARD_SIZE, STACK_SIZE)
    }

    pub(super) fn report(&self) -> &Report {
        // SAFETY: it is there for as long as `self`, and is made of what may be shared.
        unsafe { &*self.report.start().cast::<Report>() }
    }

    /// Where the report is.
    pub(super) fn address(&self) -> usize {
        self.report.start() as usize
    }

    /// Makes the report ready for the next child.
    pub(super) fn clear(&mut self, plan: &Plan) {
        let (living, has_table) = (AtomicU32::new(1), AtomicU32::new(0));
        let report = Report { plan, living, has_table, failure: UnsafeCell::new(None) };
        // SAFETY: as above; whoever has a child keeps its ground, so that this one has none.
        unsafe { self.report.start().cast::<Report>().write(report) };
    }

    /// Whether the child has left our memory.
    pub(super) fn is_left(&self) -> bool {
        self.report().living.load(Ordering::Acquire) == 0
    }

    /// Waits until the child has left our memory, but no longer than this.
    pub(super) fn await_leaving(&self, limit: Timespec) {
        // It returns at once if that has happened. The kernel's waking is not a "private" one.
        let _ = futex::wait(&self.report().living, futex::Flags::empty(), 1, Some(&limit));
    }

    /// What has kept the child from running its program. Only for when it has gone.
    pub(super) fn failure(&mut self) -> Option<Failure> {
        // SAFETY: the child that could write it has gone.
        unsafe { *self.report().failure.get() }
    }
}

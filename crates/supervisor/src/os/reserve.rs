//! Descriptors that are kept back.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::nowhere;

/// How many descriptors no component may take, or a quarter of them all if that is less: for those who ask for a status or
/// a stop, above all.
const FOR_OTHERS: u64 = 32;

/// Whether this descriptor, which has just been made, is among the last that the process may have. The lowest free
/// number is always taken, so that its number tells how many there are.
pub(crate) fn descriptors_are_scarce(newest: &impl AsFd) -> bool {
    let number = u64::try_from(newest.as_fd().as_raw_fd()).unwrap_or(0);
    let limit = getrlimit(Resource::Nofile).current;
    limit.is_some_and(|limit| number.saturating_add(FOR_OTHERS.min(limit / 4)) > limit)
}

/// What it means that they are: the error that comes a little later by itself.
pub(crate) fn scarcity() -> io::Error {
    Errno::MFILE.into()
}

/// As many as one look at the processes has open at once: a folder, a file in it, a pidfd, and one more.
const SIZE: usize = 4;

/// A few descriptors, so that a look at the processes works though the process has reached its limit.
#[derive(Debug, Default)]
pub(crate) struct Reserve(Vec<OwnedFd>);

impl Reserve {
    /// A reserve that is full, as far as that goes.
    pub(crate) fn new() -> Self {
        let mut reserve = Self(Vec::with_capacity(SIZE));
        reserve.fill();
        reserve
    }

    /// Does the work while the reserve is free for it, and fills it up again as far as that goes.
    pub(crate) fn lend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.0.clear();
        let done = work();
        self.fill();
        done
    }

    fn fill(&mut self) {
        while self.0.len() < SIZE
            && let Ok(descriptor) = nowhere()
        {
            self.0.push(descriptor);
        }
    }
}

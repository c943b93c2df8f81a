//! Starting a program: by `fork`, in a process group of its own.
//!
//! The driver waits until the program runs, or has failed: on a file system that hangs, for as long as that hangs.

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use rustix::io::Errno;
use rustix::mm::MapFlags;

use super::process::{Process, undo};
use super::{ReadEnd, calls, table, time};
use crate::error::SpawnError;
use crate::os::posix::{self, Attributes, Clues, Failure, Image, Mapping, Step};
use crate::os::{Fledgling, Launch};

/// Where children are started from.
#[derive(Debug)]
pub(crate) struct LaunchPad {
    /// Where a child says what has kept it from its program: an [`UnsafeCell`] of an optional [`Failure`], in memory that it shares.
    report: Mapping,
}

impl LaunchPad {
    /// One.
    ///
    /// # Errors
    /// There is no memory for it, or no `ps`, without which nothing could be told of what runs leave behind.
    pub(crate) fn new() -> io::Result<Self> {
        if !table::is_there() {
            let why = "there is neither /bin/ps nor /usr/bin/ps, which tells what components leave behind";
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        let report = Mapping::new(size_of::<Option<Failure>>(), MapFlags::SHARED)?;
        Ok(Self { report })
    }

    /// One on the only road that there is.
    #[cfg(test)]
    pub(in crate::os) fn on_road(Road::Std: Road) -> Self {
        Self::new().unwrap()
    }

    fn clear(&mut self) {
        // SAFETY: the memory is large enough and aligned as that of a page; no child lives that could write to it.
        unsafe { self.report.start().cast::<UnsafeCell<Option<Failure>>>().write(UnsafeCell::new(None)) };
    }

    /// What has kept the last child from its program. Only for when it has gone, or runs it.
    fn failure(&mut self) -> Option<Failure> {
        // SAFETY: as above; and what a child has written there is whole.
        unsafe { *(*self.report.start().cast::<UnsafeCell<Option<Failure>>>()).get() }
    }
}

/// By what children are made: tests name it.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::os) enum Road {
    Std,
}

/// A process that has been started.
#[derive(Debug)]
pub(crate) enum Spawned {
    /// It runs its program.
    Running(Process),
    /// It has not come to that yet: here it always has.
    #[expect(dead_code, reason = "every system has the same names; what cannot be never is")]
    OnItsWay { fledgling: Fledgling, over: ReadEnd },
}

impl Spawned {
    /// The process.
    pub(crate) fn into_process(self, _pad: &mut LaunchPad) -> Process {
        match self {
            Self::Running(process) => process,
            Self::OnItsWay { fledgling, .. } => match fledgling {},
        }
    }
}

/// Starts the component in a process group of its own.
///
/// # Errors
/// [`SpawnError`] names the step that failed and why; then nothing of the component runs.
pub(crate) fn spawn(launch: &Launch<'_>, pad: &mut LaunchPad) -> Result<Spawned, SpawnError> {
    let (image, attributes) = posix::prepare(launch)?;
    let reserved = launch.ready.map(posix::reserve).transpose()?;
    let ready = reserved.as_ref().map(|(number, reserved)| (*number, reserved.as_raw_fd()));
    let plan = Plan { image, attributes, ready };
    pad.clear();
    let report = pad.report.start() as usize;
    let run = move || {
        let failure = plan.run();
        // SAFETY: the parent keeps the memory until this child has gone, or runs its program, and reads it after that.
        unsafe { *(*(report as *const UnsafeCell<Option<Failure>>)).get() = Some(failure) };
        Err(failure.errno.into())
    };
    let started = time::now();
    // SAFETY: `run` makes system calls and nothing else, and returns only with an error, which holds no allocation.
    let child = unsafe { posix::fork(launch, run) };
    match (child, pad.failure()) {
        (_, Some(failure)) => Err(posix::explain(&Clues::of(launch), failure)),
        (Err(error), None) => Err(error),
        (Ok(pid), None) => Process::open(pid, started).map(Spawned::Running).map_err(|errno: Errno| {
            undo(pid);
            let mut error = posix::explain_process(errno);
            error.reason = format!("hold process {pid}: {}", error.reason);
            error
        }),
    }
}

/// Everything that a child does, made ready beforehand.
struct Plan {
    image: Image,
    attributes: Attributes,
    /// The number under which its program says that it is ready, and where that is now.
    ready: Option<(RawFd, RawFd)>,
}

impl Plan {
    /// Becomes the program. It comes back only with what has failed.
    fn run(&self) -> Failure {
        match self.prepare() {
            Ok(()) => Failure { step: Step::Program, errno: self.image.execute() },
            Err(failure) => failure,
        }
    }

    fn prepare(&self) -> Result<(), Failure> {
        calls::close_others_on_exec();
        if let Some((number, descriptor)) = self.ready {
            calls::pass_on(descriptor, number).map_err(Step::Descriptor(number).failed())?;
        }
        calls::lead_a_group().map_err(Step::ProcessGroup.failed())?;
        self.attributes.apply()?;
        calls::reset_signals();
        Ok(())
    }
}

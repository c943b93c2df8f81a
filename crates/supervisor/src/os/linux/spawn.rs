//! Starting a program at a price that depends neither on how much memory we have nor on how many descriptors, whatever
//! user, limits and niceness it shall have; and without waiting for a file system that does not answer.
//!
//! The child lives in our memory until it executes its program, on a stack of its own (`ground`). It makes system calls
//! and nothing else (`child`), and not even through the C library (`system`), so that it may run beside us: `vfork` would
//! hold us until the program runs, and on a file system that hangs that is never. So we wait a moment for what nearly
//! always takes less, and then leave it on its way as a [`Fledgling`] (`nest`).
//!
//! `posix_spawn` copies the table of descriptors as well, and the exec closes them again one by one: beside a thousand
//! components that takes as long as everything else together. This child shares our table, and its first act is to ask
//! for one of its own with only the lowest descriptors in it. So what it needs must be among these: a few low ones are
//! reserved from the beginning, and hold its input and output, and where it says that it is ready, while it starts.
//!
//! Three roads lead there. `clone3` is the best; `clone` takes its place where that is refused, as many a container does;
//! and the standard library, which forks, where the system is older than Linux 5.9.

pub(in crate::os) mod calls;
mod child;
mod ground;
mod nest;
mod system;
mod undumpable;

use std::fs::OpenOptions;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{DupFlags, Errno, dup3, fcntl_dupfd_cloexec};
use rustix::pipe::{PipeFlags, pipe_with};

use self::child::Plan;
use self::ground::Ground;
pub(crate) use self::nest::Fledgling;
use self::nest::Nest;
use self::undumpable::Undumpable;
use super::Process;
use crate::error::SpawnError;
use crate::os::Launch;
use crate::os::posix::{self, Clues, Failure, Step};

/// Starts the component in a process group of its own.
///
/// It returns once its program runs, or once it has waited long enough for that: it never waits for a file system or a
/// name service that hangs.
///
/// # Errors
/// [`SpawnError`] names the step that failed and why; then nothing of the component runs.
pub(crate) fn spawn(launch: &Launch<'_>, pad: &mut LaunchPad) -> Result<Spawned, SpawnError> {
    let (image, attributes) = posix::prepare(launch)?;
    let mut plan = Plan { image, attributes, descriptors: None, ready: None, members: None };
    let mut road = pad.road;
    while road != Road::Std {
        match pad.launch(plan, launch, road) {
            Ok(spawned) => return Ok(spawned),
            Err(Refused::Road { next, plan: same }) => (road, plan) = (next, *same),
            Err(Refused::Process(errno)) => return Err(posix::explain_process(errno)),
            Err(Refused::Child(failure)) => return Err(posix::explain(&Clues::of(launch), failure)),
        }
    }
    pad.fork(plan, launch).map(Spawned::Running)
}

/// A process that has been started.
#[derive(Debug)]
pub(crate) enum Spawned {
    /// It runs its program.
    Running(Process),
    /// It has not come to that yet.
    OnItsWay {
        fledgling: Fledgling,
        /// At its end once it runs its program, or has ended.
        over: OwnedFd,
    },
}

impl Spawned {
    /// The process, whether it has come to its program or not. If it never does, it ends with code 127.
    pub(crate) fn into_process(self, pad: &mut LaunchPad) -> Process {
        match self {
            Self::Running(process) => process,
            Self::OnItsWay { fledgling, .. } => {
                pad.left.push(fledgling.nest);
                fledgling.process
            }
        }
    }
}

/// By what children are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::os) enum Road {
    Clone3,
    Clone,
    Std,
}

/// Where children are started from.
#[derive(Debug)]
pub(crate) struct LaunchPad {
    /// The input, output and error of the child that starts, where it says that it is ready, and what it closes by becoming
    /// its program. The first is always `/dev/null`, and so are the others while none starts.
    reserved: [OwnedFd; 5],
    /// At its end once the child that starts has closed the last of these.
    over: Option<OwnedFd>,
    ground: Option<Ground>,
    /// Those of children that nobody else waits for.
    left: Vec<ManuallyDrop<Nest>>,
    /// The best that this system allows, as far as we know.
    road: Road,
}

/// Why there is no child.
enum Refused {
    /// This road is closed. What was to be run is to be run on another.
    Road { next: Road, plan: Box<Plan> },
    /// The system has no process for it.
    Process(Errno),
    /// The child has failed, and is gone.
    Child(Failure),
}

impl LaunchPad {
    /// Reserves what it needs. The earlier, the lower the descriptors.
    ///
    /// # Errors
    /// When `/dev/null` cannot be opened, or there are no descriptors left.
    pub(crate) fn new() -> io::Result<Self> {
        let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        // Not the numbers that are the child's own.
        let reserved = || fcntl_dupfd_cloexec(&nowhere, 3);
        let reserved = [reserved()?, reserved()?, reserved()?, reserved()?, reserved()?];
        Ok(Self { reserved, over: None, ground: None, left: Vec::new(), road: Road::Clone3 })
    }

    /// One of a system that allows no better road than this.
    #[cfg(test)]
    pub(in crate::os) fn on_road(road: Road) -> Self {
        Self { road, ..Self::new().unwrap() }
    }

    fn launch(&mut self, plan: Plan, launch: &Launch<'_>, road: Road) -> Result<Spawned, Refused> {
        for nest in self.left.extract_if(.., |nest| nest.ground.is_left()) {
            drop(ManuallyDrop::into_inner(nest));
        }
        let placed = self.place(launch);
        let launched = placed.map_err(Refused::Process).and_then(|over| {
            let nest = self.nest(plan, launch, road)?;
            self.start(nest, over, road, launch)
        });
        self.clear();
        launched
    }

    /// Puts the child's descriptors among those that are reserved, and returns what tells when it has closed the last.
    fn place(&mut self, launch: &Launch<'_>) -> Result<OwnedFd, Errno> {
        let [nowhere, out, err, ready, last] = &mut self.reserved;
        let at_ready = launch.ready.map_or(nowhere.as_fd(), |(_, writer)| writer.as_fd());
        for (source, place) in [(launch.stdout.as_fd(), out), (launch.stderr.as_fd(), err), (at_ready, ready)]
        {
            dup3(source, place, DupFlags::CLOEXEC)?;
        }
        if let Some(over) = self.over.take() {
            return Ok(over);
        }
        let (over, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        dup3(&writer, last, DupFlags::CLOEXEC)?;
        Ok(over)
    }

    /// No descriptor of ours may keep a component's pipe open. It cannot fail: no descriptor is added.
    fn clear(&mut self) {
        let [nowhere, out, err, ready, last] = &mut self.reserved;
        let last = self.over.is_none().then_some(last);
        for place in [out, err, ready].into_iter().chain(last) {
            let _ = dup3(&*nowhere, place, DupFlags::CLOEXEC);
        }
    }

    fn nest(&mut self, mut plan: Plan, launch: &Launch<'_>, road: Road) -> Result<Nest, Refused> {
        let reserved = self.reserved.each_ref().map(AsRawFd::as_raw_fd);
        let [nowhere, out, err, ready, _] = reserved;
        let members = launch
            .cgroup
            .filter(|_| road != Road::Clone3)
            .map(members)
            .transpose()
            .map_err(Refused::Child)?;
        plan.members = members.as_ref().map(AsRawFd::as_raw_fd);
        let highest = reserved.into_iter().chain(plan.members).fold(2, RawFd::max);
        plan.descriptors = Some(([nowhere, out, err], highest));
        plan.ready = launch.ready.map(|(number, _)| (number, ready));
        let undumpable = plan.attributes.change.is_some().then(Undumpable::new);
        let ground = self.ground.take().map_or_else(Ground::new, Ok).map_err(Refused::Process)?;
        Ok(Nest { plan: Box::new(plan), ground, _members: members, _undumpable: undumpable })
    }

    fn start(
        &mut self,
        mut nest: Nest,
        over: OwnedFd,
        road: Road,
        launch: &Launch<'_>,
    ) -> Result<Spawned, Refused> {
        let cgroup = launch.cgroup.filter(|_| road == Road::Clone3);
        // Signals wait, here and in the child until it has given up our handlers. And nothing interrupts our waiting.
        let mask = swap_signal_mask(&full_mask());
        let begun = nest.begin(road, cgroup);
        let has_left = begun.is_err() || nest.await_program();
        swap_signal_mask(&mask);
        let process = match begun {
            Ok(process) if !has_left => {
                let clues = Box::new(Clues::of(launch));
                let fledgling = Fledgling { process, clues, nest: ManuallyDrop::new(nest) };
                return Ok(Spawned::OnItsWay { fledgling, over });
            }
            begun => begun,
        };
        self.over = Some(over);
        let Nest { plan, mut ground, .. } = nest;
        let failure = ground.failure();
        self.ground = Some(ground);
        match (process, failure) {
            (Ok(process), None) => Ok(Spawned::Running(process)),
            (Ok(process), Some(failure)) => {
                process.await_end();
                if failure.step != Step::Table {
                    return Err(Refused::Child(failure));
                }
                self.road = Road::Std;
                Err(Refused::Road { next: Road::Std, plan })
            }
            (Err(errno @ (Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE)), _) => {
                Err(Refused::Process(errno))
            }
            (Err(_), _) => {
                let next = if road == Road::Clone3 { Road::Clone } else { Road::Std };
                // It may have been the control group that was refused: the next road tells.
                if cgroup.is_none() {
                    self.road = next;
                }
                Err(Refused::Road { next, plan })
            }
        }
    }

    /// Starts the plan by the standard library, in memory of its own.
    fn fork(&mut self, mut plan: Plan, launch: &Launch<'_>) -> Result<Process, SpawnError> {
        let members = launch
            .cgroup
            .map(members)
            .transpose()
            .map_err(|failure| posix::explain(&Clues::of(launch), failure))?;
        plan.descriptors = None;
        plan.members = members.as_ref().map(AsRawFd::as_raw_fd);
        let reserved = launch.ready.map(posix::reserve).transpose()?;
        plan.ready = reserved.as_ref().map(|(number, reserved)| (*number, reserved.as_raw_fd()));
        let mut ground = self.ground.take().map_or_else(Ground::new, Ok).map_err(posix::explain_process)?;
        ground.clear(&plan);
        let report = ground.address();
        let run = move || {
            // SAFETY: the parent waits inside `fork`, so that this child has a copy of the plan, and shares the report.
            Err(unsafe { child::run_forked(report) }.into())
        };
        // SAFETY: `run` makes system calls and nothing else, and returns only with an error, which holds no allocation.
        let child = unsafe { posix::fork(launch, run) };
        let failure = ground.failure();
        self.ground = Some(ground);
        match (child, failure) {
            (_, Some(failure)) => Err(posix::explain(&Clues::of(launch), failure)),
            (Err(error), None) => Err(error),
            (Ok(pid), None) => Process::open(pid).map_err(|errno| {
                super::process::undo(pid);
                let advice =
                    if errno == Errno::NOSYS { " (supervising takes Linux 5.4 or newer)" } else { "" };
                let mut error = posix::explain_process(errno);
                error.reason = format!("hold process {pid}: {}{advice}", error.reason);
                error
            }),
        }
    }
}

/// The file of a control group by which a process joins it.
fn members(cgroup: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let opened = openat(cgroup, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    opened.map_err(|errno| Failure { step: Step::ControlGroup, errno })
}

fn full_mask() -> libc::sigset_t {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: the call fills the set.
    unsafe {
        libc::sigfillset(mask.as_mut_ptr());
        mask.assume_init()
    }
}

/// Sets the signals that wait for the calling thread, and returns those that did before.
fn swap_signal_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    let mut before = MaybeUninit::zeroed();
    // SAFETY: one set is read and the other filled, which was a value already.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, mask, before.as_mut_ptr());
        before.assume_init()
    }
}

#[cfg(test)]
mod tests;

//! Starting a program at a price that depends neither on how much memory we have nor on how many descriptors.
//!
//! As with `posix_spawn`, the child lives in our memory until it executes its program, while the thread that starts it
//! waits. But `posix_spawn` copies the table of descriptors as well, and the exec closes them again one by one: beside
//! a thousand components that takes as long as everything else together. This child shares our table, and its first act
//! is to ask for one of its own with only the lowest descriptors in it. So what it needs must be among these: four low
//! ones are reserved from the beginning, and hold its input and output, and where it says that it is ready, while it
//! starts.
//!
//! It takes `close_range` of Linux 5.9; elsewhere the standard library starts programs.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::fs::OpenOptions;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::{io, ptr};

use rustix::io::{DupFlags, Errno, dup3, fcntl_dupfd_cloexec, retry_on_intr};
use rustix::process::{Pid, WaitId, WaitIdOptions, chdir, setpgid, waitid};

use super::close_others_on_exec;
use crate::os::Launch;
use crate::os::posix::Image;

/// More than enough for what the child calls, none of which has large variables.
const STACK_SIZE: usize = 64 * 1024;

/// Signals are numbered up to this.
const LAST_SIGNAL: c_int = 64;

/// Where children are started from.
#[derive(Debug)]
pub(crate) struct LaunchPad {
    /// The input, output and error of the child that starts, and where it says that it is ready. The first is always
    /// `/dev/null`, and so are the others while none does.
    reserved: [OwnedFd; 4],
    stack: Box<MaybeUninit<Stack>>,
    /// Whether the system can do it, as far as we know.
    is_able: bool,
}

#[repr(align(16))]
#[derive(Debug)]
struct Stack(#[expect(dead_code, reason = "only the child uses it")] [u8; STACK_SIZE]);

impl LaunchPad {
    /// Reserves what it needs. The earlier, the lower the descriptors.
    ///
    /// # Errors
    /// When `/dev/null` cannot be opened, or there are no descriptors left.
    pub(crate) fn new() -> io::Result<Self> {
        let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        // Not the numbers that are the child's own.
        let reserved = || fcntl_dupfd_cloexec(&nowhere, 3);
        let reserved = [reserved()?, reserved()?, reserved()?, reserved()?];
        Ok(Self { reserved, stack: Box::new_uninit(), is_able: true })
    }

    /// A system that has to leave it to the standard library.
    #[cfg(test)]
    pub(in crate::os) fn of_an_old_system() -> Self {
        Self { is_able: false, ..Self::new().unwrap() }
    }

    /// Starts a program in a process group of its own and returns once it runs. `None` if this system cannot do it;
    /// then nothing was started.
    pub(in crate::os) fn launch(
        &mut self,
        image: &Image,
        folder: Option<&CStr>,
        launch: &Launch<'_>,
    ) -> Option<io::Result<Pid>> {
        if !self.is_able {
            return None;
        }
        let ready = launch.ready.map(|(number, _)| number);
        let launched = self.place(launch).and_then(|()| self.start(image, folder, ready));
        self.clear();
        match launched {
            Ok(pid) => Some(Ok(pid)),
            Err(Failure::NoTable) => {
                self.is_able = false;
                None
            }
            Err(Failure::Told(errno)) => Some(Err(errno.into())),
        }
    }

    fn place(&mut self, launch: &Launch<'_>) -> Result<(), Failure> {
        let [nowhere, out, err, ready] = &mut self.reserved;
        let at_ready = launch.ready.map_or(nowhere.as_fd(), |(_, writer)| writer);
        for (source, place) in [(launch.stdout, out), (launch.stderr, err), (at_ready, ready)] {
            dup3(source, place, DupFlags::CLOEXEC).map_err(Failure::Told)?;
        }
        Ok(())
    }

    /// No descriptor of ours may keep a component's pipe open. It cannot fail: no descriptor is added.
    fn clear(&mut self) {
        let [nowhere, others @ ..] = &mut self.reserved;
        for place in others {
            let _ = dup3(&*nowhere, place, DupFlags::CLOEXEC);
        }
    }

    fn start(&mut self, image: &Image, folder: Option<&CStr>, ready: Option<RawFd>) -> Result<Pid, Failure> {
        let reserved = self.reserved.each_ref().map(AsRawFd::as_raw_fd);
        let mut plan = Plan { image, folder, reserved, ready, failure: None };
        // Signals wait: a handler of ours must not run in the child, which would do its work in our memory.
        let mask = swap_signal_mask(&full_mask());
        // SAFETY: the stack is ours alone and its top, the end of an aligned type, is aligned. The child runs `child`
        // on it with the plan, and until it executes its program or ends, this thread stands still inside this call:
        // both outlive it, and nobody else touches them. Other threads go on, and the child changes nothing that they
        // see: neither descriptors, before it has a table of its own, nor memory other than its stack and the plan.
        let pid = unsafe {
            let top = self.stack.as_mut_ptr().add(1).cast::<c_void>();
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD;
            libc::clone(child, top, flags, ptr::from_mut(&mut plan).cast())
        };
        let told = last_errno();
        swap_signal_mask(&mask);
        // `Pid` takes no number below zero, as that of a refusal is.
        let pid = Pid::from_raw(pid.max(0)).ok_or(Failure::Told(told))?;
        let Some(failure) = plan.failure.take() else { return Ok(pid) };
        // It is about to end, and nobody else knows of it.
        let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED));
        Err(failure)
    }
}

/// What the child has to do.
struct Plan<'a> {
    image: &'a Image,
    folder: Option<&'a CStr>,
    reserved: [RawFd; 4],
    /// The number under which it finds the last of these.
    ready: Option<RawFd>,
    /// What has kept it from running its program.
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Failure {
    /// It could not get a table of descriptors of its own.
    NoTable,
    /// This was told by the system.
    Told(Errno),
}

/// What runs in the child. It makes system calls and nothing else: it allocates nothing and takes no lock, for our
/// other threads may hold any.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: `start` passes its plan, and stands still meanwhile.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    plan.failure = Some(match plan.prepare() {
        Ok(()) => Failure::Told(plan.image.become_it()),
        Err(failure) => failure,
    });
    127
}

impl Plan<'_> {
    fn prepare(&self) -> Result<(), Failure> {
        let beyond = self.reserved.iter().fold(2, |highest, fd| highest.max(*fd)) + 1;
        // SAFETY: a call with numbers. The descriptors that it closes are those of the new table.
        let answer =
            unsafe { libc::syscall(libc::SYS_close_range, beyond, c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) };
        if answer != 0 {
            return Err(Failure::NoTable);
        }
        let [stdio @ .., ready] = self.reserved;
        for (number, descriptor) in (0..).zip(stdio) {
            // SAFETY: the table is the child's own, and nothing in it is used again but by its program.
            unsafe { pass_on(descriptor, number) }.map_err(Failure::Told)?;
        }
        close_others_on_exec();
        if let Some(number) = self.ready {
            // SAFETY: as above. If the number is one of those that are reserved, that one has been passed on already.
            unsafe { pass_on(ready, number) }.map_err(Failure::Told)?;
        }
        setpgid(None, None).map_err(Failure::Told)?;
        if let Some(folder) = self.folder {
            chdir(folder).map_err(Failure::Told)?;
        }
        reset_signals();
        Ok(())
    }
}

/// Has the program that is executed next find `descriptor` as `number`. For the child of a fork: it makes system calls and
/// nothing else.
///
/// # Safety
/// Whatever this process has open as `number` is closed by it.
pub(in crate::os) unsafe fn pass_on(descriptor: RawFd, number: RawFd) -> Result<(), Errno> {
    // SAFETY: calls with numbers; the caller knows what is closed. The first changes nothing if both are the same.
    let answer = unsafe {
        match libc::dup2(descriptor, number) {
            refused @ ..0 => refused,
            _ => libc::fcntl(number, libc::F_SETFD, 0),
        }
    };
    if answer < 0 { Err(last_errno()) } else { Ok(()) }
}

/// Has every signal as the system has it: our handlers are given up, and so is what we ignore or have inherited as ignored
/// (SIGPIPE by Rust, SIGINT and SIGQUIT in the background of a shell, SIGHUP by `nohup`). Then lets signals come.
pub(in crate::os) fn reset_signals() {
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: a struct of numbers, for which zeros are a value: "as the system has it". The handlers of a child are
        // its own from the beginning.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            let known = libc::sigaction(signal, ptr::null(), &raw mut action) == 0;
            if known && action.sa_sigaction != libc::SIG_DFL {
                action = MaybeUninit::zeroed().assume_init();
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
        }
    }
    // SAFETY: an empty set is all zeros.
    swap_signal_mask(&unsafe { MaybeUninit::zeroed().assume_init() });
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

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;

    #[test]
    fn a_pad_keeps_no_pipe_open_whether_the_program_runs_or_not() {
        let mut pad = LaunchPad::new().unwrap();
        for (program, runs) in [("/bin/sleep", true), ("/does/not/exist", false)] {
            let mut component = Component::new(program, &["1000"]);
            component.ready = Some(3);
            let started = component.try_start_from(&mut pad);
            assert_eq!(started.is_ok(), runs);
            for descriptor in &pad.reserved {
                let path = std::fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).unwrap();
                assert_eq!(path.to_str(), Some("/dev/null"));
            }
        }
        assert!(pad.is_able, "the tests run on Linux 5.9 or newer");
    }

    #[test]
    fn a_start_changes_neither_our_signal_mask_nor_our_handlers() {
        let status = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let lines = status.lines().filter(|line| line.starts_with("Sig") && !line.starts_with("SigQ"));
            lines.filter(|line| !line.starts_with("SigPnd")).map(str::to_owned).collect::<Vec<_>>()
        };
        let before = status();
        let started = Component::new("/bin/sleep", &["1000"]).start();
        assert_eq!(status(), before);
        drop(started);
    }
}

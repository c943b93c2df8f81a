//! The main process of a run.

use std::ffi::{c_int, c_long, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::{io, ptr};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};

use crate::run::Exit;

/// A child of ours that has not been reaped: so its pid, and the id of its process group, can be nobody else's. Or one that
/// was [adopted](Self::find), of which less is certain.
///
/// If the host of the library reaps it nevertheless (or ignores SIGCHLD, which makes the kernel do so), then signals
/// still reach only its own group, and its exit may be unknown. Dropping it neither ends nor reaps the process.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    is_adopted: bool,
}

impl Process {
    /// A child of ours that is held already.
    pub(super) fn held(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, is_adopted: false }
    }

    /// A child of ours that is to be held.
    pub(super) fn open(pid: Pid) -> Result<Self, Errno> {
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Self { pid, pidfd, is_adopted: false },
            Err(Errno::SRCH) => return Self::gone(pid),
            Err(errno) => return Err(errno),
        };
        // Reaped by the host already? Then the pid may be another's by now.
        if process.exit() == Some(Exit::Unknown) { Self::gone(pid) } else { Ok(process) }
    }

    /// A process that was reaped before we could hold it. Its descriptor is readable, as that of an ended process
    /// is, and means no process to any call here.
    fn gone(pid: Pid) -> Result<Self, Errno> {
        Ok(Self { pid, pidfd: eventfd(1, EventfdFlags::CLOEXEC)?, is_adopted: false })
    }

    /// One that is held already, and that somebody else has started; or ourselves, before we executed another program.
    pub(super) fn adopted(pid: Pid, pidfd: OwnedFd) -> Self {
        let mut process = Self { pid, pidfd, is_adopted: false };
        process.is_adopted = !process.is_our_child();
        process
    }

    /// Whether it is no child of ours.
    pub(crate) fn is_adopted(&self) -> bool {
        self.is_adopted
    }

    /// Its pid, which is the id of its process group too.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// From where on its descendants are looked for.
    pub(crate) fn root(&self) -> (u32, BorrowedFd<'_>) {
        (self.pid(), self.as_fd())
    }

    /// How it ended, if it has. It stays there to be looked at again.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.look(WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
    }

    /// The most memory, in bytes, that it or a child that it has waited for has had resident. Known of a process that
    /// has ended, until it is reaped.
    ///
    /// What we have had ourselves counts for it too, because until it executed its program it lived in our memory:
    /// below that, nothing is known.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let mut information = MaybeUninit::<libc::siginfo_t>::zeroed();
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the call reads numbers and fills the two structs, which are there for all of it.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                self.pidfd.as_raw_fd(),
                information.as_mut_ptr(),
                libc::WEXITED | libc::WNOHANG | libc::WNOWAIT,
                usage.as_mut_ptr(),
            )
        };
        if answer != 0 {
            return None;
        }
        // SAFETY: a struct of numbers, which is all zeros where the call has not filled it.
        let peak = resident_peak(unsafe { usage.assume_init_ref() });
        (peak > our_peak_memory()).then_some(peak)
    }

    /// Sends a signal to its whole group. A stopped process must run to hear of it.
    pub(crate) fn signal_group(&self, signal: crate::Signal) {
        self.send_group(as_sent(signal));
        self.send_group(Signal::CONT);
    }

    /// Sends a signal to it alone. If it is stopped it goes on, to hear of it.
    pub(crate) fn signal(&self, signal: crate::Signal) {
        for signal in [as_sent(signal), Signal::CONT] {
            // It may have ended.
            let _ = pidfd_send_signal(&self.pidfd, signal);
        }
    }

    /// Sends just this signal to it alone.
    pub(crate) fn forward(&self, signal: crate::Signal) {
        // It may have ended.
        let _ = pidfd_send_signal(&self.pidfd, as_sent(signal));
    }

    /// Kills its whole group, and itself, which may have joined another group. Harmless where nothing is left.
    pub(crate) fn kill(&self) {
        self.send_group(Signal::KILL);
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Frees its pid. `None` if it has not ended, in which case nothing holds it any longer: ask
    /// [`exit`](Self::exit) first.
    pub(crate) fn reap(&self) -> Option<Exit> {
        self.look(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// Waits for its end, and reaps it. For what is about to end.
    pub(crate) fn await_end(&self) {
        let _ = retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED));
    }

    /// Whether its pid is surely its own: it is not reaped yet, alive or not.
    pub(super) fn is_unreaped(&self) -> bool {
        if self.is_adopted { has_its_pid(self.pidfd.as_fd()) } else { self.is_our_child() }
    }

    /// Whether it is still our child, alive or not, so that nobody but us can reap it.
    fn is_our_child(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), options)).is_ok()
    }

    fn look(&self, options: WaitIdOptions) -> Option<Exit> {
        match retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), options)) {
            Ok(status) => status.as_ref().map(exit_of),
            Err(_) if self.is_adopted => self.exit_of_adopted(),
            Err(_) => Some(told_by_pidfd(self.pidfd.as_fd()).unwrap_or(Exit::Unknown)),
        }
    }

    fn send_group(&self, signal: Signal) {
        // By pidfd the group is surely ours. From Linux 6.9 on.
        let mut sent = pidfd_signal_group(self.pidfd.as_fd(), Some(signal));
        if sent == Err(Errno::INVAL) && self.is_adopted {
            sent = self.signal_members(signal);
        } else if sent == Err(Errno::INVAL) && self.is_our_child() {
            sent = kill_process_group(self.pid, signal);
        }
        if sent == Err(Errno::SRCH) {
            // Nobody is in the group that it began with: if it lives, it has joined another.
            let _ = pidfd_send_signal(&self.pidfd, signal);
        }
    }
}

impl AsFd for Process {
    /// Readable once it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn our_peak_memory() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call fills the struct of numbers, or leaves it all zeros.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        resident_peak(usage.assume_init_ref())
    }
}

/// Linux counts in units of 1,024 bytes.
fn resident_peak(usage: &libc::rusage) -> u64 {
    u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024)
}

/// The signal as it is sent.
pub(super) fn as_sent(signal: crate::Signal) -> Signal {
    // SAFETY: its number is one of the kernel's, 1 to 64; those that a C library keeps for itself are only sent here, to other processes.
    unsafe { Signal::from_raw_unchecked(signal.number()) }
}

/// The exit of a process that somebody else has reaped, from Linux 6.15 on.
pub(super) fn told_by_pidfd(pidfd: BorrowedFd<'_>) -> Option<Exit> {
    let mut info = MaybeUninit::<libc::pidfd_info>::zeroed();
    // SAFETY: a struct of plain numbers, for which zeros are a value.
    let info = unsafe { info.assume_init_mut() };
    info.mask = u64::from(libc::PIDFD_INFO_EXIT);
    // SAFETY: the request reads and writes one `pidfd_info`, whose size is part of its number; on a descriptor
    // that is no pidfd it fails.
    let answer = unsafe { libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, ptr::from_mut(info)) };
    let told = answer == 0 && info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0;
    told.then(|| exit_of_status(info.exit_code))
}

pub(super) fn exit_of(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal { signal, core_dumped: status.dumped() },
        (None, None) => Exit::Unknown,
    }
}

/// An exit as the kernel writes it down.
pub(super) fn exit_of_status(status: c_int) -> Exit {
    if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Exit::Signal { signal: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
    } else {
        Exit::Unknown
    }
}

/// Sends a signal to the process group whose first process the pidfd means, even if that has ended. No signal: only looks
/// whether that could be done.
pub(super) fn pidfd_signal_group(pidfd: BorrowedFd<'_>, signal: Option<Signal>) -> Result<(), Errno> {
    // SAFETY: the call takes numbers and a null pointer ("no information beside the signal") and writes nothing.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            c_long::from(pidfd.as_raw_fd()),
            c_long::from(signal.map_or(0, Signal::as_raw)),
            ptr::null::<c_void>(),
            libc::PIDFD_SIGNAL_PROCESS_GROUP,
        )
    };
    if answer == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

/// Whether the process that the pidfd means is not reaped yet, so that its pid is its own.
pub(super) fn has_its_pid(pidfd: BorrowedFd<'_>) -> bool {
    // SAFETY: as above; signal zero is sent to nobody.
    let answer = unsafe {
        let (none, nothing) = (ptr::null::<c_void>(), 0);
        libc::syscall(libc::SYS_pidfd_send_signal, c_long::from(pidfd.as_raw_fd()), nothing, none, 0)
    };
    answer == 0 || Errno::from_io_error(&io::Error::last_os_error()) == Some(Errno::PERM)
}

/// Undoes a spawn whose process cannot be held or watched.
pub(crate) fn destroy(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        undo(pid);
    }
}

/// It is still our child, so its pid is its own.
pub(super) fn undo(pid: Pid) {
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::{Component, end_of};
    use crate::os::leftovers;

    #[test]
    fn an_exit_code_is_exact_and_can_be_looked_at_until_it_is_reaped() {
        for code in [0, 1, 7, 255] {
            let started = Component::shell(&format!("exit {code}")).start();
            assert_eq!(started.wait(), Exit::Code(code));
            assert_eq!(started.process().exit(), Some(Exit::Code(code)));
            assert_eq!(started.into_process().reap(), Some(Exit::Code(code)));
        }
    }

    #[test]
    fn the_most_memory_that_it_or_its_children_had_is_known_until_it_is_reaped() {
        let script = "head -c 300m /dev/zero | tail -c 300m > /dev/null; exit 0";
        let started = Component::shell(script).start();
        started.wait();
        let peak = started.process().peak_memory().unwrap();
        assert!((300 << 20..400 << 20).contains(&peak), "{peak}");
        started.process().reap();
        assert_eq!(started.process().peak_memory(), None);
    }

    #[test]
    fn our_own_memory_is_not_taken_for_that_of_a_small_component() {
        let ours = vec![1_u8; 50 << 20];
        let started = Component::new("/bin/true", &[]).start();
        started.wait();
        assert_eq!(started.process().peak_memory(), None);
        drop(std::hint::black_box(ours));
    }

    #[test]
    fn a_process_that_runs_has_no_exit() {
        let started = Component::new("/bin/sleep", &["1000"]).start();
        assert_eq!(started.process().exit(), None);
        assert_eq!(started.process().peak_memory(), None);
    }

    #[test]
    fn a_signal_is_exact_and_so_is_whether_it_left_a_core() {
        use std::os::unix::process::ExitStatusExt;
        for (script, number) in [
            ("kill -KILL $$", libc::SIGKILL),
            ("ulimit -c 0; kill -SEGV $$", libc::SIGSEGV),
            ("ulimit -c unlimited; kill -QUIT $$", libc::SIGQUIT),
        ] {
            // Whether a core is dumped depends on the system, so it is asked by another way first.
            let folder = tempfile::tempdir().unwrap();
            #[expect(clippy::disallowed_methods, reason = "the standard library's verdict to compare with")]
            let mut reference = std::process::Command::new("env");
            // Whoever runs the tests may ignore what components never do.
            let status = reference
                .args(["--default-signal", "/bin/sh", "-c", script])
                .current_dir(&folder)
                .status()
                .unwrap();

            let mut component = Component::shell(script);
            component.spec.working_directory = Some(folder.path().to_owned());
            let expected = Exit::Signal { signal: number, core_dumped: status.core_dumped() };
            assert_eq!(component.start().wait(), expected, "{script}");
        }
    }

    #[test]
    fn stop_reaches_the_whole_group() {
        // The child speaks once it is a program of its own: before, the shell's trap would take the signal.
        let script = "trap 'exit 3' TERM; sh -c 'echo $$; exec sleep 1000' & wait";
        let mut started = Component::shell(script).start();
        let child: u32 = started.line().parse().unwrap();
        started.process().signal_group(crate::Signal::TERM);
        assert_eq!(started.wait(), Exit::Code(3));
        end_of(child);
    }

    #[test]
    fn stop_reaches_a_process_that_is_stopped() {
        let started = Component::shell("trap 'exit 9' TERM; kill -STOP $$; exec sleep 1000").start();
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        waitid(WaitId::PidFd(started.process().as_fd()), stopped).unwrap();
        started.process().signal_group(crate::Signal::TERM);
        assert_eq!(started.wait(), Exit::Code(9));
    }

    #[test]
    fn kill_reaches_the_group_even_when_its_main_process_has_ended() {
        let mut started = Component::shell("(trap '' TERM; echo ready; sleep 1000) & echo $!").start();
        let (one, other) = (started.line(), started.line());
        let child: u32 = one.parse().or_else(|_| other.parse()).unwrap();
        started.wait();
        started.process().kill();
        end_of(child);
        started.process().kill();
    }

    #[test]
    fn a_host_that_reaps_first_does_no_harm() {
        let started = Component::shell("exit 7").start();
        started.wait();
        waitid(WaitId::Pid(started.process().pid), WaitIdOptions::EXITED).unwrap();
        // Kernels before 6.15 do not remember it.
        let told = started.process().exit();
        assert!(matches!(told, Some(Exit::Code(7) | Exit::Unknown)), "{told:?}");
        started.process().signal_group(crate::Signal::TERM);
        started.process().kill();
        assert_eq!(started.into_process().reap(), told);
    }

    #[test]
    fn what_was_gone_before_it_could_be_held_signals_nobody() {
        let stranger = Component::new("/bin/sleep", &["1000"]).start();
        let gone = Process::gone(stranger.process().pid).unwrap();
        gone.signal_group(crate::Signal::TERM);
        gone.kill();
        assert_eq!(gone.exit(), Some(Exit::Unknown));
        let run = crate::os::Run { process: &gone, token: "none" };
        assert!(leftovers(&[run], |_| false, false).held.is_empty());
        assert_eq!(stranger.process().exit(), None, "it still runs");
    }

    #[test]
    fn a_status_of_the_kernel_is_read_as_wait_reads_it() {
        assert_eq!(exit_of_status(0x0700), Exit::Code(7));
        assert_eq!(exit_of_status(9), Exit::Signal { signal: 9, core_dumped: false });
        assert_eq!(exit_of_status(0x80 | 11), Exit::Signal { signal: 11, core_dumped: true });
    }
}

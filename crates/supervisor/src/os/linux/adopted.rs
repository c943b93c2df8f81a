//! The main process of a run that another supervisor has started, which was killed: it is not our child.
//!
//! Whoever has inherited it reaps it at any moment. So its pid, and the number of its group, may be another's once it has
//! ended, and everything is done by its pidfd. That is readable as soon as it has ended; how, can be read from `/proc` until it
//! is reaped, and from Linux 6.15 on the kernel tells it afterwards. Whatever will ever be known is known at once: nothing waits
//! for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use super::identity::Identity;
use super::leftovers::{Leftover, has_ended};
use super::proc::Reader;
use super::process::{Process, exit_of_status, has_its_pid, pidfd_signal_group, told_by_pidfd};
use crate::os::posix;
use crate::run::Exit;

/// What has become of a process that is known of from before.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It lives.
    Lives(Process),
    /// It has ended: so, if it is not reaped yet and we may know.
    Ended(Option<Exit>),
}

impl Process {
    /// What makes it this very process. `None` if it is reaped.
    pub(crate) fn identity(&self) -> Option<Identity> {
        Identity::of(self.pid(), self.as_fd())
    }

    /// Looks for a process that somebody else may have started.
    ///
    /// # Errors
    /// If it cannot be told whether it lives: descriptors or memory are wanting.
    pub(crate) fn find(identity: &Identity) -> io::Result<Fate> {
        let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else {
            return Ok(Fate::Ended(None));
        };
        // Opened before anything is read: if the pid changes hands now, the descriptor means one that is dead.
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // Reaped, or its pid is that of another's thread by now.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(Fate::Ended(None)),
            Err(errno) => {
                let why = posix::words(&errno.into());
                return Err(io::Error::new(
                    io::Error::from(errno).kind(),
                    format!("cannot hold process {}: {why}", identity.pid),
                ));
            }
        };
        match identity.is_that_of(pidfd.as_fd()) {
            Some(true) if has_ended(pidfd.as_fd()) => {
                Ok(Fate::Ended(exit_beside_us(identity.pid, pidfd.as_fd())))
            }
            Some(true) => Ok(Fate::Lives(Self::adopted(pid, pidfd))),
            Some(false) => Ok(Fate::Ended(None)),
            None => Err(io::Error::other(format!("cannot read /proc/{}/stat", identity.pid))),
        }
    }

    /// Takes a process that is held for the main process of a run.
    pub(crate) fn adopt(process: Leftover) -> Option<Self> {
        let (pid, pidfd) = process.into_parts();
        Some(Self::adopted(Pid::from_raw(i32::try_from(pid).ok()?)?, pidfd))
    }

    /// How it has ended, if it has. It is no child of ours.
    pub(super) fn exit_of_adopted(&self) -> Option<Exit> {
        let exit = || exit_beside_us(self.pid(), self.as_fd()).unwrap_or(Exit::Unknown);
        has_ended(self.as_fd()).then(exit)
    }

    /// Whether the number of its pid surely means it, or its group.
    pub(super) fn has_its_number(&self) -> bool {
        // A number is nobody else's as long as a group has it, though its first process may be reaped.
        let has_group = || matches!(pidfd_signal_group(self.as_fd(), None), Ok(()) | Err(Errno::PERM));
        self.is_unreaped() || self.is_adopted() && has_group()
    }

    /// Sends a signal to each process of its group, for kernels before 6.9: the group itself may be a stranger's by the
    /// moment in which it is signalled.
    pub(super) fn signal_members(&self, signal: Signal) -> Result<(), Errno> {
        let mut reader = Reader::default();
        let mut sent = Err(Errno::SRCH);
        for pid in reader.all_processes() {
            if reader.stat(pid).is_none_or(|stat| stat.group != self.pid()) {
                continue;
            }
            let Some((member, stat)) = Leftover::hold(&mut reader, pid) else { continue };
            if stat.group == self.pid() && has_its_pid(self.as_fd()) {
                sent = pidfd_send_signal(member.as_fd(), signal).or(sent);
            }
        }
        sent
    }
}

/// How somebody else's child has ended, if that can be known.
pub(super) fn exit_beside_us(pid: u32, pidfd: BorrowedFd<'_>) -> Option<Exit> {
    // First what is there until it is reaped, then what is there from then on: so nothing is missed in between.
    exit_of_zombie(pid, pidfd).or_else(|| told_by_pidfd(pidfd))
}

/// How it ended, if it is not reaped yet.
fn exit_of_zombie(pid: u32, pidfd: BorrowedFd<'_>) -> Option<Exit> {
    let mut reader = Reader::default();
    let status = reader.exit_status(pid)?;
    let we_may_know = geteuid().is_root() || reader.user(pid) == Some(geteuid().as_raw());
    // As long as it is not reaped its pid is its own, and so is what was read.
    (we_may_know && has_its_pid(pidfd)).then(|| exit_of_status(status))
}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;
    use crate::os::fixture::{Component, Orphan, end_of, readable};
    use crate::os::{Run, leftovers};

    const TERM: crate::Signal = crate::Signal::TERM;

    fn find(orphan: &Orphan) -> Process {
        match Process::find(&orphan.identity()) {
            Ok(Fate::Lives(process)) => process,
            fate => panic!("{fate:?}"),
        }
    }

    fn token(name: &str) -> String {
        format!("adopted/{name}-{}", std::process::id())
    }

    #[test]
    fn a_process_of_another_is_found_signalled_and_its_end_is_known_at_once() {
        for (name, script, signal, expected) in [
            ("code", "trap 'exit 7' TERM; echo; sleep 1000 & wait", TERM, Exit::Code(7)),
            (
                "kill",
                "echo; exec sleep 1000",
                crate::Signal::KILL,
                Exit::Signal { signal: 9, core_dumped: false },
            ),
        ] {
            let orphan = Orphan::start(&token(name), script);
            let process = find(&orphan);
            assert!(process.is_adopted() && process.is_unreaped());
            assert_eq!((process.exit(), process.peak_memory()), (None, None));
            process.signal(signal);
            readable(process.as_fd());
            // Kernels before 6.15 do not tell it of what is reaped, which may be so by now.
            let exit = process.exit();
            assert!(exit == Some(expected) || exit == Some(Exit::Unknown), "{exit:?}");
            let is_told = told_by_pidfd(process.as_fd()).is_some() || process.is_unreaped();
            assert!(!is_told || exit == Some(expected), "{exit:?}");
            assert_eq!(process.reap(), exit);
            process.kill();
        }
    }

    #[test]
    fn a_zombie_that_nobody_reaps_has_ended_and_tells_how() {
        // Its parent stops before it can reap it.
        let script = "sh -c 'echo $$; kill -STOP $$; exit 9' & kill -STOP $$";
        let mut parent = Component::shell(script).start();
        let pid: u32 = parent.line().parse().unwrap();
        let held = pidfd_open(Pid::from_raw(pid.try_into().unwrap()).unwrap(), PidfdFlags::empty()).unwrap();
        let identity = Identity::of(pid, held.as_fd()).unwrap();
        assert!(matches!(Process::find(&identity), Ok(Fate::Lives(_))));
        while !has_ended(held.as_fd()) {
            pidfd_send_signal(&held, Signal::CONT).unwrap();
        }
        assert!(matches!(Process::find(&identity), Ok(Fate::Ended(Some(Exit::Code(9))))));
    }

    #[test]
    fn a_later_process_of_the_same_pid_is_not_taken_for_it() {
        let orphan = Orphan::start(&token("reuse"), "echo; exec sleep 1000");
        let elder = Component::new("/bin/sleep", &["1000"]).start();
        let mut identity = elder.process().identity().unwrap();
        identity.pid = orphan.pid();
        // Without an inode too, as it is on kernels before 6.9, if they began at different times.
        assert!(matches!(Process::find(&identity), Ok(Fate::Ended(None))));
        identity.pid = u32::MAX;
        assert!(matches!(Process::find(&identity), Ok(Fate::Ended(None))));
    }

    #[test]
    fn a_signal_to_its_group_reaches_all_of_it_even_when_it_has_been_reaped() {
        let mut orphan = Orphan::start(&token("group"), "sh -c 'echo; echo $$; exec sleep 1000' & wait");
        let process = find(&orphan);
        let child: u32 = orphan.line().parse().unwrap();
        process.forward(crate::Signal::KILL);
        readable(process.as_fd());
        assert!(process.has_its_number(), "its group is there");
        process.kill();
        end_of(child);
        drop(orphan);
        // Whoever has inherited its child reaps that in its own time.
        while process.has_its_number() && !process.is_unreaped() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_old_kernel_has_each_member_of_its_group_signalled_and_nobody_else() {
        let mut orphan = Orphan::start(&token("old"), "sh -c 'echo; echo $$; exec sleep 1000' & wait");
        let stranger = Component::new("/bin/sleep", &["1000"]).start();
        let process = find(&orphan);
        let child: u32 = orphan.line().parse().unwrap();
        process.signal_members(Signal::KILL).unwrap();
        end_of(child);
        readable(process.as_fd());
        assert_eq!(stranger.process().exit(), None);
    }

    #[test]
    fn what_it_has_left_is_found_by_group_and_token() {
        let name = token("left");
        let forgetful = "env -i sh -c 'echo; echo $$; exec sleep 1000' & wait";
        // The one that is known by its token executes nothing more: while it did, it would have no environment.
        let mut orphan =
            Orphan::start(&name, &format!("(setsid sh -c 'echo; kill -STOP $$' & ); {forgetful}"));
        let process = find(&orphan);
        let lines = orphan.line() + &orphan.line();
        let forgetful: u32 = lines.parse().unwrap();
        process.forward(crate::Signal::KILL);
        readable(process.as_fd());
        let run = Run { process: &process, token: &name };
        for orphans_come_to_us in [false, true] {
            let found = leftovers(&[run], |pid| pid == process.pid(), orphans_come_to_us);
            let pids: Vec<_> = found.held.iter().map(|(_, leftover)| leftover.pid()).collect();
            assert!(pids.len() == 2 && pids.contains(&forgetful), "{forgetful} in {pids:?}");
        }
        process.kill();
        end_of(forgetful);
    }

    #[test]
    fn our_own_child_that_is_found_again_is_a_child_as_before() {
        let started = Component::shell("exit 3").start();
        let identity = started.process().identity().unwrap();
        started.wait();
        assert!(matches!(Process::find(&identity), Ok(Fate::Ended(Some(Exit::Code(3))))));
        let lives = Component::new("/bin/sleep", &["1000"]).start();
        let Ok(Fate::Lives(process)) = Process::find(&lives.process().identity().unwrap()) else { panic!() };
        assert!(!process.is_adopted());
        waitid(WaitId::Pid(Pid::from_raw(started.pid().try_into().unwrap()).unwrap()), WaitIdOptions::EXITED)
            .unwrap();
    }
}

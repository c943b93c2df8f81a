//! Processes of a run that it speaks of, or that speak for it.

use std::os::fd::AsFd;

use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, geteuid, waitid};

use super::leftovers::{Leftover, has_ended};
use super::notify_socket::Sender;
use super::proc::{Reader, Stat};
use super::process::{exit_of, exit_of_status, has_its_pid, told_by_pidfd};
use crate::os::{RUN_VARIABLE, Run, TASK_VARIABLE};
use crate::run::Exit;

/// How far up the ancestors of a process are looked at.
const MOST_ANCESTORS: usize = 32;

/// Whether what this sender says may be taken for what the run says: if it is root, of our own user or of the run's,
/// or if it belongs to the run. The user is enough, because programs that only notify are often gone before anybody
/// can look at them; and belonging is enough, because many a program notifies when it has given up its user.
pub(crate) fn may_speak_for(run: &Run<'_>, sender: Sender) -> bool {
    sender.user == 0
        || sender.user == geteuid().as_raw()
        || (run.process.is_unreaped() && Reader::default().user(run.process.pid()) == Some(sender.user))
        || member(run, sender.pid).is_some()
}

/// The process of this pid, if it lives and belongs to the run: if it or one of its ancestors is its main process, is in
/// the group of that, or has the run's token.
///
/// Who names a process here may mean harm, and it may be signalled afterwards. So each ancestor is held before it is
/// read, and counts only if its child, which lives, still says that it is its parent.
pub(crate) fn member(run: &Run<'_>, pid: u32) -> Option<Leftover> {
    let mut reader = Reader::default();
    let (process, mut stat) = Leftover::hold(&mut reader, pid)?;
    let mut ancestor = None;
    for _ in 0..MOST_ANCESTORS {
        let current = ancestor.as_ref().unwrap_or(&process);
        if belongs(run, current, &stat, &mut reader) {
            // What was read of a pid is surely about the process that has it for as long as that lives.
            return (!has_ended(current.as_fd())).then_some(process);
        }
        let (parent, stat_of_parent) = Leftover::hold(&mut reader, stat.parent)?;
        let is_parent = reader.stat(current.pid())?.parent == parent.pid() && !has_ended(current.as_fd());
        if !is_parent {
            return None;
        }
        (ancestor, stat) = (Some(parent), stat_of_parent);
    }
    None
}

fn belongs(run: &Run<'_>, process: &Leftover, stat: &Stat, reader: &mut Reader) -> bool {
    let main = run.process.pid();
    let is_known = [process.pid(), stat.group, stat.parent].contains(&main) && run.process.is_unreaped();
    // A command that is run for a component bears the run's token as well, and is none of its processes.
    is_known || reader.variable(process.pid(), [TASK_VARIABLE, RUN_VARIABLE]) == Some(run.token.as_bytes())
}

impl Leftover {
    /// How it ended, if it has. If it has come to us as an orphan it is reaped by that.
    pub(crate) fn exit(&self) -> Option<Exit> {
        if !has_ended(self.as_fd()) {
            return None;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let reaped = retry_on_intr(|| waitid(WaitId::PidFd(self.as_fd()), options)).ok().flatten();
        let exit = reaped.as_ref().map(exit_of).or_else(|| self.exit_of_zombie());
        Some(exit.or_else(|| told_by_pidfd(self.as_fd())).unwrap_or(Exit::Unknown))
    }

    /// How it ended, if it is somebody else's child and not reaped yet.
    fn exit_of_zombie(&self) -> Option<Exit> {
        let mut reader = Reader::default();
        let status = reader.exit_status(self.pid())?;
        let we_may_know = geteuid().is_root() || reader.user(self.pid()) == Some(geteuid().as_raw());
        // As long as it is not reaped its pid is its own, and so is what was read.
        (we_may_know && has_its_pid(self.as_fd())).then(|| exit_of_status(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::{Component, Started};

    /// Starts a script that prints the pid of a process which outlives it or stays beside it.
    fn start(script: &str) -> (Started, u32) {
        let mut started = Component::shell(script).start();
        let pid = started.line().parse().unwrap();
        (started, pid)
    }

    #[test]
    fn children_daemons_and_what_has_forgotten_its_token_belong_and_nobody_else() {
        let (stranger, strangers_child) = start("sleep 1000 & echo $!; wait");
        for script in [
            "sleep 1000 & echo $!; wait",
            "(setsid sh -c 'echo $$; exec sleep 1000' & )",
            "setsid env -i sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" & wait' & wait",
        ] {
            let (main, pid) = start(script);
            assert_eq!(member(&main.run(), pid).map(|found| found.pid()), Some(pid), "{script}");
            assert!(member(&stranger.run(), pid).is_none(), "{script}");
            for nobodys in [strangers_child, std::process::id(), 1, 0, u32::MAX] {
                assert!(member(&main.run(), nobodys).is_none(), "{script}: {nobodys}");
            }
        }
    }

    #[test]
    fn the_users_of_the_run_and_the_supervisor_may_speak_and_others_if_they_belong() {
        let (main, child) = start("sleep 1000 & echo $!; wait");
        let ours = geteuid().as_raw();
        let other = ours + 4242;
        let may = |pid, user| may_speak_for(&main.run(), Sender { pid, user });
        assert!(may(0, 0) && may(0, ours));
        assert!(may(child, other) && may(main.pid(), other));
        assert!(!may(0, other) && !may(std::process::id(), other) && !may(1, other));
    }

    #[test]
    fn the_end_of_another_processs_child_is_known_exactly() {
        for (end, expected) in
            [("exit 7", Exit::Code(7)), ("kill -KILL $$", Exit::Signal { signal: 9, core_dumped: false })]
        {
            // Its parent stops before it can reap it.
            let script = format!("sh -c 'echo $$; kill -STOP $$; {end}' & kill -STOP $$");
            let (main, pid) = start(&script);
            let child = member(&main.run(), pid).unwrap();
            assert_eq!(child.exit(), None);
            while child.exit().is_none() {
                child.signal(crate::Signal::from_name("CONT").unwrap());
            }
            assert_eq!(child.exit(), Some(expected));
        }
    }
}

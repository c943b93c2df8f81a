//! Processes of a run that it speaks of, or that speak for it.

use std::os::fd::AsFd;

use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, geteuid, waitid};

use super::adopted::exit_beside_us;
use super::leftovers::{Leftover, has_ended};
use super::proc::{Reader, Stat};
use super::process::exit_of;
use crate::os::{RUN_VARIABLE, Run, TASK_VARIABLE};
use crate::run::Exit;

/// How far up the ancestors of a process are looked at.
const MOST_ANCESTORS: usize = 32;

/// How much of an environment is looked at for the token: strangers choose how large theirs are, and who asks waits.
const MOST_ENVIRONMENT: usize = 256 << 10;

/// The user that the main process of a run has by now, if that can be told.
pub(crate) fn user_of(run: &Run<'_>) -> Option<u32> {
    if run.process.is_unreaped() { Reader::default().user(run.process.pid()) } else { None }
}

/// Whether what a process of this user says may be taken for what any run says: if it is root, or our own user.
pub(crate) fn may_speak_for_all(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// The process of this pid, if it lives and belongs to the run: if it or one of its ancestors is its main process, is in
/// the group of that, or has the run's token.
///
/// Who names a process here may mean harm, and it may be signalled afterwards. So each ancestor is held before it is
/// read, and counts only if its child, which lives, still says that it is its parent. And whatever can be told without
/// reading environments is, so that it is cheap for most.
pub(crate) fn member(run: &Run<'_>, pid: u32) -> Option<Leftover> {
    let mut reader = Reader::default();
    let main = run.process.pid();
    // Nothing of a run is older than its main process.
    let began = reader.stat(main).filter(|_| run.process.is_unreaped()).map_or(0, |stat| stat.started);
    let is_known = |_: &mut Reader, process: &Leftover, stat: &Stat| {
        [process.pid(), stat.group, stat.parent].contains(&main) && run.process.is_unreaped()
    };
    let has_token = |reader: &mut Reader, process: &Leftover, _: &Stat| {
        // A command that is run for a component bears the run's token as well, and is none of its processes.
        let names = [TASK_VARIABLE, RUN_VARIABLE];
        reader.variable_within(MOST_ENVIRONMENT, process.pid(), names) == Some(run.token.as_bytes())
    };
    descends(&mut reader, pid, began, is_known).or_else(|| descends(&mut reader, pid, began, has_token))
}

/// The process of this pid, if it lives, and it or one of its ancestors that began no earlier than that belongs.
fn descends(
    reader: &mut Reader,
    pid: u32,
    began: u64,
    belongs: impl Fn(&mut Reader, &Leftover, &Stat) -> bool,
) -> Option<Leftover> {
    let (process, mut stat) = Leftover::hold(reader, pid)?;
    let mut ancestor = None;
    for _ in 0..MOST_ANCESTORS {
        if stat.started < began {
            return None;
        }
        let current = ancestor.as_ref().unwrap_or(&process);
        if belongs(reader, current, &stat) {
            // What was read of a pid is surely about the process that has it for as long as that lives.
            return (!has_ended(current.as_fd())).then_some(process);
        }
        let (parent, stat_of_parent) = Leftover::hold(reader, stat.parent)?;
        let is_parent = reader.stat(current.pid())?.parent == parent.pid() && !has_ended(current.as_fd());
        if !is_parent {
            return None;
        }
        (ancestor, stat) = (Some(parent), stat_of_parent);
    }
    None
}

impl Leftover {
    /// How it ended, if it has. If it has come to us as an orphan it is reaped by that.
    pub(crate) fn exit(&self) -> Option<Exit> {
        if !has_ended(self.as_fd()) {
            return None;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let reaped = retry_on_intr(|| waitid(WaitId::PidFd(self.as_fd()), options)).ok().flatten();
        let exit = reaped.as_ref().map(exit_of).or_else(|| exit_beside_us(self.pid(), self.as_fd()));
        Some(exit.unwrap_or(Exit::Unknown))
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
            // It executes nothing more, for while it did it would have no environment.
            "(setsid sh -c 'echo $$; kill -STOP $$' & )",
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
    fn what_is_older_than_the_run_does_not_belong_though_it_bears_its_token() {
        let elder = Component::new("/bin/sleep", &["1000"]).start();
        let run_of = |started: &Started| Reader::default().stat(started.pid()).unwrap().started;
        let younger = loop {
            let younger = Component::new("/bin/sleep", &["1000"]).start();
            if run_of(&younger) > run_of(&elder) {
                break younger;
            }
        };
        let run = |of| Run { process: of, token: elder.token() };
        assert!(member(&run(younger.process()), elder.pid()).is_none());
        assert!(member(&run(elder.process()), elder.pid()).is_some());
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

//! The supervisor is the first process of its namespace, as in a container: orphans are its own, and it ends like any other.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::ground::{Supervisor, can_try, component, family, has_forked, plain, status};
use crate::house::{House, PROGRAM, kill, server};

/// One that is process 1 where its components are, and this process outside.
struct First<'a> {
    /// `unshare`, which ends as it does, and takes it along if it is killed.
    outside: Supervisor<'a>,
    pid: u32,
}

impl<'a> First<'a> {
    fn run(house: &'a House) -> Self {
        let outside = begin(house, &[]);
        outside.until(|house| status(house)["supervisor"]["pid"] == 1);
        let pid = children_of(outside.pid()).pop_first().unwrap();
        Self { outside, pid }
    }

    /// Its children, once there are just so many, those included that have ended and were not reaped.
    fn until_alone_with(&self, count: usize) -> BTreeSet<u32> {
        let mut children = BTreeSet::new();
        self.outside.until(|_| {
            children = children_of(self.pid);
            children.len() == count
        });
        children
    }

    /// Has somebody else do this beside the components: who has nothing to do with them.
    fn beside(&self, script: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid.to_string(), "--pid", "--mount", "sh", "-c", script]);
        assert!(command.status().unwrap().success());
    }

    /// Signals it from where it is process 1, and so gets only what it listens for.
    fn signal(&self, name: &str) {
        self.beside(&format!("kill -{name} 1"));
    }
}

fn begin<'a>(house: &'a House, arguments: &[&str]) -> Supervisor<'a> {
    let mut command = house.command("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", PROGRAM]);
    Supervisor::begin_with(house, &mut command, arguments)
}

fn can_be_first() -> bool {
    can_try("a supervisor that is process 1", &["unshare", "nsenter"])
}

/// The children of a process, also those that have ended and were not reaped.
fn children_of(parent: u32) -> BTreeSet<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let is_its = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, in which anything may stand, and the state.
        let parent_of = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        parent_of == Some(parent)
    };
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_its).collect()
}

#[test]
fn as_process_1_it_reaps_every_orphan_whoever_has_left_it() {
    if !can_be_first() {
        return;
    }
    const ORPHANS: usize = 40;
    let orphan = |name: &str| format!("(setsid sh -c 'echo {name} $$ >BELL' &)");
    let leaves = format!("for i in $(seq {ORPHANS}); do {}; done; exec sleep 10000", orphan("its"));
    let leaves = leaves.replace('&', "&amp;").replace('>', "&gt;");
    let house = House::with(
        &(server("leaves", &leaves, "")
            + &plain(
                "daemons",
                "--fork-children 3 --new-session --ready-file FOLDER/daemons.ready",
                "<restart delay=\"0\"/>",
            )
            + &plain("quiet", "", "")),
    );
    let first = First::run(&house);
    let hear_all = |name: &str| {
        for _ in 0..ORPHANS {
            house.bell(name);
        }
    };
    hear_all("its");
    let bell = house.path("bell").display().to_string();
    for _ in 0..ORPHANS {
        first.beside(&orphan("strange").replace("BELL", &bell));
    }
    hear_all("strange");
    first.outside.until(|house| has_forked(house, "daemons"));
    // Three main processes, and three daemons that have come to it and live.
    let before = first.until_alone_with(6);
    assert!(family(&house, "daemons").iter().all(|pid| before.contains(pid)));

    // Whether it ends by itself, or is what is left of a run.
    for pid in family(&house, "daemons") {
        kill(pid, Signal::KILL);
    }
    first.outside.until(|house| component(house, "daemons")["restarts"] == 1);
    first.outside.until(|house| has_forked(house, "daemons"));
    let after = first.until_alone_with(6);
    assert_eq!(before.intersection(&after).count(), 2);
    first.signal("TERM");
    assert_eq!(first.outside.end(), 0);
    house.assert_nothing_lives();
}

#[test]
fn as_process_1_it_obeys_the_signals_that_it_obeys_anywhere_and_its_exit_code_gets_out() {
    if !can_be_first() {
        return;
    }
    let house = House::with(&(plain("a", "", "") + &plain("b", "", "")));
    for stop in ["TERM", "INT"] {
        let first = First::run(&house);
        let before = first.outside.until_up(["a", "b"]);
        fs::remove_file(house.path("temp/s7supervisor.sock")).unwrap();
        // The last two mean nothing to it, and are the end of whoever is not process 1.
        for signal in ["HUP", "USR1", "USR2", "QUIT"] {
            first.signal(signal);
        }
        // It answers, so that it has made its socket again.
        assert_eq!(first.outside.until_up(["a", "b"]), before);
        first.until_alone_with(2);
        first.signal(stop);
        assert_eq!(first.outside.end(), 0, "SIG{stop}");
        house.assert_nothing_lives();
    }
}

#[test]
fn as_process_1_a_second_sigterm_forces_the_end_of_what_is_deaf() {
    if !can_be_first() {
        return;
    }
    let deaf = plain(
        "deaf",
        "--ignore-stop --fork-children 2 --new-session --ready-file FOLDER/deaf.ready",
        "<stopTimeout>600s</stopTimeout>",
    );
    let house = House::with(&deaf);
    let first = First::run(&house);
    first.outside.until(|house| has_forked(house, "deaf"));
    assert_eq!(family(&house, "deaf").len(), 3);
    // Also from outside.
    kill(first.pid, Signal::TERM);
    first.outside.until(|house| component(house, "deaf")["state"] == "stopping");
    first.signal("TERM");
    assert_eq!(first.outside.end(), 11);
    house.assert_nothing_lives();
}

#[test]
fn as_process_1_with_exit_when_done_it_ends_when_nothing_will_run_again_and_says_whether_all_succeeded() {
    if !can_be_first() {
        return;
    }
    let leaves = "(setsid \"$0\" stand-in --name FOLDER/left &amp;); exit 0";
    let job = |id: &str, script: &str| server(id, script, "<restart policy=\"never\"/>");
    for (script, expected) in [("exit 0", 0), ("exit 3", 10)] {
        let house = House::with(&(job("a", leaves) + &job("b", script)));
        assert_eq!(begin(&house, &["--exit-when-done"]).end(), expected);
        house.assert_nothing_lives();
    }
}

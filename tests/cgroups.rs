//! No orphans, from end to end: daemons that hide whose they are, with control groups and without, also when the supervisor is
//! killed in between.
//!
//! As in `command_line.rs`, nothing waits by sleeping.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
#[expect(dead_code, reason = "the other tests of the command line need more of it")]
mod house;
#[path = "command_line/place.rs"]
mod place;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Child;

use house::{House, code, kill, server, stderr};
use place::place;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

const BY_GROUPS: &[&str] = &["--cgroups", "auto"];
const BY_TRACES: &[&str] = &["--cgroups", "off"];

/// The control group of a process, as its folder.
fn group_of(place: &Path, pid: u32) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    place.join(Path::new(group).strip_prefix(own).unwrap())
}

/// Holds a process, to know for sure when it has ended.
fn held(pid: u32) -> OwnedFd {
    pidfd_open(Pid::from_raw(pid.cast_signed()).unwrap(), PidfdFlags::empty()).unwrap()
}

fn has_ended(process: &OwnedFd) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&at_once)).unwrap() > 0
}

/// A component that leaves a daemon behind: in a session of its own, deaf to signals, and its parents have ended. `clears` is
/// what it does to its environment. It rings with its id, and the daemon with `ID-hides`.
fn leaves(id: &str, clears: &str) -> String {
    // It executes nothing more, for while it did it would have no environment, by which it is known without control groups.
    let daemon = format!(
        "trap \"\" TERM INT HUP QUIT; echo {id}-hides $$ &gt;&gt;BELL; while :; do kill -STOP $$; done"
    );
    let script = format!("({clears} setsid sh -c '{daemon}' &amp;); echo {id} $$ &gt;BELL; exec sleep 10000");
    server(id, &script, "<startDelay>0</startDelay><stopTimeout>0.3</stopTimeout>")
}

/// Two of them, and what they have left: each time it is asked for, of the latest run.
fn two(clears: &str) -> House {
    House::with(&(leaves("a", clears) + &leaves("b", clears)))
}

fn daemon_of(house: &House, id: &str) -> OwnedFd {
    held(house.bell(&format!("{id}-hides")))
}

/// What happens to the supervisor between the start of a daemon and the stop of its component.
#[derive(Clone, Copy)]
enum Between {
    Nothing,
    Kill,
    Upgrade,
}

fn kill_supervisor(house: &House, run: &mut Child) {
    kill(run.id(), Signal::KILL);
    house.wait(run);
    fs::remove_file(house.path("temp/s7supervisor.sock")).unwrap();
}

fn stop(house: &House, ids: &[&str]) {
    let stopped = house.s7(&[&["stop"], ids].concat());
    assert_eq!(code(&stopped), 0, "{}", stderr(&stopped));
}

/// Stopping one ends its own daemon and no other; stopping all ends the other's.
fn each_ends_its_own(clears: &str, how: &[&str], between: Between) {
    let house = two(clears);
    let mut run = house.run_with(how);
    let (a, b) = (daemon_of(&house, "a"), daemon_of(&house, "b"));
    let before = house.pids_of(["a", "b"]);
    match between {
        Between::Nothing => {}
        Between::Kill => {
            kill_supervisor(&house, &mut run);
            run = house.run_with(how);
        }
        Between::Upgrade => {
            let upgraded = house.s7(&["upgrade"]);
            assert_eq!(code(&upgraded), 0, "{}", stderr(&upgraded));
        }
    }
    assert!(!has_ended(&a) && !has_ended(&b));
    assert_eq!(house.pids_of(["a", "b"]), before, "both are the same, whoever supervises them");
    stop(&house, &["a"]);
    assert!(has_ended(&a) && !has_ended(&b));
    let [main_of_b] = house.pids_of(["b"]);
    assert_eq!(main_of_b, before[1]);
    stop(&house, &["b"]);
    assert!(has_ended(&b));
    // In a second run it is as in the first.
    house.pids_of(["a"]);
    let a = daemon_of(&house, "a");
    stop(&house, &[]);
    assert_eq!(house.wait(&mut run), Some(0));
    assert!(has_ended(&a));
}

#[test]
fn a_daemon_that_hides_whose_it_is_ends_with_its_component_and_with_no_other() {
    if place().is_some() {
        each_ends_its_own("env -i", BY_GROUPS, Between::Nothing);
    }
}

#[test]
fn a_daemon_that_hides_whose_it_is_ends_with_its_component_though_the_supervisor_was_killed_in_between() {
    if place().is_some() {
        each_ends_its_own("env -i", BY_GROUPS, Between::Kill);
    }
}

#[test]
fn a_daemon_that_hides_whose_it_is_ends_with_its_component_though_the_supervisor_was_upgraded_in_between() {
    if place().is_some() {
        each_ends_its_own("env -i", BY_GROUPS, Between::Upgrade);
    }
}

#[test]
fn without_control_groups_a_daemon_is_known_by_its_environment_and_ends_with_its_component() {
    each_ends_its_own("", BY_TRACES, Between::Nothing);
}

#[test]
fn without_control_groups_it_is_so_though_the_supervisor_was_killed_in_between() {
    each_ends_its_own("", BY_TRACES, Between::Kill);
}

#[test]
fn what_hides_in_the_group_of_a_component_that_died_unattended_is_gone_before_its_next_run() {
    if place().is_none() {
        return;
    }
    let house = two("env -i");
    let mut run = house.run_with(BY_GROUPS);
    let (a, b) = (daemon_of(&house, "a"), daemon_of(&house, "b"));
    let [main_of_a, main_of_b] = house.pids_of(["a", "b"]);
    kill_supervisor(&house, &mut run);
    let main = held(main_of_a);
    kill(main_of_a, Signal::KILL);
    house.until(|| has_ended(&main));
    assert_eq!(house.bell("a"), main_of_a);
    let mut run = house.run_with(BY_GROUPS);
    assert_ne!(house.bell("a"), main_of_a);
    assert!(has_ended(&a) && !has_ended(&b));
    assert_eq!(house.pids_of(["b"]), [main_of_b]);
    stop(&house, &[]);
    assert_eq!(house.wait(&mut run), Some(0));
    assert!(has_ended(&b));
}

#[test]
fn a_component_keeps_its_group_over_its_runs_has_a_new_one_after_a_kill_and_none_after_the_end() {
    let Some(place) = place() else { return };
    let plain = server("plain", "echo plain $$ &gt;BELL; exec sleep 10000", "<startDelay>0</startDelay>");
    let house = House::with(&(plain + &leaves("a", "env -i")));
    let mut run = house.run_with(BY_GROUPS);
    let first = house.bell("plain");
    let group = group_of(&place, first);
    let supervisor = group_of(&place, run.id());
    assert_eq!(group.file_name().unwrap(), "s7-plain");
    assert_eq!(group.parent().unwrap().parent().unwrap(), supervisor);
    let made = |folder: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(folder).unwrap());
    let (plain_made, a_made) = (made(&group), made(&group.with_file_name("s7-a")));
    kill(first, Signal::SEGV);
    let second = house.bell("plain");
    assert!(second != first && group_of(&place, second) == group);

    // What is left of this one must be killed.
    let a = daemon_of(&house, "a");
    let [main_of_a] = house.pids_of(["a"]);
    kill(main_of_a, Signal::SEGV);
    daemon_of(&house, "a");
    assert!(has_ended(&a));
    assert_eq!(made(&group), plain_made);
    assert_ne!(made(&group.with_file_name("s7-a")), a_made);

    stop(&house, &[]);
    assert_eq!(house.wait(&mut run), Some(0));
    assert!(!group.parent().unwrap().exists());
}

#[test]
fn a_group_that_somebody_removes_keeps_no_component_from_its_next_run() {
    let Some(place) = place() else { return };
    let plain = server("plain", "echo plain $$ &gt;BELL; exec sleep 10000", "<startDelay>0</startDelay>");
    let house = House::with(&plain);
    let mut run = house.run_with(BY_GROUPS);
    let first = house.bell("plain");
    let group = group_of(&place, first);
    stop(&house, &["plain"]);
    fs::remove_dir(&group).unwrap();
    fs::remove_dir(group.parent().unwrap()).unwrap();
    house.pids_of(["plain"]);
    assert_eq!(group_of(&place, house.bell("plain")), group);
    stop(&house, &[]);
    assert_eq!(house.wait(&mut run), Some(0));
}

#[test]
fn what_a_killed_supervisor_has_left_empty_is_removed_by_another() {
    let Some(place) = place() else { return };
    let plain = || server("plain", "echo plain $$ &gt;BELL; exec sleep 10000", "");
    let (dead, house) = (House::with(&plain()), House::with(&plain()));
    let mut killed = dead.run_with(BY_GROUPS);
    let main = dead.bell("plain");
    let group = group_of(&place, main);
    kill_supervisor(&dead, &mut killed);
    let main = (main, held(main));
    kill(main.0, Signal::KILL);
    dead.until(|| has_ended(&main.1));
    let mut run = house.run_with(BY_GROUPS);
    assert!(!group.parent().unwrap().exists());
    assert_ne!(group_of(&place, house.bell("plain")), group);
    stop(&house, &[]);
    assert_eq!(house.wait(&mut run), Some(0));
}

#[test]
fn with_off_components_run_in_the_group_of_the_supervisor() {
    let Some(place) = place() else { return };
    let house = House::with(&server("plain", "echo plain $$ &gt;BELL; exec sleep 10000", ""));
    let mut run = house.run_with(BY_TRACES);
    assert_eq!(group_of(&place, house.bell("plain")), group_of(&place, run.id()));
    stop(&house, &[]);
    assert_eq!(house.wait(&mut run), Some(0));
}

#[test]
fn where_no_group_can_be_made_components_run_without() {
    let Some(place) = place() else { return };
    // The same program where what is mounted can only be read.
    let house = House::with(&leaves("a", ""));
    let script = format!(
        "mount -o remount,bind,ro {0} 2>/dev/null || {{ mount --bind {0} {0} && mount -o remount,bind,ro {0}; }} && exec \"$0\" run",
        place.display()
    );
    let mut command = house.command("unshare");
    let mut run = command.args(["-m", "sh", "-c", &script, house::PROGRAM]).spawn().unwrap();
    let daemon = daemon_of(&house, "a");
    assert_eq!(group_of(&place, house.bell("a")), group_of(&place, run.id()));
    house.until_it_answers();
    stop(&house, &["a"]);
    assert!(has_ended(&daemon));
    let log = fs::read_to_string(house.own_log()).unwrap();
    assert!(log.contains("in no control groups of their own: cannot make "), "{log}");
    stop(&house, &[]);
    assert_eq!(house.wait(&mut run), Some(0));
}

//! The machine has no room, no descriptors or no processes left: nothing dies of it, it is told, and it heals by itself.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::ground::{
    Supervisor, alone, can_try, component, family, few_or_all, numbered_lines, output, plain, status,
};
use crate::house::{House, PROGRAM, code, kill};

/// What is said of components that cannot be started for a want of the machine's.
const WANT: &str = "tried again, and not counted as a failure";

/// What the supervisor says that it cannot do now.
fn conditions(house: &House) -> Vec<String> {
    let conditions = status(house)["supervisor"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().map(|condition| condition.as_str().unwrap().to_owned()).collect()
}

fn has_condition(house: &House, words: &str) -> bool {
    conditions(house).iter().any(|condition| condition.contains(words))
}

/// Runs this test once more where what it mounts is seen by nobody else, and goes with it. Whether this is there already.
fn in_own_mounts(name: &str) -> bool {
    const INSIDE: &str = "S7_FAULTS_OWN_MOUNTS";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let test = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(test);
    let ended = command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()));
    false
}

/// A file system of one MiB, which this fills until it is removed.
fn mount_small(path: &Path, mode: &str) {
    fs::create_dir(path).unwrap();
    let options = format!("size=1m,mode={mode}");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).status();
    assert!(mounted.unwrap().success());
}

fn fill(path: &Path) {
    let mut content = vec![b'x'; 4096];
    for number in 0.. {
        if fs::write(path.join(format!("filler{number}")), &content).is_err() {
            match content.len() {
                1 => return,
                length => content.truncate(length / 2),
            }
        }
    }
}

fn empty(path: &Path) {
    for file in fs::read_dir(path).unwrap().map(|file| file.unwrap()) {
        if file.file_name().to_str().unwrap().starts_with("filler") {
            fs::remove_file(file.path()).unwrap();
        }
    }
}

#[test]
fn a_full_disk_under_the_logs_ends_nothing_and_loses_no_line_of_a_component_that_can_wait() {
    if !can_try("a full disk", &["unshare", "mount"])
        || !in_own_mounts(
            "starved::a_full_disk_under_the_logs_ends_nothing_and_loses_no_line_of_a_component_that_can_wait",
        )
    {
        return;
    }
    let house = House::with(&(plain("writer", "--flood --rate 200", "") + &plain("quiet", "", "")));
    mount_small(&house.path("logs"), "750");
    let supervisor = Supervisor::run(&house);
    let before = supervisor.until_up(["writer", "quiet"]);
    fill(&house.path("logs"));
    supervisor.until(|house| has_condition(house, "writer"));
    kill(before[1], Signal::KILL);
    supervisor.until(|house| component(house, "quiet")["restarts"] == 1);
    empty(&house.path("logs"));
    supervisor.until(|house| conditions(house).is_empty());
    assert_eq!(supervisor.until_up(["writer"])[0], before[0]);
    let lines = output(&house, "writer").lines().count();
    supervisor.until(|house| output(house, "writer").lines().count() > lines + 100);
    supervisor.stop();
    house.assert_nothing_lives();
    numbered_lines(&house, "writer");
}

#[test]
fn a_full_disk_under_records_and_journal_is_told_and_what_is_known_is_written_when_there_is_room() {
    if !can_try("a full disk", &["unshare", "mount"])
        || !in_own_mounts(
            "starved::a_full_disk_under_records_and_journal_is_told_and_what_is_known_is_written_when_there_is_room",
        )
    {
        return;
    }
    let house = House::with(&(alone("a", "", "") + &alone("b", "", "") + &alone("c", "", "")));
    mount_small(&house.path("temp"), "700");
    let supervisor = Supervisor::run(&house);
    let [a, b, _] = supervisor.until_up(["a", "b", "c"]);
    fill(&house.path("temp"));
    kill(b, Signal::KILL);
    assert_eq!(code(&house.s7(&["stop", "c"])), 0);
    supervisor.until(|house| has_condition(house, "runs/"));
    // The last page of the journal has room for some more events.
    supervisor.until(|house| {
        assert_eq!(code(&house.s7(&["restart", "b"])), 0);
        has_condition(house, "journal")
    });
    let [_, b] = supervisor.until_up(["a", "b"]);
    empty(&house.path("temp"));
    // Whatever happens next is written to the journal.
    assert_eq!(code(&house.s7(&["reset", "a"])), 0);
    supervisor.until(|house| !has_condition(house, "runs/"));
    supervisor.kill();

    let supervisor = Supervisor::run(&house);
    assert_eq!(supervisor.until_up(["a", "b"]), [a, b]);
    assert_eq!((component(&house, "c")["state"].as_str(), family(&house, "c").len()), (Some("stopped"), 0));
    assert!(!house.path("doubled").exists());
    supervisor.stop();
    house.assert_nothing_lives();
}

#[test]
fn a_supervisor_that_is_out_of_descriptors_keeps_what_runs_says_so_and_starts_the_rest_when_it_has_some() {
    if !can_try("a want of descriptors", &["prlimit"]) {
        return;
    }
    let later = "<autostart>false</autostart>";
    let servers: String = (1..=40).map(|number| plain(&format!("s{number}"), "", later)).collect();
    let house = House::with(&servers);
    let supervisor = Supervisor::run(&house);
    let limit = |descriptors: &str| {
        let mut prlimit = Command::new("prlimit");
        prlimit.args([&format!("--nofile={descriptors}:"), "--pid", &supervisor.pid().to_string()]);
        assert!(prlimit.status().unwrap().success());
    };
    limit("100");
    assert_eq!(code(&house.s7(&["start", "s*", "--no-wait"])), 0);
    supervisor.until(|house| has_condition(house, WANT));
    let running = |house: &House| -> Vec<Value> {
        let components = status(house)["components"].as_array().unwrap().clone();
        components.into_iter().filter(|component| !component["pid"].is_null()).collect()
    };
    let before = running(&house);
    assert!((1..40).contains(&before.len()), "{}", before.len());
    limit("1000");
    supervisor.until(|house| running(house).len() == 40 && !has_condition(house, WANT));
    for component in running(&house) {
        assert_eq!(component["state"], "up", "{component}");
        assert_eq!(component["restarts"], 0, "what came to nothing was no restart: {component}");
        let earlier = before.iter().find(|earlier| earlier["id"] == component["id"]);
        assert!(earlier.is_none_or(|earlier| earlier["pid"] == component["pid"]), "{component}");
    }
    supervisor.stop();
    house.assert_nothing_lives();
}

/// Processes of this user that only take up room.
fn crowd(user: &str, count: usize) -> Vec<Child> {
    let one = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--clear-groups", "sh", "-c", "echo; exec sleep 3600"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut crowd: Vec<_> = (0..count).map(|_| one()).collect();
    for one in &mut crowd {
        // It has become that user's.
        one.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    }
    crowd
}

#[test]
fn a_user_who_may_have_no_more_processes_has_the_start_tried_again_until_it_may() {
    if !can_try("a want of processes", &["prlimit", "setpriv"]) {
        return;
    }
    // Nobody else's processes count with ours.
    let user = (60_000 + std::process::id() % 5_000).to_string();
    let house = House::with(&(plain("a", "", "") + &plain("b", "", "")));
    house.open_to_everybody();
    for (name, mode) in [("temp", 0o700), ("logs", 0o750)] {
        fs::create_dir(house.path(name)).unwrap();
        fs::set_permissions(house.path(name), PermissionsExt::from_mode(mode)).unwrap();
        chown(house.path(name), Some(user.parse().unwrap()), None).unwrap();
    }
    let mut command = house.command("setpriv");
    command.args(["--reuid", &user, "--clear-groups", "prlimit", "--nproc=60:60", PROGRAM]);
    let supervisor = Supervisor::begin_with(&house, &mut command, &[]);
    supervisor.until_it_answers();
    let [a, b] = supervisor.until_up(["a", "b"]);
    let mut crowd = crowd(&user, 70);
    kill(b, Signal::KILL);
    supervisor.until(|house| has_condition(house, WANT));
    assert_eq!(component(&house, "a")["pid"], a);
    for one in &mut crowd {
        one.kill().unwrap();
        one.wait().unwrap();
    }
    let [still, again] = supervisor.until_up(["a", "b"]);
    assert!(still == a && again != b);
    supervisor.until(|house| conditions(house).is_empty());
    supervisor.stop();
    house.assert_nothing_lives();
}

#[test]
fn a_component_that_crashes_thousands_of_times_leaves_neither_memory_nor_descriptors_behind() {
    let quick = "<restart delay=\"0\" factor=\"1\" maxDelay=\"0.001s\" max=\"1000000\" within=\"1s\"/>";
    let crashes =
        |id: &str| format!("<server id=\"{id}\"><executable>/bin/false</executable>{quick}</server>");
    let house = House::with(&(1..=8).map(|number| crashes(&format!("c{number}"))).collect::<String>());
    let supervisor = Supervisor::run(&house);
    let cycles = |house: &House| -> u64 {
        let components = status(house)["components"].as_array().unwrap().clone();
        components.iter().map(|component| component["restarts"].as_u64().unwrap()).sum()
    };
    let used = || {
        let process = format!("/proc/{}", supervisor.pid());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        (kibibytes, fs::read_dir(format!("{process}/fd")).unwrap().count())
    };
    let first = 1_000;
    supervisor.until(|house| cycles(house) >= first);
    let (since, before) = (Instant::now(), used());
    let goal = std::env::var("S7_CRASHES")
        .map_or_else(|_| first + u64::from(few_or_all(1_000, 20_000)), |crashes| crashes.parse().unwrap());
    let mut most = before;
    while cycles(&house) < goal {
        assert!(!supervisor.ends_within(Duration::from_millis(300)), "{}", supervisor.said());
        let now = used();
        most = (most.0.max(now.0), most.1.max(now.1));
    }
    let (now, taken) = (used(), since.elapsed());
    println!(
        "after {first} and {goal}: {before:?} and {now:?} KiB and descriptors, at most {most:?}; {taken:?}"
    );
    // What is open for a moment differs; a leak would be thousands.
    assert!(most.1 <= before.1 + 64, "descriptors: {} before, {} at most", before.1, most.1);
    assert!(most.0 <= before.0 + 4096, "memory: {} KiB before, {} KiB at most", before.0, most.0);
    supervisor.stop();
}

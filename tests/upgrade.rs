//! The running supervisor is replaced by another executable, and its components notice nothing.
//!
//! Executables of other versions are copies of ours, some with a text in them changed so that they fail where a broken version
//! would. As in `command_line.rs`, nothing waits by sleeping.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
#[expect(dead_code, reason = "the other tests of the command line need more of it")]
mod house;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use house::{House, PROGRAM, code, kill, server, stand_in, stderr, stdout};
use rustix::process::Signal;
use serde_json::{Value, json};

/// How many upgrades follow each other, unless the environment says more: the heavy suites do.
const UPGRADES: usize = 20;

fn upgrades() -> usize {
    std::env::var("TEST_UPGRADES").ok().and_then(|number| number.parse().ok()).unwrap_or(UPGRADES)
}

/// A component that writes numbers, about one each millisecond, and rings when it begins.
fn counts(id: &str) -> String {
    server(
        id,
        &format!("echo {id} $$ &gt; BELL; i=0; while :; do i=$((i+1)); echo $i; sleep 0.001; done"),
        "",
    )
}

/// All numbers that a component has written so far, but for the last line, which may not be whole.
fn numbers(house: &House, id: &str) -> Vec<u64> {
    let files = fs::read_dir(house.path("logs")).unwrap().map(|entry| entry.unwrap().path());
    let is_log = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&format!("{id}-")) && name.ends_with(".log")
    };
    let mut files: Vec<_> = files.filter(is_log).collect();
    files.sort();
    let text: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("a torn line: {line:?}"))).collect()
}

/// A component that runs this script, in which `THIS FUNCTION` runs a function of this file: a test that is none.
fn own(id: &str, script: &str, elements: &str) -> String {
    let this = format!("{} --ignored --exact", std::env::current_exe().unwrap().display());
    let script = script.replace("THIS", &this);
    let ring = format!("cd FOLDER; export SUPERVISOR=$PPID COMPONENT={id}; echo {id} $$ &gt; BELL");
    server(id, &format!("{ring}; {script}"), elements)
}

/// Says something, and tells the house where that is refused.
fn say(speaker: &UnixDatagram, what: &str) {
    let address = std::env::var_os("NOTIFY_SOCKET").unwrap();
    if let Err(error) = speaker.send_to(what.as_bytes(), address) {
        fs::write("refused", format!("{what}: {error}")).unwrap();
        panic!("{what}: {error}");
    }
}

/// Says a number each millisecond, by a socket that stays connected and by another, until `enough` is there; then says nothing more.
#[test]
#[ignore = "a component"]
fn speaks_without_end() {
    let (connected, other) = (UnixDatagram::unbound().unwrap(), UnixDatagram::unbound().unwrap());
    connected.connect(std::env::var_os("NOTIFY_SOCKET").unwrap()).unwrap();
    say(&other, "READY=1");
    for number in 1.. {
        if let Err(error) = connected.send(b"WATCHDOG=1") {
            fs::write("refused", error.to_string()).unwrap();
        }
        say(&other, &format!("STATUS={number}"));
        if Path::new("enough").exists() {
            fs::write("said.tmp", number.to_string()).unwrap();
            fs::rename("said.tmp", "said").unwrap();
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    std::thread::sleep(std::time::Duration::from_secs(3600));
}

/// Returns as soon as the supervisor has become another program, which knows of nothing yet.
#[test]
#[ignore = "a component"]
fn another_program_has_begun() {
    let variable = |name| std::env::var(name).unwrap();
    // Its auxiliary vector has random addresses, other ones each time, also when it has become the same program again.
    let program = || fs::read(format!("/proc/{}/auxv", variable("SUPERVISOR"))).unwrap();
    let before = program();
    fs::write(format!("{}-waits", variable("COMPONENT")), "").unwrap();
    while program() == before {
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "a component"]
fn is_ready_when_another_program_has_begun() {
    another_program_has_begun();
    say(&UnixDatagram::unbound().unwrap(), "READY=1");
    std::thread::sleep(std::time::Duration::from_secs(3600));
}

fn executable(house: &House, name: &str, content: &[u8]) -> String {
    house.write_executable(name, content).to_str().unwrap().to_owned()
}

/// Our program with this text in the place of another one of the same length.
fn altered(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut program = fs::read(PROGRAM).unwrap();
    let places = program.windows(from.len()).enumerate().filter(|(_, window)| *window == from.as_bytes());
    let places: Vec<_> = places.map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "{from:?} is not in the program");
    for place in places {
        program[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    program
}

fn assert_upgraded(upgraded: &Output) {
    assert_eq!(code(upgraded), 0, "{}", stderr(upgraded));
    assert!(stdout(upgraded).starts_with("upgraded from version "), "{}", stdout(upgraded));
}

/// What must not change: the pids of the supervisor and its components, and how often these were begun.
fn lives(house: &House) -> Value {
    let status = house.json(&["status", "--json"]);
    let life = |component: &Value| {
        json!([component["id"], component["pid"], component["restarts"], component["state"]])
    };
    let components: Vec<_> = status["components"].as_array().unwrap().iter().map(life).collect();
    json!([status["supervisor"]["pid"], components])
}

fn pids(house: &House) -> Vec<Value> {
    let status = house.json(&["status", "--json"]);
    status["components"].as_array().unwrap().iter().map(|component| component["pid"].clone()).collect()
}

#[test]
fn upgrade_after_upgrade_everything_keeps_its_pid_and_every_line_is_there_once() {
    let house = House::with(&(counts("counts") + &stand_in("ps", "", "")));
    house.start();
    let before = lives(&house);
    for number in 1..=upgrades() {
        let last = numbers(&house, "counts").len();
        assert_upgraded(&house.s7(&["upgrade"]));
        assert_eq!(lives(&house), before);
        let status = house.json(&["status", "--json"]);
        assert_eq!(status["supervisor"]["upgrade"]["number"], number);
        assert_eq!(status["supervisor"]["upgrade"]["failure"], Value::Null);
        assert_eq!(status["supervisor"]["conditions"], json!([]));
        house.until(|| numbers(&house, "counts").len() > last);
    }
    assert_eq!(
        fs::read_to_string(house.path("temp/s7supervisor.pid")).unwrap().trim(),
        before[0].to_string()
    );
    assert_eq!(code(&house.s7(&["stop"])), 0);
    let numbers = numbers(&house, "counts");
    let expected: Vec<_> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
    house.assert_nothing_lives();
}

#[test]
fn descriptors_do_not_pile_up() {
    let house = House::with(&stand_in("ps", "", ""));
    house.start();
    let count = || fs::read_dir(format!("/proc/{}/fd", house.supervisor_pid())).unwrap().count();
    assert_upgraded(&house.s7(&["upgrade"]));
    let before = count();
    for _ in 0..5 {
        assert_upgraded(&house.s7(&["upgrade"]));
    }
    // A connection more or less may be about to be closed, and so may what a look at processes has opened.
    house.until(|| count() <= before + 2);
}

#[test]
fn what_is_no_supervisor_does_not_become_one() {
    let house = House::with(&stand_in("ps", "", ""));
    house.start();
    let before = lives(&house);
    let text = executable(&house, "text", b"not a program");
    let script = format!("#!/bin/sh\n[ \"$1\" = takeover-check ] && exec {PROGRAM} \"$@\"\nexit 1\n");
    let script = executable(&house, "script", script.as_bytes());
    let missing = house.path("missing").to_str().unwrap().to_owned();
    let folder = house.path("conf").to_str().unwrap().to_owned();
    for wrong in [text.as_str(), &script, &missing, &folder, "/bin/false", "/bin/true", "/bin/cat"] {
        let refused = house.s7(&["upgrade", wrong]);
        assert_eq!(code(&refused), 1, "{wrong}: {}", stdout(&refused));
        assert!(stderr(&refused).contains(wrong) && stderr(&refused).contains("cannot take over"), "{wrong}");
        assert_eq!(lives(&house), before, "{wrong}");
        assert_eq!(house.json(&["status", "--json"])["supervisor"]["upgrade"], Value::Null);
    }
}

#[test]
fn one_that_fails_before_it_has_taken_over_gives_back_what_it_was_given() {
    let house = House::with(&(counts("counts") + &stand_in("ps", "", "")));
    house.start();
    let before = lives(&house);
    // One cannot lock its place; the other one has adopted everything when it finds that it cannot be controlled.
    for (number, name) in [(1, "s7supervisor.lock"), (2, "s7supervisor.sock")] {
        let broken = altered(name, &name.replace('.', "/"));
        let broken = executable(&house, &format!("broken-{number}"), &broken);
        let failed = house.s7(&["upgrade", &broken]);
        assert_eq!(code(&failed), 1, "{}", stdout(&failed));
        assert!(stderr(&failed).contains(&name.replace('.', "/")), "{}", stderr(&failed));
        assert_eq!(lives(&house), before);
        let upgrade = &house.json(&["status", "--json"])["supervisor"]["upgrade"];
        assert_eq!(upgrade["number"], number);
        assert!(upgrade["failure"].is_string());
    }
    let executable = fs::read_link(format!("/proc/{}/exe", before[0])).unwrap();
    assert_eq!(executable, Path::new(PROGRAM));
    assert_upgraded(&house.s7(&["upgrade"]));
    assert_eq!(lives(&house), before);
    assert_eq!(code(&house.s7(&["stop"])), 0);
    let numbers = numbers(&house, "counts");
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn what_a_component_says_is_never_refused_and_the_last_of_it_is_known() {
    let elements = "<readiness timeout=\"60s\"><notify/></readiness><watchdog timeout=\"20s\"/>";
    let house =
        House::with(&(own("speaks", "exec THIS speaks_without_end", elements) + &stand_in("ps", "", "")));
    house.start();
    let before = lives(&house);
    let broken = altered("s7supervisor.sock", "s7supervisor/sock");
    let broken = executable(&house, "broken", &broken);
    for number in 1..=upgrades() {
        // The way back is no way on which anything is lost.
        if number % 5 == 0 {
            assert_eq!(code(&house.s7(&["upgrade", &broken])), 1);
        } else {
            assert_upgraded(&house.s7(&["upgrade"]));
        }
        assert_eq!(lives(&house), before);
        assert_eq!(house.json(&["status", "--json"])["supervisor"]["conditions"], json!([]));
    }
    let refused = fs::read_to_string(house.path("refused")).unwrap_or_default();
    assert!(refused.is_empty(), "{refused}");
    fs::write(house.path("enough"), "").unwrap();
    house.until_exists("said");
    let said = fs::read_to_string(house.path("said")).unwrap();
    let note = || house.json(&["status", "--json"])["components"][0]["note"].clone();
    house.until(|| note() == said.as_str());
    assert_eq!(code(&house.s7(&["stop"])), 0);
    house.assert_nothing_lives();
}

#[test]
fn who_says_that_it_is_ready_between_two_programs_is_ready() {
    let broken = altered("s7supervisor.sock", "s7supervisor/sock");
    for (program, is_whole) in [(fs::read(PROGRAM).unwrap(), true), (broken, false)] {
        let notifies = "<readiness timeout=\"60s\"><notify/></readiness>";
        let writes = "<readiness timeout=\"60s\"><notifyFd>9</notifyFd></readiness>";
        let house = House::with(
            &(own("notifies", "exec THIS is_ready_when_another_program_has_begun", notifies)
                // It closes its descriptor too: what is in the pipe stays only if somebody else has that open.
                + &own(
                    "writes",
                    "THIS another_program_has_begun; echo &gt;&amp;9; exec 9&gt;&amp;-; exec sleep 3600",
                    writes,
                )),
        );
        let mut supervisor = house.run();
        house.until_exists("notifies-waits");
        house.until_exists("writes-waits");
        let state = |place: usize| house.json(&["status", "--json"])["components"][place]["state"].clone();
        assert_eq!([state(0), state(1)], ["starting", "starting"]);
        let before = pids(&house);
        let program = executable(&house, "another", &program);
        assert_eq!(code(&house.s7(&["upgrade", &program])), i32::from(!is_whole));
        house.until(|| [state(0), state(1)] == ["up", "up"]);
        assert_eq!(pids(&house), before);
        assert_eq!(code(&house.s7(&["stop"])), 0);
        assert_eq!(house.wait(&mut supervisor), Some(0));
    }
}

#[test]
fn a_package_that_was_upgraded_under_its_path_is_found_there() {
    let house = House::with(&stand_in("ps", "", ""));
    let installed = executable(&house, "installed", &fs::read(PROGRAM).unwrap());
    let started = house.command(&installed).arg("start").output().unwrap();
    assert_eq!(code(&started), 0, "{}", stderr(&started));
    let before = lives(&house);
    let next = executable(&house, "next", &fs::read(PROGRAM).unwrap());
    fs::rename(next, &installed).unwrap();
    let running = || fs::read_link(format!("/proc/{}/exe", house.supervisor_pid())).unwrap();
    assert!(running().to_str().unwrap().ends_with("(deleted)"));
    assert_upgraded(&house.s7(&["upgrade"]));
    assert_eq!(running(), Path::new(&installed));
    assert_eq!(fs::read_to_string(format!("/proc/{}/comm", before[0])).unwrap(), "installed\n");
    assert_eq!(lives(&house), before);
}

#[test]
fn a_registry_that_was_changed_is_a_reason_not_to_upgrade() {
    let house = House::with(&stand_in("ps", "", ""));
    house.start();
    let before = lives(&house);
    let registry = fs::read_to_string(house.registry()).unwrap();
    for changed in [registry.replace("stand-in", "stand-in --crash-after 100s"), "broken".to_owned()] {
        fs::write(house.registry(), changed).unwrap();
        let refused = house.s7(&["upgrade", "--temp", house.path("temp").to_str().unwrap()]);
        assert_eq!(code(&refused), 1, "{}", stderr(&refused));
        assert!(stderr(&refused).contains("registry"), "{}", stderr(&refused));
        assert_eq!(lives(&house), before);
    }
    fs::write(house.registry(), registry).unwrap();
    assert_upgraded(&house.s7(&["upgrade"]));
    assert_eq!(lives(&house), before);
}

#[test]
fn who_waits_for_an_answer_gets_it_from_the_next_one() {
    let house = House::with(&stand_in("ps", "", ""));
    house.start();
    let mut waits = house.command(PROGRAM);
    let mut waits = waits.args(["wait", "ps", "--for", "stopped"]).stderr(Stdio::piped()).spawn().unwrap();
    // It has connected by then, and asks.
    let told = BufReader::new(waits.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(told, "waiting for ps to stop");
    assert_upgraded(&house.s7(&["upgrade"]));
    assert_eq!(code(&house.s7(&["stop", "ps"])), 0);
    assert_eq!(house.wait(&mut waits), Some(0));
}

#[test]
fn who_follows_events_follows_on() {
    let house = House::with(&stand_in("ps", "", ""));
    house.start();
    let mut follows =
        house.command(PROGRAM).args(["events", "-f", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follows.stdout.take().unwrap()).lines();
    let mut until = |is_it: &dyn Fn(&Value) -> bool| {
        lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).find(is_it).unwrap()
    };
    until(&|event| event["event"] == "started");
    assert_upgraded(&house.s7(&["upgrade"]));
    let left = until(&|event| event["event"] == "requested");
    assert!(left["verb"] == "leave" && left["by"].as_str().unwrap().contains("upgrade to version"), "{left}");
    let began = until(&|_| true);
    assert_eq!(began["event"], "supervisorStarted");
    assert_eq!(began["upgrade"]["number"], 1);
    assert!(began["upgrade"]["by"].as_str().unwrap().starts_with("user "), "{began}");
    assert_eq!(until(&|_| true)["event"], "adopted");
    assert_eq!(code(&house.s7(&["restart", "ps"])), 0);
    let spawned = until(&|event| event["event"] == "spawned");
    assert_eq!((&spawned["component"], &spawned["run"]), (&json!("ps"), &json!(2)));
    assert_eq!(code(&house.s7(&["stop"])), 0);
    assert_eq!(house.wait(&mut follows), Some(0));
}

#[test]
fn a_signal_that_comes_meanwhile_is_obeyed() {
    let house = House::with(&stand_in("ps", "", ""));
    let mut supervisor = house.run();
    assert_upgraded(&house.s7(&["upgrade"]));
    assert_eq!(supervisor.id(), house.supervisor_pid());
    assert_eq!(code(&house.s7(&["upgrade", "--no-wait"])), 0);
    kill(supervisor.id(), Signal::TERM);
    assert_eq!(house.wait(&mut supervisor), Some(0));
    house.assert_nothing_lives();
    assert!(!house.path("temp/s7supervisor.sock").exists() && !house.path("temp/s7supervisor.pid").exists());
}

#[test]
fn a_start_that_is_under_way_ends_as_if_nothing_had_been() {
    // It is ready when somebody says so: an upgrade may take longer than a start that only takes some time.
    let probe = "<argument>/usr/bin/test</argument><argument>-e</argument><argument>FOLDER/go</argument>";
    let ready = format!("<readiness timeout=\"600s\"><exec>{probe}</exec></readiness>");
    let house = House::with(&stand_in("ps", "", &ready));
    let start =
        house.command(PROGRAM).arg("start").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    house.bell("ps");
    house.until(|| house.path("temp/s7supervisor.sock").exists());
    assert_upgraded(&house.s7(&["upgrade"]));
    assert_eq!(house.json(&["status", "--json"])["components"][0]["state"], "starting");
    fs::write(house.path("go"), "").unwrap();
    let started = start.wait_with_output().unwrap();
    assert_eq!(code(&started), 0, "{}", stderr(&started));
    assert!(stdout(&started).contains("started, pid"), "{}", stdout(&started));
    assert_eq!(house.json(&["status", "--json"])["components"][0]["state"], "up");
}

#[test]
fn another_version_of_what_is_handed_over_is_refused_by_whoever_would_take_over() {
    let house = House::with(&stand_in("ps", "", ""));
    let temp = house.path("temp");
    let check = |question: Value| {
        let mut child = house.command(PROGRAM);
        let child =
            child.arg("takeover-check").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    // As serde writes what need not be text.
    let arguments =
        |words: &[&str]| words.iter().map(|word| json!({"Unix": word.as_bytes()})).collect::<Vec<_>>();
    let question = |handover: u32, state: u32, words: &[&str]| json!({"handover": handover, "state": state, "arguments": arguments(words), "temp": temp, "executable": PROGRAM});
    let good = check(question(1, supervisor::STATE_VERSION, &["s7supervisor", "run"]));
    assert_eq!(code(&good), 0, "{}", stderr(&good));
    for (what, question) in [
        ("version 99", question(99, supervisor::STATE_VERSION, &["s7supervisor", "run"])),
        ("version 0", question(1, 0, &["s7supervisor", "run"])),
        ("arguments", question(1, supervisor::STATE_VERSION, &["s7supervisor", "run", "--no-such-option"])),
        (
            "supervisor with the arguments",
            question(1, supervisor::STATE_VERSION, &["s7supervisor", "status"]),
        ),
        ("registry", question(1, supervisor::STATE_VERSION, &["s7supervisor", "run", "/missing.xml"])),
        (
            "temp folder",
            question(1, supervisor::STATE_VERSION, &["s7supervisor", "run", "--temp", "/elsewhere"]),
        ),
        ("understand", json!({})),
    ] {
        let refused = check(question);
        assert!(code(&refused) != 0 && stdout(&refused).is_empty(), "{what}");
        assert!(stderr(&refused).contains(what), "{what}: {}", stderr(&refused));
    }
}

#[test]
fn without_a_supervisor_there_is_nothing_to_upgrade() {
    let house = House::with(&stand_in("ps", "", ""));
    assert_eq!(code(&house.s7(&["upgrade"])), 7);
}

//! A changed registry is compared with what runs, and applied: to real processes.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
#[expect(dead_code, reason = "the other tests of the command line need more of it")]
mod house;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use house::{House, code, kill, server, stand_in, stderr, stdout};
use rustix::process::Signal;
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde_json::{Value, json};

/// How many edits follow each other.
const EDITS: usize = 100;
const COMPONENTS: u64 = 50;

const NEVER_READY: &str = "<readiness timeout=\"1h\"><log pattern=\"ready\"/></readiness>";

/// A component that sleeps. What is in `A` it does not look at: with another value it takes another process.
fn sleeper(id: &str, a: u64, elements: &str) -> String {
    format!(
        "<server id=\"{id}\"><executable>/bin/sleep</executable><arguments><argument>1000000</argument></arguments>\
         <environment><variable name=\"A\">{a}</variable></environment>{elements}</server>"
    )
}

/// The pid of each component that has one.
fn pids(house: &House) -> BTreeMap<String, u64> {
    let status = house.json(&["status", "--json"]);
    let components = status["components"].as_array().unwrap();
    let pid = |component: &Value| Some((component["id"].as_str()?.to_owned(), component["pid"].as_u64()?));
    components.iter().filter_map(pid).collect()
}

/// What a plan says, by component.
fn actions(plan: &Value) -> BTreeMap<String, String> {
    let components = plan["components"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    components.iter().map(|planned| (text(&planned["id"]), text(&planned["action"]))).collect()
}

fn assert_applied(house: &House, arguments: &[&str]) {
    let applied = house.s7(&[&["apply"], arguments].concat());
    assert_eq!(code(&applied), 0, "{}{}", stdout(&applied), stderr(&applied));
}

/// A stream of draws (<https://prng.di.unimi.it/>).
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// What stands in the registry of one component.
#[derive(Clone)]
struct Entry {
    a: u64,
    priority: u64,
    timeout: u64,
    depends_on: Option<String>,
}

fn registry(entries: &BTreeMap<String, Entry>) -> String {
    let mut servers = String::new();
    for (id, entry) in entries {
        let needs = entry.depends_on.iter().filter(|on| entries.contains_key(*on));
        let needs: String = needs.map(|on| format!("<dependsOn ref=\"{on}\"/>")).collect();
        let elements = format!(
            "<startPriority>{}</startPriority><stopTimeout>{}</stopTimeout>{needs}",
            entry.priority, entry.timeout
        );
        let _infallible = write!(servers, "{}", sleeper(id, entry.a, &elements));
    }
    servers
}

/// A few things change: of a component, or which there are.
fn edit(entries: &mut BTreeMap<String, Entry>, draws: &mut Draws) {
    for _ in 0..=draws.below(3) {
        let id = format!("c{:02}", draws.below(COMPONENTS));
        // It needs one that comes before it, so that there is no circle.
        let on = draws.below(COMPONENTS);
        let on = format!("c{on:02}");
        match entries.get_mut(&id) {
            Some(_) if draws.below(4) == 0 => drop(entries.remove(&id)),
            Some(entry) => match draws.below(4) {
                0 => entry.a += 1,
                1 => entry.priority = draws.below(4),
                2 => entry.timeout = 50 + draws.below(10),
                _ => entry.depends_on = Some(on).filter(|on| *on < id),
            },
            None => drop(entries.insert(id, Entry { a: 0, priority: 1, timeout: 60, depends_on: None })),
        }
    }
}

#[test]
fn after_each_of_a_hundred_edits_exactly_what_was_planned_has_changed_its_pid() {
    let entry = |n| (format!("c{n:02}"), Entry { a: 0, priority: n % 4, timeout: 60, depends_on: None });
    let mut entries: BTreeMap<_, _> = (0..COMPONENTS).map(entry).collect();
    let house = House::with(&registry(&entries));
    house.start();
    let mut draws = Draws(0x5EED);
    let mut before = pids(&house);
    let (mut touched, mut changed) = (0, 0);
    for number in 0..EDITS {
        edit(&mut entries, &mut draws);
        house.write_registry(&registry(&entries));
        let planned = house.s7(&["plan", "--json"]);
        let planned: Value = serde_json::from_slice(&planned.stdout).unwrap();
        let planned = actions(&planned);
        let applied: Value = house.json(&["apply", "--json"]);
        assert_eq!(actions(&applied["plan"]), planned);
        assert_eq!(applied["outcome"]["finished"], true);
        let after = pids(&house);
        assert_eq!(after.keys().collect::<Vec<_>>(), entries.keys().collect::<Vec<_>>(), "edit {number}");
        let ids: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for id in ids {
            let is_touched = before.get(id) != after.get(id);
            let action = planned.get(id).map_or("nothing", String::as_str);
            let is_planned = ["restart", "start", "stop"].contains(&action);
            assert_eq!(is_touched, is_planned, "edit {number}: {id} was to {action}");
            touched += usize::from(is_touched);
            changed += usize::from(action == "change");
        }
        before = after;
    }
    assert!(touched > EDITS / 2 && changed > EDITS / 4, "{touched} touched, {changed} changed");
    let again = house.s7(&["apply"]);
    assert!(stdout(&again).starts_with("no component changes"), "{}", stdout(&again));
    assert_eq!((code(&house.s7(&["plan"])), pids(&house)), (0, before));
}

#[test]
fn one_registry_then_another_then_the_first_is_the_first() {
    let first = [sleeper("a", 1, ""), sleeper("b", 1, ""), sleeper("c", 1, "")].concat();
    let second = [sleeper("c", 1, "<stopTimeout>5</stopTimeout>"), sleeper("d", 1, ""), sleeper("a", 2, "")];
    let house = House::with(&first);
    house.start();
    let before = pids(&house);
    house.write_registry(&second.concat());
    let plan = house.s7(&["plan"]);
    assert_eq!(code(&plan), 152, "{}", stderr(&plan));
    let expected = "stop     b\nchange   c  at once: stopTimeout\nstart    d\nrestart  a  environment\n\
                    1 to stop, 1 to restart, 1 to start, 1 to change; 0 as they are\n";
    assert_eq!(stdout(&plan), expected);
    assert_eq!(pids(&house), before, "a plan touches nothing");
    assert_applied(&house, &[]);
    assert_eq!(pids(&house).keys().collect::<Vec<_>>(), ["a", "c", "d"]);
    house.write_registry(&first);
    assert_applied(&house, &[]);
    let after = pids(&house);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(after["c"], before["c"]);
    assert_eq!(code(&house.s7(&["plan"])), 0);
}

#[test]
fn a_registry_that_is_not_in_order_changes_nothing_and_everything_that_is_wrong_is_told() {
    let house = House::with(&sleeper("a", 1, ""));
    house.start();
    let before = pids(&house);
    let broken =
        [sleeper("a", 2, "<startDelay>five</startDelay>"), sleeper("b", 1, "<dependsOn ref=\"x\"/>")];
    house.write_registry(&broken.concat());
    for command in ["plan", "apply"] {
        let refused = house.s7(&[command]);
        assert_eq!((code(&refused), stdout(&refused).as_str()), (2, ""));
        let told = stderr(&refused);
        assert!(told.contains("startDelay") && told.contains("\"x\"") && told.contains("nothing"), "{told}");
    }
    kill(house.supervisor_pid(), Signal::HUP);
    house.until(|| {
        fs::read_to_string(house.own_log()).unwrap().contains("SIGHUP: the registry is not applied")
    });
    assert_eq!(pids(&house), before);
}

#[test]
fn a_secret_is_in_no_plan() {
    let secret = |value: &str| {
        let variable =
            format!("<environment><variable name=\"TOKEN\" secret=\"true\">{value}</variable></environment>");
        server("a", "exec sleep 1000000", &variable)
    };
    let house = House::with(&secret("hunter-one"));
    house.start();
    house.write_registry(&secret("hunter-two"));
    for arguments in [&["plan"][..], &["plan", "--json"], &["apply", "--json"], &["events"], &["why", "a"]] {
        let said = house.s7(arguments);
        let said = format!("{}{}", stdout(&said), stderr(&said));
        assert!(!said.contains("hunter"), "{said}");
    }
    assert!(!fs::read_to_string(house.own_log()).unwrap().contains("hunter"));
}

#[test]
fn what_does_not_become_ready_in_time_is_taken_back() {
    let ready = |id: &str, arguments: &str| {
        stand_in(id, arguments, "<readiness timeout=\"600s\"><log pattern=\"never\"/></readiness>")
    };
    let house = House::with(&[stand_in("a", "", ""), sleeper("b", 1, "")].concat());
    house.start();
    let before = pids(&house);
    house.write_registry(&[ready("a", "-- x"), sleeper("b", 3, "")].concat());
    // Long enough for the others, which have only to begin.
    let applied = house.s7(&["apply", "--confirm-ready", "5s", "--json"]);
    assert_eq!(code(&applied), 1, "{}", stdout(&applied));
    let done: Value = serde_json::from_slice(&applied.stdout).unwrap();
    assert_eq!(done["outcome"]["goneBack"], "a was not ready within 5s", "{done}");
    let status = house.json(&["status", "--json"]);
    assert!(
        status["supervisor"]["conditions"][0].as_str().unwrap().contains("not ready within 5s"),
        "{status}"
    );
    assert_ne!(pids(&house)["b"], before["b"]);
    let upgraded = house.s7(&["upgrade"]);
    assert_eq!(code(&upgraded), 1, "what runs is not what the registry says");
    house.write_registry(&[stand_in("a", "", ""), sleeper("b", 4, "")].concat());
    assert_applied(&house, &["--confirm-ready", "60s"]);
    let status = house.json(&["status", "--json"]);
    assert_eq!(status["supervisor"]["conditions"], json!([]));
}

#[test]
fn sighup_applies_and_why_says_so() {
    let house = House::with(&[sleeper("a", 1, ""), sleeper("b", 1, "")].concat());
    let mut supervisor = house.run();
    house.pids_of(["a", "b"]);
    let before = pids(&house);
    house.write_registry(&[sleeper("a", 2, ""), sleeper("b", 1, "")].concat());
    kill(supervisor.id(), Signal::HUP);
    house.until(|| pids(&house).get("a").is_some_and(|pid| *pid != before["a"]));
    assert_eq!(pids(&house)["b"], before["b"]);
    // The journal is written a moment later.
    let told = "restart, by a changed registry: environment; applied by SIGHUP";
    house.until(|| stdout(&house.s7(&["why", "a"])).contains(told));
    let is_logged = |told: &str| fs::read_to_string(house.own_log()).unwrap().contains(told);
    house.until(|| is_logged("is applied, asked for by SIGHUP"));
    house.s7(&["stop"]);
    house.wait(&mut supervisor);
}

#[test]
fn a_supervisor_that_is_killed_after_a_change_is_followed_by_one_that_touches_nothing() {
    let house = House::with(&[sleeper("a", 1, ""), sleeper("b", 1, ""), sleeper("gone", 1, "")].concat());
    house.start();
    let changed =
        [sleeper("new", 1, ""), sleeper("a", 2, ""), sleeper("b", 1, "<stopTimeout>9</stopTimeout>")];
    house.write_registry(&changed.concat());
    assert_applied(&house, &[]);
    let before = pids(&house);
    assert_eq!(before.keys().collect::<Vec<_>>(), ["a", "b", "new"]);
    kill(house.supervisor_pid(), Signal::KILL);
    house.start();
    assert_eq!(pids(&house), before);
    assert_eq!(code(&house.s7(&["plan"])), 0);
    // What was stopped when another was killed is known to the next one, and still no component.
    house.write_registry(&sleeper("a", 2, ""));
    assert_applied(&house, &[]);
    assert_eq!(pids(&house), BTreeMap::from([("a".to_owned(), before["a"])]));
}

#[test]
fn an_upgrade_after_a_change_touches_nothing() {
    let house = House::with(&[sleeper("a", 1, ""), sleeper("b", 1, "")].concat());
    house.start();
    house.write_registry(&[sleeper("a", 2, ""), sleeper("b", 1, ""), sleeper("c", 1, "")].concat());
    let refused = house.s7(&["upgrade"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("apply the change"), "{}", stderr(&refused));
    assert_applied(&house, &[]);
    let before = pids(&house);
    let upgraded = house.s7(&["upgrade"]);
    assert_eq!(code(&upgraded), 0, "{}", stderr(&upgraded));
    assert_eq!((pids(&house), code(&house.s7(&["plan"]))), (before, 0));
}

#[test]
fn another_registry_holds_until_the_supervisor_begins_anew() {
    let house = House::with(&sleeper("a", 1, ""));
    house.start();
    let before = pids(&house);
    let other = house.path("conf/other.xml");
    let ours = fs::read_to_string(house.registry()).unwrap();
    fs::write(&other, ours.replace("</servers>", &format!("{}</servers>", sleeper("b", 1, "")))).unwrap();
    assert_applied(&house, &["conf/other.xml"]);
    assert_eq!(pids(&house).keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(code(&house.s7(&["upgrade"])), 1);
    assert_applied(&house, &[]);
    assert_eq!(pids(&house), before);
}

/// What a service manager hears next, beside how many are up.
fn hears(manager: &UnixDatagram) -> Vec<String> {
    let mut datagram = [0; 4096];
    loop {
        let length = manager.recv(&mut datagram).unwrap();
        let text = std::str::from_utf8(&datagram[..length]).unwrap();
        if !text.starts_with("STATUS=") {
            return text.lines().map(str::to_owned).collect();
        }
    }
}

/// A reload that was asked for after `asked`, by the clock that systemd goes by.
fn assert_reloading(heard: &[String], asked: Timespec) {
    let [reloading, time] = heard else { panic!("{heard:?}") };
    assert_eq!(reloading, "RELOADING=1");
    let time: i64 = time.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(time >= asked.tv_sec * 1_000_000 + asked.tv_nsec / 1000, "{time} is before {asked:?}");
}

#[test]
fn a_service_manager_hears_when_a_registry_begins_to_be_applied_and_when_that_is_over() {
    let house = House::with(&sleeper("a", 1, ""));
    let manager = UnixDatagram::bind(house.path("manager")).unwrap();
    // So long that only what is broken comes to it.
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = house.command(env!("CARGO_BIN_EXE_s7supervisor"));
    command.arg("run").env("NOTIFY_SOCKET", house.path("manager")).stdout(Stdio::null());
    let mut supervisor = command.spawn().unwrap();
    assert_eq!(hears(&manager), ["READY=1"]);
    let reload = || {
        let asked = clock_gettime(ClockId::Monotonic);
        kill(supervisor.id(), Signal::HUP);
        assert_reloading(&hears(&manager), asked);
    };

    house.write_registry(&(sleeper("a", 1, "") + &sleeper("b", 1, "")));
    reload();
    assert_eq!(hears(&manager), ["READY=1"]);
    assert_eq!(pids(&house).len(), 2, "it is over when it is so");
    // What is refused, and what a client asks for.
    fs::write(house.registry(), "<supervisor>").unwrap();
    reload();
    assert_eq!(hears(&manager), ["READY=1"]);
    house.write_registry(&sleeper("a", 1, ""));
    let asked = clock_gettime(ClockId::Monotonic);
    assert_applied(&house, &[]);
    assert_reloading(&hears(&manager), asked);
    assert_eq!(hears(&manager), ["READY=1"]);
    // The end comes before this one is over.
    house.write_registry(&(sleeper("a", 1, "") + &sleeper("never", 1, NEVER_READY)));
    reload();
    kill(supervisor.id(), Signal::TERM);
    assert_eq!(hears(&manager), ["READY=1"]);
    assert_eq!(hears(&manager)[0], "STOPPING=1");
    assert_eq!(house.wait(&mut supervisor), Some(0));
}

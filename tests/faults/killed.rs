//! The supervisor is killed at a random moment, and another one goes on.

use std::time::Duration;

use rustix::process::Signal;

use crate::ground::{
    Supervisor, alone, can_try, component, ends_within, family, few_or_all, has_forked, held, numbered_lines,
    output, plain, some_time,
};
use crate::house::{House, code};

/// What lives on untouched, whatever becomes of the supervisor.
const STEADY: [&str; 3] = ["writer", "daemons", "quiet"];

fn steady() -> String {
    plain("writer", "--flood --rate 1000", "")
        + &plain("daemons", "--fork-children 3 --new-session --ready-file FOLDER/daemons.ready", "")
        + &plain("quiet", "", "")
}

fn families(house: &House) -> [Vec<u32>; 3] {
    STEADY.map(|id| family(house, id))
}

#[test]
fn every_component_outlives_the_supervisor_whenever_that_is_killed_and_no_line_is_lost_or_doubled() {
    let house = House::with(&steady());
    let mut supervisor = Supervisor::run(&house);
    supervisor.until_up(STEADY);
    supervisor.until(|house| has_forked(house, "daemons"));
    let before = families(&house);
    assert_eq!(before.each_ref().map(Vec::len), [1, 4, 1]);
    for round in 1..=few_or_all(10, 200) {
        // Every other one is killed while it begins, and takes over what the one before has left.
        if round % 2 == 0 {
            supervisor.until_it_answers();
        }
        assert!(!supervisor.ends_within(some_time(200)), "it has ended: {}", supervisor.said());
        supervisor.kill();
        assert_eq!(families(&house), before, "after {round} kills");
        supervisor = Supervisor::begin(&house);
    }
    let pids = supervisor.until_up(STEADY);
    assert_eq!(families(&house), before);
    for (id, pid) in STEADY.into_iter().zip(pids) {
        assert!(before.iter().any(|family| family.contains(&pid)), "{id} has become {pid}");
        assert_eq!(component(&house, id)["restarts"], 0, "{id}");
    }
    // It writes a thousand a second, where it gets the processor.
    house.until(|| output(&house, "writer").lines().count() > 1_000);
    supervisor.stop();
    house.assert_nothing_lives();
    assert!(numbered_lines(&house, "writer") > 1_000);
}

#[test]
fn what_restarts_stops_or_crashes_while_the_supervisor_is_killed_never_runs_twice_and_what_is_stopped_stays_so()
 {
    let quick = "<restart delay=\"0.02s\" maxDelay=\"0.05s\" max=\"100000\" within=\"1s\"/>";
    let house = House::with(
        &(alone("crashing", "--crash-after 0.03", quick)
            + &alone("slow", "--slow-stop 0.1", "")
            + &alone("deaf", "--ignore-stop", "<stopTimeout>0.1s</stopTimeout>")
            + &alone("stopped", "", "")),
    );
    let mut supervisor = Supervisor::run(&house);
    supervisor.until_up(["slow", "deaf", "stopped"]);
    assert_eq!(code(&house.s7(&["stop", "stopped"])), 0);
    for round in 1..=few_or_all(10, 200) {
        if round % 3 != 0 {
            supervisor.until_it_answers();
            for id in ["slow", "deaf"] {
                assert_eq!(code(&house.s7(&["restart", id, "--no-wait"])), 0, "{}", supervisor.said());
            }
        }
        assert!(!supervisor.ends_within(some_time(150)), "it has ended: {}", supervisor.said());
        supervisor.kill();
        assert_eq!(family(&house, "stopped").len(), 0, "after {round} kills");
        supervisor = Supervisor::begin(&house);
    }
    supervisor.until_up(["slow", "deaf"]);
    let doubled = std::fs::read_to_string(house.path("doubled")).unwrap_or_default();
    assert_eq!(doubled, "", "these ran twice at once");
    assert_eq!(component(&house, "stopped")["state"], "stopped");
    supervisor.until(|house| component(house, "crashing")["restarts"].as_u64() > Some(0));
    // Nor does it stay down when somebody asks for it.
    assert_eq!(code(&house.s7(&["start", "stopped"])), 0);
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.end(), 0);
    house.assert_nothing_lives();
}

/// Long enough for a signal on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// How a supervisor is begun whose components end with it.
const BOUND: [&str; 2] = ["--on-crash", "stop"];

/// Kills a supervisor whose components end with it, and says with which pid this one has ended.
fn ends_with_its_supervisor(house: &House, id: &str, is_there: impl Fn(&House) -> bool) -> u32 {
    let supervisor = Supervisor::run_with(house, &BOUND);
    let [pid] = supervisor.until_up([id]);
    supervisor.until(is_there);
    let process = held(pid);
    supervisor.kill();
    assert!(ends_within(&process, SOON), "{id} lives on");
    pid
}

#[test]
fn with_on_crash_stop_a_component_ends_with_a_killed_supervisor_and_only_without_it_lives_on() {
    // It is the stand-in when it says that it is ready, and neither the shell before nor that shell's child.
    let house = House::with(&alone("a", "--ready-file FOLDER/a.ready", ""));
    let is_there = |house: &House| has_forked(house, "a");
    let first = ends_with_its_supervisor(&house, "a", is_there);
    assert_eq!(family(&house, "a").len(), 0);

    let supervisor = Supervisor::run(&house);
    let [second] = supervisor.until_up(["a"]);
    supervisor.until(is_there);
    assert_ne!(first, second);
    supervisor.kill();
    assert_eq!(family(&house, "a"), [second]);

    // It is nobody's who ends with what it starts, and gives way.
    let supervisor = Supervisor::run_with(&house, &BOUND);
    supervisor.until(|house| !family(house, "a").contains(&second));
    let [third] = supervisor.until_up(["a"]);
    supervisor.until(is_there);
    assert_eq!(family(&house, "a"), [third]);
    assert!(!house.path("doubled").exists());
    supervisor.stop();
    house.assert_nothing_lives();
}

#[test]
fn with_on_crash_stop_a_component_of_another_user_ends_with_a_killed_supervisor_too() {
    if !can_try("a component of another user", &[]) {
        return;
    }
    let house = House::with(&plain("other", "", "<user>65534</user>"));
    house.open_to_everybody();
    ends_with_its_supervisor(&house, "other", |_| true);
    house.assert_nothing_lives();
}

#[test]
fn with_on_crash_stop_what_is_deaf_or_was_left_behind_outlives_a_killed_supervisor_until_the_next() {
    let house = House::with(
        &(plain("daemons", "--fork-children 2 --new-session --ready-file FOLDER/daemons.ready", "")
            + &plain(
                "deaf",
                "--ignore-stop --ready-file FOLDER/deaf.ready",
                "<stopTimeout>0.1s</stopTimeout>",
            )),
    );
    let supervisor = Supervisor::run_with(&house, &BOUND);
    let [daemons, deaf] = supervisor.until_up(["daemons", "deaf"]);
    // It is deaf once it says that it is ready.
    supervisor.until(|house| has_forked(house, "daemons") && has_forked(house, "deaf"));
    let left: Vec<_> = family(&house, "daemons").into_iter().filter(|pid| *pid != daemons).collect();
    let main = held(daemons);
    supervisor.kill();
    assert!(ends_within(&main, SOON));
    assert_eq!((family(&house, "daemons"), family(&house, "deaf")), (left.clone(), vec![deaf]));

    let supervisor = Supervisor::run_with(&house, &BOUND);
    supervisor.until(|house| {
        let (daemons, others) = (family(house, "daemons"), family(house, "deaf"));
        left.iter().all(|pid| !daemons.contains(pid)) && !others.contains(&deaf)
    });
    supervisor.until_up(["daemons", "deaf"]);
    supervisor.until(|house| has_forked(house, "daemons"));
    assert_eq!(house.alive(), 4);
    supervisor.stop();
    house.assert_nothing_lives();
}

//! The supervisor is killed at a random moment, and another one goes on.

use rustix::process::Signal;

use crate::ground::{Supervisor, alone, component, family, few_or_all, numbered_lines, plain, some_time};
use crate::house::{House, code};

/// What lives on untouched, whatever becomes of the supervisor.
const STEADY: [&str; 3] = ["writer", "daemons", "quiet"];

fn steady() -> String {
    plain("writer", "--flood --rate 1000", "")
        + &plain("daemons", "--fork-children 3 --new-session", "")
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
    supervisor.until(|house| families(house).map(|pids| pids.len()) == [1, 4, 1]);
    let before = families(&house);
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
    assert!(component(&house, "crashing")["restarts"].as_u64().unwrap() > 0);
    // Nor does it stay down when somebody asks for it.
    assert_eq!(code(&house.s7(&["start", "stopped"])), 0);
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.end(), 0);
    house.assert_nothing_lives();
}

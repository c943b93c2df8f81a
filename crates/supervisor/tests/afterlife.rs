//! What becomes of components when the supervisor is killed and another goes on, in the simulated world.
#![expect(clippy::unwrap_used, reason = "a test, which fails where something is not as it should be")]

use std::time::Duration;

use supervisor::testing::{Behaviour, Circumstances, Hostility, Mock, World};
use supervisor::{
    ComponentId, Condition, Dependency, EventKind, Exit, Intensity, Readiness, ReadyWhen, RestartBudget,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn needs(on: &str) -> Vec<Dependency> {
    vec![Dependency { on: ComponentId::new(on).unwrap(), condition: Condition::Ready }]
}

#[test]
fn what_runs_is_adopted_and_nothing_of_it_is_started_again() {
    let mut world = World::new([Mock::new("a"), Mock::new("b")]);
    world.run_for(seconds(100));
    let before = world.status();
    world.kill_supervisor(seconds(10));
    let after = world.status();
    for (before, after) in before.components.iter().zip(&after.components) {
        assert_eq!((before.pid, &before.state, before.since), (after.pid, &after.state, after.since));
        assert_eq!(after.uptime, Some(seconds(110)));
    }
    assert_eq!((world.runs("a"), after.uptime), (1, Duration::ZERO));
    assert!(world.events().iter().any(|event| matches!(event.kind, EventKind::Adopted { .. })));
}

#[test]
fn what_runs_though_nothing_of_it_was_written_down_is_wanted_and_runs_on() {
    let mut forgetful = Hostility::default();
    forgetful.forgetful = true;
    for seed in 0..32 {
        let mut world = World::hostile([Mock::new("a")], seed, forgetful);
        world.kill_supervisor(seconds(1));
        world.run_for(seconds(1));
        let status = world.component("a");
        assert_eq!((status.state.word(), status.wanted, world.runs("a")), ("up", true, 1), "seed {seed}");
    }
}

#[test]
fn a_run_of_which_nothing_was_written_down_yet_has_not_started() {
    let mut forgetful = Hostility::default();
    forgetful.forgetful = true;
    for seed in 0..32 {
        let mock = Mock::new("a").with(|spec| spec.start_delay = seconds(5));
        let mut world = World::hostile([mock], seed, forgetful);
        world.run_for(seconds(10));
        world.crash("a");
        world.kill_supervisor(seconds(1));
        assert_eq!((world.state("a").as_str(), world.runs("a")), ("starting", 2), "seed {seed}");
        world.run_for(seconds(5));
        assert_eq!(world.state("a"), "up", "seed {seed}");
    }
}

#[test]
fn the_process_that_a_program_has_named_as_its_main_one_is_adopted_as_such() {
    let mut world = World::new([Mock::new("a").behaves(Behaviour::steady().forks(Behaviour::steady()))]);
    let pids = world.alive("a");
    assert_eq!((world.component("a").pid, pids.len()), (Some(pids[0]), 2));
    world.notify("a", &format!("MAINPID={}", pids[1]));
    assert_eq!(world.component("a").pid, Some(pids[1]));
    world.kill_supervisor(seconds(1));
    assert_eq!((world.component("a").pid, world.runs("a")), (Some(pids[1]), 1));
}

#[test]
fn what_has_died_meanwhile_is_told_as_such_and_restarted() {
    let dies =
        |run| if run == 1 { Behaviour::steady().crashes_after(seconds(15)) } else { Behaviour::steady() };
    let mut world = World::new([Mock::new("a").behaves_by_run(dies)]);
    world.run_for(seconds(10));
    world.kill_supervisor(seconds(10));
    let kinds: Vec<_> = world.events().iter().map(|event| &event.kind).collect();
    let told = kinds.iter().position(|kind| matches!(kind, EventKind::EndedUnattended { .. })).unwrap();
    let is_exit = |kind: &EventKind| matches!(kind, EventKind::Exited { asked: false, .. });
    assert!(is_exit(kinds[told + 1]), "{:?}", kinds[told + 1]);
    assert!(world.run_until(seconds(2), |world| world.state("a") == "up"));
    assert_eq!((world.runs("a"), world.component("a").restarts), (2, 1));
}

#[test]
fn what_a_person_has_stopped_stays_stopped() {
    let mut world = World::new([Mock::new("a"), Mock::new("b")]);
    world.stop("a");
    world.run_for(seconds(1));
    world.kill_supervisor(seconds(1));
    world.run_for(seconds(1_000));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("stopped", 1));
    assert_eq!(world.state("b"), "up");
}

#[test]
fn a_stop_that_is_under_way_goes_on_and_ends_in_the_kill() {
    let stubborn = Mock::new("a").behaves(Behaviour::steady().ignores_stop());
    let mut world = World::new([stubborn.with(|spec| spec.stop_timeout = seconds(10))]);
    world.stop("a");
    world.run_for(seconds(5));
    world.kill_supervisor(seconds(1));
    assert_eq!(world.state("a"), "stopping 0s/10s");
    world.run_for(seconds(11));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("stopped", 1));
}

#[test]
fn a_stop_whose_turn_had_not_come_is_carried_out_by_the_next_supervisor() {
    let slow = Mock::new("ps").behaves(Behaviour::steady().slow_to_stop(seconds(5)));
    let mut world = World::new([Mock::new("is"), slow.with(|spec| spec.start_priority = 2)]);
    world.stop(supervisor::Targets::All);
    world.run_for(seconds(1));
    world.kill_supervisor(seconds(1));
    world.run_for(seconds(10));
    assert_eq!(["is", "ps"].map(|name| world.state(name)), ["stopped", "stopped"]);
    assert_eq!(["is", "ps"].map(|name| world.runs(name)), [1, 1]);
}

#[test]
fn a_restart_that_is_under_way_goes_on_and_ends_in_the_next_run() {
    let slow = Mock::new("a").behaves(Behaviour::steady().slow_to_stop(seconds(5)));
    let mut world = World::new([slow]);
    world.restart("a");
    world.run_for(seconds(2));
    world.kill_supervisor(seconds(1));
    world.run_for(seconds(10));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 2));
}

#[test]
fn what_was_to_end_and_has_ended_meanwhile_has_ended_for_that_reason() {
    let slow = || Behaviour::steady().slow_to_stop(seconds(5));
    let hangs = move |run| if run == 1 { slow().hangs_after(Duration::ZERO) } else { slow() };
    let mut world = World::new([
        Mock::new("asked").behaves(slow()),
        Mock::new("judged").with(|spec| spec.watchdog = Some(seconds(10))).behaves_by_run(hangs),
    ]);
    assert!(world.run_until(seconds(60), |world| world.state("judged").starts_with("stopping")));
    world.restart("asked");
    world.run_for(seconds(2));
    world.kill_supervisor(seconds(10));
    assert_eq!(["asked", "judged"].map(|name| world.runs(name)), [2, 2]);
    assert_eq!(["asked", "judged"].map(|name| world.component(name).restarts), [0, 1]);
    let end = world.component("judged").last_end.unwrap();
    assert_eq!(end.to_string(), "no sign of life for 10s");
}

#[test]
fn a_wait_for_the_next_try_is_neither_shortened_nor_begun_anew() {
    let mut world = World::new([Mock::new("a").behaves(Behaviour::steady().crashes_after(Duration::ZERO))]);
    // `backoff 24s (7)`
    let wait = |world: &World| -> Option<u64> {
        let state = world.state("a");
        state.strip_prefix("backoff ")?.split_once("s ")?.0.parse().ok()
    };
    assert!(world.run_until(seconds(3_600), |world| wait(world) >= Some(20)), "{}", world.state("a"));
    let (left, runs) = (wait(&world).unwrap(), world.runs("a"));
    world.kill_supervisor(seconds(10));
    assert_eq!(wait(&world), Some(left - 10));
    world.run_for(seconds(left - 11));
    assert_eq!(world.runs("a"), runs);
    world.run_for(seconds(2));
    assert_eq!(world.runs("a"), runs + 1);
}

#[test]
fn what_a_start_has_forgiven_stays_forgiven() {
    let crashes = |run| match run {
        1..=5 => Behaviour::steady().crashes_after(Duration::ZERO),
        _ => Behaviour::steady(),
    };
    // It has not started yet when somebody asks, so that nothing but its past changes.
    let mut world =
        World::new([Mock::new("a").with(|spec| spec.start_delay = seconds(9)).behaves_by_run(crashes)]);
    assert!(world.run_until(seconds(60), |world| world.runs("a") == 6));
    world.run_for(seconds(1));
    world.start("a");
    world.kill_supervisor(seconds(1));
    world.crash("a");
    assert_eq!(world.runs("a"), 7, "at once, as after the first crash");
}

#[test]
fn what_has_tripped_rests_on() {
    let intensity = Intensity { max: 3, within: seconds(60), retry_after: seconds(600) };
    let mock = Mock::new("a").behaves(Behaviour::steady().crashes_after(Duration::ZERO));
    let mut world = World::new([mock.with(|spec| spec.intensity = Some(intensity))]);
    assert!(world.run_until(seconds(60), |world| world.state("a").starts_with("tripped")));
    let runs = world.runs("a");
    world.kill_supervisor(seconds(300));
    assert_eq!(world.state("a"), "tripped, next try 5m");
    world.run_for(seconds(299));
    assert_eq!(world.runs("a"), runs);
    world.run_for(seconds(2));
    assert_eq!(world.runs("a"), runs + 1);
}

#[test]
fn what_has_done_its_work_is_not_begun_again_for_those_that_need_it() {
    let done = Mock::new("migrate").behaves(Behaviour::steady().ends_after(seconds(1), Exit::Code(0)));
    let done = done.with(|spec| spec.restart = std::sync::Arc::new(supervisor::Never));
    let server = Mock::new("server").with(|spec| {
        let on = ComponentId::new("migrate").unwrap();
        spec.depends_on = vec![Dependency { on, condition: Condition::Completed }];
    });
    let mut world = World::new([done, server]);
    world.run_for(seconds(5));
    world.kill_supervisor(seconds(1));
    world.crash("server");
    world.run_for(seconds(5));
    assert_eq!((world.runs("migrate"), world.runs("server")), (1, 2));
    assert_eq!(world.state("server"), "up");
}

#[test]
fn a_start_delay_goes_on_and_is_not_begun_anew() {
    let mut world = World::new([Mock::new("a").with(|spec| spec.start_delay = seconds(5))]);
    world.run_for(seconds(2));
    world.kill_supervisor(seconds(1));
    world.run_for(seconds(1));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("starting", 1));
    world.run_for(seconds(1));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 1));
}

#[test]
fn what_had_not_started_yet_still_goes_before_those_that_need_it() {
    let ready = |name| {
        let readiness = Readiness { when: ReadyWhen::Descriptor(3), timeout: seconds(60) };
        Mock::new(name).with(|spec| spec.readiness = Some(readiness))
    };
    let slow = ready("a").behaves(Behaviour::steady().ready_after(seconds(20)));
    let mut world = World::new([slow, Mock::new("b").with(|spec| spec.depends_on = needs("a"))]);
    world.run_for(seconds(5));
    world.kill_supervisor(seconds(5));
    world.run_for(seconds(9));
    assert_eq!((world.state("a").as_str(), world.runs("b")), ("starting", 0));
    // What it has said on its descriptor was not lost.
    world.run_for(seconds(2));
    assert_eq!((world.state("a").as_str(), world.state("b").as_str(), world.runs("a")), ("up", "up", 1));
}

#[test]
fn the_restart_budget_is_not_full_again_for_another_supervisor() {
    let crashes = |name| Mock::new(name).behaves(Behaviour::steady().crashes_after(seconds(1)));
    let budget = RestartBudget { max: 2, within: seconds(100) };
    let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
    let mut world = World::under(["a", "b", "c", "d"].map(crashes), circumstances);
    world.run_for(seconds(10));
    let runs = |world: &World| ["a", "b", "c", "d"].map(|name| world.runs(name)).iter().sum::<usize>();
    assert_eq!(runs(&world), 6);
    world.kill_supervisor(seconds(1));
    world.run_for(seconds(10));
    assert_eq!(runs(&world), 6, "the next token comes after 50 seconds");
    world.run_for(seconds(40));
    assert_eq!(runs(&world), 7);
}

#[test]
fn a_supervisor_that_dies_while_everything_stops_starts_everything_again() {
    let slow = Mock::new("a").behaves(Behaviour::steady().slow_to_stop(seconds(5)));
    let mut world = World::new([slow, Mock::new("b"), Mock::new("c").with(|spec| spec.autostart = false)]);
    world.shutdown();
    world.run_for(seconds(1));
    world.kill_supervisor(seconds(1));
    world.run_for(seconds(20));
    assert_eq!(["a", "b", "c"].map(|name| world.state(name)), ["up", "up", "stopped"]);
}

#[test]
fn a_supervisor_that_leaves_touches_nothing_and_the_next_one_goes_on() {
    let stubborn = Mock::new("stubborn").behaves(Behaviour::steady().ignores_stop());
    let stubborn = stubborn.with(|spec| spec.stop_timeout = seconds(10));
    let mut world = World::new([Mock::new("a"), Mock::new("b"), stubborn, Mock::new("crashes")]);
    world.run_for(seconds(100));
    world.crash("crashes");
    world.stop("stubborn");
    let before = world.status();
    let decisions = world.trace().len();
    assert!(world.replace_supervisor(Duration::ZERO));
    // A step of a stop that is under way is done again, as nobody knows how far the one before had come.
    let is_deed = |line: &&String| {
        !line.contains("Signal { run: 2#1")
            && ["Signal", "Kill {", "Spawn"].iter().any(|deed| line.contains(deed))
    };
    let deeds: Vec<_> = world.trace()[decisions..].iter().filter(is_deed).collect();
    assert!(deeds.is_empty(), "{deeds:?}");
    for (before, after) in before.components.iter().zip(&world.status().components) {
        assert_eq!((before.pid, &before.state, before.since), (after.pid, &after.state, after.since));
    }
    world.run_for(seconds(20));
    assert_eq!(["a", "stubborn", "crashes"].map(|id| world.state(id)), ["up", "stopped", "up"]);
    assert_eq!(["a", "b", "stubborn", "crashes"].map(|id| world.runs(id)), [1, 1, 1, 2]);
}

#[test]
fn a_supervisor_that_stops_everything_does_not_leave() {
    let mut world = World::new([Mock::new("a").behaves(Behaviour::steady().slow_to_stop(seconds(5)))]);
    world.shutdown();
    world.run_for(seconds(1));
    assert!(!world.replace_supervisor(Duration::ZERO));
    world.run_for(seconds(20));
    assert!(world.has_ended());
    assert_eq!(world.runs("a"), 1);
}

#[test]
fn priorities_order_what_had_not_begun_yet_and_nobody_waits_for_what_had() {
    let of = |name, priority, delay| {
        Mock::new(name).with(|spec| (spec.start_priority, spec.start_delay) = (priority, seconds(delay)))
    };
    let mut world = World::new([of("first", 1, 0), of("slow", 2, 20), of("last", 3, 0)]);
    world.run_for(seconds(5));
    world.kill_supervisor(seconds(1));
    assert_eq!((world.state("slow").as_str(), world.runs("last")), ("starting", 0));
    world.run_for(seconds(13));
    assert_eq!(world.runs("last"), 0);
    world.run_for(seconds(2));
    assert_eq!((world.state("last").as_str(), world.runs("slow")), ("up", 1));
}

#[test]
fn what_is_stopped_by_name_while_everything_stops_stays_stopped() {
    let slow = Mock::new("slow").behaves(Behaviour::steady().slow_to_stop(seconds(10)));
    let mut world = World::new([slow, Mock::new("a"), Mock::new("b")]);
    world.run_for(seconds(1));
    world.shutdown();
    world.run_for(seconds(1));
    world.stop("a");
    world.run_for(seconds(1));
    world.kill_supervisor(seconds(1));
    world.run_for(seconds(20));
    assert_eq!(["slow", "a", "b"].map(|id| world.state(id)), ["up", "stopped", "up"]);
}

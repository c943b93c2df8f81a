//! The life of components, told rule by rule in the simulated world.

#[path = "common/simulated.rs"]
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use supervisor::testing::{Mock, World};
use supervisor::{
    Achieved, Backoff, Decision, End, EventKind, Exit, Fixed, History, Jitter, KillReason, Limit, Never,
    OnFailure, ProcessSpec, RequestError, RestartPolicy,
};

use crate::simulated::{millis, seconds, steady};

/// When each run of a component was spawned.
fn spawn_times(world: &World, id: &str) -> Vec<Duration> {
    let spawned = |kind: &EventKind| matches!(kind, EventKind::Spawned { .. } | EventKind::NotSpawned { .. });
    let its = world.events().iter().filter(|event| event.component.as_ref().is_some_and(|its| its == id));
    its.filter(|event| spawned(&event.kind)).map(|event| event.at).collect()
}

fn first(world: &World, id: &str, kind: fn(&EventKind) -> bool) -> Duration {
    let mut its = world.events().iter().filter(|event| event.component.as_ref().is_some_and(|its| its == id));
    its.find(|event| kind(&event.kind)).map(|event| event.at).expect("no such event")
}

mod starting {
    use super::*;

    #[test]
    fn components_start_in_ascending_priority_and_then_in_the_order_given() {
        let with_priority = |id: &str, priority| Mock::new(id).with(|spec| spec.start_priority = priority);
        let world = World::new([with_priority("c", 2), with_priority("a", 1), with_priority("b", 1)]);
        let order: Vec<_> =
            world.status().components.iter().map(|component| component.id.to_string()).collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn a_component_has_started_when_it_has_been_up_for_its_start_delay() {
        let mut world = World::new([Mock::new("is").with(|spec| spec.start_delay = seconds(5))]);
        world.run_for(millis(4_999));
        assert_eq!(world.state("is"), "starting");
        world.run_for(millis(1));
        assert_eq!(world.state("is"), "up");
        assert_eq!(world.component("is").since, seconds(5));
    }

    #[test]
    fn the_next_priority_begins_when_all_of_the_one_before_have_started() {
        let mut world = World::new([
            Mock::new("is").with(|spec| spec.start_delay = seconds(5)),
            Mock::new("svg").with(|spec| spec.start_delay = seconds(3)),
            Mock::new("ps").with(|spec| spec.start_priority = 2),
        ]);
        world.run_for(seconds(4));
        assert_eq!(world.state("ps"), "waiting for is");
        world.run_for(seconds(1));
        assert_eq!(spawn_times(&world, "ps"), [seconds(5)]);
    }

    #[test]
    fn the_next_priority_begins_at_the_first_failed_start_of_the_one_before() {
        let mut world = World::new([
            Mock::new("is")
                .with(|spec| spec.start_delay = seconds(5))
                .behaves(steady().crashes_after(seconds(1))),
            Mock::new("ps").with(|spec| spec.start_priority = 2),
        ]);
        world.run_for(seconds(2));
        assert_eq!(spawn_times(&world, "ps"), [seconds(1)]);
    }

    #[test]
    fn the_next_priority_begins_when_the_one_before_cannot_be_spawned() {
        let mut world = World::new([
            Mock::new("is").behaves(steady().fails_to_start()),
            Mock::new("ps").with(|spec| spec.start_priority = 2),
        ]);
        world.run_for(Duration::ZERO);
        assert_eq!(world.state("ps"), "up");
    }

    #[test]
    fn the_next_priority_begins_when_the_one_before_has_completed() {
        let mut world = World::new([
            Mock::new("setup")
                .with(|spec| {
                    spec.start_delay = seconds(60);
                    spec.restart = Arc::new(Never);
                })
                .behaves(steady().ends_after(seconds(2), Exit::Code(0))),
            Mock::new("ps").with(|spec| spec.start_priority = 2),
        ]);
        world.run_for(seconds(3));
        assert_eq!(world.state("setup"), "completed");
        assert_eq!(spawn_times(&world, "ps"), [seconds(2)]);
    }

    #[test]
    fn priority_orders_but_does_not_gate_restarts() {
        let mut world = World::new([
            Mock::new("is").with(|spec| spec.start_delay = seconds(5)),
            Mock::new("ps").with(|spec| spec.start_priority = 2),
        ]);
        world.run_for(seconds(10));
        world.crash("is");
        world.crash("ps");
        assert_eq!(world.state("ps"), "up");
    }

    #[test]
    fn what_does_not_start_by_itself_waits_to_be_asked_for_and_holds_nobody_up() {
        let mut world = World::new([
            Mock::new("is").with(|spec| spec.autostart = false),
            Mock::new("ps").with(|spec| spec.start_priority = 2),
        ]);
        world.run_for(seconds(1));
        assert_eq!((world.state("is").as_str(), world.state("ps").as_str()), ("stopped", "up"));
        let start = world.start("is");
        world.run_for(Duration::ZERO);
        assert!(world.outcome(start).unwrap().is_success());
    }
}

mod restarting {
    use super::*;

    #[test]
    fn what_crashes_after_a_stable_run_is_back_at_once() {
        let mut world = World::new([Mock::new("ps")]);
        world.run_for(seconds(1));
        world.crash("ps");
        assert_eq!(spawn_times(&world, "ps"), [seconds(0), seconds(1)]);
        assert_eq!(world.component("ps").restarts, 1);
        let end = End::Exited(Exit::Signal { signal: 9, core_dumped: false });
        assert_eq!(world.component("ps").last_end, Some(end));
    }

    #[test]
    fn what_keeps_crashing_waits_twice_as_long_each_time_up_to_the_longest_wait() {
        let policy = Backoff { jitter: 0.0, max_delay: millis(700), ..Backoff::default() };
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.restart = Arc::new(policy))
            .behaves(steady().crashes_after(millis(10)))]);
        world.run_for(seconds(4));
        let times = spawn_times(&world, "ps");
        let waits: Vec<_> =
            times.windows(2).map(|pair| (pair[1] - pair[0] - millis(10)).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 700, 700, 700, 700]);
    }

    #[test]
    fn a_stable_run_begins_the_count_anew_and_an_unstable_one_does_not() {
        let stable_third = |run| match run {
            3 => steady().crashes_after(seconds(1)),
            _ => steady().crashes_after(millis(999)),
        };
        let policy = Backoff { jitter: 0.0, ..Backoff::default() };
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.restart = Arc::new(policy))
            .behaves_by_run(stable_third)]);
        world.run_until(seconds(60), |world| spawn_times(world, "ps").len() == 6);
        let times = spawn_times(&world, "ps");
        let waits: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        assert_eq!(waits, [999, 999 + 100, 1_000, 999 + 100, 999 + 200]);
    }

    #[test]
    fn stability_counts_from_the_start_and_not_from_the_spawn() {
        let policy = Backoff { jitter: 0.0, ..Backoff::default() };
        let mut world = World::new([Mock::new("ps")
            .with(|spec| {
                spec.restart = Arc::new(policy);
                spec.start_delay = seconds(5);
            })
            .behaves(steady().crashes_after(millis(5_900)))]);
        world.run_until(seconds(60), |world| spawn_times(world, "ps").len() == 3);
        assert_eq!(
            spawn_times(&world, "ps")[2],
            millis(2 * 5_900 + 100),
            "0.9 s beyond its start is not stable"
        );
    }

    #[test]
    fn the_wait_is_shown_with_how_many_in_a_row_it_is() {
        let mut world = World::new([Mock::new("ps").behaves(steady().crashes_after(Duration::ZERO))]);
        world.run_until(seconds(60), |world| {
            world.component("ps").state.to_string().starts_with("backoff 1s")
        });
        assert_eq!(world.state("ps"), "backoff 1s (6)");
    }

    #[test]
    fn a_spawn_that_fails_is_a_failed_run_and_waits_at_least_100_ms() {
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.restart = Arc::new(Fixed(Duration::ZERO)))
            .behaves_by_run(|run| if run < 3 { steady().fails_to_start() } else { steady() })]);
        world.run_for(seconds(1));
        assert_eq!(spawn_times(&world, "ps"), [millis(0), millis(100), millis(200)]);
        assert_eq!(world.state("ps"), "up");
        assert!(matches!(world.component("ps").last_end, Some(End::NotSpawned(_))));
    }

    #[test]
    fn never_completes_after_success_and_gives_up_after_failure() {
        let ends = |id: &str, code| {
            Mock::new(id)
                .with(|spec| spec.restart = Arc::new(Never))
                .behaves(steady().ends_after(seconds(1), Exit::Code(code)))
        };
        let mut world = World::new([ends("good", 0), ends("bad", 3)]);
        world.run_for(seconds(100));
        assert_eq!((world.state("good").as_str(), world.state("bad").as_str()), ("completed", "failed"));
        assert_eq!((world.runs("good"), world.runs("bad")), (1, 1));
        assert!(world.component("bad").wanted, "what has failed is still wanted");
    }

    #[test]
    fn on_failure_runs_it_again_only_after_a_failure() {
        let mut world = World::new([Mock::new("job")
            .with(|spec| spec.restart = Arc::new(OnFailure(Fixed(seconds(1)))))
            .behaves_by_run(|run| steady().ends_after(seconds(1), Exit::Code(i32::from(run < 3))))]);
        world.run_for(seconds(100));
        assert_eq!(world.state("job"), "completed");
        assert_eq!(spawn_times(&world, "job"), [seconds(0), seconds(2), seconds(4)]);
    }

    #[test]
    fn a_limit_gives_up_when_there_were_more_restarts_than_it_allows_within_its_window() {
        let limit = Limit { max: 3, within: seconds(60), policy: Fixed(Duration::ZERO) };
        let mock = |id: &str, every| {
            Mock::new(id).with(|spec| spec.restart = Arc::new(limit)).behaves(steady().crashes_after(every))
        };
        let mut world = World::new([mock("quick", seconds(1)), mock("slow", seconds(20))]);
        world.run_for(seconds(600));
        assert_eq!(world.state("quick"), "failed");
        assert_eq!(world.runs("quick"), 4, "the first run and three restarts");
        assert_eq!(world.state("slow"), "up", "three restarts a minute are allowed");
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let limit = Limit { max: 0, within: seconds(60), policy: Fixed(Duration::ZERO) };
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.restart = Arc::new(limit))
            .behaves(steady().crashes_after(millis(100)))]);
        world.run_for(seconds(10));
        assert_eq!(world.runs("ps"), 101);
    }

    #[test]
    fn a_policy_that_panics_is_told_of_and_the_default_decides() {
        #[derive(Debug)]
        struct Panics;
        impl RestartPolicy for Panics {
            fn decide(&self, _: &History, _: Jitter) -> Decision {
                // Not by `panic!`, which would print to the test's output.
                std::panic::resume_unwind(Box::new("a fault of the host's"))
            }
        }
        let mut world = World::new([Mock::new("ps").with(|spec| spec.restart = Arc::new(Panics))]);
        world.crash("ps");
        assert_eq!(world.state("ps"), "up");
        assert!(world.events().iter().any(|event| event.kind == EventKind::PolicyPanicked));
    }

    #[test]
    fn a_crash_loop_of_one_delays_nobody_else() {
        let mut world = World::new([
            Mock::new("loop")
                .with(|spec| spec.restart = Arc::new(Fixed(Duration::ZERO)))
                .behaves(steady().crashes_after(millis(1))),
            Mock::new("ps"),
        ]);
        world.run_for(seconds(2));
        world.crash("ps");
        assert_eq!(world.state("ps"), "up");
        assert_eq!(spawn_times(&world, "ps")[1], seconds(2));
    }

    #[test]
    fn what_a_crashed_run_leaves_behind_is_killed_before_the_next_run_begins() {
        let daemon = steady().ignores_stop().slow_to_die(millis(30));
        let mut world =
            World::new([Mock::new("ps").behaves(steady().forks(daemon).crashes_after(seconds(2)))]);
        world.run_for(millis(2_010));
        assert_eq!(world.state("ps"), "stopping 0.1s/5s");
        world.run_for(seconds(1));
        assert_eq!(spawn_times(&world, "ps")[1], millis(2_030));
        let killed = |kind: &EventKind| matches!(kind, EventKind::Killed { why: KillReason::Leftovers, .. });
        assert_eq!(first(&world, "ps", killed), seconds(2));
    }

    #[test]
    fn what_forks_away_is_a_run_that_ended_and_its_daemon_is_a_leftover() {
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.restart = Arc::new(Never))
            .behaves(steady().forks_away(steady()))]);
        world.run_for(seconds(1));
        assert_eq!(world.state("ps"), "completed");
        assert_eq!(world.alive("ps"), [0_u32; 0]);
    }
}

mod stopping {
    use super::*;

    #[test]
    fn what_ignores_the_stop_signal_is_killed_after_its_timeout_and_not_before() {
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.stop_timeout = seconds(10))
            .behaves(steady().ignores_stop())]);
        let stop = world.stop("ps");
        world.run_for(millis(9_999));
        assert_eq!(world.state("ps"), "stopping 9s/10s");
        assert_eq!(world.outcome(stop), None);
        world.run_for(millis(1));
        assert_eq!(world.state("ps"), "stopped");
        assert_eq!(world.outcome(stop).unwrap().components[0].1, Achieved::Done);
        let killed = |kind: &EventKind| matches!(kind, EventKind::Killed { why: KillReason::Timeout, .. });
        assert_eq!(first(&world, "ps", killed), seconds(10));
    }

    #[test]
    fn leftovers_have_the_rest_of_the_time_in_a_stop_that_was_asked_for() {
        let worker = steady().slow_to_stop(seconds(8));
        let mut world = World::new([Mock::new("ps").behaves(steady().forks(worker))]);
        let stop = world.stop("ps");
        world.run_for(seconds(7));
        assert_eq!((world.outcome(stop), world.alive("ps").len()), (None, 1));
        world.run_for(seconds(1));
        assert!(world.outcome(stop).unwrap().is_success());
        assert!(!world.events().iter().any(|event| matches!(event.kind, EventKind::Killed { .. })));
    }

    #[test]
    fn everything_stops_in_descending_priority_each_only_when_those_after_it_are_gone() {
        let mock = |id: &str, priority| {
            Mock::new(id)
                .with(|spec| spec.start_priority = priority)
                .behaves(steady().slow_to_stop(seconds(2)))
        };
        let mut world = World::new([mock("is", 1), mock("svg", 1), mock("ps", 2)]);
        assert!(!world.status().shutting_down);
        let shutdown = world.shutdown();
        assert!(world.status().shutting_down);
        world.run_for(seconds(1));
        assert_eq!((world.state("is").as_str(), world.state("ps").as_str()), ("up", "stopping 1s/1m"));
        world.run_for(seconds(2));
        assert_eq!(
            (world.state("is").as_str(), world.state("svg").as_str()),
            ("stopping 1s/1m", "stopping 1s/1m")
        );
        world.run_for(seconds(1));
        assert!(world.has_ended() && world.outcome(shutdown).unwrap().is_success());
        assert_eq!(world.now(), seconds(4));
    }

    #[test]
    fn while_everything_stops_a_stop_of_one_comes_in_its_turn() {
        let mock = |id: &str, priority| {
            Mock::new(id)
                .with(|spec| spec.start_priority = priority)
                .behaves(steady().slow_to_stop(seconds(2)))
        };
        let mut world = World::new([mock("is", 1), mock("ps", 2)]);
        world.shutdown();
        world.run_for(seconds(1));
        let stop = world.stop("is");
        assert_eq!((world.state("is").as_str(), world.outcome(stop)), ("up", None));
        world.run_for(seconds(3));
        assert!(world.has_ended() && world.outcome(stop).unwrap().is_success());
    }

    #[test]
    fn a_stop_out_of_backoff_is_immediate_and_final() {
        let mut world = World::new([Mock::new("ps").behaves(steady().crashes_after(Duration::ZERO))]);
        world.run_for(seconds(1));
        let stop = world.stop("ps");
        assert_eq!(world.outcome(stop).unwrap().components[0].1, Achieved::Done, "it would have run again");
        let runs = world.runs("ps");
        world.run_for(seconds(100));
        assert_eq!((world.state("ps").as_str(), world.runs("ps")), ("stopped", runs));
    }

    #[test]
    fn a_stop_in_the_middle_of_the_start_begins_nothing_more() {
        let mut world = World::new([
            Mock::new("is").with(|spec| spec.start_delay = seconds(5)),
            Mock::new("ps").with(|spec| spec.start_priority = 2),
        ]);
        world.run_for(seconds(1));
        let shutdown = world.shutdown();
        world.run_for(Duration::ZERO);
        assert!(world.has_ended() && world.outcome(shutdown).unwrap().is_success());
        assert_eq!(world.runs("ps"), 0);
    }

    #[test]
    fn what_cannot_be_killed_is_named_and_the_shutdown_still_ends() {
        let mut world = World::new([
            Mock::new("is"),
            Mock::new("nfs")
                .with(|spec| spec.start_priority = 2)
                .behaves(steady().ignores_stop().unkillable()),
        ]);
        let pid = world.component("nfs").pid.unwrap();
        let shutdown = world.shutdown();
        world.run_for(seconds(64));
        assert!(!world.has_ended());
        world.run_for(seconds(1));
        assert!(world.has_ended(), "60 s of its own, and 5 s of grace after the kill");
        let outcome = world.outcome(shutdown).unwrap();
        assert_eq!(outcome.components[0].1, Achieved::Done);
        assert_eq!(outcome.components[1].1, Achieved::Unkillable(vec![pid]));
        assert_eq!(world.state("nfs"), format!("stopping (1 process cannot be killed: {pid})"));
    }

    #[test]
    fn what_cannot_be_watched_is_killed_in_time_and_looked_for_again_until_it_is_gone() {
        let child = |dies_after| steady().slow_to_die(dies_after).unwatched();
        let build = |dies_after| {
            let crashes = steady().forks(child(dies_after)).crashes_after(seconds(1));
            let mock =
                Mock::new("ps").behaves_by_run(move |run| if run == 1 { crashes.clone() } else { steady() });
            let mut world = World::new([mock]);
            world.run_for(seconds(1));
            world
        };
        let mut world = build(seconds(7));
        world.run_for(seconds(10));
        assert!(world.component("ps").state.word() == "stopping" && world.runs("ps") == 1);
        // Nobody tells of it: killed at 6 s, said to be unkillable at 11 s, gone at 13 s.
        let kind = |kind: fn(&EventKind) -> bool| {
            world.events().iter().filter(|event| kind(&event.kind)).map(|event| event.at).collect::<Vec<_>>()
        };
        assert_eq!(kind(|kind| matches!(kind, EventKind::Killed { .. })), [seconds(6)]);
        assert_eq!(kind(|kind| matches!(kind, EventKind::Unkillable { .. })), [seconds(11)]);
        world.run_for(seconds(5));
        assert_eq!((world.now(), world.state("ps").as_str(), world.runs("ps")), (seconds(16), "up", 2));
        // What lives for long is looked at ever more seldom: after 5 s, 10, 20, 40, and then each minute.
        let mut world = build(seconds(300));
        world.run_for(seconds(400));
        let looks = world.trace().iter().filter(|line| line.contains("Look {"));
        assert_eq!((looks.count(), world.state("ps").as_str()), (8, "up"));
    }

    #[test]
    fn what_is_gone_in_the_moment_its_time_is_up_is_not_killed() {
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.stop_timeout = seconds(10))
            .behaves(steady().slow_to_stop(seconds(10)))]);
        let stop = world.stop("ps");
        world.run_for(seconds(10));
        assert!(world.outcome(stop).unwrap().is_success());
        assert!(!world.events().iter().any(|event| matches!(event.kind, EventKind::Killed { .. })));
    }

    #[test]
    fn leftovers_are_told_of_a_stop_that_they_have_not_heard() {
        let daemon = steady().slow_to_stop(seconds(1));
        let mut world = World::new([Mock::new("ps").behaves(steady().forks(daemon))]);
        world.stop("ps");
        world.run_for(Duration::ZERO);
        assert_eq!(
            world.trace().iter().filter(|line| line.contains("Signal { run")).count(),
            2,
            "main, and what it left"
        );
    }

    #[test]
    fn a_second_shutdown_that_does_not_wait_kills_everything_at_once() {
        let slow = |id: &str, priority| {
            Mock::new(id).with(|spec| spec.start_priority = priority).behaves(steady().ignores_stop())
        };
        let mut world = World::new([slow("is", 1), slow("ps", 2)]);
        let (first, second) = (world.shutdown(), world.shutdown_now());
        world.run_for(Duration::ZERO);
        assert!(world.has_ended());
        assert!(world.outcome(first).unwrap().is_success() && world.outcome(second).unwrap().is_success());
    }

    #[test]
    fn a_second_shutdown_in_the_same_moment_means_the_same() {
        let mut world = World::new([Mock::new("ps").behaves(steady().slow_to_stop(seconds(5)))]);
        let first = world.shutdown();
        world.run_for(millis(900));
        let second = world.shutdown();
        world.run_for(seconds(4));
        assert_eq!(world.state("ps"), "stopping 4s/1m");
        world.run_for(seconds(1));
        assert!(world.has_ended());
        assert!(world.outcome(first).unwrap().is_success() && world.outcome(second).unwrap().is_success());
    }

    #[test]
    fn what_is_being_stopped_is_shown_with_its_pid_and_uptime_as_long_as_its_main_process_lives() {
        let worker = steady().slow_to_stop(seconds(4));
        let mut world =
            World::new([Mock::new("ps").behaves(steady().slow_to_stop(seconds(2)).forks(worker))]);
        world.run_for(seconds(1));
        let pid = world.component("ps").pid;
        world.stop("ps");
        world.run_for(seconds(1));
        let status = world.component("ps");
        assert_eq!((status.pid, status.uptime), (pid, Some(seconds(2))));
        world.run_for(seconds(2));
        let status = world.component("ps");
        assert_eq!((status.state.word(), status.pid, status.uptime), ("stopping", None, None));
    }

    #[test]
    fn nothing_can_be_started_while_shutting_down() {
        let mut world = World::new([Mock::new("ps").behaves(steady().slow_to_stop(seconds(5)))]);
        world.shutdown();
        let start = world.start("ps");
        assert_eq!(world.refusal(start), Some(&RequestError::ShuttingDown));
        world.run_for(seconds(5));
        assert!(world.has_ended());
        let late = world.stop("ps");
        assert_eq!(world.refusal(late), Some(&RequestError::Ended));
    }
}

mod asking {
    use super::*;

    fn achieved(world: &World, ticket: supervisor::testing::Ticket) -> Vec<Achieved> {
        let outcome = world.outcome(ticket).expect("still open");
        outcome.components.iter().map(|(_, achieved)| achieved.clone()).collect()
    }

    #[test]
    fn asking_for_what_is_already_so_succeeds_and_says_so() {
        let mut world = World::new([Mock::new("ps")]);
        world.run_for(seconds(1));
        let start = world.start("ps");
        assert_eq!(achieved(&world, start), [Achieved::AlreadySo]);
        let stop = world.stop("ps");
        world.run_for(Duration::ZERO);
        assert_eq!(achieved(&world, stop), [Achieved::Done]);
        let stop = world.stop("ps");
        assert_eq!(achieved(&world, stop), [Achieved::AlreadySo]);
    }

    #[test]
    fn a_start_ends_with_the_first_failed_start_though_the_tries_go_on() {
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.autostart = false)
            .behaves_by_run(|run| if run == 1 { steady().fails_to_start() } else { steady() })]);
        let start = world.start("ps");
        world.run_for(Duration::ZERO);
        assert!(matches!(achieved(&world, start)[..], [Achieved::FailedStart(End::NotSpawned(_))]));
        world.run_for(seconds(1));
        assert_eq!(world.state("ps"), "up");
    }

    #[test]
    fn a_start_clears_backoff_and_the_failures_before_it() {
        let mut world = World::new([Mock::new("ps").behaves(steady().crashes_after(Duration::ZERO))]);
        world.run_for(seconds(30));
        world.start("ps");
        world.run_for(millis(1));
        assert_eq!(world.component("ps").state.to_string(), "backoff 0.1s (2)");
    }

    #[test]
    fn a_start_of_what_completes_is_done_when_it_has() {
        let mut world = World::new([Mock::new("job")
            .with(|spec| {
                spec.autostart = false;
                spec.start_delay = seconds(9);
            })
            .behaves(steady().ends_after(seconds(2), Exit::Code(0)))]);
        let start = world.start("job");
        world.run_for(seconds(1));
        assert_eq!(world.outcome(start), None);
        world.run_for(seconds(1));
        assert_eq!(achieved(&world, start), [Achieved::Done]);
    }

    #[test]
    fn more_requests_than_can_be_open_are_refused() {
        let mut world = World::new([Mock::new("ps").behaves(steady().slow_to_stop(seconds(5)))]);
        let open: Vec<_> = (0..1_024).map(|_| world.stop("ps")).collect();
        let one_more = world.stop("ps");
        assert_eq!(world.refusal(one_more), Some(&RequestError::TooMany));
        let shutdown = world.shutdown();
        assert_eq!(world.refusal(shutdown), None, "nothing may stand in the way of the end");
        let again = world.shutdown();
        assert_eq!(world.refusal(again), Some(&RequestError::TooMany), "it would change nothing");
        let now = world.shutdown_now();
        assert_eq!(world.refusal(now), None, "it brings the end nearer");
        world.run_for(Duration::ZERO);
        assert!(open.into_iter().all(|stop| world.outcome(stop).is_some()));
        assert!(world.has_ended());
    }

    #[test]
    fn requests_are_told_with_whom_they_are_about() {
        let mut world = World::new([Mock::new("a"), Mock::new("b")]);
        world.stop("b");
        world.start(supervisor::Targets::All);
        world.run_for(Duration::ZERO);
        world.shutdown();
        let told = |event: &supervisor::Event| match &event.kind {
            EventKind::Requested { verb, .. } => {
                Some((*verb, event.component.as_ref().map(ToString::to_string)))
            }
            _ => None,
        };
        let requests: Vec<_> = world.events().iter().filter_map(told).collect();
        assert_eq!(requests, [("stop", Some("b".to_owned())), ("start", None), ("shutdown", None)]);
    }

    #[test]
    fn a_restart_ends_the_run_and_begins_another_without_counting_as_one_by_itself() {
        let mut world = World::new([Mock::new("ps").behaves(steady().slow_to_stop(seconds(3)))]);
        world.run_for(seconds(1));
        let restart = world.restart("ps");
        world.run_for(seconds(2));
        assert_eq!(world.outcome(restart), None);
        assert!(world.component("ps").wanted);
        world.run_for(seconds(1));
        assert_eq!(achieved(&world, restart), [Achieved::Done]);
        assert_eq!((world.runs("ps"), world.component("ps").restarts), (2, 0));
    }

    #[test]
    fn a_restart_of_all_stops_in_reverse_order_and_starts_in_order() {
        let mock = |id: &str, priority| Mock::new(id).with(|spec| spec.start_priority = priority);
        let mut world = World::new([mock("is", 1), mock("ps", 2)]);
        world.run_for(seconds(1));
        let seen = world.events().len();
        let restart = world.restart(supervisor::Targets::All);
        world.run_for(seconds(1));
        assert!(world.outcome(restart).unwrap().is_success());
        let order: Vec<_> = world.events()[seen..]
            .iter()
            .filter_map(|event| match event.kind {
                EventKind::Stopped => Some(format!("{} stopped", event.component.as_ref()?)),
                EventKind::Started { .. } => Some(format!("{} started", event.component.as_ref()?)),
                _ => None,
            })
            .collect();
        assert_eq!(order, ["ps stopped", "is stopped", "is started", "ps started"]);
    }

    #[test]
    fn a_restart_of_what_is_backing_off_begins_at_once() {
        let mut world = World::new([Mock::new("ps")
            .behaves_by_run(|run| if run < 8 { steady().crashes_after(Duration::ZERO) } else { steady() })]);
        world.run_until(seconds(60), |world| world.runs("ps") == 7);
        world.run_for(millis(1));
        let restart = world.restart("ps");
        world.run_for(Duration::ZERO);
        assert_eq!(achieved(&world, restart), [Achieved::Done]);
    }

    #[test]
    fn a_stop_overtakes_a_start_that_has_not_come_to_anything() {
        let mut world = World::new([Mock::new("ps").with(|spec| {
            spec.start_delay = seconds(9);
            spec.autostart = false;
        })]);
        let start = world.start("ps");
        world.run_for(seconds(1));
        let stop = world.stop("ps");
        world.run_for(Duration::ZERO);
        assert_eq!(achieved(&world, start), [Achieved::Overtaken]);
        assert_eq!(achieved(&world, stop), [Achieved::Done]);
    }

    #[test]
    fn a_start_overtakes_a_stop_and_the_component_runs_again_when_its_old_run_is_gone() {
        let mut world = World::new([Mock::new("ps").behaves(steady().slow_to_stop(seconds(5)))]);
        let stop = world.stop("ps");
        world.run_for(seconds(1));
        let start = world.start("ps");
        world.run_for(seconds(10));
        assert_eq!(achieved(&world, stop), [Achieved::Overtaken]);
        assert_eq!(achieved(&world, start), [Achieved::Done]);
        assert_eq!((world.state("ps").as_str(), world.runs("ps")), ("up", 2));
    }

    #[test]
    fn a_start_takes_back_a_stop_whose_turn_has_not_come() {
        let mut world = World::new([
            Mock::new("is"),
            Mock::new("ps").with(|spec| spec.start_priority = 2).behaves(steady().slow_to_stop(seconds(5))),
        ]);
        world.stop(supervisor::Targets::All);
        world.run_for(seconds(1));
        let start = world.start("is");
        assert_eq!(achieved(&world, start), [Achieved::AlreadySo]);
        world.run_for(seconds(10));
        assert_eq!((world.runs("is"), world.state("ps").as_str()), (1, "stopped"));
    }

    #[test]
    fn a_start_during_the_end_of_a_crashed_run_is_about_the_next_run() {
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.restart = Arc::new(Fixed(seconds(100))))
            .behaves_by_run(|run| {
                let child = steady().slow_to_die(seconds(1));
                if run == 1 { steady().crashes_after(seconds(1)).forks(child) } else { steady() }
            })]);
        world.run_for(millis(1_500));
        let start = world.start("ps");
        world.run_for(seconds(1));
        assert_eq!(achieved(&world, start), [Achieved::Done]);
        assert_eq!(spawn_times(&world, "ps")[1], seconds(2));
    }

    #[test]
    fn a_crash_while_waiting_to_be_stopped_is_the_end_of_it() {
        let mut world = World::new([
            Mock::new("is"),
            Mock::new("ps").with(|spec| spec.start_priority = 2).behaves(steady().slow_to_stop(seconds(5))),
        ]);
        let stop = world.stop(supervisor::Targets::All);
        world.run_for(seconds(1));
        world.crash("is");
        assert_eq!(world.state("is"), "stopped");
        world.run_for(seconds(5));
        assert_eq!(achieved(&world, stop), [Achieved::Done, Achieved::Done]);
        assert_eq!(world.runs("is"), 1);
    }

    #[test]
    fn requests_do_not_wait_for_each_other() {
        let mock = |id: &str, priority, behaviour| {
            Mock::new(id).with(|spec| spec.start_priority = priority).behaves(behaviour)
        };
        let slow = mock("slow", 1, steady()).with(|spec| spec.start_delay = seconds(9));
        let mut world =
            World::new([mock("is", 1, steady()), slow, mock("ps", 2, steady().slow_to_stop(seconds(9)))]);
        world.run_for(seconds(1));
        let start = world.start("ps");
        world.run_for(Duration::ZERO);
        assert_eq!(achieved(&world, start), [Achieved::Done], "though those before it have not started");
        world.stop("ps");
        let stop = world.stop("is");
        world.run_for(Duration::ZERO);
        assert_eq!(achieved(&world, stop), [Achieved::Done], "though what stands above it still stops");
    }

    #[test]
    fn a_stop_of_one_does_not_wait_for_its_turn_in_an_earlier_stop_of_all() {
        let mut world = World::new([
            Mock::new("is"),
            Mock::new("ps").with(|spec| spec.start_priority = 2).behaves(steady().slow_to_stop(seconds(5))),
        ]);
        let all = world.stop(supervisor::Targets::All);
        world.run_for(seconds(1));
        assert_eq!(world.state("is"), "up");
        let stop = world.stop("is");
        world.run_for(Duration::ZERO);
        assert_eq!((achieved(&world, stop), world.outcome(all)), (vec![Achieved::Done], None));
    }

    #[test]
    fn those_of_one_priority_hear_of_a_stop_in_reverse_order() {
        let mut world = World::new(["a", "b", "c"].map(Mock::new));
        world.stop(supervisor::Targets::All);
        let told = |event: &supervisor::Event| match event.kind {
            EventKind::Stopping { .. } => event.component.as_ref().map(ToString::to_string),
            _ => None,
        };
        assert_eq!(world.events().iter().filter_map(told).collect::<Vec<_>>(), ["c", "b", "a"]);
    }

    #[test]
    fn a_start_does_not_take_back_a_restart_whose_turn_has_not_come() {
        let mut world = World::new([
            Mock::new("is"),
            Mock::new("ps").with(|spec| spec.start_priority = 2).behaves(steady().slow_to_stop(seconds(5))),
        ]);
        let restart = world.restart(supervisor::Targets::All);
        world.run_for(seconds(1));
        let start = world.start("is");
        world.run_for(seconds(10));
        assert_eq!(achieved(&world, restart), [Achieved::Done, Achieved::Done]);
        assert_eq!((achieved(&world, start), world.runs("is")), (vec![Achieved::Done], 2));
    }

    #[test]
    fn a_start_of_several_is_answered_at_the_first_that_fails_and_the_others_go_on() {
        let slow = |id: &str| {
            Mock::new(id).with(|spec| {
                spec.autostart = false;
                spec.start_delay = seconds(60);
            })
        };
        for restart in [false, true] {
            let mut world = World::new([
                slow("quick").with(|spec| spec.start_delay = seconds(1)),
                slow("bad").behaves(steady().crashes_after(seconds(2))),
                slow("slow"),
            ]);
            let start = if restart { world.restart("*") } else { world.start("*") };
            let other = world.start("slow");
            world.run_for(seconds(1));
            assert_eq!(world.outcome(start), None);
            world.run_for(seconds(1));
            let failed = Achieved::FailedStart(End::Exited(Exit::Code(1)));
            assert_eq!(achieved(&world, start), [Achieved::Done, failed, Achieved::UnderWay]);
            // Whoever asks again waits for them as before.
            let again = world.start("slow");
            world.run_for(seconds(58));
            assert_eq!(
                [again, other].map(|start| achieved(&world, start)),
                [[Achieved::Done], [Achieved::Done]]
            );
        }
    }

    #[test]
    fn a_start_of_what_has_failed_or_completed_runs_it_again() {
        let mut world = World::new([Mock::new("job")
            .with(|spec| spec.restart = Arc::new(Never))
            .behaves(steady().crashes_after(seconds(1)))]);
        world.run_for(seconds(2));
        assert_eq!(world.state("job"), "failed");
        world.start("job");
        world.run_for(Duration::ZERO);
        assert_eq!((world.state("job").as_str(), world.runs("job")), ("up", 2));
        world.run_for(seconds(1));
        let stop = world.stop("job");
        assert_eq!(achieved(&world, stop), [Achieved::AlreadySo]);
        assert_eq!(world.state("job"), "stopped", "it is no longer wanted, so it has not failed either");
    }
}

mod detail {
    use super::*;
    use supervisor::{Condition, Dependency, Detail, RestartGroup, Strategy};

    #[test]
    fn the_last_runs_that_ended_are_remembered_whoever_ended_them() {
        let mut world = World::new([Mock::new("ps").behaves(steady().crashes_after(seconds(5)))]);
        assert_eq!(world.detail("ps").past_runs.len(), 0);
        world.run_for(seconds(300));
        let past = world.detail("ps").past_runs;
        assert_eq!(past.len(), Detail::PAST_RUNS);
        assert!(past.windows(2).all(|pair| pair[0].run.number() == pair[1].run.number() + 1), "{past:?}");
        assert!(past.iter().all(|run| run.ended - run.began == seconds(5)), "{past:?}");
        world.stop("ps");
        world.run_for(seconds(1));
        world.start("ps");
        world.run_for(seconds(1));
        let past = world.detail("ps").past_runs;
        assert_eq!(past.len(), Detail::PAST_RUNS, "a start forgives, but nothing is forgotten");
        assert_eq!(past[0].end, End::Exited(Exit::Signal { signal: 15, core_dumped: false }));
    }

    #[test]
    fn a_component_is_shown_with_whom_it_has_to_do() {
        let needs = |id: &str, on: &str, condition| {
            let on = supervisor::ComponentId::new(on).unwrap();
            Mock::new(id).with(|spec| spec.depends_on = vec![Dependency { on, condition }])
        };
        let group = RestartGroup { name: "web".into(), strategy: Strategy::OneForAll };
        let grouped = |mock: Mock| mock.with(|spec| spec.restart_group = Some(group.clone()));
        let mut world = World::new([
            Mock::new("db"),
            grouped(needs("ps", "db", Condition::Ready)),
            grouped(needs("web", "ps", Condition::Started)),
        ]);
        world.run_for(seconds(1));
        world.stop("web");
        world.run_for(seconds(1));
        let detail = world.detail("ps");
        let [(condition, db)] = detail.depends_on.as_slice() else { panic!("{:?}", detail.depends_on) };
        assert_eq!((*condition, db.id.as_str(), db.state.word()), (Condition::Ready, "db", "up"));
        let [web] = detail.dependants.as_slice() else { panic!("{:?}", detail.dependants) };
        assert_eq!((web.id.as_str(), web.state.word()), ("web", "stopped"));
        let group: Vec<_> = detail.group.iter().map(supervisor::ComponentId::as_str).collect();
        assert_eq!((group.as_slice(), detail.component.id.as_str()), (&["ps", "web"][..], "ps"));
        assert!(world.detail("db").group.is_empty() && world.detail("db").depends_on.is_empty());
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let life = |seed| {
        let spec = ProcessSpec::new("ps", "/mock").unwrap();
        let mock = Mock::of(spec).behaves(steady().crashes_after(millis(5)));
        let mut world = World::hostile([mock], seed, supervisor::testing::Hostility::default());
        world.run_for(seconds(60));
        world.trace().join("\n")
    };
    assert_eq!(life(7), life(7));
    assert_ne!(life(7), life(8));
}

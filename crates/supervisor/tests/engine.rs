//! The restart engine, told rule by rule in the simulated world.

#[path = "common/simulated.rs"]
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use supervisor::testing::{Behaviour, Circumstances, Hostility, Mock, World};
use supervisor::{
    Achieved, Cleanup, Command, ComponentId, Condition, Dependants, Dependency, EventKind, Exit, ExitAction,
    ExitMatch, ExitRule, Fault, GuardAction, Health, Intensity, LogSettings, MemoryLimit, Never, OnGiveUp,
    Output, Probe, Readiness, ReadyWhen, Recipient, RequestError, RestartBudget, RestartGroup, Signal,
    Stderr, Step, Strategy, Unready, Until, WaitReason,
};

use crate::simulated::{millis, seconds, steady};

fn id(name: &str) -> ComponentId {
    ComponentId::new(name).expect("a name")
}

/// A component that needs others to be so.
fn needs(name: &str, others: &[(&str, Condition)]) -> Mock {
    let depends_on =
        others.iter().map(|(on, condition)| Dependency { on: id(on), condition: *condition }).collect();
    Mock::new(name).with(|spec| spec.depends_on = depends_on)
}

/// A component whose readiness is declared.
fn declares(name: &str, when: ReadyWhen) -> Mock {
    Mock::new(name).with(|spec| spec.readiness = Some(Readiness { when, timeout: seconds(60) }))
}

fn tcp() -> Probe {
    Probe::Tcp { host: "127.0.0.1".into(), port: 8080 }
}

/// Asked every 10 s, with 2 s for an answer, and not well after 3 failures.
fn health(action: GuardAction) -> Health {
    Health {
        probe: tcp(),
        interval: seconds(10),
        timeout: seconds(2),
        failures: 3,
        start_after: Duration::ZERO,
        action,
    }
}

fn in_group(name: &str, strategy: Strategy) -> Mock {
    Mock::new(name).with(|spec| spec.restart_group = Some(RestartGroup { name: "web".into(), strategy }))
}

fn signal(signal: Signal, wait: Duration) -> Step {
    Step::Signal { signal, wait, to: Recipient::Group }
}

fn command(timeout: Duration) -> Step {
    Step::Run { command: Command::default(), timeout }
}

/// When these events of a component were told.
fn times(world: &World, name: &str, is_meant: impl Fn(&EventKind) -> bool) -> Vec<Duration> {
    let its = world.events().iter().filter(|event| event.component.as_ref().is_some_and(|id| id == name));
    its.filter(|event| is_meant(&event.kind)).map(|event| event.at).collect()
}

fn spawn_times(world: &World, name: &str) -> Vec<Duration> {
    times(world, name, |kind| matches!(kind, EventKind::Spawned { .. }))
}

fn achieved(world: &World, ticket: supervisor::testing::Ticket, name: &str) -> Achieved {
    let outcome = world.outcome(ticket).expect("an answer");
    outcome.components.iter().find(|(id, _)| id == name).expect("its part").1.clone()
}

mod dependencies {
    use super::*;

    #[test]
    fn a_dependant_starts_when_its_dependency_has_started() {
        let mut world = World::new([
            needs("ps", &[("is", Condition::Started)]),
            Mock::new("is").with(|spec| spec.start_delay = seconds(5)),
        ]);
        world.run_for(seconds(4));
        assert_eq!(world.state("ps"), "waiting for is");
        world.run_for(seconds(1));
        assert_eq!(spawn_times(&world, "ps"), [seconds(5)]);
    }

    #[test]
    fn a_dependant_starts_when_its_dependency_is_ready() {
        let mut world = World::new([
            needs("ps", &[("is", Condition::Ready)]),
            declares("is", ReadyWhen::Notified).behaves(steady().ready_after(seconds(3))),
        ]);
        world.run_for(seconds(10));
        assert_eq!(spawn_times(&world, "ps"), [seconds(3)]);
    }

    #[test]
    fn a_dependant_starts_when_its_dependency_has_completed() {
        let migrate = Mock::new("migrate")
            .with(|spec| spec.restart = Arc::new(Never))
            .behaves(steady().ends_after(seconds(7), Exit::Code(0)));
        let mut world = World::new([needs("ps", &[("migrate", Condition::Completed)]), migrate]);
        world.run_for(seconds(10));
        assert_eq!(world.state("migrate"), "completed");
        assert_eq!(spawn_times(&world, "ps"), [seconds(7)]);
    }

    #[test]
    fn a_start_waits_for_the_run_that_may_bring_what_is_needed() {
        let migrate = Mock::new("migrate").with(|spec| spec.restart = Arc::new(Never));
        let mut world = World::new([
            migrate.behaves(steady().ends_after(seconds(7), Exit::Code(0))),
            needs("ps", &[("migrate", Condition::Completed)]).with(|spec| spec.autostart = false),
        ]);
        world.run_for(seconds(1));
        let start = world.start("ps");
        world.run_for(seconds(1));
        assert_eq!((world.outcome(start), world.state("ps").as_str()), (None, "waiting for migrate"));
        world.run_for(seconds(7));
        assert_eq!(achieved(&world, start, "ps"), Achieved::Done);
    }

    #[test]
    fn independent_components_start_in_parallel() {
        let slow = |name: &str| Mock::new(name).with(|spec| spec.start_delay = seconds(5));
        let world = World::new([slow("a"), slow("b"), needs("c", &[("a", Condition::Ready)])]);
        assert_eq!(spawn_times(&world, "a"), spawn_times(&world, "b"));
    }

    #[test]
    fn a_dependency_comes_first_whatever_its_priority() {
        let world = World::new([
            needs("ps", &[("is", Condition::Ready)]).with(|spec| spec.start_priority = 1),
            Mock::new("is").with(|spec| spec.start_priority = 9),
        ]);
        assert_eq!((world.state("is").as_str(), world.state("ps").as_str()), ("up", "up"));
        let order: Vec<_> = world.status().components.iter().map(|its| its.id.to_string()).collect();
        assert_eq!(order, ["is", "ps"]);
    }

    #[test]
    fn dependants_are_told_of_a_dependency_that_has_failed_and_hold_up_nobody() {
        let mut world = World::new([
            Mock::new("is")
                .with(|spec| spec.restart = Arc::new(Never))
                .behaves(steady().crashes_after(seconds(1)))
                .with(|spec| spec.start_delay = seconds(5)),
            needs("ps", &[("is", Condition::Ready)]),
            needs("web", &[("ps", Condition::Ready)]),
            Mock::new("later").with(|spec| spec.start_priority = 2),
        ]);
        world.run_for(seconds(2));
        assert_eq!(world.state("ps"), "waiting for is: failed");
        assert_eq!(world.state("web"), "waiting for is: failed", "the one that has to be mended");
        assert_eq!(world.state("later"), "up");
    }

    #[test]
    fn a_dependant_begins_by_itself_once_its_dependency_is_there() {
        let mut world = World::new([
            Mock::new("is").with(|spec| spec.autostart = false),
            needs("ps", &[("is", Condition::Ready)]),
        ]);
        world.run_for(seconds(5));
        assert_eq!(world.state("ps"), "waiting for is: stopped");
        world.start("is");
        world.run_for(Duration::ZERO);
        assert_eq!(world.state("ps"), "up");
    }

    #[test]
    fn the_crash_of_a_dependency_touches_only_itself() {
        let mut world = World::new([Mock::new("is"), needs("ps", &[("is", Condition::Ready)])]);
        world.run_for(seconds(2));
        world.crash("is");
        assert_eq!((world.runs("is"), world.runs("ps")), (2, 1));
    }

    #[test]
    fn a_condition_gates_restarts_too() {
        let is = Mock::new("is").behaves_by_run(|run| match run {
            1 => steady(),
            _ => steady().crashes_after(Duration::ZERO),
        });
        let mut world = World::new([is, needs("ps", &[("is", Condition::Ready)])]);
        world.run_for(seconds(5));
        world.crash("is");
        world.run_for(seconds(5));
        world.crash("ps");
        assert_eq!((world.state("ps").as_str(), world.runs("ps")), ("waiting for is: backoff", 1));
    }

    #[test]
    fn all_instances_of_a_dependency_are_needed() {
        let instance = |name: &str, delay| {
            Mock::new(name).with(|spec| {
                spec.instance_of = Some(id("is"));
                spec.start_delay = delay;
            })
        };
        let mut world = World::new([
            instance("is-1", seconds(1)),
            instance("is-2", seconds(3)),
            needs("ps", &[("is", Condition::Ready)]),
        ]);
        world.run_for(seconds(5));
        assert_eq!(spawn_times(&world, "ps"), [seconds(3)]);
    }

    #[test]
    fn dependants_stop_first_whatever_their_priority() {
        let slow = || steady().slow_to_stop(seconds(2));
        let mut world = World::new([
            Mock::new("is").behaves(slow()),
            needs("ps", &[("is", Condition::Ready)]).behaves(slow()),
            needs("web", &[("ps", Condition::Ready)]).behaves(slow()),
        ]);
        world.run_for(seconds(1));
        world.shutdown();
        world.run_for(seconds(10));
        let exits = |name| times(&world, name, |kind| matches!(kind, EventKind::Exited { .. }));
        assert_eq!([exits("web"), exits("ps"), exits("is")], [[seconds(3)], [seconds(5)], [seconds(7)]]);
    }

    #[test]
    fn a_stop_is_refused_while_dependants_run_unless_somebody_says_what_becomes_of_them() {
        let build = || {
            let mut world = World::new([
                Mock::new("is"),
                needs("ps", &[("is", Condition::Ready)]),
                needs("web", &[("ps", Condition::Ready)]),
            ]);
            world.run_for(seconds(1));
            world
        };
        let mut world = build();
        let refused = world.stop("is");
        let expected = RequestError::Dependants { id: id("is"), dependants: vec![id("ps"), id("web")] };
        assert_eq!(world.refusal(refused), Some(&expected));
        assert_eq!(world.state("is"), "up");
        world.stop_with("is", Dependants::Leave);
        world.run_for(Duration::ZERO);
        assert_eq!((world.state("is").as_str(), world.state("ps").as_str()), ("stopped", "up"));
        let mut world = build();
        let stop = world.stop_with("is", Dependants::Stop);
        world.run_for(Duration::ZERO);
        assert!(world.outcome(stop).is_some_and(supervisor::Outcome::is_success));
        assert!(["is", "ps", "web"].iter().all(|name| world.state(name) == "stopped"));
        let again = world.stop("is");
        assert_eq!(achieved(&world, again, "is"), Achieved::AlreadySo, "nobody runs who needs it");
    }

    #[test]
    fn who_is_to_be_stopped_too_does_not_stand_in_the_way_of_a_stop() {
        let mut world = World::new([
            Mock::new("is"),
            needs("ps", &[("is", Condition::Ready)]),
            needs("web", &[("ps", Condition::Ready)]),
        ]);
        world.run_for(seconds(1));
        let refused = world.stop(["is", "ps"]);
        let expected = RequestError::Dependants { id: id("is"), dependants: vec![id("web")] };
        assert_eq!(world.refusal(refused), Some(&expected));
        let stop = world.stop(["is", "ps", "web"]);
        world.run_for(Duration::ZERO);
        assert!(world.outcome(stop).is_some_and(supervisor::Outcome::is_success));
    }

    #[test]
    fn what_needed_it_only_to_complete_does_not_stand_in_the_way_of_its_stop() {
        let setup = Mock::new("setup").behaves_by_run(|run| match run {
            1 => steady().ends_after(seconds(1), Exit::Code(0)),
            _ => steady(),
        });
        let mut world = World::new([
            setup.with(|spec| spec.restart = Arc::new(Never)),
            needs("ps", &[("setup", Condition::Completed)]),
        ]);
        world.run_for(seconds(2));
        world.start("setup");
        world.run_for(seconds(1));
        let stop = world.stop("setup");
        assert!(world.refusal(stop).is_none());
    }

    #[test]
    fn a_start_starts_whom_it_needs_and_says_so() {
        let off = |mock: Mock| mock.with(|spec| spec.autostart = false);
        let mut world = World::new([
            off(Mock::new("db")),
            off(needs("is", &[("db", Condition::Ready)])),
            off(needs("ps", &[("is", Condition::Ready)])),
            off(Mock::new("other")),
        ]);
        let start = world.start("ps");
        world.run_for(seconds(1));
        let outcome = world.outcome(start).expect("an answer");
        let names: Vec<_> = outcome.components.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!((names, outcome.is_success()), (vec!["db".into(), "is".into(), "ps".into()], true));
        assert_eq!(world.state("other"), "stopped");
    }

    #[test]
    fn a_restart_starts_whom_it_needs_and_does_not_find_and_leaves_the_others_alone() {
        let mut world = World::new([
            Mock::new("db"),
            Mock::new("is"),
            needs("ps", &[("db", Condition::Ready), ("is", Condition::Ready)]),
        ]);
        world.run_for(seconds(2));
        world.stop_with("is", Dependants::Leave);
        world.run_for(seconds(2));
        let restart = world.restart("ps");
        world.run_for(seconds(1));
        let outcome = world.outcome(restart).expect("an answer");
        let names: Vec<_> = outcome.components.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!((names, outcome.is_success()), (vec!["is".into(), "ps".into()], true));
        assert_eq!(["db", "is", "ps"].map(|name| world.runs(name)), [1, 2, 2]);
        let told = |kind: &EventKind| matches!(kind, EventKind::Requested { verb: "start", .. });
        assert_eq!(times(&world, "is", told), [seconds(4)]);
    }

    #[test]
    fn a_start_ends_when_whom_it_needs_fails() {
        let mut world = World::new([
            Mock::new("is").with(|spec| spec.autostart = false).behaves(steady().fails_to_start()),
            needs("ps", &[("is", Condition::Ready)]).with(|spec| spec.autostart = false),
        ]);
        let start = world.start("ps");
        world.run_for(Duration::ZERO);
        assert!(matches!(achieved(&world, start, "is"), Achieved::FailedStart(_)));
        assert_eq!(achieved(&world, start, "ps"), Achieved::Blocked { on: id("is"), state: "backoff" });
    }

    #[test]
    fn a_stop_or_reset_in_the_middle_of_a_chain_holds_up_nobody() {
        let build = || {
            World::new([
                declares("z", ReadyWhen::Notified).behaves(steady().ready_after(seconds(30))),
                needs("a", &[("z", Condition::Ready)]),
                needs("b", &[("a", Condition::Ready)]),
                Mock::new("later").with(|spec| spec.start_priority = 2),
            ])
        };
        let mut world = build();
        let start = world.start("b");
        world.run_for(seconds(1));
        world.stop("a");
        world.run_for(seconds(60));
        assert_eq!(world.state("b"), "waiting for a: stopped");
        assert_eq!(achieved(&world, start, "b"), Achieved::Blocked { on: id("a"), state: "stopped" });
        assert_eq!(world.state("later"), "up");
    }

    #[test]
    fn a_dependency_that_cannot_be_killed_holds_up_nobody_but_those_who_need_it() {
        let mut world = World::new([
            declares("z", ReadyWhen::Notified)
                .with(|spec| spec.stop_timeout = seconds(5))
                .behaves(steady().never_ready().ignores_stop().unkillable()),
            needs("a", &[("z", Condition::Ready)]),
            Mock::new("later").with(|spec| spec.start_priority = 2),
        ]);
        world.run_for(seconds(80));
        assert_eq!(
            (world.state("a").as_str(), world.state("later").as_str()),
            ("waiting for z: stopping", "up")
        );
    }

    #[test]
    fn what_was_told_to_stop_has_not_completed() {
        let migrate = Mock::new("migrate")
            .with(|spec| spec.restart = Arc::new(Never))
            .behaves_by_run(|_| steady().ends_after(seconds(30), Exit::Code(0)));
        let mut world = World::new([migrate, needs("ps", &[("migrate", Condition::Completed)])]);
        world.run_for(seconds(1));
        world.stop("migrate");
        world.run_for(seconds(60));
        assert_eq!(world.state("ps"), "waiting for migrate: stopped");
    }

    #[test]
    fn a_long_chain_that_is_blocked_breaks_nothing() {
        let name = |n: usize| format!("c{n}");
        let chain = (1..200).map(|n| needs(&name(n), &[(&name(n - 1), Condition::Ready)]));
        let first = Mock::new("c0").with(|spec| spec.autostart = false);
        let world = World::new(std::iter::once(first).chain(chain));
        assert_eq!(world.state("c199"), "waiting for c0: stopped");
    }

    #[test]
    fn of_several_that_are_missing_the_one_with_the_least_hope_is_named() {
        let build = || {
            let never = |name: &str| Mock::new(name).with(|spec| spec.restart = Arc::new(Never));
            World::new([
                declares("slow", ReadyWhen::Notified).behaves(steady().ready_after(seconds(30))),
                Mock::new("loop").behaves(steady().fails_to_start()),
                needs("blocked", &[("off", Condition::Ready)]),
                Mock::new("off").with(|spec| spec.autostart = false),
                never("dead").behaves(steady().fails_to_start()),
                needs("a", &[("slow", Condition::Ready), ("loop", Condition::Ready)]),
                needs(
                    "b",
                    &[("slow", Condition::Ready), ("loop", Condition::Ready), ("blocked", Condition::Ready)],
                ),
                needs(
                    "c",
                    &[("loop", Condition::Ready), ("off", Condition::Ready), ("dead", Condition::Ready)],
                ),
                needs("d", &[("slow", Condition::Ready)]),
            ])
        };
        let world = build();
        let states = ["a", "b", "c", "d"].map(|name| world.state(name));
        assert_eq!(
            states,
            [
                "waiting for loop: backoff",
                "waiting for off: stopped",
                "waiting for dead: failed",
                "waiting for slow"
            ]
        );
        let blocked = times(
            &world,
            "b",
            |kind| matches!(kind, EventKind::Blocked { on, condition: Condition::Ready, state: "stopped" } if on == "off"),
        );
        assert_eq!(blocked, [Duration::ZERO], "it is told at once, though another is still on its way");
    }

    #[test]
    fn a_circle_that_nobody_has_refused_is_waited_for_and_breaks_nothing() {
        let mut world = World::new([
            needs("a", &[("b", Condition::Ready)]),
            needs("b", &[("a", Condition::Ready)]),
            Mock::new("c"),
        ]);
        world.run_for(seconds(1));
        assert_eq!(world.state("c"), "up");
        assert!(world.state("a").starts_with("waiting for b"));
        world.shutdown();
        world.run_for(Duration::ZERO);
        assert!(world.has_ended());
    }
}

mod readiness {
    use super::*;

    #[test]
    fn a_component_has_started_when_it_says_that_it_is_ready() {
        for when in [ReadyWhen::Notified, ReadyWhen::Descriptor(3), ReadyWhen::Logged("up".into())] {
            let mut world = World::new([declares("is", when).behaves(steady().ready_after(seconds(4)))]);
            world.run_for(millis(3_999));
            assert_eq!(world.state("is"), "starting");
            world.run_for(millis(1));
            assert_eq!((world.state("is").as_str(), world.component("is").since), ("up", seconds(4)));
        }
    }

    #[test]
    fn a_component_is_probed_at_once_and_ever_more_slowly_until_it_is_ready() {
        let mut world =
            World::new([declares("is", ReadyWhen::Probed(tcp())).behaves(steady().ready_after(seconds(10)))]);
        world.run_for(seconds(10));
        let probes: Vec<_> = world.trace().iter().filter(|line| line.contains("Begin")).collect();
        assert!((12..=16).contains(&probes.len()), "50 ms, doubling up to 1 s: {probes:#?}");
        world.run_for(seconds(1));
        assert_eq!(world.state("is"), "up");
    }

    #[test]
    fn one_that_is_not_ready_in_time_has_failed_to_start() {
        let mut world = World::new([declares("is", ReadyWhen::Notified).behaves(steady().never_ready())]);
        let wait = world.start("is");
        world.run_for(seconds(60));
        let Achieved::FailedStart(end) = achieved(&world, wait, "is") else { panic!("no failed start") };
        assert_eq!(end.to_string(), "not ready within 1m");
        assert_eq!(world.runs("is"), 2, "and is tried again");
    }

    #[test]
    fn one_that_was_given_more_time_is_told_to_have_had_that() {
        let mut world = World::new([declares("is", ReadyWhen::Notified).behaves(steady().never_ready())]);
        world.run_for(seconds(50));
        world.extend("is", seconds(40));
        world.run_for(seconds(39));
        assert_eq!(world.runs("is"), 1);
        world.run_for(seconds(1));
        let end = world.component("is").last_end.expect("an end");
        assert_eq!(end.to_string(), "not ready within 1m 30s");
    }

    #[test]
    fn one_that_reads_its_configuration_or_ends_by_itself_is_not_ready_meanwhile_and_says_so() {
        let mut world = World::new([
            declares("is", ReadyWhen::Notified),
            needs("ps", &[("is", Condition::Ready)]).with(|spec| spec.autostart = false),
        ]);
        world.run_for(seconds(5));
        world.notify("is", "RELOADING=1");
        assert_eq!((world.state("is").as_str(), world.component("is").since), ("unready", seconds(5)));
        world.run_for(seconds(1));
        let start = world.start("ps");
        world.run_for(seconds(1));
        assert_eq!((world.state("ps").as_str(), world.outcome(start)), ("waiting for is", None));
        world.notify("is", "STATUS=nearly");
        assert_eq!(world.state("is"), "unready", "nothing else makes it ready");
        world.notify("is", "READY=1");
        world.run_for(Duration::ZERO);
        assert_eq!((world.state("is").as_str(), world.component("is").since), ("up", seconds(7)));
        assert_eq!(achieved(&world, start, "ps"), Achieved::Done);
        world.notify("is", "STOPPING=1\nRELOADING=1");
        world.notify("is", "STOPPING=1");
        let told = |event: &supervisor::Event| match event.kind {
            EventKind::Unready { why, .. } => Some(Some(why)),
            EventKind::ReadyAgain { .. } => Some(None),
            _ => None,
        };
        let told: Vec<_> = world.events().iter().filter_map(told).collect();
        assert_eq!(told, [Some(Unready::Reloading), None, Some(Unready::Ending)], "each once");
    }

    #[test]
    fn ready_is_said_by_those_alone_whose_readiness_is_declared_so() {
        let mut world = World::new([
            declares("is", ReadyWhen::Descriptor(3)).behaves(steady().never_ready()),
            Mock::new("ps").with(|spec| spec.start_delay = seconds(9)),
            declares("web", ReadyWhen::Notified).behaves(steady().never_ready()),
        ]);
        world.run_for(seconds(1));
        for name in ["is", "ps", "web"] {
            world.notify(name, "RELOADING=1");
            assert_eq!(world.state(name), "starting", "it has not been ready yet");
            world.notify(name, "READY=1");
        }
        let states = ["is", "ps", "web"].map(|name| world.state(name));
        assert_eq!(states, ["starting", "starting", "up"]);
    }

    #[test]
    fn the_start_delay_counts_only_where_no_readiness_is_declared() {
        let mut world = World::new([declares("is", ReadyWhen::Notified)
            .with(|spec| spec.start_delay = seconds(30))
            .behaves(steady().ready_after(seconds(2)))]);
        world.run_for(seconds(2));
        assert_eq!(world.state("is"), "up");
    }
}

mod guards {
    use super::*;

    fn guarded(action: GuardAction) -> Mock {
        Mock::new("is").with(|spec| spec.health = Some(health(action)))
    }

    #[test]
    fn one_that_hangs_is_found_out_by_its_health_check_and_restarted() {
        let mut world = World::new([guarded(GuardAction::Restart).behaves_by_run(|run| match run {
            1 => steady().hangs_after(seconds(30)),
            _ => steady(),
        })]);
        world.run_for(seconds(90));
        assert_eq!((world.state("is").as_str(), world.runs("is")), ("up", 2));
        let judged = times(&world, "is", |kind| matches!(kind, EventKind::Judged { .. }));
        // Three probes, each with 2 s for an answer, the first within 10 s of the hang.
        assert!((seconds(52)..=seconds(62)).contains(&judged[0]), "{judged:?}");
        let end = world.component("is").last_end.expect("an end");
        assert_eq!(end.to_string(), "health check failed 3 times: no answer within 2s");
    }

    #[test]
    fn one_failure_is_none() {
        let mut world = World::new([guarded(GuardAction::Restart)]);
        world.run_for(seconds(600));
        assert_eq!((world.runs("is"), world.state("is").as_str()), (1, "up"));
    }

    #[test]
    fn what_is_only_told_is_shown_as_unhealthy_and_runs_on() {
        let mut world = World::new([guarded(GuardAction::Report).behaves(steady().hangs_after(seconds(5)))]);
        world.run_for(seconds(60));
        assert_eq!((world.state("is").as_str(), world.runs("is")), ("unhealthy", 1));
        assert!(matches!(world.component("is").fault, Some(Fault::Unhealthy { .. })));
        assert_eq!(times(&world, "is", |kind| matches!(kind, EventKind::Unwell { .. })).len(), 1);
    }

    #[test]
    fn health_is_asked_for_only_once_it_is_ready_and_its_time_has_come() {
        let mut world = World::new([declares("is", ReadyWhen::Notified)
            .with(|spec| {
                spec.health = Some(Health { start_after: seconds(20), ..health(GuardAction::Restart) });
            })
            .behaves(steady().ready_after(seconds(30)).hangs_after(Duration::ZERO))]);
        world.run_for(seconds(50));
        assert!(!world.trace().iter().any(|line| line.contains("Begin")));
        world.run_for(seconds(11));
        assert!(world.trace().iter().any(|line| line.contains("Begin")));
    }

    #[test]
    fn only_failures_in_a_row_count_and_one_answer_makes_it_well_again() {
        let mut world = World::new([guarded(GuardAction::Report)]);
        let failures =
            |world: &World| times(world, "is", |kind| matches!(kind, EventKind::ProbeFailed { .. })).len();
        world.hang("is");
        assert!(world.run_until(seconds(60), |world| failures(world) == 2));
        world.revive("is");
        world.run_for(seconds(15));
        world.hang("is");
        assert!(world.run_until(seconds(60), |world| failures(world) == 4));
        assert_eq!(world.state("is"), "up");
        assert!(world.run_until(seconds(60), |world| world.state("is") == "unhealthy"));
        world.revive("is");
        assert!(world.run_until(seconds(10), |world| world.state("is") == "up"));
        let status = world.component("is");
        assert_eq!((status.fault, status.since, world.runs("is")), (None, world.now(), 1));
        let well = times(&world, "is", |kind| matches!(kind, EventKind::Well { .. }));
        assert_eq!(well, [world.now()]);
    }

    #[test]
    fn an_answer_that_comes_too_late_is_not_taken_for_that_to_the_next_question() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| {
                spec.health = Some(Health { interval: seconds(3), ..health(GuardAction::Restart) });
            })
            .behaves(steady().answers_after(seconds(4)))]);
        assert!(world.run_until(seconds(20), |world| world.runs("is") == 2));
    }

    #[test]
    fn a_check_has_all_its_time_whatever_else_is_looked_at_meanwhile() {
        let mut world = World::new([guarded(GuardAction::Restart)
            .with(|spec| {
                spec.health = Some(Health { timeout: seconds(6), ..health(GuardAction::Restart) });
                spec.memory = Some(MemoryLimit { max: 1 << 30, action: GuardAction::Restart });
            })
            .behaves(steady().answers_after(seconds(5)))]);
        world.run_for(seconds(100));
        assert_eq!(times(&world, "is", |kind| matches!(kind, EventKind::ProbeFailed { .. })), []);
    }

    /// When the first probes and commands were begun, so many of them.
    fn begins(world: &mut World, count: usize) -> Vec<Duration> {
        let begun = |world: &World| world.trace().iter().filter(|line| line.contains("Begin")).count();
        let begin = |n| world.run_until(seconds(1_000), |world| begun(world) >= n).then(|| world.now());
        (1..=count).map_while(begin).collect()
    }

    #[test]
    fn a_check_that_takes_longer_than_the_interval_leaves_out_those_that_were_due_meanwhile() {
        for (takes, every) in [(4, 10), (10, 20), (23, 30)] {
            let mut world = World::new([Mock::new("is")
                .with(|spec| {
                    spec.health = Some(Health { timeout: seconds(25), ..health(GuardAction::Restart) });
                })
                .behaves(steady().answers_after(seconds(takes)))]);
            let begins = begins(&mut world, 3);
            let spans: Vec<_> = begins.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert_eq!(spans, [seconds(every); 2], "{takes} s");
        }
    }

    #[test]
    fn probes_of_many_are_spread_and_one_component_has_never_two_at_once() {
        let mocks = (0..100).map(|n| {
            Mock::new(&format!("c{n}")).with(|spec| spec.health = Some(health(GuardAction::Restart)))
        });
        let mut world = World::new(mocks);
        world.run_for(seconds(10));
        let begun: Vec<_> = world.trace().iter().filter(|line| line.contains("Begin")).collect();
        assert_eq!(begun.len(), 100, "each once within its interval");
        let early = begun
            .iter()
            .filter(|line| line.starts_with(['0', '1', '2', '3', '4']) && !line.starts_with("10"))
            .count();
        assert!((25..=75).contains(&early), "about half of them in the first half: {early}");
    }

    #[test]
    fn commands_that_hang_hold_up_nobody_who_is_asked_by_tcp() {
        let hung = |n: usize| {
            Mock::new(&format!("hung-{n:03}"))
                .with(|spec| {
                    let probe = Probe::Exec(Command::default());
                    let (interval, timeout) = (seconds(1), seconds(30));
                    spec.health = Some(Health { probe, interval, timeout, ..health(GuardAction::Report) });
                })
                .behaves(steady().hangs_after(Duration::ZERO))
        };
        let mut world =
            World::new((0..300).map(hung).chain([
                guarded(GuardAction::Restart).behaves_by_run(|run| {
                    if run == 1 { steady().hangs_after(seconds(30)) } else { steady() }
                }),
            ]));
        world.run_for(seconds(20));
        let conditions = world.status().conditions;
        assert_eq!(conditions.len(), 1, "{conditions:?}");
        let told = "256 are being asked by commands how they are; others wait, up to 19s so far: hung-";
        assert!(conditions[0].starts_with(told), "{conditions:?}");
        assert!(conditions[0].ends_with(" and 41 more"), "{conditions:?}");
        world.run_for(seconds(42));
        let judged = times(&world, "is", |kind| matches!(kind, EventKind::Judged { .. }));
        assert!(judged.len() == 1 && judged[0] <= seconds(62), "3 intervals and a timeout: {judged:?}");
    }

    mod while_the_supervisor_lacks_descriptors {
        use super::*;

        #[test]
        fn nobody_is_judged_by_checks_that_could_not_be_made_and_the_checks_go_on_afterwards() {
            let mut world = World::new([guarded(GuardAction::Restart)]);
            world.run_for(seconds(15));
            world.run_short(true);
            let begun = |world: &World| world.trace().iter().filter(|line| line.contains("Begin")).count();
            let before = begun(&world);
            world.run_for(seconds(3_600));
            assert_eq!((world.runs("is"), world.state("is").as_str()), (1, "up"));
            assert_eq!(times(&world, "is", |kind| matches!(kind, EventKind::ProbeFailed { .. })), []);
            let tries = begun(&world) - before;
            assert!((300..=380).contains(&tries), "at most every 10 s: {tries}");
            let conditions = world.status().conditions;
            let told = "not asked how they are for 59m";
            assert!(conditions.len() == 1 && conditions[0].starts_with(told), "{conditions:?}");
            let why = if cfg!(windows) {
                "open"
            } else {
                "too many open files (raise the limit nofile of the supervisor)"
            };
            assert!(conditions[0].contains(why), "{conditions:?}");
            assert!(conditions[0].ends_with(": is"), "{conditions:?}");
            world.run_short(false);
            world.run_for(seconds(10));
            assert_eq!(world.status().conditions, [""; 0]);
            world.hang("is");
            world.run_for(seconds(32));
            assert_eq!(world.runs("is"), 2, "a hang is found as quickly as ever");
        }

        #[test]
        fn failures_from_before_are_not_forgotten_and_not_added_to() {
            let mut world = World::new([guarded(GuardAction::Restart).behaves_by_run(|run| match run {
                1 => steady().hangs_after(seconds(30)),
                _ => steady(),
            })]);
            let failures = |world: &World| {
                times(world, "is", |kind| matches!(kind, EventKind::ProbeFailed { .. })).len()
            };
            world.run_until(seconds(60), |world| failures(world) == 2);
            world.run_short(true);
            world.run_for(seconds(600));
            assert_eq!((world.runs("is"), failures(&world)), (1, 2));
            world.run_short(false);
            world.run_for(seconds(13));
            assert_eq!(world.runs("is"), 2, "the next check was the third to fail");
        }

        #[test]
        fn the_time_to_become_ready_stands_still_while_nobody_can_ask() {
            let mut world = World::new([
                declares("is", ReadyWhen::Probed(tcp())).behaves(steady().ready_after(seconds(4_000)))
            ]);
            world.run_for(seconds(20));
            world.run_short(true);
            world.run_for(seconds(3_600));
            assert_eq!((world.runs("is"), world.state("is").as_str()), (1, "starting"));
            assert_eq!(world.status().conditions.len(), 1);
            world.run_short(false);
            world.run_for(seconds(35));
            assert_eq!(world.runs("is"), 1, "it has 40 s left");
            world.run_for(seconds(20));
            assert_eq!(world.runs("is"), 2);
            let end = world.component("is").last_end.expect("an end");
            assert_eq!(end.to_string().split(':').next(), Some("not ready within 1m"));
        }

        #[test]
        fn the_last_moment_to_become_ready_stands_still_as_well() {
            let mut world =
                World::new([declares("is", ReadyWhen::Probed(tcp())).behaves(steady().never_ready())]);
            world.run_for(seconds(59));
            world.run_short(true);
            world.run_for(seconds(3_600));
            assert_eq!((world.runs("is"), world.state("is").as_str()), (1, "starting"));
            world.run_short(false);
            world.run_for(seconds(12));
            assert_eq!(world.runs("is"), 2);
        }

        #[test]
        fn one_that_cannot_be_asked_whether_it_is_ready_can_be_stopped() {
            let mut world = World::new([declares("is", ReadyWhen::Probed(tcp()))]);
            world.stop("is");
            world.run_for(Duration::ZERO);
            world.run_short(true);
            world.start("is");
            world.run_for(seconds(100));
            let stop = world.stop("is");
            world.run_for(seconds(10));
            assert_eq!(achieved(&world, stop, "is"), Achieved::Done);
            assert_eq!(world.status().conditions, [""; 0]);
        }

        #[test]
        fn a_run_that_cannot_be_spawned_is_tried_again_and_neither_trips_nor_is_given_up() {
            let strict = |name: &str| {
                Mock::new(name).with(|spec| {
                    spec.restart = Arc::new(Never);
                    spec.essential = true;
                    spec.intensity =
                        Some(Intensity { max: 1, within: seconds(600), retry_after: Duration::ZERO });
                })
            };
            let circumstances = Circumstances { on_give_up: OnGiveUp::Shutdown, ..Circumstances::default() };
            let mut world = World::under(
                ["a", "b"].map(|name| strict(name).with(|spec| spec.autostart = false)),
                circumstances,
            );
            world.run_short(true);
            let start = world.start("*");
            world.run_for(Duration::ZERO);
            assert!(
                matches!(achieved(&world, start, "a"), Achieved::FailedStart(_)),
                "whoever waits is told"
            );
            world.run_for(seconds(3_600));
            let tries = world.runs("a");
            assert!((320..=400).contains(&tries), "at most every 10 s or so: {tries}");
            let conditions = world.status().conditions;
            assert!(conditions.len() == 1 && conditions[0].ends_with(": a, b"), "{conditions:?}");
            assert!(
                conditions[0].starts_with("cannot make a process: too many open files"),
                "{conditions:?}"
            );
            world.run_short(false);
            world.run_for(seconds(11));
            assert_eq!((world.state("a").as_str(), world.state("b").as_str()), ("up", "up"));
            assert_eq!(world.status().conditions, [""; 0]);
        }

        #[test]
        fn a_try_that_came_to_nothing_is_no_restart_and_is_told_as_what_it_is() {
            let restarts = |world: &World, name: &str| world.component(name).restarts;
            let waits = |world: &World, name: &str, why: WaitReason| {
                let is_so =
                    |kind: &EventKind| matches!(kind, EventKind::Backoff { why: its, .. } if *its == why);
                times(world, name, is_so).len()
            };
            let mut world = World::new([
                Mock::new("first").with(|spec| spec.autostart = false),
                Mock::new("crashed").behaves(steady()),
            ]);
            world.run_for(seconds(10));
            world.run_short(true);
            world.start("first");
            world.crash("crashed");
            world.run_for(seconds(60));
            assert_eq!((restarts(&world, "first"), restarts(&world, "crashed")), (0, 0));
            // Also where another supervisor goes on.
            world.kill_supervisor(seconds(1));
            world.run_for(seconds(60));
            world.run_short(false);
            world.run_for(seconds(20));
            assert_eq!((world.state("first").as_str(), world.state("crashed").as_str()), ("up", "up"));
            assert_eq!(
                (restarts(&world, "first"), restarts(&world, "crashed")),
                (0, 1),
                "the run, not its tries"
            );
            assert!(waits(&world, "first", WaitReason::Want) > 8);
            assert_eq!(waits(&world, "first", WaitReason::Itself), 0);
            world.run_short(true);
            world.run_for(seconds(1));
            world.run_short(false);
            world.crash("first");
            world.run_for(seconds(20));
            assert_eq!(restarts(&world, "first"), 1, "what follows a run is one");
        }

        #[test]
        fn the_wait_for_the_next_try_begins_anew_after_a_run() {
            let mut world = World::new([Mock::new("is")]);
            for _ in 0..2 {
                world.run_short(true);
                world.crash("is");
                let first = world.now();
                world.run_for(seconds(60));
                let waits = |event: &supervisor::Event| match event.kind {
                    EventKind::Backoff { delay, in_a_row, .. } => Some((event.at, delay, in_a_row)),
                    _ => None,
                };
                let waits = world.events().iter().filter_map(waits).find(|(at, ..)| *at == first);
                let (_, delay, in_a_row) = waits.expect("a wait");
                assert!((millis(90)..=millis(110)).contains(&delay) && in_a_row == 1, "{delay:?}");
                world.run_short(false);
                world.run_for(seconds(60));
                assert_eq!(world.state("is"), "up");
            }
        }

        #[test]
        fn one_that_cannot_be_spawned_for_a_fault_of_its_own_is_no_condition_of_the_supervisor() {
            let mut world = World::new([Mock::new("is").behaves(steady().fails_to_start())]);
            world.run_for(seconds(1));
            assert_eq!(world.component("is").state.word(), "backoff");
            assert_eq!(world.status().conditions, [""; 0]);
        }

        #[test]
        fn a_restart_of_a_run_that_then_could_not_be_begun_begins_the_next_one() {
            let mut world = World::new([Mock::new("is").with(|spec| spec.autostart = false)]);
            world.run_short(true);
            world.start("is");
            let restart = world.restart("is");
            world.run_short(false);
            world.run_for(Duration::ZERO);
            assert_eq!((world.state("is").as_str(), world.runs("is")), ("up", 2));
            assert_eq!(achieved(&world, restart, "is"), Achieved::Done);
        }

        #[test]
        fn the_others_of_its_group_run_on_when_one_cannot_be_spawned() {
            let members = ["a", "b"].map(|name| in_group(name, Strategy::RestForOne));
            let mut world = World::new(members);
            world.run_short(true);
            world.crash("b");
            world.run_for(seconds(100));
            assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 1));
            world.run_short(false);
            world.run_for(seconds(11));
            assert_eq!((world.state("b").as_str(), world.runs("a")), ("up", 1));
        }

        #[test]
        fn a_command_of_stopping_is_tried_again_within_its_time_and_no_longer() {
            let stops_by_command = || {
                Mock::new("is").with(|spec| {
                    spec.stop = vec![command(seconds(10)), signal(Signal::TERM, seconds(5))];
                    spec.stop_timeout = seconds(60);
                })
            };
            let mut world = World::new([stops_by_command()]);
            world.run_short(true);
            let stop = world.stop("is");
            world.run_for(seconds(4));
            assert_eq!(world.outcome(stop), None);
            world.run_short(false);
            world.run_for(seconds(1));
            assert_eq!(achieved(&world, stop, "is"), Achieved::Done);

            let mut world = World::new([stops_by_command().behaves(steady())]);
            world.run_short(true);
            let stop = world.stop("is");
            world.run_for(seconds(11));
            assert_eq!(achieved(&world, stop, "is"), Achieved::Done, "by the step after that");
            let told = times(
                &world,
                "is",
                |kind| matches!(kind, EventKind::Step { result: Some(Err(why)), .. } if why.contains("too many open files")),
            );
            assert_eq!(told, [seconds(10)]);
        }

        #[test]
        fn evidence_cleanup_and_reload_are_tried_again_within_their_time() {
            let spec = |spec: &mut supervisor::ProcessSpec| {
                spec.reload = vec![command(seconds(5))];
                spec.cleanup = Some(Cleanup { command: Command::default(), timeout: seconds(5) });
            };
            for (time, is_over) in [(seconds(2), true), (seconds(100), false)] {
                let mut world = World::new([Mock::new("is").with(spec)]);
                world.run_short(true);
                let reload = world.reload("is");
                world.run_for(time);
                world.run_short(false);
                world.run_for(seconds(1));
                let reloaded = achieved(&world, reload, "is");
                assert_eq!(reloaded == Achieved::Done, is_over, "{reloaded:?}");
                world.run_short(true);
                let stop = world.stop("is");
                world.run_for(time);
                assert_eq!(world.outcome(stop).is_none(), is_over);
                world.run_short(false);
                world.run_for(seconds(1));
                assert_eq!(achieved(&world, stop, "is"), Achieved::Done);
            }
        }
    }

    #[test]
    fn a_fault_tells_times_exactly_and_sizes_in_short() {
        let fault = Fault::Silent { timeout: millis(1_500) };
        assert_eq!(fault.to_string(), "no sign of life for 1.5s");
        let fault = Fault::TooLarge { used: 3 << 30, max: 1 << 29 };
        assert_eq!(fault.to_string(), "uses 3.0G of memory, more than 512.0M");
    }

    #[test]
    fn checks_of_many_come_together_on_beats() {
        let mut world = World::new((0..200).map(|n| {
            Mock::new(&format!("c{n}")).with(|spec| {
                spec.health = Some(health(GuardAction::Restart));
            })
        }));
        world.run_for(seconds(20));
        let begins = world.trace().iter().filter(|line| line.contains("Begin"));
        let times: std::collections::BTreeSet<_> =
            begins.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
        assert!(times.len() <= 200, "one a tenth of a second: {}", times.len());
    }

    #[test]
    fn checks_of_a_short_interval_are_spread_over_it_as_well() {
        let mut world = World::new((0..50).map(|n| {
            Mock::new(&format!("c{n}")).with(|spec| {
                spec.health = Some(Health { interval: millis(100), ..health(GuardAction::Restart) });
            })
        }));
        world.run_for(millis(100));
        let begins = world.trace().iter().filter(|line| line.contains("Begin"));
        let times: std::collections::BTreeSet<_> =
            begins.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
        assert!((25..=50).contains(&times.len()), "{times:?}");
    }

    #[test]
    fn not_more_than_256_probes_of_a_kind_are_under_way_at_once() {
        let hung = |n: usize| {
            Mock::new(&format!("c{n}"))
                .with(|spec| {
                    spec.health = Some(Health {
                        interval: seconds(1),
                        timeout: seconds(30),
                        ..health(GuardAction::Report)
                    });
                })
                .behaves(steady().hangs_after(Duration::ZERO))
        };
        let mut world = World::new((0..300).map(hung));
        world.run_for(seconds(20));
        assert_eq!(world.trace().iter().filter(|line| line.contains("Begin")).count(), 256);
        world.run_for(seconds(15));
        assert!(
            world.trace().iter().filter(|line| line.contains("Begin")).count() > 300,
            "the others come later"
        );
    }

    #[test]
    fn one_that_gives_no_sign_of_life_is_restarted() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| spec.watchdog = Some(seconds(10)))
            .behaves_by_run(|run| match run {
                1 => steady().hangs_after(seconds(60)),
                _ => steady(),
            })]);
        world.run_for(seconds(300));
        assert_eq!((world.state("is").as_str(), world.runs("is")), ("up", 2));
        let end = world.component("is").last_end.expect("an end");
        assert_eq!(end.to_string(), "no sign of life for 10s");
    }

    #[test]
    fn one_may_say_itself_how_often_it_gives_a_sign_of_life_and_that_it_hangs() {
        let watched = |name: &str| Mock::new(name).with(|spec| spec.watchdog = Some(seconds(10)));
        let mut world = World::new([watched("is"), watched("ps"), Mock::new("web")]);
        world.run_for(seconds(20));
        world.notify("is", "WATCHDOG_USEC=60000000");
        ["ps", "web"].iter().for_each(|name| world.notify(name, "WATCHDOG=trigger"));
        world.run_for(Duration::ZERO);
        assert_eq!(["is", "ps", "web"].map(|name| world.runs(name)), [1, 2, 1]);
        assert_eq!(
            world.component("ps").last_end.map(|end| end.to_string()),
            Some("it says that it hangs".into())
        );
        // Those without a watchdog need not give any, whatever they say of it.
        world.notify("web", "WATCHDOG_USEC=1000000");
        ["is", "web"].iter().for_each(|name| world.hang(name));
        world.run_for(seconds(54));
        assert_eq!(["is", "web"].map(|name| world.runs(name)), [1, 1]);
        world.run_for(seconds(6));
        assert_eq!(["is", "web"].map(|name| world.runs(name)), [2, 1]);
        assert_eq!(
            world.component("is").last_end.map(|end| end.to_string()),
            Some("no sign of life for 1m".into())
        );
        world.run_for(seconds(20));
        world.hang("is");
        world.run_for(seconds(10));
        assert_eq!(world.runs("is"), 3, "what the run before has said does not count any more");
    }

    #[test]
    fn a_check_that_is_under_way_is_given_up_when_its_run_begins_to_end() {
        for end in ["crash", "stop"] {
            let daemon = steady().slow_to_die(seconds(5));
            let slow = steady().answers_after(seconds(1)).slow_to_stop(seconds(5)).forks(daemon);
            let mut world = World::new([guarded(GuardAction::Restart).behaves(slow)]);
            let has = |world: &World, what: &str| world.trace().iter().any(|line| line.contains(what));
            assert!(world.run_until(seconds(20), |world| has(world, "Begin")));
            match end {
                "crash" => world.crash("is"),
                _ => drop(world.stop("is")),
            }
            world.run_for(Duration::ZERO);
            assert!(world.state("is").starts_with("stopping"));
            assert!(has(&world, "Abandon"), "{end}");
        }
    }

    #[test]
    fn one_that_uses_too_much_memory_is_restarted_or_told() {
        let large = |action| {
            Mock::new("is")
                .with(|spec| spec.memory = Some(MemoryLimit { max: 1 << 20, action }))
                .behaves_by_run(|run| if run == 1 { steady().uses(1 << 30) } else { steady() })
        };
        let mut world = World::new([large(GuardAction::Restart)]);
        world.run_for(seconds(20));
        assert_eq!((world.state("is").as_str(), world.runs("is")), ("up", 2));
        let mut world = World::new([large(GuardAction::Report)]);
        world.run_for(seconds(20));
        assert_eq!((world.state("is").as_str(), world.runs("is")), ("unhealthy", 1));
    }

    #[test]
    fn what_a_person_has_stopped_stays_stopped_whatever_a_guard_thinks() {
        let mut world = World::new([guarded(GuardAction::Restart)
            .with(|spec| spec.watchdog = Some(seconds(10)))
            .behaves(steady().hangs_after(seconds(1)).slow_to_stop(seconds(50)))]);
        world.run_for(seconds(5));
        world.stop("is");
        world.run_for(seconds(300));
        assert_eq!((world.state("is").as_str(), world.runs("is")), ("stopped", 1));
    }
}

mod evidence {
    use super::*;

    #[test]
    fn evidence_is_taken_of_what_hangs_before_it_is_stopped() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| {
                spec.watchdog = Some(seconds(10));
                spec.evidence = vec![signal(Signal::QUIT, seconds(2)), command(seconds(5))];
            })
            .behaves(steady().hangs_after(Duration::ZERO))]);
        world.run_for(seconds(13));
        let trace = world.trace().join("\n");
        let place = |what: &str| trace.find(what).unwrap_or_else(|| panic!("no {what} in\n{trace}"));
        let order = ["Judged", "Inspect", "Signal(3)", "Evidence(1)", "Signal(15)"].map(place);
        assert!(order.is_sorted(), "{trace}");
    }

    #[test]
    fn evidence_is_taken_when_a_stop_takes_too_long_and_its_time_counts_on_top() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| {
                spec.stop_timeout = seconds(10);
                spec.evidence = vec![signal(Signal::QUIT, seconds(2))];
            })
            .behaves(steady().ignores_stop())]);
        world.stop("is");
        world.run_for(seconds(30));
        let killed = times(&world, "is", |kind| matches!(kind, EventKind::Killed { .. }));
        assert_eq!(killed, [seconds(12)]);
    }

    #[test]
    fn a_second_request_skips_the_evidence_and_kills() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| {
                spec.stop_timeout = seconds(10);
                spec.evidence = vec![signal(Signal::QUIT, seconds(20))];
            })
            .behaves(steady().ignores_stop())]);
        let first = world.stop("is");
        world.run_for(seconds(11));
        let second = world.stop("is");
        world.run_for(Duration::ZERO);
        assert_eq!(world.state("is"), "stopped");
        assert!([first, second].iter().all(|ticket| world.outcome(*ticket).is_some()));
    }
}

mod restarting {
    use super::*;

    fn limited(max: u32, within: u64, retry_after: u64) -> Mock {
        let intensity = Intensity { max, within: seconds(within), retry_after: seconds(retry_after) };
        Mock::new("is").with(|spec| spec.intensity = Some(intensity))
    }

    #[test]
    fn one_restart_too_many_trips_and_a_trial_run_follows() {
        let mut world = World::new([limited(3, 60, 300).behaves_by_run(|run| match run {
            1..=4 => steady().crashes_after(Duration::ZERO),
            _ => steady(),
        })]);
        world.run_for(seconds(2));
        assert_eq!((world.runs("is"), world.component("is").state.word()), (4, "tripped"));
        assert!(world.state("is").starts_with("tripped, next try 4m 5"), "{}", world.state("is"));
        world.run_for(seconds(300));
        assert_eq!((world.state("is").as_str(), world.runs("is")), ("up", 5));
    }

    #[test]
    fn the_rest_doubles_up_to_an_hour_while_trials_fail_and_a_stable_run_ends_that() {
        let mut world = World::new([limited(1, 60, 600).behaves_by_run(|run| match run {
            9 => steady().crashes_after(seconds(30)),
            _ => steady().crashes_after(Duration::ZERO),
        })]);
        world.run_for(seconds(60 * 60 * 10));
        let its = world.events().iter().filter_map(|event| match event.kind {
            EventKind::Tripped { rest, .. } => Some(rest.as_secs() / 60),
            _ => None,
        });
        assert_eq!(its.take(8).collect::<Vec<_>>(), [10, 20, 40, 60, 60, 60, 60, 10]);
    }

    #[test]
    fn without_a_retry_a_trip_is_the_end() {
        let mut world = World::new([limited(1, 60, 0).behaves(steady().crashes_after(Duration::ZERO))]);
        world.run_for(seconds(100));
        assert_eq!((world.state("is").as_str(), world.runs("is")), ("failed", 2));
    }

    #[test]
    fn of_no_restarts_at_all_none_is_too_many() {
        let mut world = World::new([limited(0, 60, 300)
            .with(|spec| spec.restart = Arc::new(supervisor::Fixed(Duration::ZERO)))
            .behaves(steady().crashes_after(millis(100)))]);
        world.run_for(seconds(10));
        assert_eq!(world.runs("is"), 101);
    }

    #[test]
    fn restarts_that_are_far_apart_do_not_trip() {
        let mut world = World::new([limited(2, 60, 300).behaves(steady().crashes_after(seconds(31)))]);
        world.run_for(seconds(3_000));
        assert!(world.runs("is") > 90, "{}", world.runs("is"));
    }

    #[test]
    fn a_start_by_a_person_forgives_a_trip() {
        let mut world = World::new([limited(1, 60, 300).behaves_by_run(|run| match run {
            1 | 2 => steady().crashes_after(Duration::ZERO),
            _ => steady(),
        })]);
        world.run_for(seconds(1));
        assert_eq!(world.component("is").state.word(), "tripped");
        world.start("is");
        world.run_for(Duration::ZERO);
        assert_eq!(world.state("is"), "up");
    }

    #[test]
    fn certain_ends_have_rules_of_their_own() {
        let with_rule = |exit, action, end| {
            let mut world = World::new([Mock::new("is")
                .with(|spec| spec.exits = vec![ExitRule { exit, action }])
                .behaves_by_run(
                    move |run| if run == 1 { steady().ends_after(seconds(2), end) } else { steady() },
                )]);
            world.run_for(seconds(5));
            (world.state("is"), world.component("is").wanted)
        };
        let killed = Exit::Signal { signal: 9, core_dumped: false };
        let code = ExitMatch::Code(78);
        assert_eq!(with_rule(code, ExitAction::Stop, Exit::Code(78)), ("stopped".into(), false));
        assert_eq!(with_rule(code, ExitAction::GiveUp, Exit::Code(78)), ("failed".into(), true));
        assert_eq!(with_rule(code, ExitAction::GiveUp, Exit::Code(77)), ("up".into(), true));
        assert_eq!(
            with_rule(ExitMatch::Signal(Signal::KILL), ExitAction::Stop, killed),
            ("stopped".into(), false)
        );
        assert_eq!(
            with_rule(ExitMatch::Signal(Signal::KILL), ExitAction::Stop, Exit::OutOfMemory),
            ("stopped".into(), false)
        );
    }

    #[test]
    fn a_rule_can_restart_what_its_policy_would_not() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| {
                spec.restart = Arc::new(Never);
                spec.exits = vec![ExitRule { exit: ExitMatch::Code(75), action: ExitAction::Restart }];
            })
            .behaves_by_run(|run| {
                let code = if run < 3 { 75 } else { 1 };
                steady().ends_after(seconds(2), Exit::Code(code))
            })]);
        world.run_for(seconds(30));
        assert_eq!((world.state("is").as_str(), world.runs("is")), ("failed", 3));
    }

    #[test]
    fn the_budget_spreads_a_storm() {
        let budget = RestartBudget { max: 5, within: seconds(10) };
        let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
        let mocks = (0..20).map(|n| {
            Mock::new(&format!("c{n}")).behaves_by_run(|run| match run {
                1 => steady().crashes_after(seconds(100)),
                _ => steady(),
            })
        });
        let mut world = World::under(mocks, circumstances);
        world.run_for(seconds(100));
        let up =
            |world: &World| world.status().components.iter().filter(|its| its.state.word() == "up").count();
        assert_eq!(up(&world), 5, "as many as there are tokens");
        world.run_for(seconds(10));
        assert_eq!(up(&world), 10);
        world.run_for(seconds(20));
        assert_eq!(up(&world), 20);
    }

    /// As many components, which all crash at the same time and then share one restart in 10 s.
    fn storm(count: usize) -> World {
        let budget = RestartBudget { max: 1, within: seconds(10) };
        let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
        let mocks = (0..count).map(|n| {
            Mock::new(&format!("c{n}")).behaves_by_run(|run| match run {
                1 => steady().crashes_after(seconds(100)),
                _ => steady(),
            })
        });
        let mut world = World::under(mocks, circumstances);
        world.run_for(seconds(100));
        world
    }

    #[test]
    fn the_next_token_of_the_budget_goes_to_the_first_who_still_owes_one() {
        let mut world = storm(101);
        assert_eq!((world.state("c0").as_str(), world.state("c100")), ("up", "backoff 16m 40s (1)".into()));
        let told = times(
            &world,
            "c100",
            |kind| matches!(kind, EventKind::Backoff { delay, why: WaitReason::Budget, .. } if *delay == seconds(1_000)),
        );
        assert_eq!(told, [seconds(100)]);
        let others: Vec<_> = (1..100).map(|n| format!("c{n}")).collect();
        let others: Vec<_> = others.iter().map(String::as_str).collect();
        world.stop(&others[..]);
        assert_eq!(world.state("c100"), "backoff 10s (1)");
        world.run_for(seconds(10));
        assert_eq!(spawn_times(&world, "c100").pop(), Some(seconds(110)));
    }

    #[test]
    fn one_whose_dependency_has_gone_while_it_waited_for_a_token_leaves_that_to_the_next() {
        let budget = RestartBudget { max: 1, within: seconds(10) };
        let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
        let mut world = World::under(
            [
                Mock::new("is"),
                needs("ps", &[("is", Condition::Ready)]),
                Mock::new("spender"),
                Mock::new("web"),
            ],
            circumstances,
        );
        world.run_for(seconds(5));
        ["spender", "ps", "web"].iter().for_each(|name| world.crash(name));
        assert_eq!(
            (world.state("ps"), world.state("web")),
            ("backoff 10s (1)".into(), "backoff 20s (1)".into())
        );
        world.stop_with("is", Dependants::Leave);
        world.run_for(seconds(10));
        assert_eq!(
            (world.state("ps").as_str(), world.state("web").as_str()),
            ("waiting for is: stopped", "up")
        );
        world.start("is");
        world.run_for(seconds(10));
        assert_eq!(spawn_times(&world, "ps").pop(), Some(seconds(25)), "with the token after that");
    }

    #[test]
    fn who_needs_one_that_waits_for_a_token_is_told_so() {
        let budget = RestartBudget { max: 1, within: seconds(10) };
        let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
        let off = |mock: Mock| mock.with(|spec| spec.autostart = false);
        let mocks = [
            Mock::new("spender"),
            Mock::new("is"),
            off(needs("ps", &[("is", Condition::Ready)])),
            off(needs("web", &[("ps", Condition::Ready)])),
        ];
        let mut world = World::under(mocks, circumstances);
        world.run_for(seconds(5));
        world.start("web");
        world.run_for(seconds(5));
        ["spender", "is", "ps", "web"].iter().for_each(|name| world.crash(name));
        let states = ["is", "ps", "web"].map(|name| world.state(name));
        assert_eq!(states, ["backoff 10s (1)", "waiting for is: backoff", "waiting for is: backoff"]);
    }

    #[test]
    fn a_person_need_not_wait_for_the_budget() {
        let mut world = storm(3);
        world.start("c2");
        world.run_for(Duration::ZERO);
        assert_eq!((world.state("c1").as_str(), world.state("c2").as_str()), ("backoff 10s (1)", "up"));
        assert_eq!(world.component("c2").restarts, 0);
    }

    #[test]
    fn a_group_waits_for_the_token_of_the_first() {
        let budget = RestartBudget { max: 1, within: seconds(10) };
        let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
        let in_group = |name: &str| {
            Mock::new(name).with(|spec| {
                let strategy = Strategy::OneForAll;
                spec.restart_group = Some(RestartGroup { name: "web".into(), strategy });
            })
        };
        let build = || {
            let mocks = [Mock::new("spender"), in_group("a"), in_group("b")];
            let mut world = World::under(mocks, circumstances);
            world.run_for(seconds(5));
            world.crash("spender");
            world.crash("b");
            assert_eq!(
                (world.state("a").as_str(), world.state("b").as_str()),
                ("waiting for b", "backoff 10s (1)")
            );
            world
        };
        let mut world = build();
        world.run_for(seconds(10));
        assert_eq!([spawn_times(&world, "a").pop(), spawn_times(&world, "b").pop()], [Some(seconds(15)); 2]);
        let mut world = build();
        world.stop("b");
        world.run_for(Duration::ZERO);
        assert_eq!(
            (world.state("a").as_str(), world.state("b").as_str()),
            ("up", "stopped"),
            "nobody waits for it"
        );
    }

    #[test]
    fn what_a_person_asks_for_takes_nothing_from_the_budget() {
        let budget = RestartBudget { max: 1, within: seconds(1_000) };
        let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
        let mut world = World::under([Mock::new("is"), Mock::new("ps")], circumstances);
        for _ in 0..5 {
            world.restart("is");
            world.run_for(seconds(1));
        }
        world.crash("ps");
        assert_eq!((world.runs("is"), world.state("ps").as_str()), (6, "up"));
    }

    #[test]
    fn a_crash_loop_of_one_never_delays_the_restart_of_another() {
        let mut world =
            World::new([Mock::new("loop").behaves(steady().crashes_after(Duration::ZERO)), Mock::new("is")]);
        world.run_for(seconds(100));
        world.crash("is");
        assert_eq!(world.state("is"), "up");
    }

    #[test]
    fn the_supervisor_ends_with_an_essential_component_that_is_given_up() {
        let essential = || {
            limited(1, 60, 300)
                .with(|spec| spec.essential = true)
                .behaves(steady().crashes_after(Duration::ZERO))
        };
        let circumstances = Circumstances { on_give_up: OnGiveUp::Shutdown, ..Circumstances::default() };
        let mut world = World::under([essential(), Mock::new("ps")], circumstances);
        world.run_for(seconds(10));
        let end = world.end().expect("a trip is final for it");
        assert_eq!(end.given_up, Some(id("is")));
        assert!(
            world
                .events()
                .iter()
                .any(|event| { event.kind == EventKind::ShuttingDown { given_up: Some(id("is")) } })
        );
        let mut world = World::new([essential(), Mock::new("ps")]);
        world.run_for(seconds(10));
        assert_eq!((world.component("is").state.word(), world.state("ps").as_str()), ("tripped", "up"));
    }
}

mod groups {
    use super::*;

    fn three(strategy: Strategy) -> World {
        let mut world = World::new(["a", "b", "c"].map(|name| in_group(name, strategy)));
        world.run_for(seconds(5));
        world
    }

    fn runs(world: &World) -> [usize; 3] {
        ["a", "b", "c"].map(|name| world.runs(name))
    }

    #[test]
    fn one_for_one_restarts_the_dead_one_alone() {
        let mut world = three(Strategy::OneForOne);
        world.crash("b");
        assert_eq!(runs(&world), [1, 2, 1]);
    }

    #[test]
    fn one_for_all_restarts_all_and_counts_it_for_the_dead_one_only() {
        let mut world = three(Strategy::OneForAll);
        world.crash("b");
        world.run_for(Duration::ZERO);
        assert_eq!(runs(&world), [2, 2, 2]);
        assert_eq!(["a", "b", "c"].map(|name| world.component(name).restarts), [0, 1, 0]);
        assert!(["a", "b", "c"].iter().all(|name| world.state(name) == "up"));
    }

    #[test]
    fn rest_for_one_restarts_those_that_come_later_in_start_order() {
        let mut world = three(Strategy::RestForOne);
        world.crash("b");
        world.run_for(Duration::ZERO);
        assert_eq!(runs(&world), [1, 2, 2]);
        world.crash("a");
        world.run_for(Duration::ZERO);
        assert_eq!(runs(&world), [2, 3, 3]);
    }

    #[test]
    fn the_others_stop_in_reverse_order_and_all_start_in_order_when_the_dead_one_may() {
        let slow = |name: &str, priority| {
            in_group(name, Strategy::OneForAll)
                .with(|spec| spec.start_priority = priority)
                .behaves(steady().slow_to_stop(seconds(2)))
        };
        let mut world = World::new([slow("a", 1), slow("b", 2), slow("c", 3)]);
        world.run_for(seconds(10));
        world.crash("a");
        assert_eq!(world.state("a"), "waiting for b");
        world.run_for(seconds(10));
        let exits = |name| times(&world, name, |kind| matches!(kind, EventKind::Exited { .. })).pop();
        assert_eq!((exits("c"), exits("b")), (Some(seconds(12)), Some(seconds(14))));
        for name in ["a", "b", "c"] {
            assert_eq!(spawn_times(&world, name).pop(), Some(seconds(14)), "{name}");
        }
    }

    #[test]
    fn the_dead_ones_policy_decides_when() {
        let mut world = World::new([
            in_group("a", Strategy::OneForAll).with(|spec| {
                spec.restart = Arc::new(supervisor::Fixed(seconds(30)));
            }),
            in_group("b", Strategy::OneForAll),
        ]);
        world.run_for(seconds(5));
        world.crash("a");
        world.run_for(seconds(29));
        assert_eq!(world.state("b"), "waiting for a");
        world.run_for(seconds(1));
        assert_eq!((world.state("a").as_str(), world.state("b").as_str()), ("up", "up"));
    }

    #[test]
    fn groups_that_restart_at_the_same_time_do_not_wait_for_each_other() {
        let member = |name: &str, group: &str, priority, stop| {
            let restart_group = RestartGroup { name: group.into(), strategy: Strategy::OneForAll };
            Mock::new(name)
                .with(|spec| (spec.restart_group, spec.start_priority) = (Some(restart_group), priority))
                .behaves(steady().slow_to_stop(seconds(stop)))
        };
        let mut world = World::new([
            member("a", "first", 1, 0),
            member("b", "first", 3, 9),
            member("c", "second", 1, 0),
            member("d", "second", 2, 1),
        ]);
        world.run_for(seconds(5));
        world.crash("a");
        world.crash("c");
        world.run_for(seconds(1));
        assert_eq!((world.state("b").as_str(), world.state("d").as_str()), ("stopping 1s/1m", "up"));
        assert_eq!(["b", "d"].map(|name| world.runs(name)), [1, 2]);
    }

    #[test]
    fn a_request_does_not_wait_for_a_group_that_restarts_nor_a_group_for_a_request() {
        let mut world = World::new([
            Mock::new("is"),
            in_group("a", Strategy::OneForAll),
            in_group("b", Strategy::OneForAll)
                .with(|spec| spec.start_priority = 2)
                .behaves(steady().slow_to_stop(seconds(9))),
        ]);
        // As many restarts of the group, and as many requests, as there may have been before.
        for _ in 0..3 {
            world.run_for(seconds(5));
            world.crash("a");
            world.run_for(seconds(1));
            for _ in 0..3 {
                let restart = world.restart("is");
                world.run_for(Duration::ZERO);
                assert_eq!(achieved(&world, restart, "is"), Achieved::Done);
            }
            assert_eq!(world.state("b"), "stopping 1s/1m");
            world.run_for(seconds(10));
            assert_eq!(world.state("b"), "up");
        }
        assert_eq!(["is", "a", "b"].map(|name| world.runs(name)), [10, 4, 4]);
    }

    #[test]
    fn after_a_restart_of_the_group_nobody_waits_for_the_one_that_began_it() {
        let mut world = World::new([
            in_group("a", Strategy::OneForAll).with(|spec| {
                spec.restart = Arc::new(supervisor::Fixed(seconds(30)));
            }),
            in_group("b", Strategy::OneForAll),
        ]);
        world.run_for(seconds(5));
        world.crash("a");
        world.run_for(seconds(40));
        world.stop("b");
        world.run_for(seconds(1));
        world.crash("a");
        world.start("b");
        world.run_for(Duration::ZERO);
        assert_eq!((world.component("a").state.word(), world.state("b").as_str()), ("backoff", "up"));
    }

    #[test]
    fn members_that_were_stopped_have_completed_or_never_restart_stay_as_they_are() {
        let once = in_group("once", Strategy::OneForAll).with(|spec| spec.restart = Arc::new(Never));
        let done = in_group("done", Strategy::OneForAll)
            .with(|spec| spec.restart = Arc::new(Never))
            .behaves(steady().ends_after(seconds(1), Exit::Code(0)));
        let mut world = World::new([
            in_group("dead", Strategy::OneForAll),
            in_group("off", Strategy::OneForAll),
            once,
            done,
        ]);
        world.run_for(seconds(2));
        world.stop("off");
        world.run_for(seconds(2));
        world.crash("dead");
        world.run_for(seconds(2));
        assert_eq!(["dead", "off", "once", "done"].map(|name| world.runs(name)), [2, 1, 1, 1]);
        assert_eq!(world.state("off"), "stopped");
    }

    #[test]
    fn a_member_stopped_by_a_person_meanwhile_stays_stopped() {
        let slow =
            |name: &str| in_group(name, Strategy::OneForAll).behaves(steady().slow_to_stop(seconds(5)));
        let mut world = World::new([slow("a"), slow("b")]);
        world.run_for(seconds(5));
        world.crash("a");
        world.stop("b");
        world.run_for(seconds(10));
        assert_eq!((world.state("a").as_str(), world.state("b").as_str()), ("up", "stopped"));
        let mut world = World::new([slow("a"), slow("b")]);
        world.run_for(seconds(5));
        world.crash("a");
        world.stop("a");
        world.run_for(seconds(10));
        assert_eq!((world.state("a").as_str(), world.state("b").as_str()), ("stopped", "up"));
    }
}

mod stopping {
    use super::*;

    #[test]
    fn the_steps_of_a_stop_follow_each_other_until_one_helps() {
        let ladder = |behaviour: Behaviour| {
            let mut world = World::new([Mock::new("is")
                .with(|spec| {
                    spec.stop = vec![
                        signal(Signal::HUP, seconds(3)),
                        signal(Signal::TERM, seconds(4)),
                        signal(Signal::QUIT, seconds(5)),
                    ];
                })
                .behaves(behaviour)]);
            world.stop("is");
            world.run_for(seconds(60));
            times(&world, "is", |kind| matches!(kind, EventKind::Exited { .. }))
                .pop()
                .map(|time| time.as_secs())
        };
        assert_eq!(ladder(steady().stops_by(Signal::HUP)), Some(0));
        assert_eq!(ladder(steady().stops_by(Signal::TERM)), Some(3));
        assert_eq!(ladder(steady().stops_by(Signal::QUIT)), Some(7));
        assert_eq!(ladder(steady().ignores_stop()), Some(12), "killed after the last");
    }

    #[test]
    fn the_stop_timeout_caps_the_steps() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| {
                spec.stop_timeout = seconds(5);
                spec.stop = vec![signal(Signal::HUP, seconds(3)), signal(Signal::TERM, seconds(30))];
            })
            .behaves(steady().ignores_stop())]);
        world.stop("is");
        assert_eq!(world.state("is"), "stopping 0s/5s");
        world.run_for(seconds(5));
        assert_eq!(world.state("is"), "stopped");
    }

    #[test]
    fn the_next_step_of_a_stop_follows_as_soon_as_a_command_has_ended() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| spec.stop = vec![command(seconds(20)), signal(Signal::TERM, seconds(3))])
            .behaves(steady().ignores_stop())]);
        world.stop("is");
        world.run_for(seconds(60));
        let killed = times(&world, "is", |kind| matches!(kind, EventKind::Killed { .. }));
        assert_eq!(killed, [seconds(3)]);
    }

    #[test]
    fn no_step_is_taken_when_the_time_of_the_stop_is_up_but_the_first() {
        let told = |timeout: Duration| {
            let mut world = World::new([Mock::new("is")
                .with(|spec| {
                    let steps = [(Signal::HUP, 3), (Signal::TERM, 30), (Signal::QUIT, 5)];
                    spec.stop = steps.map(|(name, wait)| signal(name, seconds(wait))).to_vec();
                    spec.stop_timeout = timeout;
                })
                .behaves(steady().ignores_stop())]);
            world.stop("is");
            world.run_for(seconds(60));
            let its = |event: &supervisor::Event| match &event.kind {
                EventKind::Step { step, .. } => Some((event.at.as_secs(), step.to_string())),
                EventKind::Killed { .. } => Some((event.at.as_secs(), "killed".to_owned())),
                _ => None,
            };
            world.events().iter().filter_map(its).collect::<Vec<_>>()
        };
        let owned = |steps: &[(u64, &str)]| -> Vec<_> {
            steps.iter().map(|(time, step)| (*time, (*step).to_owned())).collect()
        };
        assert_eq!(told(seconds(5)), owned(&[(0, "SIGHUP"), (3, "SIGTERM"), (5, "killed")]));
        assert_eq!(told(seconds(3)), owned(&[(0, "SIGHUP"), (3, "killed")]));
        assert_eq!(told(Duration::ZERO), owned(&[(0, "SIGHUP"), (0, "killed")]));
    }

    #[test]
    fn one_that_asks_for_more_time_to_stop_has_it_but_no_more_than_twice_what_it_has() {
        let killed = |asks: &[(u64, u64)]| {
            let mut world = World::new([Mock::new("is")
                .with(|spec| spec.stop_timeout = seconds(10))
                .behaves(steady().ignores_stop())]);
            world.stop("is");
            for (at, time) in asks {
                world.run_for(seconds(*at) - world.now());
                world.extend("is", seconds(*time));
            }
            world.run_for(seconds(60));
            times(&world, "is", |kind| matches!(kind, EventKind::Killed { .. }))
        };
        assert_eq!(killed(&[]), [seconds(10)]);
        assert_eq!(killed(&[(5, 12)]), [seconds(17)]);
        assert_eq!(killed(&[(5, 1)]), [seconds(10)], "nobody loses time by asking");
        assert_eq!(killed(&[(5, 12), (16, 60)]), [seconds(20)]);
    }

    #[test]
    fn a_run_is_not_over_when_the_command_that_stops_it_ends_but_when_nothing_is_left() {
        let worker = steady().slow_to_stop(seconds(9));
        let mut world = World::new([Mock::new("is")
            .with(|spec| spec.stop = vec![command(seconds(20))])
            .behaves(steady().answers_after(seconds(3)).slow_to_stop(seconds(1)).forks(worker))]);
        let stop = world.stop("is");
        world.run_for(seconds(8));
        assert_eq!((world.outcome(stop), world.alive("is").len()), (None, 1));
        world.run_for(seconds(1));
        assert_eq!(achieved(&world, stop, "is"), Achieved::Done);
    }

    #[test]
    fn a_command_can_stop_it_and_what_it_brings_about_is_given_the_rest_of_its_time() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| spec.stop = vec![command(seconds(20))])
            .behaves(steady().slow_to_stop(seconds(15)))]);
        world.stop("is");
        world.run_for(seconds(60));
        let killed = times(&world, "is", |kind| matches!(kind, EventKind::Killed { .. }));
        assert_eq!((world.state("is").as_str(), killed), ("stopped", vec![]));
    }

    #[test]
    fn a_stop_asked_for_again_is_immediate_but_not_at_once() {
        let stubborn = || Mock::new("is").behaves(steady().ignores_stop());
        let mut world = World::new([stubborn()]);
        world.stop("is");
        world.run_for(millis(900));
        world.stop("is");
        world.run_for(millis(50));
        assert!(world.state("is").starts_with("stopping"), "two that ask at the same time mean the same");
        world.run_for(millis(100));
        world.stop("is");
        world.run_for(Duration::ZERO);
        assert_eq!(world.state("is"), "stopped");
        let mut world = World::new([stubborn()]);
        world.shutdown();
        world.run_for(seconds(2));
        world.shutdown();
        world.run_for(Duration::ZERO);
        assert!(world.has_ended());
    }

    #[test]
    fn who_asks_for_the_end_of_what_is_ending_for_a_fault_already_is_the_first_to_ask() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| spec.watchdog = Some(seconds(10)))
            .behaves(steady().hangs_after(Duration::ZERO).ignores_stop())]);
        world.run_for(seconds(20));
        assert!(world.state("is").starts_with("stopping"));
        world.stop("is");
        world.run_for(millis(900));
        world.stop("is");
        world.run_for(millis(50));
        assert!(world.state("is").starts_with("stopping"), "two that ask at the same time mean the same");
        world.run_for(millis(100));
        world.stop("is");
        world.run_for(Duration::ZERO);
        assert_eq!(world.state("is"), "stopped");
    }

    #[test]
    fn the_cleanup_runs_after_every_end_and_before_the_next_run() {
        let mut world = World::new([Mock::new("is").with(|spec| {
            spec.cleanup = Some(Cleanup { command: Command::default(), timeout: seconds(5) });
        })]);
        world.run_for(seconds(2));
        world.crash("is");
        world.stop("is");
        world.run_for(seconds(2));
        let cleanups = world.trace().iter().filter(|line| line.contains("Begin") && line.contains("Cleanup"));
        assert_eq!((cleanups.count(), world.runs("is"), world.state("is").as_str()), (2, 2, "stopped"));
    }
}

mod asking {
    use super::*;

    #[test]
    fn a_reset_forgets_what_went_wrong_and_starts_nothing() {
        let mut world =
            World::new([Mock::new("is").behaves(steady().crashes_after(Duration::ZERO)), Mock::new("ps")]);
        world.run_for(seconds(10));
        assert_eq!(world.component("is").state.word(), "backoff");
        let reset = world.reset(["is", "ps"]);
        assert_eq!(achieved(&world, reset, "is"), Achieved::Done);
        assert_eq!(achieved(&world, reset, "ps"), Achieved::AlreadySo);
        world.run_for(seconds(1_000));
        assert_eq!((world.state("is").as_str(), world.state("ps").as_str()), ("stopped", "up"));
    }

    #[test]
    fn a_reload_does_what_the_specification_says() {
        let mut world = World::new([
            Mock::new("is")
                .with(|spec| spec.reload = vec![signal(Signal::HUP, seconds(1)), command(seconds(5))]),
            Mock::new("ps"),
        ]);
        let reload = world.reload("is");
        assert_eq!(world.outcome(reload), None);
        world.run_for(seconds(1));
        assert_eq!(achieved(&world, reload, "is"), Achieved::Done);
        let refused = world.reload("ps");
        assert_eq!(world.refusal(refused), Some(&RequestError::NoReload { id: id("ps") }));
        let reload = world.reload("is");
        world.crash("is");
        assert!(matches!(achieved(&world, reload, "is"), Achieved::Failed(_)));
        world.stop("is");
        world.run_for(seconds(1));
        let reload = world.reload("is");
        assert_eq!(achieved(&world, reload, "is"), Achieved::NotRunning);
    }

    #[test]
    fn the_files_of_the_output_end_for_each_who_asks_whether_it_runs_or_not() {
        let stored = |name: &str| {
            let output = Output::File { log: LogSettings::new("ps.log"), stderr: Stderr::Join };
            Mock::new(name).with(|spec| spec.output = output)
        };
        let stopped = stored("ps").with(|spec| spec.autostart = false);
        let mut world =
            World::new([stored("is"), stopped, Mock::new("svg").with(|spec| spec.output = Output::Null)]);
        let (one, other) = (world.rotate(["is", "ps", "svg"]), world.rotate("is"));
        assert_eq!((world.outcome(one), world.outcome(other)), (None, None), "it has not happened yet");
        world.run_for(seconds(0));
        assert_eq!(achieved(&world, one, "ps"), Achieved::Done);
        assert_eq!(achieved(&world, one, "svg"), Achieved::NotStored);
        assert!(world.outcome(one).unwrap().is_success() && world.outcome(other).unwrap().is_success());
        assert_eq!(world.trace().iter().filter(|line| line.contains("Rotate {")).count(), 3);
    }

    #[test]
    fn whoever_waits_for_the_end_of_a_file_is_answered_when_all_is_over() {
        let mut hostility = Hostility::default();
        hostility.late = true;
        let output = Output::File { log: LogSettings::new("ps.log"), stderr: Stderr::Join };
        let mock = Mock::new("ps").with(|spec| (spec.output, spec.autostart) = (output, false));
        let mut world = World::hostile([mock], 1, hostility);
        let rotate = world.rotate("ps");
        world.shutdown();
        assert!(world.has_ended());
        assert!(matches!(achieved(&world, rotate, "ps"), Achieved::Failed(_)));
    }

    #[test]
    fn a_late_answer_of_a_probe_is_not_taken_for_the_end_of_a_reload() {
        let mut world = World::new([Mock::new("is")
            .with(|spec| {
                spec.health = Some(health(GuardAction::Report));
                spec.reload = vec![command(seconds(5))];
            })
            .behaves(steady().answers_after(seconds(3)))]);
        let failed = |world: &World| {
            times(world, "is", |kind| matches!(kind, EventKind::ProbeFailed { .. })).len() == 1
        };
        assert!(world.run_until(seconds(60), failed), "after 2 s, while the answer comes after 3");
        let reload = world.reload("is");
        world.run_for(seconds(2));
        assert_eq!(world.outcome(reload), None);
        world.run_for(seconds(1));
        assert_eq!(achieved(&world, reload, "is"), Achieved::Done);
    }

    #[test]
    fn a_reload_waits_between_its_steps_and_not_after_the_last_signal() {
        let mut world = World::new([Mock::new("is").with(|spec| {
            spec.reload = vec![signal(Signal::HUP, seconds(3)), signal(Signal::QUIT, seconds(60))];
        })]);
        let reload = world.reload("is");
        world.run_for(seconds(2));
        assert_eq!(world.outcome(reload), None);
        world.run_for(seconds(1));
        assert_eq!(achieved(&world, reload, "is"), Achieved::Done);
        assert_eq!(times(&world, "is", |kind| matches!(kind, EventKind::Step { .. })), [0, 3].map(seconds));
    }

    #[test]
    fn how_long_a_shutdown_may_take_is_known_beforehand() {
        let stops = |name: &str, priority, timeout| {
            let mock = Mock::new(name).behaves(steady().ignores_stop());
            mock.with(|spec| (spec.start_priority, spec.stop_timeout) = (priority, seconds(timeout)))
        };
        let needed = stops("db", 2, 40).with(|spec| spec.autostart = false);
        let needs = needs("shop", &[("db", Condition::Ready)])
            .behaves(steady().ignores_stop())
            .with(|spec| (spec.start_priority, spec.stop_timeout) = (2, seconds(30)));
        let mut world = World::new([needs, needed, stops("svg", 1, 20), stops("is", 1, 10)]);
        world.run_for(seconds(1));
        // Twice its own time, which it may ask for, and 5 s for the kill: those of one rank together.
        assert_eq!(world.longest_shutdown(), seconds(2 * 20 + 5), "of what does not run, nothing");
        world.start("shop");
        world.run_for(seconds(1));
        let longest = world.longest_shutdown();
        assert_eq!(longest, seconds((2 * 30 + 5) + (2 * 40 + 5) + (2 * 20 + 5)), "one after the other");
        world.shutdown();
        world.run_for(seconds(30 + 40));
        assert!(!world.has_ended());
        world.run_for(longest - seconds(70));
        assert!(world.has_ended());
    }

    #[test]
    fn a_signal_goes_to_the_main_process_of_what_runs() {
        let mut world = World::new([Mock::new("is"), Mock::new("ps").with(|spec| spec.autostart = false)]);
        let sent = world.signal(["is", "ps"], Signal::HUP);
        assert_eq!(achieved(&world, sent, "is"), Achieved::Done);
        assert_eq!(achieved(&world, sent, "ps"), Achieved::NotRunning);
        assert!(world.trace().iter().any(|line| line.contains("Forward")));
    }

    #[test]
    fn a_signal_reaches_what_is_being_stopped_as_long_as_its_main_process_lives() {
        let worker = steady().slow_to_stop(seconds(4));
        let mut world =
            World::new([Mock::new("is").behaves(steady().slow_to_stop(seconds(2)).forks(worker))]);
        world.stop("is");
        world.run_for(seconds(1));
        let sent = world.signal("is", Signal::HUP);
        assert_eq!(achieved(&world, sent, "is"), Achieved::Done);
        world.run_for(seconds(2));
        let sent = world.signal("is", Signal::HUP);
        assert_eq!(achieved(&world, sent, "is"), Achieved::NotRunning, "what it has left is not asked");
    }

    #[test]
    fn somebody_can_wait_for_what_others_bring_about() {
        let mut world = World::new([
            declares("is", ReadyWhen::Notified).behaves(steady().ready_after(seconds(9))),
            Mock::new("ps"),
        ]);
        let ready = world.wait_for(["is", "ps"], Until::Ready);
        let down = world.wait_for("ps", Until::Stopped);
        world.run_for(seconds(8));
        assert_eq!((world.outcome(ready), world.outcome(down)), (None, None));
        world.run_for(seconds(1));
        assert_eq!(achieved(&world, ready, "is"), Achieved::Done);
        assert_eq!(achieved(&world, ready, "ps"), Achieved::AlreadySo);
        world.stop("ps");
        world.run_for(Duration::ZERO);
        assert_eq!(achieved(&world, down, "ps"), Achieved::Done);
    }

    #[test]
    fn a_wait_goes_on_through_failures_and_can_be_forgotten() {
        let mut world = World::new([Mock::new("is").behaves_by_run(|run| match run {
            1..=3 => steady().fails_to_start(),
            _ => steady(),
        })]);
        let wait = world.wait_for("is", Until::Started);
        let forgotten = world.wait_for("is", Until::Started);
        world.forget(forgotten);
        world.run_for(seconds(5));
        assert_eq!(achieved(&world, wait, "is"), Achieved::Done);
        assert_eq!(world.outcome(forgotten), None);
    }
}

mod ending_when_done {
    use super::*;

    fn world(mocks: impl IntoIterator<Item = Mock>) -> World {
        World::under(mocks, Circumstances { ends_when_done: true, ..Circumstances::default() })
    }

    fn job(name: &str, code: i32) -> Mock {
        let ends = Behaviour::steady().ends_after(seconds(5), Exit::Code(code));
        Mock::new(name).behaves(ends).with(|spec| spec.restart = Arc::new(Never))
    }

    fn told(world: &World) -> bool {
        world.events().iter().any(|event| event.kind == EventKind::AllDone)
    }

    #[test]
    fn it_ends_when_the_last_has_done_its_work() {
        let mut world = world([job("a", 0), job("b", 0).with(|spec| spec.start_delay = seconds(1))]);
        world.run_for(seconds(4));
        assert!(!world.has_ended());
        world.run_for(seconds(20));
        assert!(world.has_ended() && told(&world));
    }

    #[test]
    fn it_does_not_end_while_something_waits_for_its_turn_or_for_the_budget() {
        let budget = Some(RestartBudget { max: 1, within: seconds(100) });
        let circumstances =
            Circumstances { restart_budget: budget, ends_when_done: true, ..Circumstances::default() };
        let fails_once = |name: &str| {
            let again = supervisor::OnFailure(supervisor::Fixed(Duration::ZERO));
            Mock::new(name).with(|spec| spec.restart = Arc::new(again)).behaves_by_run(|run| {
                Behaviour::steady().ends_after(seconds(5), Exit::Code(i32::from(run == 1)))
            })
        };
        let mut world = World::under([fails_once("a"), fails_once("b")], circumstances);
        world.run_for(seconds(104));
        assert!(!world.has_ended(), "b waits for the budget");
        world.run_for(seconds(7));
        assert_eq!(world.end().map(|end| end.unsuccessful.len()), Some(0));
    }

    #[test]
    fn it_does_not_end_while_something_runs_or_will_be_tried_again() {
        let crashes = Mock::new("b").behaves(Behaviour::steady().crashes_after(seconds(1)));
        let mut world = world([job("a", 0), crashes]);
        world.run_for(seconds(10_000));
        assert!(!world.has_ended());
        world.stop("b");
        world.run_for(seconds(10));
        assert!(world.has_ended(), "what a person has stopped will not run again either");
    }

    #[test]
    fn who_waits_for_what_has_failed_does_not_hold_it_up() {
        let waits = job("b", 0).with(|spec| {
            let on = id("a");
            spec.depends_on = vec![Dependency { on, condition: Condition::Completed }];
        });
        let mut world = world([job("a", 1), waits]);
        world.run_for(seconds(20));
        assert!(world.has_ended());
        assert_eq!(world.runs("b"), 0);
    }

    #[test]
    fn who_was_to_do_something_and_has_not_done_it_is_named_at_the_end() {
        let waits = job("waits", 0).with(|spec| {
            let on = id("fails");
            spec.depends_on = vec![Dependency { on, condition: Condition::Completed }];
        });
        let idle = Mock::new("idle").with(|spec| spec.autostart = false);
        let mut world = world([job("works", 0), job("fails", 1), waits, idle, Mock::new("stopped")]);
        world.run_for(seconds(20));
        assert_eq!(world.end(), None);
        world.stop("stopped");
        world.run_for(seconds(20));
        let unsuccessful = &world.end().unwrap().unsuccessful;
        assert_eq!(*unsuccessful, ["fails", "waits", "stopped"].map(id));
    }

    #[test]
    fn it_ends_at_once_where_nothing_is_to_run() {
        assert!(world([Mock::new("a").with(|spec| spec.autostart = false)]).has_ended());
    }
}

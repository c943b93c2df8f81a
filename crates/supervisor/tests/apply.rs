//! What a changed registry does to components that run: rules, each in the simulated world.
#![expect(clippy::unwrap_used, reason = "a test, which fails where something is not as it should be")]

#[path = "common/simulated.rs"]
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use supervisor::testing::{Circumstances, Mock, World};
use supervisor::{
    Achieved, Backoff, Command, ComponentId, Condition, Dependency, EventKind, Exit, GuardAction, Health,
    MemoryLimit, Never, OnFailure, OnGiveUp, Probe, ProcessSpec, Readiness, ReadyWhen, Recipient,
    RequestError, RestartBudget, RestartGroup, Signal, Step, Strategy, Targets, Until,
};

use crate::simulated::{millis, seconds, steady};

/// A component that is begun with this argument: with another one, it takes another process.
fn with_argument(id: &str, argument: &str) -> Mock {
    Mock::new(id).with(|spec| spec.arguments = vec![argument.into()])
}

fn needs(mock: Mock, on: &str) -> Mock {
    let on = ComponentId::new(on).unwrap();
    mock.with(|spec| spec.depends_on.push(Dependency { on, condition: Condition::Ready }))
}

/// It is ready when it says so.
fn notifies(spec: &mut ProcessSpec) {
    spec.readiness = Some(Readiness { when: ReadyWhen::Notified, timeout: seconds(3_600) });
}

/// What would happen, as `restart ps`.
fn told(world: &World, mocks: impl IntoIterator<Item = Mock>) -> Vec<String> {
    let plan = world.plan(mocks);
    plan.components.iter().map(|planned| format!("{} {}", planned.action, planned.id)).collect()
}

fn runs(world: &World, ids: &[&str]) -> Vec<usize> {
    ids.iter().map(|id| world.runs(id)).collect()
}

/// When something is first told of a component.
fn first(world: &World, id: &str, kind: fn(&EventKind) -> bool) -> Duration {
    let mut its = world.events().iter().filter(|event| event.component.as_ref().is_some_and(|its| its == id));
    its.find(|event| kind(&event.kind)).map(|event| event.at).expect("no such event")
}

fn is_there(world: &World, id: &str) -> bool {
    world.status().components.iter().any(|component| component.id == *id)
}

#[test]
fn what_takes_another_process_is_restarted_and_nothing_else_is_touched() {
    let mut world = World::new(["a", "b", "c"].map(|id| with_argument(id, "1")));
    world.run_for(seconds(1));
    let changed = || [with_argument("a", "1"), with_argument("b", "2"), with_argument("c", "1")];
    assert_eq!(told(&world, changed()), ["restart b"]);
    let apply = world.apply(changed());
    world.run_for(seconds(1));
    assert_eq!(world.outcome(apply).unwrap().components, [(ComponentId::new("b").unwrap(), Achieved::Done)]);
    assert_eq!(runs(&world, &["a", "b", "c"]), [1, 2, 1]);
    let trace = world.trace().len();
    assert_eq!(told(&world, changed()), [""; 0]);
    let again = world.apply(changed());
    world.run_for(seconds(1));
    assert!(world.outcome(again).unwrap().components.is_empty());
    let after: Vec<_> = world.trace()[trace..].iter().filter(|line| !line.contains("quest")).collect();
    assert!(after.iter().all(|line| line.contains("Lineup") || line.contains("Done")), "{after:?}");
}

#[test]
fn one_registry_then_another_then_the_first_is_the_first() {
    let first = || [with_argument("a", "1"), with_argument("b", "1"), with_argument("c", "1")];
    let second = || [with_argument("c", "1"), with_argument("d", "1"), with_argument("a", "2")];
    let mut world = World::new(first());
    let ids = |world: &World| -> Vec<_> {
        world
            .status()
            .components
            .iter()
            .map(|component| (component.id.to_string(), component.state.word()))
            .collect()
    };
    world.run_for(seconds(1));
    let before = ids(&world);
    world.apply(second());
    world.run_for(seconds(1));
    assert_eq!(ids(&world), [("c".into(), "up"), ("d".into(), "up"), ("a".into(), "up")]);
    world.apply(first());
    world.run_for(seconds(1));
    assert_eq!(ids(&world), before);
    assert_eq!(told(&world, first()), [""; 0]);
    assert_eq!(runs(&world, &["a", "b", "c"]), [3, 1, 1], "b is another component than before");
}

#[test]
fn what_is_no_more_stops_in_reverse_order_by_the_steps_it_had_and_leaves() {
    let old = |id: &str| {
        Mock::new(id)
            .with(|spec| {
                spec.stop =
                    vec![Step::Signal { signal: Signal::QUIT, wait: seconds(9), to: Recipient::Group }];
            })
            .behaves(steady().stops_by(Signal::QUIT).slow_to_stop(seconds(2)))
    };
    let mut world = World::new([Mock::new("keep"), old("is"), needs(old("ps"), "is")]);
    world.run_for(seconds(1));
    let apply = world.apply([Mock::new("keep")]);
    world.run_for(seconds(1));
    assert!(world.state("ps").starts_with("stopping"), "it is there until nothing of it is left");
    assert_eq!(world.state("is"), "up", "what needs it stops first");
    world.run_for(seconds(4));
    let achieved = |id| (ComponentId::new(id).unwrap(), Achieved::Done);
    assert_eq!(world.outcome(apply).unwrap().components, [achieved("is"), achieved("ps")]);
    assert!(!is_there(&world, "is") && !is_there(&world, "ps") && is_there(&world, "keep"));
}

#[test]
fn what_is_new_starts_in_order_and_not_before_what_is_no_more_is_gone() {
    let mut world = World::new([Mock::new("old").behaves(steady().slow_to_stop(seconds(3)))]);
    world.run_for(seconds(1));
    world.apply([
        needs(Mock::new("ps"), "is"),
        Mock::new("is").with(|spec| spec.start_delay = seconds(2)),
        Mock::new("off").with(|spec| spec.autostart = false),
    ]);
    world.run_for(seconds(2));
    assert_eq!(world.state("is"), "waiting for old");
    world.run_for(seconds(4));
    let spawned = |kind: &EventKind| matches!(kind, EventKind::Spawned { .. });
    assert_eq!(first(&world, "is", spawned), seconds(4));
    assert_eq!(first(&world, "ps", spawned), seconds(6));
    assert_eq!(world.state("off"), "stopped");
}

#[test]
fn what_somebody_has_stopped_stays_so_and_is_begun_as_it_is_now() {
    let mut world = World::new([with_argument("a", "1"), with_argument("b", "1")]);
    world.stop("a");
    world.run_for(seconds(1));
    let changed = || [with_argument("a", "2"), with_argument("b", "1")];
    assert_eq!(told(&world, changed()), ["change a"]);
    world.apply(changed());
    world.run_for(seconds(9));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("stopped", 1));
    world.start("a");
    world.run_for(seconds(1));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 2));
    assert_eq!(told(&world, changed()), [""; 0]);
}

#[test]
fn what_had_failed_is_tried_anew_when_it_is_changed() {
    let never = |argument| with_argument("a", argument).with(|spec| spec.restart = Arc::new(Never));
    let mut world = World::new([never("bad").behaves(steady().crashes_after(millis(10)))]);
    world.run_for(seconds(1));
    assert_eq!(world.state("a"), "failed");
    assert_eq!(told(&world, [never("good")]), ["start a"]);
    world.apply([never("good")]);
    world.run_for(seconds(1));
    assert_eq!(world.state("a"), "up");
}

#[test]
fn what_its_supervisor_goes_by_changes_while_it_runs() {
    let healthy = |interval| {
        Mock::new("a").with(|spec| {
            let probe = Probe::Tcp { host: "127.0.0.1".into(), port: 80 };
            spec.health = Some(Health {
                probe,
                interval,
                timeout: millis(100),
                failures: 1,
                start_after: Duration::ZERO,
                action: GuardAction::Restart,
            });
            spec.stop_timeout = seconds(5);
        })
    };
    let hangs = || steady().hangs_after(seconds(1)).ignores_stop();
    let mut world = World::new([Mock::new("a").behaves(hangs())]);
    world.run_for(seconds(60));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 1));
    assert_eq!(told(&world, [healthy(seconds(2))]), ["change a"]);
    world.apply([healthy(seconds(2)).behaves(steady())]);
    let judged = world.run_until(seconds(3), |world| world.state("a").starts_with("stopping"));
    assert!(judged, "nobody asks whether it is well");
    world.run_for(millis(5_100));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 2), "it is given the new time to stop");
}

#[test]
fn one_that_is_begun_anew_stops_as_it_was_begun() {
    let quit = Step::Signal { signal: Signal::QUIT, wait: seconds(9), to: Recipient::Group };
    let quits = with_argument("a", "1").with(|spec| spec.stop = vec![quit]);
    let mut world = World::new([quits.behaves(steady().stops_by(Signal::QUIT))]);
    world.run_for(seconds(1));
    world.apply([with_argument("a", "2")]);
    world.run_for(seconds(1));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 2));
}

#[test]
fn how_much_memory_it_may_use_changes_while_it_runs() {
    let limited = |max: Option<u64>| {
        let limit = max.map(|max| MemoryLimit { max, action: GuardAction::Report });
        Mock::new("a").with(|spec| spec.memory = limit).behaves(steady().uses(1 << 30))
    };
    let mut world = World::new([limited(None)]);
    world.run_for(seconds(60));
    world.apply([limited(Some(1 << 40))]);
    assert_eq!(world.component("a").since, Duration::ZERO, "it is as well as before");
    world.apply([limited(Some(1 << 20))]);
    world.run_for(seconds(60));
    assert_eq!(world.state("a"), "unhealthy");
    world.apply([limited(None)]);
    assert_eq!((world.state("a").as_str(), world.component("a").since), ("up", world.now()));
}

#[test]
fn a_reload_under_way_comes_to_nothing_when_how_it_is_done_changes_and_only_then() {
    let reloads = |program: &str, stop_timeout| {
        let command = Command { program: program.into(), ..Command::default() };
        let step = Step::Run { command, timeout: seconds(5) };
        let mock = Mock::new("a").with(|spec| (spec.reload, spec.stop_timeout) = (vec![step], stop_timeout));
        mock.behaves(steady().answers_after(seconds(2)))
    };
    let mut world = World::new([reloads("/one", seconds(60))]);
    let mut reload_and_apply = |changed| {
        let reload = world.reload("a");
        world.apply([changed]);
        world.run_for(seconds(3));
        world.outcome(reload).unwrap().components[0].1.clone()
    };
    assert_eq!(reload_and_apply(reloads("/one", seconds(9))), Achieved::Done);
    let changed = Achieved::Failed("how it is done has changed meanwhile".into());
    assert_eq!(reload_and_apply(reloads("/two", seconds(9))), changed);
}

#[test]
fn what_has_done_its_work_does_not_do_it_again_for_a_change() {
    let job = |argument| {
        with_argument("a", argument)
            .with(|spec| spec.restart = Arc::new(OnFailure(Backoff::default())))
            .behaves(steady().ends_after(seconds(1), Exit::Code(0)))
    };
    let mut world = World::new([job("1")]);
    world.run_for(seconds(2));
    assert_eq!(told(&world, [job("2")]), ["change a"]);
    world.apply([job("2")]);
    world.run_for(seconds(9));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("completed", 1));
}

#[test]
fn whether_it_starts_by_itself_says_nothing_of_what_is_there_already() {
    let with = |autostart| Mock::new("a").with(|spec| spec.autostart = autostart);
    let mut world = World::new([with(true)]);
    world.run_for(seconds(1));
    world.apply([with(false)]);
    world.run_for(seconds(1));
    assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 1));
    world.stop("a");
    world.apply([with(true)]);
    world.run_for(seconds(1));
    assert_eq!(world.state("a"), "stopped");
}

#[test]
fn an_order_that_is_turned_round_holds_nobody_up() {
    let mut world = World::new([with_argument("a", "1"), needs(with_argument("b", "1"), "a")]);
    world.run_for(seconds(1));
    let apply = world.apply([needs(with_argument("a", "2"), "b"), with_argument("b", "2")]);
    world.run_for(seconds(1));
    assert!(world.outcome(apply).unwrap().is_success());
    assert_eq!(runs(&world, &["a", "b"]), [2, 2]);
    let spawned = |id: &str| {
        let its = |event: &&supervisor::Event| event.component.as_ref().is_some_and(|its| its == id);
        world
            .events()
            .iter()
            .rposition(|event| its(&event) && matches!(event.kind, EventKind::Spawned { .. }))
    };
    assert!(spawned("b") < spawned("a"));
    world.shutdown();
    assert!(world.run_until(seconds(1), World::has_ended));
}

#[test]
fn the_order_that_held_until_then_is_kept_by_one_that_is_stopping_already() {
    let slow = |argument| with_argument("ps", argument).behaves(steady().slow_to_stop(seconds(3)));
    let mut world = World::new([with_argument("is", "1"), needs(slow("1"), "is")]);
    world.run_for(seconds(1));
    world.restart("ps");
    world.apply([slow("2"), needs(with_argument("is", "2"), "ps")]);
    world.run_for(seconds(2));
    assert_eq!(
        (world.state("is").as_str(), world.runs("is")),
        ("up", 1),
        "what needs it has not stopped yet"
    );
    world.run_for(seconds(2));
    assert_eq!(runs(&world, &["is", "ps"]), [2, 2]);
}

#[test]
fn all_stop_and_start_in_the_new_order() {
    let mut world = World::new(["a", "b"].map(Mock::new));
    world.apply(["new", "b", "a"].map(Mock::new));
    world.run_for(seconds(1));
    let trace = world.trace().len();
    world.restart(["a", "new"]);
    world.run_for(seconds(1));
    world.stop(Targets::All);
    world.run_for(seconds(1));
    world.start(Targets::All);
    let keys = |verb: &str| -> String {
        let runs = world.trace()[trace..].iter().filter_map(|line| line.split_once(verb));
        runs.map(|(_, run)| &run[..1]).collect()
    };
    assert_eq!(keys(" Signal { run: "), "02012", "those that came last stop first");
    assert_eq!(keys(" Spawn { run: "), "02210");
}

#[test]
fn who_is_needed_by_one_that_leaves_waits_for_it_whoever_else_that_needed_is_gone() {
    let slow = Mock::new("ps").behaves(steady().slow_to_stop(seconds(3)));
    let mut world =
        World::new([Mock::new("keep"), Mock::new("db"), Mock::new("is"), needs(needs(slow, "db"), "is")]);
    world.run_for(seconds(1));
    world.apply([Mock::new("keep")]);
    // The order is now that of those that leave.
    world.apply([Mock::new("keep"), Mock::new("new")]);
    world.crash("is");
    world.run_for(seconds(2));
    assert!(!is_there(&world, "is"));
    assert_eq!(world.state("db"), "up");
    world.run_for(seconds(2));
    assert!(!is_there(&world, "ps") && !is_there(&world, "db"));
    assert_eq!(world.state("new"), "up");
}

#[test]
fn who_waits_for_one_that_leaves_is_answered() {
    let slow = Mock::new("a").with(notifies).behaves(steady().never_ready().slow_to_stop(seconds(2)));
    let mut world = World::new([slow, Mock::new("b")]);
    let (ready, stopped, start) =
        (world.wait_for("a", Until::Ready), world.wait_for("a", Until::Stopped), world.start("a"));
    world.apply([Mock::new("b")]);
    let refused = world.start("a");
    assert_eq!(world.refusal(refused), Some(&RequestError::Leaving { id: ComponentId::new("a").unwrap() }));
    world.run_for(seconds(3));
    let achieved = |ticket| world.outcome(ticket).unwrap().components[0].1.clone();
    assert_eq!(achieved(ready), Achieved::Overtaken);
    assert_eq!(achieved(start), Achieved::Overtaken);
    assert_eq!(achieved(stopped), Achieved::Done);
}

#[test]
fn one_that_comes_back_while_it_leaves_is_begun_when_its_old_run_is_gone() {
    let slow = || Mock::new("a").behaves(steady().slow_to_stop(seconds(3)));
    let mut world = World::new([slow(), Mock::new("b")]);
    world.run_for(seconds(1));
    world.apply([Mock::new("b")]);
    world.run_for(seconds(1));
    assert_eq!(told(&world, [slow(), Mock::new("b")]), ["start a"]);
    let back = world.apply([slow(), Mock::new("b")]);
    world.run_for(seconds(1));
    assert!(world.outcome(back).is_none());
    world.run_for(seconds(3));
    assert!(world.outcome(back).unwrap().is_success());
    assert_eq!((world.state("a").as_str(), world.runs("b")), ("up", 1));
}

#[test]
fn a_shutdown_overtakes_what_was_applied() {
    let mut world = World::new([with_argument("a", "1").behaves(steady().slow_to_stop(seconds(3)))]);
    world.run_for(seconds(1));
    let apply = world.apply_confirming([with_argument("a", "2"), Mock::new("b")], seconds(60));
    world.run_for(seconds(1));
    let shutdown = world.shutdown();
    assert!(world.run_until(seconds(5), World::has_ended));
    assert!(!world.outcome(apply).unwrap().is_success());
    assert!(world.outcome(shutdown).unwrap().is_success());
    let refused = world.apply([Mock::new("c")]);
    assert_eq!(world.refusal(refused), Some(&RequestError::Ended));
}

#[test]
fn one_that_crashes_while_it_is_changed_is_begun_once() {
    let mut world = World::new([with_argument("a", "1").behaves(steady().slow_to_stop(seconds(3)))]);
    world.run_for(seconds(1));
    let apply = world.apply([with_argument("a", "2")]);
    world.run_for(seconds(1));
    world.crash("a");
    world.run_for(seconds(1));
    assert!(world.outcome(apply).unwrap().is_success());
    assert_eq!((world.state("a").as_str(), world.runs("a"), world.component("a").restarts), ("up", 2, 0));
}

#[test]
fn who_restarts_with_whom_changes_while_they_run() {
    let member = |id: &str| {
        let strategy = Strategy::OneForAll;
        Mock::new(id).with(|spec| spec.restart_group = Some(RestartGroup { name: "web".into(), strategy }))
    };
    let mut world = World::new([member("a"), member("b"), Mock::new("c")]);
    world.run_for(seconds(2));
    world.apply([member("a"), Mock::new("b"), member("c")]);
    world.crash("a");
    world.run_for(seconds(1));
    assert_eq!(runs(&world, &["a", "b", "c"]), [2, 1, 2]);
}

mod rules {
    use super::*;

    fn budget(within: Duration) -> Option<RestartBudget> {
        Some(RestartBudget { max: 1, within })
    }

    /// One of two has used the only token for 100 s, and the other waits for the next.
    fn waiting_for_a_token() -> World {
        let circumstances =
            Circumstances { restart_budget: budget(seconds(100)), ..Circumstances::default() };
        let mut world = World::under(["a", "b"].map(Mock::new), circumstances);
        world.run_for(seconds(1));
        world.crash("a");
        world.crash("b");
        world.run_for(seconds(1));
        assert_eq!(runs(&world, &["a", "b"]), [2, 1]);
        world
    }

    #[test]
    fn another_budget_holds_from_now_on_for_those_that_wait_already() {
        let mut world = waiting_for_a_token();
        world.apply_rules(budget(seconds(10)), OnGiveUp::Continue);
        world.run_for(seconds(9));
        assert_eq!(world.runs("b"), 1, "no more is missing than one token of 10 s");
        world.run_for(seconds(2));
        assert_eq!(world.runs("b"), 2);
    }

    #[test]
    fn nobody_waits_for_a_budget_that_is_there_no_more() {
        let mut world = waiting_for_a_token();
        world.apply_rules(None, OnGiveUp::Continue);
        world.run_for(Duration::ZERO);
        assert_eq!(world.runs("b"), 2);
    }

    #[test]
    fn another_supervisor_goes_by_its_own_budget_whatever_was_written_down_under_another() {
        let mut world = waiting_for_a_token();
        world.apply_rules(budget(seconds(10)), OnGiveUp::Continue);
        world.kill_supervisor(seconds(1));
        world.run_for(seconds(11));
        assert_eq!(world.runs("b"), 2);
    }

    #[test]
    fn what_happens_when_an_essential_one_is_given_up_changes() {
        let essential =
            || Mock::new("a").with(|spec| (spec.essential, spec.restart) = (true, Arc::new(Never)));
        let mut world = World::new([essential(), Mock::new("b")]);
        world.apply_rules(None, OnGiveUp::Shutdown);
        world.crash("a");
        assert!(world.run_until(seconds(1), World::has_ended));
    }

    #[test]
    fn a_change_of_the_rules_touches_nobody() {
        let mut world = waiting_for_a_token();
        let apply = world.apply_rules(budget(seconds(200)), OnGiveUp::Shutdown);
        assert_eq!(world.outcome(apply).unwrap().components, []);
        assert_eq!(runs(&world, &["a", "b"]), [2, 1]);
    }
}

mod confirming {
    use super::*;

    #[test]
    fn it_holds_when_all_that_was_begun_is_ready() {
        let changed = || [with_argument("a", "2").with(notifies).behaves(steady().ready_after(seconds(5)))];
        let mut world = World::new([with_argument("a", "1").with(notifies)]);
        world.run_for(seconds(1));
        let apply = world.apply_confirming(changed(), seconds(10));
        world.run_for(seconds(4));
        assert!(world.outcome(apply).is_none());
        world.run_for(seconds(2));
        assert!(world.outcome(apply).unwrap().is_success());
        assert!(world.events().iter().any(|event| event.kind == EventKind::Confirmed));
        world.run_for(seconds(60));
        assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 2));
    }

    #[test]
    fn everything_goes_back_when_one_is_not_ready_in_time() {
        let before = || [with_argument("a", "1"), with_argument("b", "1"), Mock::new("gone")];
        let after = || {
            [
                with_argument("a", "2").with(notifies).behaves(steady().never_ready()),
                with_argument("b", "2"),
                Mock::new("new"),
            ]
        };
        let mut world = World::new(before());
        world.run_for(seconds(1));
        let apply = world.apply_confirming(after(), seconds(10));
        world.run_for(seconds(9));
        assert_eq!(world.state("b"), "up");
        world.run_for(seconds(2));
        let outcome = world.outcome(apply).unwrap();
        let failure = outcome.gone_back.clone().unwrap();
        assert_eq!(failure.to_string(), "a was not ready within 10s");
        assert!(!outcome.is_success());
        assert!(world.events().iter().any(|event| matches!(event.kind, EventKind::GoneBack { .. })));
        assert!(world.status().conditions[0].contains("a was not ready within 10s"));
        assert_eq!(told(&world, before()), [""; 0]);
        assert!(["a", "b", "gone"].iter().all(|id| world.state(id) == "up") && !is_there(&world, "new"));
        world.apply(before());
        assert!(world.status().conditions.is_empty(), "what was applied last is what there is");
    }

    #[test]
    fn everything_goes_back_at_once_when_one_is_given_up() {
        let never = |argument| {
            with_argument("a", argument).with(|spec| {
                spec.restart = Arc::new(Never);
                spec.start_delay = millis(50);
            })
        };
        let mut world = World::new([never("1")]);
        world.run_for(seconds(1));
        let apply =
            world.apply_confirming([never("2").behaves(steady().crashes_after(millis(10)))], seconds(60));
        world.run_for(seconds(1));
        let outcome = world.outcome(apply).unwrap();
        assert_eq!(outcome.gone_back.as_ref().unwrap().to_string(), "a was given up");
        assert_eq!((world.state("a").as_str(), world.runs("a")), ("up", 3));
    }

    #[test]
    fn a_first_failure_is_no_reason_to_go_back() {
        let shaky = with_argument("a", "2").behaves_by_run(|run| match run {
            1 | 2 => steady().crashes_after(millis(10)),
            _ => steady(),
        });
        let mut world = World::new([with_argument("a", "1").with(|spec| spec.start_delay = millis(50))]);
        world.run_for(seconds(1));
        let shaky = shaky.with(|spec| spec.start_delay = millis(50));
        let apply = world.apply_confirming([shaky], seconds(10));
        world.run_for(seconds(9));
        assert!(world.outcome(apply).unwrap().is_success());
    }

    #[test]
    fn another_one_ends_the_trial_and_would_go_back_to_what_was_there_before_the_first() {
        let never_ready =
            |argument| with_argument("a", argument).with(notifies).behaves(steady().never_ready());
        let mut world = World::new([with_argument("a", "1")]);
        world.run_for(seconds(1));
        let first = world.apply_confirming([never_ready("2")], seconds(10));
        world.run_for(seconds(1));
        let second = world.apply_confirming([never_ready("3")], seconds(10));
        world.run_for(seconds(20));
        assert!(world.outcome(second).unwrap().gone_back.is_some());
        assert!(world.outcome(first).unwrap().gone_back.is_none());
        assert_eq!(told(&world, [with_argument("a", "1")]), [""; 0]);
    }

    #[test]
    fn nobody_takes_over_while_it_is_open() {
        let changed = [with_argument("a", "2").with(notifies).behaves(steady().never_ready())];
        let mut world = World::new([with_argument("a", "1")]);
        world.apply_confirming(changed, seconds(10));
        assert!(!world.replace_supervisor(seconds(1)));
        world.run_for(seconds(11));
        assert!(world.replace_supervisor(seconds(1)));
    }

    #[test]
    fn whoever_does_not_wait_any_more_changes_nothing_by_that() {
        let changed = [with_argument("a", "2").with(notifies).behaves(steady().never_ready())];
        let mut world = World::new([with_argument("a", "1")]);
        let apply = world.apply_confirming(changed, seconds(10));
        world.forget(apply);
        world.run_for(seconds(11));
        assert!(world.outcome(apply).is_none());
        assert_eq!(told(&world, [with_argument("a", "1")]), [""; 0]);
    }

    /// It takes its time to stop, and so everything takes its time to go back.
    fn slow(argument: u32) -> Mock {
        with_argument("a", &argument.to_string()).behaves(steady().slow_to_stop(seconds(30)))
    }

    #[test]
    fn whoever_goes_away_while_everything_goes_back_is_not_answered_any_more() {
        let mut world = World::new([slow(0)]);
        let apply = world.apply_confirming([slow(1)], seconds(1));
        world.run_for(seconds(2));
        world.forget(apply);
        world.run_for(seconds(60));
        assert!(world.outcome(apply).is_none());
        assert_eq!(told(&world, [slow(0)]), [""; 0]);
    }

    #[test]
    fn several_that_go_back_at_once_are_each_answered() {
        let mut world = World::new([slow(0)]);
        let apply = |argument| {
            let apply = world.apply_confirming([slow(argument)], seconds(1));
            world.run_for(seconds(2));
            apply
        };
        let all: Vec<_> = (1..=4).map(apply).collect();
        world.run_for(seconds(60));
        assert!(all.iter().all(|apply| world.outcome(*apply).unwrap().gone_back.is_some()));
        assert_eq!((world.runs("a"), told(&world, [slow(0)]).len()), (2, 0));
    }
}

#[test]
fn a_supervisor_that_dies_in_the_midst_of_it_is_followed_by_one_that_goes_by_the_new_registry() {
    let slow = |argument| with_argument("a", argument).behaves(steady().slow_to_stop(seconds(3)));
    let mut world = World::new([slow("1"), Mock::new("gone").behaves(steady().slow_to_stop(seconds(3)))]);
    world.run_for(seconds(1));
    world.apply([slow("2"), Mock::new("new")]);
    world.run_for(seconds(1));
    world.kill_supervisor(millis(100));
    world.run_for(seconds(8));
    assert_eq!((world.state("a").as_str(), world.state("new").as_str()), ("up", "up"));
    assert_eq!(world.runs("a"), 2);
    assert!(!is_there(&world, "gone") && world.plan([slow("2"), Mock::new("new")]).is_empty());
}

#[test]
fn what_is_removed_does_not_take_along_which_restarts_the_budget_has_allowed() {
    let budget = RestartBudget { max: 1, within: seconds(100) };
    let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
    let mut world = World::under(["a", "b"].map(Mock::new), circumstances);
    world.run_for(seconds(1));
    world.crash("a");
    world.run_for(seconds(1));
    world.apply([Mock::new("b")]);
    world.run_for(seconds(1));
    world.kill_supervisor(seconds(1));
    world.crash("b");
    world.run_for(seconds(90));
    assert_eq!(world.runs("b"), 1, "the next token comes 100 seconds after the first");
    world.run_for(seconds(10));
    assert_eq!(world.runs("b"), 2);
}

#[test]
fn what_is_removed_leaves_nothing_to_write_down_where_no_restart_counts_any_more() {
    let budget = RestartBudget { max: 1, within: seconds(100) };
    let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
    let mut world = World::under(["a", "b"].map(Mock::new), circumstances);
    let trace = world.trace().len();
    world.apply([Mock::new("b")]);
    world.run_for(Duration::ZERO);
    assert!(!is_there(&world, "a"));
    assert!(world.trace()[trace..].iter().all(|line| !line.ends_with("Remember { key: 1 }")));
}

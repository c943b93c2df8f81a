//! What a changed registry does to components that run: rules, each in the simulated world.
#![expect(clippy::unwrap_used, reason = "a test, which fails where something is not as it should be")]

#[path = "common/simulated.rs"]
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use supervisor::testing::{Circumstances, Mock, World};
use supervisor::{
    Achieved, ComponentId, Condition, Dependency, EventKind, GuardAction, Health, Never, Probe, ProcessSpec,
    Readiness, ReadyWhen, Recipient, RequestError, RestartBudget, RestartGroup, Signal, Step, Strategy,
    Until,
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

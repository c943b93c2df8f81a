//! What is told of what happens, so that people can learn why: each fact in the simulated world.

use std::sync::Arc;
use std::time::Duration;

use supervisor::testing::{Behaviour, Circumstances, Mock, World};
use supervisor::{
    Achieved, Cleanup, Command, EventKind, Exit, ExitAction, ExitMatch, ExitRule, Fixed, GuardAction, Health,
    Probe, Readiness, ReadyWhen, Recipient, RestartBudget, Signal, Step, StepOf, WaitReason,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn steady() -> Behaviour {
    Behaviour::steady()
}

/// What is told of a component, as far as this picks it out.
fn told<T>(world: &World, name: &str, pick: impl Fn(&EventKind) -> Option<T>) -> Vec<T> {
    let its = world.events().iter().filter(|event| event.component.as_ref().is_some_and(|id| id == name));
    its.filter_map(|event| pick(&event.kind)).collect()
}

fn sent(kind: &EventKind) -> Option<bool> {
    if let EventKind::Exited { sent, .. } = kind { Some(*sent) } else { None }
}

fn killed() -> Exit {
    Exit::Signal { signal: 9, core_dumped: false }
}

#[test]
fn a_kill_by_somebody_else_is_told_from_one_of_ours() {
    let by_others = steady().ends_after(seconds(5), killed());
    let deaf = steady().ignores_stop();
    let mut world = World::new([
        Mock::new("shot").behaves_by_run(move |run| if run == 1 { by_others.clone() } else { steady() }),
        Mock::new("deaf").with(|spec| spec.stop_timeout = seconds(10)).behaves(deaf),
        Mock::new("good"),
    ]);
    world.run_for(seconds(6));
    assert_eq!(told(&world, "shot", sent), [false]);
    world.stop(["deaf", "good"]);
    world.run_for(seconds(11));
    assert_eq!(told(&world, "deaf", sent), [true], "it was killed because it had ignored the stop");
    assert_eq!(told(&world, "good", sent), [true], "by the stop signal");
}

#[test]
fn an_end_that_somebody_asked_for_is_told_from_one_by_itself_and_one_for_a_fault() {
    let hangs = |run| if run == 1 { steady().hangs_after(Duration::ZERO) } else { steady() };
    let mut world = World::new([
        Mock::new("stopped"),
        Mock::new("crashed"),
        Mock::new("judged").with(|spec| spec.watchdog = Some(seconds(5))).behaves_by_run(hangs),
    ]);
    world.run_for(seconds(10));
    world.stop("stopped");
    world.crash("crashed");
    let asked = ["stopped", "crashed", "judged"].map(|name| {
        told(
            &world,
            name,
            |kind| if let EventKind::Exited { asked, .. } = kind { Some(*asked) } else { None },
        )
    });
    assert_eq!(asked, [[true], [false], [false]]);
}

#[test]
fn a_signal_that_somebody_asked_for_is_named_and_was_sent_by_the_supervisor() {
    // The signals of this world change nothing by themselves.
    let dies = steady().ends_after(seconds(2), killed());
    let mut world = World::new([Mock::new("ps").behaves(dies), Mock::new("other")]);
    world.run_for(seconds(1));
    world.signal("ps", Signal::KILL);
    world.run_for(seconds(1));
    assert_eq!(told(&world, "ps", sent), [true]);
    let signals = told(&world, "ps", |kind| match kind {
        EventKind::Requested { verb, signal, .. } => Some((*verb, *signal)),
        _ => None,
    });
    assert_eq!(signals, [("signal", Some(Signal::KILL))]);
    // The next run has not been sent anything.
    world.run_for(seconds(2));
    assert_eq!(told(&world, "ps", sent), [true, false]);
}

#[test]
fn a_signal_of_ours_does_not_explain_an_end_by_another() {
    let mut world = World::new([Mock::new("ps")]);
    world.signal("ps", Signal::HUP);
    world.crash("ps");
    assert_eq!(told(&world, "ps", sent), [false]);
}

#[test]
fn what_a_program_says_of_itself_is_told_and_shown_when_it_changes() {
    let mut world = World::new([Mock::new("ps")]);
    for text in ["one", "two", "two"] {
        world.notify("ps", &format!("STATUS={text}"));
    }
    let notes = told(&world, "ps", |kind| match kind {
        EventKind::Noted { text, .. } => Some(text.to_string()),
        _ => None,
    });
    assert_eq!(notes, ["one", "two"]);
    assert_eq!(world.component("ps").note.as_deref(), Some("two"));
    world.crash("ps");
    assert_eq!(world.component("ps").note, None, "the next run has said nothing");
}

#[test]
fn the_rule_that_decides_after_an_end_is_told() {
    for (action, state) in
        [(ExitAction::Stop, "stopped"), (ExitAction::GiveUp, "failed"), (ExitAction::Restart, "up")]
    {
        let rule = ExitRule { exit: ExitMatch::Code(3), action };
        let ends = steady().ends_after(seconds(5), Exit::Code(3));
        let mut world = World::new([Mock::new("ps")
            .with(|spec| spec.exits = vec![rule])
            .behaves_by_run(move |run| if run == 1 { ends.clone() } else { steady() })]);
        world.run_for(seconds(7));
        assert_eq!(world.state("ps"), state);
        let rules = told(&world, "ps", |kind| match kind {
            EventKind::Ruled { run, rule } => Some((run.number(), *rule)),
            _ => None,
        });
        assert_eq!(rules, [(1, rule)]);
    }
}

#[test]
fn a_wait_for_the_budget_is_told_from_one_of_its_own() {
    let budget = RestartBudget { max: 1, within: seconds(60) };
    let circumstances = Circumstances { restart_budget: Some(budget), ..Circumstances::default() };
    let crashes = || steady().crashes_after(seconds(2));
    let mock = |name: &str| Mock::new(name).with(|spec| spec.restart = Arc::new(Fixed(seconds(1))));
    let mut world = World::under([mock("a").behaves(crashes()), mock("b").behaves(crashes())], circumstances);
    world.run_for(seconds(10));
    let waits = |name| {
        told(&world, name, |kind| match kind {
            EventKind::Backoff { why, .. } => Some(*why),
            _ => None,
        })
    };
    assert_eq!(
        waits("b"),
        [WaitReason::Itself, WaitReason::Budget],
        "it backs off for its own sake, and then for want of a token"
    );
    assert_eq!(waits("a")[0], WaitReason::Itself);
}

#[test]
fn the_state_of_one_that_is_not_well_counts_from_when_it_became_so() {
    let health = Health {
        probe: Probe::Tcp { host: "127.0.0.1".into(), port: 8080 },
        interval: seconds(10),
        timeout: seconds(2),
        failures: 1,
        start_after: Duration::ZERO,
        action: GuardAction::Report,
    };
    let mut world = World::new([Mock::new("ps").with(|spec| spec.health = Some(health))]);
    world.run_for(seconds(60));
    assert_eq!(world.component("ps").since, Duration::ZERO, "up");
    world.hang("ps");
    assert!(world.run_until(seconds(60), |world| world.state("ps") == "unhealthy"));
    assert_eq!(world.component("ps").since, world.now());
    let since = world.now();
    world.run_for(seconds(60));
    assert_eq!(world.component("ps").since, since, "each further failure changes nothing");
}

#[test]
fn a_reload_that_comes_too_early_is_told_so() {
    let readiness = Readiness { when: ReadyWhen::Notified, timeout: seconds(60) };
    let reload = Step::Run { command: Command::default(), timeout: seconds(5) };
    let mut world = World::new([Mock::new("ps")
        .with(|spec| (spec.reload, spec.readiness) = (vec![reload], Some(readiness)))
        .behaves(steady().ready_after(seconds(3)))]);
    let mut reload = || {
        let ticket = world.reload("ps");
        world.run_for(seconds(2));
        world.outcome(ticket).unwrap().components[0].1.clone()
    };
    assert_eq!(reload(), Achieved::Failed("it has not started yet".into()));
    reload();
    assert_eq!(reload(), Achieved::Done);
}

#[test]
fn a_signal_of_the_steps_of_a_stop_is_one_that_was_sent() {
    let quit = Step::Signal { signal: Signal::QUIT, wait: seconds(5), to: Recipient::Main };
    let mut world = World::new([Mock::new("ps")
        .with(|spec| spec.stop = vec![quit])
        .behaves(steady().stops_by(Signal::QUIT))]);
    world.run_for(seconds(2));
    world.stop("ps");
    world.run_for(seconds(2));
    let exits = told(&world, "ps", |kind| match kind {
        EventKind::Exited { exit, sent, .. } => Some((*exit, *sent)),
        _ => None,
    });
    assert_eq!(exits.len(), 1);
    let (exit, sent) = exits[0];
    assert_eq!(sent, exit.signal().is_some(), "{exit:?}");
}

#[test]
fn each_step_is_told_by_name_and_of_a_command_what_came_of_it() {
    let command = |program: &str| Command { program: program.into(), ..Command::default() };
    let run = |program: &str| Step::Run { command: command(program), timeout: seconds(5) };
    let signal = |signal| Step::Signal { signal, wait: seconds(1), to: Recipient::Group };
    let mock = Mock::new("ps").with(|spec| {
        spec.reload = vec![signal(Signal::HUP), run("/reload")];
        spec.watchdog = Some(seconds(10));
        spec.evidence = vec![signal(Signal::QUIT), run("/look")];
        spec.stop = vec![run("/ask"), signal(Signal::TERM)];
        spec.cleanup = Some(Cleanup { command: command("/clean"), timeout: seconds(5) });
    });
    let deaf = steady().hangs_after(seconds(5)).ignores_stop();
    let mut world =
        World::new([mock.behaves_by_run(move |run| if run == 1 { deaf.clone() } else { steady() })]);
    world.reload("ps");
    world.run_for(seconds(30));
    let steps = told(&world, "ps", |kind| match kind {
        EventKind::Step { of, step, result, .. } => {
            Some((*of, step.to_string(), result.as_ref().map(Result::is_ok)))
        }
        _ => None,
    });
    let steps: Vec<_> = steps.iter().map(|(of, step, result)| (*of, step.as_str(), *result)).collect();
    let ended = Some(true);
    assert_eq!(
        steps,
        [
            (StepOf::Reload, "SIGHUP", None),
            (StepOf::Reload, "/reload", None),
            (StepOf::Reload, "/reload", ended),
            (StepOf::Evidence, "SIGQUIT", None),
            (StepOf::Evidence, "/look", None),
            (StepOf::Evidence, "/look", ended),
            (StepOf::Stop, "/ask", None),
            (StepOf::Stop, "/ask", ended),
            (StepOf::Stop, "SIGTERM", None),
            (StepOf::Cleanup, "/clean", None),
            (StepOf::Cleanup, "/clean", ended),
        ]
    );
}

#[test]
fn the_stop_signal_that_nobody_has_specified_is_not_told_as_a_step_but_evidence_is() {
    let quit = Step::Signal { signal: Signal::QUIT, wait: seconds(1), to: Recipient::Group };
    let mock = Mock::new("ps").with(|spec| (spec.evidence, spec.stop_timeout) = (vec![quit], seconds(5)));
    let mut world = World::new([mock.behaves(steady().ignores_stop())]);
    world.stop("ps");
    world.run_for(seconds(10));
    let steps = told(&world, "ps", |kind| match kind {
        EventKind::Step { of, .. } => Some(*of),
        _ => None,
    });
    assert_eq!(steps, [StepOf::Evidence]);
}

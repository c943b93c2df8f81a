//! What cannot be brought about in the simulated world, or not be seen there.

use std::sync::Arc;

use super::*;
use crate::output::LogSettings;
use crate::plan::Setup;
use crate::request::{Dependants, RequestError};
use crate::run::Exit;
use crate::spec::{Output, Stderr};

fn spec(name: &str, argument: &str) -> ProcessSpec {
    let mut spec = ProcessSpec::new(name, "/mock").expect("a name");
    spec.arguments = vec![argument.into()];
    spec
}

/// A core of these components that has begun.
fn core(specs: Vec<ProcessSpec>, rules: Rules) -> Core {
    let mut core = Core::new(specs, Vec::new(), rules, 0);
    core.step(Duration::ZERO, Input::Begin);
    core
}

fn ask(core: &mut Core, ask: Ask) -> Vec<Action> {
    core.step(Duration::ZERO, Input::Request { request: RequestId(1), ask, by: "somebody".into() })
}

fn refused(why: RequestError) -> [Action; 1] {
    [Action::Refused { request: RequestId(1), why }]
}

#[test]
fn who_has_looked_up_one_that_is_there_no_more_is_refused() {
    let mut core = core(vec![spec("a", "")], Rules::default());
    assert_eq!(
        ask(&mut core, Ask::Stop { keys: vec![0, 1], dependants: Dependants::Leave }),
        refused(RequestError::Changed)
    );
    assert_eq!(core.status_of(Duration::ZERO, &[0])[0].state.word(), "starting");
}

#[test]
fn nobody_leaves_runs_that_could_not_go_on() {
    let mut forgetful = core(Vec::new(), Rules::default());
    assert_eq!(ask(&mut forgetful, Ask::Leave), refused(RequestError::Forgetful));
    let mut bound = core(Vec::new(), Rules { remembers: true, ends_with_us: true, ..Rules::default() });
    assert_eq!(ask(&mut bound, Ask::Leave), refused(RequestError::Bound));
}

#[test]
fn the_order_before_a_change_is_kept_until_all_have_stopped_by_it_and_no_longer() {
    let mut core = core(vec![spec("a", "1")], Rules::default());
    let run = RunId { component: 0, number: 1 };
    core.step(Duration::ZERO, Input::Spawned { run, pid: 1 });
    let setup = Setup { components: vec![spec("a", "2")], ..Setup::default() };
    ask(&mut core, Ask::Apply { setup: Arc::new(setup), confirm: None });
    assert!(core.old_order.is_some());
    core.step(Duration::ZERO, Input::Exited { run, exit: Exit::Code(0), peak_memory: None });
    core.step(Duration::ZERO, Input::Gone { run });
    assert!(core.old_order.is_none());
}

#[test]
fn what_has_come_of_a_rotation_is_told_once_for_each_component() {
    let spec = |name| ProcessSpec {
        output: Output::File { log: LogSettings::new("a.log"), stderr: Stderr::Join },
        ..spec(name, "")
    };
    let mut core = core(vec![spec("a"), spec("b")], Rules::default());
    ask(&mut core, Ask::Rotate(vec![0, 1]));
    let results = [(0, Ok(true)), (0, Err("too late".into())), (1, Ok(false))];
    let mut answers = results.map(|(key, result)| {
        core.step(Duration::ZERO, Input::Rotated { request: RequestId(1), key, result })
    });
    let Some(Action::Done { outcome, .. }) = answers[2].pop() else { panic!("it is not answered") };
    let achieved: Vec<_> = outcome.components.into_iter().map(|(_, achieved)| achieved).collect();
    assert_eq!(achieved, [Achieved::Done, Achieved::AlreadySo]);
}

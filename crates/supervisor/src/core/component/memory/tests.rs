use super::*;
use crate::core::{Action, Ask, Core, Input, RequestId, Rules};
use crate::request::Dependants;
use crate::spec::{Cleanup, Command, ProcessSpec};

#[test]
fn a_wait_that_was_written_down_without_saying_for_what_is_one_for_a_restart() {
    let wait = r#"{"Backoff":{"until":{"secs":1,"nanos":0},"in_a_row":2}}"#;
    let expected = Life::Backoff { until: Duration::from_secs(1), in_a_row: 2, restart: true };
    assert_eq!(serde_json::from_str::<Life>(wait).expect("a record"), expected);
}

fn spec(name: &str) -> ProcessSpec {
    ProcessSpec::new(name, "/mock").expect("a name")
}

fn core(specs: impl Into<Vec<ProcessSpec>>) -> Core {
    Core::new(specs.into(), Vec::new(), Rules::default(), 0)
}

/// What is remembered of a component to which this has happened since supervision began.
fn memory_after(inputs: impl IntoIterator<Item = Input>) -> Memory {
    let mut spec = spec("a");
    // So that the run of one that has ended goes on.
    spec.cleanup = Some(Cleanup { command: Command::default(), timeout: Duration::from_secs(5) });
    let mut core = core([spec]);
    for input in std::iter::once(Input::Begin).chain(inputs) {
        core.step(Duration::ZERO, input);
    }
    core.memory(0)
}

/// The run that another supervisor begins which finds no process, and what is remembered then.
fn begun_from(memory: Memory) -> (Option<u64>, Memory) {
    let mut core = core([spec("a")]);
    core.step(Duration::ZERO, Input::Recalled { key: 0, memory: Box::new(memory), found: Found::Nothing });
    let begun = core.step(Duration::ZERO, Input::Begin).into_iter().find_map(|action| match action {
        Action::Spawn { run } => Some(run.number),
        _ => None,
    });
    (begun, core.memory(0))
}

#[test]
fn a_run_that_never_came_to_be_is_begun_again_if_it_is_wanted() {
    let begun_after = |inputs: Vec<Input>| {
        let (begun, memory) = begun_from(memory_after(inputs));
        (begun, memory.restarts)
    };
    let run = RunId { component: 0, number: 1 };
    assert_eq!(begun_after(vec![]), (Some(2), 0));
    let ask = Ask::Stop { keys: vec![0], dependants: Dependants::Leave };
    let stop = Input::Request { request: RequestId(1), ask, by: "somebody".into() };
    assert_eq!(begun_after(vec![stop]), (None, 0));
    // It has ended before anybody heard that it lived: then the next one is a restart.
    let exited = Input::Exited { run, exit: Exit::Code(1), peak_memory: None };
    assert_eq!(begun_after(vec![exited, Input::Gone { run }]), (Some(2), 1));
}

#[test]
fn what_had_waited_for_its_turn_is_begun_unless_nobody_wants_it_any_more() {
    let life = Life::Queued { restart: true };
    let waits = Memory { wanted: true, runs: 7, restarts: 3, life, ..Memory::default() };
    assert_eq!((waits.runs(), waits.run(), waits.has_started()), (7, None, false));
    let (begun, memory) = begun_from(waits.clone());
    assert_eq!((begun, memory.restarts), (Some(8), 4));
    let (begun, memory) = begun_from(waits.unwanted());
    assert_eq!((begun, memory.runs(), memory.restarts), (None, 7, 3));
}

#[test]
fn the_last_run_its_process_and_whether_it_has_started_are_told() {
    let spawned = Input::Spawned { run: RunId { component: 0, number: 1 }, pid: 42 };
    let told = |memory: Memory| (memory.run(), memory.has_started());
    assert_eq!(told(memory_after([])), (Some((1, None)), false));
    assert_eq!(told(memory_after([spawned])), (Some((1, Some(42))), true));
}

#[test]
fn runs_are_those_of_the_component_though_it_has_another_key_now() {
    let mut before = core(["a", "b"].map(spec));
    let run = RunId { component: 0, number: 1 };
    for input in [
        Input::Begin,
        Input::Spawned { run, pid: 1 },
        Input::Exited { run, exit: Exit::Code(1), peak_memory: None },
        Input::Gone { run },
    ] {
        before.step(Duration::ZERO, input);
    }
    before.step(Duration::ZERO, Input::Spawned { run: RunId { number: 2, ..run }, pid: 2 });
    let memory = Box::new(before.memory(0));
    assert_eq!(memory.record.essence().0, Some(run));
    let mut after = core(["b", "a"].map(spec));
    let found = Found::Alive { number: 2, pid: 2, is_outdated: false };
    after.step(Duration::ZERO, Input::Recalled { key: 1, memory, found });
    let memory = after.memory(1);
    assert_eq!(memory.record.essence().0, Some(RunId { component: 1, number: 1 }));
    let Life::Running { run, .. } = memory.life else { panic!("{memory:?}") };
    assert_eq!(run.id, RunId { component: 1, number: 2 });
}

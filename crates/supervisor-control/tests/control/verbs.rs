//! Signals, reloads, resets, waits, and what components need of each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::json;
use supervisor::{
    ComponentId, Condition, Dependants, Dependency, EventKind, LogSettings, Output, ProcessSpec, Recipient,
    Signal, Stderr, Step, Until,
};
use supervisor_control::wire::OutcomeKind;
use supervisor_control::{Action, Client, ClientError, Server, Wait};

use crate::common::{Running, SOON, get, post, shell, steady};

fn names<const N: usize>(names: [&str; N]) -> [String; N] {
    names.map(str::to_owned)
}

fn off(mut spec: ProcessSpec) -> ProcessSpec {
    spec.autostart = false;
    spec
}

/// A component that needs this one.
fn needing(id: &str, on: &str) -> ProcessSpec {
    let mut spec = steady(id);
    spec.depends_on = vec![Dependency { on: ComponentId::new(on).unwrap(), condition: Condition::Ready }];
    spec
}

#[test]
fn a_signal_goes_to_one_by_its_path_or_to_several_and_only_to_what_runs() {
    let running = Running::with([steady("a"), steady("b"), off(steady("c"))]);
    running.client().act(Action::WaitFor(Until::Ready), Some(&names(["a", "b"])), Wait::For(SOON)).unwrap();
    let events = running.supervisor.as_ref().unwrap().handle().subscribe().unwrap();
    let answer = running.ask(&post("/v1/components/a/signal", r#"{"signal": "KILL"}"#));
    assert_eq!((answer.status, &answer.body["components"][0]["result"]), (200, &json!("done")));
    while !matches!(events.recv_timeout(SOON).unwrap().kind, EventKind::Exited { asked: false, .. }) {}

    let some = Some(&names(["b", "c"])[..]);
    let outcome = running.client().act(Action::Signal(Signal::HUP), some, Wait::Forever).unwrap();
    let results: Vec<_> = outcome.components.iter().map(|one| one.result).collect();
    assert_eq!(results, [OutcomeKind::Done, OutcomeKind::NotRunning]);
}

#[test]
fn a_reload_is_refused_where_nothing_says_how_and_done_where_something_does() {
    let mut reloads = steady("reloads");
    reloads.reload = vec![Step::Signal {
        signal: Signal::from_name("CONT").unwrap(),
        to: Recipient::Main,
        wait: Duration::ZERO,
    }];
    let running = Running::with([reloads, steady("ps")]);
    let client = running.client();
    client.act(Action::WaitFor(Until::Started), None, Wait::For(SOON)).unwrap();
    let refused = running.ask(&post("/v1/reload", ""));
    assert!(refused.problem(409).contains("ps has no <reload>"));
    let outcome = client.act(Action::Reload, Some(&names(["reloads"])), Wait::Forever).unwrap();
    assert_eq!(outcome.components[0].result, OutcomeKind::Done);
}

#[test]
fn files_of_the_output_end_where_there_are_any_and_the_own_log_is_the_affair_of_the_host() {
    let mut stored = steady("stored");
    let folder = tempfile::tempdir().unwrap();
    let log = LogSettings::new(folder.path().join("stored.log"));
    std::fs::write(&log.path, "one\n").unwrap();
    stored.output = Output::File { log, stderr: Stderr::Join };
    let mut silent = steady("silent");
    silent.output = Output::Null;
    let running = Running::with([stored, silent]);
    let answer = running.ask(&post("/v1/components/stored/rotate", ""));
    assert_eq!((answer.status, &answer.body["components"][0]["result"]), (200, &json!("done")));
    let outcome = running.client().act(Action::Rotate, None, Wait::Forever).unwrap();
    assert!(outcome.is_success());
    let silent = outcome.components.iter().find(|one| one.id == "silent").unwrap();
    assert_eq!(silent.message.as_deref(), Some("its output is not stored"));

    let error = running.client().rotate_log().unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");
    let socket = running.folder.path().join("another.sock");
    let server = Server::builder(running.supervisor.as_ref().unwrap().handle());
    let _server = server.own_log(|| Ok(true)).bind(&socket).unwrap();
    assert_eq!(Client::connect(&socket).unwrap().rotate_log().unwrap().result, OutcomeKind::Done);
}

#[test]
fn the_trace_level_is_the_affair_of_the_host_and_refused_where_it_has_none() {
    let running = Running::with([]);
    let error = running.client().trace_level().unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");

    let level = Arc::new(AtomicU8::new(2));
    let socket = running.folder.path().join("another.sock");
    let _server = Server::builder(running.supervisor.as_ref().unwrap().handle())
        .trace_level(move |asked, by| {
            assert!(by.starts_with("user "), "{by}");
            asked.inspect(|&asked| level.store(asked, Ordering::Relaxed));
            level.load(Ordering::Relaxed)
        })
        .bind(&socket)
        .unwrap();
    let client = Client::connect(&socket).unwrap();
    assert_eq!(client.trace_level().unwrap(), 2);
    assert_eq!(client.set_trace_level(4).unwrap(), 4);
    for level in [0, 5] {
        let error = client.set_trace_level(level).unwrap_err();
        assert!(matches!(error, ClientError::Refused { status: 400, .. }), "{error}");
    }
    assert_eq!(client.trace_level().unwrap(), 4);
}

#[test]
fn a_reset_forgets_and_starts_nothing() {
    let mut fails = shell("fails", "exit 3");
    fails.restart = std::sync::Arc::new(supervisor::Never);
    fails.start_delay = Duration::from_secs(1000);
    let running = Running::with([fails]);
    let client = running.client();
    let start = client.act(Action::Start, None, Wait::Forever).unwrap();
    assert!(!start.is_success());
    assert_eq!(client.status(&[]).unwrap().components[0].state, "failed");
    let reset = client.act(Action::Reset, None, Wait::Forever).unwrap();
    assert_eq!(reset.components[0].result, OutcomeKind::Done);
    let after = &client.status(&[]).unwrap().components[0];
    assert_eq!((after.state.as_str(), after.wanted), ("stopped", false));
    let again = running.ask(&post("/v1/components/fails/reset", ""));
    assert_eq!(again.body["components"][0]["result"], "already");
}

#[test]
fn a_wait_is_answered_when_it_is_so_and_forgotten_when_nobody_waits_any_more() {
    let running = Running::with([off(steady("ps"))]);
    let mut waiting = running.connect();
    waiting.send(post("/v1/components/ps/wait", r#"{"until": "started"}"#));
    assert_eq!(running.ask(&post("/v1/wait?timeout=0.01", "")).status, 202);
    assert_eq!(running.ask(&post("/v1/wait", r#"{"until": "stopped"}"#)).status, 200);

    // Of those that went away, as many as may be open at once, and more: eight at a time.
    for _ in 0..130 {
        let mut gone: Vec<_> = (0..8).map(|_| running.connect()).collect();
        gone.iter_mut().for_each(|connection| connection.send(post("/v1/wait", "")));
        // Each is taken up before it goes away: the server answers in the order in which requests come.
        running.ask(&get("/v1/components"));
    }
    let outcome = running.client().act(Action::Start, None, Wait::Forever).unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(waiting.answer().unwrap().status, 200);
}

#[test]
fn a_stop_is_refused_with_the_names_of_those_who_need_it_unless_told_otherwise() {
    let running = Running::with([steady("is"), needing("ps", "is")]);
    let client = running.client();
    client.act(Action::WaitFor(Until::Ready), None, Wait::For(SOON)).unwrap();
    let refused = running.ask(&post("/v1/components/is/stop", ""));
    assert!(refused.problem(409).contains("ps runs and depends on is"));
    assert_eq!(refused.body["dependants"], json!(["ps"]));
    let is = names(["is"]);
    let error = client.act(Action::Stop, Some(&is), Wait::Forever).unwrap_err();
    assert!(matches!(error, ClientError::HasDependants { dependants, .. } if dependants == ["ps"]));

    let alone = client.act(Action::StopWith(Dependants::Leave), Some(&is), Wait::Forever).unwrap();
    assert_eq!(alone.components.len(), 1);
    assert_eq!(client.status(&names(["ps"])).unwrap().components[0].state, "up");
    client.act(Action::Start, Some(&is), Wait::Forever).unwrap();

    let both = client.act(Action::StopWith(Dependants::Stop), Some(&is), Wait::Forever).unwrap();
    let told: Vec<_> = both.components.iter().map(|one| (one.id.as_str(), one.asked)).collect();
    assert_eq!((told, both.is_success()), (vec![("is", true), ("ps", false)], true));

    let both = client.act(Action::Start, Some(&names(["ps"])), Wait::Forever).unwrap();
    let told: Vec<_> = both.components.iter().map(|one| (one.id.as_str(), one.asked)).collect();
    assert_eq!((told, both.is_success()), (vec![("is", false), ("ps", true)], true));
}

#[test]
fn what_waits_for_somebody_who_is_not_there_says_for_whom_and_what_that_one_does() {
    let mut fails = shell("is", "exit 3");
    fails.restart = std::sync::Arc::new(supervisor::Never);
    fails.start_delay = Duration::from_secs(1000);
    let running = Running::with([off(fails), off(needing("ps", "is"))]);
    let answer = running.ask(&post("/v1/components/ps/start", ""));
    assert_eq!(answer.status, 409);
    let ps = &answer.body["components"][1];
    assert_eq!((&ps["result"], &ps["message"]), (&json!("blocked"), &json!("waits for is: failed")));
    let ps = running.ask(&get("/v1/components/ps")).body;
    assert_eq!(
        (&ps["state"], &ps["waitingFor"], &ps["waitingForState"]),
        (&json!("waiting"), &json!("is"), &json!("failed"))
    );
}

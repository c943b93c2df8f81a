//! What can be asked for, and what comes of it.

use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use supervisor::EventKind;
use supervisor_control::wire::{OutcomeDocument, OutcomeKind};
use supervisor_control::{Action, Client, ClientError, Wait};

use crate::common::{Running, SOON, Stubborn, get, post, shell, steady};

/// The names, as the client takes them.
fn names<const N: usize>(names: [&str; N]) -> [String; N] {
    names.map(str::to_owned)
}

fn results(outcome: &OutcomeDocument) -> Vec<(&str, OutcomeKind)> {
    outcome.components.iter().map(|component| (component.id.as_str(), component.result)).collect()
}

fn start_all(running: &Running) {
    let outcome = running.client().act(Action::Start, None, Wait::For(SOON)).unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
}

#[test]
fn status_tells_the_supervisor_and_its_components_in_start_order() {
    let mut second = steady("a");
    second.start_priority = 2;
    second.description = "The second".to_owned();
    let mut off = steady("off");
    off.autostart = false;
    off.start_priority = 3;
    let running = Running::with([off, second, steady("b")]);
    let outcome = running.client().act(Action::Start, Some(&names(["a", "b"])), Wait::For(SOON)).unwrap();
    assert!(outcome.is_success(), "{outcome:?}");

    let answer = running.ask(&get("/v1/status"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let supervisor = &answer.body["supervisor"];
    assert_eq!(supervisor["pid"], std::process::id());
    assert_eq!(supervisor["version"], "9.8.7");
    assert_eq!(supervisor["registry"], "/etc/image serving/registry.xml");
    assert_eq!(supervisor["conditions"], json!([]));
    assert!(supervisor["uptime"].as_f64().unwrap() < 60.0);

    let components = answer.body["components"].as_array().unwrap();
    let ids: Vec<_> = components.iter().map(|component| component["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["b", "a", "off"]);
    let up = &components[1];
    assert_eq!(up["description"], "The second");
    assert_eq!((&up["state"], &up["detail"], &up["wanted"]), (&json!("up"), &Value::Null, &json!(true)));
    assert!(up["pid"].as_u64().unwrap() > 1);
    assert!(up["uptime"].as_f64().unwrap() < 60.0);
    // A program that has just been executed may have touched next to nothing yet.
    assert!(up["memory"].is_u64());
    assert!(up["cpu"].as_f64().unwrap() < 60.0);
    assert_eq!((&up["restarts"], &up["lastExit"]), (&json!(0), &Value::Null));
    let since: SystemTime =
        chrono::DateTime::parse_from_rfc3339(up["since"].as_str().unwrap()).unwrap().into();
    assert!(up["since"].as_str().unwrap().ends_with('Z'));
    // The wall clock may have been set back by a little.
    let age = since.elapsed().unwrap_or_else(|ahead| ahead.duration());
    assert!(age < Duration::from_secs(60), "{age:?}");
    let off = components[2].as_object().unwrap();
    assert_eq!((&off["state"], &off["wanted"]), (&json!("stopped"), &json!(false)));
    for absent in
        ["description", "detail", "pid", "uptime", "memory", "cpu", "lastExit", "nextTry", "survivors"]
    {
        assert_eq!(off[absent], Value::Null, "{absent}");
    }
    assert_eq!(running.client().supervisor_pid(), Some(std::process::id()));
}

#[test]
fn status_and_components_can_be_asked_of_some_only() {
    let running = Running::with([steady("web-1"), steady("web-2"), steady("ps")]);
    let ids = |body: &Value| -> Vec<String> {
        let components = body.as_array().unwrap().iter();
        components.map(|component| component["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&running.ask(&get("/v1/status?id=ps&id=web-1")).body["components"]), ["web-1", "ps"]);
    assert_eq!(ids(&running.ask(&get("/v1/components")).body), ["web-1", "web-2", "ps"]);
    assert_eq!(ids(&running.ask(&get("/v1/components?id=web-*")).body), ["web-1", "web-2"]);
    assert_eq!(running.ask(&get("/v1/components/ps")).body["id"], "ps");
    assert_eq!(running.ask(&get("/v1/components/%70s")).body["id"], "ps");
    let detail = running.ask(&get("/v1/components/web-*"));
    assert!(detail.problem(404).contains("2 components"));
    let status = running.client().status(&names(["web-2", "p*"])).unwrap();
    assert_eq!(status.components.len(), 2);
}

#[test]
fn start_stop_and_restart_wait_until_it_is_so() {
    let running = Running::with([steady("ps"), steady("is")]);
    let client = running.client();
    start_all(&running);
    let pids = || client.status(&[]).unwrap().components.into_iter().map(|one| one.pid).collect::<Vec<_>>();
    let before = pids();

    let outcome = client.act(Action::Start, Some(&names(["ps"])), Wait::Forever).unwrap();
    assert_eq!(results(&outcome), [("ps", OutcomeKind::Already)]);

    let outcome = client.act(Action::Restart, Some(&names(["ps"])), Wait::Forever).unwrap();
    assert_eq!(results(&outcome), [("ps", OutcomeKind::Done)]);
    let after = pids();
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1], before[1]);

    let outcome = client.act(Action::Stop, Some(&names(["p*"])), Wait::Forever).unwrap();
    assert_eq!(results(&outcome), [("ps", OutcomeKind::Done)]);
    let stopped = &client.status(&names(["ps"])).unwrap().components[0];
    assert_eq!((stopped.state.as_str(), stopped.pid, stopped.wanted), ("stopped", None, false));
    assert_eq!(stopped.last_exit.as_ref().unwrap().signal.as_deref(), Some("TERM"));

    let outcome = client.act(Action::Stop, None, Wait::Forever).unwrap();
    assert!(outcome.is_success());
    assert_eq!(pids(), [None, None]);
}

#[test]
fn a_component_is_acted_on_by_its_own_path() {
    let running = Running::with([steady("ps")]);
    start_all(&running);
    let answer = running.ask(&post("/v1/components/ps/stop", ""));
    assert_eq!(answer.status, 200);
    let done = json!({"id": "ps", "asked": true, "result": "done", "message": null, "waitingFor": null,
        "waitingForState": null, "pids": null});
    assert_eq!(
        answer.body,
        json!({"finished": true, "components": [done], "givenUp": null, "goneBack": null})
    );
    let answer = running.ask(&post("/v1/components/ps/stop", "{}"));
    assert_eq!(answer.body["components"][0]["result"], "already");
    assert_eq!(running.ask(&post("/v1/components/ps/start", "")).status, 200);
    assert_eq!(running.ask(&post("/v1/components/ps/restart?wait=true", "")).status, 200);
    assert_eq!(running.ask(&get("/v1/components/ps")).body["state"], "up");
}

#[test]
fn what_is_not_waited_for_goes_on() {
    let taken_up = json!({"finished": false, "components": [], "givenUp": null, "goneBack": null});
    let (_running, client) = loop {
        let mut stubborn = Stubborn::new("ps");
        let running = Running::with([stubborn.spec(Duration::from_secs(2))]);
        stubborn.wait_until_it_ignores_the_stop_signal();
        let client = running.client();
        let since = Instant::now();
        let first = running.ask(&post("/v1/stop?wait=false", ""));
        let second = running.ask(&post("/v1/stop?timeout=0.01", ""));
        let status = client.status(&[]).unwrap();
        let third = client.act(Action::Stop, None, Wait::For(Duration::from_millis(10))).unwrap();
        // Whoever asks for a stop again after a second has it killed at once: that is another story.
        if since.elapsed() > Duration::from_secs(1) {
            continue;
        }
        for answer in [first, second] {
            assert_eq!((answer.status, &answer.body), (202, &taken_up));
        }
        let stopping = &status.components[0];
        assert_eq!((stopping.state.as_str(), stopping.wanted), ("stopping", false));
        assert!(stopping.detail.as_ref().unwrap().starts_with("stopping "));
        assert!(!third.finished);
        break (running, client);
    };

    // Whoever waits at last sees it done.
    let outcome = client.act(Action::Stop, None, Wait::Forever).unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(client.status(&[]).unwrap().components[0].state, "stopped");
}

#[test]
fn a_client_that_goes_away_while_it_waits_does_not_take_its_request_back() {
    let mut stubborn = Stubborn::new("ps");
    let running = Running::with([stubborn.spec(Duration::from_millis(300))]);
    stubborn.wait_until_it_ignores_the_stop_signal();
    let events = running.supervisor.as_ref().unwrap().handle().subscribe().unwrap();
    let mut connection = running.connect();
    connection.send(post("/v1/stop", ""));
    let is_stopping = |kind: &EventKind| matches!(kind, EventKind::Stopping { .. });
    while !is_stopping(&events.recv_timeout(SOON).unwrap().kind) {}
    drop(connection);
    while events.recv_timeout(SOON).unwrap().kind != EventKind::Stopped {}
    assert_eq!(running.client().status(&[]).unwrap().components[0].state, "stopped");
}

#[test]
fn a_request_is_made_in_the_name_of_who_connected() {
    let running = Running::with([steady("ps")]);
    let events = running.supervisor.as_ref().unwrap().handle().subscribe().unwrap();
    running.client().act(Action::Restart, None, Wait::Forever).unwrap();
    let by = loop {
        if let EventKind::Requested { by, verb: "restart", .. } = events.recv_timeout(SOON).unwrap().kind {
            break by;
        }
    };
    assert!(by.starts_with("user "), "{by}");
    assert!(by.ends_with(&format!(" (pid {})", std::process::id())), "{by}");
}

#[test]
fn a_start_that_fails_is_told_with_its_reason() {
    let missing = supervisor::ProcessSpec::new("missing", "/nowhere/to/be/found").unwrap();
    let mut short = shell("short", "exit 7");
    short.start_delay = Duration::from_secs(100);
    short.restart = std::sync::Arc::new(supervisor::Fixed(Duration::from_secs(1000)));
    let mut components = [missing, short];
    components.iter_mut().for_each(|spec| spec.autostart = false);
    let running = Running::with(components);

    let answer = running.ask(&post("/v1/components/missing/start", ""));
    assert_eq!((answer.status, answer.header("content-type")), (409, Some("application/json")));
    assert_eq!(answer.body["components"][0]["result"], "failedStart");
    assert!(answer.body["components"][0]["message"].as_str().unwrap().contains("/nowhere/to/be/found"));

    let outcome = running.client().act(Action::Start, Some(&names(["short"])), Wait::Forever).unwrap();
    assert!(!outcome.is_success());
    assert_eq!(results(&outcome), [("short", OutcomeKind::FailedStart)]);
    assert_eq!(outcome.components[0].message.as_deref(), Some("exit code 7"));
    let short = running.ask(&get("/v1/components/short")).body;
    assert_eq!(
        (&short["state"], &short["wanted"], &short["inARow"]),
        (&json!("backoff"), &json!(true), &json!(1))
    );
    assert!((900.0..=1000.0).contains(&short["nextTry"].as_f64().unwrap()), "{short}");
    assert!(short["detail"].as_str().unwrap().starts_with("backoff 16m"), "{short}");
    assert_eq!(
        short["lastExit"],
        json!({"code": 7, "signal": null, "coreDumped": false, "message": "exit code 7"})
    );
}

#[test]
fn a_start_that_is_stopped_by_somebody_else_is_overtaken() {
    let mut slow = steady("slow");
    (slow.autostart, slow.start_delay) = (false, Duration::from_secs(100));
    let running = Running::with([slow]);
    let events = running.supervisor.as_ref().unwrap().handle().subscribe().unwrap();
    let mut starting = running.connect();
    starting.send(post("/v1/start", r#"{"components": ["slow"]}"#));
    while !matches!(events.recv_timeout(SOON).unwrap().kind, EventKind::Spawned { .. }) {}
    assert_eq!(running.ask(&get("/v1/components/slow")).body["state"], "starting");
    assert_eq!(running.ask(&post("/v1/stop", r#"{"components": ["slow"]}"#)).status, 200);
    let answer = starting.answer().unwrap();
    assert_eq!((answer.status, &answer.body["components"][0]["result"]), (409, &json!("overtaken")));
}

#[test]
fn an_unknown_component_is_refused_with_a_suggestion_and_nothing_is_touched() {
    let running = Running::with([steady("ps"), steady("svg")]);
    start_all(&running);
    for request in [
        get("/v1/components/svgg"),
        get("/v1/status?id=svgg"),
        post("/v1/components/svgg/stop", ""),
        post("/v1/stop", r#"{"components": ["ps", "svgg"]}"#),
    ] {
        let answer = running.ask(&request);
        let detail = answer.problem(404);
        assert!(detail.contains("\"svgg\"") && detail.contains("\"svg\""), "{detail}");
    }
    let error = running.client().act(Action::Stop, Some(&names(["ps", "é &=%"])), Wait::No).unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 404, detail } if detail.contains("é &=%")));
    let error = running.client().status(&names(["é &=%"])).unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 404, detail } if detail.contains("é &=%")));
    assert!(running.client().status(&[]).unwrap().components.iter().all(|one| one.wanted));
}

#[test]
fn no_names_are_nobody_and_absent_names_are_everybody() {
    let running = Running::with([steady("ps"), steady("svg")]);
    start_all(&running);
    let nobody = running.ask(&post("/v1/stop", r#"{"components": []}"#));
    assert_eq!(
        (nobody.status, &nobody.body["finished"], &nobody.body["components"]),
        (200, &json!(true), &json!([]))
    );
    assert!(running.client().status(&[]).unwrap().components.iter().all(|one| one.wanted));
    for (everybody, result) in [(r#"{"components": null}"#, "done"), ("{}", "already"), ("", "already")] {
        let answer = running.ask(&post("/v1/stop", everybody));
        assert_eq!(answer.body["components"][0]["result"], result, "{everybody}");
        assert_eq!(answer.body["components"][1]["result"], result, "{everybody}");
    }
}

#[test]
fn what_is_not_understood_is_refused_and_nothing_is_touched() {
    let running = Running::with([steady("ps")]);
    for (path, body) in [
        ("/v1/stop", "{"),
        ("/v1/stop", "[]"),
        ("/v1/stop", r#"{"component": ["ps"]}"#),
        ("/v1/stop", r#"{"components": "ps"}"#),
        ("/v1/stop", r#"{"components": ["ps"]} {}"#),
        ("/v1/stop", "\u{0}"),
        ("/v1/components/ps/stop", r#"{"components": ["ps"]}"#),
        ("/v1/components/ps/stop", r#"{"dependants": "ignore"}"#),
        ("/v1/components/ps/start", r#"{"dependants": "stop"}"#),
        ("/v1/components/ps/signal", ""),
        ("/v1/components/ps/signal", r#"{"signal": "SIGNAL"}"#),
        ("/v1/components/ps/signal", r#"{"signal": "65"}"#),
        ("/v1/components/ps/signal", r#"{"signal": 1}"#),
        ("/v1/signal", r#"{"components": ["ps"]}"#),
        ("/v1/wait", r#"{"until": "up"}"#),
        ("/v1/reload", r#"{"until": "ready"}"#),
        ("/v1/shutdown", r#"{"immediatly": true}"#),
        ("/v1/stop?wait=maybe", ""),
        ("/v1/stop?timeout=-1", ""),
        ("/v1/stop?timeout=NaN", ""),
        ("/v1/stop?timeout=soon", ""),
        ("/v1/stop?timout=5", ""),
        ("/v1/components/%FF/stop", ""),
    ] {
        assert!(!running.ask(&post(path, body)).problem(400).is_empty(), "{path} {body}");
    }
    running.ask(&get("/v1/status?name=ps")).problem(400);
    let names = (0..10_001).map(|number| format!("ps{number}"));
    let globs = (0..101).map(|number| format!("ps*{number}"));
    for many in [names.collect::<Vec<_>>(), globs.collect()] {
        running.ask(&post("/v1/stop", &json!({ "components": many }).to_string())).problem(400);
    }

    let form = post("/v1/stop", r#"{"components": ["ps"]}"#);
    let form = form.replace("application/json", "application/x-www-form-urlencoded");
    running.ask(&form).problem(415);
    running.ask(&form.replace("Content-Type", "X-Other")).problem(415);
    for nowhere in
        ["/", "/v1", "/v1/", "/v2/status", "/v1/status/", "/v1/components/ps/reboot", "/v1/../v1/status"]
    {
        running.ask(&get(nowhere)).problem(404);
    }
    assert!(running.client().status(&[]).unwrap().components[0].wanted);

    let spelt_otherwise = post("/v1/stop", r#"{"components": ["ps"]}"#);
    let spelt_otherwise = spelt_otherwise.replace("application/json", "Application/JSON; charset=utf-8");
    assert_eq!(running.ask(&spelt_otherwise).status, 200);
}

#[test]
fn the_answer_to_a_shutdown_is_delivered_before_the_end() {
    for immediately in [false, true] {
        let mut running = Running::with([steady("ps"), steady("svg")]);
        let client = running.client();
        let idle = running.connect();
        let (sender, answer) = mpsc::channel();
        let asking = std::thread::spawn(move || sender.send(client.shutdown(immediately, Wait::Forever)));
        let outcome = running.supervisor.take().unwrap().wait().unwrap();
        assert!(outcome.is_success());
        running.server.take().unwrap().finish(SOON);
        asking.join().unwrap().unwrap();
        let answer = answer.recv().unwrap().unwrap();
        assert!(answer.is_success() && answer.components.len() == 2, "{answer:?}");
        drop(idle);
        assert!(!running.socket().exists());
    }
}

#[test]
fn while_it_shuts_down_it_answers_and_starts_nothing() {
    let mut stubborn = Stubborn::new("ps");
    let mut running = Running::with([stubborn.spec(SOON * 10)]);
    stubborn.wait_until_it_ignores_the_stop_signal();
    let client = running.client();
    assert!(!client.shutdown(false, Wait::No).unwrap().finished);
    let status = client.status(&[]).unwrap();
    assert!(status.supervisor.shutting_down);
    assert_eq!(status.supervisor.conditions.len(), 1);
    let error = client.act(Action::Start, None, Wait::Forever).unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 503, .. }), "{error:?}");
    running.ask(&post("/v1/restart", "")).problem(503);
    assert!(client.shutdown(true, Wait::Forever).unwrap().finished);
    running.supervisor.take().unwrap().wait().unwrap();
    let error = client.status(&[]).unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 503, .. }), "{error:?}");
}

#[test]
fn dropping_the_server_closes_everything_and_leaves_the_supervisor_alone() {
    let mut running = Running::with([steady("ps")]);
    start_all(&running);
    let mut idle = running.connect();
    let mut kept = running.connect();
    kept.send(get("/v1/status"));
    kept.answer().unwrap();
    running.server = None;
    idle.assert_closed();
    kept.assert_closed();
    assert!(!running.socket().exists());
    let error = Client::connect(&running.socket()).unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error:?}");
    assert!(running.supervisor.as_ref().unwrap().handle().status().unwrap().components[0].pid.is_some());
}

#[test]
fn a_listener_of_somebody_else_is_served_and_its_socket_left_alone() {
    let mut running = Running::with([steady("ps")]);
    let path = running.folder.path().join("other.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let handle = running.supervisor.as_ref().unwrap().handle();
    running.server = Some(supervisor_control::Server::builder(handle).serve(listener).unwrap());
    assert_eq!(Client::connect(&path).unwrap().status(&[]).unwrap().components.len(), 1);
    running.server = None;
    // A process that another test is just starting may have the listener open until its own program runs.
    let error = loop {
        if let Err(error) = Client::connect(&path) {
            break error;
        }
    };
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error:?}");
    assert!(path.exists());
}

#[test]
fn a_stale_socket_is_replaced_only_when_told_so() {
    let mut running = Running::with([]);
    let path = running.folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let builder = supervisor_control::Server::builder(running.supervisor.as_ref().unwrap().handle());
    assert_eq!(builder.clone().bind(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let folder = std::fs::File::open(running.folder.path()).unwrap().into();
    running.server = Some(builder.replace_socket(true).bind_in(folder, "stale.sock").unwrap());
    assert!(Client::connect(&path).unwrap().status(&[]).unwrap().components.is_empty());
}

#[test]
fn one_component_is_told_from_all_sides() {
    let on = supervisor::ComponentId::new("db").unwrap();
    let mut web = shell("web-1", "sleep 1000 & exec sleep 1001");
    web.depends_on = vec![supervisor::Dependency { on, condition: supervisor::Condition::Started }];
    let secret = supervisor::Variable { name: "TOKEN".into(), value: "hunter22".into(), secret: true };
    web.environment.variables = vec![secret];
    let group = |name: &str| supervisor::RestartGroup { name: name.into(), strategy: Default::default() };
    web.restart_group = Some(group("all"));
    let running = Running::with([steady("db"), web]);
    start_all(&running);
    let outcome = running.client().act(Action::Restart, Some(&names(["web-1"])), Wait::For(SOON)).unwrap();
    assert!(outcome.is_success(), "{outcome:?}");

    let detail = running.client().detail("web-*").unwrap();
    assert_eq!(detail.component.id, "web-1");
    assert_eq!(detail.command.last().map(String::as_str), Some("sleep 1000 & exec sleep 1001"));
    assert_eq!(detail.stop_timeout, 60.0);
    let [exit] = detail.last_exits.as_slice() else { panic!("{:?}", detail.last_exits) };
    assert_eq!((exit.run, exit.exit.signal.as_deref()), (1, Some("TERM")));
    assert!(exit.began <= exit.ended, "{exit:?}");
    assert_eq!(detail.processes[0].pid, detail.component.pid.unwrap());
    assert!(detail.processes[1..].iter().all(|child| child.parent == detail.processes[0].pid));
    let [needed] = detail.depends_on.as_slice() else { panic!("{:?}", detail.depends_on) };
    assert_eq!((needed.id.as_str(), needed.condition.as_deref()), ("db", Some("started")));
    let group = detail.restart_group.as_ref().unwrap();
    assert_eq!((group.strategy.as_str(), group.members.as_slice()), ("oneForAll", &names(["web-1"])[..]));
    assert!(!running.ask(&get("/v1/components/web-1/detail")).body.to_string().contains("hunter22"));
    assert_eq!(running.client().detail("db").unwrap().dependants[0].id, "web-1");

    for name in ["web-2", "*"] {
        let refused = running.client().detail(name).unwrap_err();
        assert!(matches!(refused, ClientError::Refused { status: 404, .. }), "{refused}");
    }
}

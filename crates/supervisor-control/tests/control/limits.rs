//! What the server refuses, closes and survives.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::common::{Connection, Running, SOON, Stubborn, get, post, steady};

const SHORT: Duration = Duration::from_millis(100);

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

/// A connection on which this was answered, and when it was sent. Whoever gets no processor in the time that a head may take is
/// closed, and comes again.
fn answered(running: &Running, request: &str) -> (Connection, Instant) {
    loop {
        let mut connection = running.connect();
        let sent = Instant::now();
        connection.send(request);
        if let Some(answer) = connection.answer() {
            assert_eq!(answer.status, 200, "{request}");
            return (connection, sent);
        }
    }
}

#[test]
fn half_a_head_is_closed_when_its_time_is_over() {
    let running = Running::limited([], |limits| limits.head_time = SHORT);
    for half in ["", "G", "GET /v1/status HTTP/1.1\r\nHost: x\r\n"] {
        let mut connection = running.connect();
        connection.send(half);
        connection.assert_closed();
    }
}

#[test]
fn a_head_that_drips_is_closed_when_its_time_is_over() {
    let running = Running::limited([], |limits| limits.head_time = SHORT);
    let began = Instant::now();
    let mut connection = running.connect();
    // Each byte waits for the socket's own time-out, so that there is traffic all the time.
    connection.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let closed = (0..500).any(|_| {
        connection.send("G");
        !matches!(
            std::io::Read::read(&mut connection.stream, &mut [0; 64]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock
        )
    });
    assert!(closed);
    assert!(began.elapsed() >= SHORT);
}

#[test]
fn a_kept_connection_may_idle_longer_than_a_head_may_take_but_not_for_ever() {
    let idle = Duration::from_millis(600);
    let running = Running::limited([], |limits| (limits.head_time, limits.idle_time) = (SHORT, idle));
    let (mut connection, asked) = answered(&running, &get("/v1/status"));
    connection.assert_closed();
    assert!(asked.elapsed() >= idle, "{:?}", asked.elapsed());

    // The second head has its own time.
    let running = Running::limited([], |limits| (limits.head_time, limits.idle_time) = (SHORT, LONG));
    let (mut connection, _) = answered(&running, &get("/v1/status"));
    connection.send("GET /v1/st");
    connection.assert_closed();
}

#[test]
fn half_a_head_that_comes_with_the_request_before_has_no_more_time() {
    let idle = Duration::from_millis(600);
    let [with_idle, without_idle] = [idle, LONG]
        .map(|idle| Running::limited([], |limits| (limits.head_time, limits.idle_time) = (SHORT, idle)));
    let body = r#"{"components": []}"#;
    let chunked = format!(
        "POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for request in [get("/v1/status"), post("/v1/stop", body), chunked] {
        let (mut connection, _) = answered(&without_idle, &(request.clone() + "GET /v1/st"));
        connection.assert_closed();

        // Nothing of a head is more time.
        let (mut connection, asked) = answered(&with_idle, &request);
        connection.assert_closed();
        assert!(asked.elapsed() >= idle, "{request} {:?}", asked.elapsed());
    }
}

#[test]
fn an_answer_may_take_longer_than_a_connection_may_idle() {
    let mut stubborn = Stubborn::new("ps");
    let running = Running::limited([stubborn.spec(SHORT * 3)], |limits| {
        (limits.head_time, limits.body_time, limits.idle_time) = (SHORT, SHORT, SHORT);
    });
    stubborn.wait_until_it_ignores_the_stop_signal();
    let (mut connection, asked) = answered(&running, &post("/v1/stop", ""));
    assert!(asked.elapsed() > SHORT * 2);
    connection.assert_closed();
}

#[test]
fn half_a_body_is_answered_and_closed_when_its_time_is_over() {
    let running = Running::limited([], |limits| limits.body_time = SHORT);
    let mut connection = running.connect();
    let whole = post("/v1/stop", r#"{"components": []}"#);
    connection.send(&whole[..whole.len() - 4]);
    connection.answer().unwrap().problem(408);
    connection.assert_closed();
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let running = Running::with([]);
    let mut connection = running.connect();
    connection.send(format!("GET /v1/status HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(64 * 1024)));
    assert_eq!(connection.answer().unwrap().status, 431);
    connection.assert_closed();

    let mut connection = running.connect();
    connection.send(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(64 * 1024)));
    assert!(matches!(connection.answer().unwrap().status, 414 | 431));
    connection.assert_closed();

    let mut connection = running.connect();
    connection.send(format!("GET /v1/status HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000)));
    assert_eq!(connection.answer().unwrap().status, 431);
    connection.assert_closed();

    let names = (0..50_000).map(|number| format!("component-{number}")).collect::<Vec<_>>();
    let error = running.client().status(&names).unwrap_err();
    assert!(matches!(error, supervisor_control::ClientError::Refused { status: 431, .. }), "{error:?}");
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_sent_and_while_it_comes() {
    let running = Running::with([steady("ps")]);
    let mut connection = running.connect();
    connection
        .send("POST /v1/stop HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 67108864\r\n\r\n");
    connection.answer().unwrap().problem(413);
    connection.assert_closed();

    let mut connection = running.connect();
    connection.send(
        "POST /v1/stop HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let chunk = format!("8000\r\n{}\r\n", " ".repeat(0x8000));
    for _ in 0..64 {
        connection.send(&chunk);
    }
    connection.answer().unwrap().problem(413);
    connection.assert_closed();

    assert!(running.client().status(&[]).unwrap().components[0].wanted);
}

#[test]
fn requests_sent_in_one_go_get_one_answer_each_in_order() {
    let running = Running::with([steady("ps")]);
    let mut connection = running.connect();
    let nothing = post("/v1/stop", r#"{"components": []}"#);
    connection.send(
        [&get("/v1/components/ps"), &get("/v1/nothing"), &nothing, &get("/v1/status")]
            .map(String::as_str)
            .concat(),
    );
    assert_eq!(connection.answer().unwrap().body["id"], "ps");
    connection.answer().unwrap().problem(404);
    assert_eq!(connection.answer().unwrap().body["finished"], true);
    assert_eq!(connection.answer().unwrap().body["supervisor"]["version"], "9.8.7");
}

#[test]
fn when_there_are_too_many_connections_the_longest_idle_one_is_closed() {
    let running = Running::limited([], |limits| limits.connections = 3);
    let mut connections: Vec<_> = (0..3)
        .map(|_| {
            let mut connection = running.connect();
            connection.send(get("/v1/status"));
            connection.answer().unwrap();
            connection
        })
        .collect();
    connections[0].send(get("/v1/status"));
    connections[0].answer().unwrap();
    assert_eq!(running.ask(&get("/v1/status")).status, 200);
    connections[1].assert_closed();
    for kept in [0, 2] {
        connections[kept].send(get("/v1/status"));
        assert_eq!(connections[kept].answer().unwrap().status, 200, "{kept}");
    }
}

#[test]
fn one_that_waits_for_an_answer_stays_while_there_is_one_that_does_not() {
    let mut stubborn = Stubborn::new("ps");
    let running = Running::limited([stubborn.spec(SOON * 10)], |limits| limits.connections = 2);
    stubborn.wait_until_it_ignores_the_stop_signal();
    let mut waiting = running.connect();
    // In one go, so that the second has been taken up when the first is answered.
    waiting.send(get("/v1/status") + &post("/v1/stop", ""));
    assert_eq!(waiting.answer().unwrap().status, 200);
    let mut idle = running.connect();
    idle.send(get("/v1/status"));
    idle.answer().unwrap();
    assert_eq!(running.ask(&get("/v1/status")).status, 200);
    idle.assert_closed();
    let kill = post("/v1/shutdown?wait=false", r#"{"immediately": true}"#);
    assert_eq!(running.ask(&kill).status, 202);
    assert_eq!(waiting.answer().unwrap().status, 200);
}

#[test]
fn when_all_wait_for_answers_others_can_still_ask_but_not_wait() {
    let mut stubborn = Stubborn::new("ps");
    let running = Running::limited([stubborn.spec(SOON * 10)], |limits| limits.connections = 2);
    stubborn.wait_until_it_ignores_the_stop_signal();
    let mut waiting = [running.connect(), running.connect()];
    for connection in &mut waiting {
        // In one go, so that the second has been taken up when the first is answered.
        connection.send(get("/v1/status") + &post("/v1/stop", ""));
        assert_eq!(connection.answer().unwrap().status, 200);
    }
    let mut idle: Vec<_> = (0..4).map(|_| running.connect()).collect();
    for connection in &mut idle {
        connection.send(get("/v1/status"));
        assert_eq!(connection.answer().unwrap().status, 200);
    }
    assert!(running.ask(&post("/v1/stop", "")).problem(503).contains("wait=false"));
    idle[0].assert_closed();
    let kill = post("/v1/shutdown?wait=false", r#"{"immediately": true}"#);
    assert_eq!(running.ask(&kill).status, 202);
    for connection in &mut waiting {
        assert_eq!(connection.answer().unwrap().status, 200);
    }
}

#[test]
fn a_thousand_idle_connections_keep_nobody_from_being_answered() {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let more = rustix::process::Rlimit { current: files.maximum, maximum: files.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, more).unwrap();

    let running = Running::with([steady("ps")]);
    let mut idle: Vec<_> = (0..1000).map(|_| running.connect()).collect();
    // More often than once, because other tests run at the same time.
    let deadline = Instant::now() + SOON;
    loop {
        let began = Instant::now();
        assert_eq!(running.client().status(&[]).unwrap().components[0].id, "ps");
        if began.elapsed() < SHORT {
            break;
        }
        assert!(began < deadline, "it always takes long: now {:?}", began.elapsed());
    }
    // What the server holds is bounded: all but the last 64 are closed.
    for closed in &mut idle[..1000 - 64] {
        closed.assert_closed();
    }
}

#[test]
fn methods_that_are_not_meant_are_refused_and_head_is_answered_without_a_body() {
    let running = Running::with([steady("ps")]);
    let mut connection = running.connect();
    for method in ["OPTIONS", "DELETE", "PUT", "PATCH", "TRACE", "BREW"] {
        connection.send(format!("{method} /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = connection.answer().unwrap();
        answer.problem(405);
        assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{method}");
    }
    connection.send(get("/v1/shutdown"));
    let answer = connection.answer().unwrap();
    answer.problem(405);
    assert_eq!(answer.header("allow"), Some("POST"));

    connection.send("HEAD /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(connection.answer_to("HEAD").unwrap().status, 200);
    connection.send(get("/v1/status"));
    assert_eq!(connection.answer().unwrap().status, 200);
}

#[test]
fn garbage_is_answered_with_400_and_closed() {
    let running = Running::with([]);
    for garbage in
        ["\0", "\u{7f}ELF\r\n\r\n", "hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET  HTTP/1.1\r\n\r\n"]
    {
        let mut connection = running.connect();
        connection.send(garbage);
        assert_eq!(connection.answer().unwrap().status, 400, "{garbage:?}");
        connection.assert_closed();
    }
    assert_eq!(running.ask(&get("/v1/status")).status, 200);
}

/// The credentials that count are those of the thread that connects, so that a thread can be another user.
#[cfg(target_os = "linux")]
#[test]
fn another_user_is_refused_before_anything_is_read() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let running = Running::with([steady("ps")]);
    // The files let everybody in, so that only the server's own check is left.
    set_permissions(running.folder.path(), Permissions::from_mode(0o755)).unwrap();
    set_permissions(running.socket(), Permissions::from_mode(0o666)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            let mut connection = running.connect();
            let detail = connection.answer().unwrap().problem(403).to_owned();
            assert!(detail.contains("no permission"), "{detail}");
            connection.send(post("/v1/stop", ""));
            connection.assert_closed();
            let error = running.client().status(&[]).unwrap_err();
            assert!(matches!(error, supervisor_control::ClientError::PermissionDenied { .. }), "{error:?}");
        });
    });
    set_permissions(running.socket(), Permissions::from_mode(0o600)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            let error = supervisor_control::Client::connect(&running.socket()).unwrap_err();
            assert!(matches!(error, supervisor_control::ClientError::PermissionDenied { .. }), "{error:?}");
        });
    });
    assert!(running.client().status(&[]).unwrap().components[0].wanted);
}

#[test]
fn any_bytes_leave_the_server_answering_and_the_components_alone() {
    let running = Running::with([steady("ps")]);
    let before = running.client().status(&[]).unwrap().components[0].pid;
    let request = post("/v1/stop", r#"{"components": ["ps"]}"#);
    let noise = proptest::collection::vec(any::<u8>(), 0..300);
    // A request that is cut off and goes on with nonsense reaches deeper than nonsense alone. A line's end in it could
    // make a whole request of what is cut off.
    let nonsense = any::<u8>().prop_filter("no line's end", |byte| *byte != b'\n');
    let cut = (0..request.len() - 1, proptest::collection::vec(nonsense, 1..40))
        .prop_map(|(length, tail)| [&request.as_bytes()[..length], tail.as_slice()].concat());
    let config = ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&prop_oneof![noise, cut], |bytes| {
        let mut connection = running.connect();
        connection.send(&bytes);
        connection.stream.shutdown(std::net::Shutdown::Write).unwrap();
        while let Some(answer) = connection.answer() {
            prop_assert!(answer.status >= 400, "{answer:?}");
        }
        Ok(())
    });
    outcome.unwrap();
    let after = running.client().status(&[]).unwrap();
    assert_eq!(after.components[0].pid, before);
    assert!(after.components[0].wanted);
}

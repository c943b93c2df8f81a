//! Following events, and what the journal makes of them.

use supervisor_control::journal::{Folder, Header, Journal, Past};
use supervisor_control::wire::{EventDocument, What};
use supervisor_control::{Action, ClientError, Server, Wait};

use crate::common::{Running, SOON, get, shell, steady};

fn documents(follow: impl Iterator<Item = Result<String, ClientError>>) -> Vec<EventDocument> {
    follow.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

#[test]
fn whoever_follows_is_told_everything_once_and_in_order_until_the_supervisor_ends() {
    let mut running = Running::with([steady("a"), steady("b")]);
    let wait = |action| {
        let ids = ["a".to_owned()];
        assert!(running.client().act(action, Some(&ids), Wait::Forever).unwrap().is_success());
    };
    wait(Action::Start);
    let first = running.client().follow().unwrap();
    wait(Action::Stop);
    let second = running.client().follow().unwrap();
    wait(Action::Start);
    let supervisor = running.supervisor.take().unwrap();
    drop(supervisor);

    let (first, second) = (documents(first), documents(second));
    let numbers: Vec<_> = first.iter().map(|document| document.seq).collect();
    assert_eq!(numbers, (numbers[0]..).take(numbers.len()).collect::<Vec<_>>());
    assert!(numbers[0] > 1, "something happened before");
    let of_a = |document: &&EventDocument| document.component.as_deref() == Some("a");
    let told: Vec<_> = first.iter().filter(of_a).map(|document| document.what.clone()).collect();
    assert!(
        matches!(&told[0], What::Requested { verb, by, .. } if verb == "stop" && by.contains(&format!("pid {}", std::process::id()))),
        "{told:?}"
    );
    assert!(told.contains(&What::Stopped) && told.contains(&What::Started), "{told:?}");
    // The later one is told the same, under the same numbers.
    let beginning = first.iter().position(|document| document.seq == second[0].seq).unwrap();
    assert!(beginning > 0);
    assert_eq!(
        first[beginning..].iter().map(|document| (document.seq, &document.what)).collect::<Vec<_>>(),
        second.iter().map(|document| (document.seq, &document.what)).collect::<Vec<_>>()
    );
}

#[test]
fn a_stream_may_idle_longer_than_any_other_connection() {
    let short = std::time::Duration::from_millis(50);
    let running = Running::limited([shell("brief", "sleep 0.5")], |limits| {
        limits.idle_time = short;
        limits.head_time = short;
    });
    // Whoever gets no processor in the time that a head may take is closed, and comes again.
    let mut follow = loop {
        match running.client().follow() {
            Ok(follow) => break follow,
            Err(error) => assert!(matches!(error, ClientError::Closed { .. }), "{error}"),
        }
    };
    let ended = follow.find(|line| line.as_ref().unwrap().contains("\"event\":\"exited\""));
    assert!(ended.is_some(), "it was closed before");
}

#[test]
fn no_more_may_follow_than_the_server_bears_and_a_place_is_free_when_one_leaves() {
    let running = Running::limited([steady("a")], |limits| limits.streams = 1);
    let first = running.client().follow().unwrap();
    match running.client().follow().unwrap_err() {
        ClientError::Refused { status: 503, detail } => assert!(detail.contains("more than 1"), "{detail}"),
        other => panic!("{other}"),
    }
    drop(first);
    // Its end is noticed when the server next looks at the connection, which it is told to at once.
    while running.client().follow().is_err() {}
}

#[test]
fn whoever_has_sent_more_than_its_request_and_goes_away_is_missed_at_once() {
    let running = Running::limited([steady("a")], |limits| limits.streams = 1);
    let more = get("/v1/status");
    for (first, second) in [
        (get("/v1/events"), more.as_str()),
        (get("/v1/events"), "x"),
        (get("/v1/events") + &more, ""),
        (get("/v1/events"), &"x".repeat(10_000)),
    ] {
        let mut connection = running.connect();
        connection.send(first);
        // It follows.
        assert_eq!(std::io::Read::read(&mut connection.stream, &mut [0; 12]).unwrap(), 12);
        connection.send(second);
        // Nothing happens meanwhile that would have to be written, and nothing is read.
        drop(connection);
        let deadline = std::time::Instant::now() + SOON;
        while running.client().follow().is_err() {
            assert!(std::time::Instant::now() < deadline, "it is not missed");
        }
    }
}

#[test]
fn whoever_has_only_nothing_more_to_say_is_still_told() {
    let running = Running::with([steady("a")]);
    let mut connection = running.connect();
    connection.send(get("/v1/events") + &get("/v1/status"));
    connection.stream.shutdown(std::net::Shutdown::Write).unwrap();
    // It follows.
    assert_eq!(std::io::Read::read(&mut connection.stream, &mut [0; 12]).unwrap(), 12);
    assert!(
        running.client().act(Action::Restart, Some(&["a".to_owned()]), Wait::Forever).unwrap().is_success()
    );
    let mut told = String::new();
    let mut chunk = [0; 4096];
    while !told.contains("\"event\":\"exited\"") {
        let length = std::io::Read::read(&mut connection.stream, &mut chunk).unwrap();
        assert!(length > 0, "it was closed: {told}");
        told.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
}

#[test]
fn the_journal_tells_a_life_from_its_beginning_to_its_end_and_goes_on_with_the_next() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut builder = supervisor::Supervisor::builder().components([steady("a")]);
        let events = builder.subscribe();
        let supervisor = builder.start().unwrap();
        let header = Header { version: "1.2.3".into(), registry: Some("/r.xml".into()), upgrade: None };
        let opened = Folder::open(folder.path()).unwrap();
        let journal = Journal::start(opened, events, &header).unwrap();
        let handle = supervisor.handle();
        handle.start("a").unwrap().wait().unwrap();
        handle.shutdown().unwrap();
        supervisor.wait().unwrap();
        journal.finish(SOON);
    }
    let past = Past::read(&Folder::open(folder.path()).unwrap()).unwrap();
    let documents: Vec<_> = past.entries().map(|entry| entry.document).collect();
    let begins: Vec<_> = (0..documents.len()).filter(|place| documents[*place].seq == 0).collect();
    assert_eq!(begins.len(), 2);
    for life in [&documents[..begins[1]], &documents[begins[1]..]] {
        assert!(matches!(&life[0].what, What::SupervisorStarted { version, registry, .. }
                if version == "1.2.3" && registry.as_deref() == Some("/r.xml")));
        assert!(life.iter().any(|document| document.what == What::Started));
        assert!(matches!(life.last().unwrap().what, What::SupervisorEnded { .. }));
        let numbers: Vec<_> = life.iter().map(|document| document.seq).collect();
        assert_eq!(numbers, (0..).take(life.len()).collect::<Vec<_>>(), "no number is missing");
        assert!(life.windows(2).all(|pair| pair[0].time <= pair[1].time), "{life:?}");
    }
}

#[test]
fn a_condition_of_the_host_stands_in_the_status_while_it_holds() {
    let running = Running::with([]);
    let socket = running.folder.path().join("other.sock");
    let holds = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let condition = {
        let holds = std::sync::Arc::clone(&holds);
        move || holds.load(std::sync::atomic::Ordering::Relaxed).then(|| "the sky is falling".to_owned())
    };
    let handle = running.supervisor.as_ref().unwrap().handle();
    let _server = Server::builder(handle).condition(condition).bind(&socket).unwrap();
    let conditions = || {
        let client = supervisor_control::Client::connect(&socket).unwrap();
        client.status(&[]).unwrap().supervisor.conditions
    };
    assert_eq!(conditions(), ["the sky is falling"]);
    holds.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(conditions().is_empty());
}

//! The past: the journal, events that were missed, and what components have written.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};
use supervisor::{LineForm, LogSettings, Output, ProcessSpec, Stderr, Supervisor, Targets, Until};
use supervisor_control::journal::{Folder, Header, Journal};
use supervisor_control::{Action, Client, Server, Wait};

use crate::common::{Connection, Running, SOON, get, shell, steady};

/// A supervisor with a journal.
struct Recorded {
    running: Running,
    journal: Option<Journal>,
}

impl Recorded {
    fn with(components: impl IntoIterator<Item = ProcessSpec>, folder: &Path) -> Self {
        let mut builder = Supervisor::builder().components(components);
        let events = builder.subscribe();
        let supervisor = builder.start().unwrap();
        // What is told from then on does not depend on how soon their programs run.
        supervisor.handle().wait_for(Targets::All, Until::Ready).unwrap().wait().unwrap();
        let header = Header { version: "1".into(), ..Header::default() };
        let journal = Journal::start(Folder::open(folder).unwrap(), events, &header).unwrap();
        let place = tempfile::tempdir().unwrap();
        let server = Server::builder(supervisor.handle())
            .journal(journal.reader())
            .bind(&place.path().join("s.sock"))
            .unwrap();
        let running = Running { server: Some(server), supervisor: Some(supervisor), folder: place };
        Self { running, journal: Some(journal) }
    }

    fn restart(&self, times: usize) {
        for _ in 0..times {
            let ids = ["a".to_owned()];
            assert!(
                self.running.client().act(Action::Restart, Some(&ids), Wait::Forever).unwrap().is_success()
            );
        }
    }

    /// Ends it, so that all that it says is written down.
    fn end(mut self) {
        let supervisor = self.running.supervisor.take().unwrap();
        supervisor.handle().shutdown().unwrap();
        supervisor.wait().unwrap();
        drop(self.running.server.take());
        self.journal.take().unwrap().finish(SOON);
    }
}

/// A stream of Server-Sent Events, from the first line of its body on.
struct Events {
    reader: BufReader<UnixStream>,
}

impl Events {
    fn of(running: &Running, path: &str, last: Option<&str>) -> Self {
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let mut connection = running.connect();
        connection.send(format!("GET {path} HTTP/1.0\r\nHost: x\r\n{last}\r\n"));
        let mut reader = BufReader::new(connection.stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains("200"), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Self { reader }
    }

    /// The id and the document of the next one; `None`: the stream has ended.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut id = String::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(found) = line.strip_prefix("id: ") {
                id = found.trim_end().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((id, serde_json::from_str(data).unwrap()));
            }
        }
    }

    fn until(&mut self, event: &str, times: usize) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        while all.iter().filter(|(_, document): &&(String, Value)| document["event"] == event).count() < times
        {
            all.push(self.next().unwrap());
        }
        all
    }
}

fn numbers(events: &[(String, Value)]) -> Vec<u64> {
    events.iter().map(|(_, document)| document["seq"].as_u64().unwrap()).collect()
}

#[test]
fn whoever_was_away_is_told_what_it_has_missed_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = Recorded::with([steady("a")], folder.path());
    let mut first = Events::of(&recorded.running, "/v1/events", None);
    recorded.restart(1);
    let seen = first.until("started", 1);
    let (last, _) = seen.last().unwrap().clone();
    drop(first);
    recorded.restart(3);

    let mut again = Events::of(&recorded.running, "/v1/events", Some(&last));
    let mut missed = again.until("started", 3);
    recorded.restart(1);
    missed.extend(again.until("started", 1));
    let told: Vec<_> = numbers(&seen).into_iter().chain(numbers(&missed)).collect();
    assert_eq!(told, (told[0]..).take(told.len()).collect::<Vec<_>>(), "without a gap, and nothing twice");
    // A second one that follows, while there is one already.
    let mut third = Events::of(&recorded.running, "/v1/events", Some(&last));
    assert_eq!(numbers(&third.until("started", 4)), numbers(&missed));
}

#[test]
fn a_client_goes_on_after_an_event_that_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = Recorded::with([steady("a")], folder.path());
    recorded.restart(1);
    let life = recorded.running.client().status(&[]).unwrap().supervisor.life().unwrap();
    for last in [0, 2] {
        let mut events = recorded.running.client().follow_after(life, last).unwrap();
        for seq in last + 1..last + 4 {
            let event: Value = serde_json::from_str(&events.next().unwrap().unwrap()).unwrap();
            assert_eq!((event["seq"].as_u64(), events.life()), (Some(seq), Some(life)));
        }
    }
}

#[test]
fn where_the_journal_cannot_be_written_it_is_told_so_and_nothing_of_older_supervisors() {
    let folder = tempfile::tempdir().unwrap();
    Recorded::with([steady("a")], folder.path()).end();
    // Whatever stands in the way: here it can be no file.
    let journal = folder.path().join("journal.jsonl");
    std::fs::rename(&journal, folder.path().join("journal.jsonl.1")).unwrap();
    std::fs::create_dir(&journal).unwrap();
    let recorded = Recorded::with([steady("a")], folder.path());
    recorded.restart(1);
    let life = recorded.running.client().status(&[]).unwrap().supervisor.life().unwrap();
    let mut events = recorded.running.client().follow_after(life, 0).unwrap();
    let mut next = || serde_json::from_str::<Value>(&events.next().unwrap().unwrap()).unwrap();
    let first = next();
    assert_eq!(first["event"], "lost", "{first}");
    recorded.restart(1);
    assert!(next()["seq"].as_u64().unwrap() > first["seq"].as_u64().unwrap());
}

#[test]
fn whoever_was_away_over_the_end_of_a_supervisor_is_told_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = Recorded::with([steady("a")], folder.path());
    let mut events = Events::of(&recorded.running, "/v1/events", None);
    recorded.restart(1);
    let (last, _) = events.until("started", 1).pop().unwrap();
    drop(events);
    recorded.end();

    let recorded = Recorded::with([steady("a")], folder.path());
    recorded.restart(1);
    let mut events = Events::of(&recorded.running, "/v1/events", Some(&last));
    let told = events.until("started", 2);
    let names: Vec<_> = told.iter().map(|(_, document)| document["event"].as_str().unwrap()).collect();
    let ended = names.iter().position(|name| *name == "supervisorEnded").unwrap();
    assert_eq!(names[ended + 1], "supervisorStarted");
    assert!(!names.contains(&"lost"), "{names:?}");
    assert_eq!(numbers(&told[ended + 1..]), (0..).take(told.len() - ended - 1).collect::<Vec<_>>());
}

#[test]
fn what_the_journal_has_no_more_is_told_to_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = Recorded::with([steady("a")], folder.path());
    recorded.restart(1);
    let mut unknown = Events::of(&recorded.running, "/v1/events", Some("17-4"));
    let (_, first) = unknown.next().unwrap();
    assert_eq!((&first["event"], &first["count"]), (&json!("lost"), &json!(0)));
    assert_eq!(unknown.next().unwrap().1["event"], "supervisorStarted");
    let answer =
        recorded.running.ask("GET /v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: nonsense\r\n\r\n");
    answer.problem(400);

    // Without a journal, only the number is known.
    let plain = Running::with([steady("a")]);
    let restart = || {
        let ids = ["a".to_owned()];
        assert!(plain.client().act(Action::Restart, Some(&ids), Wait::Forever).unwrap().is_success());
    };
    let mut events = Events::of(&plain, "/v1/events", None);
    restart();
    let (last, document) = events.until("started", 1).pop().unwrap();
    restart();
    let mut events = Events::of(&plain, "/v1/events", Some(&last));
    let (_, lost) = events.next().unwrap();
    assert_eq!(lost["event"], "lost");
    let next = document["seq"].as_u64().unwrap() + lost["count"].as_u64().unwrap();
    assert_eq!(lost["seq"], next);
    restart();
    assert_eq!(events.next().unwrap().1["seq"], next + 1);
}

#[test]
fn the_journal_is_told_from_its_newest_events_back() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = Recorded::with([steady("a"), steady("b")], folder.path());
    recorded.restart(2);
    let mut events = Events::of(&recorded.running, "/v1/events", Some("0-0"));
    events.until("started", 4);
    let ask = |query: &str| recorded.running.ask(&get(&format!("/v1/journal{query}"))).body;
    // The journal may be behind: what was written while it was asked is in one answer only.
    let (all, last) = loop {
        let (all, last) = (ask(""), ask("?lines=3"));
        if ask("") == all {
            break (all, last);
        }
    };
    let all = all.as_array().unwrap();
    assert_eq!(all[0]["event"], "supervisorStarted");
    assert_eq!(last.as_array().unwrap()[..], all[all.len() - 3..]);
    let of_a = ask("?id=a");
    assert!(of_a.as_array().unwrap().iter().all(|event| event["component"] == "a"), "{of_a}");
    assert_eq!(ask("?since=2100-01-01T00:00:00Z"), json!([]));
    assert_eq!(ask("?lines=0"), json!([]));
    for bad in ["?lines=-1", "?lines=10001", "?since=soon", "?nothing=1", "?lines=1&lines=2"] {
        recorded.running.ask(&get(&format!("/v1/journal{bad}"))).problem(400);
    }
    recorded.running.ask(&get("/v1/journal?id=nobody")).problem(404);
    Running::with([]).ask(&get("/v1/journal")).problem(404);
}

/// A component that writes what it is given into `fifo`, into a log in this folder.
fn writer(folder: &Path, form: LineForm) -> ProcessSpec {
    let mut spec = shell(
        "w",
        "echo begins; read line < fifo; while [ \"$line\" ]; do echo $line; echo e $line >&2; read line; done < fifo",
    );
    spec.working_directory = Some(folder.to_owned());
    let log = LogSettings { form, max_size: Some(200), ..LogSettings::new(folder.join("w.log")) };
    spec.output = Output::File { log, stderr: Stderr::File };
    spec
}

#[test]
fn lines_are_told_from_the_files_and_as_they_are_written_over_many_files() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let mut pen = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let running = Running::with([writer(folder.path(), LineForm::Json), steady("mute")]);
    let mut events = Events::of(&running, "/v1/components/w/logs?follow=true", None);
    assert_eq!(events.next().unwrap().1["line"], "begins");
    let written: String = (0..300).map(|number| format!("line-{number}\n")).collect();
    let writing = std::thread::scope(|scope| {
        let writing = scope.spawn(|| std::io::Write::write_all(&mut pen, written.as_bytes()));
        let mut last = String::new();
        for number in 0..300 {
            let (id, document) = events.next().unwrap();
            assert_eq!(document["line"], format!("line-{number}"));
            assert_eq!((&document["stream"], document["time"].is_string()), (&json!("stdout"), true));
            last = id;
        }
        writing.join().unwrap().unwrap();
        last
    });
    let last = running.ask(&get("/v1/components/w/logs?lines=2")).body;
    let lines: Vec<_> = last.as_array().unwrap().iter().map(|line| line["line"].clone()).collect();
    assert_eq!(lines, ["line-298", "line-299"]);
    // The last errors may be written a moment after the last output.
    let mut errors = Events::of(&running, "/v1/components/w/logs?follow=true&lines=1&stream=stderr", None);
    while errors.next().unwrap().1["line"] != "e line-299" {}
    let errors = running.ask(&get("/v1/components/w/logs?lines=1&stream=stderr")).body;
    assert_eq!((&errors[0]["line"], &errors[0]["stream"]), (&json!("e line-299"), &json!("stderr")));
    drop(events);
    std::io::Write::write_all(&mut pen, b"after\n").unwrap();
    let mut again = Events::of(&running, "/v1/components/w/logs?follow=true", Some(&writing));
    assert_eq!(again.next().unwrap().1["line"], "after", "behind the last one that was told");
    running.ask(&get("/v1/components/mute/logs")).problem(404);
    running.ask(&get("/v1/components/nobody/logs")).problem(404);
    running.ask(&get("/v1/components/w/logs?lines=many")).problem(400);
}

#[test]
fn no_more_may_follow_a_log_than_the_server_bears_and_a_place_is_free_when_one_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = writer(folder.path(), LineForm::Raw);
    spec.autostart = false;
    let running = Running::limited([spec], |limits| limits.streams = 1);
    let follow = get("/v1/components/w/logs").replace("Host: x", "Host: x\r\nAccept: text/event-stream");
    let first = Events::of(&running, "/v1/components/w/logs?follow=true", None);
    running.ask(&follow).problem(503);
    drop(first);
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let mut connection: Connection = running.connect();
        connection.send(follow.replace("HTTP/1.1", "HTTP/1.0"));
        let mut head = [0; 12];
        std::io::Read::read_exact(&mut connection.stream, &mut head).unwrap();
        if head.ends_with(b"200") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", String::from_utf8_lossy(&head));
    }
}

#[test]
fn what_runs_is_told_as_it_was_declared_without_its_secrets() {
    let mut spec = steady("ps");
    let secret = supervisor::Variable { name: "TOKEN".into(), value: "hunter2".into(), secret: true };
    spec.environment.variables = vec![secret];
    let running = Running::with([spec, steady("is")]);
    let socket = running.folder.path().join("about.sock");
    let _server = Server::builder(running.supervisor.as_ref().unwrap().handle())
        .about(|| json!({"path": "/r.xml"}))
        .bind(&socket)
        .unwrap();
    let ask = |path: &str| {
        let mut connection = Connection::on(UnixStream::connect(&socket).unwrap());
        connection.send(get(path));
        connection.answer().unwrap().body
    };
    let all = ask("/v1/registry");
    assert_eq!(all["registry"], json!({"path": "/r.xml"}));
    assert_eq!(all["components"].as_array().unwrap().len(), 2);
    assert!(!all.to_string().contains("hunter2"));
    let one = ask("/v1/registry?id=ps");
    assert_eq!(
        one["components"][0]["environment"]["variables"],
        json!([{"name": "TOKEN", "value": null, "secret": true}])
    );
    assert_eq!(running.ask(&get("/v1/registry")).body["registry"], json!(null));
}

#[test]
fn a_question_can_wait_until_it_is_so() {
    let mut off = steady("ps");
    off.autostart = false;
    let running = Running::with([off]);
    let in_vain = running.ask(&get("/v1/components/ps?wait=ready&timeout=0.01"));
    assert_eq!((in_vain.status, &in_vain.body["state"]), (202, &json!("stopped")));
    assert_eq!(running.ask(&get("/v1/status?wait=stopped")).status, 200);
    let mut waiting = running.connect();
    waiting.send(get("/v1/components?id=ps&wait=ready"));
    Client::connect(&running.socket()).unwrap().act(Action::Start, None, Wait::Forever).unwrap();
    let answer = waiting.answer().unwrap();
    assert_eq!((answer.status, &answer.body[0]["state"]), (200, &json!("up")));
    for bad in ["?wait=up", "?timeout=-1", "?id=ps", "?wait=ready&wait=ready"] {
        running.ask(&get(&format!("/v1/components/ps{bad}"))).problem(400);
    }
}

//! What becomes of components when the supervisor has no descriptors left to ask them or to start them. Alone in its binary,
//! because that limit is the whole process's.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use supervisor::{
    Command, ComponentState, Event, EventKind, GuardAction, Health, Probe, ProcessSpec, Supervisor,
};
use supervisor_control::HttpProber;

/// How long anything may take before the test gives up.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn nobody_is_judged_while_descriptors_are_wanting_and_all_goes_on_when_there_are_some() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", web.local_addr().unwrap());
    let port = listener.local_addr().unwrap().port();
    let shell = Command { program: "sh".into(), arguments: vec!["-c".into(), "true".into()] };
    let mut late = component("late", None);
    late.autostart = false;
    let components = [
        component("tcp", Some(Probe::Tcp { host: "127.0.0.1".to_owned(), port })),
        component("http", Some(Probe::Http { url, status: 200..=399 })),
        component("exec", Some(Probe::Exec(shell))),
        late,
    ];
    // It holds its connections in two descriptors, which come and go.
    answer_for_ever(web);
    let mut builder = Supervisor::builder().components(components).prober(Arc::new(HttpProber::new()));
    let events = builder.subscribe();
    let supervisor = builder.start().unwrap();
    let handle = supervisor.handle();
    let next = || events.recv_timeout(SOON).unwrap();
    let is_up = |event: &Event, id: &str| {
        event.component.as_ref().is_some_and(|its| its == id)
            && matches!(event.kind, EventKind::Started { .. })
    };
    for _ in 0..3 {
        while !matches!(next().kind, EventKind::Started { .. }) {}
    }

    let limits = Rlimit { current: Some(200), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limits).unwrap();
    let mut taken = Vec::new();
    let mut told = Vec::new();
    // Until it is told of all three that they cannot be asked. What the probes have let go is taken as well.
    while !["tcp", "http", "exec"].iter().all(|id| told.iter().any(|line: &String| is_about(line, id))) {
        taken.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
        told = handle.status().unwrap().conditions;
    }
    assert!(told.iter().all(|line| line.starts_with("not asked how they are for ")), "{told:?}");
    assert!(told.iter().all(|line| line.contains("too many open files")), "{told:?}");

    let outcome = handle.start("late").unwrap().wait();
    let outcome = format!("{outcome:?}");
    assert!(outcome.contains("too many open files (raise the limit nofile of the supervisor)"), "{outcome}");
    let told = handle.status().unwrap().conditions;
    let line = told.iter().find(|line| line.ends_with(": late")).unwrap();
    let expected =
        "cannot set up the output: too many open files (raise the limit nofile of the supervisor); tried";
    assert!(line.starts_with(expected), "{line}");

    drop(taken);
    loop {
        let event = next();
        let judged = matches!(event.kind, EventKind::Judged { .. } | EventKind::ProbeFailed { .. });
        assert!(!judged, "{event:?}");
        if is_up(&event, "late") {
            break;
        }
    }
    while !handle.status().unwrap().conditions.is_empty() {
        assert!(events.try_iter().all(|event| !matches!(event.kind, EventKind::ProbeFailed { .. })));
    }
    let status = handle.status().unwrap();
    assert!(status.components.iter().all(|component| component.state == ComponentState::Up), "{status:?}");
    assert!(status.components.iter().all(|component| component.restarts <= 1), "{status:?}");
}

/// One that is asked ten times a second, and must not fail once.
fn component(id: &str, probe: Option<Probe>) -> ProcessSpec {
    let mut spec = ProcessSpec::new(id, "sleep").unwrap();
    spec.arguments = vec!["1000".into()];
    spec.health = probe.map(|probe| Health {
        probe,
        interval: Duration::from_millis(100),
        timeout: SOON,
        failures: 1,
        start_after: Duration::ZERO,
        action: GuardAction::Restart,
    });
    spec
}

fn is_about(condition: &str, id: &str) -> bool {
    condition.rsplit(": ").next().is_some_and(|names| names.split(", ").any(|name| name == id))
}

/// Answers every request with a 200. A connection for which there is no descriptor waits in the queue.
fn answer_for_ever(listener: TcpListener) {
    #[expect(clippy::disallowed_methods, reason = "a server to be asked")]
    std::thread::spawn(move || {
        loop {
            let Ok((mut stream, _)) = listener.accept() else { continue };
            let mut line = String::new();
            let mut reader = BufReader::new(&stream);
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {}
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
}

//! What a supervisor does for its components beside running them, with real processes: it asks them whether they are ready
//! and well, runs the commands of their registry, measures them, and says what the operating system knows.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, which fails where something is not as it should be"
)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use supervisor::{
    Builder, Cleanup, Command, Event, EventKind, Exit, Fault, GuardAction, Health, HttpQuestion, MemoryLimit,
    Probe, ProbeAnswer, Prober, ProcessSpec, Readiness, ReadyWhen, Request, Step, StepOf, Supervisor,
};

/// Longer than anything takes on a busy machine: only a fault waits for it.
const LONG: Duration = Duration::from_secs(90);

fn command(script: &str) -> Command {
    Command { program: "sh".into(), arguments: vec!["-c".into(), script.into()] }
}

fn step(script: &str) -> Step {
    Step::Run { command: command(script), timeout: LONG }
}

fn steady() -> ProcessSpec {
    let mut spec = ProcessSpec::new("ps", "sleep").unwrap();
    spec.arguments = vec!["1000".into()];
    spec
}

fn shell(script: &str) -> ProcessSpec {
    let mut spec = ProcessSpec::new("ps", "sh").unwrap();
    spec.arguments = vec!["-c".into(), script.into()];
    spec
}

/// Asked every 10 ms, and judged by the second failure.
fn health(probe: Probe) -> Option<Health> {
    Some(Health {
        probe,
        interval: Duration::from_millis(10),
        timeout: LONG,
        failures: 2,
        start_after: Duration::ZERO,
        action: GuardAction::Restart,
    })
}

fn start(spec: ProcessSpec, builder: Builder) -> (Supervisor, Receiver<Event>) {
    let mut builder = builder.components([spec]);
    let events = builder.subscribe();
    (builder.start().unwrap(), events)
}

/// Waits for an event of which this makes something.
fn wait_for<T>(events: &Receiver<Event>, mut wanted: impl FnMut(EventKind) -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        let event = events.recv_deadline(deadline).expect("the event never came");
        if let Some(found) = wanted(event.kind) {
            return found;
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `wait_for` has it")]
fn started(kind: EventKind) -> Option<()> {
    matches!(kind, EventKind::Started { .. }).then_some(())
}

fn judged(kind: EventKind) -> Option<Fault> {
    match kind {
        EventKind::Judged { fault, .. } => Some(fault),
        _ => None,
    }
}

/// What a step has come to.
fn result_of(wanted: StepOf) -> impl FnMut(EventKind) -> Option<Result<Arc<str>, Arc<str>>> {
    move |kind| match kind {
        EventKind::Step { of, result: Some(result), .. } if of == wanted => Some(result),
        _ => None,
    }
}

#[test]
fn a_component_has_started_when_the_command_that_asks_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready");
    let mut spec = steady();
    let ask = command(&format!("test -e '{}'", file.display()));
    spec.readiness = Some(Readiness { when: ReadyWhen::Probed(Probe::Exec(ask)), timeout: LONG });
    let (supervisor, events) = start(spec, Supervisor::builder());
    wait_for(&events, |kind| matches!(kind, EventKind::Spawned { .. }).then_some(()));
    assert_eq!(supervisor.handle().status().unwrap().components[0].state.word(), "starting");
    fs::write(&file, "").unwrap();
    wait_for(&events, started);
}

#[test]
fn a_component_that_takes_no_connections_any_more_is_judged_and_described() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut spec = steady();
    let probe = || Probe::Tcp { host: "localhost".to_owned(), port };
    spec.readiness = Some(Readiness { when: ReadyWhen::Probed(probe()), timeout: LONG });
    spec.health = health(probe());
    let (_supervisor, events) = start(spec, Supervisor::builder());
    wait_for(&events, started);
    drop(listener);
    let fault = wait_for(&events, judged);
    assert_eq!(fault, Fault::Unhealthy { failures: 2, answer: "connection refused".into() });
    let facts = wait_for(&events, |kind| match kind {
        EventKind::Facts { facts, .. } => Some(facts),
        _ => None,
    });
    let names: Vec<_> = facts.iter().map(|(name, _)| *name).collect();
    // Only Linux tells the others.
    let has_more = cfg!(all(target_os = "linux", not(s7_posix)));
    let more: &[_] = if has_more { &["threads", "descriptors"] } else { &[] };
    for name in ["state", "memory", "processes"].iter().chain(more) {
        assert!(names.contains(name), "{facts:?}");
    }
}

#[test]
fn a_probe_that_hangs_is_killed_and_has_failed() {
    let mut spec = steady();
    spec.health = health(Probe::Exec(command("trap '' TERM; sleep 1000 & wait")));
    spec.health.as_mut().unwrap().timeout = Duration::from_millis(50);
    let (supervisor, events) = start(spec, Supervisor::builder());
    let fault = wait_for(&events, judged);
    let Fault::Unhealthy { failures: 2, answer } = fault else { panic!("{fault:?}") };
    assert!(answer.starts_with("no answer within "), "{answer}");
    drop(supervisor);
}

#[derive(Debug)]
struct Refuser;

impl Prober for Refuser {
    fn probe(&self, question: HttpQuestion, answer: ProbeAnswer) {
        answer.give(Err(format!("{} says no", question.url)));
    }
}

#[test]
fn http_is_asked_by_the_prober_of_the_host() {
    let mut spec = steady();
    spec.health = health(Probe::Http { url: "http://localhost/".to_owned(), status: 200..=399 });
    let (_supervisor, events) = start(spec, Supervisor::builder().prober(Arc::new(Refuser)));
    let fault = wait_for(&events, judged);
    assert_eq!(fault, Fault::Unhealthy { failures: 2, answer: "http://localhost/ says no".into() });
}

#[test]
fn evidence_is_taken_and_kept_before_a_component_that_is_not_well_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = steady();
    spec.health = health(Probe::Exec(command("exit 1")));
    spec.evidence = vec![step("cat /proc/$S7_PID/comm; seq 100")];
    spec.cleanup =
        Some(Cleanup { command: command("echo cleaned up after $S7_RUN, process $S7_PID"), timeout: LONG });
    let (_supervisor, events) = start(spec, Supervisor::builder().state_dir(folder.path()));
    let pid = wait_for(&events, |kind| match kind {
        EventKind::Spawned { pid, .. } => Some(pid),
        _ => None,
    });
    let answer = wait_for(&events, result_of(StepOf::Evidence)).unwrap();
    let path = answer.strip_prefix("100; all of it is in ").unwrap();
    assert!(Path::new(path).starts_with(folder.path()), "{path}");
    assert!(fs::read_to_string(path).unwrap().starts_with("sleep\n1\n2\n"));
    let answer = wait_for(&events, result_of(StepOf::Cleanup)).unwrap();
    assert!(answer.starts_with("cleaned up after ps/") && answer.len() > 40, "{answer}");
    assert!(answer.ends_with(&format!(", process {pid}")), "{answer}");
    wait_for(&events, started);
}

#[test]
fn a_component_is_stopped_and_reloaded_by_its_own_commands() {
    let folder = tempfile::tempdir().unwrap();
    let listens = folder.path().join("listens").display().to_string();
    let mut spec = shell(&format!("trap 'exit 7' USR1; : > {listens}; while :; do sleep 0.01; done"));
    spec.reload = vec![step(&format!("until [ -e {listens} ]; do :; done; echo reloaded $S7_ID"))];
    let wait = "until grep -q ') Z ' /proc/$S7_PID/stat; do :; done";
    spec.stop = vec![step(&format!("kill -USR1 $S7_PID; {wait}"))];
    let (supervisor, events) = start(spec, Supervisor::builder());
    let handle = supervisor.handle();
    wait_for(&events, started);
    handle.submit(Request::Reload("ps".into()), "a test", drop).unwrap();
    assert_eq!(wait_for(&events, result_of(StepOf::Reload)).as_deref(), Ok("reloaded ps"));
    let stop = handle.stop("ps").unwrap();
    let exit = wait_for(&events, |kind| match kind {
        EventKind::Exited { exit, .. } => Some(exit),
        _ => None,
    });
    assert_eq!(exit, Exit::Code(7));
    assert!(stop.wait().unwrap().is_success());
}

#[test]
fn a_component_that_uses_too_much_memory_is_judged_by_all_its_processes() {
    // The main process uses little, and its child keeps 60 MB.
    let mut spec = shell("sh -c 'x=$(head -c 60000000 /dev/zero | tr \"\\0\" x); sleep 1000; :' & wait");
    spec.memory = Some(MemoryLimit { max: 30_000_000, action: GuardAction::Restart });
    let (_supervisor, events) = start(spec, Supervisor::builder());
    let fault = wait_for(&events, judged);
    let Fault::TooLarge { used, max: 30_000_000 } = fault else { panic!("{fault:?}") };
    // It may be looked at while the child still grows; the main process alone never uses so much.
    assert!((30_000_000..300_000_000).contains(&used), "{used}");
}

// Only Linux tells that before the process is reaped.
#[cfg(all(target_os = "linux", not(s7_posix)))]
#[test]
fn the_most_memory_that_a_component_has_had_is_told_with_its_exit() {
    let mut spec = shell("head -c 300m /dev/zero | tail -c 300m > /dev/null");
    spec.restart = Arc::new(supervisor::Never);
    let (_supervisor, events) = start(spec, Supervisor::builder());
    let peak = wait_for(&events, |kind| match kind {
        EventKind::Exited { peak_memory, .. } => Some(peak_memory),
        _ => None,
    });
    assert!(peak.unwrap() > 300 << 20, "{peak:?}");
}

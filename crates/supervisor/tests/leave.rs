//! A supervisor that leaves, and another that goes on, with real processes.
// Only on Linux is anything taken over.
#![cfg(all(target_os = "linux", not(s7_posix)))]
#![expect(clippy::unwrap_used, reason = "a test, which fails where something is not as it should be")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use supervisor::{
    Builder, EventKind, LogSettings, OnCrash, Output, ProcessSpec, RequestError, Stderr, Supervisor, Until,
};

const NUMBERS: &str = "i=0; while :; do i=$((i+1)); echo $i; done";

fn shell(id: &str, script: &str) -> ProcessSpec {
    let mut spec = ProcessSpec::new(id, "/bin/sh").unwrap();
    spec.arguments = vec!["-c".into(), script.into()];
    spec
}

/// A supervisor in this folder, of one component that counts as fast as it can, and one that sleeps.
fn builder(folder: &Path) -> Builder {
    let mut counts = shell("counts", NUMBERS);
    counts.output =
        Output::File { log: LogSettings::new(folder.join("counts.log")), stderr: Stderr::default() };
    Supervisor::builder()
        .state_dir(folder.join("state"))
        .components([counts, shell("sleeps", "exec sleep 1000")])
}

fn last_number(folder: &Path) -> u64 {
    let log = fs::read_to_string(folder.join("counts.log")).unwrap_or_default();
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole.lines().last().and_then(|line| line.parse().ok()).unwrap_or(0)
}

#[test]
fn what_runs_runs_on_with_every_line_and_belongs_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = builder(folder.path()).start().unwrap();
    let handle = supervisor.handle();
    handle.wait_for(["counts", "sleeps"], Until::Ready).unwrap().wait().unwrap();
    let pids = |status: supervisor::Status| status.components.iter().map(|its| its.pid).collect::<Vec<_>>();
    let before = pids(handle.status().unwrap());
    let mut supervisor = Some(supervisor);
    for _ in 0..5 {
        let old = supervisor.take().unwrap();
        let handle = old.handle();
        handle.leave("the test").unwrap();
        assert!(old.wait().unwrap().left);
        assert_eq!(handle.status().unwrap_err(), RequestError::Ended);
        let seen = last_number(folder.path());
        let mut next = builder(folder.path());
        let events = next.subscribe();
        let next = next.start().unwrap();
        assert_eq!(pids(next.handle().status().unwrap()), before);
        let adopted = |kind: &EventKind| matches!(kind, EventKind::Adopted { .. });
        assert_eq!(events.try_iter().filter(|event| adopted(&event.kind)).count(), 2);
        // It goes on writing, and is read.
        while last_number(folder.path()) <= seen {
            std::thread::yield_now();
        }
        supervisor = Some(next);
    }
    let last = supervisor.take().unwrap();
    last.handle().shutdown().unwrap();
    assert!(last.wait().unwrap().is_success());
    let log = fs::read_to_string(folder.path().join("counts.log")).unwrap();
    let whole = &log[..log.rfind('\n').unwrap()];
    for (line, expected) in whole.lines().zip(1..) {
        assert_eq!(line, expected.to_string());
    }
}

#[test]
fn what_a_component_writes_and_leaves_between_two_supervisors_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &gate,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let builder = || {
        let mut spec = shell("ends", &format!("echo first; read word <{}; echo last $word", gate.display()));
        spec.output =
            Output::File { log: LogSettings::new(folder.path().join("ends.log")), stderr: Stderr::Join };
        spec.restart = std::sync::Arc::new(supervisor::Never);
        Supervisor::builder().state_dir(folder.path().join("state")).components([spec])
    };
    let supervisor = builder().start().unwrap();
    let handle = supervisor.handle();
    handle.wait_for("ends", Until::Ready).unwrap().wait().unwrap();
    let pid = handle.status().unwrap().components[0].pid.unwrap();
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    handle.leave("the test").unwrap();
    let (_, kept) = supervisor.wait_and_keep().unwrap();

    fs::write(&gate, "words\n").unwrap();
    let mut polled = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, None).unwrap();

    let next = builder().kept_open(kept).start().unwrap();
    // One that ends waits for what is still in a pipe, but not for ever.
    let log = || fs::read_to_string(folder.path().join("ends.log")).unwrap();
    while log().lines().count() < 2 {
        std::thread::yield_now();
    }
    next.handle().shutdown().unwrap().wait().unwrap();
    next.wait().unwrap();
    assert!(log().starts_with("first\nlast words\n"), "{}", log());
}

#[test]
fn who_asks_for_the_end_of_everything_is_answered_though_it_is_being_written_down() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let supervisor = builder(folder.path()).start().unwrap();
        let handle = supervisor.handle();
        handle.wait_for("sleeps", Until::Ready).unwrap().wait().unwrap();
        let end = handle.shutdown().unwrap();
        assert!(end.wait().unwrap().is_success());
    }
}

#[test]
fn who_writes_nothing_down_or_takes_everything_along_does_not_leave() {
    let supervisor = Supervisor::builder().components([shell("sleeps", "exec sleep 1000")]).start().unwrap();
    let handle = supervisor.handle();
    assert_eq!(handle.leave("the test").unwrap_err(), RequestError::Forgetful);
    let folder = tempfile::tempdir().unwrap();
    let bound = builder(folder.path()).on_crash(OnCrash::Stop).start().unwrap();
    assert_eq!(bound.handle().leave("the test").unwrap_err(), RequestError::Bound);
    let pending = handle.wait_for("sleeps", Until::Ready).unwrap();
    assert!(
        pending.wait_timeout(Duration::from_secs(60)).unwrap().is_some_and(|outcome| outcome.is_success())
    );
}

//! A supervisor inside a host, with real processes.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, which fails where something is not as it should be"
)]

mod common;

use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use supervisor::{
    Achieved, ComponentState, Condition, Dependency, End, EventKind, Exit, Never, Outcome, ProcessSpec,
    Readiness, ReadyWhen, RelationProblem, Request, RequestError, RestartGroup, SpawnStep, StartError,
    Strategy, Supervisor, Targets, Until,
};

use crate::common::{LONG, kill, lives, shell, spawned, start, wait_for};

/// A component that runs until it is told to stop.
fn steady(id: &str) -> ProcessSpec {
    shell(id, "exec sleep 1000")
}

/// A component that runs only when somebody starts it.
fn asleep(id: &str) -> ProcessSpec {
    let mut spec = steady(id);
    spec.autostart = false;
    spec
}

/// Waits for the end of a child of this process, and leaves it to the supervisor to be reaped. When this comes back everybody
/// else has been told of the end as well.
fn await_end(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    // It fails if the supervisor was faster, and has reaped it.
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
}

#[test]
fn what_is_killed_is_back_with_another_pid_and_its_exit_is_told_exactly() {
    let (supervisor, handle, events) = start([steady("ps")]);
    let first = wait_for(&events, spawned);
    kill(first);
    let second = wait_for(&events, spawned);
    assert_ne!(first, second);
    let status = handle.status_of("ps").unwrap();
    let ps = status.component("ps").unwrap();
    assert_eq!(ps.state, ComponentState::Up);
    assert_eq!((ps.pid, ps.restarts), (Some(second), 1));
    assert_eq!(ps.last_end, Some(End::Exited(Exit::Signal { signal: 9, core_dumped: false })));
    // The kernel counts the first pages of a process in its own time.
    while handle.status_of("ps").unwrap().component("ps").unwrap().usage.unwrap().memory == 0 {}
    drop(supervisor);
    assert!(!lives(second));
}

#[test]
fn what_was_answered_in_detail_a_moment_ago_is_not_told_of_one_that_has_ended_since() {
    let mut spec = steady("ps");
    spec.restart = std::sync::Arc::new(Never);
    let (_supervisor, handle, events) = start([spec]);
    let pid = wait_for(&events, spawned);
    let detail = || handle.detail(&"ps".parse_id()).unwrap();
    for _ in 0..3 {
        let (before, after) = (detail(), detail());
        assert_eq!((before.component.pid, after.component.pid), (Some(pid), Some(pid)));
        assert!(after.component.uptime > before.component.uptime, "time passes");
    }
    kill(pid);
    await_end(pid);
    let told = detail();
    assert_eq!((told.component.pid, told.processes.len()), (None, 0));
}

#[test]
fn requests_wait_until_what_was_asked_for_has_happened() {
    let (_supervisor, handle, events) = start([steady("is"), steady("ps")]);
    wait_for(&events, spawned);
    let stopped = handle.stop("ps").unwrap().wait().unwrap();
    assert_eq!(stopped.components, [("ps".parse_id(), Achieved::Done)]);
    assert_eq!(handle.status_of("ps").unwrap().components[0].state, ComponentState::Stopped);
    assert!(handle.start("ps").unwrap().wait().unwrap().is_success());
    let before = handle.status_of("is").unwrap().components[0].pid;
    assert!(handle.restart("is").unwrap().wait().unwrap().is_success());
    assert_ne!(handle.status_of("is").unwrap().components[0].pid, before);
}

trait ParseId {
    fn parse_id(&self) -> supervisor::ComponentId;
}

impl ParseId for str {
    fn parse_id(&self) -> supervisor::ComponentId {
        supervisor::ComponentId::new(self).unwrap()
    }
}

#[test]
fn an_unknown_name_is_refused_and_touches_nothing() {
    let (_supervisor, handle, _events) = start([steady("ps")]);
    let refused = handle.stop(["ps", "sp"]).unwrap_err();
    assert!(matches!(refused, RequestError::Unknown { name, .. } if name == "sp"));
    assert!(handle.status_of("ps").unwrap().components[0].wanted);
}

#[test]
fn what_cannot_be_run_says_at_which_step_and_is_tried_again() {
    let (_supervisor, handle, events) = start([ProcessSpec::new("ps", "/no/such/program").unwrap()]);
    let error = wait_for(&events, |event| match &event.kind {
        EventKind::NotSpawned { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert_eq!(error.step, SpawnStep::Executable);
    wait_for(&events, |event| matches!(event.kind, EventKind::Backoff { .. }).then_some(()));
    wait_for(&events, |event| matches!(event.kind, EventKind::NotSpawned { .. }).then_some(()));
    assert!(handle.stop("ps").unwrap().wait().unwrap().is_success());
}

#[test]
fn what_ignores_the_stop_signal_is_killed_with_all_its_children_in_time() {
    let mut stubborn =
        shell("ps", "trap '' TERM; setsid sleep 1000 & sleep 1000 & echo; while :; do wait; done");
    stubborn.stop_timeout = Duration::from_millis(200);
    let (supervisor, handle, events) = start([stubborn]);
    let pid = wait_for(&events, spawned);
    let family = || -> Vec<u32> {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    };
    // Both have their environment again, which tells whose they are: while a process executes another program it has none.
    let sleeps = |pid: &u32| {
        let of = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        of("comm") == b"sleep\n" && !of("environ").is_empty()
    };
    let deadline = Instant::now() + LONG;
    while family().iter().filter(|pid| sleeps(pid)).count() < 2 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let family = family();
    assert!(handle.stop("ps").unwrap().wait().unwrap().is_success());
    assert!(family.into_iter().chain([pid]).all(|pid| !lives(pid)), "something was left behind");
    drop(supervisor);
}

#[test]
fn what_has_joined_another_process_group_is_stopped_and_killed_all_the_same() {
    let joins = "import os, signal, sys, time\nos.setpgid(0, os.getpgid(os.getppid()))\n";
    let python = |id: &str, rest: &str| {
        let mut spec = ProcessSpec::new(id, "python3").unwrap();
        spec.arguments =
            vec!["-c".into(), format!("{joins}{rest}print(flush=True)\ntime.sleep(1000)").into()];
        spec.stop_timeout = Duration::from_millis(200);
        spec
    };
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        return eprintln!("skipped: there is no python3");
    }
    let deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n";
    let (_supervisor, handle, events) = start([python("polite", ""), python("deaf", deaf)]);
    let pids = [wait_for(&events, spawned), wait_for(&events, spawned)];
    for pid in pids {
        // Its group changes when it has come so far.
        let group = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let deadline = Instant::now() + LONG;
        while group().split_whitespace().nth(4) == Some(&pid.to_string()) && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
    assert!(handle.stop(Targets::All).unwrap().wait().unwrap().is_success());
    assert!(!pids.into_iter().any(lives));
}

#[test]
fn a_command_that_comes_while_supervision_ends_is_answered_or_refused_but_never_left_waiting() {
    for _ in 0..20 {
        let (supervisor, handle, _events) = start([steady("ps")]);
        let askers: Vec<_> = (0..4)
            .map(|_| {
                let handle = handle.clone();
                std::thread::spawn(move || while handle.status().is_ok() {})
            })
            .collect();
        handle.shutdown().unwrap();
        supervisor.wait().unwrap();
        askers.into_iter().for_each(|asker| asker.join().unwrap());
    }
}

// What has left its group and lost its parent is found by its token, which only Linux tells.
#[cfg(all(target_os = "linux", not(s7_posix)))]
#[test]
fn a_crashed_run_that_leaves_a_daemon_behind_is_over_only_when_the_daemon_is_gone() {
    let mut leaver = shell("ps", "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1000; done' & exit 3");
    leaver.stop_timeout = Duration::from_millis(100);
    let (_supervisor, _handle, events) = start([leaver]);
    wait_for(&events, |event| matches!(event.kind, EventKind::Exited { .. }).then_some(()));
    // Either it was found and killed, or it was not born before the look; the second run then finds it.
    wait_for(&events, |event| matches!(event.kind, EventKind::Killed { .. }).then_some(()));
    wait_for(&events, spawned);
}

#[test]
fn a_shutdown_by_a_handle_ends_the_supervisor_and_every_handle() {
    let (supervisor, handle, events) = start([steady("is"), steady("ps")]);
    let pids = [wait_for(&events, spawned), wait_for(&events, spawned)];
    assert!(handle.shutdown().unwrap().wait().unwrap().is_success());
    assert!(supervisor.wait().unwrap().is_success());
    assert!(!pids.into_iter().any(lives));
    assert_eq!(handle.status().unwrap_err(), RequestError::Ended);
    assert_eq!(handle.stop(Targets::All).unwrap_err(), RequestError::Ended);
    assert!(events.iter().last().is_some(), "the channel ends with the supervisor");
}

#[test]
fn what_nobody_waits_for_any_more_does_not_count_as_waiting() {
    let (_supervisor, handle, events) = start([steady("ps"), asleep("off")]);
    wait_for(&events, spawned);
    // More than may be without an answer at once.
    for _ in 0..1_500 {
        drop(handle.wait_for("off", Until::Ready).unwrap());
    }
    let waiting = handle.wait_for("off", Until::Ready).unwrap();
    assert_eq!(waiting.wait_timeout(Duration::ZERO).unwrap(), None);
    handle.start("off").unwrap().wait().unwrap();
    assert!(waiting.wait().unwrap().is_success());
}

#[test]
fn a_request_whose_answer_is_forgotten_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RWXU).unwrap();
    let mut slow = shell("slow", &format!("read -r go < {}; echo >&3; exec sleep 1000", go.display()));
    slow.autostart = false;
    slow.readiness = Some(Readiness { when: ReadyWhen::Descriptor(3), timeout: LONG });
    let (_supervisor, handle, events) = start([slow]);
    let (sender, answer) = crossbeam_channel::bounded::<Outcome>(1);
    let request = Request::Start(Targets::from("slow"));
    let submitted = handle.submit(request, "a test", move |outcome| drop(sender.send(outcome))).unwrap();
    submitted.forget();
    // What was said to the supervisor before this is answered has been heard.
    handle.status().unwrap();
    std::fs::write(&go, "\n").unwrap();
    wait_for(&events, |event| matches!(event.kind, EventKind::Started { .. }).then_some(()));
    assert_eq!(answer.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn the_components_that_a_name_means_are_told_in_start_order() {
    let (_supervisor, handle, _events) = start([asleep("web-2"), asleep("ps"), asleep("web-1")]);
    let meant = |targets: &Targets| handle.meant_by(targets).unwrap();
    assert_eq!(meant(&Targets::from(["web-*"])), ["web-2", "web-1"]);
    assert_eq!(meant(&Targets::All).len(), 3);
    assert!(matches!(handle.meant_by(&"x".into()), Err(RequestError::Unknown { .. })));
}

#[test]
fn two_components_of_the_same_name_but_for_case_are_refused() {
    let error = Supervisor::builder().components([steady("ps"), steady("PS")]).start().unwrap_err();
    assert_eq!(error, StartError::Duplicate("PS".parse_id()));
}

#[test]
fn components_whose_relations_make_no_sense_are_refused_before_anything_starts() {
    let needs = |id: &str, on: &[&str]| {
        let mut spec = steady(id);
        let on = on.iter().map(|on| on.parse_id());
        spec.depends_on = on.map(|on| Dependency { on, condition: Condition::Ready }).collect();
        spec
    };
    let refusal = |specs: Vec<ProcessSpec>| match Supervisor::builder().components(specs).start() {
        Err(StartError::Relation(error)) => (error.component.to_string(), error.problem),
        other => panic!("{other:?}"),
    };
    let unknown = RelationProblem::Unknown { on: "pss".parse_id(), suggestion: Some("ps".parse_id()) };
    assert_eq!(refusal(vec![needs("is", &["pss"]), needs("ps", &[])]), ("is".to_owned(), unknown));
    assert_eq!(refusal(vec![needs("is", &["is"])]), ("is".to_owned(), RelationProblem::Itself));
    let circle = RelationProblem::Circle(vec!["is".parse_id(), "ps".parse_id()]);
    assert_eq!(refusal(vec![needs("is", &["ps"]), needs("ps", &["is"])]), ("ps".to_owned(), circle));
    let member = |id: &str, strategy| {
        let mut spec = steady(id);
        spec.restart_group = Some(RestartGroup { name: "web".to_owned(), strategy });
        spec
    };
    let at_odds = vec![member("is", Strategy::OneForAll), member("ps", Strategy::RestForOne)];
    let (component, problem) = refusal(at_odds);
    assert!(component == "ps" && matches!(problem, RelationProblem::Strategy { .. }), "{problem}");
}

#[test]
fn as_many_kills_give_as_many_replacements() {
    let mut spec = steady("ps");
    spec.restart = std::sync::Arc::new(supervisor::Fixed(Duration::ZERO));
    let (_supervisor, handle, events) = start([spec]);
    for _ in 0..200 {
        kill(wait_for(&events, spawned));
    }
    wait_for(&events, spawned);
    assert_eq!(handle.status().unwrap().components[0].restarts, 200);
}

#[test]
fn a_one_shot_component_completes() {
    let mut job = shell("job", "exit 0");
    job.restart = std::sync::Arc::new(Never);
    let (_supervisor, handle, events) = start([job]);
    wait_for(&events, |event| (event.kind == EventKind::Completed).then_some(()));
    assert_eq!(handle.status().unwrap().components[0].state, ComponentState::Completed);
}

#[test]
fn a_host_that_does_not_ask_for_control_groups_has_none() {
    let (supervisor, _handle, events) = start([steady("ps")]);
    let pid = wait_for(&events, spawned);
    assert_eq!(supervisor.control_groups(), Err("they were not asked for"));
    let groups = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(groups(pid), groups(std::process::id()));
}

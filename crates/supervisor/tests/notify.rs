//! What components say of themselves, with real programs: `sd_notify`, the descriptor of their readiness, their output.
// Only Linux has `sd_notify`.
#![cfg(all(target_os = "linux", not(s7_posix)))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test, which fails where something is not as it should be"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use supervisor::{
    ComponentState, Event, EventKind, Exit, Fixed, LogSettings, Never, Output, ProcessSpec, Readiness,
    ReadyWhen, StartError, Stderr, Supervisor,
};

use crate::common::{LONG, kill, lives, shell, spawned, start, wait_for};

fn python(id: &str, script: &str) -> ProcessSpec {
    let mut spec = shell(id, "");
    spec.executable = "python3".into();
    spec.arguments = vec!["-c".into(), format!("{SPEAK}{script}").into()];
    spec
}

/// How a program without a library speaks `sd_notify`.
const SPEAK: &str = "
import os, signal, socket, sys, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(text if isinstance(text, bytes) else text.encode(), os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1))
";

fn ready_when(mut spec: ProcessSpec, when: ReadyWhen) -> ProcessSpec {
    spec.readiness = Some(Readiness { when, timeout: LONG });
    spec
}

fn notified(spec: ProcessSpec) -> ProcessSpec {
    ready_when(spec, ReadyWhen::Notified)
}

fn started(event: &Event) -> Option<()> {
    matches!(event.kind, EventKind::Started { .. }).then_some(())
}

fn exited(event: &Event) -> Option<Exit> {
    match event.kind {
        EventKind::Exited { exit, .. } => Some(exit),
        _ => None,
    }
}

fn noted(event: &Event) -> Option<String> {
    match &event.kind {
        EventKind::Noted { text, .. } => Some(text.to_string()),
        _ => None,
    }
}

fn last_words(event: &Event) -> Option<Vec<String>> {
    match &event.kind {
        EventKind::LastWords { lines, .. } => Some(lines.clone()),
        _ => None,
    }
}

/// What a component has written into a file, once the whole of it is there.
fn written(path: &Path) -> String {
    let deadline = Instant::now() + LONG;
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim_end().to_owned(),
            _ => assert!(Instant::now() < deadline, "{} never came", path.display()),
        }
        std::thread::yield_now();
    }
}

/// Whether these programs are there. Where the tests must be whole they have to be.
fn has(programs: &[&str]) -> bool {
    let is_there = |program: &&&str| Command::new(program).arg("--version").output().is_ok();
    let missing = programs.iter().find(|program| !is_there(program));
    if let Some(missing) = missing {
        assert!(std::env::var_os("CI").is_none(), "{missing} is missing");
        eprintln!("skipped: there is no {missing}");
    }
    missing.is_none()
}

#[test]
fn a_component_has_started_when_it_says_so_and_what_it_does_is_told() {
    if !has(&["systemd-notify"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script = format!(
        "systemd-notify --status 'reading 1\u{fe0f}'; until [ -e {} ]; do sleep 0.01; done; \
         systemd-notify --ready --status=open; exec sleep 1000",
        go.display()
    );
    let (_supervisor, handle, events) = start([notified(shell("ps", &script))]);
    let note = wait_for(&events, |event| {
        assert_eq!(started(event), None, "it is not ready yet");
        noted(event)
    });
    assert_eq!(note, "reading 1\u{fe0f}");
    assert_eq!(handle.status().unwrap().components[0].state, ComponentState::Starting);
    fs::write(go, "").unwrap();
    wait_for(&events, started);
    assert_eq!(handle.status().unwrap().components[0].state, ComponentState::Up);
}

#[test]
fn a_component_finds_the_socket_and_its_watchdog_in_its_environment_only_if_it_has_a_use_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let tell = |id: &str| {
        let path = folder.path().join(id);
        shell(
            id,
            &format!(
                "echo \"$NOTIFY_SOCKET,$WATCHDOG_USEC,$WATCHDOG_PID\" > {}; exec sleep 1000",
                path.display()
            ),
        )
    };
    let mut watched = tell("watched");
    watched.environment.variables =
        vec![supervisor::Variable { name: "WATCHDOG_USEC".into(), value: "7".into(), secret: false }];
    watched.watchdog = Some(Duration::from_secs(30));
    let (_supervisor, _handle, _events) = start([tell("plain"), notified(tell("notified")), watched]);
    let told = |id: &str| written(&folder.path().join(id));
    assert_eq!(told("plain"), ",,");
    let (one, other) = (told("notified"), told("watched"));
    assert!(one.starts_with("@s7-notify/") && one.ends_with(",,"), "{one}");
    assert!(other.starts_with("@s7-notify/") && other.ends_with(",30000000,"), "{other}");
    assert_ne!(one.split(',').next(), other.split(',').next());
}

#[test]
fn a_program_that_has_given_up_its_user_is_heard_and_a_stranger_is_not() {
    if !rustix::process::geteuid().is_root() || !has(&["setpriv", "python3", "systemd-notify"]) {
        return eprintln!("skipped: it takes root");
    }
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("address");
    let script = format!(
        "open({:?}, 'w').write(os.environ['NOTIFY_SOCKET'] + '\\n')\nos.setgroups([]); os.setresuid(65534, 65534, 65534)\n\
         signal.sigwait([signal.SIGUSR1])\nsay('STATUS=mine')\ntime.sleep(1000)",
        address.display().to_string()
    );
    let mut spec = notified(python(
        "ps",
        &format!("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n{script}"),
    ));
    spec.readiness.as_mut().unwrap().timeout = LONG * 2;
    let (_supervisor, _handle, events) = start([spec]);
    let pid = wait_for(&events, spawned);
    let address = written(&address);
    // Another process of that user, which knows the address and belongs to no run.
    let stranger = Command::new("setpriv")
        .args(["--reuid=65533", "--clear-groups", "systemd-notify", "--ready", "--status=a lie"])
        .env("NOTIFY_SOCKET", address)
        .status();
    assert!(stranger.unwrap().success());
    let component = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(component, rustix::process::Signal::USR1).unwrap();
    let note = wait_for(&events, |event| {
        assert_eq!(started(event), None, "the stranger was believed");
        noted(event)
    });
    assert_eq!(note, "mine");
}

#[test]
fn a_daemon_that_is_named_goes_on_for_the_process_that_has_started_it() {
    if !has(&["systemd-notify"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = format!(
        "setsid sleep 1000 & echo $! > {}; systemd-notify --ready MAINPID=$!; exit 0",
        pid_file.display()
    );
    let (supervisor, handle, events) = start([notified(shell("ps", &script))]);
    let first = wait_for(&events, spawned);
    wait_for(&events, started);
    let daemon: u32 = written(&pid_file).parse().unwrap();
    let deadline = Instant::now() + LONG;
    while lives(first) {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let status = handle.status().unwrap();
    assert_eq!((&status.components[0].state, status.components[0].pid), (&ComponentState::Up, Some(daemon)));

    kill(daemon);
    let exit = wait_for(&events, |event| {
        assert_eq!(spawned(event), None, "a run has ended before");
        exited(event)
    });
    assert!(matches!(exit, Exit::Signal { signal: 9, .. } | Exit::Unknown), "{exit:?}");
    let second = wait_for(&events, spawned);
    assert_ne!(second, first);
    wait_for(&events, started);
    let daemon: u32 = handle.status().unwrap().components[0].pid.unwrap();
    assert_ne!(daemon, second);
    assert!(handle.stop("ps").unwrap().wait().unwrap().is_success());
    assert!(!lives(daemon) && !lives(second));
    drop(supervisor);
}

#[test]
fn a_wrapper_that_outlives_the_process_it_has_named_ends_with_it() {
    if !has(&["systemd-notify"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = format!(
        "sleep 1000 & echo $! > {}; systemd-notify --ready MAINPID=$!; wait; exec sleep 1000",
        pid_file.display()
    );
    let mut spec = notified(shell("ps", &script));
    spec.restart = std::sync::Arc::new(Never);
    let (_supervisor, handle, events) = start([spec]);
    let wrapper = wait_for(&events, spawned);
    wait_for(&events, started);
    kill(written(&pid_file).parse().unwrap());
    wait_for(&events, exited);
    wait_for(&events, |event| matches!(event.kind, EventKind::GivenUp { .. }).then_some(()));
    assert!(!lives(wrapper));
    assert_eq!(handle.status().unwrap().components[0].pid, None);
}

#[test]
fn nobody_can_name_a_process_that_is_not_its_own() {
    if !has(&["python3"]) {
        return;
    }
    let spec = notified(python(
        "ps",
        "say(f'MAINPID={os.getppid()}\\nSTATUS=named'); say('MAINPID=1\\nREADY=1'); signal.pause()",
    ));
    let (_supervisor, handle, events) = start([spec]);
    let pid = wait_for(&events, spawned);
    wait_for(&events, started);
    assert_eq!(handle.status().unwrap().components[0].pid, Some(pid));
}

#[test]
fn one_that_floods_its_socket_holds_up_nobody() {
    if !has(&["python3"]) {
        return;
    }
    let flood =
        notified(python("flood", "say('READY=1')\nwhile True: say(b'\\xff' * 8000); say('STATUS=again')"));
    let mut steady = shell("steady", "exec sleep 1000");
    steady.restart = std::sync::Arc::new(Fixed(Duration::ZERO));
    let (_supervisor, handle, events) = start([flood, steady]);
    wait_for(&events, |event| noted(event).filter(|_| event.component.as_ref().unwrap().as_str() == "flood"));
    let mut last = None;
    for _ in 0..=20 {
        let deadline = Instant::now() + LONG;
        // One that is slow to come to its program has no pid yet.
        let next = loop {
            assert!(Instant::now() < deadline);
            match handle.status_of("steady").unwrap().components[0].pid {
                pid @ Some(_) if pid != last => break pid,
                _ => {}
            }
        };
        kill(next.unwrap());
        last = next;
    }
    assert!(handle.stop("flood").unwrap().wait().unwrap().is_success());
}

#[test]
fn a_newline_on_its_descriptor_says_that_a_component_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script = format!(
        "printf abc >&4; until [ -e {} ]; do sleep 0.01; done; echo >&4; exec sleep 1000",
        go.display()
    );
    let plain = ready_when(shell("plain", &script), ReadyWhen::Descriptor(4));
    let mut with_umask = plain.clone();
    with_umask.id = supervisor::ComponentId::new("with-umask").unwrap();
    with_umask.umask = Some(0o027);
    // It closes its end and is never ready.
    let mute = ready_when(shell("mute", "exec 5>&-; exec sleep 1000"), ReadyWhen::Descriptor(5));
    let (_supervisor, handle, events) = start([plain, with_umask, mute]);
    (0..3).for_each(|_| assert!(wait_for(&events, spawned) > 0));
    let states = || handle.status().unwrap().components.into_iter().map(|component| component.state);
    assert!(states().all(|state| state == ComponentState::Starting));
    fs::write(go, "").unwrap();
    (0..2).for_each(|_| wait_for(&events, started));
    assert_eq!(
        states().collect::<Vec<_>>(),
        [ComponentState::Up, ComponentState::Up, ComponentState::Starting]
    );
}

#[test]
fn a_line_of_its_output_says_that_a_component_is_ready() {
    let script = "echo 'Server startup'; echo ' in 12 ms'; read -r go; echo 'Server startup in 12 ms'; exec sleep 1000";
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let script = script.replace("read -r go", &format!("read -r go < {}", fifo.display()));
    let spec = ready_when(shell("ps", &script), ReadyWhen::Logged(r"^Server startup in \d+ ms$".into()));
    let (_supervisor, handle, events) = start([spec]);
    wait_for(&events, spawned);
    // Opened only once the component has come so far.
    let mut go = fs::OpenOptions::new().write(true).open(fifo).unwrap();
    assert_eq!(handle.status().unwrap().components[0].state, ComponentState::Starting);
    std::io::Write::write_all(&mut go, b"\n").unwrap();
    wait_for(&events, started);
}

#[test]
fn a_pattern_that_can_never_be_found_is_refused() {
    let logged = |text: &str| ready_when(shell("ps", "true"), ReadyWhen::Logged(text.into()));
    let mut elsewhere = logged("ready");
    elsewhere.output = Output::Inherit;
    for (spec, rule) in [(logged("("), "unclosed group"), (elsewhere, "that of the host")] {
        let refused = Supervisor::builder().components([spec]).start().unwrap_err();
        assert!(matches!(&refused, StartError::Readiness { why, .. } if why.contains(rule)), "{refused}");
    }
}

#[test]
fn the_last_words_of_a_run_are_told_when_it_has_ended_also_the_last_of_all() {
    if !has(&["python3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = |stderr| Output::File { log: LogSettings::new(folder.path().join("ps.log")), stderr };
    let mut crashes = shell("crashes", "echo fine; echo 'panic:\u{1b}[31m no luck' >&2; exit 3");
    crashes.output = output(Stderr::File);
    crashes.restart = std::sync::Arc::new(Never);
    let mut stopped = python(
        "stopped",
        "def bye(*_): print('bye'); sys.exit(0)\nsignal.signal(signal.SIGTERM, bye)\n\
         print('hello', flush=True); time.sleep(1000)",
    );
    stopped.output =
        Output::File { log: LogSettings::new(folder.path().join("stopped.log")), stderr: Stderr::Join };
    let (supervisor, _handle, events) = start([crashes, stopped]);
    assert_eq!(wait_for(&events, last_words), ["panic:\\u{1b}[31m no luck"]);
    written(&folder.path().join("stopped.log"));
    drop(supervisor);
    assert_eq!(wait_for(&events, last_words), ["hello", "bye"]);
    assert!(events.iter().all(|event| last_words(&event).is_none()), "said once");
}

//! A supervisor on Windows, with real processes: this program itself plays the components.
#![cfg(windows)]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, which fails where something is not as it should be, and which plays a component that waits"
)]
#![expect(unsafe_code, reason = "a component waits for an event as one in C would")]

use std::io::Read;
use std::path::Path;
use std::process::{Command, exit};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use supervisor::{
    Backoff, Event, EventKind, Exit, Handle, LogSettings, Never, Output, Probe, ProcessSpec, ProcessStatus,
    Readiness, ReadyWhen, Signal, SpawnStep, StartError, Stderr, Supervisor, Variable,
};
use windows_sys::Win32::System::Threading::{INFINITE, OpenEventW, OpenProcess, WaitForSingleObject};

/// Longer than anything takes on a busy machine: only a fault waits for it.
const LONG: Duration = Duration::from_secs(180);

const SYNCHRONIZE: u32 = 0x0010_0000;

/// A component that does this.
fn plays(id: &str, role: &str) -> ProcessSpec {
    let mut spec = ProcessSpec::new(id, std::env::current_exe().unwrap()).unwrap();
    spec.arguments = ["--exact", "the_component", "--ignored", "--nocapture"].map(Into::into).into();
    set(&mut spec, "ROLE", role);
    spec.restart = std::sync::Arc::new(Never);
    // Most of them do not heed.
    spec.stop_timeout = Duration::from_millis(300);
    spec
}

fn set(spec: &mut ProcessSpec, name: &str, value: &str) {
    spec.environment.variables.push(Variable { name: name.into(), value: value.into(), secret: false });
}

fn with_log(mut spec: ProcessSpec, path: &Path) -> ProcessSpec {
    spec.output = Output::File { log: LogSettings::new(path), stderr: Stderr::Join };
    spec
}

/// What it does, if it is one.
#[test]
#[ignore = "this is what the components of the other tests do"]
fn the_component() {
    let Ok(role) = std::env::var("ROLE") else { return };
    // The harness may have begun a line.
    println!();
    match role.split_once(' ').unwrap_or((&role, "")) {
        ("exit", code) => exit(code.parse().unwrap()),
        ("crash", _) => std::process::abort(),
        ("sleep", _) => sleep(),
        ("say", text) => {
            println!("{text}");
            sleep();
        }
        ("flood", lines) => {
            for number in 0..lines.parse::<u32>().unwrap() {
                println!("line {number:9}");
            }
            exit(0);
        }
        ("tree", generations) => {
            let generations: u32 = generations.parse().unwrap();
            if generations > 0 {
                let mut child = Command::new(std::env::current_exe().unwrap());
                child.args(std::env::args_os().skip(1)).env("ROLE", format!("tree {}", generations - 1));
                println!("child {}", child.spawn().unwrap().id());
            } else {
                println!("the last");
            }
            sleep();
        }
        ("leave", _) => {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(std::env::args_os().skip(1)).env("ROLE", "sleep");
            println!("child {}", child.spawn().unwrap().id());
            exit(0);
        }
        ("heed", code) => {
            let name: Vec<u16> = std::env::var("S7_STOP_EVENT").unwrap().encode_utf16().chain([0]).collect();
            // SAFETY: the name ends with zero.
            let event = unsafe { OpenEventW(SYNCHRONIZE, 0, name.as_ptr()) };
            assert!(!event.is_null());
            println!("waits");
            // SAFETY: the event is open.
            unsafe { WaitForSingleObject(event, INFINITE) };
            exit(code.parse().unwrap());
        }
        ("read", code) => {
            println!("waits");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            exit(code.parse().unwrap());
        }
        ("variables", _) => {
            std::env::vars().for_each(|(name, value)| println!("{name}={value}"));
            println!("folder={}", std::env::current_dir().unwrap().display());
            std::env::args().for_each(|argument| println!("argument={argument}"));
            exit(0);
        }
        (other, _) => panic!("no such role: {other}"),
    }
}

fn sleep() -> ! {
    loop {
        std::thread::park();
    }
}

fn start(specs: impl IntoIterator<Item = ProcessSpec>) -> (Supervisor, Handle, Receiver<Event>) {
    let mut builder = Supervisor::builder().components(specs);
    let events = builder.subscribe();
    let supervisor = builder.start().unwrap();
    let handle = supervisor.handle();
    (supervisor, handle, events)
}

/// Waits for an event that this makes something of.
fn wait_for<T>(events: &Receiver<Event>, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        let event = events.recv_deadline(deadline).expect("the event never came");
        if let Some(found) = wanted(&event) {
            return found;
        }
    }
}

fn spawned(event: &Event) -> Option<u32> {
    match &event.kind {
        EventKind::Spawned { pid, .. } => Some(*pid),
        // Nothing that would be waited for comes after that.
        EventKind::NotSpawned { error, .. } => panic!("{:?}: {error}", event.component),
        _ => None,
    }
}

fn ended(event: &Event) -> Option<Exit> {
    match event.kind {
        EventKind::Exited { exit, .. } => Some(exit),
        _ => None,
    }
}

/// What is ready once it says this. Then its log holds that.
fn that_says(mut spec: ProcessSpec, line: &str) -> ProcessSpec {
    let when = ReadyWhen::Logged(format!("^{line}\r?$"));
    spec.readiness = Some(Readiness { when, timeout: LONG });
    spec
}

fn ready(event: &Event) -> Option<()> {
    matches!(event.kind, EventKind::Started { .. }).then_some(())
}

/// The rest of the line of a file that begins so.
fn line(path: &Path, beginning: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(beginning));
    found.unwrap_or_else(|| panic!("no {beginning:?} in {text}")).to_owned()
}

/// Ends all, and gives back when everything is stored.
fn end(supervisor: Supervisor) {
    supervisor.handle().shutdown().unwrap();
    assert!(supervisor.wait().unwrap().is_success());
}

/// Waits for the end of a process.
fn await_end(pid: u32) {
    // SAFETY: numbers are passed; the handle is left to the end of the test.
    unsafe {
        let process = OpenProcess(SYNCHRONIZE, 0, pid);
        if !process.is_null() {
            let limit = u32::try_from(LONG.as_millis()).unwrap();
            assert_eq!(WaitForSingleObject(process, limit), 0, "process {pid} lives");
        }
    }
}

#[test]
fn an_exit_code_is_exact() {
    for code in [0, 1, 7, 255, 259, 70_000, -1] {
        let (_supervisor, _, events) = start([plays("ps", &format!("exit {code}"))]);
        assert_eq!(wait_for(&events, ended), Exit::Code(code));
    }
}

#[test]
fn what_dies_is_begun_again_and_what_is_killed_is_told_so() {
    let mut spec = plays("ps", "sleep");
    spec.restart = std::sync::Arc::new(Backoff::default());
    spec.stop_timeout = Duration::from_millis(200);
    let (supervisor, handle, events) = start([spec]);
    let first = wait_for(&events, spawned);
    handle.signal("ps", Signal::KILL).unwrap();
    assert_eq!(wait_for(&events, ended), Exit::Signal { signal: 9, core_dumped: false });
    let second = wait_for(&events, spawned);
    assert_ne!(first, second);
    let status = handle.status().unwrap();
    let usage = status.components[0].usage.unwrap();
    assert!(usage.memory > 0, "{usage:?}");
    end(supervisor);
    await_end(first);
    await_end(second);
}

#[test]
fn a_tree_ends_as_a_whole_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("ps.log");
    let mut spec = that_says(with_log(plays("ps", "tree 3"), &log), "the last");
    spec.stop_timeout = Duration::from_millis(200);
    let (supervisor, handle, events) = start([spec]);
    wait_for(&events, ready);
    let detail = handle.detail(&supervisor::ComponentId::new("ps").unwrap()).unwrap();
    // Beside them there may be one for a console.
    let is_ours = |process: &&ProcessStatus| process.name.starts_with("windows");
    assert_eq!(detail.processes.iter().filter(is_ours).count(), 4);
    handle.stop("ps").unwrap().wait().unwrap();
    detail.processes.iter().for_each(|process| await_end(process.pid));
    end(supervisor);
}

#[test]
fn what_a_run_leaves_behind_ends_before_the_next_one_begins() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("ps.log");
    let (supervisor, _, events) = start([with_log(plays("ps", "leave"), &log)]);
    assert_eq!(wait_for(&events, ended), Exit::Code(0));
    end(supervisor);
    await_end(line(&log, "child ").parse().unwrap());
}

#[test]
fn what_is_written_is_stored_all_of_it_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("ps.log");
    let (supervisor, _, events) = start([with_log(plays("ps", "flood 50000"), &log)]);
    assert_eq!(wait_for(&events, ended), Exit::Code(0));
    end(supervisor);
    let text = std::fs::read_to_string(&log).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("line ")?.trim().parse::<u32>().ok());
    assert!(lines.eq(0..50_000));
}

#[test]
fn it_is_asked_to_stop_by_its_event_or_by_the_end_of_its_input() {
    for (role, code) in [("heed 3", 3), ("read 4", 4)] {
        let mut spec = that_says(plays("ps", role), "waits");
        spec.stop_timeout = LONG;
        let (_supervisor, handle, events) = start([spec]);
        wait_for(&events, ready);
        handle.stop("ps").unwrap().wait().unwrap();
        assert_eq!(wait_for(&events, ended), Exit::Code(code), "{role}");
    }
}

#[test]
fn what_does_not_heed_is_killed_after_its_timeout() {
    let (_supervisor, handle, events) = start([plays("ps", "sleep")]);
    let pid = wait_for(&events, spawned);
    handle.stop("ps").unwrap().wait().unwrap();
    assert_eq!(wait_for(&events, ended), Exit::Signal { signal: 9, core_dumped: false });
    await_end(pid);
}

#[test]
fn it_finds_its_variables_its_folder_and_its_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("ps.log");
    let mut spec = with_log(plays("ps", "variables"), &log);
    spec.working_directory = Some(folder.path().to_owned());
    set(&mut spec, "Greeting", "hällo wörld");
    spec.arguments.extend(["--skip", r#"a "b" c\"#].map(Into::into));
    let (supervisor, _, events) = start([spec]);
    assert_eq!(wait_for(&events, ended), Exit::Code(0));
    end(supervisor);
    assert!(line(&log, "S7_RUN=").starts_with("ps/"));
    assert!(line(&log, "S7_STOP_EVENT=").starts_with(r"Local\S7-stop-"));
    assert_eq!(line(&log, "Greeting="), "hällo wörld");
    assert_eq!(line(&log, r"argument=a "), r#""b" c\"#);
    let found = std::fs::canonicalize(line(&log, "folder=")).unwrap();
    assert_eq!(found, folder.path().canonicalize().unwrap());
}

#[test]
fn a_hundred_are_watched_at_once() {
    let (supervisor, handle, events) = start((0..100).map(|number| plays(&format!("ps-{number}"), "sleep")));
    let pids: Vec<u32> = (0..100).map(|_| wait_for(&events, spawned)).collect();
    for number in [0, 63, 64, 99] {
        handle.signal(format!("ps-{number}").as_str(), Signal::KILL).unwrap();
        let told = |event: &Event| ended(event).map(|exit| (event.component.clone().unwrap(), exit));
        let (id, exit) = wait_for(&events, told);
        assert_eq!(id.as_str(), format!("ps-{number}"));
        assert_eq!(exit, Exit::Signal { signal: 9, core_dumped: false });
    }
    end(supervisor);
    pids.into_iter().for_each(await_end);
}

#[test]
fn what_cannot_be_run_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let not_spawned = |event: &Event| match &event.kind {
        EventKind::NotSpawned { error, .. } => Some(error.clone()),
        _ => None,
    };
    let mut missing = plays("ps", "sleep");
    missing.executable = folder.path().join("no.exe");
    let mut lost = plays("ps", "sleep");
    lost.working_directory = Some(folder.path().join("no"));
    std::fs::write(folder.path().join("text.exe"), "no program").unwrap();
    let mut text = plays("ps", "sleep");
    text.executable = folder.path().join("text.exe");
    let mut nobody = plays("ps", "sleep");
    nobody.user = Some("nobody-of-this-name".to_owned());
    let steps = [SpawnStep::Executable, SpawnStep::WorkingDirectory, SpawnStep::Executable, SpawnStep::User];
    for (spec, step) in [missing, lost, text, nobody].into_iter().zip(steps) {
        let (_supervisor, _, events) = start([spec]);
        assert_eq!(wait_for(&events, not_spawned).step, step);
    }
}

#[test]
fn a_component_can_run_as_the_supervisors_own_account_by_its_name() {
    let mut spec = plays("ps", "say I am here");
    spec.user = Some(std::env::var("USERNAME").unwrap());
    spec.readiness = Some(Readiness { when: ReadyWhen::Logged("^I am here$".to_owned()), timeout: LONG });
    let (_supervisor, _, events) = start([spec]);
    wait_for(&events, ready);
}

#[test]
fn what_windows_has_not_is_refused() {
    let refused = |change: fn(&mut ProcessSpec)| {
        let mut spec = plays("ps", "sleep");
        change(&mut spec);
        match Supervisor::builder().components([spec]).start() {
            Err(StartError::Unsupported { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused(|spec| spec.group = Some("somebody".to_owned())).contains("no group"));
    assert!(refused(|spec| spec.umask = Some(0o22)).contains("umask"));
    assert!(refused(|spec| spec.nice = Some(3)).contains("niceness"));
    assert!(refused(|spec| spec.watchdog = Some(LONG)).contains("sd_notify"));
}

#[test]
fn it_is_asked_whether_it_is_ready_by_a_connection_a_command_and_its_output() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let this = std::env::current_exe().unwrap();
    let arguments = ["--exact", "no_such_test"].map(Into::into).into();
    let succeeds = supervisor::Command { program: this.into(), arguments };
    let probed =
        [Probe::Tcp { host: "127.0.0.1".to_owned(), port }, Probe::Exec(succeeds)].map(ReadyWhen::Probed);
    for when in probed.into_iter().chain([ReadyWhen::Logged("^I am here$".to_owned())]) {
        let mut spec = plays("ps", "say I am here");
        spec.readiness = Some(Readiness { when, timeout: LONG });
        let (_supervisor, _, events) = start([spec]);
        wait_for(&events, ready);
    }
    let mut spec = plays("ps", "sleep");
    drop(listener);
    let when = ReadyWhen::Probed(Probe::Tcp { host: "127.0.0.1".to_owned(), port });
    spec.readiness = Some(Readiness { when, timeout: Duration::from_secs(3) });
    let (_supervisor, _, events) = start([spec]);
    wait_for(&events, |event| matches!(event.kind, EventKind::Judged { .. }).then_some(()));
}

#[test]
fn a_folder_for_state_is_kept_to_one_supervisor_and_what_is_in_it_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let with_state = || Supervisor::builder().state_dir(&state).components([plays("ps", "sleep")]);
    let first = with_state().start().unwrap();
    assert_eq!(first.handle().status().unwrap().conditions, Vec::<String>::new());
    let second = with_state().start().unwrap();
    let conditions = second.handle().status().unwrap().conditions;
    assert!(conditions.iter().any(|told| told.contains("another supervisor does")), "{conditions:?}");
    [first, second].into_iter().for_each(end);
    let third = with_state().start().unwrap();
    assert_eq!(third.handle().status().unwrap().conditions, Vec::<String>::new());
}

#[test]
fn a_signal_that_there_is_not_is_refused() {
    let (_supervisor, handle, _events) = start([plays("ps", "heed 0")]);
    let refused = handle.signal("ps", Signal::HUP).err().unwrap();
    assert!(refused.to_string().contains("no SIGHUP on Windows"), "{refused}");
}

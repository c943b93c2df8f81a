//! The library is a guest that leaves no trace in its host. This test has a process of its own, because it looks at
//! what all tests of a process share.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test, which fails where something is not as it should be")]

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use supervisor::{
    Cleanup, Command, Fixed, GuardAction, Health, LogSettings, MemoryLimit, Output, Probe, ProcessSpec,
    Readiness, ReadyWhen, Stderr, Step, Supervisor,
};

/// Whether what only Linux has is there: `sd_notify`, and the tokens by which a daemon is found that has lost its parent.
const IS_LINUX: bool = cfg!(all(target_os = "linux", not(s7_posix)));

/// What a process has that a guest could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    signals: Vec<String>,
    threads: BTreeSet<String>,
    descriptors: BTreeSet<String>,
    children: String,
}

fn traces() -> Traces {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: BTreeSet<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        // The descriptor by which the folder itself is read has been closed by now.
        names.retain(|name| fs::symlink_metadata(format!("{folder}/{name}")).is_ok());
        names
    };
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let children =
        |task: &String| fs::read_to_string(format!("/proc/self/task/{task}/children")).unwrap_or_default();
    let threads = names("/proc/self/task");
    Traces {
        signals: status
            .lines()
            .filter(|line| ["SigBlk", "SigIgn", "SigCgt"].contains(&&line[..6.min(line.len())]))
            .map(str::to_owned)
            .collect(),
        children: threads.iter().map(children).collect(),
        descriptors: names("/proc/self/fd"),
        threads,
    }
}

/// Gives the other threads the processor until something is so.
#[expect(clippy::disallowed_methods, reason = "a deadline that only a broken supervisor reaches")]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn nothing_of_a_supervisor_is_left_in_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("steady.log");
    let before = traces();
    {
        let shell = |id: &str, script: &str| {
            let mut spec = ProcessSpec::new(id, "/bin/sh").unwrap();
            spec.arguments = vec!["-c".into(), script.into()];
            spec.restart = std::sync::Arc::new(Fixed(Duration::ZERO));
            spec.stop_timeout = Duration::from_millis(200);
            let log = LogSettings::new(folder.path().join(format!("{id}.log")));
            spec.output = Output::File { log, stderr: Stderr::File };
            spec
        };
        let when = |mut spec: ProcessSpec, when| {
            spec.readiness = Some(Readiness { when, timeout: Duration::from_secs(60) });
            spec
        };
        let mut logged =
            when(shell("logged", "echo ready; exec sleep 1000"), ReadyWhen::Logged("ready".into()));
        logged.output = Output::Null;
        let mut probed = shell("probed", "exec sleep 1000");
        let command = |script: &str| {
            let arguments = vec!["-c".into(), script.into()];
            Command { program: "/bin/sh".into(), arguments }
        };
        let daemon = if IS_LINUX { "setsid sleep 1000 &" } else { "sleep 1000 &" };
        let notified = || if IS_LINUX { ReadyWhen::Notified } else { ReadyWhen::Descriptor(4) };
        // Asked all the time, by commands that leave something behind or hang.
        probed.health = Some(Health {
            probe: Probe::Exec(command(&format!("{daemon} [ $(($$ % 3)) = 0 ] && exec sleep 1000; true"))),
            interval: Duration::from_millis(10),
            timeout: Duration::from_millis(50),
            failures: 2,
            start_after: Duration::ZERO,
            action: GuardAction::Restart,
        });
        probed.evidence =
            vec![Step::Run { command: command("echo evidence"), timeout: Duration::from_secs(5) }];
        probed.cleanup =
            Some(Cleanup { command: command("sleep 1000 & exit"), timeout: Duration::from_secs(5) });
        let mut looked_up = shell("looked-up", "exec sleep 1000");
        // Too long for any name service to be asked, so that the answer comes at once.
        let probe = Probe::Tcp { host: "x".repeat(70), port: 1 };
        looked_up.readiness =
            Some(Readiness { when: ReadyWhen::Probed(probe), timeout: Duration::from_millis(100) });
        looked_up.memory = Some(MemoryLimit { max: 1 << 40, action: GuardAction::Report });
        let mut builder = Supervisor::builder().state_dir(folder.path().join("state")).components([
            probed,
            looked_up,
            // Each of these once in a life that lasts, and once in a loop.
            when(shell("notified", "exec sleep 1000"), notified()),
            when(shell("on-descriptor", "exec sleep 1000"), ReadyWhen::Descriptor(3)),
            logged,
            when(shell("notified-loop", "exit 1"), notified()),
            when(shell("on-descriptor-loop", "echo >&3; exit 1"), ReadyWhen::Descriptor(3)),
            when(shell("logged-loop", "echo ready; exit 1"), ReadyWhen::Logged("ready".into())),
            shell("steady", "echo up; exec sleep 1000"),
            shell("loop", "echo again >&2; exit 1"),
            shell("forks", "setsid sleep 1000 & sleep 1000 & wait"),
            ProcessSpec::new("missing", "/no/such/program").unwrap(),
        ]);
        let events = builder.subscribe();
        let supervisor = builder.start().unwrap();
        assert!(events.iter().take(300).count() == 300, "the loop goes round");
        let within = traces();
        assert_eq!(within.signals, before.signals, "no handler is installed and nothing is blocked");
        until("it has said so", || fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n')));
        drop(supervisor);
    }
    // Whoever has waited for a thread may come back a moment before the kernel has forgotten it.
    until("its threads are gone", || traces().threads.is_subset(&before.threads));
    assert_eq!(traces(), before);
    assert_eq!(fs::read_to_string(log).unwrap(), "up\n");
}

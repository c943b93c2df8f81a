//! A daemon where orphans come to the supervisor. This test has a process of its own, because being a subreaper is a
//! matter of the whole process.
// It speaks `sd_notify`, and orphans come to it: only Linux has these.
#![cfg(all(target_os = "linux", not(s7_posix)))]

use std::time::Duration;

use supervisor::{EventKind, Exit, Never, ProcessSpec, Readiness, ReadyWhen, Supervisor};

#[test]
fn the_end_of_a_daemon_is_known_exactly_where_orphans_come_to_us() {
    #[expect(clippy::disallowed_methods, reason = "whether the program is there")]
    let is_there = std::process::Command::new("systemd-notify").arg("--version").output().is_ok();
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "systemd-notify is missing");
        return eprintln!("skipped: there is no systemd-notify");
    }
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RWXU).unwrap();
    let daemon = format!("read -r go < {}; exit 7", go.display());
    let script = format!("setsid sh -c '{daemon}' & systemd-notify --ready MAINPID=$!; exit 0");
    let mut spec = ProcessSpec::new("ps", "/bin/sh").unwrap();
    spec.arguments = vec!["-c".into(), script.into()];
    spec.readiness = Some(Readiness { when: ReadyWhen::Notified, timeout: Duration::from_secs(60) });
    spec.restart = std::sync::Arc::new(Never);

    // Nothing is ever told by this one: only the ends of processes that are held are noticed.
    let (sigchld, _writer) = std::io::pipe().unwrap();
    let mut builder = Supervisor::builder().components([spec]).reap_orphans(sigchld.into());
    let events = builder.subscribe();
    let supervisor = builder.start().unwrap();
    let mut said = events.iter().filter_map(|event| match event.kind {
        EventKind::Started { .. } => Some(None),
        EventKind::Exited { exit, .. } => Some(Some(exit)),
        _ => None,
    });
    assert_eq!(said.next(), Some(None), "it has started, and does not end with the process that started it");
    std::fs::write(&go, "\n").unwrap();
    assert_eq!(said.next(), Some(Some(Exit::Code(7))));
    drop(supervisor);
    // The daemon was reaped with that, and so was everything else.
    let children =
        std::fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id())).unwrap();
    assert_eq!(children.trim(), "");
}

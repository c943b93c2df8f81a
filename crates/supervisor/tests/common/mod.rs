//! What the tests with a supervisor and real processes have in common.

use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use supervisor::{Event, EventKind, Handle, ProcessSpec, Supervisor};

/// Longer than anything takes on a busy machine: only a fault waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(90);

pub(crate) fn shell(id: &str, script: &str) -> ProcessSpec {
    let mut spec = ProcessSpec::new(id, "/bin/sh").unwrap();
    spec.arguments = vec!["-c".into(), script.into()];
    spec
}

pub(crate) fn start(specs: impl IntoIterator<Item = ProcessSpec>) -> (Supervisor, Handle, Receiver<Event>) {
    let mut builder = Supervisor::builder().components(specs);
    let events = builder.subscribe();
    let supervisor = builder.start().unwrap();
    let handle = supervisor.handle();
    (supervisor, handle, events)
}

/// Waits for an event that this makes something of.
pub(crate) fn wait_for<T>(events: &Receiver<Event>, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        let event = events.recv_deadline(deadline).expect("the event never came");
        if let Some(found) = wanted(&event) {
            return found;
        }
    }
}

pub(crate) fn spawned(event: &Event) -> Option<u32> {
    match event.kind {
        EventKind::Spawned { pid, .. } => Some(pid),
        _ => None,
    }
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn lives(pid: u32) -> bool {
    // A zombie has ended; its state stands after the name, which is in parentheses.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])))
}

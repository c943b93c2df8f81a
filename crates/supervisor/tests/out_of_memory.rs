//! What the kernel kills for memory, with a real control group whose memory runs out.
#![cfg(all(target_os = "linux", not(s7_posix)))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, which fails where something is not as it should be"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use supervisor::{EventKind, Exit, Never, ProcessSpec, Supervisor};

/// Longer than anything takes on a busy machine: only a fault waits for it.
const LONG: Duration = Duration::from_secs(90);

/// Longer than the supervisor would remember what it has seen, were it told nothing.
const QUIET: u32 = 6;

/// Files of a control group, and what is written to them.
type Limits = [(&'static str, &'static str); 2];

/// A control group whose memory is limited.
struct Group(PathBuf);

impl Group {
    fn new() -> Result<Self, String> {
        let (folder, limits) = Self::place()?;
        let folder = folder.join(format!("s7-test-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let group = Self(folder);
        for (number, limit) in limits.iter().enumerate() {
            let written = fs::write(group.0.join(limit.0), limit.1);
            // What is swapped out need not be counted.
            written.or_else(|error| if number > 0 { Ok(()) } else { Err(error.to_string()) })?;
        }
        Ok(group)
    }

    /// Where it can be made, and which limits it then has.
    fn place() -> Result<(PathBuf, Limits), String> {
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
        let mounts = || mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let first =
            mounts().find(|mount| mount[2] == "cgroup" && mount[3].split(',').any(|it| it == "memory"));
        if let Some(mount) = first {
            let limits = [("memory.limit_in_bytes", "64m"), ("memory.memsw.limit_in_bytes", "64m")];
            return Ok((mount[1].into(), limits));
        }
        let second = mounts().find(|mount| mount[2] == "cgroup2").ok_or("there are no control groups")?;
        let folder = PathBuf::from(second[1]);
        let control = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
        if !control.split_whitespace().any(|controller| controller == "memory") {
            return Err(format!("memory is not counted for the groups in {}", folder.display()));
        }
        Ok((folder, [("memory.max", "64m"), ("memory.swap.max", "0")]))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Who has just ended may still be counted in it for a moment.
        let is_left =
            || fs::remove_dir(&self.0).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy);
        let deadline = Instant::now() + LONG;
        while is_left() {
            assert!(Instant::now() < deadline, "{} is left", self.0.display());
            std::thread::yield_now();
        }
    }
}

/// A control group is that of a whole process: so the scenario runs in one of its own.
#[test]
fn what_the_kernel_kills_for_memory_after_a_quiet_time_is_said_to_be_so_and_what_others_kill_is_not() {
    const NAME: &str =
        "what_the_kernel_kills_for_memory_after_a_quiet_time_is_said_to_be_so_and_what_others_kill_is_not";
    if let Some(group) = std::env::var_os("TEST_IN_GROUP") {
        return out_of_memory_in(Path::new(&group));
    }
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => return eprintln!("skipped: no control group of its own for this test: {why}"),
    };
    let mut scenario = Command::new(std::env::current_exe().unwrap());
    let output = scenario.args(["--exact", NAME]).env("TEST_IN_GROUP", &group.0).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn out_of_memory_in(group: &Path) {
    fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    let script = |id: &str, script: &str| {
        let mut spec = ProcessSpec::new(id, "/bin/sh").unwrap();
        spec.arguments = vec!["-c".into(), script.into()];
        spec.restart = Arc::new(Never);
        spec
    };
    // It reads a line that never ends, and keeps it.
    let greedy = "echo 1000 > /proc/self/oom_score_adj; exec tail /dev/zero";
    let greedy = script("greedy", &format!("sleep {QUIET}; {greedy}"));
    let mut killed = script("killed", "kill -KILL $$");
    killed.autostart = false;
    let mut builder = Supervisor::builder().components([greedy, killed]);
    let events = builder.subscribe();
    let supervisor = builder.start().unwrap();
    let exit = || loop {
        if let EventKind::Exited { exit, .. } = events.recv_timeout(LONG).unwrap().kind {
            return exit;
        }
    };
    assert_eq!(exit(), Exit::OutOfMemory);
    supervisor.handle().start("killed").unwrap();
    assert_eq!(exit(), Exit::Signal { signal: 9, core_dumped: false });
}

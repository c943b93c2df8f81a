//! What the tests of faults have in common: a supervisor that may be killed, and what lives in its house.

use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open};
use serde_json::Value;

use crate::house::{House, PROGRAM, kill, server};

/// Whether this can be tried here: it takes root, and these programs.
pub(crate) fn can_try(what: &str, programs: &[&str]) -> bool {
    let lacks = |program: &&&str| Command::new(program).arg("--version").output().is_err();
    let missing = match programs.iter().find(lacks) {
        _ if !geteuid().is_root() => "root".to_owned(),
        Some(program) => format!("the program {program}"),
        None => return true,
    };
    assert!(std::env::var_os("CI").is_none(), "cannot try {what}: it takes {missing}");
    // Straight to the descriptor: what a passing test prints is not shown.
    writeln!(std::io::stderr(), "skipped: {what}: it takes {missing}").expect("stderr is open");
    false
}

/// So many with `S7_FAULTS=all`, else so few.
pub(crate) fn few_or_all(few: u32, all: u32) -> u32 {
    if std::env::var("S7_FAULTS").is_ok_and(|value| value == "all") { all } else { few }
}

/// A time of at most so many milliseconds, another one each time.
pub(crate) fn some_time(most_milliseconds: u64) -> Duration {
    let random = std::hash::RandomState::new().hash_one(0);
    Duration::from_micros(random % (most_milliseconds * 1000))
}

/// A component that complains in the file `doubled` if another run of it lives when it begins.
pub(crate) fn alone(id: &str, arguments: &str, elements: &str) -> String {
    let script = format!(
        "exec 9&gt;FOLDER/{id}.lock; flock -n 9 || {{ echo {id} &gt;&gt; FOLDER/doubled; exit 1; }}; \
         exec \"$0\" stand-in --name FOLDER/{id} {arguments}"
    );
    server(id, &script, elements)
}

/// A stand-in without a shell around it.
pub(crate) fn plain(id: &str, arguments: &str, elements: &str) -> String {
    let arguments = ["stand-in", "--name", &format!("FOLDER/{id}")]
        .into_iter()
        .chain(arguments.split_whitespace())
        .map(|argument| format!("<argument>{argument}</argument>"))
        .collect::<String>();
    format!(
        "<server id=\"{id}\"><executable>{PROGRAM}</executable><arguments>{arguments}</arguments>{elements}</server>"
    )
}

/// A supervisor in the foreground, which is killed when this is dropped.
pub(crate) struct Supervisor<'a> {
    pub(crate) house: &'a House,
    child: Child,
}

impl<'a> Supervisor<'a> {
    /// Begins one, and does not wait for it.
    pub(crate) fn begin(house: &'a House) -> Self {
        Self::begin_with(house, &mut house.command(PROGRAM), &[])
    }

    /// Begins one by this program, to which `run` is added, and these arguments of it.
    pub(crate) fn begin_with(house: &'a House, command: &mut Command, arguments: &[&str]) -> Self {
        let said = File::options().append(true).create(true).open(house.path("said")).unwrap();
        let command = command.arg("run").args(arguments).stdout(Stdio::null()).stderr(said);
        Self { house, child: command.spawn().unwrap() }
    }

    /// Begins one, and waits until it answers.
    pub(crate) fn run(house: &'a House) -> Self {
        Self::run_with(house, &[])
    }

    /// The same, with these arguments for `run`.
    pub(crate) fn run_with(house: &'a House, arguments: &[&str]) -> Self {
        let supervisor = Self::begin_with(house, &mut house.command(PROGRAM), arguments);
        supervisor.until_it_answers();
        supervisor
    }

    pub(crate) fn until_it_answers(&self) {
        self.until(|house| status(house)["supervisor"]["pid"] == self.pid());
    }

    /// Asks until it is so. The supervisor must not end before.
    pub(crate) fn until(&self, mut is_so: impl FnMut(&House) -> bool) {
        let since = Instant::now();
        while !is_so(self.house) {
            assert!(!self.ends_within(Duration::from_millis(20)), "it has ended: {}", self.said());
            assert!(since.elapsed() < Duration::from_secs(60), "never: {}", status(self.house));
        }
    }

    /// Waits until all these are up, and gives their pids.
    pub(crate) fn until_up<const N: usize>(&self, ids: [&str; N]) -> [u32; N] {
        self.until(|house| {
            let status = status(house);
            ids.iter().all(|id| component_in(&status, id)["state"] == "up")
        });
        ids.map(|id| pid(self.house, id))
    }

    /// Waits until it is written down that these run, for a supervisor that comes after a kill.
    pub(crate) fn until_recorded<const N: usize>(&self, ids: [&str; N]) {
        self.until(|house| ids.iter().all(|id| recorded(house, id)["life"]["Running"].is_object()));
    }

    /// What it has written to standard error, and the house's supervisors before it.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.house.path("said")).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Whether it ends by itself within this time.
    pub(crate) fn ends_within(&self, time: Duration) -> bool {
        ends_within(&held(self.pid()), time)
    }

    /// Waits until it ends: its exit code, or 128 and the signal that ended it.
    pub(crate) fn end(mut self) -> i32 {
        assert!(self.ends_within(Duration::from_secs(60)), "it does not end");
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    /// Kills it, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it has ended by itself: {}", self.said());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Has everything stopped, in order.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.end(), 0);
    }
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `status --json` says; null where nobody answers.
pub(crate) fn status(house: &House) -> Value {
    serde_json::from_slice(&house.s7(&["status", "--json"]).stdout).unwrap_or_default()
}

pub(crate) fn component(house: &House, id: &str) -> Value {
    component_in(&status(house), id)
}

fn component_in(status: &Value, id: &str) -> Value {
    let components = status["components"].as_array().cloned().unwrap_or_default();
    components.into_iter().find(|component| component["id"] == id).unwrap_or_default()
}

/// The pid of a component that runs.
pub(crate) fn pid(house: &House, id: &str) -> u32 {
    let component = component(house, id);
    let pid = component["pid"].as_u64().unwrap_or_else(|| panic!("it has no pid: {component}"));
    pid.try_into().unwrap()
}

/// What is written down of a component for the next supervisor, a moment after it has happened.
pub(crate) fn recorded(house: &House, id: &str) -> Value {
    let file = fs::read_to_string(house.path(&format!("temp/runs/{id}.run"))).unwrap_or_default();
    // The first line says what may be believed of the second.
    let record = file.lines().nth(1).and_then(|line| serde_json::from_str::<Value>(line).ok());
    record.unwrap_or_default()["memory"].take()
}

/// Holds a process, to know for sure when it has ended.
pub(crate) fn held(pid: u32) -> OwnedFd {
    pidfd_open(Pid::from_raw(pid.cast_signed()).unwrap(), PidfdFlags::empty()).unwrap()
}

/// Whether it ends within this time, or has ended.
pub(crate) fn ends_within(process: &OwnedFd, time: Duration) -> bool {
    let timeout = Timespec::try_from(time).unwrap();
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

/// The events of this kind of this component, as the journal has them.
pub(crate) fn events(house: &House, id: &str, kind: &str) -> Vec<Value> {
    let told = house.s7(&["events", id, "--json", "-n", "10000"]).stdout;
    let events = String::from_utf8(told).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == kind).collect()
}

/// The processes of stand-ins that have exactly this name, or are children of one that has.
pub(crate) fn family(house: &House, id: &str) -> Vec<u32> {
    let name = house.path(id).display().to_string();
    let is_its = |command: &str| {
        command.contains(&format!("stand-in --name {name} "))
            || command.contains(&format!("--name={name} child "))
    };
    let mut pids: Vec<_> = house
        .inhabitants()
        .into_iter()
        .filter(|(_, command)| is_its(&format!("{command} ")))
        .map(|(pid, _)| pid)
        .collect();
    pids.sort_unstable();
    pids
}

/// Whether a stand-in with `--ready-file FOLDER/ID.ready` has started all its children. Until then others of its name come
/// and go, between it and its daemons.
pub(crate) fn has_forked(house: &House, id: &str) -> bool {
    let ready = fs::read_to_string(house.path(&format!("{id}.ready"))).unwrap_or_default();
    component(house, id)["pid"].as_u64().is_some_and(|pid| ready.trim() == pid.to_string())
}

/// All that a component has written, in all files of its log.
pub(crate) fn output(house: &House, id: &str) -> String {
    let files = fs::read_dir(house.path("logs")).unwrap().map(|file| file.unwrap().path());
    let is_its = |path: &std::path::PathBuf| {
        path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{id}-"))
    };
    let mut files: Vec<_> = files.filter(is_its).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// How many lines a flood has written; fails where one is missing, doubled or torn.
pub(crate) fn numbered_lines(house: &House, id: &str) -> usize {
    let output = output(house, id);
    let name = house.path(id).display().to_string();
    for (index, line) in output.lines().enumerate() {
        let expected = format!("{name}: line {} ", index + 1);
        assert!(line.starts_with(&expected) && line.len() == 63, "line {} of {id}: {line:?}", index + 1);
    }
    assert!(output.is_empty() || output.ends_with('\n'), "{id} ends in the middle of a line");
    output.lines().count()
}

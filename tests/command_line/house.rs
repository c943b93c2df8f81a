//! A place for one supervisor: its folders, its registry, its bell, and the order to leave nothing behind.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, inotify};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_s7supervisor");

/// Long enough for a busy machine; nothing waits this long unless it is broken.
const DEADLINE: Duration = Duration::from_secs(60);

/// A stand-in that rings the bell with its id and pid when it begins, and is ready when `ID.ready` is there.
pub(crate) fn stand_in(id: &str, arguments: &str, elements: &str) -> String {
    let script = format!(
        "echo {id} $$ &gt; BELL; exec \"$0\" stand-in --name FOLDER/{id} --ready-file FOLDER/{id}.ready {arguments}"
    );
    server(id, &script, elements)
}

/// A component that rings the bell with `ID-ends` when it is told to stop. It stops before the others.
pub(crate) fn tells_its_end(id: &str) -> String {
    let script = format!(
        "trap 'echo {id}-ends $$ &gt; BELL; exit 0' TERM; echo {id} $$ &gt; BELL; while :; do sleep 3600 &amp; wait; done"
    );
    server(id, &script, "<startPriority>9</startPriority>")
}

pub(crate) fn server(id: &str, script: &str, elements: &str) -> String {
    format!(
        "<server id=\"{id}\"><executable>/bin/sh</executable><arguments><argument>-c</argument>\
         <argument>{script}</argument><argument>SV::supervisorExecutable</argument></arguments>{elements}</server>"
    )
}

pub(crate) struct House {
    folder: TempDir,
    bell: File,
    /// Rings that were heard while waiting for others.
    heard: Mutex<Vec<(String, u32)>>,
}

impl House {
    /// A house whose registry has these servers. `BELL` and `FOLDER` in it become paths.
    pub(crate) fn with(servers: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bell");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        // Open for both, so that neither side ever waits for the other to open it.
        let bell = File::options().read(true).write(true).open(&path).unwrap();
        let house = Self { folder, bell, heard: Mutex::default() };
        fs::create_dir(house.path("conf")).unwrap();
        house.write_registry(servers);
        house
    }

    pub(crate) fn write_registry(&self, servers: &str) {
        self.write_registry_with("", servers);
    }

    /// The same with more elements in `<config>`.
    pub(crate) fn write_registry_with(&self, config: &str, servers: &str) {
        let folder = self.folder.path().to_str().unwrap();
        let servers = servers.replace("BELL", &format!("{folder}/bell")).replace("FOLDER", folder);
        let config = format!("<config><tracelevel>4</tracelevel>{config}</config>");
        let text = format!("<supervisor>{config}<servers>{servers}</servers></supervisor>");
        fs::write(self.registry(), text).unwrap();
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.path("conf/SupervisorRegistry.xml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn own_log(&self) -> PathBuf {
        let files = fs::read_dir(self.path("logs")).unwrap().map(|entry| entry.unwrap().path());
        let is_log = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("Supervisor-");
        files.into_iter().find(is_log).unwrap()
    }

    /// A file that can be executed. A process of its own writes it: one that another test starts meanwhile would inherit ours,
    /// open for writing, and what somebody may still write to is not executed.
    pub(crate) fn write_executable(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        let mut command = self.command("/bin/sh");
        command.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(&path).stdin(Stdio::piped());
        let mut writer = command.spawn().unwrap();
        writer.stdin.take().unwrap().write_all(content).unwrap();
        assert!(writer.wait().unwrap().success());
        path
    }

    /// Any program, in this house.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("S7_")) {
            command.env_remove(name);
        }
        command
    }

    /// A command of s7supervisor.
    pub(crate) fn s7(&self, arguments: &[&str]) -> Output {
        self.command(PROGRAM).args(arguments).output().unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.s7(arguments).stdout).unwrap()
    }

    /// Starts the supervisor in the background.
    pub(crate) fn start(&self) {
        let started = self.s7(&["start"]);
        assert_eq!(code(&started), 0, "{}", stderr(&started));
    }

    /// Starts the supervisor in the foreground; it answers when this returns.
    pub(crate) fn run(&self) -> Child {
        self.run_with(&[])
    }

    /// The same, with more arguments for `run`.
    pub(crate) fn run_with(&self, arguments: &[&str]) -> Child {
        fs::DirBuilder::new().recursive(true).create(self.path("temp")).unwrap();
        fs::set_permissions(self.path("temp"), PermissionsExt::from_mode(0o700)).unwrap();
        let mut command = self.command(PROGRAM);
        let child = command.arg("run").args(arguments).stdout(Stdio::null()).spawn().unwrap();
        self.until_exists("temp/s7supervisor.sock");
        self.until_it_answers();
        child
    }

    /// Waits until the supervisor answers, whatever its components do. One that holds its place may not listen yet.
    pub(crate) fn until_it_answers(&self) {
        self.until(|| ![3, 4].contains(&code(&self.s7(&["status"]))));
    }

    /// Waits for the end of a process that we have started; its exit code.
    pub(crate) fn wait(&self, child: &mut Child) -> Option<i32> {
        let pid = Pid::from_child(child);
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        wait_readable(&descriptor);
        child.wait().unwrap().code()
    }

    /// Waits until this component has rung; its pid.
    pub(crate) fn bell(&self, name: &str) -> u32 {
        loop {
            let mut heard = self.heard.lock().unwrap();
            if let Some(place) = heard.iter().position(|(ringing, _)| ringing == name) {
                return heard.remove(place).1;
            }
            wait_readable(&self.bell);
            let mut buffer = [0; 4096];
            let length = (&self.bell).read(&mut buffer).unwrap();
            // Each ring is one write of less than PIPE_BUF bytes, so that lines come whole.
            for line in String::from_utf8_lossy(&buffer[..length]).lines() {
                let (ringing, pid) = line.split_once(' ').unwrap();
                heard.push((ringing.to_owned(), pid.parse().unwrap()));
            }
        }
    }

    /// The pids of these components, once they are up.
    pub(crate) fn pids_of<const N: usize>(&self, ids: [&str; N]) -> [u32; N] {
        let mut start = vec!["start"];
        start.extend(ids);
        assert_eq!(code(&self.s7(&start)), 0);
        let status = self.json(&["status", "--json"]);
        ids.map(|id| {
            let components = status["components"].as_array().unwrap();
            let component = components.iter().find(|component| component["id"] == id).unwrap();
            component["pid"].as_u64().unwrap() as u32
        })
    }

    pub(crate) fn supervisor_pid(&self) -> u32 {
        fs::read_to_string(self.path("temp/s7supervisor.pid")).unwrap().trim().parse().unwrap()
    }

    /// Waits until the file is there, as the kernel tells it.
    pub(crate) fn until_exists(&self, name: &str) {
        let path = self.path(name);
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        let events = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&watch, path.parent().unwrap(), events).unwrap();
        while !path.exists() {
            wait_readable(&watch);
            let _news = rustix::io::read(&watch, &mut [0; 4096]).unwrap();
        }
    }

    /// Asks until it is so: for what only an answer of the supervisor tells, each time anew.
    pub(crate) fn until(&self, mut is_so: impl FnMut() -> bool) {
        let since = Instant::now();
        while !is_so() {
            assert!(since.elapsed() < DEADLINE, "it never came to be");
        }
    }

    /// Lets other users in, as far as our folder is concerned.
    pub(crate) fn open_to_everybody(&self) {
        fs::set_permissions(self.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// How many stand-ins of this house live: each has the house in its name.
    pub(crate) fn alive(&self) -> usize {
        self.inhabitants().len()
    }

    pub(crate) fn assert_nothing_lives(&self) {
        let alive: Vec<_> = self.inhabitants();
        assert!(alive.is_empty(), "still alive: {alive:?}");
    }

    /// The pid and the command of each process that has this house in its command, and `stand-in`.
    pub(crate) fn inhabitants(&self) -> Vec<(u32, String)> {
        let mark = format!("{}/", self.folder.path().display());
        let pids = fs::read_dir("/proc").unwrap().flatten();
        pids.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let command = command_of(&entry.path())?;
            (command.contains(&mark) && command.contains("stand-in")).then_some((pid, command))
        })
        .collect()
    }
}

impl Drop for House {
    /// Whatever a failed test has left is ended, the supervisor first.
    fn drop(&mut self) {
        drop(self.s7(&["stop", "--timeout", "20"]));
        let pid_file = self.path("temp/s7supervisor.pid");
        // A test may have put something else there.
        if fs::symlink_metadata(&pid_file).is_ok_and(|metadata| metadata.is_file())
            && let Ok(pid) = fs::read_to_string(pid_file).unwrap().trim().parse()
            // In a namespace of its own it has ended with whoever made that.
            && pid != 1
        {
            kill(pid, Signal::KILL);
        }
        for (pid, _) in self.inhabitants() {
            kill(pid, Signal::KILL);
        }
    }
}

/// The command line of the process of this folder in `/proc`. While it executes another program it has none for a moment,
/// though it lives; for good, only what has no memory any more.
fn command_of(process: &Path) -> Option<String> {
    let since = Instant::now();
    loop {
        let command = fs::read(process.join("cmdline")).ok()?;
        let is_executing = || fs::read(process.join("statm")).is_ok_and(|pages| !pages.starts_with(b"0 "));
        if !command.is_empty() || !is_executing() || since.elapsed() > DEADLINE {
            return Some(String::from_utf8_lossy(&command).replace('\0', " "));
        }
    }
}

fn wait_readable(descriptor: impl std::os::fd::AsFd) {
    let deadline = Timespec::try_from(DEADLINE).unwrap();
    let ready = poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&deadline)).unwrap();
    assert_eq!(ready, 1, "it never came to be");
}

/// Sends a signal to a process that may be gone already.
pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let _gone = kill_process(pid, signal);
}

/// The session of a process.
pub(crate) fn session_of(pid: u32) -> u32 {
    let pid = Pid::from_raw(pid.try_into().unwrap());
    rustix::process::getsid(pid).unwrap().as_raw_nonzero().get().try_into().unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

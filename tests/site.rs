//! A supervisor with real programs, in a network that has nothing but loopback.
//!
//! Fixed ports are free there, and every process that was ever started there is found, wherever it went. It takes root.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, kill_process, pidfd_open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for a JVM on a busy machine; nothing waits this long unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// Whether `what` can run here, where it takes these files, each with the package that brings it.
///
/// Where it cannot, this says why; in CI (`CI` is set), where all must run, it fails.
pub(crate) fn can_run(what: &str, files: &[(&str, &str)]) -> bool {
    let Some(missing) = what_is_missing(files) else { return true };
    assert!(std::env::var_os("CI").is_none(), "cannot run {what}: {missing}");
    // Straight to the descriptor: what a passing test prints is not shown.
    writeln!(io::stderr(), "skipped: {what} cannot run here: {missing}").expect("stderr is open");
    false
}

fn what_is_missing(files: &[(&str, &str)]) -> Option<String> {
    if !geteuid().is_root() {
        return Some("only root can make a network namespace".to_owned());
    }
    if !Command::new("unshare")
        .args(["--net", "ip", "link", "set", "lo", "up"])
        .status()
        .is_ok_and(|s| s.success())
    {
        return Some("`unshare --net ip link set lo up` fails (packages util-linux, iproute2)".to_owned());
    }
    let (file, package) = files.iter().find(|(file, _)| !Path::new(file).exists())?;
    Some(format!("{file} does not exist ({package})"))
}

/// A folder with a registry, and the supervisor that runs it.
pub(crate) struct Site {
    folder: TempDir,
    supervisor: Child,
    /// Tells of every line that is written to a log or to the journal.
    news: OwnedFd,
}

impl Site {
    /// Moves this thread into a network of its own, has `fill` write the registry and what it needs, and runs it.
    pub(crate) fn run(fill: impl FnOnce(&Path)) -> Self {
        enter_own_network();
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Components may run as others than we.
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("it is ours");
        fill(folder.path());
        let news =
            inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).expect("inotify");
        for (name, mode) in [("logs", 0o750), ("temp", 0o700)] {
            let written = folder.path().join(name);
            fs::create_dir(&written).expect("nobody has made it");
            fs::set_permissions(&written, PermissionsExt::from_mode(mode)).expect("it is ours");
            inotify::add_watch(&news, &written, inotify::WatchFlags::MODIFY)
                .expect("a folder can be watched");
        }
        let supervisor = s7supervisor(folder.path(), &["run"]).spawn().expect("the supervisor starts");
        Self { folder, supervisor, news }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until `fact` holds. Looks again whenever something is written to the file of this name: a component's log,
    /// or the `journal`.
    pub(crate) fn wait_until(&self, file: &str, fact: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !fact(self) {
            while !self.is_written(file) {
                let left = timeout(deadline.saturating_duration_since(Instant::now()));
                let news = poll(&mut [PollFd::new(&self.news, PollFlags::IN)], Some(&left))
                    .expect("it can be polled");
                assert_ne!(
                    news,
                    0,
                    "it never came to be; status: {:#?}\nlogs:\n{}",
                    self.status(),
                    self.logs()
                );
            }
        }
    }

    /// Whether there is news of files whose name begins so; takes all news that there is.
    fn is_written(&self, file: &str) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut news = inotify::Reader::new(&self.news, &mut buffer);
        let mut written = false;
        loop {
            match news.next() {
                Ok(event) => {
                    let name = event.file_name();
                    written |= name.is_some_and(|name| name.to_bytes().starts_with(file.as_bytes()));
                }
                Err(Errno::AGAIN) => return written,
                Err(error) => panic!("cannot read news of the logs: {error}"),
            }
        }
    }

    /// What a command of s7supervisor prints.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let mut command = s7supervisor(self.folder.path(), arguments);
        let Output { stdout, .. } = command.stdout(Stdio::piped()).output().expect("it starts");
        String::from_utf8(stdout).expect("it prints UTF-8")
    }

    /// The components as `status --json` lists them.
    pub(crate) fn status(&self) -> Vec<Value> {
        let answer = self.ask(&["status", "--json"]);
        // Before the supervisor listens there is no answer.
        let status: Value = serde_json::from_str(&answer).unwrap_or_default();
        status["components"].as_array().cloned().unwrap_or_default()
    }

    /// The pid of each component that has one.
    pub(crate) fn pids(&self) -> BTreeMap<String, Pid> {
        let pid_by_id = |component: Value| {
            let pid = Pid::from_raw(component["pid"].as_i64()?.try_into().ok()?)?;
            Some((component["id"].as_str()?.to_owned(), pid))
        };
        self.status().into_iter().filter_map(pid_by_id).collect()
    }

    /// Stops everything, and sees that it ends well and that nothing is left. `meanwhile` may watch.
    pub(crate) fn stop(&mut self, meanwhile: impl FnOnce(&Self)) {
        let mut stop = s7supervisor(self.folder.path(), &["stop"]).spawn().expect("it starts");
        meanwhile(self);
        assert!(end_of(&mut stop).success(), "stop failed; the logs are\n{}", self.logs());
        assert!(end_of(&mut self.supervisor).success(), "run failed; the logs are\n{}", self.logs());
        assert_eq!(processes_of_own_network(), [], "something is left; the logs are\n{}", self.logs());
    }

    pub(crate) fn logs(&self) -> String {
        let files = fs::read_dir(self.path("logs")).expect("it is there");
        files
            .filter_map(Result::ok)
            .map(|file| {
                let text = fs::read_to_string(file.path()).unwrap_or_default();
                format!("{}:\n{text}\n", file.path().display())
            })
            .collect()
    }
}

impl Drop for Site {
    /// Leaves nothing behind when the test has failed; afterwards the folder can go.
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        for process in processes_of_own_network() {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// Moves this thread, and with it all that it starts from now on, into a network that has nothing but loopback.
fn enter_own_network() {
    let mut maker = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && echo made && exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    let mut line = String::new();
    BufReader::new(maker.stdout.take().expect("piped")).read_line(&mut line).expect("a pipe can be read");
    assert_eq!(line, "made\n");
    let network = File::open(format!("/proc/{}/ns/net", maker.id())).expect("its namespace can be opened");
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter it");
    maker.stdin.take();
    maker.wait().expect("cat ends with its input");
}

/// The processes of this thread's network, apart from the test itself.
fn processes_of_own_network() -> Vec<Pid> {
    let own = fs::read_link("/proc/thread-self/ns/net").expect("/proc is mounted");
    fs::read_dir("/proc")
        .expect("/proc is mounted")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != std::process::id().cast_signed())
        // What has ended meanwhile, or is a zombie, has no namespace to show.
        .filter(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|network| network == own))
        .filter_map(Pid::from_raw)
        .collect()
}

/// The command on the registry in `folder`. What it says beside its answer goes to the logs.
fn s7supervisor(folder: &Path, arguments: &[&str]) -> Command {
    let said = File::options().append(true).create(true).open(folder.join("logs/s7supervisor.stderr"));
    let mut s7supervisor = Command::new(env!("CARGO_BIN_EXE_s7supervisor"));
    s7supervisor
        .args(arguments)
        .env("S7_REGISTRY", folder.join("conf/SupervisorRegistry.xml"))
        .env_remove("S7_INSTALL_FOLDER")
        .env_remove("S7_TEMP")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.expect("the folder of logs is there"));
    s7supervisor
}

/// How the program ends, which it does in time.
fn end_of(program: &mut Child) -> ExitStatus {
    let process = pidfd_open(Pid::from_child(program), PidfdFlags::empty()).expect("it is not reaped yet");
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout(DEADLINE)));
    assert_eq!(ended, Ok(1), "it does not end");
    program.wait().expect("it is not reaped yet")
}

pub(crate) fn timeout(duration: Duration) -> Timespec {
    duration.try_into().expect("a deadline is short")
}

/// The answer, head and all, to one HTTP request to this machine.
pub(crate) fn http(port: u16, request: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut connection = TcpStream::connect_timeout(&address, DEADLINE)?;
    connection.set_read_timeout(Some(DEADLINE))?;
    write!(connection, "{request} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len())?;
    connection.write_all(body)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Copies the files of an example, and not what it may have written where it lies.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the example is there").map(|entry| entry.expect("it can be read"))
    {
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        match entry.file_name().to_str() {
            Some("logs" | "temp" | "data") => {}
            _ if source.is_dir() => {
                fs::create_dir(&copy).expect("the copy is new");
                copy_folder(&source, &copy);
            }
            _ => {
                fs::copy(&source, &copy).expect("the example can be read");
            }
        }
    }
}

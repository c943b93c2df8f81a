//! `examples/tomcat`: the documented registry, running nginx, a Java program and Apache Tomcat.
//!
//! The documented ports are fixed, so the test runs in a network of its own, which takes root. That network also shows
//! what is left behind: every process that was ever started for the example is in it, wherever it went.
//!
//! Where root or a package is missing the test says so and passes; in CI (`CI` is set) it fails.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the test starts programs and gives them deadlines")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, kill_process, pidfd_open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/tomcat");

/// Long enough for a JVM on a busy machine; nothing waits this long unless it is broken.
const DEADLINE: Duration = Duration::from_secs(90);

#[test]
fn real_servers_answer_come_back_after_sigkill_and_stop_in_order() {
    if let Some(missing) = what_is_missing() {
        assert!(std::env::var_os("CI").is_none(), "cannot run examples/tomcat: {missing}");
        // Straight to the descriptor: what a passing test prints is not shown.
        writeln!(io::stderr(), "skipped: examples/tomcat cannot run here: {missing}")
            .expect("stderr is open");
        return;
    }
    enter_own_network();
    let mut example = Example::run();

    for id in ["is", "svg", "ps"] {
        example.wait_until(id, |example| example.answers(id));
    }
    for id in ["is", "svg", "ps"] {
        let mut before = example.pids();
        let killed = before[id];
        kill_process(killed, Signal::KILL).expect("it lives");
        let is_new = |pid: &Pid| *pid != killed;
        example.wait_until(id, |example| example.pids().get(id).is_some_and(is_new) && example.answers(id));
        let mut after = example.pids();
        for pids in [&mut before, &mut after] {
            pids.remove(id);
        }
        assert_eq!(after, before, "{id} was killed, and another has a new pid");
    }
    for component in example.status() {
        assert_eq!(component["restarts"], 1, "{component}");
    }
    example.stop_in_order();
}

/// What the example needs and this machine lacks.
fn what_is_missing() -> Option<String> {
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
    [
        ("/usr/sbin/nginx", "nginx-light"),
        ("/usr/bin/javac", "default-jdk-headless"),
        ("/usr/share/tomcat10/bin/bootstrap.jar", "tomcat10-common"),
        ("/usr/share/java/batik-all.jar", "libbatik-java"),
    ]
    .into_iter()
    .find(|(file, _)| !Path::new(file).exists())
    .map(|(file, package)| format!("{file} does not exist (package {package})"))
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

/// A copy of the example, and the supervisor that runs it.
struct Example {
    folder: TempDir,
    supervisor: Child,
    /// Tells of every line that is written to a log.
    log_news: OwnedFd,
}

impl Example {
    fn run() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_folder(Path::new(EXAMPLE), folder.path());
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).expect("the copy has none");
        let log_news =
            inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).expect("inotify");
        inotify::add_watch(&log_news, &logs, inotify::WatchFlags::MODIFY).expect("a folder can be watched");
        let supervisor = s7supervisor(folder.path(), "run").spawn().expect("the supervisor starts");
        Self { folder, supervisor, log_news }
    }

    /// Waits until `fact` holds. Looks again whenever the component has written something, which each of the three
    /// does once it listens.
    fn wait_until(&self, id: &str, fact: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !fact(self) {
            while !self.has_written(id) {
                let left = timeout(deadline.saturating_duration_since(Instant::now()));
                let news = poll(&mut [PollFd::new(&self.log_news, PollFlags::IN)], Some(&left))
                    .expect("it can be polled");
                assert_ne!(news, 0, "{id} does not answer; the logs are\n{}", self.logs());
            }
        }
    }

    /// Whether there is news of the component's log; takes all news that there is.
    fn has_written(&self, id: &str) -> bool {
        let prefix = format!("{id}-");
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut news = inotify::Reader::new(&self.log_news, &mut buffer);
        let mut written = false;
        loop {
            match news.next() {
                Ok(event) => {
                    written |=
                        event.file_name().is_some_and(|name| name.to_bytes().starts_with(prefix.as_bytes()));
                }
                Err(Errno::AGAIN) => return written,
                Err(error) => panic!("cannot read news of the logs: {error}"),
            }
        }
    }

    /// Whether the component does its work.
    fn answers(&self, id: &str) -> bool {
        let image =
            |name| fs::read(self.folder.path().join("images").join(name)).expect("the example has it");
        let answer = match id {
            "is" => ask(27345, "GET /sample.png", &[]),
            "svg" => ask(27346, "POST /", &image("sample.svg")),
            _ => ask(8080, "GET /", &[]),
        };
        let Ok(answer) = answer else { return false };
        answer.starts_with(b"HTTP/1.1 200")
            && match id {
                "is" => answer.ends_with(&image("sample.png")),
                "svg" => contains(&answer, b"\r\n\r\n\x89PNG\r\n\x1a\n"),
                // The Platform Server has asked the other two.
                _ => contains(&answer, b"data:image/png;base64,iVBOR"),
            }
    }

    /// The components as `status --json` lists them.
    fn status(&self) -> Vec<serde_json::Value> {
        let mut command = s7supervisor(self.folder.path(), "status");
        let Output { stdout, .. } = command.arg("--json").stdout(Stdio::piped()).output().expect("it starts");
        let status: serde_json::Value = serde_json::from_slice(&stdout).expect("status answers in JSON");
        status["components"].as_array().expect("a list of components").clone()
    }

    /// The pid of each component that has one.
    fn pids(&self) -> BTreeMap<String, Pid> {
        let pid_by_id = |component: serde_json::Value| {
            let pid = Pid::from_raw(component["pid"].as_i64()?.try_into().ok()?)?;
            Some((component["id"].as_str()?.to_owned(), pid))
        };
        self.status().into_iter().filter_map(pid_by_id).collect()
    }

    /// Stops everything, and sees that `ps`, which started last, ends first, and that nothing is left.
    fn stop_in_order(&mut self) {
        let pids = self.pids();
        let [is, svg, ps] =
            ["is", "svg", "ps"].map(|id| pidfd_open(pids[id], PidfdFlags::empty()).expect("it lives"));
        let mut stop = s7supervisor(self.folder.path(), "stop").spawn().expect("it starts");

        // The kernel looks at them in this order: where it finds `is` or `svg` ended, it has yet to look at `ps`.
        let mut ends = [&is, &svg, &ps].map(|process| PollFd::new(process, PollFlags::IN));
        let ended = poll(&mut ends, Some(&timeout(DEADLINE))).expect("they can be polled");
        assert_ne!(ended, 0, "nothing ends; the logs are\n{}", self.logs());
        assert!(!ends[2].revents().is_empty(), "another ended before ps");

        assert!(end_of(&mut stop).success(), "stop failed; the logs are\n{}", self.logs());
        assert!(end_of(&mut self.supervisor).success(), "run failed; the logs are\n{}", self.logs());
        assert_eq!(processes_of_own_network(), [], "something is left; the logs are\n{}", self.logs());
    }

    fn logs(&self) -> String {
        let files = fs::read_dir(self.folder.path().join("logs")).expect("the example has it");
        files
            .filter_map(Result::ok)
            .map(|file| {
                let text = fs::read_to_string(file.path()).unwrap_or_default();
                format!("{}:\n{text}\n", file.path().display())
            })
            .collect()
    }
}

impl Drop for Example {
    /// Leaves nothing behind when the test has failed; afterwards the folder can go.
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        for process in processes_of_own_network() {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// The command on the registry of the example in `folder`. What it says beside its answer goes to the logs.
fn s7supervisor(folder: &Path, command: &str) -> Command {
    let said = File::options().append(true).create(true).open(folder.join("logs/s7supervisor.stderr"));
    let mut s7supervisor = Command::new(env!("CARGO_BIN_EXE_s7supervisor"));
    s7supervisor
        .arg(command)
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

fn timeout(duration: Duration) -> Timespec {
    duration.try_into().expect("a deadline is short")
}

/// The answer, head and all, to one HTTP request to this machine.
fn ask(port: u16, request: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut connection = TcpStream::connect_timeout(&address, DEADLINE)?;
    connection.set_read_timeout(Some(DEADLINE))?;
    write!(connection, "{request} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len())?;
    connection.write_all(body)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Copies the files of the example, and not what it may have written where it lies.
fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the example is there").map(|entry| entry.expect("it can be read"))
    {
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        match entry.file_name().to_str() {
            Some("logs" | "temp") => {}
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

//! What the server does when the process has no descriptors left. Alone in its binary, because that limit is the
//! whole process's.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests may panic")]
#![expect(clippy::disallowed_methods, reason = "the test gives itself a deadline")]

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use supervisor::Supervisor;
use supervisor_control::Server;

/// How long anything may take before the test gives up.
const SOON: Duration = Duration::from_secs(90);

#[test]
fn without_descriptors_an_idle_connection_makes_room_and_else_the_queue_waits_without_burning_time() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s.sock");
    let supervisor = Supervisor::builder().start().unwrap();
    let _server = Server::builder(supervisor.handle()).bind(&socket).unwrap();
    let idle = UnixStream::connect(&socket).unwrap();
    assert!(is_answered(&idle, SOON));
    let mut status = control_thread();
    let limits = Rlimit { current: Some(100), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limits).unwrap();

    // The only descriptor that is free is the client's: the idle connection gives its own to the server.
    let mut all = exhaust();
    let free = all.len();
    all.pop();
    let second = UnixStream::connect(&socket).unwrap();
    assert_eq!((&idle).read(&mut [0]).unwrap(), 0, "the idle one is closed");
    // It may take its time: nobody else waits for whom it would have to make room.
    assert!(!has_news(&second, Duration::from_millis(200)));
    assert!(is_answered(&second, SOON));

    // Nobody idles any more: whoever comes waits in the queue.
    second.shutdown(Shutdown::Write).unwrap();
    assert_eq!((&second).read(&mut [0]).unwrap(), 0);
    // Its descriptor may come free a moment after its end was told; then all are ours again.
    let since = Instant::now();
    while all.len() < free {
        all.extend(exhaust());
        assert!(since.elapsed() < SOON, "{} of {free}", all.len());
    }
    all.pop();
    let third = UnixStream::connect(&socket).unwrap();
    let before = sleeps(&mut status);
    assert!(!is_answered(&third, Duration::from_millis(500)));
    let tries = sleeps(&mut status) - before;
    assert!(tries < 50, "{tries}");
    until("it has been tried", || sleeps(&mut status) > before);
    all.clear();
    third.set_read_timeout(Some(SOON)).unwrap();
    assert!((&third).read(&mut [0; 4096]).unwrap() > 0, "it is answered when there are descriptors again");
}

/// Gives the other threads the processor until something is so.
#[expect(clippy::disallowed_methods, reason = "a deadline that only a fault reaches")]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// Opens files until no more can be opened.
fn exhaust() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// Whether a question is answered in time.
fn is_answered(mut stream: &UnixStream, time: Duration) -> bool {
    stream.write_all(b"GET /v1/status HTTP/1.1\r\n\r\n").unwrap();
    has_news(stream, time)
}

/// Whether something comes in time. The end of the connection does not count as such.
fn has_news(mut stream: &UnixStream, time: Duration) -> bool {
    stream.set_read_timeout(Some(time)).unwrap();
    match stream.read(&mut [0; 4096]) {
        Ok(count) => {
            assert!(count > 0, "the connection is closed");
            true
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

/// The figures of the control thread of this process.
fn control_thread() -> File {
    let mut tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let is_control =
        |task: &PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "control\n");
    File::open(tasks.find(is_control).unwrap().join("status")).unwrap()
}

/// How often the thread has gone to sleep.
fn sleeps(status: &mut File) -> u64 {
    let mut text = String::new();
    status.rewind().unwrap();
    status.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

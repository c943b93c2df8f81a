//! `s7supervisor stand-in`: does it do what it is told?
#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

fn stand_in(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s7supervisor"));
    command.arg("stand-in").args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

/// A stand-in that is killed when the test is over, however it ends.
struct Living {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Living {
    /// It has said its first line when this returns.
    fn new(arguments: &str) -> Self {
        let mut child = stand_in(arguments).arg("--print=here").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert_eq!(first, "here\n");
        Self { child, lines }
    }

    fn stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

#[test]
fn it_ends_when_and_how_it_is_told() {
    let code = |arguments| stand_in(arguments).status().unwrap().code();
    assert_eq!(code("--exit-after 0"), Some(0));
    assert_eq!(code("--exit-after 0 --exit-code 7"), Some(7));
    assert_eq!(code("--crash-after 10ms"), Some(1));
    assert_eq!(code("--crash-after 0 --exit-code 78"), Some(78));
    assert_eq!(code("--exit-after 0 -- -Xmx512m --listen nothing"), Some(0));
    for (name, number) in [("SEGV", 11), ("KILL", 9), ("TERM", 15)] {
        let ended = stand_in(&format!("--crash-after 0 --signal {name}")).status().unwrap();
        assert_eq!((ended.signal(), ended.core_dumped()), (Some(number), false));
    }
}

#[test]
fn it_answers_every_request_with_its_name() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let _living = Living::new(&format!("--name web-7 --listen {}", free.port()));
    for _ in 0..2 {
        let ask = || {
            let mut stream = TcpStream::connect(free).unwrap();
            let mut answer = String::new();
            // Whoever takes longer than a second for a request is not answered, and asks again.
            let _closed = stream
                .write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
                .and_then(|()| stream.read_to_string(&mut answer));
            Some(answer).filter(|answer| !answer.is_empty())
        };
        let answer = (0..10).find_map(|_| ask()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("web-7 is up"), "{answer}");
    }
    let taken = stand_in(&format!("--listen {}", free.port())).output().unwrap();
    assert_eq!(taken.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&taken.stderr).contains(&free.port().to_string()));
}

#[test]
fn a_stop_ends_it_at_once_or_as_slowly_as_told() {
    let mut prompt = Living::new("");
    prompt.stop();
    assert_eq!(prompt.wait().code(), Some(0));

    let mut slow = Living::new("--slow-stop 0.3");
    let since = Instant::now();
    slow.stop();
    assert_eq!(slow.wait().code(), Some(0));
    assert!(since.elapsed() >= Duration::from_millis(300));
}

#[test]
fn what_ignores_the_stop_outlives_it() {
    let mut deaf = Living::new("--ignore-stop --exit-after 0.5 --exit-code 3");
    deaf.stop();
    assert_eq!(deaf.wait().code(), Some(3));
}

#[test]
fn its_flood_is_numbered_and_does_not_keep_it_from_stopping() {
    let mut flood = Living::new("--name f --flood");
    for number in 1..=10_000 {
        let mut line = String::new();
        flood.lines.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("f: line {number} ")) && line.len() == 64, "{line}");
    }
    // Nobody reads on, so the pipe is full or will be.
    flood.stop();
    assert_eq!(flood.wait().code(), Some(0));
}

#[test]
fn a_rate_bounds_the_flood() {
    let since = Instant::now();
    let output = stand_in("--flood --rate 100 --exit-after 1").output().unwrap();
    // It may get no processor when it should end, and make up for what it has not written.
    let most = since.elapsed().as_secs_f64() * 100.0;
    let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    assert!(lines >= 1 && lines as f64 <= most, "{lines} of at most {most}");
}

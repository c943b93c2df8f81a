//! Any bytes as what somebody sends on a connection to the control socket of a whole supervisor.

#![no_main]

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use supervisor::{Never, ProcessSpec, Supervisor};
use supervisor_control::Server;
use tempfile::TempDir;

/// Who has said all and closed its end gets its answers, and the end, within this time.
const SOON: Duration = Duration::from_secs(4);

/// Who asks for what may never end, and says more after it, gets no end: it goes away after this time.
const A_WHILE: Duration = Duration::from_millis(20);

/// What the manual of the server says that an answer may be.
const STATUSES: [u16; 14] = [100, 200, 202, 400, 403, 404, 405, 408, 409, 413, 414, 415, 431, 503];

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

struct Running {
    _server: Server,
    _supervisor: Supervisor,
    folder: TempDir,
}

impl Running {
    fn start() -> Self {
        // SAFETY: no handler is installed. In every Rust program the standard library does this before `main`, which
        // here is the fuzzer's: else whoever goes away before its answer would end the process.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        let supervisor =
            Supervisor::builder().components(components()).start().expect("these can be supervised");
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let server = Server::builder(supervisor.handle()).bind(&folder.path().join("s")).expect("it is free");
        Self { _server: server, _supervisor: supervisor, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }
}

/// No input ever starts a process: there is no such program.
fn components() -> impl Iterator<Item = ProcessSpec> {
    ["ps", "web-1", "web-2"].into_iter().map(|id| {
        let mut spec = ProcessSpec::new(id, "/nonexistent/program").expect("this is a name");
        spec.autostart = false;
        spec.restart = std::sync::Arc::new(Never);
        spec
    })
}

fuzz_target!(|bytes: &[u8]| {
    let mut running = RUNNING.lock().expect("a target that has panicked does not run again");
    let socket = running.get_or_insert_with(Running::start).socket();
    let answers = converse(&socket, bytes);
    if check(&answers, bytes) == Supervision::Ended {
        *running = None;
    }
});

/// Says all of it, and hears what is answered until the connection is closed.
fn converse(socket: &PathBuf, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).expect("the server takes connections");
    // What is waited for may stand in a query, in any spelling.
    let may_be_endless = [&b"/wait"[..], b"/events", b"?"].iter().any(|word| contains(bytes, word));
    let patience = if may_be_endless { A_WHILE } else { SOON };
    for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
        set(&stream, Some(patience)).expect("the time is not zero");
    }
    // It may have been closed before all was said.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    match stream.read_to_end(&mut answers) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => assert!(may_be_endless, "it is not closed"),
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it cannot be read: {error}"),
        _ => {}
    }
    answers
}

#[derive(PartialEq)]
enum Supervision {
    GoesOn,
    Ended,
}

/// Every answer is well-formed, and of a status that is documented.
fn check(answers: &[u8], asked: &[u8]) -> Supervision {
    // That to HEAD announces a body that does not come.
    let is_clear = !contains(asked, b"HEAD");
    let mut supervision = Supervision::GoesOn;
    let mut rest = answers;
    while !rest.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(length)) = head.parse(rest) else {
            assert!(!is_clear, "no answer: {:?}", String::from_utf8_lossy(rest));
            return supervision;
        };
        let status = head.code.expect("it is complete");
        assert!(STATUSES.contains(&status), "{:?}", String::from_utf8_lossy(rest));
        if status == 503 {
            supervision = Supervision::Ended;
        }
        let header = |name: &str| {
            let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| std::str::from_utf8(header.value).expect("our headers are text"))
        };
        if header("content-type") == Some("text/event-stream") {
            return supervision;
        }
        let body: usize =
            header("content-length").map_or(0, |length| length.parse().expect("it is a number"));
        rest = &rest[length..];
        if body > rest.len() {
            return supervision;
        }
        if is_clear && header("content-type").is_some_and(|kind| kind.ends_with("json")) {
            assert!(serde_json::from_slice::<serde_json::Value>(&rest[..body]).is_ok());
        }
        rest = &rest[body..];
    }
    supervision
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

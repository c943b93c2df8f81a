//! A supervisor with its control server, and a connection that speaks HTTP by hand.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::Value;
use supervisor::{ProcessSpec, Supervisor};
use supervisor_control::{Client, Limits, Server};

/// How long anything may take before a test gives up. Never waited for in vain by a test that passes.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// A supervisor under control. Dropping it stops everything.
pub(crate) struct Running {
    pub(crate) server: Option<Server>,
    pub(crate) supervisor: Option<Supervisor>,
    pub(crate) folder: tempfile::TempDir,
}

impl Running {
    /// With these components, and limits that no test of theirs reaches.
    pub(crate) fn with(components: impl IntoIterator<Item = ProcessSpec>) -> Self {
        Self::limited(components, |_| {})
    }

    /// With these components and changed limits.
    pub(crate) fn limited(
        components: impl IntoIterator<Item = ProcessSpec>,
        change: impl FnOnce(&mut Limits),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::builder().components(components).start().unwrap();
        let mut limits = Limits::default();
        change(&mut limits);
        let server = Server::builder(supervisor.handle())
            .registry("/etc/image serving/registry.xml".as_ref())
            .supervisor_version("9.8.7")
            .limits(limits)
            .bind(&folder.path().join("s.sock"))
            .unwrap();
        Self { server: Some(server), supervisor: Some(supervisor), folder }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("s.sock")
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket()).unwrap()
    }

    pub(crate) fn connect(&self) -> Connection {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Connection::on(stream)
    }

    /// The answer to one request on a connection of its own.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut connection = self.connect();
        connection.send(request);
        connection.answer().expect("the connection was closed without an answer")
    }
}

/// A program that runs until it is told to stop.
pub(crate) fn steady(id: &str) -> ProcessSpec {
    let mut spec = ProcessSpec::new(id, "/bin/sleep").unwrap();
    spec.arguments = vec!["1000".into()];
    spec
}

/// A shell that runs `script`.
pub(crate) fn shell(id: &str, script: &str) -> ProcessSpec {
    let mut spec = ProcessSpec::new(id, "/bin/sh").unwrap();
    spec.arguments = vec!["-c".into(), script.into()];
    spec
}

/// A program that has to be killed when its stop timeout is over.
pub(crate) struct Stubborn {
    folder: tempfile::TempDir,
    id: &'static str,
    /// Open for both, so that opening it waits for nobody.
    ready: File,
}

impl Stubborn {
    pub(crate) fn new(id: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("ready");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        let ready = File::options().read(true).write(true).open(fifo).unwrap();
        Self { folder, id, ready }
    }

    pub(crate) fn spec(&self, stop_timeout: Duration) -> ProcessSpec {
        let script = "trap '' TERM; echo > ready; while :; do sleep 1000; done";
        let mut spec = shell(self.id, script);
        spec.working_directory = Some(self.folder.path().to_owned());
        spec.stop_timeout = stop_timeout;
        spec
    }

    /// Returns once for each run of it.
    pub(crate) fn wait_until_it_ignores_the_stop_signal(&mut self) {
        let mut readable = [PollFd::new(&self.ready, PollFlags::IN)];
        let timeout = SOON.try_into().unwrap();
        assert_eq!(poll(&mut readable, Some(&timeout)).unwrap(), 1, "it does not run");
        self.ready.read_exact(&mut [0]).unwrap();
    }
}

/// A request with a JSON body.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A question.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// A connection that speaks HTTP by hand.
pub(crate) struct Connection<S = UnixStream> {
    pub(crate) stream: S,
    unread: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn on(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Sends what the server takes: it may have closed the connection meanwhile.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        match self.stream.write_all(bytes.as_ref()) {
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                panic!("cannot send: {error}")
            }
            _ => {}
        }
    }

    /// The next answer; `None` when the connection was closed instead.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET")
    }

    /// The next answer to a request with this method: that to HEAD has no body, whatever it announces.
    pub(crate) fn answer_to(&mut self, method: &str) -> Option<Answer> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(length) = head.parse(&self.unread).unwrap() {
                let headers: Vec<(String, String)> = head
                    .headers
                    .iter()
                    .map(|header| {
                        (header.name.to_ascii_lowercase(), String::from_utf8(header.value.to_vec()).unwrap())
                    })
                    .collect();
                let mut answer = Answer { status: head.code.unwrap(), headers, body: Value::Null };
                let body = answer.header("content-length").unwrap().parse::<usize>().unwrap();
                let body = if method == "HEAD" { 0 } else { body };
                if self.unread.len() >= length + body {
                    if body > 0 {
                        answer.body = serde_json::from_slice(&self.unread[length..length + body]).unwrap();
                    }
                    self.unread.drain(..length + body);
                    return Some(answer);
                }
            }
            if !self.read_more() {
                assert!(self.unread.is_empty(), "half an answer: {:?}", self.unread);
                return None;
            }
        }
    }

    /// Waits until the server has closed the connection. Panics at any byte that comes before.
    pub(crate) fn assert_closed(&mut self) {
        assert!(self.answer().is_none(), "an answer instead of a closed connection");
    }

    fn read_more(&mut self) -> bool {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => panic!("neither an answer nor closed: {error}"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Null when there is none.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Asserts that this is a problem document of this status, and gives its detail.
    pub(crate) fn problem(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.body["type"], "about:blank");
        assert_eq!(self.body["status"], status);
        assert!(self.body["title"].as_str().is_some_and(|title| !title.is_empty()));
        self.body["detail"].as_str().unwrap()
    }
}

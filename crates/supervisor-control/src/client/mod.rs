//! The client: blocking, one connection, no runtime.
//!
//! A status command is started a thousand times by scripts and lives for a millisecond; so a request is one write, and
//! an answer is read straight into the buffer that it is parsed from.

mod answer;
mod change;
mod detail;
mod follow;
mod own_log;
mod trace_level;

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use supervisor::{Dependants, Signal, Until};

use self::answer::{Answer, ReadError};
pub use self::follow::Follow;
use crate::socket::Place;
use crate::wire::{
    OutcomeDocument, SelectionDocument, ShutdownDocument, SignalDocument, StatusDocument, StopDocument,
    UpgradeDocument, UpgradeOrderDocument, WaitDocument,
};

/// How long the supervisor may take to answer what it can answer at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take until another executable is found able to take over.
const UPGRADE_PATIENCE: Duration = Duration::from_secs(60);

/// How much later than asked for its answer may come that the time is over.
const GRACE: Duration = Duration::from_millis(250);

/// A connection to a running supervisor. Requests on it are answered one after the other.
///
/// The supervisor closes a connection that idles for a minute: make another then.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    socket: PathBuf,
}

/// What components are asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run, whatever backoff or failure says, and from now on.
    Start,
    /// Not run until somebody asks for it; refused where running components depend on it.
    Stop,
    /// Likewise, and this is done about running components that depend on it.
    StopWith(Dependants),
    /// End the run, if there is one, and begin another.
    Restart,
    /// Have what went wrong before forgotten: backoff, trip and failure.
    Reset,
    /// Read its configuration again.
    Reload,
    /// End the files that its output goes to, and begin others.
    Rotate,
    /// Take a signal.
    Signal(Signal),
    /// Nothing: the answer comes when this is true.
    WaitFor(Until),
}

/// How long to wait until what was asked for has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// Until it has happened or can no longer happen.
    Forever,
    /// So long.
    For(Duration),
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no socket, or nobody listens on it.
    #[error("cannot reach a supervisor: nobody listens at {}", .socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
    },
    /// This account may not connect, or the supervisor of another account closed the connection without an answer.
    #[error("cannot control the supervisor at {}: no permission; use root or the account that runs it", .socket.display())]
    PermissionDenied {
        /// The socket.
        socket: PathBuf,
    },
    /// The socket cannot be reached for another reason.
    #[error("cannot connect to {}: {reason}", .socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the operating system says.
        #[source]
        reason: io::Error,
    },
    /// The supervisor did not answer in time.
    #[error("the supervisor at {} does not answer", .socket.display())]
    NoAnswer {
        /// The socket.
        socket: PathBuf,
    },
    /// The connection was closed before the answer: the supervisor has ended meanwhile, or had too many connections.
    #[error("the supervisor at {} closed the connection without an answer", .socket.display())]
    Closed {
        /// The socket.
        socket: PathBuf,
    },
    /// The supervisor does not do what was asked for.
    #[error("{detail}")]
    Refused {
        /// The HTTP status: 404 for an unknown component, 503 while the supervisor is shutting down.
        status: u16,
        /// Why, for people.
        detail: String,
    },
    /// Running components depend on what was to stop, and nothing was said of them ([`Action::StopWith`]).
    #[error("cannot stop: {detail}")]
    HasDependants {
        /// Why, for people.
        detail: String,
        /// Those components.
        dependants: Vec<String>,
    },
    /// A registry is not in order, and nothing was touched.
    #[error("{detail}")]
    Invalid {
        /// In one sentence, for people.
        detail: String,
        /// Everything that is wrong, a text each with its place.
        problems: Vec<String>,
    },
    /// The answer makes no sense.
    #[error("cannot understand the supervisor's answer: {0}")]
    Broken(String),
}

impl Client {
    /// Connects to the supervisor that listens at `socket`, however long that path is.
    ///
    /// # Errors
    /// [`ClientError`], but for `Refused`, `HasDependants` and `Broken`.
    pub fn connect(socket: &Path) -> Result<Self, ClientError> {
        let connected = Place::at(socket).and_then(|place| {
            let stream = place.connect(PATIENCE)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let socket = socket.to_owned();
        match connected {
            Ok(stream) => Ok(Self { stream, socket }),
            Err(reason) => Err(match reason.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ClientError::NotRunning { socket }
                }
                io::ErrorKind::PermissionDenied => ClientError::PermissionDenied { socket },
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::NoAnswer { socket },
                _ => ClientError::Unreachable { socket, reason },
            }),
        }
    }

    /// The socket, as it was named.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The pid of the process that listens, as the operating system tells it; `None` where it does not.
    #[must_use]
    pub fn supervisor_pid(&self) -> Option<u32> {
        #[cfg(target_os = "linux")]
        {
            let credentials = rustix::net::sockopt::socket_peercred(&self.stream).ok()?;
            u32::try_from(credentials.pid.as_raw_nonzero().get()).ok()
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// What is true of the components that these names mean: of all if there are no names.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn status(&self, names: &[String]) -> Result<StatusDocument, ClientError> {
        self.status_within(names, PATIENCE)
    }

    /// The same, waiting no longer than `limit`, nor than [`Client::status`] does.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn status_within(&self, names: &[String], limit: Duration) -> Result<StatusDocument, ClientError> {
        let mut path = String::from("/v1/status");
        for (number, name) in names.iter().enumerate() {
            path.push_str(if number == 0 { "?id=" } else { "&id=" });
            push_encoded(&mut path, name);
        }
        self.exchange("GET", &path, &[], Some(limit.clamp(GRACE, PATIENCE)))
    }

    /// Asks the components that these names mean for something: all if there is `None`.
    ///
    /// The answer may be that it did not come to be: see [`OutcomeDocument::is_success`].
    ///
    /// # Errors
    /// [`ClientError`]; of these only `NoAnswer`, `Closed` and `Broken` leave open whether it was taken up.
    pub fn act(
        &self,
        action: Action,
        names: Option<&[String]>,
        wait: Wait,
    ) -> Result<OutcomeDocument, ClientError> {
        let components = names.map(<[String]>::to_vec);
        let path = action.path();
        match action {
            Action::Start | Action::Restart | Action::Reset | Action::Reload | Action::Rotate => {
                self.post(path, &SelectionDocument { components }, wait)
            }
            Action::Stop => self.post(path, &StopDocument { components, ..StopDocument::default() }, wait),
            Action::StopWith(dependants) => self.post(path, &StopDocument { components, dependants }, wait),
            Action::Signal(signal) => {
                let signal = signal.name().map_or_else(|| signal.number().to_string(), str::to_owned);
                self.post(path, &SignalDocument { components, signal }, wait)
            }
            Action::WaitFor(until) => self.post(path, &WaitDocument { components, until }, wait),
        }
    }

    /// Stops everything, in order or `immediately`, and then the supervisor.
    ///
    /// # Errors
    /// [`ClientError`], as [`Client::act`].
    pub fn shutdown(&self, immediately: bool, wait: Wait) -> Result<OutcomeDocument, ClientError> {
        self.post("/v1/shutdown", &ShutdownDocument { immediately }, wait)
    }

    /// Has the supervisor replaced by this executable (its absolute path), or by the one that it was started from. The answer
    /// comes when the executable was found able to take over: it does so next, and whoever connects from then on is
    /// answered by it, or, if that fails, by the old one. Their status tells which.
    ///
    /// # Errors
    /// [`ClientError`]; `Refused`: nothing has happened.
    pub fn upgrade(&self, executable: Option<PathBuf>) -> Result<UpgradeDocument, ClientError> {
        let order = UpgradeOrderDocument { executable };
        let body = serde_json::to_vec(&order).map_err(|error| ClientError::Broken(error.to_string()))?;
        self.exchange("POST", "/v1/upgrade", &body, Some(UPGRADE_PATIENCE))
    }

    /// Another connection to whoever listens at the same place now.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_again(&self) -> Result<Self, ClientError> {
        Self::connect(&self.socket)
    }

    /// Follows all that happens from now on, for as long as the supervisor runs.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn follow(self) -> Result<Follow, ClientError> {
        // The body of an HTTP/1.0 answer ends with its connection: there are no chunks to put together.
        self.send(b"GET /v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        self.stream.set_read_timeout(Some(PATIENCE)).map_err(|error| self.failed(&error))?;
        let answer = Answer::read_endless(&mut &self.stream).map_err(|error| self.unread(error))?;
        let beginning = answer.or_else(|instead| self.refused(instead))?;
        self.stream.set_read_timeout(None).map_err(|error| self.failed(&error))?;
        Ok(Follow::new(beginning, self.stream))
    }

    fn post(
        &self,
        path: &str,
        document: &impl Serialize,
        wait: Wait,
    ) -> Result<OutcomeDocument, ClientError> {
        let (query, patience) = match wait {
            Wait::No => ("?wait=false".to_owned(), Some(PATIENCE)),
            Wait::Forever => (String::new(), None),
            Wait::For(limit) => {
                (format!("?timeout={}", limit.as_secs_f64()), Some(limit.saturating_add(GRACE)))
            }
        };
        let body = serde_json::to_vec(document).map_err(|error| ClientError::Broken(error.to_string()))?;
        self.exchange("POST", &format!("{path}{query}"), &body, patience)
    }

    /// Sends a request and reads its answer, waiting no longer than `patience` for each part of it.
    fn exchange<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        patience: Option<Duration>,
    ) -> Result<T, ClientError> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
        if !body.is_empty() {
            let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            request.extend_from_slice(headers.as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        self.send(&request)?;
        self.stream.set_read_timeout(patience).map_err(|error| self.failed(&error))?;
        let answer = Answer::read(&mut &self.stream).map_err(|error| self.unread(error))?;
        self.document(answer)
    }

    fn send(&self, request: &[u8]) -> Result<(), ClientError> {
        match (&self.stream).write_all(request) {
            // A request that was refused before it was read whole breaks the pipe, but has an answer.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(self.failed(&error)),
            _ => Ok(()),
        }
    }

    fn document<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, ClientError> {
        answer.document().map_err(|error| match error {
            ClientError::Refused { status: 403, .. } => {
                ClientError::PermissionDenied { socket: self.socket.clone() }
            }
            other => other,
        })
    }

    /// Why an answer is no stream.
    fn refused<T>(&self, answer: Answer) -> Result<T, ClientError> {
        self.document::<serde::de::IgnoredAny>(answer)?;
        Err(ClientError::Broken("it is no stream of events".to_owned()))
    }

    fn unread(&self, error: ReadError) -> ClientError {
        match error {
            ReadError::Failed(error) => self.failed(&error),
            ReadError::Broken(what) => ClientError::Broken(what),
        }
    }

    /// Whether another account listens than the one that we are, who are not root. It answers without reading, and that
    /// answer may be lost when we write meanwhile.
    fn is_foreign(&self) -> bool {
        let ours = rustix::process::geteuid();
        #[cfg(target_os = "linux")]
        let theirs = rustix::net::sockopt::socket_peercred(&self.stream).map(|credentials| credentials.uid);
        #[cfg(not(target_os = "linux"))]
        let theirs: rustix::io::Result<_> = Ok(ours);
        !ours.is_root() && theirs.is_ok_and(|theirs| theirs != ours)
    }

    fn failed(&self, error: &io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::NoAnswer { socket },
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                if self.is_foreign() {
                    ClientError::PermissionDenied { socket }
                } else {
                    ClientError::Closed { socket }
                }
            }
            _ => ClientError::Broken(error.to_string()),
        }
    }
}

impl Action {
    fn path(self) -> &'static str {
        match self {
            Self::Start => "/v1/start",
            Self::Stop | Self::StopWith(_) => "/v1/stop",
            Self::Restart => "/v1/restart",
            Self::Reset => "/v1/reset",
            Self::Reload => "/v1/reload",
            Self::Rotate => "/v1/rotate",
            Self::Signal(_) => "/v1/signal",
            Self::WaitFor(_) => "/v1/wait",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.path().trim_start_matches("/v1/"))
    }
}

/// Appends `text` as a value in a query.
fn push_encoded(path: &mut String, text: &str) {
    use fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'*') {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

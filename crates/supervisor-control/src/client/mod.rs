//! The client: blocking, one connection, no runtime; to a local socket, or by TCP with the token.
//!
//! A status command is started a thousand times by scripts and lives for a millisecond; so a request is one write, and
//! an answer is read straight into the buffer that it is parsed from.

mod answer;
mod change;
mod detail;
mod follow;
mod own_log;
mod stream;
mod trace_level;

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use supervisor::{Dependants, Signal, Until};

use self::answer::{Answer, ReadError};
pub use self::follow::Follow;
pub use self::stream::Address;
use self::stream::{Proof, Stream};
use crate::Token;
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
    stream: Stream,
    at: Address,
    proof: Proof,
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
    /// There is no such socket, or nobody listens there.
    #[error("cannot reach a supervisor: nobody listens at {at}")]
    NotRunning {
        /// Where.
        at: Address,
    },
    /// This account may not connect, or the supervisor of another account closed the connection without an answer.
    #[error("cannot control the supervisor at {at}: no permission; use root or the account that runs it")]
    PermissionDenied {
        /// Where.
        at: Address,
    },
    /// It cannot be reached for another reason.
    #[error("cannot connect to {at}: {reason}")]
    Unreachable {
        /// Where.
        at: Address,
        /// What the operating system says.
        #[source]
        reason: io::Error,
    },
    /// The supervisor did not answer in time.
    #[error("the supervisor at {at} does not answer")]
    NoAnswer {
        /// Where.
        at: Address,
    },
    /// The connection was closed before the answer: the supervisor has ended meanwhile, or had too many connections.
    #[error("the supervisor at {at} closed the connection without an answer")]
    Closed {
        /// Where.
        at: Address,
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
    #[cfg(unix)]
    pub fn connect(socket: &Path) -> Result<Self, ClientError> {
        Self::connect_to(Address::Socket(socket.to_owned()), Proof::Account)
    }

    /// Connects to the supervisor that listens by TCP at `address`, with its token. It gets the token with each request: so
    /// it must be sure that it is the supervisor which listens there, and that nobody reads on the way.
    ///
    /// # Errors
    /// As [`Client::connect_again`]. That the token is not the right one shows in the first answer: `Refused`
    /// with 401.
    pub fn connect_tcp(address: SocketAddr, token: Token) -> Result<Self, ClientError> {
        Self::connect_to(Address::Tcp(address), Proof::Token(token))
    }

    fn connect_to(at: Address, proof: Proof) -> Result<Self, ClientError> {
        match Stream::connect(&at) {
            Ok(stream) => Ok(Self { stream, at, proof }),
            Err(reason) => Err(match reason.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning { at },
                io::ErrorKind::PermissionDenied => ClientError::PermissionDenied { at },
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::NoAnswer { at },
                _ => ClientError::Unreachable { at, reason },
            }),
        }
    }

    /// Where it is connected.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.at
    }

    /// The pid of the process that listens, as the operating system tells it; `None` where it does not, as by TCP.
    #[must_use]
    pub fn supervisor_pid(&self) -> Option<u32> {
        self.stream.listener_pid()
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
    /// [`ClientError`], but for `Refused`, `HasDependants` and `Broken`.
    pub fn connect_again(&self) -> Result<Self, ClientError> {
        Self::connect_to(self.at.clone(), self.proof.clone())
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
        let about_body = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        let mut request = self.head(method, path, "1.1", &about_body).into_bytes();
        request.extend_from_slice(body);
        self.send(&request)?;
        self.stream.set_read_timeout(patience).map_err(|error| self.failed(&error))?;
        let answer = Answer::read(&mut &self.stream).map_err(|error| self.unread(error))?;
        self.document(answer)
    }

    /// The head of a request, in this version of HTTP.
    fn head(&self, method: &str, path: &str, version: &str, headers: &str) -> String {
        let proof = match &self.proof {
            #[cfg(unix)]
            Proof::Account => String::new(),
            Proof::Token(token) => format!("Authorization: Bearer {}\r\n", token.as_str()),
        };
        format!("{method} {path} HTTP/{version}\r\nHost: localhost\r\n{proof}{headers}\r\n")
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
            ClientError::Refused { status: 403, .. } => ClientError::PermissionDenied { at: self.at.clone() },
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

    fn failed(&self, error: &io::Error) -> ClientError {
        let at = self.at.clone();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::NoAnswer { at },
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                if self.stream.is_foreign() {
                    ClientError::PermissionDenied { at }
                } else {
                    ClientError::Closed { at }
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

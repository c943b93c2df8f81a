//! From one program to the next in the same process: what `upgrade` carries over the `execve`.
//!
//! ```text
//! old: successor examined ─ control drained ─ supervision left ─ signals deferred ─ execve ─▶ new: begins
//!  ▲                                                                                          │ fails before its loop
//!  └────────────────────────────────── execve, with the reason ◀──────────────────────────────┘
//! ```
//!
//! A note in memory says the rest; its descriptor's number stands in a variable of the environment that no component
//! inherits. The locks stay locked and the socket listens all the while, because their descriptors stay open. What runs is
//! found by what is written down of it, as after a crash: were the process killed in the midst of this, nothing more was lost. Where components
//! are heard that speak `sd_notify` stays open likewise, so that nothing is refused that they say meanwhile; the library knows
//! each socket by its address, and makes another where one is missing.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use serde::{Deserialize, Serialize};
use supervisor::KeptOpen;
use supervisor_control::HandedOver;
use supervisor_control::wire::UpgradeDocument;
use tracing::{info, warn};

use super::Successor;
use super::signals::Signal;
use crate::commands::run::{FAREWELL, Stopping, Supervision, cannot};
use crate::commands::takeover_check::HANDOVER_VERSION;
use crate::exit::Failure;
use crate::os::{self, lock::Lock};

/// Where the next program finds the number of the note's descriptor.
const VARIABLE: &str = "S7_HANDOVER";

/// How long the answers that are under way may take before an upgrade; whoever has none by then asks the next supervisor.
const DRAIN: Duration = Duration::from_secs(5);

impl Supervision {
    /// Lets another program go on. Returns only where that is not to be: with what goes on as before, or with the end.
    pub(crate) fn give_way(mut self, successor: Successor) -> Result<Self, Failure> {
        let Successor { request, program, path, version } = successor;
        let own = match File::open("/proc/self/exe") {
            Ok(own) if self.stopping == Stopping::No => own,
            Ok(_) => {
                request.answer(Err("the supervisor is shutting down".to_owned()));
                return Ok(self);
            }
            Err(error) => {
                request
                    .answer(Err(format!("there would be no way back: cannot open /proc/self/exe: {error}")));
                return Ok(self);
            }
        };
        let mut upgrade = UpgradeDocument {
            number: self.upgrade.as_ref().map_or(0, |upgrade| upgrade.number) + 1,
            from: env!("CARGO_PKG_VERSION").to_owned(),
            to: version,
            by: request.by.to_string(),
            failure: None,
        };
        info!("upgrading to version {} ({}), asked for by {}", upgrade.to, path.display(), upgrade.by);
        request.answer(Ok(upgrade.clone()));
        // What follows may take a while.
        self.manager.give_sign(&self.handle);
        let server = self.server.take();
        let listeners = server.map(|server| server.hand_over(DRAIN, &upgrade.to)).unwrap_or_default();
        if let Err(error) = self.handle.leave(format!("{}, to upgrade to version {}", upgrade.by, upgrade.to))
        {
            warn!("the upgrade was not begun: {error}");
            upgrade.failure = Some(error.to_string());
            self.upgrade = Some(upgrade);
            self.serve(listeners);
            return Ok(self);
        }
        while let Ok(event) = self.events.recv() {
            self.take_note(&event);
        }
        let ended = self.supervisor.wait_and_keep();
        self.journal.finish(FAREWELL);
        if let Some(echo) = self.echo {
            // Nobody supervises meanwhile: a slow reader must not take long.
            echo.finish(FAREWELL, true);
        }
        let Some((_, kept)) = ended.ok().filter(|(outcome, _)| outcome.left) else {
            let fault = "supervision broke off by a fault of its own, and every component was killed";
            return Err(Failure::failed(fault));
        };
        os::defer_signals();
        let mut note = Note::new(upgrade, &path, self.examiner.executable.as_deref());
        note.signals = self.signals.end();
        note.reporting = self.report.is_some();
        note.descriptor_limit = self.descriptor_limit;
        let mut estate = Estate {
            locks: self.home.locks().each_ref().map(Lock::file),
            listener: listeners.socket.as_ref().map(AsFd::as_fd),
            tcp: listeners.tcp.iter().map(AsFd::as_fd).collect(),
            kept: &kept,
            way_back: Some((own.as_fd(), &self.examiner.path)),
        };
        let error = note.clone().pass_on(program.as_fd(), &estate);
        note.upgrade.failure = Some(format!("cannot execute {}: {error}", path.display()));
        note.path.clone_from(&self.examiner.path);
        estate.way_back = None;
        let error = note.pass_on(own.as_fd(), &estate);
        Err(cannot("go on, neither as another program nor as this one", &error))
    }
}

/// What the next program is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    handover: u32,
    /// Of the process that this is for.
    pid: u32,
    pub(crate) upgrade: UpgradeDocument,
    /// What `SV::supervisorExecutable` stands for, whichever program it is that runs.
    pub(crate) executable: Option<PathBuf>,
    /// Where the program is that reads this.
    pub(crate) path: PathBuf,
    /// Signals that nobody has obeyed yet.
    pub(crate) signals: Vec<Signal>,
    /// Whether `start` still waits to be told how the start goes.
    pub(crate) reporting: bool,
    /// The soft limit of descriptors that components have, where ours was raised.
    pub(crate) descriptor_limit: Option<u64>,
    locks: [RawFd; 2],
    listener: Option<RawFd>,
    /// The control port.
    #[serde(default)]
    tcp: Vec<RawFd>,
    /// Where components are heard.
    #[serde(default)]
    kept: Vec<RawFd>,
    /// The program before, and where it is: for the next one, should it not be able to begin.
    way_back: Option<(RawFd, PathBuf)>,
}

/// What is handed over beside what the note says in words.
pub(crate) struct Estate<'a> {
    pub(crate) locks: [BorrowedFd<'a>; 2],
    pub(crate) listener: Option<BorrowedFd<'a>>,
    pub(crate) tcp: Vec<BorrowedFd<'a>>,
    pub(crate) kept: &'a KeptOpen,
    pub(crate) way_back: Option<(BorrowedFd<'a>, &'a Path)>,
}

impl Note {
    pub(crate) fn new(upgrade: UpgradeDocument, path: &Path, executable: Option<&Path>) -> Self {
        Self {
            handover: HANDOVER_VERSION,
            pid: std::process::id(),
            upgrade,
            executable: executable.map(Path::to_owned),
            path: path.to_owned(),
            signals: Vec::new(),
            reporting: false,
            descriptor_limit: None,
            locks: [-1; 2],
            listener: None,
            tcp: Vec::new(),
            kept: Vec::new(),
            way_back: None,
        }
    }

    /// Becomes the program. Returns only if that cannot be: why. Signals must be [deferred](os::defer_signals).
    pub(crate) fn pass_on(mut self, program: BorrowedFd<'_>, estate: &Estate<'_>) -> io::Error {
        self.locks = estate.locks.map(|lock| lock.as_raw_fd());
        self.listener = estate.listener.map(|listener| listener.as_raw_fd());
        self.tcp = estate.tcp.iter().map(AsRawFd::as_raw_fd).collect();
        self.kept = estate.kept.descriptors().map(|kept| kept.as_raw_fd()).collect();
        self.way_back = estate.way_back.map(|(program, path)| (program.as_raw_fd(), path.to_owned()));
        let way_back = estate.way_back.map(|(program, _)| program);
        let kept =
            estate.locks.into_iter().chain(estate.listener).chain(way_back).chain(estate.tcp.iter().copied());
        self.try_pass_on(program, kept.chain(estate.kept.descriptors())).unwrap_or_else(|error| error)
    }

    fn try_pass_on<'a>(
        &self,
        program: BorrowedFd<'_>,
        kept: impl Iterator<Item = BorrowedFd<'a>>,
    ) -> io::Result<io::Error> {
        let mut note = File::from(rustix::fs::memfd_create("handover", MemfdFlags::CLOEXEC)?);
        serde_json::to_writer(&mut note, self)?;
        note.flush()?;
        note.rewind()?;
        for descriptor in kept {
            rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        rustix::io::fcntl_setfd(&note, FdFlags::empty())?;
        let text = |text: OsString| CString::new(text.into_vec()).map_err(io::Error::from);
        let arguments = std::env::args_os().map(text).collect::<io::Result<Vec<_>>>()?;
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os().filter(|(name, _)| name != VARIABLE) {
            environment.push(text([name, "=".into(), value].into_iter().collect())?);
        }
        environment.push(text(format!("{VARIABLE}={}", note.as_raw_fd()).into())?);
        // What was examined is what is executed, whatever has that name by now.
        let path = CString::new(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
        Ok(os::become_program(&path, &arguments, &environment))
    }
}

/// What another program has left to this one, which it was before.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) note: Note,
    locks: [OwnedFd; 2],
    listener: Option<OwnedFd>,
    tcp: Vec<OwnedFd>,
    /// Where components are heard.
    pub(crate) kept: KeptOpen,
    way_back: Option<(OwnedFd, PathBuf)>,
}

impl Handed {
    /// What was handed over to this program; `None`: it was started as any other. To be asked first of all, when no other
    /// descriptor has been opened.
    pub(crate) fn receive() -> Result<Option<Self>, Failure> {
        let Some(number) = std::env::var_os(VARIABLE) else { return Ok(None) };
        let number = number.to_str().and_then(|number| number.parse().ok()).unwrap_or(-1);
        Self::read(number).map(Some).map_err(|error| {
            Failure::failed(format!(
                "cannot take over: {VARIABLE} in the environment tells nothing of use: {error}; unset it, which only \
                 `s7supervisor upgrade` sets"
            ))
        })
    }

    fn read(number: RawFd) -> io::Result<Self> {
        let mut text = String::new();
        File::from(os::adopt_descriptor(number)?).read_to_string(&mut text)?;
        let note: Note = serde_json::from_str(&text)?;
        if note.pid != std::process::id() {
            return Err(io::Error::other("it is for another process"));
        }
        let [lock, log_lock] = note.locks;
        let way_back = match &note.way_back {
            Some((number, path)) => Some((os::adopt_descriptor(*number)?, path.clone())),
            None => None,
        };
        Ok(Self {
            locks: [os::adopt_descriptor(lock)?, os::adopt_descriptor(log_lock)?],
            listener: note.listener.map(os::adopt_descriptor).transpose()?,
            // What is missing is made again.
            tcp: note.tcp.iter().filter_map(|number| os::adopt_descriptor(*number).ok()).collect(),
            kept: note.kept.iter().filter_map(|number| os::adopt_descriptor(*number).ok()).collect(),
            way_back,
            note,
        })
    }

    /// Is called in lists of processes as the program is: it was executed by a number.
    pub(crate) fn take_name(&self) {
        let name = self.note.path.file_name().unwrap_or_default().to_owned();
        if let Ok(name) = CString::new(name.into_vec()) {
            // Only people look at it.
            let _ = rustix::thread::set_name(&name);
        }
    }

    /// The locks once more: what is opened here stays, for the way back.
    pub(crate) fn locks(&self) -> io::Result<[OwnedFd; 2]> {
        let [lock, log_lock] = &self.locks;
        Ok([lock.try_clone()?, log_lock.try_clone()?])
    }

    /// Where control is listened for once more.
    pub(crate) fn listeners(&self) -> io::Result<HandedOver> {
        let socket = self.listener.as_ref().map(OwnedFd::try_clone).transpose()?;
        let tcp = self.tcp.iter().map(|port| port.try_clone().map(TcpListener::from));
        Ok(HandedOver { socket: socket.map(UnixListener::from), tcp: tcp.collect::<io::Result<_>>()? })
    }

    /// This program cannot begin: the one before goes on, and knows why. Returns only if there is none, or it cannot either:
    /// what people are to be told.
    pub(crate) fn go_back(mut self, failure: Failure) -> Failure {
        let Some((program, path)) = self.way_back.take() else { return failure };
        os::defer_signals();
        self.note.upgrade.failure = Some(failure.message.clone());
        self.note.path.clone_from(&path);
        let [lock, log_lock] = &self.locks;
        let estate = Estate {
            locks: [lock.as_fd(), log_lock.as_fd()],
            listener: self.listener.as_ref().map(AsFd::as_fd),
            tcp: self.tcp.iter().map(AsFd::as_fd).collect(),
            kept: &self.kept,
            way_back: None,
        };
        let error = self.note.clone().pass_on(program.as_fd(), &estate);
        let message = failure.message;
        Failure::new(failure.exit, format!("{message}; and cannot go back to {}: {error}", path.display()))
    }
}

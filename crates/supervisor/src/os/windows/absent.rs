//! What Windows has nothing of. It bears the names that it has elsewhere, so that nobody else need know; what cannot be is a type
//! without a value.

use std::ffi::OsString;
use std::io;
use std::os::windows::io::BorrowedHandle;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use polling::Poller;

use super::watched::Watchable;
use super::{Leftover, Process, ReadEnd};
use crate::error::{SpawnError, SpawnStep};
use crate::os::Run;
use crate::signal::Signal;
use crate::spec::{ProcessSpec, ReadyWhen, Step};

/// What of a specification cannot be had here, if anything: the end of a sentence that says so of its component.
pub(crate) fn unsupported(spec: &ProcessSpec) -> Option<String> {
    let when = spec.readiness.as_ref().map(|readiness| &readiness.when);
    let no = |what: &str| Some(format!("Windows has no {what}"));
    if spec.user.is_some() || spec.group.is_some() {
        return Some("it cannot run as another user on Windows (run the supervisor as that user)".to_owned());
    }
    if spec.umask.is_some() {
        return no("umask");
    }
    if spec.nice.is_some() {
        return no("niceness");
    }
    if let Some(limit) = spec.limits.first() {
        return no(&format!("limit {}", limit.resource.name()));
    }
    match when {
        Some(ReadyWhen::Notified) => return no("sd_notify by which it could say that it is ready"),
        Some(ReadyWhen::Descriptor(_)) => return no("descriptor on which it could say that it is ready"),
        _ => {}
    }
    if spec.watchdog.is_some() {
        return no("sd_notify by which it could give a sign of life");
    }
    let signal = |step: &Step| match step {
        Step::Signal { signal, .. } if !can_send(*signal) => Some(*signal),
        _ => None,
    };
    let steps = spec.stop.iter().chain(&spec.reload).chain(&spec.evidence);
    let signal = steps.filter_map(signal).next();
    signal.map(|signal| format!("Windows has no {signal}: only TERM, by which it is asked to stop, and KILL"))
}

/// Whether there is anything that this signal could mean: to ask a run to stop, or to kill it.
pub(crate) fn can_send(signal: Signal) -> bool {
    signal == Signal::TERM || signal == Signal::KILL
}

fn unsupported_error() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// Somebody else than us, as whom something runs.
#[derive(Clone, Debug)]
pub(crate) enum Account {}

impl Account {
    /// Whether this specification needs an account.
    pub(crate) fn is_needed(spec: &ProcessSpec) -> bool {
        spec.user.is_some() || spec.group.is_some()
    }

    /// There is none.
    pub(crate) fn find(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, SpawnError> {
        let (step, name) = match (user, group) {
            (Some(user), _) => (SpawnStep::User, user),
            (None, Some(group)) => (SpawnStep::Group, group),
            (None, None) => return Ok(None),
        };
        let reason = format!("{name}: nothing can run as somebody else on Windows");
        Err(SpawnError { step, reason, os_error: None })
    }

    pub(crate) fn other_user(&self) -> Option<u32> {
        match *self {}
    }
}

/// A child that has not come to its program yet.
#[derive(Debug)]
pub(crate) enum Fledgling {}

/// What has kept it from that.
#[derive(Debug)]
pub(crate) enum Fall {}

impl Fledgling {
    pub(crate) fn process(&self) -> &Process {
        match *self {}
    }

    pub(crate) fn has_landed(&self) -> bool {
        match *self {}
    }

    pub(crate) fn outcome(self) -> Result<Process, Fall> {
        match self {}
    }
}

impl Fall {
    pub(crate) fn explain(&self) -> SpawnError {
        match *self {}
    }
}

/// A control group: a job does what it would.
#[derive(Debug)]
pub(crate) enum ControlGroup {}

/// Where control groups are made.
#[derive(Debug)]
pub(crate) enum ControlGroups {}

/// Whether anybody lives in a control group.
#[derive(Debug)]
pub(crate) enum Population {}

/// Where a process begins that begins in a control group.
pub(crate) type GroupFolder<'a> = &'a ControlGroup;

/// Who lives in a control group.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) held: Vec<Leftover>,
    pub(crate) is_whole: bool,
}

impl ControlGroup {
    pub(crate) fn path(&self) -> &Path {
        match *self {}
    }

    pub(crate) fn folder(&self) -> GroupFolder<'_> {
        self
    }

    pub(crate) fn population(&self) -> io::Result<Population> {
        match *self {}
    }

    pub(crate) fn members(&self, _except: u32) -> Members {
        match *self {}
    }

    pub(crate) fn member(&self, _pid: u32) -> Option<Leftover> {
        match *self {}
    }

    pub(crate) fn has(&self, _main: &Process) -> bool {
        match *self {}
    }

    pub(crate) fn is_spent(&self) -> bool {
        match *self {}
    }

    pub(crate) fn kill(&self) {
        match *self {}
    }

    pub(crate) fn remove(self) -> io::Result<()> {
        match self {}
    }
}

impl ControlGroups {
    /// There are none.
    pub(crate) fn open(_name: &str, _is_successor: bool) -> Result<Self, String> {
        Err("Windows has none; whatever a component starts is in its job, and ends with it".to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        match *self {}
    }

    pub(crate) fn names(&self) -> Vec<String> {
        match *self {}
    }

    pub(crate) fn group(&mut self, _name: &str) -> io::Result<Option<ControlGroup>> {
        match *self {}
    }

    pub(crate) fn existing(&self, _name: &str) -> Option<ControlGroup> {
        match *self {}
    }
}

impl Population {
    pub(crate) fn is_any(&self) -> io::Result<bool> {
        match *self {}
    }
}

impl Watchable for Population {
    const HAPPENS_ONCE: bool = false;

    fn waitable(&self) -> BorrowedHandle<'_> {
        match *self {}
    }
}

/// A socket on which a run speaks `sd_notify`.
#[derive(Debug)]
pub(crate) enum NotifySocket {}

/// Who has sent a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) pid: u32,
    pub(crate) user: u32,
}

impl NotifySocket {
    /// There is none.
    pub(crate) fn open(_name: String) -> io::Result<Self> {
        Err(unsupported_error())
    }

    /// There is none.
    pub(crate) fn open_in(_folder: &Path, _name: &str) -> io::Result<Self> {
        Err(unsupported_error())
    }

    /// It is none.
    pub(crate) fn resume(_socket: Arc<ReadEnd>) -> Option<Self> {
        None
    }

    pub(crate) fn stay(&self, _yes: bool) {
        match *self {}
    }

    pub(crate) fn descriptor(&self) -> Arc<ReadEnd> {
        match *self {}
    }

    pub(crate) fn address(&self) -> OsString {
        match *self {}
    }

    pub(crate) fn receive(&self, _buffer: &mut [u8]) -> Option<(Sender, usize)> {
        match *self {}
    }
}

impl Watchable for NotifySocket {
    const HAPPENS_ONCE: bool = false;

    fn waitable(&self) -> BorrowedHandle<'_> {
        match *self {}
    }
}

/// Nobody speaks `sd_notify`.
pub(crate) fn may_speak_for_all(_user: u32) -> bool {
    false
}

/// Users have no numbers.
pub(crate) fn user_of(_run: &Run<'_>) -> Option<u32> {
    None
}

/// The kernel does not kill for want of memory: whoever asks for more gets none.
#[derive(Debug, Default)]
pub(crate) struct OutOfMemory;

impl OutOfMemory {
    pub(crate) fn watch(_poller: &Arc<Poller>, _key: usize) -> Self {
        Self
    }

    pub(crate) fn in_group(_group: &Path, _poller: &Arc<Poller>, _key: usize) -> Option<Self> {
        None
    }

    pub(crate) fn rung(&mut self) {}

    pub(crate) fn look(&mut self, _now: Duration) {}

    pub(crate) fn explains_an_end(&mut self, _now: Duration) -> bool {
        false
    }
}

/// Handles are kept back for nobody: a process may have millions of them.
#[derive(Debug, Default)]
pub(crate) struct Reserve;

impl Reserve {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn lend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        work()
    }
}

/// They are not.
pub(crate) fn descriptors_are_scarce<T>(_newest: &T) -> bool {
    false
}

/// What it would mean.
pub(crate) fn scarcity() -> io::Error {
    let code = windows_sys::Win32::Foundation::ERROR_TOO_MANY_OPEN_FILES;
    io::Error::from_raw_os_error(code.cast_signed())
}

/// No orphan comes to anybody.
pub(crate) fn end_orphans(_is_main: impl Fn(u32) -> bool) {}

/// The same.
pub(crate) fn reap_orphans(_is_main: impl Fn(u32) -> bool) {}

/// What descends from these need not be taken hold of: it is in their job.
pub(crate) fn descendants(_roots: &[u32], _is_main: impl Fn(u32) -> bool) -> Vec<Leftover> {
    Vec::new()
}

/// A process that bears the token of a run of an earlier supervisor: it has ended with that.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) process: Leftover,
    pub(crate) token: Vec<u8>,
    pub(crate) is_errand: bool,
    pub(crate) started: u64,
}

/// There are none, and all could be looked at.
pub(crate) fn bearers(_each: impl FnMut(Bearer)) -> usize {
    0
}

/// These.
pub(crate) fn families(processes: Vec<Leftover>, _is_anothers: impl Fn(u32) -> bool) -> Vec<Leftover> {
    processes
}

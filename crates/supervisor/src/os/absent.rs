//! What only Linux has. It bears the same names elsewhere, so that nobody else need know; what cannot be is a type without a
//! value.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use polling::Poller;

use super::{Leftover, NO_CONTROL_GROUPS, Process, ReadEnd, Run};
use crate::error::SpawnError;

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

/// A control group.
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
        Err(NO_CONTROL_GROUPS.to_owned())
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
        Err(io::ErrorKind::Unsupported.into())
    }

    /// There is none.
    pub(crate) fn open_in(_folder: &Path, _name: &str) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
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

/// Nobody speaks `sd_notify`.
pub(crate) fn may_speak_for_all(_user: u32) -> bool {
    false
}

/// It is asked for those who speak it.
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

/// No orphan comes to anybody.
pub(crate) fn end_orphans(_is_main: impl Fn(u32) -> bool) {}

/// The same.
pub(crate) fn reap_orphans(_is_main: impl Fn(u32) -> bool) {}

/// A process that bears the token of a run of an earlier supervisor: none is known by it here.
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

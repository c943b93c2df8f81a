//! Where no process can become another program, with its components: an upgrade is a stop and a start.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::Sender;
use supervisor::KeptOpen;
use supervisor_control::wire::UpgradeDocument;
use supervisor_control::{HandedOver, UpgradeRequest};

use super::super::applying::Source;
use super::NO_UPGRADE;
use super::signals::Signal;
use crate::commands::run::Supervision;
use crate::exit::Failure;
use crate::os::HeldLock;

/// What another program would have left to this one.
pub(crate) struct Handed {
    pub(crate) note: Note,
    /// Where components are heard.
    pub(crate) kept: KeptOpen,
    never: Infallible,
}

/// What it would have said.
pub(crate) struct Note {
    pub(crate) upgrade: UpgradeDocument,
    pub(crate) executable: Option<PathBuf>,
    pub(crate) path: PathBuf,
    pub(crate) signals: Vec<Signal>,
    pub(crate) reporting: bool,
    pub(crate) descriptor_limit: Option<u64>,
}

impl Handed {
    /// Nothing ever is.
    pub(crate) fn receive() -> Result<Option<Self>, Failure> {
        Ok(None)
    }

    pub(crate) fn take_name(&self) {
        match self.never {}
    }

    pub(crate) fn locks(&self) -> std::io::Result<[HeldLock; 2]> {
        match self.never {}
    }

    pub(crate) fn listeners(&self) -> std::io::Result<HandedOver> {
        match self.never {}
    }

    pub(crate) fn go_back(self, _: Failure) -> Failure {
        match self.never {}
    }
}

/// No program can take over.
pub(crate) enum Successor {}

/// Says so.
#[expect(dead_code, reason = "what there is to know where another program can take over")]
pub(crate) struct Examiner {
    pub(crate) path: PathBuf,
    pub(crate) executable: Option<PathBuf>,
    pub(crate) temp: PathBuf,
    pub(crate) source: Source,
    pub(crate) found: Sender<Successor>,
    pub(crate) is_busy: AtomicBool,
}

impl Examiner {
    pub(crate) fn examine(self: &Arc<Self>, request: UpgradeRequest) {
        request.answer(Err(NO_UPGRADE.to_owned()));
    }
}

impl Supervision {
    #[expect(clippy::needless_pass_by_value, reason = "elsewhere the successor is used up")]
    pub(crate) fn give_way(self, successor: Successor) -> Result<Self, Failure> {
        match successor {}
    }
}

//! What `run` does where there is a console or the service control manager, and no process becomes another program.

#[path = "../no_handover.rs"]
mod handover;
mod service;
mod signals;
pub(crate) mod told;

use std::io;

use supervisor::Builder;

pub(crate) use self::handover::{Examiner, Handed, Successor};
pub(crate) use self::service::run_as_asked;
pub(crate) use self::signals::Signals;
use super::home::Home;
use crate::arguments::Run;
use crate::os::temp_folder::TempFolder;

/// Why there is no other program.
const NO_UPGRADE: &str = "on Windows no process becomes another program, and its components end with it; stop it, and start the other one";

/// Nobody speaks `sd_notify`.
pub(crate) enum NotifyFolder {}

impl NotifyFolder {
    pub(crate) fn make(_: &TempFolder, _: bool) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The builder as it is: there is nothing more here.
pub(crate) fn equip(
    builder: Builder,
    _: &Home,
    _: &Run,
    _: Option<u64>,
    _: Option<&Handed>,
) -> io::Result<Builder> {
    Ok(builder)
}

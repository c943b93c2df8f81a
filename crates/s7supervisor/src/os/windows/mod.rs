//! Where there are handles, share modes and a console; and what the command line asks of Windows that no safe library offers.

pub(crate) mod background;
pub(crate) mod console;
pub(crate) mod door;
pub(crate) mod event_log;
pub(crate) mod files;
pub(crate) mod lock;
pub(crate) mod presence;
pub(crate) mod private;
pub(crate) mod process;
pub(crate) mod stop_event;
pub(crate) mod temp_folder;
pub(crate) mod waiting;
pub(crate) use super::folders as watch;

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use supervisor_control::Builder;

/// A folder, by its path: whoever holds a file in it that is not to be removed holds it too.
pub(crate) type Dir<'a> = &'a Path;

/// No process becomes another program.
pub(crate) type HeldLock = Infallible;

/// A folder that is there.
pub(crate) struct OpenFolder(PathBuf);

impl OpenFolder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        match path.metadata()?.is_dir() {
            true => Ok(Self(path.to_owned())),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(crate) fn dir(&self) -> Dir<'_> {
        &self.0
    }
}

/// Makes the folder of the own log, if it is missing: who may read it is what the folder above says.
pub(crate) fn make_log_folder(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// There is one heap already.
pub(crate) fn share_one_heap() {}

/// There are no signals.
pub(crate) fn defer_signals() {}

/// Descriptors have no limit.
pub(crate) fn raise_descriptor_limit() -> Option<u64> {
    None
}

/// The system takes back by itself what is not needed.
pub(crate) fn give_memory_back() {}

/// There are no groups that the control port could tell from others.
pub(crate) fn group_id(_: &str) -> io::Result<Option<u32>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "on Windows, whoever asks needs the token"))
}

/// Nobody is let in by a group.
pub(crate) fn let_read(builder: Builder, _: Option<u32>) -> Builder {
    builder
}

/// A text as the system wants it, with its end.
fn wide(text: &(impl AsRef<OsStr> + ?Sized)) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

//! The `temp` folder: private, and held so that its path keeps meaning it.
//!
//! What lies in it decides who controls the supervisor, so nobody else may write there, and no link that somebody
//! plants is followed.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use supervisor_control::journal::Folder;
use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OPEN_REPARSE_POINT;

use super::{Dir, private};
use crate::exit::{Exit, Failure};

/// Where the supervisor listens by TCP, and which process that is.
pub(crate) const PORT_FILE: &str = "control-port";
/// Held while a supervisor runs.
pub(crate) const LOCK: &str = "s7supervisor.lock";
/// What whoever comes by TCP has to present.
pub(crate) const TOKEN_FILE: &str = "control-token";
/// The supervisor's pid, for scripts.
pub(crate) const PID_FILE: &str = "s7supervisor.pid";
/// What goes with the supervisor.
pub(crate) const ITS_FILES: [&str; 3] = [PORT_FILE, TOKEN_FILE, PID_FILE];

/// The open `temp` folder.
#[derive(Debug)]
pub(crate) struct TempFolder {
    path: PathBuf,
    held: Folder,
}

impl TempFolder {
    /// Makes the folder, for its owner alone, if it is missing, and opens it.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        match private::create_folder(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                let advice = match error.kind() {
                    ErrorKind::NotFound => "make the folder above it, or name another with --temp",
                    _ => {
                        "let the supervisor's user write to the folder above it, or name another with --temp"
                    }
                };
                let path = path.display();
                return Err(Failure::failed(format!(
                    "cannot make the temp folder {path}: {error}: {advice}"
                )));
            }
        }
        let cannot = |why: String| {
            Failure::failed(format!(
                "cannot use {} as temp folder: {why}; mend that, or name another with --temp",
                path.display()
            ))
        };
        let held = Folder::open(path).map_err(|error| cannot(error.to_string()))?;
        if path.symlink_metadata().is_ok_and(|there| there.is_symlink()) {
            return Err(cannot("it is a link".to_owned()));
        }
        match private::foreign_writer(path) {
            Ok(None) => Ok(Self { path: path.to_owned(), held }),
            Ok(Some(who)) => Err(cannot(format!("others than its owner may write to it ({who})"))),
            Err(error) => Err(cannot(format!("cannot learn who may write to it: {error}"))),
        }
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder, to reach what is in it.
    pub(crate) fn folder(&self) -> Dir<'_> {
        &self.path
    }

    /// The same, for the journal.
    pub(crate) fn for_journal(&self) -> io::Result<Folder> {
        self.held.try_clone()
    }

    /// Removes the file `name`, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Failure::failed(format!("cannot remove {}: {error}; remove it by hand", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// Nobody is let in by a group.
    pub(crate) fn let_in(&self, _: u32) -> Result<(), Failure> {
        let why = "cannot let a group read: on Windows, whoever asks needs the token; leave out --group";
        Err(Failure::new(Exit::Invalid, why))
    }

    /// No supervisor goes on with what another has left.
    pub(crate) fn read_own(&self, _: &str) -> Option<String> {
        None
    }

    /// Replaces the file `name`: a reader sees the old content or the new one. It is private, whatever the folder says.
    pub(crate) fn replace(&self, name: &str, content: &str, _mode: u32) -> Result<(), Failure> {
        let new = format!("{name}.new");
        self.remove(&new)?;
        let (new, path) = (self.path.join(new), self.path.join(name));
        let written = private::create_file(&new)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .and_then(|()| std::fs::rename(&new, &path));
        written.map_err(|error| {
            Failure::failed(format!("cannot write {}: {error}; make room or permit it", path.display()))
        })
    }
}

/// What a small file holds, following no link.
pub(super) fn read(temp: &Path, name: &str) -> io::Result<String> {
    const LARGEST: u64 = 4096;
    let file =
        OpenOptions::new().read(true).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(temp.join(name))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!("{name} is no file")));
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

//! The folder of a log, opened once for several steps: with words for what cannot be done in it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::failed;
use crate::os;

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    open: os::Folder,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder in which the file `path` is; makes it, with mode 0750, if only it is missing.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        match Self::existing(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(Path::new("/"));
                os::Folder::make(folder).map_err(|error| failed("make the folder", folder, &error))?;
                Self::existing(path)
            }
            opened => opened,
        }
    }

    /// Likewise, but makes nothing.
    pub(super) fn existing(path: &Path) -> io::Result<Self> {
        let path = path.parent().unwrap_or(Path::new("/"));
        let open = os::Folder::open(path).map_err(|error| failed("open the folder", path, &error))?;
        Ok(Self { open, path: path.to_path_buf() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// When something in it was made, renamed or deleted for the last time, in seconds and nanoseconds since 1970.
    pub(super) fn changed(&self) -> Option<(i64, i64)> {
        self.open.changed()
    }

    /// The names of all that is in it.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        self.open.names().map_err(|error| failed("list the folder", &self.path, &error))
    }

    /// Opens a log file for appending, and for reading its own end; makes it, with mode 0640, if it is missing.
    ///
    /// A link or a device may have been planted there to have us write elsewhere: only a regular file will do.
    pub(super) fn open_log(&self, name: &OsStr) -> io::Result<File> {
        let refused = |error: &io::Error| failed("open", &self.path.join(name), error);
        let file = self.open.append(name).map_err(|error| {
            if os::is_link(&error) {
                refused(&unsafe_target("it is a symbolic link"))
            } else {
                refused(&error)
            }
        })?;
        if !file.metadata().map_err(|error| refused(&error))?.is_file() {
            return Err(refused(&unsafe_target("it is not a regular file")));
        }
        Ok(file)
    }

    /// Opens an existing file for reading.
    pub(super) fn open_for_reading(&self, name: &OsStr) -> io::Result<File> {
        self.open.read(name)
    }

    /// Makes a file that nobody else has open.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        self.remove(name)?;
        self.open.create(name)
    }

    /// Gives a file another name. One that is gone is none to rename.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        unless_gone(self.open.rename(from, to))
            .map_err(|error| failed("rename", &self.path.join(from), &error))
    }

    /// Removes a file. One that is gone is removed.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        unless_gone(self.open.remove(name)).map_err(|error| failed("remove", &self.path.join(name), &error))
    }

    /// What the system knows of a regular file; `None` if there is none of that name.
    pub(super) fn look_at(&self, name: &OsStr) -> Option<Metadata> {
        std::fs::symlink_metadata(self.path.join(name)).ok().filter(Metadata::is_file)
    }

    /// Whether that open file has this name.
    pub(super) fn has(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        self.open.has(name, file)
    }

    /// How many bytes are free on its disk, for those who are not root.
    pub(super) fn free(&self) -> io::Result<u64> {
        self.open.free().map_err(|error| failed("measure the disk of", &self.path, &error))
    }
}

fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn unsafe_target(what: &str) -> io::Error {
    let advice = "output is written to regular files only; remove it or name another file";
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} ({advice})"))
}

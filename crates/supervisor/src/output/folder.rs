//! The folder of a log, opened once for several steps: everything in it is reached relative to its descriptor.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::failed;

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder in which the file `path` is; makes it, with mode 0750, if only it is missing.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let path = path.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => match rustix::fs::mkdir(path, Mode::from_raw_mode(0o750)) {
                Ok(()) | Err(Errno::EXIST) => rustix::fs::open(path, flags, Mode::empty()),
                Err(error) => return Err(failed("make the folder", path, &error.into())),
            },
            opened => opened,
        };
        let descriptor = opened.map_err(|error| failed("open the folder", path, &error.into()))?;
        Ok(Self { descriptor, path: path.to_path_buf() })
    }

    /// Likewise, but makes nothing.
    pub(super) fn existing(path: &Path) -> io::Result<Self> {
        let path = path.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| failed("open the folder", path, &error.into()))?;
        Ok(Self { descriptor, path: path.to_path_buf() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// When something in it was made, renamed or deleted for the last time, in seconds and nanoseconds since 1970.
    pub(super) fn changed(&self) -> Option<(i64, i64)> {
        let stat = rustix::fs::fstat(&self.descriptor).ok()?;
        #[expect(clippy::useless_conversion, reason = "systems differ in how they count them")]
        Some((stat.st_mtime.into(), i64::try_from(stat.st_mtime_nsec).ok()?))
    }

    /// The names of all that is in it.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let read = || -> Result<Vec<OsString>, Errno> {
            let entries = Dir::read_from(&self.descriptor)?;
            entries.map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_os_string())).collect()
        };
        read().map_err(|error| failed("list the folder", &self.path, &error.into()))
    }

    /// Opens a log file for appending, and for reading its own end; makes it, with mode 0640, if it is missing.
    ///
    /// A link or a device may have been planted there to have us write elsewhere: only a regular file will do.
    pub(super) fn open_log(&self, name: &OsStr) -> io::Result<File> {
        // Without NONBLOCK the opening of a planted device could wait for ever; a regular file never does.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
        let refused = |error: &io::Error| failed("open", &self.path.join(name), error);
        let file = self.open(name, flags).map_err(|errno| match errno {
            Errno::LOOP | Errno::MLINK => refused(&unsafe_target("it is a symbolic link")),
            errno => refused(&errno.into()),
        })?;
        if !file.metadata().map_err(|error| refused(&error))?.is_file() {
            return Err(refused(&unsafe_target("it is not a regular file")));
        }
        Ok(file)
    }

    /// Opens an existing file for reading.
    pub(super) fn open_for_reading(&self, name: &OsStr) -> io::Result<File> {
        Ok(self.open(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?)
    }

    /// Makes a file that nobody else has open.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        self.remove(name)?;
        Ok(self.open(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?)
    }

    /// Gives a file another name. One that is gone is none to rename.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match rustix::fs::renameat(&self.descriptor, from, &self.descriptor, to) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed("rename", &self.path.join(from), &error.into())),
        }
    }

    /// Removes a file. One that is gone is removed.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed("remove", &self.path.join(name), &error.into())),
        }
    }

    /// What the system knows of a regular file; `None` if there is none of that name.
    pub(super) fn look_at(&self, name: &OsStr) -> Option<Metadata> {
        std::fs::symlink_metadata(self.path.join(name)).ok().filter(Metadata::is_file)
    }

    /// How many bytes are free on its disk, for those who are not root.
    pub(super) fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::fstatvfs(&self.descriptor)
            .map_err(|error| failed("measure the disk of", &self.path, &error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn open(&self, name: &OsStr, flags: OFlags) -> Result<File, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.descriptor, name, flags, Mode::from_raw_mode(0o640)).map(File::from)
    }
}

fn unsafe_target(what: &str) -> io::Error {
    let advice = "output is written to regular files only; remove it or name another file";
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} ({advice})"))
}

//! A folder by its descriptor, wherever it may be by now.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// An open folder. What is in it is reached through its descriptor, and no link in it is followed.
#[derive(Debug)]
pub struct Folder(OwnedFd);

/// By what a file is known everywhere.
pub(crate) type Identity = (rustix::fs::Dev, u64);

impl Folder {
    /// Opens the folder of this path.
    ///
    /// # Errors
    /// There is none, or it may not be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// The same once more.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Opens the file `name` for appending and reading, for its owner alone, and makes it if it is not there.
    pub(crate) fn open_private(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let private = Mode::RUSR | Mode::WUSR;
        let file = File::from(rustix::fs::openat(&self.0, name, flags, private)?);
        let stat = regular(&file, name)?;
        if stat.st_mode & 0o7777 != private.bits() {
            rustix::fs::fchmod(&file, private)?;
        }
        Ok(file)
    }

    /// Opens the file `name` for reading; `None`: there is none.
    pub(crate) fn open_to_read(&self, name: &str) -> io::Result<Option<(File, Identity)>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let identity = identity(&regular(&file, name)?);
        Ok(Some((file, identity)))
    }

    /// Whether the name means this file.
    pub(crate) fn has(&self, name: &str, file: &File) -> bool {
        let ours = rustix::fs::fstat(file);
        let there = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
        matches!((ours, there), (Ok(ours), Ok(there)) if identity(&ours) == identity(&there))
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }
}

fn identity(stat: &Stat) -> Identity {
    (stat.st_dev, stat.st_ino)
}

/// What is known of a file that is no pipe and nothing else that somebody may have put there.
fn regular(file: &File, name: &str) -> io::Result<Stat> {
    let stat = rustix::fs::fstat(file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(stat),
        _ => Err(io::Error::other(format!("{name} is no file"))),
    }
}

impl From<OwnedFd> for Folder {
    fn from(folder: OwnedFd) -> Self {
        Self(folder)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

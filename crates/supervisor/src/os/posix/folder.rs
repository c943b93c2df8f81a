//! A folder that is opened once for several steps: everything in it is reached relative to its descriptor, so that nobody can put
//! another in its place meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    open: OwnedFd,
    is_locked: bool,
}

impl Folder {
    /// Opens a folder that is there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::of(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    fn of(open: OwnedFd) -> Self {
        Self { open, is_locked: false }
    }

    /// Makes a folder in which our group may read (mode 0750), unless there is one.
    pub(crate) fn make(path: &Path) -> io::Result<()> {
        made(rustix::fs::mkdir(path, Mode::from_raw_mode(0o750)))
    }

    /// Opens the folder of this name in the other, after making, for nobody else, what is missing of both. A link in its place
    /// is not followed.
    pub(crate) fn open_private(above: &Path, name: &str) -> io::Result<Self> {
        made(rustix::fs::mkdir(above, Mode::RWXU))?;
        let above = rustix::fs::open(above, FOLDER, Mode::empty())?;
        made(rustix::fs::mkdirat(&above, name, Mode::RWXU))?;
        Ok(Self::of(rustix::fs::openat(&above, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// Who else could have a hand in it, if anybody: the end of a sentence.
    pub(crate) fn strangers(&self) -> io::Result<Option<String>> {
        let stat = rustix::fs::fstat(&self.open)?;
        let own = rustix::process::geteuid().as_raw();
        if stat.st_uid != own {
            return Ok(Some(format!("it belongs to the user {}, not to {own}", stat.st_uid)));
        }
        let mode = stat.st_mode & 0o7777;
        Ok((mode & 0o022 != 0).then(|| format!("others may write to it (its mode is {mode:04o})")))
    }

    /// Lets nobody else in any more.
    pub(crate) fn close_to_others(&self) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.open, Mode::RWXU)?)
    }

    /// Locks it for as long as it is open. Says whether nobody else has.
    pub(crate) fn lock(&mut self) -> io::Result<bool> {
        match rustix::fs::flock(&self.open, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.is_locked = true;
                Ok(true)
            }
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether somebody has removed it.
    pub(crate) fn is_removed(&self) -> bool {
        rustix::fs::fstat(&self.open).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// When something in it was made, renamed or deleted for the last time, in seconds and nanoseconds since 1970.
    pub(crate) fn changed(&self) -> Option<(i64, i64)> {
        let stat = rustix::fs::fstat(&self.open).ok()?;
        #[expect(clippy::useless_conversion, reason = "systems differ in how they count them")]
        Some((stat.st_mtime.into(), i64::try_from(stat.st_mtime_nsec).ok()?))
    }

    /// The names of all that is in it.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = Dir::read_from(&self.open)?;
        entries.map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_os_string())).collect()
    }

    /// Opens a file for appending, and for reading its own end; makes it, with mode 0640, if it is missing. It may be anything
    /// but a link.
    pub(crate) fn append(&self, name: &OsStr) -> io::Result<File> {
        self.file(name, OFlags::RDWR | OFlags::CREATE | OFlags::APPEND, Mode::from_raw_mode(0o640))
    }

    /// Opens a file for reading. It may be anything but a link.
    pub(crate) fn read(&self, name: &OsStr) -> io::Result<File> {
        self.file(name, OFlags::RDONLY, Mode::empty())
    }

    /// Makes a file that was not there, with mode 0640.
    pub(crate) fn create(&self, name: &OsStr) -> io::Result<File> {
        self.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::from_raw_mode(0o640))
    }

    /// Makes a file that was not there, for nobody else.
    pub(crate) fn create_private(&self, name: &OsStr) -> io::Result<File> {
        self.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)
    }

    /// Gives a file another name; what has that is replaced.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.open, from, &self.open, to)?)
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.open, name, AtFlags::empty())?)
    }

    /// Whether that open file, a regular one, has this name.
    pub(crate) fn has(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        let ours = rustix::fs::fstat(file)?;
        let there = rustix::fs::statat(&self.open, name, AtFlags::SYMLINK_NOFOLLOW);
        Ok(there.is_ok_and(|there| {
            FileType::from_raw_mode(there.st_mode) == FileType::RegularFile
                && (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
        }))
    }

    /// How many bytes are free on its disk, for those who are not root.
    pub(crate) fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::fstatvfs(&self.open)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn file(&self, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<File> {
        // Without NONBLOCK the opening of a planted device could wait for ever; a regular file never does.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.open, name, flags, mode).map(File::from)?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A process that another thread is just starting has the descriptor too, until it executes its program. The next
        // supervisor must not find the lock held by that.
        if self.is_locked {
            let _ = rustix::fs::flock(&self.open, FlockOperation::Unlock);
        }
    }
}

/// Whether an error of [`Folder`] means that there is a link where none is followed.
pub(crate) fn is_link(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::MLINK))
}

fn made(made: Result<(), Errno>) -> io::Result<()> {
    match made {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

//! The folder in which components find the sockets on which they speak `sd_notify`.
//!
//! Not every client knows an address without a file, so it has to be a folder; and every component must be able to enter
//! it, whatever its user, so it cannot be in `temp`, which is nobody else's.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::os::temp_folder::TempFolder;

/// The folder, for as long as the supervisor runs.
pub(crate) struct NotifyFolder(PathBuf);

impl NotifyFolder {
    /// Makes it, or takes over what a supervisor that was killed has left. The lock of `temp` must be held: there is one such
    /// folder for each. `is_heard`: what is in it is in use.
    pub(crate) fn make(temp: &TempFolder, is_heard: bool) -> io::Result<Self> {
        let path = if geteuid().is_root() {
            // Where only root can make something, so that nobody is there before us.
            let stat = rustix::fs::fstat(temp.folder())?;
            PathBuf::from(format!("/run/s7supervisor-{:x}-{:x}", stat.st_dev, stat.st_ino))
        } else {
            // All components have our user.
            temp.path().join("notify")
        };
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = File::from(rustix::fs::open(&path, flags, Mode::empty())?);
        if rustix::fs::fstat(&folder)?.st_uid != geteuid().as_raw() {
            return Err(io::Error::other(format!("{} belongs to somebody else", path.display())));
        }
        rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o711))?;
        if is_heard {
            return Ok(Self(path));
        }
        for left in rustix::fs::Dir::read_from(&folder)?.flatten() {
            // The names of the folder itself and of the one above cannot be removed so.
            let _ = rustix::fs::unlinkat(&folder, left.file_name(), AtFlags::empty());
        }
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for NotifyFolder {
    fn drop(&mut self) {
        // Each socket has gone with its run; were one left, the next supervisor would see to it.
        let _ = std::fs::remove_dir(&self.0);
    }
}

//! The `temp` folder: private, opened once, and from then on reached only through its descriptor.
//!
//! What lies in it decides who controls the supervisor, so nobody else may write there, and no link that somebody
//! plants is followed.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::exit::Failure;

/// The control socket.
pub(crate) const SOCKET: &str = "s7supervisor.sock";
/// Held while a supervisor runs.
pub(crate) const LOCK: &str = "s7supervisor.lock";
/// What whoever comes by TCP has to present.
pub(crate) const TOKEN_FILE: &str = "control-token";
/// What goes with the supervisor.
pub(crate) const ITS_FILES: [&str; 2] = [PID_FILE, TOKEN_FILE];
/// The supervisor's pid, for scripts.
pub(crate) const PID_FILE: &str = "s7supervisor.pid";

/// The open `temp` folder.
#[derive(Debug)]
pub(crate) struct TempFolder {
    path: PathBuf,
    folder: OwnedFd,
}

impl TempFolder {
    /// Makes the folder, with mode 0700, if it is missing, and opens it.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Self::open(path),
            Err(error) => {
                let advice = match error {
                    Errno::NOENT => "make the folder above it, or name another with --temp",
                    _ => {
                        "let the supervisor's user write to the folder above it, or name another with --temp"
                    }
                };
                let path = path.display();
                Err(Failure::failed(format!("cannot make the temp folder {path}: {error}: {advice}")))
            }
        }
    }

    /// Opens the folder.
    fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = |why: String| {
            Failure::failed(format!(
                "cannot use {} as temp folder: {why}; mend that, or name another with --temp",
                path.display()
            ))
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| {
            cannot(match error {
                Errno::NOTDIR | Errno::LOOP => "it is no folder, or a link to one".to_owned(),
                _ => error.to_string(),
            })
        })?;
        let stat = rustix::fs::fstat(&folder).map_err(|error| cannot(error.to_string()))?;
        let own = rustix::process::geteuid().as_raw();
        if stat.st_uid != 0 && stat.st_uid != own {
            return Err(cannot(format!("it belongs to the user {}, not to {own} or root", stat.st_uid)));
        }
        if stat.st_mode & 0o022 != 0 {
            let mode = stat.st_mode & 0o7777;
            return Err(cannot(format!("others than its owner may write to it (its mode is {mode:04o})")));
        }
        Ok(Self { path: path.to_owned(), folder })
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open folder, to reach what is in it.
    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// The same, for the journal.
    pub(crate) fn for_journal(&self) -> std::io::Result<supervisor_control::journal::Folder> {
        Ok(self.folder.try_clone()?.into())
    }

    /// Whether there is a file `name`, or anything else of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes the file `name`, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => {
                let path = self.path.join(name);
                Err(Failure::failed(format!("cannot remove {}: {error}; remove it by hand", path.display())))
            }
        }
    }

    /// Lets the members of a group reach what is in it and theirs; none of them can list it.
    pub(crate) fn let_in(&self, group: u32) -> Result<(), Failure> {
        let group = rustix::fs::Gid::from_raw(group);
        let done = rustix::fs::fchown(&self.folder, None, Some(group))
            .and_then(|()| rustix::fs::fchmod(&self.folder, Mode::RWXU | Mode::XGRP));
        done.map_err(|error| {
            let path = self.path.display();
            Failure::failed(format!(
                "cannot let the group {group} into {path}: {error}; the folder must belong to the supervisor's user, who                  must be root or in that group",
                group = group.as_raw()
            ))
        })
    }

    /// What the file `name` holds, if nobody else can have written or read it.
    pub(crate) fn read_own(&self, name: &str) -> Option<String> {
        const LARGEST: u64 = 4096;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, name, flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        let is_private = stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o077 == 0;
        if !is_private || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let mut text = String::new();
        std::fs::File::from(file).take(LARGEST).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Replaces the file `name` by one of this mode: a reader sees the old content or the new one.
    pub(crate) fn replace(&self, name: &str, content: &str, mode: u32) -> Result<(), Failure> {
        let new = format!("{name}.new");
        self.remove(&new)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = rustix::fs::openat(&self.folder, &new, flags, Mode::from_raw_mode(mode as _))
            .map_err(std::io::Error::from)
            .and_then(|file| std::fs::File::from(file).write_all(content.as_bytes()))
            .and_then(|()| Ok(rustix::fs::renameat(&self.folder, &new, &self.folder, name)?));
        written.map_err(|error| {
            let path = self.path.join(name);
            Failure::failed(format!("cannot write {}: {error}; make room or permit it", path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_missing_folder_is_made_for_its_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("temp");
        TempFolder::create(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        TempFolder::create(&path).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let place = tempfile::tempdir().unwrap();
        for bad in [0o770, 0o702, 0o1777] {
            std::fs::set_permissions(place.path(), PermissionsExt::from_mode(bad)).unwrap();
            assert!(TempFolder::create(place.path()).unwrap_err().message.contains("others"), "{bad:o}");
        }
        std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
        TempFolder::create(place.path()).unwrap();
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let place = tempfile::tempdir().unwrap();
        if !rustix::process::geteuid().is_root() {
            return; // Only root can give a folder away.
        }
        std::os::unix::fs::chown(place.path(), Some(65534), None).unwrap();
        assert!(TempFolder::create(place.path()).unwrap_err().message.contains("65534"));
    }

    #[test]
    fn neither_a_link_nor_a_file_is_taken_for_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let (real, link, file) =
            (place.path().join("real"), place.path().join("link"), place.path().join("file"));
        std::fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        std::fs::write(&file, "").unwrap();
        assert!(TempFolder::create(&link).is_err());
        assert!(TempFolder::create(&file).is_err());
        let missing = TempFolder::create(&place.path().join("no/temp")).unwrap_err();
        assert!(missing.message.contains("folder above"), "{missing}");
    }

    #[test]
    fn a_planted_link_is_replaced_and_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let temp = TempFolder::create(&place.path().join("temp")).unwrap();
        let victim = place.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        symlink(&victim, temp.path().join(PID_FILE)).unwrap();
        symlink(&victim, temp.path().join(format!("{PID_FILE}.new"))).unwrap();
        temp.replace(PID_FILE, "4711\n", 0o640).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(std::fs::read_to_string(temp.path().join(PID_FILE)).unwrap(), "4711\n");
        temp.remove(PID_FILE).unwrap();
        temp.remove(PID_FILE).unwrap();
    }
}

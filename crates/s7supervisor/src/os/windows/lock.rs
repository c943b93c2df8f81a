//! One supervisor for a `temp` folder, and one for a log: files that nobody else can open for writing while it runs.
//!
//! Everybody may read them, nobody can remove or rename them. The system closes them when their holder has died, however it
//! died; the files stay. What is written in them tells who the holder is, and by the time at which it began that a process of the same pid is not.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use windows_sys::Win32::Foundation::ERROR_SHARING_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_OPEN_REPARSE_POINT, FILE_SHARE_READ};

use super::process::Process;
use super::{Dir, HeldLock};
use crate::holder::{Holder, Refused};

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: File,
}

/// A holder as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    holder: Holder,
    began: u64,
}

impl Lock {
    /// Locks the file `name` in `folder` without waiting, and writes into it who holds it.
    pub(crate) fn take(folder: Dir<'_>, name: &str, holder: &Holder) -> Result<Self, Refused> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).share_mode(FILE_SHARE_READ);
        let mut file = match open(&folder.join(name), &mut options) {
            Err(error) if is_held(&error) => return Err(Refused::Held(Self::holder(folder, name))),
            opened => opened?,
        };
        let began = Process::of(holder.pid).and_then(|process| process.began())?;
        let told =
            serde_json::to_string(&Written { holder: holder.clone(), began }).map_err(io::Error::from)?;
        file.set_len(0)?;
        file.write_all(told.as_bytes())?;
        Ok(Self { _held: file })
    }

    /// No process has held one as another program.
    pub(crate) fn resume(_: Dir<'_>, _: &str, held: HeldLock) -> io::Result<Self> {
        match held {}
    }

    /// Who holds the lock on `name` in `folder`, or held it last.
    pub(crate) fn holder(folder: Dir<'_>, name: &str) -> Option<Holder> {
        read(&folder.join(name)).map(|written| written.holder)
    }

    /// The process that holds the lock now.
    ///
    /// # Errors
    /// There is one, and it cannot be watched.
    pub(super) fn living_holder(folder: Dir<'_>, name: &str) -> io::Result<Option<Process>> {
        let Some(Written { holder, began }) = read(&folder.join(name)) else { return Ok(None) };
        let process = match Process::of(holder.pid) {
            // There is no process of that pid.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
            process => process?,
        };
        let is_it = process.began()? == began && !process.is_gone(Some(std::time::Duration::ZERO))?;
        Ok(is_it.then_some(process))
    }
}

fn is_held(error: &io::Error) -> bool {
    error.raw_os_error().and_then(|code| u32::try_from(code).ok()) == Some(ERROR_SHARING_VIOLATION)
}

fn read(path: &Path) -> Option<Written> {
    /// No holder has more to tell.
    const LIMIT: u64 = 16 * 1024;
    let mut text = String::new();
    open(path, OpenOptions::new().read(true)).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Opens the file, and no link that somebody may have put there.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file; remove it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_who_is_the_first_until_that_one_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let holder = |background| Holder { pid: std::process::id(), registry: "r".into(), background };
        let first = Lock::take(place.path(), "lock", &holder(false)).unwrap();
        match Lock::take(place.path(), "lock", &holder(true)).unwrap_err() {
            Refused::Held(who) => assert_eq!(who, Some(holder(false))),
            Refused::System(error) => panic!("{error}"),
        }
        assert!(std::fs::remove_file(place.path().join("lock")).is_err(), "it is held");
        let living = Lock::living_holder(place.path(), "lock").unwrap().unwrap();
        assert_eq!(living.pid, std::process::id());
        drop(first);
        Lock::take(place.path(), "lock", &holder(true)).unwrap();
        assert_eq!(Lock::holder(place.path(), "lock"), Some(holder(true)));
    }

    #[test]
    fn a_process_that_has_only_the_same_pid_is_not_the_holder() {
        let place = tempfile::tempdir().unwrap();
        let text = format!(r#"{{"pid":{},"registry":"r","background":true,"began":1}}"#, std::process::id());
        std::fs::write(place.path().join("lock"), text).unwrap();
        assert!(Lock::living_holder(place.path(), "lock").unwrap().is_none());
    }
}

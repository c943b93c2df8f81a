//! One supervisor for a `temp` folder, and one for a log: files that are locked while it runs.
//!
//! The kernel gives a lock back when its holder has died, however it died; the files stay. What is written in them
//! only tells people who the holder is.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::holder::{Holder, Refused};
use crate::os::watch::{Kinds, Watch};
use crate::waiting::now;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    #[cfg_attr(any(not(target_os = "linux"), s7_posix), expect(dead_code, reason = "it is only held"))]
    file: File,
}

impl Lock {
    /// Locks the file `name` in `folder` without waiting, and writes into it who holds it.
    pub(crate) fn take(folder: BorrowedFd<'_>, name: &str, holder: &Holder) -> Result<Self, Refused> {
        /// How often somebody may remove the file between our opening and locking it.
        const TRIES: usize = 16;
        for _ in 0..TRIES {
            let mut file = open(folder, name, OFlags::RDWR | OFlags::CREATE)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(Refused::Held(read_soon(&mut file))),
                Err(error) => return Err(error.into()),
            }
            if is_still(folder, name, &file)? {
                file.set_len(0)?;
                let told = serde_json::to_string(holder).map_err(std::io::Error::from)?;
                file.write_all(told.as_bytes())?;
                return Ok(Self { file });
            }
        }
        Err(Refused::System(std::io::Error::other("somebody keeps replacing it")))
    }

    /// Goes on with a lock that this process has held as another program, if it is that on `name` in `folder`.
    pub(crate) fn resume(folder: BorrowedFd<'_>, name: &str, held: OwnedFd) -> rustix::io::Result<Self> {
        let file = File::from(held);
        // It is ours already, if it is what it is said to be.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        if is_still(folder, name, &file)? { Ok(Self { file }) } else { Err(Errno::STALE) }
    }

    #[cfg(all(target_os = "linux", not(s7_posix)))]
    /// What keeps the lock for as long as it is open anywhere.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Who holds the lock on `name` in `folder`, or held it last.
    pub(crate) fn holder(folder: BorrowedFd<'_>, name: &str) -> Option<Holder> {
        read(&mut open(folder, name, OFlags::RDONLY).ok()?)
    }
}

/// Opens the file, and nothing else that somebody may have put there: a pipe would have us wait for ever.
fn open(folder: BorrowedFd<'_>, name: &str, flags: OFlags) -> std::io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is not a regular file; remove it")),
    }
}

/// Whether `name` still means this very file: a lock on a file that was removed or replaced keeps nobody out.
fn is_still(folder: BorrowedFd<'_>, name: &str, file: &File) -> rustix::io::Result<bool> {
    let ours = rustix::fs::fstat(file.as_fd())?;
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Who holds the lock, which whoever has just taken it has still to write.
fn read_soon(file: &mut File) -> Option<Holder> {
    /// A write takes much less.
    const LIMIT: Duration = Duration::from_millis(200);
    let since = now();
    let news = Watch::of(file.as_fd(), Kinds::Written).ok();
    loop {
        if let Some(holder) = read(file) {
            return Some(holder);
        }
        let news = news.as_ref()?;
        let is_written = news.comes(&[], Some(LIMIT.saturating_sub(since.elapsed())));
        if !is_written.ok()? || !news.take(None).ok()? {
            return None;
        }
    }
}

fn read(file: &mut File) -> Option<Holder> {
    /// No holder has more to tell.
    const LIMIT: u64 = 16 * 1024;
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(LIMIT).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(pid: u32) -> Holder {
        Holder { pid, registry: "/conf/SupervisorRegistry.xml".into(), background: pid == 2 }
    }

    /// Takes a lock that nobody holds. What another test is just starting may have it open for a moment: until it has become
    /// another program.
    fn take(folder: &File, holder: &Holder) -> Lock {
        let since = now();
        loop {
            match Lock::take(folder.as_fd(), "lock", holder) {
                Ok(lock) => return lock,
                Err(Refused::Held(_)) => assert!(since.elapsed() < Duration::from_secs(60), "it is held"),
                Err(Refused::System(error)) => panic!("{error}"),
            }
        }
    }

    fn folder(place: &tempfile::TempDir) -> File {
        File::open(place.path()).unwrap()
    }

    #[test]
    fn the_second_is_refused_and_told_who_is_the_first_until_that_one_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place);
        let first = Lock::take(folder.as_fd(), "lock", &holder(1)).unwrap();
        match Lock::take(folder.as_fd(), "lock", &holder(2)).unwrap_err() {
            Refused::Held(who) => assert_eq!(who, Some(holder(1))),
            Refused::System(error) => panic!("{error}"),
        }
        drop(first);
        let _second = take(&folder, &holder(2));
        assert_eq!(Lock::holder(folder.as_fd(), "lock"), Some(holder(2)));
    }

    #[test]
    fn a_lock_is_gone_on_with_only_where_it_is_that_very_one() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place);
        let first = Lock::take(folder.as_fd(), "lock", &holder(1)).unwrap();
        let held = || first.file().try_clone_to_owned().unwrap();
        let resumed = Lock::resume(folder.as_fd(), "lock", held()).unwrap();
        assert!(Lock::resume(folder.as_fd(), "other", held()).is_err());
        drop(first);
        assert!(matches!(Lock::take(folder.as_fd(), "lock", &holder(2)), Err(Refused::Held(_))));
        let stranger = File::open(place.path().join("lock")).unwrap();
        assert!(Lock::resume(folder.as_fd(), "lock", stranger.into()).is_err(), "another has it");
        drop(resumed);
        take(&folder, &holder(2));
    }

    #[test]
    fn a_holder_that_has_still_to_write_who_it_is_is_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let mut ours =
            File::options().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        assert_eq!(read_soon(&mut ours), None, "it is given up some time");
        // Whoever gets no processor for so long is not waited for: another time it does.
        let is_waited_for = (0..5).any(|_| {
            ours.set_len(0).unwrap();
            let path = path.clone();
            #[expect(clippy::disallowed_methods, reason = "another one that writes")]
            let writer = std::thread::spawn(move || {
                std::fs::write(path, serde_json::to_string(&holder(7)).unwrap()).unwrap();
            });
            let found = read_soon(&mut ours);
            writer.join().unwrap();
            found == Some(holder(7))
        });
        assert!(is_waited_for);
    }

    #[test]
    fn a_lock_on_a_file_that_is_no_longer_there_is_not_taken_for_the_lock() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place);
        let path = place.path().join("lock");
        let old = File::create(&path).unwrap();
        assert!(is_still(folder.as_fd(), "lock", &old).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(!is_still(folder.as_fd(), "lock", &old).unwrap());
        let _new = File::create(&path).unwrap();
        assert!(!is_still(folder.as_fd(), "lock", &old).unwrap());
    }

    #[test]
    fn a_planted_link_is_not_followed_and_garbage_names_no_holder() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place);
        std::fs::write(place.path().join("victim"), "garbage").unwrap();
        std::os::unix::fs::symlink("victim", place.path().join("lock")).unwrap();
        assert!(matches!(Lock::take(folder.as_fd(), "lock", &holder(1)), Err(Refused::System(_))));
        assert_eq!(Lock::holder(folder.as_fd(), "lock"), None);
        assert_eq!(Lock::holder(folder.as_fd(), "victim"), None);
        let private = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(&folder, "pipe", rustix::fs::FileType::Fifo, private, 0).unwrap();
        assert!(matches!(Lock::take(folder.as_fd(), "pipe", &holder(1)), Err(Refused::System(_))));
        assert_eq!(Lock::holder(folder.as_fd(), "pipe"), None);
        assert_eq!(std::fs::read_to_string(place.path().join("victim")).unwrap(), "garbage");
    }
}

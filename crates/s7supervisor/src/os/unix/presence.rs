//! The supervisor that holds a `temp` folder, whether or not it listens there.
//!
//! One that has just begun does not listen yet, one that is about to end does not any more, and somebody may have removed
//! its socket. Whoever waits for it waits for the kernel to tell that it listens, or has ended.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(all(target_os = "linux", not(s7_posix)))]
use rustix::fs::AtFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::exit::{Exit, Failure};
use crate::os::lock::Lock;
use crate::os::process::Process;
use crate::os::temp_folder::{LOCK, SOCKET};
use crate::os::watch::{Kinds, Watch};
use crate::waiting::now;

/// A supervisor that is there.
#[derive(Debug)]
pub(crate) struct Presence {
    process: Process,
    /// News of the folder since it was found: whoever asks after that misses nothing.
    news: Watch,
    temp: PathBuf,
}

impl Presence {
    /// The supervisor that holds this `temp` folder now, if one does.
    pub(crate) fn find(temp: &Path) -> Result<Option<Self>, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = rustix::fs::open(temp, flags, Mode::empty()) else { return Ok(None) };
        let process = match Lock::holder(folder.as_fd(), LOCK).map(|holder| Process::of(holder.pid)) {
            None => return Ok(None),
            Some(Err(error)) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(None),
            Some(process) => process.map_err(|error| cannot_watch(temp, &error))?,
        };
        if !has_open(&process, folder.as_fd(), LOCK) {
            return Ok(None);
        }
        // Once somebody listens, the time of the socket is set.
        let news = Watch::of(folder.as_fd(), Kinds::Appeared).map_err(|error| cannot_watch(temp, &error))?;
        Ok(Some(Self { process, news, temp: temp.to_owned() }))
    }

    /// Waits until it may listen, or has ended; `false` if neither comes in time.
    pub(crate) fn changes(&self, limit: Option<Duration>) -> Result<bool, Failure> {
        let since = now();
        let cannot = |error| cannot_watch(&self.temp, &error);
        loop {
            let left = limit.map(|limit| limit.saturating_sub(since.elapsed()));
            if !self.news.comes(&[self.process.as_fd()], left).map_err(cannot)? {
                return Ok(false);
            }
            let has_ended = self.process.is_gone(Some(Duration::ZERO)).map_err(cannot)?;
            if has_ended || self.news.take(Some(SOCKET)).map_err(cannot)? {
                return Ok(true);
            }
        }
    }

    /// It is there, but nobody can ask it.
    pub(crate) fn unheard(&self) -> Failure {
        let (pid, socket) = (self.process.pid, self.temp.join(SOCKET));
        Failure::new(
            Exit::Failed,
            format!(
                "cannot ask the supervisor: it is running, pid {pid}, but nobody listens at {}; if somebody has removed \
                 that socket, `kill -USR1 {pid}` makes it again",
                socket.display()
            ),
        )
    }
}

/// Whether somebody has the file `name` of the folder locked, who then is the process that is named in it.
#[cfg(any(not(target_os = "linux"), s7_posix))]
fn has_open(_process: &Process, folder: BorrowedFd<'_>, name: &str) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(lock) = rustix::fs::openat(folder, name, flags, Mode::empty()) else { return false };
    // If nobody has, this has it for a moment.
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

/// Whether the process has the file `name` of the folder open: a pid that is written somewhere may have come to mean
/// another process, but none else has the lock open for long.
#[cfg(all(target_os = "linux", not(s7_posix)))]
fn has_open(process: &Process, folder: BorrowedFd<'_>, name: &str) -> bool {
    let Ok(lock) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let descriptors = match std::fs::read_dir(format!("/proc/{}/fd", process.pid)) {
        Ok(descriptors) => descriptors,
        // Of a process of another user, this cannot be known; that it lives says enough.
        Err(error) => return error.kind() == std::io::ErrorKind::PermissionDenied,
    };
    let is_lock = |path: PathBuf| {
        rustix::fs::stat(&path).is_ok_and(|its| (its.st_dev, its.st_ino) == (lock.st_dev, lock.st_ino))
    };
    descriptors.flatten().any(|descriptor| is_lock(descriptor.path()))
}

fn cannot_watch(temp: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!(
        "cannot wait for the supervisor of {}: {error}; see `s7supervisor status`",
        temp.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::holder::Holder;

    fn lock(place: &Path, pid: u32) -> Lock {
        let folder = std::fs::File::open(place).unwrap();
        Lock::take(folder.as_fd(), LOCK, &Holder { pid, registry: "r".into(), background: true }).unwrap()
    }

    #[test]
    fn only_a_process_that_has_the_lock_open_is_taken_for_the_supervisor() {
        let place = tempfile::tempdir().unwrap();
        assert!(Presence::find(place.path()).unwrap().is_none());
        let held = lock(place.path(), std::process::id());
        let found = Presence::find(place.path()).unwrap().unwrap();
        assert_eq!(found.process.pid, std::process::id());
        assert!(found.unheard().message.contains("-USR1"));
        drop(held);
        assert!(Presence::find(place.path()).unwrap().is_none(), "the pid is that of another by now");
        assert!(Presence::find(&place.path().join("nowhere")).unwrap().is_none());
    }

    #[test]
    fn what_happens_to_the_socket_is_noticed_and_what_happens_to_others_is_not() {
        let place = tempfile::tempdir().unwrap();
        let _held = lock(place.path(), std::process::id());
        let found = Presence::find(place.path()).unwrap().unwrap();
        std::fs::write(place.path().join("other"), "").unwrap();
        assert!(!found.changes(Some(Duration::ZERO)).unwrap());
        let socket = place.path().join(SOCKET);
        std::fs::write(&socket, "").unwrap();
        assert!(found.changes(None).unwrap());
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(found.changes(None).unwrap());
        assert!(!found.changes(Some(Duration::ZERO)).unwrap());
    }

    #[test]
    fn its_end_is_noticed() {
        let place = tempfile::tempdir().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a process that ends")]
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "exec 9>> \"$0\"; echo; read line", place.path().join(LOCK).to_str().unwrap()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(lock(place.path(), child.id()));
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 1]).unwrap();
        let found = Presence::find(place.path()).unwrap().unwrap();
        assert!(!found.changes(Some(Duration::ZERO)).unwrap());
        drop(child.stdin.take());
        assert!(found.changes(None).unwrap());
        child.wait().unwrap();
    }
}

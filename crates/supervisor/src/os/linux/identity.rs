//! What makes a process that very process, and no other that has its pid later: so that it is known again by somebody who
//! was not there when it began.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{fstat, fstatfs};
use serde::{Deserialize, Serialize};

use super::proc::Reader;
use super::process::has_its_pid;

/// The file system of pidfds since Linux 6.9, on which each process has an inode of its own until the machine ends.
const PIDFS: u64 = 0x5049_4446;

/// Where pids and times of beginning mean what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Drawn by the kernel when the machine began.
    pub(crate) boot: String,
    /// The inode of the pid namespace.
    pub(crate) namespace: u64,
}

/// One process, in one [`Place`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// When it began, in ticks since the machine did.
    started: u64,
    /// The inode of its pidfd, where that is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
}

impl Place {
    /// Where we are.
    ///
    /// # Errors
    /// If `/proc` does not tell.
    pub(crate) fn here() -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let namespace = fs::metadata("/proc/self/ns/pid")?.ino();
        Ok(Self { boot, namespace })
    }
}

impl Identity {
    /// That of the process of this pid, which the pidfd means. `None` if it is reaped.
    pub(in super::super) fn of(pid: u32, pidfd: BorrowedFd<'_>) -> Option<Self> {
        let started = Reader::default().stat(pid)?.started;
        // As long as it is not reaped its pid is its own, and so is what was read.
        has_its_pid(pidfd).then(|| Self { pid, started, inode: inode_of(pidfd) })
    }

    /// Whether this pidfd, which was opened by the pid, means that very process. The inode tells for certain; without it, no two
    /// processes of the same pid begin in the same hundredth of a second. `None` if that could not be read.
    pub(super) fn is_that_of(&self, pidfd: BorrowedFd<'_>) -> Option<bool> {
        if let (Some(ours), Some(its)) = (self.inode, inode_of(pidfd)) {
            return Some(ours == its);
        }
        let stat = Reader::default().stat(self.pid);
        match (has_its_pid(pidfd), stat) {
            (true, stat) => stat.map(|stat| stat.started == self.started),
            (false, _) => Some(false),
        }
    }
}

fn inode_of(pidfd: BorrowedFd<'_>) -> Option<u64> {
    // Where numbers are shorter, so are inodes, and not unique.
    let has_room = cfg!(target_pointer_width = "64");
    let file_system = fstatfs(pidfd).ok().filter(|_| has_room)?;
    let is_pidfs = u64::try_from(file_system.f_type).is_ok_and(|magic| magic == PIDFS);
    fstat(pidfd).ok().filter(|_| is_pidfs).map(|stat| stat.st_ino)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::os::fixture::Component;

    #[test]
    fn where_we_are_is_the_same_whenever_it_is_asked_for() {
        let here = Place::here().unwrap();
        assert!(here.boot.len() == 36 && here.namespace > 0, "{here:?}");
        assert_eq!(here, Place::here().unwrap());
    }

    #[test]
    fn a_process_is_itself_and_neither_another_nor_a_later_one_of_its_pid() {
        let started = Component::new("/bin/sleep", &["1000"]).start();
        let pidfd = started.process().as_fd();
        let identity = started.process().identity().unwrap();
        // An older kernel has written it down.
        let bare = Identity { inode: None, ..identity.clone() };
        for identity in [identity, bare] {
            assert_eq!(identity.is_that_of(pidfd), Some(true));
            let inode = identity.inode.map(|inode| inode + 1);
            let later = Identity { started: identity.started + 1, inode, ..identity };
            assert_eq!(later.is_that_of(pidfd), Some(false));
        }
    }

    #[test]
    fn what_is_reaped_before_it_could_be_read_is_known_by_its_inode_alone() {
        let started = Component::new("/bin/true", &[]).start();
        started.wait();
        let identity = started.process().identity().unwrap();
        started.process().reap();
        let pidfd = started.process().as_fd();
        assert_eq!(identity.is_that_of(pidfd), Some(identity.inode.is_some()));
        assert_eq!(Identity { inode: None, ..identity }.is_that_of(pidfd), Some(false));
    }

    #[test]
    fn what_is_reaped_has_no_identity() {
        let started = Component::new("/bin/true", &[]).start();
        started.wait();
        assert!(started.process().identity().is_some(), "it is not reaped yet");
        started.process().reap();
        assert_eq!(started.process().identity(), None);
    }
}

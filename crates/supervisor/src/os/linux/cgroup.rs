//! Control groups of the second version: what a run has started is in the group of the run, whatever session, process group,
//! environment and parent it has by now.
//!
//! A process begins in the group of its parent, and only who may write to another group can bring it there. So a group is
//! proof where everything else is a trace: what is in it belongs to the run, and when the kernel says that nobody is in it
//! ("populated 0"), nothing of the run is left. <https://docs.kernel.org/admin-guide/cgroup-v2.html>

mod folders;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, fstatfs, openat, unlinkat};
use rustix::io::{Errno, pread, retry_on_intr, write};
use rustix::process::geteuid;

pub(crate) use self::folders::ControlGroups;
use super::leftovers::{Leftover, MOST, has_ended};
use super::proc::Reader;
use super::process::Process;

/// What tells these folders from all others.
const CGROUP2: u64 = 0x6367_7270;

/// How deep in a group its own groups are looked at, and how many of them.
const DEEPEST: usize = 8;
const MOST_GROUPS: usize = 1_024;

/// How often it is looked for more that is to be killed, where the kernel cannot kill a whole group.
const MOST_ROUNDS: usize = 64;

/// The control group of a component, open.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    path: PathBuf,
    folder: OwnedFd,
    is_spent: AtomicBool,
}

/// Who is in a control group.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) held: Vec<Leftover>,
    /// Whether these are all. Otherwise descriptors or memory were wanting.
    pub(crate) is_whole: bool,
}

/// The open folder of a control group.
pub(crate) type GroupFolder<'a> = BorrowedFd<'a>;

/// Whether anybody lives in a control group: what can be watched for priority to know when that changes.
#[derive(Debug)]
pub(crate) struct Population(OwnedFd);

impl ControlGroup {
    /// Opens one of ours.
    fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&path, flags, Mode::empty())?;
        let is_group = u64::try_from(fstatfs(&folder)?.f_type).is_ok_and(|magic| magic == CGROUP2);
        if !is_group || fstat(&folder)?.st_uid != geteuid().as_raw() {
            return Err(io::Error::other("it is no control group of ours"));
        }
        Ok(Self { path, folder, is_spent: AtomicBool::new(false) })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a process begins that begins in it.
    pub(crate) fn folder(&self) -> GroupFolder<'_> {
        self.folder.as_fd()
    }

    /// Whether anybody lives in it, or in a group below.
    ///
    /// # Errors
    /// If it cannot be told.
    pub(crate) fn population(&self) -> io::Result<Population> {
        Ok(Population(self.open_file("cgroup.events", OFlags::RDONLY)?))
    }

    /// Those who live in it and below, except this process. No more than 256 at once, and only one where descriptors are
    /// scarce: the group is empty once [`Population`] says so.
    pub(crate) fn members(&self, except: u32) -> Members {
        let mut reader = Reader::default();
        let Ok(pids) = self.pids() else { return Members::default() };
        let mut held: Vec<Leftover> = Vec::new();
        for pid in pids.into_iter().filter(|pid| *pid != except) {
            if held.len() >= MOST || held.last().is_some_and(Leftover::is_among_the_last) {
                break;
            }
            held.extend(Leftover::hold(&mut reader, pid).map(|(process, _)| process));
        }
        // Who lives, and whose pid is in it now, is surely the one that is held.
        let Ok(pids) = self.pids() else { return Members::default() };
        held.retain(|process| pids.contains(&process.pid()) && !has_ended(process.as_fd()));
        Members { held, is_whole: !reader.is_starved }
    }

    /// The process of this pid, if it lives in this group.
    pub(crate) fn member(&self, pid: u32) -> Option<Leftover> {
        let (process, _) = Leftover::hold(&mut Reader::default(), pid)?;
        let is_member = self.pids().ok()?.contains(&pid) && !has_ended(process.as_fd());
        is_member.then_some(process)
    }

    /// Whether this main process lives in it.
    pub(crate) fn has(&self, main: &Process) -> bool {
        self.pids().is_ok_and(|pids| pids.contains(&main.pid())) && !has_ended(main.as_fd())
    }

    /// Whether nothing can be started in it any more.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent.load(Ordering::Relaxed)
    }

    /// Kills everybody in it and below: at once, and whoever is born meanwhile too, from Linux 5.14 on.
    ///
    /// It is spent by that: Linux 6.18, for one, goes on to kill whatever is cloned into such a group, for ever.
    pub(crate) fn kill(&self) {
        self.is_spent.store(true, Ordering::Relaxed);
        let by_kernel =
            self.open_file("cgroup.kill", OFlags::WRONLY).and_then(|file| Ok(write(&file, b"1")?));
        if by_kernel.is_err() {
            self.kill_each();
        }
    }

    /// Kills one after the other, until nobody is found who has not been killed yet.
    fn kill_each(&self) {
        let mut killed = HashSet::new();
        for _ in 0..MOST_ROUNDS {
            let members = self.members(0).held;
            let before = killed.len();
            for member in members {
                member.kill();
                killed.insert(member.pid());
            }
            if killed.len() == before {
                return;
            }
        }
    }

    /// Removes it and what groups somebody has made in it. It stays if anybody lives there.
    pub(crate) fn remove(self) -> io::Result<()> {
        remove_below(&self.folder, DEEPEST);
        std::fs::remove_dir(&self.path)
    }

    fn open_file(&self, name: &str, how: OFlags) -> io::Result<OwnedFd> {
        Ok(openat(&self.folder, name, how | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The pids of those who live in it and below, as they were a moment ago.
    pub(super) fn pids(&self) -> io::Result<HashSet<u32>> {
        let (mut pids, mut groups) = (HashSet::new(), 0);
        pids_in(&self.folder, DEEPEST, &mut groups, &mut pids)?;
        Ok(pids)
    }
}

impl AsFd for ControlGroup {
    /// What a process can be started in.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

impl Population {
    /// Whether anybody lives there. By asking, one is told of the next change.
    ///
    /// # Errors
    /// If it cannot be told.
    pub(crate) fn is_any(&self) -> io::Result<bool> {
        let mut text = [0; 256];
        let length = match retry_on_intr(|| pread(&self.0, &mut text, 0)) {
            // Somebody has removed it, which takes that it is empty.
            Err(Errno::NODEV) => return Ok(false),
            read => read?,
        };
        let mut lines = text[..length].split(|byte| *byte == b'\n');
        Ok(!lines.any(|line| line == b"populated 0"))
    }
}

impl AsFd for Population {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn pids_in(folder: &OwnedFd, depth: usize, groups: &mut usize, pids: &mut HashSet<u32>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut text = String::new();
    File::from(openat(folder, "cgroup.procs", flags, Mode::empty())?).read_to_string(&mut text)?;
    // Zero is somebody whom this pid namespace does not know.
    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
    for (below, _) in groups_in(folder, depth) {
        *groups += 1;
        if *groups <= MOST_GROUPS {
            // It may have been removed meanwhile. One of threads lists none, but the group above it does.
            let _ = pids_in(&below, depth - 1, groups, pids);
        }
    }
    Ok(())
}

fn remove_below(folder: &OwnedFd, depth: usize) {
    for (below, name) in groups_in(folder, depth) {
        remove_below(&below, depth - 1);
        let _ = unlinkat(folder, &*name, AtFlags::REMOVEDIR);
    }
}

/// The groups in this one, if it is not too deep already.
fn groups_in(folder: &OwnedFd, depth: usize) -> Vec<(OwnedFd, std::ffi::CString)> {
    // A folder is linked to by itself, by its parent, and by each folder in it: most have none.
    let has_groups = fstat(folder).is_ok_and(|stat| stat.st_nlink > 2);
    if depth == 0 || !has_groups {
        return Vec::new();
    }
    let Ok(entries) = Dir::read_from(folder) else { return Vec::new() };
    let is_group = |entry: &rustix::fs::DirEntry| {
        entry.file_type() == FileType::Directory && !entry.file_name().to_bytes().starts_with(b".")
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = entries.filter_map(Result::ok).filter(is_group).filter_map(|entry| {
        let name = entry.file_name().to_owned();
        openat(folder, &*name, flags, Mode::empty()).ok().map(|below| (below, name))
    });
    opened.take(MOST_GROUPS).collect()
}

#[cfg(test)]
mod tests;

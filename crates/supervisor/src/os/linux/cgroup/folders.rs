//! The folder in which a supervisor makes control groups, below the control group that it runs in itself.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, fstat, stat};

use super::super::out_of_memory::{Version, mounted};
use super::ControlGroup;
use crate::os::posix::words;

/// What the name of the folder of each supervisor begins with.
const OURS: &str = "s7supervisor-";

/// What the name of each component's group begins with: the kernel has names of its own for files there.
const COMPONENT: &str = "s7-";

/// How many groups the folder of a supervisor that was killed is looked for in.
const MOST_FOLDERS: usize = 10_000;

/// How often a folder is tried that another supervisor takes for a leftover, and how long is waited each time. Whoever may read it could
/// hold it, so that nobody waits until it is let go.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The folder of one supervisor. Dropping it removes what is empty of it.
#[derive(Debug)]
pub(crate) struct ControlGroups {
    folder: PathBuf,
    /// As long as this is locked, nobody takes the folder for a leftover.
    pub(super) lock: Option<OwnedFd>,
}

impl ControlGroups {
    /// Makes the folder of the supervisor of this name, or finds it, if an earlier supervisor of this name has made it: be it
    /// in another control group than ours. Removes those of supervisors that have gone, if nobody is in them.
    ///
    /// # Errors
    /// A sentence: where it could not be made, and why.
    pub(crate) fn open(name: &str, is_successor: bool) -> Result<Self, String> {
        let read = |path: &str| {
            fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {}", words(&error)))
        };
        let (cgroup, mountinfo) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
        let own = cgroup.lines().find_map(|line| line.strip_prefix("0::"));
        let own = own.filter(|own| !own.contains("/..")).ok_or("we are in no control group of version 2")?;
        let mut why = "control groups of version 2 are not mounted".to_owned();
        for (mount, folder) in mounted(Version::Second, own, &mountinfo) {
            let name = format!("{OURS}{name}");
            let former = if is_successor { find(&mount, &folder, &name) } else { None };
            let folder = former.unwrap_or_else(|| folder.join(&name));
            match Self::make(folder.clone()) {
                Ok(groups) => {
                    groups.remove_stale();
                    return Ok(groups);
                }
                Err(error) => why = format!("cannot make {}: {}", folder.display(), words(&error)),
            }
        }
        Err(why)
    }

    fn make(folder: PathBuf) -> io::Result<Self> {
        let lock = locked(&folder)?;
        Ok(Self { folder, lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// The components that have a group here.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = folders_in(&self.folder).into_iter();
        names
            .filter_map(|path| Some(path.file_name()?.to_str()?.strip_prefix(COMPONENT)?.to_owned()))
            .collect()
    }

    /// A new group for this component, in place of one that is there. `None` as long as anybody lives in that.
    ///
    /// # Errors
    /// If it cannot be made, or cannot be opened.
    pub(crate) fn group(&mut self, name: &str) -> io::Result<Option<ControlGroup>> {
        let path = self.folder.join(format!("{COMPONENT}{name}"));
        // Whatever it is, it may be spent.
        if let Ok(former) = ControlGroup::open(path.clone())
            && former.remove().is_err()
        {
            return Ok(None);
        }
        match make(&path) {
            // Somebody has removed the folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.lock = locked(&self.folder)?;
                make(&path)?;
            }
            made => made?,
        }
        ControlGroup::open(path).map(Some)
    }

    /// The group of this component, if that is there. Nobody knows whether it is spent, so it is taken for that.
    pub(crate) fn existing(&self, name: &str) -> Option<ControlGroup> {
        let group = ControlGroup::open(self.folder.join(format!("{COMPONENT}{name}"))).ok()?;
        group.is_spent.store(true, Ordering::Relaxed);
        Some(group)
    }

    /// Removes the folders beside ours that nobody holds, and of which nothing lives.
    fn remove_stale(&self) {
        let Some(parent) = self.folder.parent() else { return };
        for folder in folders_in(parent) {
            let is_anothers = folder != self.folder && name_of(&folder).starts_with(OURS);
            if is_anothers
                && let Ok(group) = ControlGroup::open(folder.clone())
                && flock(&group.folder, FlockOperation::NonBlockingLockExclusive).is_ok()
                // Not one that has been made anew meanwhile.
                && is_there(&folder, &group.folder)
            {
                drop(Self { folder, lock: Some(group.folder) });
            }
        }
    }
}

impl Drop for ControlGroups {
    /// Only what is empty can be removed: what runs on is left to who comes after us.
    fn drop(&mut self) {
        for path in folders_in(&self.folder) {
            let _ = ControlGroup::open(path).and_then(ControlGroup::remove);
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Makes this folder if it is not there, and holds it. Another supervisor may take it for a leftover before that, and remove it:
/// then it is made again.
fn locked(folder: &Path) -> io::Result<Option<OwnedFd>> {
    for _ in 0..TRIES {
        make(folder)?;
        let group = match ControlGroup::open(folder.to_owned()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            group => group?.folder,
        };
        if flock(&group, FlockOperation::NonBlockingLockShared).is_ok() {
            if is_there(folder, &group) {
                return Ok(Some(group));
            }
        } else {
            #[expect(
                clippy::disallowed_methods,
                reason = "nobody tells when a lock is free but who waits for it"
            )]
            std::thread::sleep(PAUSE);
        }
    }
    // Somebody else holds it all the time: it has to do without.
    make(folder).map(|()| None)
}

/// Whether this folder is still what was opened.
fn is_there(folder: &Path, opened: &OwnedFd) -> bool {
    let (Ok(now), Ok(opened)) = (stat(folder), fstat(opened)) else { return false };
    (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino)
}

/// Makes this folder, if it is not there.
fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The folder of this name: in ours, or anywhere below where control groups are mounted.
fn find(mount: &Path, own: &Path, name: &str) -> Option<PathBuf> {
    let is_ours = |path: &PathBuf| ControlGroup::open(path.clone()).is_ok();
    let mut queue = VecDeque::from([mount.to_owned()]);
    let all = std::iter::from_fn(|| {
        let folder = queue.pop_front()?;
        queue.extend(folders_in(&folder));
        Some(folder)
    });
    std::iter::once(own.to_owned())
        .chain(all.take(MOST_FOLDERS))
        .map(|folder| folder.join(name))
        .find(is_ours)
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.filter_map(Result::ok).filter(is_folder).map(|entry| entry.path()).collect()
}

fn name_of(folder: &Path) -> &str {
    folder.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

//! Whether the kernel has killed for memory.
//!
//! SIGKILL looks the same whoever sends it. But the kernel counts, for each control group, the processes that it has killed
//! because memory had run out. Components live in our control group, or in one below; so it is ours that is asked.
//!
//! It does not say which processes these were, nor when. So a rise counts only if it is known to be a few seconds old at
//! most: it may have been a grandchild, long ago, and who is killed today by hand must not be said to have been killed
//! for memory. The kernel therefore tells us of what happens, through the poller:
//!
//! - control groups of the second version, of each kill in the group or below it, when it happens;
//! - those of the first version, that the group or one above it has run out of memory, before anything is killed. They
//!   tell nothing where the whole machine has run out of memory, and count only what was in the very group.
//!
//! Where nobody is told (in the first version only root can ask for it), a kill after some seconds in which nothing at
//! all has happened is said to be SIGKILL and no more.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use polling::Poller;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{pread, read};

use crate::os::Watched;

/// More than the file has.
const LARGEST: usize = 1024;

/// How old a kill may be to explain an end, and how long a large process may take to end.
const RECENT: Duration = Duration::from_secs(5);

/// How soon the file is not read again merely to know when the count has risen.
const READ_AGAIN: Duration = Duration::from_millis(100);

/// The kernel's count for our control group.
#[derive(Debug, Default)]
pub(crate) struct OutOfMemory {
    /// None where memory is not counted for our control group: then the kernel never says so.
    count: Option<File>,
    bell: Option<Bell>,
    seen: u64,
    /// When it was read last, on the clock of whoever asks.
    read_at: Duration,
    /// Kills that have explained no end yet, and when the last of them was noticed.
    unexplained: u64,
    noticed_at: Duration,
}

/// What the poller watches to know that something has happened.
#[derive(Debug)]
struct Bell {
    watched: Watched<OwnedFd>,
    version: Version,
    has_rung: bool,
}

/// Of the control groups by which memory is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    First,
    Second,
}

impl OutOfMemory {
    /// Counts from now on. When the poller reports `key`, somebody must [say so](Self::rung) and [look](Self::look).
    pub(crate) fn watch(poller: &Arc<Poller>, key: usize) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let Some((version, folder)) = group_of(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
        else {
            return Self::in_file(None);
        };
        let mut watching = Self::in_file(Some(&folder.join(version.count())));
        if let Some(count) = &watching.count {
            watching.bell = Bell::hang(version, &folder, count, poller, key).ok();
            // What happened before the bell was there has not been told.
            watching.seen = watching.read().unwrap_or(0);
        }
        watching
    }

    /// Counts what happens in this group of the second version, and below it. `None` where memory is not counted for it, or
    /// nobody would be told.
    pub(crate) fn in_group(group: &Path, poller: &Arc<Poller>, key: usize) -> Option<Self> {
        let version = Version::Second;
        let mut watching = Self::in_file(Some(&group.join(version.count())));
        let bell = Bell::hang(version, group, watching.count.as_ref()?, poller, key);
        watching.bell = Some(bell.ok()?);
        watching.seen = watching.read()?;
        Some(watching)
    }

    /// Counts what this file says.
    pub(crate) fn in_file(file: Option<&Path>) -> Self {
        let count = file.and_then(|file| File::open(file).ok());
        let mut watching = Self { count, ..Self::default() };
        watching.seen = watching.read().unwrap_or(0);
        watching
    }

    /// The poller has reported that something has happened.
    pub(crate) fn rung(&mut self) {
        if let Some(bell) = &mut self.bell {
            bell.has_rung = true;
        }
    }

    /// Takes note of how far the count has risen, unless that is known or was done just now. Cheap enough for whenever
    /// somebody is awake.
    pub(crate) fn look(&mut self, now: Duration) {
        let is_due = match &self.bell {
            Some(Bell { has_rung: true, .. }) => true,
            Some(Bell { version: Version::Second, .. }) => false,
            _ => now.saturating_sub(self.read_at) >= READ_AGAIN,
        };
        if is_due {
            self.look_now(now);
        }
    }

    /// Whether a kill of the last few seconds explains that a process has ended now. It explains only one.
    pub(crate) fn explains_an_end(&mut self, now: Duration) -> bool {
        self.look_now(now);
        let explains = self.unexplained > 0;
        self.unexplained = self.unexplained.saturating_sub(1);
        explains
    }

    fn look_now(&mut self, now: Duration) {
        let is_told =
            self.bell.as_mut().is_some_and(|bell| bell.quieten() || bell.version == Version::Second);
        let Some(count) = self.read() else {
            // We were in a group that has gone. Its bell would ring for ever.
            self.bell = None;
            return;
        };
        let risen = count.saturating_sub(std::mem::replace(&mut self.seen, count));
        let since = now.saturating_sub(std::mem::replace(&mut self.read_at, now));
        let is_recent = is_told || since <= RECENT;
        if now.saturating_sub(self.noticed_at) > RECENT {
            self.unexplained = 0;
        }
        if risen > 0 && is_recent {
            self.unexplained = self.unexplained.saturating_add(risen);
            self.noticed_at = now;
        }
    }

    fn read(&self) -> Option<u64> {
        let mut text = [0; LARGEST];
        let length = pread(self.count.as_ref()?, &mut text, 0).ok()?;
        let text = str::from_utf8(&text[..length]).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }
}

impl Bell {
    /// Has the poller report `key` when there is something new to read in the count of this group.
    fn hang(
        version: Version,
        group: &Path,
        count: &File,
        poller: &Arc<Poller>,
        key: usize,
    ) -> io::Result<Self> {
        let watched = match version {
            // <https://docs.kernel.org/admin-guide/cgroup-v2.html>, "memory.events"
            Version::Second => Watched::for_priority(OwnedFd::from(count.try_clone()?), poller, key)?,
            // <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>, "OOM Control"
            Version::First => {
                let told = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
                let asked = format!("{} {}", told.as_raw_fd(), count.as_raw_fd());
                let mut control = File::options().write(true).open(group.join("cgroup.event_control"))?;
                control.write_all(asked.as_bytes())?;
                Watched::new(told, poller, key)?
            }
        };
        Ok(Self { watched, version, has_rung: false })
    }

    /// Has it fall silent, which that of the second version does when the count is read next. Says whether it has rung.
    fn quieten(&mut self) -> bool {
        let has_rung = std::mem::take(&mut self.has_rung);
        if has_rung && self.version == Version::First {
            // It holds how often it has rung.
            let _ = read(&*self.watched, &mut [0; 8]);
        }
        has_rung
    }
}

impl Version {
    /// The file of a group in which the kernel counts.
    fn count(self) -> &'static str {
        match self {
            Self::First => "memory.oom_control",
            Self::Second => "memory.events",
        }
    }
}

/// The folder of our control group, by what `/proc/self/cgroup` and `/proc/self/mountinfo` say.
/// <https://man7.org/linux/man-pages/man7/cgroups.7.html>
fn group_of(cgroup: &str, mountinfo: &str) -> Option<(Version, PathBuf)> {
    let groups = || cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    // Where the first version has the memory, the second has not.
    let first = groups().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let (version, group) = match first {
        Some((_, group)) => (Version::First, group),
        None => (Version::Second, groups().find(|(controllers, _)| controllers.is_empty())?.1),
    };
    mounted(version, group, mountinfo).next().map(|(_, folder)| (version, folder))
}

/// Where control groups of this version are mounted, each with the folder that this group has there.
pub(super) fn mounted(
    version: Version,
    group: &str,
    mountinfo: &str,
) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    mountinfo.lines().filter_map(move |line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let is_it = match kind.next()? {
            "cgroup" => version == Version::First && kind.nth(1)?.split(',').any(|option| option == "memory"),
            "cgroup2" => version == Version::Second,
            _ => false,
        };
        let mut place = place.split(' ').skip(3);
        let (root, folder) = (place.next()?, place.next()?);
        // What is mounted may be a part of the tree, as in a container.
        let below = Path::new(group).strip_prefix(root).unwrap_or(Path::new(""));
        is_it.then(|| (folder.into(), Path::new(folder).join(below)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime - ext4 /dev/root rw
30 22 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
33 22 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 22 0:30 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
";

    #[test]
    fn the_file_that_counts_is_found_in_either_version() {
        let count = |(version, folder): (Version, PathBuf)| folder.join(version.count());
        let found = |cgroup: &str| group_of(cgroup, MOUNTS).map(count).map(|path| path.display().to_string());
        assert_eq!(
            found("0::/system.slice/s7.service\n").as_deref(),
            Some("/sys/fs/cgroup/unified/system.slice/s7.service/memory.events")
        );
        assert_eq!(
            found("5:cpu,cpuacct:/\n4:memory:/docker/abc/web\n0::/\n").as_deref(),
            Some("/sys/fs/cgroup/memory/web/memory.oom_control")
        );
        assert_eq!(found("5:cpu,cpuacct:/\n"), None);
        assert_eq!(group_of("0::/a\n", "22 1 8:1 / / rw - ext4 /dev/root rw\n"), None);
    }

    #[test]
    fn each_new_kill_explains_one_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("memory.events");
        fs::write(&file, "low 0\nhigh 7\nmax 9\noom 4\noom_kill 3\n").unwrap();
        let mut watching = OutOfMemory::in_file(Some(&file));
        let mut explained = || std::iter::from_fn(|| watching.explains_an_end(RECENT).then_some(())).count();
        assert_eq!(explained(), 0, "those before do not count");
        fs::write(&file, "low 0\nhigh 7\nmax 9\noom 5\noom_kill 5\noom_group_kill 8\n").unwrap();
        assert_eq!((explained(), explained()), (2, 0));
        fs::write(&file, "oom_kill_disable 0\nunder_oom 0\noom_kill 6\n").unwrap();
        assert_eq!(explained(), 1, "as the first version writes it");
    }

    #[test]
    fn a_kill_of_long_ago_or_of_an_unknown_time_explains_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("memory.events");
        fs::write(&file, "oom_kill 0\n").unwrap();
        let mut watching = OutOfMemory::in_file(Some(&file));
        let seconds = Duration::from_secs;
        fs::write(&file, "oom_kill 1\n").unwrap();
        assert!(!watching.explains_an_end(seconds(3600)), "it may have happened at any time");
        fs::write(&file, "oom_kill 2\n").unwrap();
        watching.look(seconds(3601));
        assert!(!watching.explains_an_end(seconds(3607)), "it was something else");
        fs::write(&file, "oom_kill 3\n").unwrap();
        watching.look(seconds(3608));
        assert!(watching.explains_an_end(seconds(3612)), "a large process takes its time");
    }

    /// A control group for a test.
    struct Group(PathBuf);

    impl Group {
        fn new() -> io::Result<Self> {
            let mounts = fs::read_to_string("/proc/self/mountinfo")?;
            let (_, root) = group_of("0::/\n", &mounts).ok_or(io::ErrorKind::NotFound)?;
            let folder = root.join(format!("s7-bell-{}", std::process::id()));
            fs::create_dir(&folder)?;
            Ok(Self(folder))
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            fs::remove_dir(&self.0).unwrap();
        }
    }

    /// It is told as this is, and the memory of the test's own group must not run out.
    #[test]
    fn what_changes_in_a_file_of_a_control_group_is_told_once_and_until_it_is_read() {
        let group = match Group::new() {
            Ok(group) => group,
            Err(why) => {
                return eprintln!("skipped: no control group of the second version can be made: {why}");
            }
        };
        let file = File::open(group.0.join("cgroup.events")).unwrap();
        let poller = Arc::new(Poller::new().unwrap());
        let _bell = Bell::hang(Version::Second, &group.0, &file, &poller, 7).unwrap();
        let read = || {
            let mut text = [0; LARGEST];
            let length = pread(&file, &mut text, 0).unwrap();
            String::from_utf8_lossy(&text[..length]).into_owned()
        };
        let keys = |patience| {
            let mut events = polling::Events::new();
            poller.wait(&mut events, patience).unwrap();
            events.iter().map(|event| event.key).collect::<Vec<_>>()
        };
        assert!(read().contains("populated 0"));
        assert!(keys(Some(Duration::ZERO)).is_empty());

        let sleeper = crate::os::fixture::Component::new("/bin/sleep", &["1000"]).start();
        fs::write(group.0.join("cgroup.procs"), sleeper.pid().to_string()).unwrap();
        assert_eq!((keys(None), keys(None)), (vec![7], vec![7]));
        assert!(read().contains("populated 1"));
        assert!(keys(Some(Duration::ZERO)).is_empty());
        drop(sleeper);
        assert_eq!(keys(None), [7]);
    }

    #[test]
    fn a_kill_that_is_told_explains_an_end_after_any_time_in_which_nothing_happened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("memory.events");
        fs::write(&file, "oom_kill 0\n").unwrap();
        let mut watching = OutOfMemory::in_file(Some(&file));
        let poller = Arc::new(Poller::new().unwrap());
        let (never, _writer) = io::pipe().unwrap();
        let watched = Watched::new(OwnedFd::from(never), &poller, 7).unwrap();
        watching.bell = Some(Bell { watched, version: Version::Second, has_rung: false });
        fs::write(&file, "oom_kill 1\n").unwrap();
        watching.look(Duration::from_secs(3600));
        assert_eq!(watching.seen, 0, "nobody has said that there is anything to see");
        watching.rung();
        watching.look(Duration::from_secs(3600));
        assert!(watching.explains_an_end(Duration::from_secs(3601)));
    }

    #[test]
    fn where_nothing_is_counted_nothing_is_explained() {
        let now = Duration::ZERO;
        assert!(!OutOfMemory::in_file(None).explains_an_end(now));
        assert!(!OutOfMemory::in_file(Some(Path::new("/no/such/file"))).explains_an_end(now));
    }
}

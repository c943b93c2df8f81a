//! Whether the kernel has killed for memory.
//!
//! SIGKILL looks the same whoever sends it. But the kernel counts, for each control group, the processes that it has killed
//! because memory had run out. Components live in our control group, or in one below; so it is ours that is asked.
//!
//! It does not say which processes these were, nor when. So a rise counts only if it is known to be a few seconds old at
//! most: it may have been a grandchild, long ago, and who is killed today by hand must not be said to have been killed
//! for memory. The price: where nothing at all has happened for a while before, it is said to be SIGKILL and no more.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::pread;

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
    seen: u64,
    /// When it was read last, on the clock of whoever asks.
    read_at: Duration,
    /// Kills that have explained no end yet, and when the last of them was noticed.
    unexplained: u64,
    noticed_at: Duration,
}

impl OutOfMemory {
    /// Counts from now on.
    pub(crate) fn watch() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let file = count_of(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
        Self::in_file(file.as_deref())
    }

    /// Counts what this file says.
    pub(crate) fn in_file(file: Option<&Path>) -> Self {
        let count = file.and_then(|file| File::open(file).ok());
        let mut watching = Self { count, ..Self::default() };
        watching.seen = watching.read().unwrap_or(0);
        watching
    }

    /// Takes note of how far the count has risen, unless that was done just now. Cheap enough for whenever somebody is
    /// awake.
    pub(crate) fn look(&mut self, now: Duration) {
        if now.saturating_sub(self.read_at) >= READ_AGAIN {
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
        let Some(count) = self.read() else { return };
        let risen = count.saturating_sub(std::mem::replace(&mut self.seen, count));
        let is_recent = now.saturating_sub(std::mem::replace(&mut self.read_at, now)) <= RECENT;
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

/// The file in which the kernel counts, by what `/proc/self/cgroup` and `/proc/self/mountinfo` say.
/// <https://man7.org/linux/man-pages/man7/cgroups.7.html>
fn count_of(cgroup: &str, mountinfo: &str) -> Option<PathBuf> {
    let groups = || cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    // Where the first version has the memory, the second has not.
    let first = groups().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let (first_version, group) = match first {
        Some((_, group)) => (true, group),
        None => (false, groups().find(|(controllers, _)| controllers.is_empty())?.1),
    };
    mountinfo.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let is_it = match kind.next()? {
            "cgroup" => first_version && kind.nth(1)?.split(',').any(|option| option == "memory"),
            "cgroup2" => !first_version,
            _ => false,
        };
        let mut place = place.split(' ').skip(3);
        let (root, folder) = (place.next()?, place.next()?);
        // What is mounted may be a part of the tree, as in a container.
        let below = Path::new(group).strip_prefix(root).unwrap_or(Path::new(""));
        let file = if first_version { "memory.oom_control" } else { "memory.events" };
        is_it.then(|| Path::new(folder).join(below).join(file))
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
        let found = |cgroup: &str| count_of(cgroup, MOUNTS).map(|path| path.to_str().unwrap().to_owned());
        assert_eq!(
            found("0::/system.slice/s7.service\n").as_deref(),
            Some("/sys/fs/cgroup/unified/system.slice/s7.service/memory.events")
        );
        assert_eq!(
            found("5:cpu,cpuacct:/\n4:memory:/docker/abc/web\n0::/\n").as_deref(),
            Some("/sys/fs/cgroup/memory/web/memory.oom_control")
        );
        assert_eq!(found("5:cpu,cpuacct:/\n"), None);
        assert_eq!(count_of("0::/a\n", "22 1 8:1 / / rw - ext4 /dev/root rw\n"), None);
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

    #[test]
    fn where_nothing_is_counted_nothing_is_explained() {
        let now = Duration::ZERO;
        assert!(!OutOfMemory::in_file(None).explains_an_end(now));
        assert!(!OutOfMemory::in_file(Some(Path::new("/no/such/file"))).explains_an_end(now));
    }
}

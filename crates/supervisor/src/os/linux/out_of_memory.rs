//! Whether the kernel has killed for memory.
//!
//! SIGKILL looks the same whoever sends it. But the kernel counts, for each control group, the processes that it has killed
//! because memory had run out. Components live in our control group, or in one below; so it is ours that is asked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::io::pread;

/// More than the file has.
const LARGEST: usize = 1024;

/// The kernel's count for our control group.
#[derive(Debug, Default)]
pub(crate) struct OutOfMemory {
    /// None where memory is not counted for our control group: then the kernel never says so.
    count: Option<File>,
    seen: u64,
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
        let mut watching = Self { count: file.and_then(|file| File::open(file).ok()), seen: 0 };
        watching.seen = watching.read().unwrap_or(0);
        watching
    }

    /// How many it has killed since it was last asked.
    pub(crate) fn kills(&mut self) -> u64 {
        let Some(count) = self.read() else { return 0 };
        let seen = std::mem::replace(&mut self.seen, count);
        count.saturating_sub(seen)
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
    fn only_what_is_new_is_told_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("memory.events");
        fs::write(&file, "low 0\nhigh 7\nmax 9\noom 4\noom_kill 3\n").unwrap();
        let mut watching = OutOfMemory::in_file(Some(&file));
        assert_eq!(watching.kills(), 0, "those before do not count");
        fs::write(&file, "low 0\nhigh 7\nmax 9\noom 5\noom_kill 5\noom_group_kill 8\n").unwrap();
        assert_eq!((watching.kills(), watching.kills()), (2, 0));
        fs::write(&file, "oom_kill_disable 0\nunder_oom 0\noom_kill 6\n").unwrap();
        assert_eq!(watching.kills(), 1, "as the first version writes it");
    }

    #[test]
    fn where_nothing_is_counted_nothing_is_said() {
        assert_eq!(OutOfMemory::in_file(None).kills(), 0);
        assert_eq!(OutOfMemory::in_file(Some(Path::new("/no/such/file"))).kills(), 0);
    }
}

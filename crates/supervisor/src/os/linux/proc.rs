//! Reading `/proc`.
//!
//! A process whose files cannot be read is one that has gone, or one that is none of our business: `None`.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, pread, read, retry_on_intr};

/// The most that is read of one file: more than the kernel lets a process have as its environment.
pub(super) const LARGEST: usize = 8 << 20;

/// Longer than any `stat`: 52 numbers and a name of 16 characters, or of 64 for a thread of the kernel.
const LARGEST_STAT: usize = 2048;

/// Reads one file after the other through one buffer.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) buffer: Vec<u8>,
    /// Whether something could not be opened for want of descriptors or memory, so that what was found may not be all.
    pub(super) is_starved: bool,
    pub(super) reading: Option<Arc<AtomicU32>>,
}

/// What `/proc/PID/stat` says. <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    state: u8,
    pub(super) parent: u32,
    pub(super) group: u32,
    /// Of itself and of the children it has waited for, in user and system.
    pub(super) cpu_ticks: u64,
    pub(super) threads: u32,
    /// When it began, in ticks since the machine did.
    pub(super) started: u64,
    pub(super) resident_pages: u64,
}

impl Stat {
    /// Whether all of it has ended. (Where only the first thread has, the process lives on, though called a zombie.)
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }
}

impl Reader {
    pub(super) fn stat(&mut self, pid: u32) -> Option<Stat> {
        self.open_stat(pid).map(|(_, stat)| stat)
    }

    /// Likewise, and what the kernel calls the process: 15 bytes of its program's name, unless it calls itself otherwise.
    pub(super) fn stat_and_name(&mut self, pid: u32) -> Option<(Stat, String)> {
        let stat = self.stat(pid)?;
        let (begin, end) = (
            self.buffer.iter().position(|byte| *byte == b'(')? + 1,
            self.buffer.iter().rposition(|byte| *byte == b')')?,
        );
        Some((stat, String::from_utf8_lossy(self.buffer.get(begin..end)?).into_owned()))
    }

    /// Opens the file as well, to be read again.
    pub(super) fn open_stat(&mut self, pid: u32) -> Option<(OwnedFd, Stat)> {
        let file = self.open(&format!("/proc/{pid}/stat"))?;
        let stat = self.stat_again(&file)?;
        Some((file, stat))
    }

    /// Reads what was opened before. `None` once the process is reaped, whoever has its pid now.
    pub(super) fn stat_again(&mut self, file: &OwnedFd) -> Option<Stat> {
        self.buffer.clear();
        self.buffer.reserve(LARGEST_STAT);
        // All of it comes at once.
        retry_on_intr(|| pread(file, spare_capacity(&mut self.buffer), 0)).ok()?;
        parse_stat(&self.buffer)
    }

    /// How a process ended that is not reaped yet, as the kernel writes it down. Only for one of our own user, unless
    /// we are root: of others zero is read.
    pub(super) fn exit_status(&mut self, pid: u32) -> Option<i32> {
        let text = self.read(&format!("/proc/{pid}/stat"))?;
        // The last of its 52 fields.
        parse_stat(text).filter(Stat::is_dead)?;
        str::from_utf8(text.trim_ascii_end()).ok()?.rsplit(' ').next()?.parse().ok()
    }

    /// Its real user.
    pub(super) fn user(&mut self, pid: u32) -> Option<u32> {
        let text = str::from_utf8(self.read(&format!("/proc/{pid}/status"))?).ok()?;
        let ids = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        ids.split_ascii_whitespace().next()?.parse().ok()
    }

    /// A process and all that descends from it: no more than the first so many.
    pub(super) fn tree(&mut self, pid: u32, most: usize) -> Vec<u32> {
        let mut found = vec![pid];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            let threads = self.stat(parent).map_or(1, |stat| stat.threads);
            let room = most.saturating_sub(found.len());
            found.extend(self.children(parent, threads).into_iter().take(room));
            next += 1;
        }
        found
    }

    /// The children of one thread, zombies among them.
    pub(super) fn children_of_thread(&mut self, pid: u32, thread: u32) -> Option<Vec<u32>> {
        let children = self.read(&format!("/proc/{pid}/task/{thread}/children"))?;
        Some(
            str::from_utf8(children)
                .ok()?
                .split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect(),
        )
    }

    /// The children of a process that has so many threads. None where the kernel does not tell
    /// (`CONFIG_PROC_CHILDREN`).
    pub(super) fn children(&mut self, pid: u32, threads: u32) -> Vec<u32> {
        if threads == 1 {
            return self.children_of_thread(pid, pid).unwrap_or_default();
        }
        let threads = self.numbers_in(&format!("/proc/{pid}/task"));
        threads.filter_map(|thread| self.children_of_thread(pid, thread)).flatten().collect()
    }

    /// All of a file.
    pub(super) fn read(&mut self, path: &str) -> Option<&[u8]> {
        self.read_within(LARGEST, path)
    }

    /// The beginning of a file: a little more than that, at most.
    pub(super) fn read_within(&mut self, most: usize, path: &str) -> Option<&[u8]> {
        let file = self.open(path)?;
        self.buffer.clear();
        loop {
            self.buffer.reserve(1024);
            match read(&file, spare_capacity(&mut self.buffer)) {
                Ok(0) => return Some(&self.buffer),
                Ok(_) if self.buffer.len() > most => return Some(&self.buffer),
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Every process that this one can see.
    pub(super) fn all_processes(&mut self) -> impl Iterator<Item = u32> + use<> {
        self.numbers_in("/proc")
    }

    /// What was opened. Takes note if it was not for want of something.
    pub(super) fn opened<T>(&mut self, opened: Result<T, Errno>) -> Option<T> {
        self.is_starved |= matches!(opened, Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM));
        opened.ok()
    }

    fn open(&mut self, path: &str) -> Option<OwnedFd> {
        self.opened(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
    }

    fn numbers_in(&mut self, folder: &str) -> impl Iterator<Item = u32> + use<> {
        let entries = fs::read_dir(folder).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
        let entries = self.opened(entries).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }
}

/// The fields of a `stat`, from the third on, by which the manual means the state.
pub(super) fn fields(text: &[u8]) -> Option<impl Iterator<Item = &str>> {
    // The program's name, the second, stands in parentheses and may itself contain any of these.
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 1;
    Some(str::from_utf8(&text[after_name..]).ok()?.split_ascii_whitespace())
}

fn parse_stat(text: &[u8]) -> Option<Stat> {
    let mut words = fields(text)?;
    // A thousand of these are read at once.
    let fields: [Option<&str>; 22] = std::array::from_fn(|_| words.next());
    let field = |number: usize| fields[number - 3];
    let count = |number: usize| field(number)?.parse::<u64>().ok();
    let id = |number: usize| field(number)?.parse::<u32>().ok();
    // The waited-for times are signed there, and a few kernels have shown them below zero.
    let ticks = |number: usize| count(number).unwrap_or(0);
    Some(Stat {
        state: *field(3)?.as_bytes().first()?,
        parent: id(4)?,
        group: id(5)?,
        cpu_ticks: ticks(14).saturating_add(ticks(15)).saturating_add(ticks(16)).saturating_add(ticks(17)),
        threads: id(20)?,
        started: count(22)?,
        resident_pages: count(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_parentheses_and_spaces_is_not_taken_for_fields() {
        let text = b"42 (a) R 1 (b) S 7 9 9 0 -1 4194560 1 2 3 4 10 20 -1 40 20 0 3 0 777 4096 25 99 1 1 0\n";
        let stat = parse_stat(text).unwrap();
        let expected = Stat {
            state: b'S',
            parent: 7,
            group: 9,
            cpu_ticks: 70,
            threads: 3,
            started: 777,
            resident_pages: 25,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn what_is_cut_off_or_no_stat_at_all_is_none() {
        for text in [&b""[..], b"42 (a", b"42 (a)", b"42 (a) S 1 2", b"\xff) \xff"] {
            assert_eq!(parse_stat(text), None);
        }
    }

    #[test]
    fn a_zombie_with_living_threads_is_not_dead() {
        let stat = |state, threads| Stat {
            state,
            parent: 1,
            group: 1,
            cpu_ticks: 0,
            threads,
            started: 0,
            resident_pages: 0,
        };
        assert!(stat(b'Z', 1).is_dead());
        assert!(!stat(b'Z', 2).is_dead());
        assert!(!stat(b'D', 1).is_dead());
    }
}

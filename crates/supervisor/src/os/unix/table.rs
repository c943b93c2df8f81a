//! All processes of the machine, as `ps` tells of them: the one way that is the same on every system.
//!
//! It takes some hundredths of a second, and is not waited for beyond a second: what cannot be told then is told as such.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::time;
use crate::os::monotonic;

/// Where it is: never looked for in `PATH`, which others may have set.
const PLACES: [&str; 2] = ["/bin/ps", "/usr/bin/ps"];

/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long what it has told does for those who need not know what is so in this very moment, so that it is asked once where many
/// components are stopped together. Not in tests, which run beside each other.
const FRESH: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(20) };

/// The most that is read of it.
const LARGEST: u64 = 64 << 20;

/// What was told last, and when.
static LAST: Mutex<Option<(Duration, Arc<Table>)>> = Mutex::new(None);

/// Who there is.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<u32, Entry>,
    children: HashMap<u32, Vec<u32>>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) state: String,
    /// Resident, in bytes.
    pub(super) memory: u64,
    pub(super) cpu: Duration,
    pub(super) name: String,
}

impl Table {
    /// Who there is, asked after this was called. `None` if that cannot be told now.
    pub(super) fn take() -> Option<Arc<Self>> {
        let text = ask(&[
            "-A", "-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "stat=", "-o", "rss=", "-o", "time=",
            "-o", "comm=",
        ])?;
        let table = Arc::new(Self::parse(&text));
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some((monotonic(), Arc::clone(&table)));
        Some(table)
    }

    /// Who there is, or was a moment ago: many ask at the same time.
    pub(super) fn recent() -> Option<Arc<Self>> {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fresh = last.filter(|(told, _)| monotonic().saturating_sub(*told) < FRESH);
        fresh.map(|(_, table)| table).or_else(Self::take)
    }

    fn parse(text: &str) -> Self {
        let mut table = Self::default();
        for entry in text.lines().filter_map(Entry::parse) {
            table.children.entry(entry.parent).or_default().push(entry.pid);
            table.entries.insert(entry.pid, entry);
        }
        table.children.values_mut().for_each(|children| children.sort_unstable());
        table
    }

    /// The process of this pid, if it lives.
    pub(super) fn living(&self, pid: u32) -> Option<&Entry> {
        self.entries.get(&pid).filter(|entry| !entry.has_ended())
    }

    /// All that live.
    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| !entry.has_ended())
    }

    /// This process, if it lives, and its descendants, each after its parent: at most so many.
    pub(super) fn family(&self, pid: u32, most: usize) -> Vec<&Entry> {
        let (mut family, mut seen, mut open) = (Vec::new(), HashSet::new(), vec![pid]);
        while let Some(pid) = open.pop() {
            let Some(entry) = self.living(pid).filter(|_| family.len() < most && seen.insert(pid)) else {
                continue;
            };
            family.push(entry);
            open.extend(self.children_of(pid).rev());
        }
        family
    }

    /// The children of a process, by their pids.
    pub(super) fn children_of(&self, pid: u32) -> impl DoubleEndedIterator<Item = u32> {
        self.children.get(&pid).into_iter().flatten().copied()
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut rest = line;
        let mut next = || {
            let (word, after) = rest.trim_start().split_once(char::is_whitespace)?;
            rest = after;
            Some(word)
        };
        let [pid, parent, group] = [next()?, next()?, next()?].map(str::parse);
        let (state, kilobytes, cpu) = (next()?.to_owned(), next()?.parse::<u64>().ok()?, cpu(next()?)?);
        // Some tell the path, and some that it has ended.
        let path = rest.trim().trim_end_matches(" <defunct>");
        let name = Path::new(path).file_name().map_or_else(|| path.into(), |name| name.to_string_lossy());
        Some(Self {
            pid: pid.ok()?,
            parent: parent.ok()?,
            group: group.ok()?,
            state,
            memory: kilobytes.saturating_mul(1024),
            cpu,
            name: name.into_owned(),
        })
    }

    fn has_ended(&self) -> bool {
        self.state.starts_with('Z')
    }
}

/// Whether it can be asked at all.
pub(super) fn is_there() -> bool {
    place().is_some()
}

/// When the process of this pid began, in seconds since 1970, and its group. `Ok(None)`: there is none.
pub(super) fn beginning(pid: u32) -> Result<Option<(i64, u32)>, ()> {
    let text = ask(&["-o", "pgid=", "-o", "stat=", "-o", "lstart=", "-p", &pid.to_string()]).ok_or(())?;
    let Some(line) = text.lines().next().filter(|line| !line.trim().is_empty()) else { return Ok(None) };
    let parts = line.trim_start().split_once(char::is_whitespace).and_then(|(group, rest)| {
        let (state, started) = rest.trim_start().split_once(char::is_whitespace)?;
        Some((time::parse(started)?, group.parse().ok()?, state.starts_with('Z')))
    });
    parts.map(|(started, group, has_ended)| (!has_ended).then_some((started, group))).ok_or(())
}

/// Processor time: `[[days-]hours:]minutes:seconds[.hundredths]`, with as many minutes as it takes on some systems.
fn cpu(text: &str) -> Option<Duration> {
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let parts = clock.split(':').map(|part| part.parse::<u64>().ok());
    let seconds = parts.reduce(|sum, part| sum?.checked_mul(60)?.checked_add(part?))??;
    let days = days.parse::<u64>().ok()?.checked_mul(86_400)?;
    let hundredths = if fraction.is_empty() { 0 } else { format!("{fraction:0<2}")[..2].parse().ok()? };
    Some(Duration::from_secs(days.checked_add(seconds)?) + Duration::from_millis(hundredths * 10))
}

fn place() -> Option<&'static str> {
    PLACES.into_iter().find(|place| Path::new(place).exists())
}

/// What it answers, in the language and the zone that all have. `None`: it could not be started, or does not answer in time.
fn ask(arguments: &[&str]) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one question to another program: it ends by itself, or is killed"
    )]
    let mut command = Command::new(place()?);
    command.args(arguments).env_clear().envs([("LC_ALL", "C"), ("TZ", "UTC0")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
    let mut child = command.spawn().ok()?;
    let text = answer(&mut child);
    if text.is_none() {
        let _ = child.kill();
    }
    // It has closed its output, or is killed: either way it is about to end. Our host may have reaped it.
    let _ = child.wait();
    text
}

fn answer(child: &mut Child) -> Option<String> {
    let mut output = child.stdout.take()?;
    rustix::io::ioctl_fionbio(&output, true).ok()?;
    let until = monotonic() + PATIENCE;
    let mut told = Vec::new();
    loop {
        match (&mut output).take(LARGEST).read_to_end(&mut told) {
            Ok(_) => return Some(String::from_utf8_lossy(&told).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        let left = until.saturating_sub(monotonic());
        let mut awaited = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
        match poll(&mut awaited, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return None,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;

    #[test]
    fn lines_are_read_as_each_system_writes_them() {
        let told = "    1     0     1 Ss    11432   00:00:03 systemd\n\
                    77 1 77 S+ 512 3-04:05:06 /usr/local/bin/my program\n\
                    78 77 77 Z+ 0 0:00.04 sleep <defunct>\n\
                    nonsense\n 79 77\n";
        let table = Table::parse(told);
        assert_eq!(table.entries.len(), 3);
        let program = table.living(77).unwrap();
        assert_eq!((program.name.as_str(), program.memory), ("my program", 512 * 1024));
        assert_eq!(program.cpu, Duration::from_secs(3 * 86_400 + 4 * 3600 + 5 * 60 + 6));
        assert!(table.living(78).is_none(), "it has ended");
        assert_eq!(table.family(1, 10).len(), 2);
        assert_eq!(table.family(1, 1).len(), 1);
    }

    #[test]
    fn processor_time_is_read_in_each_form() {
        for (text, expected) in
            [("0:00.04", 40), ("120:00.5", 7_200_500), ("01:00:00", 3_600_000), ("0:01", 1000)]
        {
            assert_eq!(cpu(text), Some(Duration::from_millis(expected)), "{text}");
        }
        for nonsense in ["", "-", "a:b", "1-", "9999999999999999999:00"] {
            assert_eq!(cpu(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_process_of_ours_is_told_of_with_its_group_and_when_it_began() {
        let before = time::now();
        let started = Component::new("/bin/sleep", &["1000"]).start();
        let table = Table::take().unwrap();
        let entry = table.living(started.pid()).unwrap();
        assert_eq!(
            (entry.parent, entry.group, entry.name.as_str()),
            (std::process::id(), started.pid(), "sleep")
        );
        let (began, group) = beginning(started.pid()).unwrap().unwrap();
        assert!(time::is_same(began, before) && group == started.pid(), "{began} {before}");
        started.process().kill();
        started.wait();
        assert_eq!(beginning(started.pid()), Ok(None), "it is a zombie");
        assert!(Table::take().unwrap().living(started.pid()).is_none());
    }
}

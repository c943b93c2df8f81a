//! The environments with which processes were executed.
//!
//! They lie in the memory of their processes, and who reads one may wait for ever. Besides, one that executes another program
//! has no environment for a moment: its new memory holds none yet.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::leftovers::{Leftover, our_pid};
use super::proc::{LARGEST, Reader, fields};

/// How soon a process that executes another program is looked at again, and how late at most.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often an environment is read of a process that has executed other programs meanwhile.
const TRIES: usize = 4;

/// What of the kernel's flags of a process says that it has no memory: it is about to end, or is a thread of the kernel.
/// (`PF_EXITING` and `PF_KTHREAD`, since Linux 2.6.)
const HAS_NO_MEMORY: u64 = 0x4 | 0x20_0000;

/// A process executes another program just now, and has no environment until it has.
#[derive(Debug)]
pub(super) struct Executing;

/// Reads what is to be read of the environment of a process, if need be again until it has executed its program: that takes
/// less than a millisecond, unless the program must be brought from somewhere. `None` if it ends first.
pub(super) fn awaited<T>(process: &Leftover, mut read: impl FnMut() -> Result<T, Executing>) -> Option<T> {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(read) = read() {
            return Some(read);
        }
        if process.ends_within(pause) {
            return None;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Reader {
    /// Has it say there whose environment it is reading, and 0 when it is done: that may take for ever. It is not done where
    /// there is none yet, until somebody says so.
    pub(super) fn tells_of(&mut self, reading: &Arc<AtomicU32>) {
        self.reading = Some(Arc::clone(reading));
    }

    /// The value of the first of these variables that is in the environment with which the process was executed. A process that
    /// executes another program just now seems to have none.
    pub(super) fn variable<const N: usize>(&mut self, pid: u32, names: [&str; N]) -> Option<&[u8]> {
        self.variable_unless_executing(pid, names).unwrap_or(None)
    }

    /// The same, but only the beginning of the environment is read.
    pub(super) fn variable_within<const N: usize>(
        &mut self,
        most: usize,
        pid: u32,
        names: [&str; N],
    ) -> Option<&[u8]> {
        values(self.environment(most, pid).ok()??, names).into_iter().flatten().next()
    }

    /// The same, of a process that has an environment by now.
    ///
    /// # Errors
    /// It executes another program just now.
    pub(super) fn variable_unless_executing<const N: usize>(
        &mut self,
        pid: u32,
        names: [&str; N],
    ) -> Result<Option<&[u8]>, Executing> {
        Ok(self.variables_unless_executing(pid, names)?.into_iter().flatten().next())
    }

    /// The values of all of these variables, by one reading, of a process that has an environment by now.
    ///
    /// # Errors
    /// It executes another program just now.
    pub(super) fn variables_unless_executing<const N: usize>(
        &mut self,
        pid: u32,
        names: [&str; N],
    ) -> Result<[Option<&[u8]>; N], Executing> {
        let environment = self.environment(LARGEST, pid)?;
        Ok(environment.map_or([None; N], |environment| values(environment, names)))
    }

    /// The beginning of an environment: a little more than that, at most.
    fn environment(&mut self, most: usize, pid: u32) -> Result<Option<&[u8]>, Executing> {
        self.tell(pid);
        let is_read = self.read_environment(most, pid)?;
        self.tell(0);
        Ok(is_read.then_some(&self.buffer))
    }

    fn read_environment(&mut self, most: usize, pid: u32) -> Result<bool, Executing> {
        let path = format!("/proc/{pid}/environ");
        for _ in 0..TRIES {
            let is_read = self.read_within(most, &path).is_some();
            if !is_read || !self.buffer.is_empty() {
                return Ok(is_read);
            }
            match self.place_of_environment(pid) {
                Some(Range { end: 0, .. }) if self.is_told_of_places() => return Err(Executing),
                // It has executed another program since the memory was opened in which there is nothing to be read any more.
                Some(place) if !place.is_empty() => {}
                _ => break,
            }
        }
        Ok(false)
    }

    /// Whether the kernel says where environments lie.
    fn is_told_of_places(&mut self) -> bool {
        self.place_of_environment(our_pid()).is_some_and(|place| place.end != 0)
    }

    /// Where the environment of a process lies in its memory, which ends at 0 until it has put one there. `None` for one
    /// that has no memory.
    fn place_of_environment(&mut self, pid: u32) -> Option<Range<u64>> {
        parse_place(self.read(&format!("/proc/{pid}/stat"))?)
    }

    /// Says whose environment is read: 0 is nobody's.
    pub(super) fn tell(&self, pid: u32) {
        if let Some(reading) = &self.reading {
            reading.store(pid, Ordering::Relaxed);
        }
    }
}

fn values<'a, const N: usize>(environment: &'a [u8], names: [&str; N]) -> [Option<&'a [u8]>; N] {
    let mut values = [None; N];
    for assignment in environment.split(|byte| *byte == 0) {
        for (name, value) in names.iter().zip(&mut values) {
            let its = || assignment.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
            *value = value.or_else(its);
        }
    }
    values
}

/// Of what `/proc/PID/stat` says: the ninth field tells of what kind the process is, the fiftieth and the next where its
/// environment lies.
fn parse_place(text: &[u8]) -> Option<Range<u64>> {
    let mut fields = fields(text)?.skip(9 - 3).map(|field| field.parse::<u64>().ok());
    let flags = fields.next()??;
    let (start, end) = (fields.nth(50 - 10)??, fields.next()??);
    (flags & HAS_NO_MEMORY == 0).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(flags: u64, start: u64, end: u64) -> String {
        let before = (10..50).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        format!("42 (a) b) S 1 2 3 4 -1 {flags} {before} {start} {end} 0\n")
    }

    #[test]
    fn where_an_environment_lies_is_told_of_what_has_memory() {
        assert_eq!(parse_place(stat(0x40_0000, 5, 9).as_bytes()), Some(5..9));
        assert_eq!(parse_place(stat(0, 0, 0).as_bytes()), Some(0..0));
        for flags in [0x4, 0x20_0000, 0x20_8040, 0x40_0004] {
            assert_eq!(parse_place(stat(flags, 0, 0).as_bytes()), None, "{flags:x}");
        }
        for text in ["", "42 (a", "42 (a) S 1 2", "42 (a) S 1 2 3 4 -1 0 8 9"] {
            assert_eq!(parse_place(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_kernel_tells_of_places() {
        assert!(Reader::default().is_told_of_places());
    }

    #[test]
    fn the_first_of_several_values_counts_and_a_longer_name_is_another() {
        let environment = b"AA=0\0A=1\0B\0A=2\0C=\0";
        assert_eq!(values(environment, ["A", "B", "C"]), [Some(&b"1"[..]), None, Some(b"")]);
    }
}

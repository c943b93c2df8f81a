//! A log file that is appended to, and the new one that takes its place when its day is over or its size reached.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local, NaiveDate};

use super::folder::Folder;
use super::housekeeping::{Housekeeper, Job, retain_newest};
use super::names::with_end;
use super::{LogSettings, failed};

/// The longest line that moves to the next file when it is due in the middle of the line. A longer one is torn.
const LONGEST_WHOLE_LINE: u64 = 1 << 20;

/// A log file that is appended to.
///
/// What is written goes to the file at once; there is no buffer. Bytes are looked at only where a file ends, so that it
/// ends with a line. A write may store only a part of what it is given, as [`Write::write`] may;
/// [`Write::write_all`] stores it all. Old files are deleted and compressed by a thread in the background, which lives
/// only while there is something to do.
#[derive(Debug)]
pub struct LogFile {
    /// With an absolute path, so that the host may change its folder.
    settings: Arc<LogSettings>,
    calendar: Calendar,
    current: Current,
    housekeeper: Housekeeper,
}

impl LogFile {
    /// Opens the log, appending to what it holds. A missing folder is made, but not the folder above it.
    ///
    /// # Errors
    /// The folder or the file cannot be opened or made, or the path leads to a link or something else that is not a
    /// regular file. The message names the path and the reason.
    pub fn open(settings: LogSettings) -> io::Result<Self> {
        Self::open_with(Arc::new(settings), Housekeeper::default(), unix_now())
    }

    /// Opens the log at a time in seconds since 1970, its old files in the care of `housekeeper`.
    pub(super) fn open_with(
        settings: Arc<LogSettings>,
        housekeeper: Housekeeper,
        now: i64,
    ) -> io::Result<Self> {
        let settings = made_absolute(settings)?;
        if settings.path.file_name().is_none() {
            let reason = io::Error::new(io::ErrorKind::InvalidInput, "it names a folder, not a file");
            return Err(failed("open", &settings.path, &reason));
        }
        let mut calendar = Calendar::default();
        let date = calendar.date(now);
        housekeeper.claim(&settings, date);
        let name = settings.names().current(date);
        let current = Current::open(&Folder::of(&settings.path)?, name, date)?;
        let mut log = Self { settings, calendar, current, housekeeper };
        log.tidy(now);
        // The last line of an earlier life may have no end. A full disk shows with the first line.
        let _ = log.end_line(now);
        Ok(log)
    }

    /// Where the current file is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.settings.path.with_file_name(&self.current.name)
    }

    /// Opens the current file again if somebody has moved or deleted it, as logrotate does.
    ///
    /// # Errors
    /// As [`LogFile::open`]. The log then goes on in the file that it had.
    pub fn reopen(&mut self) -> io::Result<()> {
        let folder = Folder::of(&self.settings.path)?;
        let ours = self.current.file.metadata().map_err(|error| failed("look at", &self.path(), &error))?;
        let is_ours = |there: std::fs::Metadata| there.dev() == ours.dev() && there.ino() == ours.ino();
        if !folder.look_at(&self.current.name).is_some_and(is_ours) {
            let next = Current::open(&folder, self.current.name.clone(), self.current.date)?;
            self.switch_to(next);
        }
        Ok(())
    }

    /// Whether what was written last was the end of a line, or nothing.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.current.is_at_line_start
    }

    /// Appends `chunk`, or as much of it as goes into the file that is due, and says how much that was.
    pub(super) fn append(&mut self, chunk: &[u8], now: i64) -> io::Result<usize> {
        if self.settings.dated {
            let date = self.calendar.date(now);
            if date != self.current.date {
                self.begin_day(date, now)?;
            }
        }
        let part = self.make_room(chunk, now)?;
        let written = self.current.write(part).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => failed("write", &self.path(), &error),
        })?;
        Ok(written)
    }

    /// Appends all of `text` as far as it can; an error comes with the number of bytes that were stored.
    pub(super) fn append_all(&mut self, text: &[u8], now: i64) -> Result<(), (usize, io::Error)> {
        let mut stored = 0;
        while stored < text.len() {
            match self.append(&text[stored..], now) {
                Ok(0) => return Err((stored, io::ErrorKind::WriteZero.into())),
                Ok(more) => stored += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((stored, error)),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, now: i64) -> Result<(), (usize, io::Error)> {
        if self.is_at_line_start() { Ok(()) } else { self.append_all(b"\n", now) }
    }

    /// The part of `chunk` that goes into the current file, which is a new one if not even a line would have fitted.
    fn make_room<'a>(&mut self, chunk: &'a [u8], now: i64) -> io::Result<&'a [u8]> {
        let Some(max_size) = self.settings.max_size else { return Ok(chunk) };
        loop {
            let room = usize::try_from(max_size.saturating_sub(self.current.size)).unwrap_or(usize::MAX);
            if chunk.len() <= room {
                return Ok(chunk);
            }
            if let Some(newline) = chunk[..room].iter().rposition(|&byte| byte == b'\n') {
                return Ok(&chunk[..=newline]);
            }
            // The line does not end within this file. Alone in it, it is larger than any file and has to be torn.
            let is_alone = self.current.unfinished_line() == self.current.size;
            if is_alone && room > 0 {
                return Ok(&chunk[..room]);
            }
            self.end_for_size(now)?;
        }
    }

    /// Ends the current file for its size: it is renamed, and a new one takes its name.
    fn end_for_size(&mut self, now: i64) -> io::Result<()> {
        let folder = Folder::of(&self.settings.path)?;
        let mut existing = folder.names()?;
        let names = self.settings.names();
        let number = names.highest_number(&self.current.name, &existing) + 1;
        let ended = with_end(&self.current.name, &format!(".{number}"));
        if names.parse(&ended).is_none() {
            let reason = io::Error::other("no higher number is left; remove the file that has the highest");
            return Err(failed("rename", &self.path(), &reason));
        }
        folder.rename(&self.current.name, &ended)?;
        let next =
            Current::open(&folder, self.current.name.clone(), self.current.date).inspect_err(|_| {
                // All is as before, and is tried again.
                let _ = folder.rename(&ended, &self.current.name);
            })?;
        self.switch_to(next);
        existing.push(ended);
        if let Some(keep) = self.settings.keep {
            // At once, not in the background, so that a flood cannot outrun it. What cannot be removed now is tried
            // again in the background, which reports it.
            let _ = retain_newest(&folder, &names, &existing, keep);
        }
        self.tidy(now);
        Ok(())
    }

    /// Goes on in the file of another day. The clock may have been set back: then that is one that exists.
    fn begin_day(&mut self, date: NaiveDate, now: i64) -> io::Result<()> {
        self.housekeeper.claim(&self.settings, date);
        let name = self.settings.names().current(date);
        let next = Current::open(&Folder::of(&self.settings.path)?, name, date)?;
        self.switch_to(next);
        self.tidy(now);
        Ok(())
    }

    /// Makes `next` the current file and takes the line along that was begun in the one before.
    ///
    /// The line is in the new file before it leaves the old one: a crash in between doubles the beginning of a line and
    /// loses nothing. Where the disk has no room for it, it stays where it is, torn.
    fn switch_to(&mut self, mut next: Current) {
        let mut last = self.settings.max_size.unwrap_or(u64::MAX).saturating_sub(next.size);
        if !next.is_at_line_start && last > 0 && next.write(b"\n").is_ok() {
            last -= 1;
        }
        let unfinished = self.current.unfinished_line();
        // A line that is all there is in the old file, as large as a file may be, can only be torn.
        let is_movable = unfinished > 0 && unfinished < last;
        if is_movable && self.current.copy_end_to(&mut next, unfinished).is_ok() {
            // If it stays there as well, the beginning of a line is doubled, which beats losing it.
            let _ = self.current.file.set_len(self.current.size - unfinished);
        }
        self.current = next;
    }

    /// Has old files deleted and ended ones compressed, in the background.
    fn tidy(&self, now: i64) {
        let LogSettings { keep, days, compress, .. } = *self.settings;
        if compress || keep.is_some() || days.is_some() {
            self.housekeeper.submit(Job { settings: Arc::clone(&self.settings), now });
        }
    }
}

/// The same settings with an absolute path, and without a size of zero: the very same ones where they are so already.
fn made_absolute(settings: Arc<LogSettings>) -> io::Result<Arc<LogSettings>> {
    let path = std::path::absolute(&settings.path).map_err(|error| failed("open", &settings.path, &error))?;
    let max_size = settings.max_size.filter(|&size| size > 0);
    let is_same = path == settings.path && max_size == settings.max_size;
    Ok(if is_same { settings } else { Arc::new(LogSettings { path, max_size, ..(*settings).clone() }) })
}

/// A line that is written with one call stays in one file, as far as [`LogSettings::max_size`] allows.
impl Write for LogFile {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if text.is_empty() { Ok(0) } else { self.append(text, unix_now()) }
    }

    /// Does nothing: what was written is in the file.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file that is written to.
#[derive(Debug)]
struct Current {
    file: File,
    name: OsString,
    date: NaiveDate,
    size: u64,
    is_at_line_start: bool,
}

impl Current {
    fn open(folder: &Folder, name: OsString, date: NaiveDate) -> io::Result<Self> {
        let file = folder.open_log(&name)?;
        let read_end = || -> io::Result<(u64, bool)> {
            let size = file.metadata()?.len();
            let mut last = [b'\n'];
            if size > 0 {
                file.read_exact_at(&mut last, size - 1)?;
            }
            Ok((size, last == *b"\n"))
        };
        let (size, is_at_line_start) =
            read_end().map_err(|error| failed("read", &folder.path().join(&name), &error))?;
        Ok(Self { file, name, date, size, is_at_line_start })
    }

    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let written = self.file.write(part)?;
        self.size += written as u64;
        if let Some(&last) = part[..written].last() {
            self.is_at_line_start = last == b'\n';
        }
        Ok(written)
    }

    /// The length of the line that was begun and not ended. Zero if it is longer than what is kept whole, or cannot be
    /// read because somebody has cut the file.
    fn unfinished_line(&self) -> u64 {
        let mut block = [0; 4096];
        let mut length = 0;
        while !self.is_at_line_start && length < self.size.min(LONGEST_WHOLE_LINE) {
            let step = (self.size - length).min(block.len() as u64);
            // At most the length of the block.
            let block = &mut block[..step as usize];
            if self.file.read_exact_at(block, self.size - length - step).is_err() {
                return 0;
            }
            if let Some(newline) = block.iter().rposition(|&byte| byte == b'\n') {
                return length + step - newline as u64 - 1;
            }
            length += step;
        }
        if length == self.size { length } else { 0 }
    }

    /// Appends the last `length` bytes to `next`, or nothing.
    fn copy_end_to(&self, next: &mut Self, length: u64) -> io::Result<()> {
        let mut line = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut line, self.size - length)?;
        if let Err(error) = next.file.write_all(&line) {
            next.file.set_len(next.size)?;
            return Err(error);
        }
        next.size += length;
        next.is_at_line_start = line.last() == Some(&b'\n');
        Ok(())
    }
}

/// The date by local time, which costs little to ask for again and again.
#[derive(Debug, Default)]
struct Calendar {
    /// The quarter of an hour since 1970 that was asked for last, and its date.
    last: Option<(i64, NaiveDate)>,
}

impl Calendar {
    fn date(&mut self, now: i64) -> NaiveDate {
        // Every time zone's midnight is on a quarter of an hour of universal time, so a date holds for all of one. Set
        // the clock or the time zone as you like: it is noticed with the next quarter.
        let quarter = now.div_euclid(15 * 60);
        match self.last {
            Some((last, date)) if last == quarter => date,
            _ => {
                let date = local_date(now);
                self.last = Some((quarter, date));
                date
            }
        }
    }
}

/// The date by local time.
pub(super) fn local_date(now: i64) -> NaiveDate {
    DateTime::from_timestamp(now, 0).unwrap_or_default().with_timezone(&Local).date_naive()
}

/// Seconds since 1970 by the wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the names of log files and their retention follow the wall clock"
)]
pub(super) fn unix_now() -> i64 {
    // A clock that stands before 1970 was not set: then the day does not matter.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

//! A log file that is appended to, and the new one that takes its place when its day is over or its size reached.

mod current;
mod ending;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use memchr::memrchr;

use self::current::Current;
use super::clock::{Calendar, unix_now};
use super::folder::Folder;
use super::housekeeping::{Housekeeper, Job};
use super::{LogSettings, failed};
use crate::os::{self, Lens, ReadEnd};

/// How much is written until the disk is looked at, if some of it must stay free.
const LOOK_EACH: u64 = 16 << 20;

/// A log file that is appended to.
///
/// What is written goes to the file at once; there is no buffer. What comes from a pipe is moved by the operating system. Bytes
/// are looked at only where a file ends, so that it ends with a line. A write may store only a part of what it is given, as [`Write::write`] may;
/// [`Write::write_all`] stores it all. Old files are deleted and compressed by a thread in the background, which lives
/// only while there is something to do.
#[derive(Debug)]
pub struct LogFile {
    /// With an absolute path, so that the host may change its folder.
    settings: Arc<LogSettings>,
    calendar: Calendar,
    current: Current,
    housekeeper: Housekeeper,
    /// How much was written since the disk was looked at.
    unlooked: u64,
}

impl LogFile {
    /// Opens the log, appending to what it holds. A missing folder is made, but not the folder above it.
    ///
    /// # Errors
    /// The folder or the file cannot be opened or made, or the path leads to a link or something else that is not a
    /// regular file. The message names the path and the reason.
    pub fn open(settings: LogSettings) -> io::Result<Self> {
        let now = unix_now();
        let mut log = Self::open_with(Arc::new(settings), Housekeeper::default(), now)?;
        // The last line of an earlier life may have no end. A full disk shows with the first line.
        let _ = log.end_line(now);
        Ok(log)
    }

    /// Opens the log at a time in seconds since 1970, its old files in the care of `housekeeper`. Whether a last line
    /// without an end goes on is for the caller to know.
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
        let mut log = Self { settings, calendar, current, housekeeper, unlooked: 0 };
        log.mend();
        log.tidy(now);
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
        if !self.is_in_place(&folder)? {
            let next = Current::open(&folder, self.current.name.clone(), self.current.date)?;
            self.switch_to(next);
        }
        Ok(())
    }

    /// Whether the current file still has its name.
    fn is_in_place(&self, folder: &Folder) -> io::Result<bool> {
        let is_in_place = folder.has(&self.current.name, &self.current.file);
        is_in_place.map_err(|error| failed("look at", &self.path(), &error))
    }

    /// Whether what was written last was the end of a line, or nothing.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.current.is_at_line_start()
    }

    /// Fills the buffer with what was stored last; says whether it could.
    pub(super) fn read_back(&self, buffer: &mut [u8]) -> bool {
        let from = self.current.size.checked_sub(buffer.len() as u64);
        from.is_some_and(|from| os::read_exact_at(&self.current.file, buffer, from).is_ok())
    }

    /// Moves as much of the `held` bytes that a pipe holds as goes into the file that is due, and says how much that was.
    /// What is not stored stays in the pipe.
    pub(super) fn draw(
        &mut self,
        pipe: &ReadEnd,
        held: usize,
        lens: &mut Lens,
        now: i64,
    ) -> io::Result<usize> {
        self.turn_day(now)?;
        let whole_lines = |room: usize| {
            let seen = lens.look(pipe, room)?;
            // Of a pipe full of small pieces only the first can be seen: they begin a line, which moves on as a whole.
            let unseen = if seen.len() < room { seen.len() } else { 0 };
            Ok(memrchr(b'\n', seen).map_or(unseen, |newline| newline + 1))
        };
        let most = self.make_room(held, whole_lines, now)?;
        let stored = self.current.draw(pipe, most, lens);
        self.written(stored, now)
    }

    /// Appends `chunk`, or as much of it as goes into the file that is due, and says how much that was.
    pub(super) fn append(&mut self, chunk: &[u8], now: i64) -> io::Result<usize> {
        self.turn_day(now)?;
        let whole_lines = |room| Ok(memrchr(b'\n', &chunk[..room]).map_or(0, |newline| newline + 1));
        let most = self.make_room(chunk.len(), whole_lines, now)?;
        let stored = self.current.write(&chunk[..most]);
        self.written(stored, now)
    }

    /// Has the disk looked at now and then, and when it is full, if some of it must stay free.
    fn written(&mut self, stored: io::Result<usize>, now: i64) -> io::Result<usize> {
        let is_full = stored.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull);
        self.unlooked += *stored.as_ref().unwrap_or(&0) as u64;
        if self.settings.min_free.is_some() && (is_full || self.unlooked >= LOOK_EACH) {
            self.unlooked = 0;
            self.tidy(now);
        }
        stored.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => error,
            _ => failed("write", &self.path(), &error),
        })
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

    /// Appends whole lines, and says how many bytes were stored, of whole lines again: what a full disk has torn is taken
    /// back.
    pub(super) fn append_lines(&mut self, lines: &[u8], now: i64) -> io::Result<usize> {
        let Err((stored, error)) = self.append_all(lines, now) else { return Ok(lines.len()) };
        let whole = memrchr(b'\n', &lines[..stored]).map_or(0, |newline| newline + 1);
        self.current.cut_back((stored - whole) as u64);
        if whole == 0 { Err(error) } else { Ok(whole) }
    }

    /// Takes the line back that was begun and not ended; says how long that was.
    pub(super) fn cut_open_line(&mut self) -> u64 {
        self.current.cut_back(self.current.unfinished_line())
    }

    /// Begins a new line, if one was begun and not ended.
    pub(super) fn end_line(&mut self, now: i64) -> Result<(), (usize, io::Error)> {
        if self.is_at_line_start() { Ok(()) } else { self.append_all(b"\n", now) }
    }

    /// How much of a text of this length goes into the current file, which is a new one if not even a line would have
    /// fitted. `whole_lines` says how much of the first so many bytes can be stored without tearing a line.
    fn make_room(
        &mut self,
        length: usize,
        mut whole_lines: impl FnMut(usize) -> io::Result<usize>,
        now: i64,
    ) -> io::Result<usize> {
        let Some(max_size) = self.settings.max_size else { return Ok(length) };
        loop {
            let room = usize::try_from(max_size.saturating_sub(self.current.size)).unwrap_or(usize::MAX);
            if length <= room {
                return Ok(length);
            }
            let fitting = if room > 0 { whole_lines(room)? } else { 0 };
            if fitting > 0 {
                return Ok(fitting);
            }
            // The line does not end within this file. Alone in it, it is larger than any file and has to be torn.
            let is_alone = self.current.unfinished_line() == self.current.size;
            if is_alone && room > 0 {
                return Ok(room);
            }
            self.end_current(now)?;
        }
    }

    fn turn_day(&mut self, now: i64) -> io::Result<()> {
        if self.settings.dated {
            let date = self.calendar.date(now);
            if date != self.current.date {
                self.begin_day(date, now)?;
            }
        }
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
        if !next.is_at_line_start() && last > 0 && next.write(b"\n").is_ok() {
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
        let LogSettings { keep, days, max_total, min_free, compress, .. } = *self.settings;
        let has_limit = keep.is_some() || days.is_some() || max_total.is_some() || min_free.is_some();
        if compress || has_limit {
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

#[cfg(test)]
mod tests;

//! The file of a log that is written to: by writing, and by moving into it what a pipe holds.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use chrono::NaiveDate;

use super::super::failed;
use super::super::folder::Folder;
use crate::os::{self, Lens, ReadEnd};

/// The longest line that moves to the next file when it is due in the middle of the line. A longer one is torn.
const LONGEST_WHOLE_LINE: u64 = 1 << 20;

/// The file that is written to.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) file: File,
    pub(super) name: OsString,
    pub(super) date: NaiveDate,
    pub(super) size: u64,
    /// Whether it ends with the end of a line, or is empty. Unknown after something was moved into it.
    is_at_line_start: Option<bool>,
    /// Whether writing appends. A pipe cannot be moved into a file that is open so.
    is_appending: bool,
}

impl Current {
    pub(super) fn open(folder: &Folder, name: OsString, date: NaiveDate) -> io::Result<Self> {
        let file = folder.open_log(&name)?;
        let metadata = file.metadata();
        let size = metadata.map_err(|error| failed("read", &folder.path().join(&name), &error))?.len();
        let mut current = Self { file, name, date, size, is_at_line_start: None, is_appending: true };
        current.is_at_line_start = Some(current.is_at_line_start());
        Ok(current)
    }

    /// Takes note of how large it is, which somebody may have changed by cutting it.
    pub(super) fn look_again(&mut self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        if size != self.size {
            self.size = size;
            self.is_at_line_start = None;
        }
        Ok(())
    }

    pub(super) fn is_at_line_start(&self) -> bool {
        self.is_at_line_start.unwrap_or_else(|| {
            let mut last = [b'\n'];
            // What cannot be read, because somebody has cut the file, has no end that could be torn.
            let is_read = self.size > 0 && os::read_exact_at(&self.file, &mut last, self.size - 1).is_ok();
            !is_read || last == *b"\n"
        })
    }

    pub(super) fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.set_appending(true)?;
        let written = os::append(&self.file, part)?;
        self.size += written as u64;
        if let Some(&last) = part[..written].last() {
            self.is_at_line_start = Some(last == b'\n');
        }
        Ok(written)
    }

    /// Moves up to so many bytes out of a pipe to the end of the file.
    pub(super) fn draw(&mut self, pipe: &ReadEnd, most: usize, lens: &mut Lens) -> io::Result<usize> {
        self.set_appending(false)?;
        // Somebody may have cut it.
        let end = (&self.file).seek(SeekFrom::End(0))?;
        match os::move_to_file(pipe, &self.file, end, most) {
            Ok(moved) => {
                self.size = end + moved as u64;
                self.is_at_line_start = None;
                Ok(moved)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.copy(pipe, most, lens),
            Err(error) => Err(error),
        }
    }

    /// As `draw`, where the file system cannot do that: what is stored leaves the pipe only after that. Whoever is
    /// killed in between has it stored twice.
    pub(super) fn copy(&mut self, pipe: &ReadEnd, most: usize, lens: &mut Lens) -> io::Result<usize> {
        let written = self.write(lens.look(pipe, most)?)?;
        lens.discard(pipe, written)?;
        Ok(written)
    }

    fn set_appending(&mut self, is_appending: bool) -> io::Result<()> {
        if self.is_appending != is_appending {
            os::set_appending(&self.file, is_appending)?;
            self.is_appending = is_appending;
        }
        Ok(())
    }

    /// Whether its first `length` bytes are the first of the last line of `ended`, which is `unfinished` bytes long.
    pub(super) fn begins_as_ended(&self, ended: &Self, unfinished: u64, length: u64) -> bool {
        let read = |file: &File, from| -> Option<Vec<u8>> {
            let mut text = vec![0; usize::try_from(length).ok()?];
            os::read_exact_at(file, &mut text, from).ok().map(|()| text)
        };
        let ours = read(&self.file, 0);
        ours.is_some() && ours == read(&ended.file, ended.size - unfinished)
    }

    /// The length of the line that was begun and not ended. Zero if it is longer than what is kept whole, or cannot be
    /// read because somebody has cut the file.
    pub(super) fn unfinished_line(&self) -> u64 {
        let mut block = [0; 4096];
        let mut length = 0;
        let is_open = !self.is_at_line_start();
        while is_open && length < self.size.min(LONGEST_WHOLE_LINE) {
            let step = (self.size - length).min(block.len() as u64);
            // At most the length of the block.
            let block = &mut block[..step as usize];
            if os::read_exact_at(&self.file, block, self.size - length - step).is_err() {
                return 0;
            }
            if let Some(newline) = block.iter().rposition(|&byte| byte == b'\n') {
                return length + step - newline as u64 - 1;
            }
            length += step;
        }
        if length == self.size { length } else { 0 }
    }

    /// Takes back what was written last, so many bytes of it; says how many that were: none if the file cannot be cut.
    pub(super) fn cut_back(&mut self, length: u64) -> u64 {
        // Somebody may have cut it already.
        let size = self.file.metadata().map_or(0, |file| file.len());
        let length = length.min(size);
        if length == 0 || self.file.set_len(size - length).is_err() {
            return 0;
        }
        self.size = size - length;
        self.is_at_line_start = None;
        length
    }

    /// Appends the last `length` bytes to `next`, or nothing.
    pub(super) fn copy_end_to(&self, next: &mut Self, length: u64) -> io::Result<()> {
        let mut line = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        os::read_exact_at(&self.file, &mut line, self.size - length)?;
        if let Err(error) = next.file.write_all(&line) {
            next.file.set_len(next.size)?;
            return Err(error);
        }
        next.size += length;
        next.is_at_line_start = Some(line.last() == Some(&b'\n'));
        Ok(())
    }
}

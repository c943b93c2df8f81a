//! The lines of several logs, merged by their times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::{DateTime, Utc};

use super::Wanted;
use super::shelf::{Shelf, unreadable};
use super::source::Source;
use super::start::{self, Start};
use super::teller::Teller;
use super::text::Lines;
use crate::exit::Failure;
use crate::say;

/// What all logs together may hold of what was read and not told yet, beside a line of each.
const BUFFERS: usize = 16 << 20;

/// Tells what is wanted of these logs, in the order in which it was written.
pub(super) fn tell<'a>(
    sources: &'a [Source],
    shelves: impl Iterator<Item = &'a Shelf>,
    wanted: &'a Wanted,
    teller: &mut Teller,
) -> Result<(), Failure> {
    let buffer = (BUFFERS / sources.len().max(1)).clamp(4 << 10, 64 << 10);
    let (mut readers, mut queue, mut count) = (Vec::new(), BinaryHeap::new(), 0_u64);
    for (number, (source, shelf)) in sources.iter().zip(shelves).enumerate() {
        let Some(start) = start::find(shelf, &source.writer, wanted)? else { continue };
        count += start.count;
        let mut reader = Reader::new(number, source, shelf, wanted, &start, buffer);
        if let Some(time) = reader.advance()? {
            queue.push(Reverse((time, readers.len())));
            readers.push(reader);
        }
    }
    // Each log has as many of its last lines as all together may have.
    let mut surplus = wanted.count.map_or(0, |wanted| count.saturating_sub(wanted));
    while let Some(Reverse((_, number))) = queue.pop() {
        let reader = &mut readers[number];
        if surplus > 0 {
            surplus -= 1;
        } else {
            let told = reader.source.writer.read(reader.line());
            teller.tell(reader.number, &told, reader.time);
        }
        if say::reader_is_gone() {
            break;
        }
        if let Some(time) = reader.advance()? {
            queue.push(Reverse((time, number)));
        }
    }
    teller.flush();
    Ok(())
}

/// Reads one log.
struct Reader<'a> {
    number: usize,
    source: &'a Source,
    shelf: &'a Shelf,
    wanted: &'a Wanted,
    /// The file that comes next, and from where on.
    next: usize,
    offset: u64,
    /// How many lines are left out before the first.
    skip: u64,
    buffer: usize,
    lines: Option<Lines>,
    /// The last time of the file, for lines that nothing else tells the time of.
    modified: DateTime<Utc>,
    /// Of the line, or of one before.
    time: Option<DateTime<Utc>>,
}

impl<'a> Reader<'a> {
    fn new(
        number: usize,
        source: &'a Source,
        shelf: &'a Shelf,
        wanted: &'a Wanted,
        start: &Start,
        buffer: usize,
    ) -> Self {
        let Start { volume: next, offset, skip, time, .. } = *start;
        let modified = DateTime::UNIX_EPOCH;
        Self { number, source, shelf, wanted, next, offset, skip, buffer, lines: None, modified, time }
    }

    /// The line that it has come to.
    fn line(&self) -> &[u8] {
        self.lines.as_ref().map_or(&[], |lines| &lines.last)
    }

    /// Goes on to the next line that is told, and says when that was written.
    fn advance(&mut self) -> Result<Option<DateTime<Utc>>, Failure> {
        loop {
            let Some(lines) = &mut self.lines else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            match lines.advance() {
                Ok(true) => {}
                Ok(false) => {
                    self.lines = None;
                    continue;
                }
                Err(error) => return Err(self.cannot_read(&error)),
            }
            let told = self.source.writer.read(&lines.last);
            self.time = told.time.or(self.time);
            if !self.wanted.concerns(&told) {
                continue;
            }
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            return Ok(Some(self.time.unwrap_or(self.modified)));
        }
    }

    /// Opens the next file; `false`: there is none.
    fn open_next(&mut self) -> Result<bool, Failure> {
        let Some(volume) = self.shelf.volumes.get(self.next) else { return Ok(false) };
        self.next += 1;
        let offset = std::mem::take(&mut self.offset);
        if let Some(opened) = volume.open()? {
            self.modified = opened.modified;
            self.lines = Some(opened.lines(offset, self.buffer).map_err(|error| self.cannot_read(&error))?);
        }
        Ok(true)
    }

    fn cannot_read(&self, error: &std::io::Error) -> Failure {
        let path = self.shelf.volumes[self.next - 1].stored.path().display();
        unreadable(&std::io::Error::new(error.kind(), format!("cannot read {path}: {error}")))
    }
}

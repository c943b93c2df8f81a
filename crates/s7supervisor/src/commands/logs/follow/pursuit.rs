//! One log that is followed, from file to file.

use std::fs::File;
use std::io::BufRead;
use std::path::Path;

use chrono::{DateTime, Utc};
use supervisor::StoredLog;

use super::super::Wanted;
use super::super::shelf::{Shelf, Volume, is_at, unreadable};
use super::super::source::Source;
use super::super::teller::Teller;
use super::super::text::{self, Line};
use crate::exit::Failure;
use crate::os::files;
use crate::os::watch::Folders;
use crate::say;

/// So much is read at once.
pub(super) const BLOCK: usize = 64 << 10;

/// A log of which nothing is missed from now on. What there is already is on its shelf, up to the end of a line.
#[derive(Debug)]
pub(in crate::commands::logs) struct Begun {
    source: Source,
    /// The number of its folder.
    folder: i32,
    shelf: Shelf,
    held: Option<Held>,
}

impl Begun {
    /// Begins to follow this log, by news of its folder.
    pub(in crate::commands::logs) fn new(news: &Folders, source: Source) -> Result<Self, Failure> {
        let folder = source.settings.path.parent().unwrap_or(Path::new("/"));
        let folder = news.add(folder).map_err(|error| {
            let advice = "start the supervisor, which makes it";
            Failure::failed(format!(
                "cannot follow what is written in {}: {error}; {advice}",
                folder.display()
            ))
        })?;
        let mut shelf = Shelf::look(&source.settings)?;
        let held = shelf.volumes.last_mut().map(Held::of_newest).transpose()?.flatten();
        Ok(Self { source, folder, shelf, held })
    }
}

/// A log that is followed.
pub(super) struct Pursuit<'a> {
    pub(super) number: usize,
    pub(super) source: Source,
    wanted: &'a Wanted,
    /// The number of its folder.
    pub(super) folder: i32,
    pub(super) shelf: Shelf,
    held: Option<Held>,
    /// What was read of a line that has no end yet.
    line: Line,
    /// Such a line in a file that was ended: whoever writes has taken it along to the next one, or has not.
    left_behind: Vec<u8>,
    /// Of the last line that has one.
    time: Option<DateTime<Utc>>,
}

/// The file that is read.
#[derive(Debug)]
struct Held {
    stored: StoredLog,
    /// What it will be called when it is ended.
    ended: StoredLog,
    /// None, where it was compressed, and is read whole.
    file: Option<File>,
    offset: u64,
}

impl Held {
    /// The newest file of a shelf; from then on that is read only up to where its last line ends.
    fn of_newest(volume: &mut Volume) -> Result<Option<Self>, Failure> {
        let (stored, ended) = (volume.stored.clone(), volume.ended.clone());
        let Some((file, end)) = &mut volume.held else {
            return Ok(Some(Self { stored, ended, file: None, offset: 0 }));
        };
        *end = text::unfinished(file, *end).map_err(|error| unreadable(&error))?;
        let file_again = file.try_clone().map_err(|error| unreadable(&error))?;
        Ok(Some(Self { stored, ended, file: Some(file_again), offset: *end }))
    }

    /// Where it stands among the files of its log, also if it is gone.
    fn place(&self, files: &[StoredLog]) -> StoredLog {
        let is_ours = |stored: &StoredLog| self.file.as_ref().is_some_and(|file| is_at(file, stored));
        // A day that is over is compressed under its own name.
        if self.file.is_none() || is_ours(&self.stored) || files.contains(&self.stored.compressed()) {
            return self.stored.clone();
        }
        let renamed = [&self.ended].into_iter().chain(files).find(|stored| is_ours(stored));
        renamed.unwrap_or(&self.ended).clone()
    }
}

impl<'a> Pursuit<'a> {
    pub(super) fn new(number: usize, begun: Begun, wanted: &'a Wanted) -> Self {
        let Begun { source, folder, shelf, held } = begun;
        let (line, left_behind, time) = (Line::default(), Vec::new(), None);
        Self { number, source, wanted, folder, shelf, held, line, left_behind, time }
    }
}

impl Pursuit<'_> {
    /// Whether it follows this log already, be it by another path. Whether names have dates makes them other files.
    pub(super) fn follows(&self, begun: &Begun) -> bool {
        let (ours, its) = (&self.source.settings, &begun.source.settings);
        let file = self.held.as_ref().and_then(|held| held.file.as_ref());
        let is_same = |file: &File| begun.held.as_ref().is_some_and(|held| is_at(file, &held.stored));
        ours.dated == its.dated && (ours.path == its.path || file.is_some_and(is_same))
    }

    /// Goes on as it is described now.
    pub(super) fn go_over_to(&mut self, begun: Begun) {
        if self.source.settings.path != begun.source.settings.path {
            self.folder = begun.folder;
            if let (Some(ours), Some(its)) = (&mut self.held, begun.held) {
                (ours.stored, ours.ended) = (its.stored, its.ended);
            }
        }
        self.source = begun.source;
    }

    /// Tells what was written to the file that is read, and to the next ones if some may have appeared.
    pub(super) fn go_on(
        &mut self,
        has_appeared: bool,
        teller: &mut Teller,
        block: &mut [u8],
    ) -> Result<(), Failure> {
        loop {
            self.read_on(teller, block)?;
            if !has_appeared || say::reader_is_gone() {
                return Ok(());
            }
            let Some((stored, ended)) = self.next()? else { return Ok(()) };
            // Nothing is written to a file once there is a newer one. What was written before that was may be new.
            self.read_on(teller, block)?;
            let Some(opened) = Volume::open_stored(&stored).map_err(|error| unreadable(&error))? else {
                // It has another name by now, or none.
                continue;
            };
            // What is called so by now may be a later one than that which was looked for.
            let is_next = stored.is_ended() || self.next()?.is_some_and(|(stored, _)| opened.is_at(&stored));
            if !is_next {
                continue;
            }
            if !self.line.is_empty() {
                self.left_behind = self.line.take();
            }
            let file = match opened.into_plain() {
                Ok(file) => Some(file),
                Err(compressed) => {
                    self.read_through(compressed.text(BLOCK), teller)?;
                    None
                }
            };
            self.held = Some(Held { stored, ended, file, offset: 0 });
        }
    }

    /// The file after the one that is read, and what it will be called.
    fn next(&mut self) -> Result<Option<(StoredLog, StoredLog)>, Failure> {
        let files = self.source.settings.files().map_err(|error| unreadable(&error))?;
        if let Some(held) = &mut self.held {
            held.stored = held.place(&files);
        }
        let is_newer = |file: &&StoredLog| self.held.as_ref().is_none_or(|held| **file > held.stored);
        let next = files.iter().find(is_newer);
        // The same file, compressed meanwhile.
        let same = self.held.as_ref().map(|held| held.stored.compressed());
        let next = next.filter(|next| same.as_ref() != Some(*next)).or_else(|| {
            let after = same.as_ref()?;
            files.iter().find(|file| *file > after)
        });
        Ok(next.map(|next| (next.clone(), next.once_ended(&files))))
    }

    /// Reads to the end of the file.
    fn read_on(&mut self, teller: &mut Teller, block: &mut [u8]) -> Result<(), Failure> {
        let Some(Held { file: Some(file), offset, stored, .. }) = &mut self.held else { return Ok(()) };
        let cannot = |error: std::io::Error, stored: &StoredLog| {
            let text = format!("cannot read {}: {error}", stored.path().display());
            unreadable(&std::io::Error::new(error.kind(), text))
        };
        let size = file.metadata().map_err(|error| cannot(error, stored))?.len();
        if size < *offset {
            if *offset - size <= self.line.length() {
                // The line that has no end was taken along to the next file.
                self.left_behind = self.line.take();
                *offset = size;
            } else {
                // Somebody has cut the file.
                self.line = Line::default();
                *offset = 0;
            }
        }
        loop {
            let Some(Held { file: Some(file), offset, stored, .. }) = &mut self.held else { return Ok(()) };
            let length = files::read_at(file, block, *offset).map_err(|error| cannot(error, stored))?;
            if length == 0 {
                return Ok(());
            }
            *offset += length as u64;
            self.take(&block[..length], teller);
            if say::reader_is_gone() {
                return Ok(());
            }
        }
    }

    fn read_through(&mut self, mut text: Box<dyn BufRead>, teller: &mut Teller) -> Result<(), Failure> {
        loop {
            let block = text.fill_buf().map_err(|error| unreadable(&error))?;
            if block.is_empty() {
                return Ok(());
            }
            let length = block.len();
            self.take(block, teller);
            text.consume(length);
        }
    }

    fn take(&mut self, block: &[u8], teller: &mut Teller) {
        let mut rest = block;
        while let Some(length) = self.line.add(rest) {
            rest = &rest[length..];
            self.tell_line(teller);
        }
    }

    /// Tells the beginning of a line of which no more will come.
    pub(super) fn end_line(&mut self, teller: &mut Teller) {
        if !self.line.is_empty() || !self.left_behind.is_empty() {
            self.tell_line(teller);
        }
    }

    fn tell_line(&mut self, teller: &mut Teller) {
        let line = self.line.take();
        let left_behind = std::mem::take(&mut self.left_behind);
        // What was taken along stands here from its beginning; what was not goes on here.
        let line = if line.starts_with(&left_behind) { line } else { [left_behind, line].concat() };
        let told = self.source.writer.read(&line);
        self.time = told.time.or(self.time);
        if self.wanted.concerns(&told) {
            teller.tell(self.number, &told, self.time);
        }
    }
}

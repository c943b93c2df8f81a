//! What is written from now on, as the kernel tells it: whoever writes notices nothing, and nobody looks again and again.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use crossbeam_channel::Receiver;
use supervisor::StoredLog;
use tracing::warn;

use super::Wanted;
use super::shelf::{Shelf, Volume, is_at, unreadable};
use super::source::Source;
use super::teller::Teller;
use super::text::{self, Line};
use crate::exit::Failure;
use crate::os::files;
use crate::os::watch::{End, Folders, News};
use crate::say;

/// So much is read at once.
const BLOCK: usize = 64 << 10;

/// Of so many names of files it is remembered whose they are, beside one for each log.
const MOST_NAMES: usize = 4096;

/// Logs that are followed.
pub(super) struct Following<'a> {
    news: Arc<Folders>,
    wanted: &'a Wanted,
    pursuits: Vec<Pursuit<'a>>,
    owners: Owners,
}

/// How long logs are followed.
#[derive(Clone, Copy)]
pub(super) enum Until<'a> {
    /// Nobody reads what is told any more.
    Unread,
    /// Something comes, or the other end is closed. Only if a byte comes, nothing will be written any more, and lines that have
    /// no end are told too. Meanwhile there may come more to be followed.
    Told(&'a End, &'a Receiver<Begun>),
}

/// A log of which nothing is missed from now on. What there is already is on its shelf, up to the end of a line.
#[derive(Debug)]
pub(super) struct Begun {
    source: Source,
    /// The number of its folder.
    folder: i32,
    shelf: Shelf,
    held: Option<Held>,
}

impl Begun {
    /// Begins to follow this log, by news of its folder.
    pub(super) fn new(news: &Folders, source: Source) -> Result<Self, Failure> {
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

impl<'a> Following<'a> {
    /// Begins with these logs.
    pub(super) fn begin(sources: &[Source], wanted: &'a Wanted) -> Result<Self, Failure> {
        let news = Folders::new().map_err(|error| Failure::failed(format!("cannot follow: {error}")))?;
        let mut following =
            Self { news: Arc::new(news), wanted, pursuits: Vec::new(), owners: Owners::default() };
        for source in sources {
            let begun = Begun::new(&following.news, source.clone())?;
            following.add(begun);
        }
        Ok(following)
    }

    /// By which it hears of what is written.
    pub(super) fn news(&self) -> Arc<Folders> {
        Arc::clone(&self.news)
    }

    fn add(&mut self, begun: Begun) {
        let Begun { source, folder, shelf, held } = begun;
        let (number, wanted) = (self.pursuits.len(), self.wanted);
        let (line, left_behind, time) = (Line::default(), Vec::new(), None);
        self.pursuits.push(Pursuit { number, source, wanted, folder, shelf, held, line, left_behind, time });
    }

    /// What there was when it began.
    pub(super) fn shelves(&self) -> impl Iterator<Item = &Shelf> {
        self.pursuits.iter().map(|pursuit| &pursuit.shelf)
    }

    /// Tells what is written.
    pub(super) fn follow(mut self, teller: &mut Teller, until: Until<'_>) -> Result<(), Failure> {
        let mut block = vec![0; BLOCK];
        self.set_out(0, teller, &mut block)?;
        loop {
            teller.flush();
            let goes_on = self.wait(until).map_err(|error| cannot_follow(&error))?;
            if say::reader_is_gone() || (!goes_on && matches!(until, Until::Unread)) {
                return Ok(());
            }
            let (concerned, gone) = self.take_news().map_err(|error| cannot_follow(&error))?;
            if let Until::Told(_, more) = until {
                // After the news: what these are of is not yet written when it comes to be followed.
                self.take_more(more, teller, &mut block)?;
            }
            for (number, has_appeared) in concerned {
                self.pursuits[number].go_on(has_appeared, teller, &mut block)?;
            }
            if let (false, Until::Told(end, _)) = (goes_on, until) {
                let nothing_comes_any_more = end.nothing_comes();
                for pursuit in &mut self.pursuits {
                    pursuit.go_on(true, teller, &mut block)?;
                    if nothing_comes_any_more {
                        pursuit.end_line(teller);
                    }
                }
                teller.flush();
                return Ok(());
            }
            for folder in gone {
                teller.flush();
                self.let_go(folder, until)?;
            }
        }
    }

    /// Tells what was written since these began: all from this number on.
    fn set_out(&mut self, first: usize, teller: &mut Teller, block: &mut [u8]) -> Result<(), Failure> {
        self.pursuits[first..].iter_mut().try_for_each(|pursuit| {
            pursuit.shelf = Shelf::default();
            pursuit.go_on(true, teller, block)
        })
    }

    /// Takes in what is to be followed too. A log that is followed already goes on as it is described now.
    fn take_more(
        &mut self,
        more: &Receiver<Begun>,
        teller: &mut Teller,
        block: &mut [u8],
    ) -> Result<(), Failure> {
        let first = self.pursuits.len();
        let mut has_changed = false;
        for begun in more.try_iter() {
            match self.pursuits.iter_mut().find(|pursuit| pursuit.follows(&begun)) {
                Some(known) => known.go_over_to(begun),
                None => self.add(begun),
            }
            has_changed = true;
        }
        if has_changed {
            self.owners = Owners::default();
            teller.set_sources(self.pursuits.iter().map(|pursuit| &pursuit.source));
        }
        self.set_out(first, teller, block)
    }

    /// Somebody has removed this folder, and nothing can be heard of its logs any more. That is the end, unless others are followed for
    /// as long as the supervisor runs.
    fn let_go(&self, folder: i32, until: Until<'_>) -> Result<(), Failure> {
        let sentence = "cannot follow any more: somebody has removed the folder of the log";
        if matches!(until, Until::Unread) {
            return Err(Failure::failed(sentence));
        }
        for pursuit in self.pursuits.iter().filter(|pursuit| pursuit.folder == folder) {
            warn!("{sentence} {}", pursuit.source.settings.path.display());
        }
        Ok(())
    }

    /// Waits for news: `false` if it is to end.
    fn wait(&self, until: Until<'_>) -> std::io::Result<bool> {
        self.news.wait(match until {
            Until::Unread => None,
            Until::Told(end, _) => Some(end),
        })
    }

    /// Whom the news concern, and whether files may have appeared; and which folders are gone.
    fn take_news(&mut self) -> std::io::Result<(BTreeMap<usize, bool>, Vec<i32>)> {
        let Self { news, pursuits, owners, .. } = self;
        let (mut concerned, mut gone) = (BTreeMap::new(), Vec::new());
        let mut note = |number: usize, has_appeared: bool| {
            *concerned.entry(number).or_default() |= has_appeared;
        };
        news.take(|news| match news {
            News::Written(folder, name) => {
                owners.of(pursuits, folder, name).iter().for_each(|number| note(*number, false));
            }
            News::Appeared(folder, name) => {
                owners.of(pursuits, folder, name).iter().for_each(|number| note(*number, true));
            }
            News::Unknown => (0..pursuits.len()).for_each(|number| note(number, true)),
            News::Gone(folder) => gone.push(folder),
        })?;
        Ok((concerned, gone))
    }
}

fn cannot_follow(error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot follow: {error}"))
}

/// Whose files are called so: asked once for each name, because there may be thousands of logs.
#[derive(Default)]
struct Owners(HashMap<(i32, OsString), Vec<usize>>);

impl Owners {
    /// The numbers of the logs that have such a file in this folder.
    fn of(&mut self, pursuits: &[Pursuit<'_>], folder: i32, name: &OsStr) -> &[usize] {
        if self.0.len() >= MOST_NAMES + pursuits.len() {
            self.0.clear();
        }
        self.0.entry((folder, name.to_owned())).or_insert_with(|| {
            let owns =
                |pursuit: &&Pursuit<'_>| pursuit.folder == folder && pursuit.source.settings.owns(name);
            pursuits.iter().filter(owns).map(|pursuit| pursuit.number).collect()
        })
    }
}

/// A log that is followed.
struct Pursuit<'a> {
    number: usize,
    source: Source,
    wanted: &'a Wanted,
    /// The number of its folder.
    folder: i32,
    shelf: Shelf,
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

impl Pursuit<'_> {
    /// Whether it follows this log already, be it by another path. Whether names have dates makes them other files.
    fn follows(&self, begun: &Begun) -> bool {
        let (ours, its) = (&self.source.settings, &begun.source.settings);
        let file = self.held.as_ref().and_then(|held| held.file.as_ref());
        let is_same = |file: &File| begun.held.as_ref().is_some_and(|held| is_at(file, &held.stored));
        ours.dated == its.dated && (ours.path == its.path || file.is_some_and(is_same))
    }

    /// Goes on as it is described now.
    fn go_over_to(&mut self, begun: Begun) {
        if self.source.settings.path != begun.source.settings.path {
            self.folder = begun.folder;
            if let (Some(ours), Some(its)) = (&mut self.held, begun.held) {
                (ours.stored, ours.ended) = (its.stored, its.ended);
            }
        }
        self.source = begun.source;
    }

    /// Tells what was written to the file that is read, and to the next ones if some may have appeared.
    fn go_on(&mut self, has_appeared: bool, teller: &mut Teller, block: &mut [u8]) -> Result<(), Failure> {
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
    fn end_line(&mut self, teller: &mut Teller) {
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

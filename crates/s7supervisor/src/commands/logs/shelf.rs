//! The files of a log, as they are at one moment.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use chrono::{DateTime, Utc};
use flate2::bufread::MultiGzDecoder;
use supervisor::{LogSettings, StoredLog};

use super::text::{Lines, Part};
use crate::exit::{Exit, Failure};
use crate::os::files;

/// The files of a log, the oldest first. The newest, which may be renamed at any time, is open.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) volumes: Vec<Volume>,
}

/// A file of a log.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) stored: StoredLog,
    /// What it will be called when it is ended.
    pub(super) ended: StoredLog,
    /// The newest, and up to where it is read.
    pub(super) held: Option<(File, u64)>,
}

/// A file, open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    is_compressed: bool,
    /// Up to where it is read.
    pub(super) end: u64,
    /// When it was written to for the last time.
    pub(super) modified: DateTime<Utc>,
}

impl Shelf {
    /// The files as they are now.
    pub(super) fn look(settings: &LogSettings) -> Result<Self, Failure> {
        let (files, newest) = settings
            .files_with(|files| files.last().map(Volume::open_stored).transpose())
            .map_err(|error| unreadable(&error))?;
        Ok(Self::of(&files, newest.map_err(|error| unreadable(&error))?.flatten()))
    }

    fn of(files: &[StoredLog], newest: Option<Opened>) -> Self {
        let volume = |stored: &StoredLog| Volume {
            stored: stored.clone(),
            ended: stored.once_ended(files),
            held: None,
        };
        let mut volumes: Vec<_> = files.iter().map(volume).collect();
        if let (Some(last), Some(newest)) =
            (volumes.last_mut(), newest.filter(|newest| !newest.is_compressed))
        {
            last.held = Some((newest.file, newest.end));
        }
        Self { volumes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.volumes.is_empty()
    }
}

impl Volume {
    /// Opens it; `None` if it was deleted meanwhile.
    pub(super) fn open(&self) -> Result<Option<Opened>, Failure> {
        let opened = match &self.held {
            Some((file, end)) => file
                .try_clone()
                .and_then(|file| Opened::new(file, false))
                .map(|opened| Some(Opened { end: *end, ..opened })),
            None => Self::open_stored(&self.stored),
        };
        opened.map_err(|error| unreadable(&error))
    }

    /// Opens the file, or what it was compressed to meanwhile.
    pub(super) fn open_stored(stored: &StoredLog) -> io::Result<Option<Opened>> {
        for stored in [stored, &stored.compressed()] {
            match stored.open() {
                Ok(file) => return Opened::new(file, stored.is_compressed()).map(Some),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

impl Opened {
    fn new(file: File, is_compressed: bool) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { file, is_compressed, end: metadata.len(), modified: metadata.modified()?.into() })
    }

    /// Whether it is the file that is called so now.
    pub(super) fn is_at(&self, stored: &StoredLog) -> bool {
        is_at(&self.file, stored)
    }

    /// The file itself, where lines can be found from its end.
    pub(super) fn plain(&self) -> Option<&File> {
        (!self.is_compressed).then_some(&self.file)
    }

    /// The same, given away.
    pub(super) fn into_plain(self) -> Result<File, Self> {
        if self.is_compressed { Err(self) } else { Ok(self.file) }
    }

    /// Its text, read so much at once.
    pub(super) fn text(self, buffer: usize) -> Box<dyn BufRead> {
        let part = Part { file: self.file, position: 0, end: self.end };
        if self.is_compressed {
            Box::new(BufReader::with_capacity(
                buffer,
                MultiGzDecoder::new(BufReader::with_capacity(buffer, part)),
            ))
        } else {
            Box::new(BufReader::with_capacity(buffer, part))
        }
    }

    /// Its lines from there on.
    pub(super) fn lines(self, offset: u64, buffer: usize) -> io::Result<Lines> {
        if self.is_compressed {
            let mut lines = Lines::of(self.text(buffer));
            lines.skip(offset)?;
            return Ok(lines);
        }
        let part = Part { file: self.file, position: offset, end: self.end };
        Ok(Lines::of(Box::new(BufReader::with_capacity(buffer, part.take(u64::MAX)))))
    }
}

/// Whether this is the file that is called so now.
pub(super) fn is_at(file: &File, stored: &StoredLog) -> bool {
    files::is_at(file, stored.path())
}

/// A file or folder that cannot be read; the error names it.
pub(super) fn unreadable(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let advice = "use root or the account that runs the supervisor";
            Failure::new(Exit::Unknown, format!("{error}; {advice}"))
        }
        _ => Failure::failed(error.to_string()),
    }
}

//! The journal for those who read it while it is being written: a line at a time, in little memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::past;
use crate::os::Folder;
use crate::wire::{EventDocument, What};

/// No line of ours is longer.
const LONGEST: u64 = 1 << 20;

/// Reads the journal of a supervisor that runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    folder: Arc<Folder>,
    began: SystemTime,
    progress: Arc<Progress>,
}

/// How far the journal has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    place: Mutex<Place>,
    more: Condvar,
}

/// Where it has come to.
#[derive(Debug, Default)]
struct Place {
    /// The number of the last event that it knows of.
    last: u64,
    /// Whether that, and some before it maybe, could not be written yet.
    is_missing: bool,
}

impl Progress {
    pub(super) fn note(&self, last: u64, is_missing: bool) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Place { last, is_missing };
        self.more.notify_all();
    }
}

impl Reader {
    pub(super) fn new(folder: Folder, began: SystemTime, progress: Arc<Progress>) -> Self {
        Self { folder: Arc::new(folder), began, progress }
    }

    /// When the journal began, by the wall clock as it was then.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// Waits until it knows of the event of this number, no longer than `limit`. Whether that is written.
    pub(crate) fn has_come_to(&self, seq: u64, limit: Duration) -> bool {
        let place = self.progress.place.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.progress.more.wait_timeout_while(place, limit, |place| place.last < seq);
        let (place, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out() && !place.is_missing
    }

    /// All its lines, as far as there are any now.
    pub(crate) fn lines(&self) -> io::Result<Lines> {
        let files = past::open_both(&self.folder)?.into_iter().map(|file| {
            let length = file.metadata()?.len();
            Ok(BufReader::new(file.take(length)))
        });
        let mut files = files.collect::<io::Result<Vec<_>>>()?;
        files.reverse();
        Ok(Lines { files, line: Vec::new() })
    }
}

/// The lines of the journal, the oldest first.
pub(crate) struct Lines {
    /// What is still to be read, the last one first.
    files: Vec<BufReader<Take<File>>>,
    line: Vec<u8>,
}

impl Lines {
    /// The next one that makes sense, as it stands there and what it says.
    pub(crate) fn next(&mut self) -> io::Result<Option<(&str, EventDocument)>> {
        loop {
            let Some(file) = self.files.last_mut() else { return Ok(None) };
            self.line.clear();
            if file.take(LONGEST).read_until(b'\n', &mut self.line)? == 0 {
                self.files.pop();
                continue;
            }
            // What is torn or foreign is passed over.
            let line = std::str::from_utf8(self.line.trim_ascii_end()).ok();
            if let Some(document) = line.and_then(|line| serde_json::from_str(line).ok()) {
                break self.told(document);
            }
        }
    }

    fn told(&self, document: EventDocument) -> io::Result<Option<(&str, EventDocument)>> {
        Ok(std::str::from_utf8(self.line.trim_ascii_end()).ok().map(|line| (line, document)))
    }
}

/// By what the life of a supervisor is told from others, where this event is its beginning: when that was, in milliseconds.
pub(crate) fn life_of(document: &EventDocument) -> Option<u64> {
    match document.what {
        What::SupervisorStarted { .. } => document.at().map(life),
        _ => None,
    }
}

/// Likewise of a supervisor that began then.
pub(crate) fn life(began: SystemTime) -> u64 {
    let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

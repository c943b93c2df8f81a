//! The journal: what happened and why, one [`EventDocument`] a line, in a file that outlives the supervisor.
//!
//! ```text
//! supervision ──bounded queue──▶ thread `journal` ──whole lines──▶ journal.jsonl ──4 MiB──▶ journal.jsonl.1
//! ```
//!
//! Nothing that happens to the file holds supervision up: the thread has its own queue, and what does not fit there, or
//! cannot be written, is counted. The count stands in the journal, as a `lost`, at the place where it is missing, and
//! in [`Trouble`] while the file cannot be written. Nobody looks whether it can be again: the next event tries.
//!
//! - `book`: the file, appended to, mended and rolled over
//! - `sparing`: what is not written down
//! - `past`: what can be read of it, also while no supervisor runs
//! - `reader`: the same while it is being written, a line at a time

mod book;
mod past;
mod reader;
mod sparing;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, bounded};
use supervisor::{Event, EventKind};

pub use self::past::{Entry, Past};
pub use self::reader::Reader;
pub(crate) use self::reader::{Lines, life, life_of};
pub use crate::os::Folder;

use self::book::Book;
use self::reader::Progress;
use self::sparing::Sparing;
use crate::wire::{EventDocument, Numbering, UpgradeDocument, What, wall_clock};

/// The journal in the `temp` folder.
pub const FILE: &str = "journal.jsonl";
/// What went before it.
pub const OLD_FILE: &str = "journal.jsonl.1";

/// The size at which the journal becomes the old one, before the line that would pass it.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// So much is written at once where much happens.
const BATCH: usize = 64 * 1024;
/// After so many events, what there is of a batch is written, even if most were left out.
const MOST: usize = 1_000;

/// Keeps the journal, in a thread of its own named `journal`, until the supervisor ends.
pub struct Journal {
    trouble: Trouble,
    reader: Reader,
    began: SystemTime,
    /// Disconnected when the last line has been written.
    written: Receiver<()>,
}

/// What the journal says of the supervisor when it begins.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// Its version.
    pub version: String,
    /// The registry that it was started with.
    pub registry: Option<String>,
    /// The upgrade by which it came to be, or which has not come to be.
    pub upgrade: Option<UpgradeDocument>,
}

/// What is wrong with the journal, if anything. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Trouble(Arc<Mutex<Option<String>>>);

impl Journal {
    /// Keeps the journal in this folder, which must be private. `events` must have been there from the very beginning:
    /// see [`supervisor::Builder::subscribe`].
    ///
    /// A file that cannot be written is no error but a [`Trouble`].
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(folder: Folder, events: Receiver<Event>, header: &Header) -> io::Result<Self> {
        let trouble = Trouble::default();
        let progress = Arc::new(Progress::default());
        let reader = Reader::new(folder.try_clone()?, wall_clock(), Arc::clone(&progress));
        let mut book = Book::new(folder, MAX_SIZE, trouble.clone());
        let began = reader.began();
        let beginning = beginning(header, began);
        let (writing, written) = bounded::<()>(0);
        #[expect(clippy::disallowed_methods, reason = "a slow disk must hold up nobody")]
        let _detached = std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            keep(&mut book, &events, &beginning, &progress);
            drop(writing);
        })?;
        Ok(Self { trouble, reader, began, written })
    }

    /// What is wrong with it, now and later.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// For whoever reads it meanwhile.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// When it began, by the wall clock as it was then: what its `supervisorStarted` says.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// Waits until the end of the supervisor is written down, no longer than `limit`: a disk may hang.
    pub fn finish(self, limit: Duration) {
        // Nothing is ever sent: it is disconnected, or the time is over.
        let _ = self.written.recv_timeout(limit);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("trouble", &self.trouble.now()).finish_non_exhaustive()
    }
}

impl Trouble {
    /// What is wrong at this moment, as a sentence.
    #[must_use]
    pub fn now(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Lines that are written together.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    count: u64,
    last: u64,
}

impl Batch {
    fn of(document: &EventDocument) -> Self {
        let mut batch = Self::default();
        batch.add(document);
        batch
    }

    fn add(&mut self, document: &EventDocument) {
        let before = self.bytes.len();
        match serde_json::to_writer(&mut self.bytes, document) {
            Ok(()) => self.bytes.push(b'\n'),
            // No document has what JSON cannot say; were there one, it would be missed by its number.
            Err(_) => self.bytes.truncate(before),
        }
        self.count += 1;
        self.last = document.seq;
    }
}

/// Writes down what happens until nothing more can.
fn keep(book: &mut Book, events: &Receiver<Event>, beginning: &EventDocument, progress: &Progress) {
    book.write(&Batch::of(beginning));
    progress.note(0, book.is_behind());
    let mut numbering = Numbering::default();
    let mut sparing = Sparing::default();
    let mut is_left = false;
    while let Ok(first) = events.recv() {
        let mut batch = Batch::default();
        for event in std::iter::once(first).chain(events.try_iter()).take(MOST) {
            is_left |= matches!(event.kind, EventKind::Requested { verb: "leave", .. });
            // What is left out has its number all the same.
            let document = numbering.document(&event);
            if sparing.is_worth_a_line(&event) {
                batch.add(&document);
            }
            if batch.bytes.len() >= BATCH {
                break;
            }
        }
        if batch.count > 0 {
            book.write(&batch);
        }
        progress.note(numbering.count, book.is_behind());
    }
    if is_left {
        // Another one goes on, and says so.
        return;
    }
    let pid = std::process::id();
    let text = format!("the supervisor ended, pid {pid}");
    let seq = numbering.count + 1;
    let ended = EventDocument::of_supervisor(What::SupervisorEnded { pid }, seq, wall_clock(), text);
    book.write(&Batch::of(&ended));
}

fn beginning(header: &Header, began: SystemTime) -> EventDocument {
    let (pid, version, registry) = (std::process::id(), header.version.clone(), header.registry.clone());
    let of = registry.as_ref().map(|registry| format!(", registry {registry}")).unwrap_or_default();
    let upgrade = header.upgrade.clone();
    let text = match &upgrade {
        None => format!("the supervisor started, version {version}, pid {pid}{of}"),
        Some(UpgradeDocument { from, by, failure: None, .. }) => {
            format!("the supervisor was upgraded from version {from} to {version} by {by}, pid {pid}{of}")
        }
        Some(UpgradeDocument { to, by, failure: Some(why), .. }) => {
            format!(
                "the supervisor stays version {version}, pid {pid}: the upgrade to {to} by {by} failed: {why}"
            )
        }
    };
    EventDocument::of_supervisor(What::SupervisorStarted { pid, version, registry, upgrade }, 0, began, text)
}

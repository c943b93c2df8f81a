//! The journal as it can be read: by whoever may, whether its supervisor runs or not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem;

use super::{FILE, MAX_SIZE, OLD_FILE};
use crate::os::Folder;
use crate::wire::EventDocument;

/// What the journal tells of the past.
#[derive(Clone, Debug, Default)]
pub struct Past {
    old: Vec<u8>,
    new: Vec<u8>,
}

/// A line of the journal.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// As it stands there.
    pub line: &'a str,
    /// What it says.
    pub document: EventDocument,
}

impl Past {
    /// Reads the journal in this folder, following no links. Where there is none, nothing is known of the past.
    ///
    /// # Errors
    /// It cannot be read, for want of permission for instance.
    pub fn read(folder: &Folder) -> io::Result<Self> {
        Self::read_end(folder, u64::MAX)
    }

    /// Reads no more than so many bytes of its end, for whoever must not take long; the first line may be torn then.
    ///
    /// # Errors
    /// As [`Past::read`].
    pub fn read_end(folder: &Folder, limit: u64) -> io::Result<Self> {
        let [old, new] = both(folder)?;
        let content =
            |file: Option<File>, limit| file.map_or_else(|| Ok(Vec::new()), |file| content(file, limit));
        let new = content(new, limit)?;
        let old = content(old, limit - new.len() as u64)?;
        Ok(Self { old, new })
    }

    /// Whether it knows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// All that can be read, the oldest first; from the other end, the newest first. Each line is looked at when its
    /// turn comes. What is torn or makes no sense is passed over.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        self.lines().filter_map(Entry::read)
    }

    /// Likewise, but only what concerns this component, or the supervisor as a whole: the rest costs next to nothing.
    pub fn entries_about(&self, component: &str) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        let its = memmem::Finder::new(&format!("\"component\":\"{component}\"")).into_owned();
        let of_all = memmem::Finder::new("\"component\":null");
        let concerns = move |line: &&[u8]| its.find(line).is_some() || of_all.find(line).is_some();
        self.lines().filter(concerns).filter_map(Entry::read)
    }

    fn lines(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let newline = |byte: &u8| *byte == b'\n';
        self.old.split(newline).chain(self.new.split(newline))
    }
}

impl<'a> Entry<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        Some(Self { line, document: serde_json::from_str(line).ok()? })
    }
}

/// The files that there are, the older one first.
pub(super) fn open_both(folder: &Folder) -> io::Result<Vec<File>> {
    Ok(both(folder)?.into_iter().flatten().collect())
}

fn both(folder: &Folder) -> io::Result<[Option<File>; 2]> {
    // The new one first: should it become the old one meanwhile, it is found twice instead of not at all.
    let new = folder.open_to_read(FILE)?;
    let old = folder.open_to_read(OLD_FILE)?;
    let old = old.filter(|(_, its)| new.as_ref().is_none_or(|(_, new)| new != its));
    Ok([old, new].map(|file| file.map(|(file, _)| file)))
}

/// The file; of one that is larger than any of ours, or than `limit`, the end.
fn content(mut file: File, limit: u64) -> io::Result<Vec<u8>> {
    let limit = limit.min(2 * MAX_SIZE);
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(limit)).unwrap_or_default());
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

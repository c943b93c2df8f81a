//! The journal's file: whole lines are appended, a torn one is mended, what is too large is rolled over.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use super::{Batch, FILE, OLD_FILE, Trouble};
use crate::os::{self, Folder};
use crate::wire::{EventDocument, What, wall_clock};

/// The file, and what could not be written into it.
pub(super) struct Book {
    folder: Folder,
    max_size: u64,
    open: Option<Open>,
    missing: Option<Missing>,
    trouble: Trouble,
}

/// Lines that could not be written.
struct Missing {
    count: u64,
    /// The number of the last one.
    last: u64,
    /// Why the first one could not.
    reason: String,
}

impl Book {
    /// The journal in this folder. Nothing is touched yet.
    pub(super) fn new(folder: Folder, max_size: u64, trouble: Trouble) -> Self {
        Self { folder, max_size, open: None, missing: None, trouble }
    }

    /// Appends these lines, and before them what is missing there, if anything is. If that is not possible, they are
    /// missing too.
    pub(super) fn write(&mut self, batch: &Batch) {
        let marked = self.missing.as_ref().map(|missing| [&missing.line(), &batch.bytes[..]].concat());
        match self.append(marked.as_deref().unwrap_or(&batch.bytes)) {
            Ok(()) => {
                if self.missing.take().is_some() {
                    self.trouble.set(None);
                }
            }
            Err(error) => {
                let reason = reason(&error);
                let missing = self.missing.get_or_insert(Missing { count: 0, last: 0, reason });
                missing.count += batch.count;
                missing.last = batch.last;
                self.trouble.set(Some(missing.sentence()));
            }
        }
    }

    /// Whether there is something that could not be written yet.
    pub(super) fn is_behind(&self) -> bool {
        self.missing.is_some()
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) if open.is_still_in(&self.folder) => open,
            _ => Open::in_folder(&self.folder)?,
        };
        if open.length > 0 && open.length + lines.len() as u64 > self.max_size {
            self.folder.rename(FILE, OLD_FILE)?;
            open = Open::in_folder(&self.folder)?;
        }
        if let Err(error) = open.file.write_all(lines) {
            // What has been written of them is torn. If it cannot be cut off now, the next one to open it will.
            let _ = open.file.set_len(open.length);
            return Err(error);
        }
        open.length += lines.len() as u64;
        self.open = Some(open);
        Ok(())
    }
}

impl Missing {
    /// Says in the journal that they are missing.
    fn line(&self) -> Vec<u8> {
        let what = What::Lost { count: self.count, reason: self.reason.clone() };
        let text = format!("{} events are missing here: {}", self.count, self.reason);
        Batch::of(&EventDocument::of_supervisor(what, self.last, wall_clock(), text)).bytes
    }

    /// Says to people that they are.
    fn sentence(&self) -> String {
        let Self { count, reason, .. } = self;
        format!(
            "{FILE} in the temp folder cannot be written ({count} events are missing): {reason}; it is tried again \
             with the next event"
        )
    }
}

/// "No space left on device (os error 28)": the number tells people nothing.
fn reason(error: &io::Error) -> String {
    let reason = error.to_string();
    reason.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The open file.
struct Open {
    file: File,
    /// So much of it are whole lines.
    length: u64,
}

impl Open {
    /// Opens it, following no link, and makes it if it is not there. What a crash has torn is cut off.
    fn in_folder(folder: &Folder) -> io::Result<Self> {
        let mut file = folder.open_private(FILE)?;
        let there = file.metadata()?.len();
        let length = whole_lines(&file, there)?;
        if length < there {
            file.set_len(length)?;
        }
        // Where files are not appended to by themselves, it is written from there on.
        file.seek(SeekFrom::Start(length))?;
        Ok(Self { file, length })
    }

    /// Whether the name still means this file: somebody may have removed it.
    fn is_still_in(&self, folder: &Folder) -> bool {
        folder.has(FILE, &self.file)
    }
}

/// How much of the file are whole lines: all of it, unless a crash has torn the last one.
fn whole_lines(file: &File, length: u64) -> io::Result<u64> {
    const STEP: u64 = 4096;
    let mut end = length;
    let mut buffer = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        buffer.resize(usize::try_from(end - start).unwrap_or_default(), 0);
        os::read_exact_at(file, &mut buffer, start)?;
        if let Some(place) = buffer.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::Past;
    use super::*;
    use std::path::PathBuf;

    /// A book in a folder of its own.
    struct Library {
        folder: tempfile::TempDir,
        book: Book,
    }

    impl Library {
        fn with_limit(max_size: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let book = Book::new(descriptor(&folder), max_size, Trouble::default());
            Self { folder, book }
        }

        fn write(&mut self, seq: u64) {
            self.book.write(&Batch::of(&document(seq)));
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// The numbers of all events that can be read, and how many each `lost` counts.
        fn read(&self) -> Vec<(u64, u64)> {
            let folder = descriptor(&self.folder);
            let past = Past::read(&folder).unwrap();
            let lost = |what: &What| if let What::Lost { count, .. } = what { *count } else { 0 };
            past.entries().map(|entry| (entry.document.seq, lost(&entry.document.what))).collect()
        }
    }

    fn descriptor(folder: &tempfile::TempDir) -> Folder {
        Folder::open(folder.path()).unwrap()
    }

    fn document(seq: u64) -> EventDocument {
        EventDocument::of_supervisor(What::Reset, seq, wall_clock(), "x".repeat(100))
    }

    #[test]
    fn the_journal_is_private_and_never_larger_than_two_files_of_its_size() {
        let mut library = Library::with_limit(1_000);
        for seq in 1..=100 {
            library.write(seq);
        }
        for name in [FILE, OLD_FILE] {
            let metadata = library.path(name).metadata().unwrap();
            assert!(metadata.len() <= 1_000, "{name}: {}", metadata.len());
            #[cfg(unix)]
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777, 0o600);
        }
        assert_eq!(std::fs::read_dir(library.folder.path()).unwrap().count(), 2);
        let read: Vec<_> = library.read().into_iter().map(|(seq, _)| seq).collect();
        let first = read[0];
        assert_eq!(read, (first..=100).collect::<Vec<_>>(), "the newest, in order, without a gap");
        assert!(read.len() > 4, "{read:?}");
    }

    #[test]
    fn a_line_torn_by_a_crash_is_skipped_by_readers_and_mended_by_the_next_writer() {
        for torn in ["{\"torn\":", &"x".repeat(10_000)] {
            let mut library = Library::with_limit(1_000_000);
            library.write(1);
            File::options()
                .append(true)
                .open(library.path(FILE))
                .unwrap()
                .write_all(torn.as_bytes())
                .unwrap();
            assert_eq!(library.read(), [(1, 0)]);

            library.book = Book::new(descriptor(&library.folder), 1_000_000, Trouble::default());
            library.write(2);
            assert_eq!(library.read(), [(1, 0), (2, 0)]);
            assert!(!std::fs::read_to_string(library.path(FILE)).unwrap().contains(torn));
        }
        let mut library = Library::with_limit(1_000);
        std::fs::write(library.path(FILE), "nothing but a torn line").unwrap();
        library.write(1);
        assert_eq!(library.read(), [(1, 0)]);
    }

    #[test]
    #[cfg(unix)]
    fn what_takes_its_place_is_neither_followed_nor_written_and_when_it_is_gone_the_journal_goes_on() {
        let mut library = Library::with_limit(1_000_000);
        std::fs::write(library.path("victim"), "untouched").unwrap();
        std::os::unix::fs::symlink("victim", library.path(FILE)).unwrap();
        library.write(1);
        library.write(2);
        assert!(library.book.trouble.now().is_some());
        assert_eq!(std::fs::read_to_string(library.path("victim")).unwrap(), "untouched");

        std::fs::remove_file(library.path(FILE)).unwrap();
        rustix::fs::mkfifoat(&library.book.folder, FILE, rustix::fs::Mode::RWXU).unwrap();
        library.write(3);
        assert!(library.book.trouble.now().unwrap().contains("3 events"));

        std::fs::remove_file(library.path(FILE)).unwrap();
        library.write(4);
        assert_eq!(library.read(), [(3, 3), (4, 0)]);
        assert_eq!(library.book.trouble.now(), None);
    }

    #[test]
    fn a_journal_that_somebody_removes_is_begun_anew() {
        let mut library = Library::with_limit(1_000_000);
        library.write(1);
        std::fs::remove_file(library.path(FILE)).unwrap();
        library.write(2);
        assert_eq!(library.read(), [(2, 0)]);
    }
}

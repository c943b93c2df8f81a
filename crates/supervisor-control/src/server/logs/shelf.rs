//! The files of a log: their last lines, and from one to the next.

use std::fs::File;
use std::io;

use supervisor::{LogSettings, StoredLog};

use super::Mark;
use crate::os;

/// So much is read at once.
const BLOCK: usize = 64 << 10;

/// So many bytes are told of the past at most: the newest.
const LARGEST: usize = 1 << 20;

/// The file that is being read, and how much of it was told: lines alone, so that what has no end yet is read again.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    held: Option<(File, u64)>,
}

/// A line, and where whoever has it goes on.
pub(super) type Line = (Mark, Vec<u8>);

impl Shelf {
    /// What is written from now on, and the last lines of what was. Files that are compressed are not read.
    pub(super) fn last(settings: &LogSettings, count: usize) -> io::Result<(Self, Vec<Line>)> {
        settings.files_with(|files| Self::last_of(files, count))?.1
    }

    fn last_of(files: &[StoredLog], count: usize) -> io::Result<(Self, Vec<Line>)> {
        let (mut shelf, mut parts, mut found, mut length) = (Self::default(), Vec::new(), 0, 0);
        for stored in files.iter().rev().filter(|stored| !stored.is_compressed()) {
            let Some(file) = opened(stored)? else { continue };
            let id = os::id_of(&file)?;
            let (lines, end) = last_of(&file, count - found, LARGEST - length)?;
            found += lines.len();
            length += lines.iter().map(|(_, line)| line.len() + 1).sum::<usize>();
            parts.push(
                lines.into_iter().map(|(offset, line)| (Mark { file: id, offset }, line)).collect::<Vec<_>>(),
            );
            shelf.held.get_or_insert((file, end));
            if found >= count || length >= LARGEST {
                break;
            }
        }
        parts.reverse();
        Ok((shelf, parts.concat()))
    }

    /// What is written behind that place; `None`, if that is not there any more.
    pub(super) fn after(settings: &LogSettings, mark: Mark) -> io::Result<Option<Self>> {
        settings.files_with(|files| Self::after_in(files, mark))?.1
    }

    fn after_in(files: &[StoredLog], mark: Mark) -> io::Result<Option<Self>> {
        for stored in files.iter().rev().filter(|stored| !stored.is_compressed()) {
            let Some(file) = opened(stored)? else { continue };
            if os::id_of(&file)? == mark.file && file.metadata()?.len() >= mark.offset {
                return Ok(Some(Self { held: Some((file, mark.offset)) }));
            }
        }
        Ok(None)
    }

    /// The file that is read.
    pub(super) fn file(&self) -> Option<&File> {
        self.held.as_ref().map(|(file, _)| file)
    }

    /// The next lines of the file, up to some size; none: that was all so far. Of a line that is longer than all that is
    /// read at once, the pieces are told.
    pub(super) fn read(&mut self) -> io::Result<Vec<Line>> {
        let Some((file, told)) = &mut self.held else { return Ok(Vec::new()) };
        let id = os::id_of(file)?;
        if file.metadata()?.len() < *told {
            // Somebody has cut it.
            *told = 0;
        }
        let mut block = vec![0; BLOCK];
        let length = os::read_at(file, &mut block, *told)?;
        let end = match block[..length].iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => newline + 1,
            None if length == BLOCK => length,
            None => return Ok(Vec::new()),
        };
        let mut lines = Vec::new();
        for line in block[..end].split_inclusive(|byte| *byte == b'\n') {
            *told += line.len() as u64;
            let mark = Mark { file: id, offset: *told };
            lines.push((mark, line.strip_suffix(b"\n").unwrap_or(line).to_vec()));
        }
        Ok(lines)
    }

    /// The file after the one that is read. `None`: there is none yet.
    pub(super) fn next(&self, settings: &LogSettings) -> io::Result<Option<Next>> {
        settings.files_with(|files| self.next_of(files))?.1
    }

    fn next_of(&self, files: &[StoredLog]) -> io::Result<Option<Next>> {
        let held = self.held.as_ref().map(|(file, _)| os::id_of(file)).transpose()?;
        let is_at = |id, stored: &StoredLog| os::id_at(stored.path()).is_ok_and(|its| its == id);
        let place = held.and_then(|id| files.iter().rposition(|stored| is_at(id, stored)));
        let is_known = place.is_some() || self.held.is_none();
        // What stands before the one that is read now is gone, or was compressed: then only the newest is sure to be later.
        let newest =
            files.last().filter(|newest| !newest.is_ended()).map_or(files.len(), |_| files.len() - 1);
        let later = &files[if is_known { place.map_or(0, |place| place + 1) } else { newest }..];
        let skipped = !is_known || later.iter().any(StoredLog::is_compressed);
        for stored in later.iter().filter(|stored| !stored.is_compressed()) {
            if let Some(file) = opened(stored)? {
                return Ok(Some(Next { file, skipped }));
            }
        }
        Ok(None)
    }

    /// Goes on with the file after the one that is read, once that was read to its end.
    pub(super) fn advance(&mut self, next: Next) -> io::Result<Advanced> {
        let left_behind = self.unfinished()?;
        self.held = Some((next.file, 0));
        Ok(Advanced { left_behind, skipped: next.skipped })
    }

    fn unfinished(&self) -> io::Result<Option<Line>> {
        let Some((file, told)) = &self.held else { return Ok(None) };
        let mut block = vec![0; BLOCK];
        let length = os::read_at(file, &mut block, *told)?;
        block.truncate(length);
        let mark = Mark { file: os::id_of(file)?, offset: *told + length as u64 };
        Ok((length > 0).then_some((mark, block)))
    }
}

/// The file that comes after another.
pub(super) struct Next {
    file: File,
    skipped: bool,
}

/// Another file is read from now on.
pub(super) struct Advanced {
    /// What stands at the end of the one before.
    pub(super) left_behind: Option<Line>,
    /// Whether files in between were not read.
    pub(super) skipped: bool,
}

/// `None`: it was deleted or renamed meanwhile.
fn opened(stored: &StoredLog) -> io::Result<Option<File>> {
    match stored.open() {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A line of a file, and where that ends.
type Ended = (u64, Vec<u8>);

/// The last whole lines of a file, and where the last of all ends.
fn last_of(file: &File, count: usize, most: usize) -> io::Result<(Vec<Ended>, u64)> {
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(most as u64);
    let mut text = vec![0; usize::try_from(length - begin).unwrap_or(most)];
    let mut position = text.len();
    // From the end, until there are enough: one newline more than lines.
    let mut newlines = 0;
    while position > 0 && newlines <= count {
        let step = position.min(BLOCK);
        let part = &mut text[position - step..position];
        os::read_exact_at(file, part, begin + (position - step) as u64)?;
        newlines += part.iter().filter(|byte| **byte == b'\n').count();
        position -= step;
    }
    let (text, begin) = (&text[position..], begin + position as u64);
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let mut end = begin;
    let mut lines: Vec<_> = text[..whole]
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            end += line.len() as u64;
            (end, line.strip_suffix(b"\n").unwrap_or(line).to_vec())
        })
        .collect();
    // The first may have begun before; all that it lacks is its beginning.
    let surplus = lines.len().saturating_sub(count);
    lines.drain(..surplus);
    let whole_end =
        if whole == 0 { if position == 0 && begin == 0 { 0 } else { length } } else { begin + whole as u64 };
    Ok((lines, whole_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(files: &[(&str, &str)]) -> (tempfile::TempDir, LogSettings) {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        let settings = LogSettings::new(folder.path().join("ps.log"));
        (folder, settings)
    }

    fn texts(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|(_, line)| String::from_utf8(line.clone()).unwrap()).collect()
    }

    #[test]
    fn the_last_lines_are_told_over_several_files_and_what_has_no_end_is_not() {
        let (_folder, settings) = log(&[("ps.log.1", "a\nb\n"), ("ps.log", "c\nd\nhalf")]);
        let last = |count| texts(&Shelf::last(&settings, count).unwrap().1);
        assert_eq!(last(0), [""; 0]);
        assert_eq!(last(1), ["d"]);
        assert_eq!(last(3), ["b", "c", "d"]);
        assert_eq!(last(9), ["a", "b", "c", "d"]);
        let (mut shelf, _) = Shelf::last(&settings, 1).unwrap();
        std::fs::write(settings.path.clone(), "c\nd\nhalf a line\ne\n").unwrap();
        assert_eq!(texts(&shelf.read().unwrap()), ["half a line", "e"]);
        assert!(shelf.read().unwrap().is_empty());
    }

    #[test]
    fn many_long_lines_are_bounded_and_the_newest_are_told() {
        let line = "x".repeat(1000);
        let text = (0..5_000).map(|number| format!("{number} {line}\n")).collect::<String>();
        let (_folder, settings) = log(&[("ps.log", &text)]);
        let lines = texts(&Shelf::last(&settings, 10_000).unwrap().1);
        assert!(lines.len() > 900 && lines.len() < 1_100, "{}", lines.len());
        assert!(lines.last().unwrap().starts_with("4999 "));
        assert_eq!(texts(&Shelf::last(&settings, 2).unwrap().1).len(), 2);
    }

    #[test]
    fn a_file_that_is_ended_is_read_to_its_end_and_then_the_next_one() {
        let (folder, settings) = log(&[("ps.log", "a\n")]);
        let (mut shelf, _) = Shelf::last(&settings, 1).unwrap();
        std::fs::write(settings.path.clone(), "a\nb\ntorn").unwrap();
        std::fs::rename(&settings.path, folder.path().join("ps.log.1")).unwrap();
        assert!(shelf.next(&settings).unwrap().is_none());
        std::fs::write(&settings.path, "c\n").unwrap();
        assert_eq!(texts(&shelf.read().unwrap()), ["b"]);
        let next = shelf.next(&settings).unwrap().unwrap();
        let advanced = shelf.advance(next).unwrap();
        assert_eq!(
            (texts(&[advanced.left_behind.unwrap()]), advanced.skipped),
            (vec!["torn".to_owned()], false)
        );
        assert_eq!(texts(&shelf.read().unwrap()), ["c"]);
        assert!(shelf.next(&settings).unwrap().is_none());
    }

    #[test]
    fn whoever_was_away_goes_on_where_it_was_also_in_a_file_that_was_renamed() {
        let (folder, settings) = log(&[("ps.log", "a\nb\n")]);
        let (_, lines) = Shelf::last(&settings, 2).unwrap();
        std::fs::rename(&settings.path, folder.path().join("ps.log.1")).unwrap();
        std::fs::write(&settings.path, "c\n").unwrap();
        let mut shelf = Shelf::after(&settings, lines[0].0).unwrap().unwrap();
        assert_eq!(texts(&shelf.read().unwrap()), ["b"]);
        std::fs::remove_file(folder.path().join("ps.log.1")).unwrap();
        assert!(Shelf::after(&settings, lines[0].0).unwrap().is_none());
        let next = shelf.next(&settings).unwrap().unwrap();
        assert!(shelf.advance(next).unwrap().skipped, "nobody knows what was in between");
        assert_eq!(texts(&shelf.read().unwrap()), ["c"]);
    }
}

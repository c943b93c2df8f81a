//! From where on the lines of a log are told: found from its end, so that what is not told costs nothing.

use std::io;
use std::ops::ControlFlow;

use chrono::{DateTime, Utc};

use super::Wanted;
use super::line::Writer;
use super::shelf::{Opened, Shelf, unreadable};
use super::text;
use crate::exit::Failure;

/// How far before the first line that is told its time is looked for, if it has none itself.
const LOOK_BACK: u64 = 1 << 20;

/// So much of a compressed file is read at once.
const BUFFER: usize = 64 << 10;

/// Where the first line stands that is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// The how manieth file.
    pub(super) volume: usize,
    /// Where in its text.
    pub(super) offset: u64,
    /// How many lines that would be told are left out from there.
    pub(super) skip: u64,
    /// How many lines are told, where that is limited.
    pub(super) count: u64,
    /// The time of the line before.
    pub(super) time: Option<DateTime<Utc>>,
}

/// Where the lines of this log begin that are wanted; `None`: there are none.
pub(super) fn find(shelf: &Shelf, writer: &Writer, wanted: &Wanted) -> Result<Option<Start>, Failure> {
    let left = wanted.count.unwrap_or(u64::MAX);
    let mut search = Search { writer, wanted, left, is_over: false, start: None, doubtful: None };
    for (number, volume) in shelf.volumes.iter().enumerate().rev() {
        if search.is_over || search.left == 0 {
            break;
        }
        let Some(opened) = volume.open()? else { continue };
        // What was written before is older still.
        if wanted.is_before(opened.modified) {
            break;
        }
        search.look_through(number, opened).map_err(|error| {
            unreadable(&io::Error::new(
                error.kind(),
                format!("cannot read {}: {error}", volume.stored.path().display()),
            ))
        })?;
    }
    search.believe();
    Ok(search.start)
}

struct Search<'a> {
    writer: &'a Writer,
    wanted: &'a Wanted,
    /// How many lines there may be before those that were found.
    left: u64,
    /// A line was found that is too old.
    is_over: bool,
    start: Option<Start>,
    /// Likewise, with lines before it that have no time of their own: that of the line before those is not known yet.
    doubtful: Option<Start>,
}

impl Search<'_> {
    fn look_through(&mut self, volume: usize, opened: Opened) -> io::Result<()> {
        match opened.plain() {
            Some(file) => text::backwards(file, opened.end, {
                let mut looked = 0;
                move |line, offset| self.step_back(volume, line, offset, &mut looked)
            }),
            None => self.go_through(volume, opened),
        }
    }

    /// Looks at the line before those that were looked at.
    fn step_back(&mut self, volume: usize, line: &[u8], offset: u64, looked: &mut u64) -> ControlFlow<()> {
        let told = self.writer.read(line);
        if let Some(time) = told.time.filter(|&time| self.wanted.is_before(time)) {
            // What has no time of its own belongs to the line before, and is as old.
            (self.is_over, self.doubtful) = (true, None);
            self.note_time(volume, time);
            return ControlFlow::Break(());
        }
        if self.left == 0 {
            // All were found: only the time is looked for that the first one has from a line before.
            *looked += line.len() as u64 + 1;
            if let Some(time) = told.time {
                self.note_time(volume, time);
            }
            let is_enough = told.time.is_some() || *looked > LOOK_BACK;
            return if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        }
        let is_limited = self.wanted.count.is_some();
        if is_limited && !self.wanted.concerns(&told) {
            if told.time.is_some() {
                self.believe();
            }
            return ControlFlow::Continue(());
        }
        let found = Start { volume, offset, skip: 0, count: self.count() + 1, time: None };
        self.left -= u64::from(is_limited);
        self.doubtful = Some(found);
        if told.time.is_some() {
            self.believe();
        }
        if self.left == 0 && told.time.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// How many lines were found.
    fn count(&self) -> u64 {
        self.doubtful.as_ref().or(self.start.as_ref()).map_or(0, |start| start.count)
    }

    /// What was found is not too old.
    fn believe(&mut self) {
        self.start = self.doubtful.take().or(self.start.take());
    }

    /// That is the time of a line before all that were found, in the same file.
    fn note_time(&mut self, volume: usize, time: DateTime<Utc>) {
        for start in self.start.iter_mut().chain(&mut self.doubtful) {
            if start.volume == volume {
                start.time.get_or_insert(time);
            }
        }
    }

    /// Looks at a compressed file, which has no other beginning than its first line.
    fn go_through(&mut self, volume: usize, opened: Opened) -> io::Result<()> {
        let mut lines = opened.lines(0, BUFFER)?;
        let (mut offset, mut matching, mut time) = (0, 0, None);
        let mut is_old = false;
        while lines.advance()? {
            let told = self.writer.read(&lines.last);
            if let Some(own) = told.time {
                is_old = self.wanted.is_before(own);
                time = if is_old { Some(own) } else { time };
            }
            if is_old {
                (offset, matching) = (lines.position, 0);
                self.is_over = true;
            } else if self.wanted.count.is_none() || self.wanted.concerns(&told) {
                matching += 1;
            }
        }
        if is_old {
            // So is what follows it in the next file without a time of its own.
            self.doubtful = None;
        }
        self.believe();
        let found = matching.min(self.left);
        if found > 0 {
            let count = self.count();
            self.start = Some(Start { volume, offset, skip: matching - found, count: count + found, time });
        }
        if self.wanted.count.is_some() {
            self.left -= found;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use supervisor::{LineForm, LogSettings};

    use super::super::time::rfc3339;
    use super::*;

    const WRITER: Writer = Writer::Component { id: String::new(), stream: None, form: LineForm::Raw };

    /// A log of a compressed file with four lines and a plain one with three.
    fn log() -> (tempfile::TempDir, LogSettings) {
        let folder = tempfile::tempdir().unwrap();
        let mut old = GzEncoder::new(Vec::new(), Compression::fast());
        old.write_all(b"2026-11-29T08:00:01Z a\n2026-11-29T08:00:02Z b\n of b\n2026-11-29T08:00:03Z a\n")
            .unwrap();
        std::fs::write(folder.path().join("ps.log.1.gz"), old.finish().unwrap()).unwrap();
        std::fs::write(
            folder.path().join("ps.log"),
            "2026-11-29T08:00:04Z b\n of b\n2026-11-29T08:00:05Z a\n",
        )
        .unwrap();
        let settings = LogSettings::new(folder.path().join("ps.log"));
        (folder, settings)
    }

    fn found(
        count: Option<u64>,
        since: Option<&str>,
        grep: Option<&str>,
    ) -> Option<(usize, u64, u64, u64, Option<i64>)> {
        let (_folder, settings) = log();
        let shelf = Shelf::look(&settings).unwrap();
        let wanted = Wanted {
            count,
            since: since.map(|since| rfc3339(since).unwrap()),
            grep: grep.map(|grep| grep.parse().unwrap()),
        };
        let start = find(&shelf, &WRITER, &wanted).unwrap()?;
        let second = start.time.map(|time| time.timestamp() % 60);
        Some((start.volume, start.offset, start.skip, start.count, second))
    }

    #[test]
    fn the_last_lines_are_found_over_several_files_and_the_time_of_the_first() {
        assert_eq!(found(Some(0), None, None), None);
        assert_eq!(found(Some(1), None, None), Some((1, 29, 0, 1, None)));
        assert_eq!(found(Some(2), None, None), Some((1, 23, 0, 2, Some(4))));
        assert_eq!(found(Some(3), None, None), Some((1, 0, 0, 3, None)));
        assert_eq!(found(Some(5), None, None), Some((0, 0, 2, 5, None)));
        assert_eq!(found(Some(100), None, None), Some((0, 0, 0, 7, None)));
    }

    #[test]
    fn lines_that_match_are_counted_and_others_are_not() {
        assert_eq!(found(Some(1), None, Some("b$")), Some((1, 23, 0, 1, Some(4))));
        assert_eq!(found(Some(2), None, Some("Z a")), Some((0, 0, 1, 2, None)));
        assert_eq!(found(Some(2), None, Some("never")), None);
    }

    #[test]
    fn what_is_too_old_is_left_out_in_plain_and_compressed_files() {
        assert_eq!(found(None, Some("2026-11-29T08:00:05Z"), None).unwrap().0, 1);
        assert_eq!(found(None, Some("2026-11-29T08:00:05Z"), None).unwrap().1, 29);
        let (volume, offset, skip, count, second) = found(None, Some("2026-11-29T08:00:03Z"), None).unwrap();
        assert_eq!((volume, offset, skip, count, second), (0, 52, 0, 4, Some(2)));
        assert_eq!(found(Some(2), Some("2026-11-29T08:00:05Z"), None), Some((1, 29, 0, 1, Some(4))));
        assert_eq!(found(Some(1), Some("2026-11-29T08:00:03Z"), None), Some((1, 29, 0, 1, None)));
        assert_eq!(found(None, Some("2100-01-01T00:00:00Z"), None), None);
    }
}

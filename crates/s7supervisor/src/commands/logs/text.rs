//! Lines of files, forwards and from the end backwards: in memory that does not depend on what was written.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead};
use std::ops::ControlFlow;

use memchr::{memchr, memrchr};

use crate::os::files;

/// Of a longer line only so much is told, and how much is left out.
pub(super) const LONGEST: usize = 1 << 20;

/// So much is read at once.
const BLOCK: usize = 64 << 10;

/// A line that is put together from pieces.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: Vec<u8>,
    left_out: u64,
}

impl Line {
    /// Adds what belongs to the line. How much of `piece` that is with the end of the line, if it ends there.
    pub(super) fn add(&mut self, piece: &[u8]) -> Option<usize> {
        let newline = memchr(b'\n', piece);
        let more = &piece[..newline.unwrap_or(piece.len())];
        let kept = more.len().min(LONGEST - self.text.len());
        self.text.extend_from_slice(&more[..kept]);
        self.left_out += (more.len() - kept) as u64;
        newline.map(|newline| newline + 1)
    }

    /// Likewise, into memory that is there already.
    fn replace(&mut self, last: &mut Vec<u8>) {
        last.clear();
        std::mem::swap(last, &mut self.text);
        mark(last, std::mem::take(&mut self.left_out));
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// How long it is, with what was left out of it.
    pub(super) fn length(&self) -> u64 {
        self.text.len() as u64 + self.left_out
    }

    /// The whole line, as it is told. Another one begins then.
    pub(super) fn take(&mut self) -> Vec<u8> {
        mark(&mut self.text, std::mem::take(&mut self.left_out));
        std::mem::take(&mut self.text)
    }
}

/// Says at the end of a line how much of it is missing.
fn mark(text: &mut Vec<u8>, left_out: u64) {
    if left_out > 0 {
        text.extend_from_slice(format!(" [{left_out} more bytes]").as_bytes());
    }
}

/// The lines of a text, one after the other.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    line: Line,
    /// The line that was read last, in memory that is used again and again.
    pub(super) last: Vec<u8>,
    /// How much was read so far.
    pub(super) position: u64,
}

impl Lines {
    pub(super) fn of(reader: Box<dyn BufRead>) -> Self {
        Self { reader, line: Line::default(), last: Vec::new(), position: 0 }
    }

    /// Leaves out so much of the text.
    pub(super) fn skip(&mut self, length: u64) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let held = self.reader.fill_buf()?.len();
            if held == 0 {
                break;
            }
            let step = left.min(held as u64) as usize;
            self.reader.consume(step);
            left -= step as u64;
        }
        self.position += length - left;
        Ok(())
    }

    /// Reads the next line, if there is one; the last one may have no end.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        loop {
            let held = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                held => held?,
            };
            if held.is_empty() {
                let is_line = self.line.length() > 0;
                self.line.replace(&mut self.last);
                return Ok(is_line);
            }
            let (length, end) = (held.len(), self.line.add(held));
            self.reader.consume(end.unwrap_or(length));
            self.position += end.unwrap_or(length) as u64;
            if end.is_some() {
                self.line.replace(&mut self.last);
                return Ok(true);
            }
        }
    }
}

/// A part of a file that others may be writing to, read from one place to another.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: File,
    pub(super) position: u64,
    pub(super) end: u64,
}

impl io::Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let length = files::read_at(&self.file, &mut buffer[..most], self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// Tells the lines of a file up to `end` and where each begins, the last one first, until `heed` has had enough.
pub(super) fn backwards(
    file: &File,
    end: u64,
    mut heed: impl FnMut(&[u8], u64) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let (mut position, mut found) = (end, Beginning::default());
    while position > 0 {
        let step = position.min(BLOCK as u64) as usize;
        position -= step as u64;
        let length = read_at(file, &mut block[..step], position)?;
        if length < step {
            // Somebody has cut the file.
            found = Beginning::default();
        }
        let mut upper = length;
        while let Some(newline) = memrchr(b'\n', &block[..upper]) {
            let start = position + newline as u64 + 1;
            let piece = &block[newline + 1..upper];
            upper = newline;
            // What comes after the last newline of all is a line only if there is something.
            if start == end {
                continue;
            }
            let flow = if found.length == 0 {
                heed(piece, start)
            } else {
                found.add_before(piece);
                heed(&found.take(), start)
            };
            if flow.is_break() {
                return Ok(());
            }
        }
        found.add_before(&block[..upper]);
    }
    if end > 0 {
        let _ = heed(&found.take(), 0);
    }
    Ok(())
}

/// Where the last line of a file begins that has no end yet, looking up to `end`.
pub(super) fn unfinished(file: &File, end: u64) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut position = end;
    while position > 0 {
        let step = position.min(BLOCK as u64) as usize;
        position -= step as u64;
        let length = read_at(file, &mut block[..step], position)?;
        if let Some(newline) = memrchr(b'\n', &block[..length]) {
            return Ok(position + newline as u64 + 1);
        }
    }
    Ok(0)
}

/// Fills the buffer, as far as the file goes.
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match files::read_at(file, &mut buffer[length..], position + length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The beginning of a line that is found from its end.
#[derive(Default)]
struct Beginning {
    pieces: VecDeque<Vec<u8>>,
    held: usize,
    /// Of the whole line.
    length: u64,
}

impl Beginning {
    fn add_before(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        self.length += piece.len() as u64;
        self.held += piece.len();
        self.pieces.push_front(piece.to_vec());
        while let Some(last) = self.pieces.back().filter(|last| self.held - last.len() >= LONGEST) {
            self.held -= last.len();
            self.pieces.pop_back();
        }
    }

    fn take(&mut self) -> Vec<u8> {
        let mut text: Vec<u8> = std::mem::take(&mut self.pieces).into_iter().flatten().collect();
        text.truncate(LONGEST);
        let left_out = self.length - text.len() as u64;
        mark(&mut text, left_out);
        (self.held, self.length) = (0, 0);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    fn file(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn all_backwards(text: &[u8]) -> Vec<(Vec<u8>, u64)> {
        let mut lines = Vec::new();
        backwards(&file(text), text.len() as u64, |line, start| {
            lines.push((line.to_vec(), start));
            ControlFlow::Continue(())
        })
        .unwrap();
        lines
    }

    fn all_forwards(text: &[u8]) -> Vec<(Vec<u8>, u64)> {
        let mut lines = Lines::of(Box::new(io::Cursor::new(text.to_vec())));
        let mut all = Vec::new();
        loop {
            let start = lines.position;
            if !lines.advance().unwrap() {
                return all;
            }
            all.push((lines.last.clone(), start));
        }
    }

    #[test]
    fn lines_are_the_same_forwards_and_backwards() {
        let long = |length| vec![b'x'; length];
        let texts = [
            b"".to_vec(),
            b"\n".to_vec(),
            b"\n\n".to_vec(),
            b"one".to_vec(),
            b"one\ntwo\n".to_vec(),
            b"one\n\nthree".to_vec(),
            [long(BLOCK - 1), b"\n".to_vec(), long(BLOCK), b"\nend\n".to_vec()].concat(),
            [long(3 * BLOCK + 5), b"\nend".to_vec()].concat(),
            [b"a\n".to_vec(), long(LONGEST + BLOCK + 7), b"\n".to_vec()].concat(),
            [long(LONGEST), b"\n".to_vec(), long(2 * LONGEST)].concat(),
        ];
        for text in texts {
            let mut expected = all_forwards(&text);
            expected.reverse();
            assert!(all_backwards(&text) == expected, "of {} bytes", text.len());
        }
    }

    #[test]
    fn of_a_line_without_end_no_more_than_its_beginning_is_told() {
        let text = [b"begin".to_vec(), vec![b'x'; 3 * LONGEST]].concat();
        for (line, start) in [all_forwards(&text), all_backwards(&text)].concat() {
            assert_eq!(start, 0);
            assert!(line.starts_with(b"beginxx") && line.len() < LONGEST + 100);
            assert!(line.ends_with(format!(" [{} more bytes]", text.len() - LONGEST).as_bytes()));
        }
    }

    #[test]
    #[cfg_attr(windows, ignore = "there a file has holes only where that is asked for")]
    fn the_end_of_a_huge_file_costs_nothing() {
        let mut file = tempfile::tempfile().unwrap();
        // A terabyte, of which the file system stores nothing but the end.
        let size = 1 << 40;
        file.seek(SeekFrom::Start(size)).unwrap();
        file.write_all(b"\nlast\n").unwrap();
        let mut last = Vec::new();
        backwards(&file, size + 6, |line, _| {
            last = line.to_vec();
            ControlFlow::Break(())
        })
        .unwrap();
        assert_eq!(last, b"last");
    }

    #[test]
    fn a_line_without_end_is_found_from_where_it_begins() {
        for (text, start) in [(&b""[..], 0), (b"one", 0), (b"one\n", 4), (b"one\ntwo", 4)] {
            assert_eq!(unfinished(&file(text), text.len() as u64).unwrap(), start);
        }
    }
}

//! The forms of lines: what comes out of a pipe, line by line, made into what goes to the file.
//!
//! ```text
//! 2026-11-29T08:30:00.123+01:00 ready                                                        timestamps
//! {"time":"2026-11-29T08:30:00.123+01:00","component":"ps","run":7,"stream":"stdout","line":"ready"}    json
//! ```
//!
//! Each line of the file is made of a whole line, or of as much of one as counts as one: a line may be long, but memory is
//! not. With JSON, all pieces of a line but the last are marked by `"partial":true` at the end.

use memchr::{memchr, memchr_iter};

use super::LineForm;
use super::clock::Stamp;
use crate::spec::ComponentId;

/// The longest line that is stored as one. No more than the half of what a pipe holds by itself: when that is full, there
/// is a line in it, or a piece.
pub(super) const LONGEST_LINE: usize = 32 << 10;

/// How much is made at a time, and a line.
const CHUNK: usize = 256 << 10;

/// What the lines of one stream of one run are made into.
#[derive(Debug)]
pub(super) enum Shape {
    /// The time, a blank and the line.
    Timestamps,
    /// An object of JSON.
    Json {
        /// What stands between the time and the line.
        author: Box<str>,
    },
}

/// What follows the last of the bytes that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The rest of the line, or more lines.
    Awaited,
    /// The rest of the line, which cannot be waited for.
    Cut,
    /// Nothing: a line without an end has ended.
    Ended,
}

/// Makes lines, in memory that is used again and again.
#[derive(Debug, Default)]
pub(super) struct Former {
    stamp: Stamp,
    /// What was made last.
    pub(super) text: Vec<u8>,
}

/// A line, or as much of one as is stored as one.
struct Piece<'a> {
    /// Without its end.
    line: &'a [u8],
    /// What it takes up where it comes from.
    length: usize,
    is_partial: bool,
}

impl Shape {
    /// None where lines stay as they are.
    pub(super) fn of(form: LineForm, component: &ComponentId, run: u64, stream: &str) -> Option<Self> {
        match form {
            LineForm::Raw => None,
            LineForm::Timestamps => Some(Self::Timestamps),
            LineForm::Json => {
                // Nothing in them has to be escaped.
                let author = format!(
                    r#"","component":"{component}","run":{run},"stream":"{stream}","line":""#,
                    component = component.as_str()
                );
                Some(Self::Json { author: author.into() })
            }
        }
    }

    fn put(&self, piece: &Piece<'_>, time: &str, text: &mut Vec<u8>) {
        match self {
            Self::Timestamps => {
                text.extend_from_slice(time.as_bytes());
                text.push(b' ');
                text.extend_from_slice(piece.line);
            }
            Self::Json { author } => {
                text.extend_from_slice(br#"{"time":""#);
                text.extend_from_slice(time.as_bytes());
                text.extend_from_slice(author.as_bytes());
                put_escaped(&String::from_utf8_lossy(piece.line), text);
                text.extend_from_slice(if piece.is_partial { br#"","partial":true}"# } else { br#""}"# });
            }
        }
        text.push(b'\n');
    }
}

impl Former {
    /// Makes lines of the first bytes of `raw`, and says of how many.
    pub(super) fn form(&mut self, shape: &Shape, raw: &[u8], rest: Rest) -> usize {
        let time = self.stamp.now();
        self.text.clear();
        let mut made = 0;
        for piece in pieces(raw, rest) {
            shape.put(&piece, time, &mut self.text);
            made += piece.length;
            if self.text.len() >= CHUNK {
                break;
            }
        }
        made
    }

    /// Of how many bytes the first lines were made that take up so much of what was made.
    pub(super) fn source_of(&self, made: usize, raw: &[u8], rest: Rest) -> usize {
        let lines = memchr_iter(b'\n', &self.text[..made]).count();
        pieces(raw, rest).take(lines).map(|piece| piece.length).sum()
    }
}

fn pieces(raw: &[u8], rest: Rest) -> impl Iterator<Item = Piece<'_>> {
    let mut left = raw;
    std::iter::from_fn(move || {
        let piece = first_piece(left, rest)?;
        left = &left[piece.length..];
        Some(piece)
    })
}

fn first_piece(left: &[u8], rest: Rest) -> Option<Piece<'_>> {
    if let Some(end) = memchr(b'\n', &left[..left.len().min(LONGEST_LINE + 1)]) {
        return Some(Piece { line: &left[..end], length: end + 1, is_partial: false });
    }
    let (length, is_partial) = match rest {
        _ if left.len() > LONGEST_LINE => (between_characters(left, LONGEST_LINE), true),
        _ if left.is_empty() => return None,
        Rest::Awaited => return None,
        Rest::Cut => (left.len(), true),
        Rest::Ended => (left.len(), false),
    };
    Some(Piece { line: &left[..length], length, is_partial })
}

/// Where to cut, so that no character of UTF-8 is torn: here, or up to three bytes before.
fn between_characters(line: &[u8], at: usize) -> usize {
    let begins_one = |at: &usize| line.get(*at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (at.saturating_sub(3)..=at).rev().find(begins_one).unwrap_or(at)
}

/// By byte.
const HAS_TO_BE_ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

/// Appends what stands between the quotes of a string of JSON.
fn put_escaped(line: &str, text: &mut Vec<u8>) {
    let mut rest = line.as_bytes();
    while let Some(at) = rest.iter().position(|byte| HAS_TO_BE_ESCAPED[usize::from(*byte)]) {
        text.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\t' => text.extend_from_slice(br"\t"),
            b'\r' => text.extend_from_slice(br"\r"),
            byte @ (b'"' | b'\\') => text.extend_from_slice(&[b'\\', byte]),
            byte => text.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    text.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn shape(form: LineForm) -> Shape {
        Shape::of(form, &ComponentId::new("ps").unwrap(), 7, "stdout").unwrap()
    }

    /// Of how many bytes lines were made, and which.
    fn formed(form: LineForm, raw: &[u8], rest: Rest) -> (usize, Vec<String>) {
        let mut former = Former::default();
        let made = former.form(&shape(form), raw, rest);
        let text = String::from_utf8(former.text).unwrap();
        (made, text.lines().map(str::to_owned).collect())
    }

    fn objects(lines: &[String]) -> Vec<Value> {
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_begins_with_its_time_and_a_blank() {
        let (made, lines) = formed(LineForm::Timestamps, b"one\n\ntwo", Rest::Awaited);
        assert_eq!((made, lines.len()), (5, 2));
        assert_eq!(&lines[0][29..], " one");
        assert_eq!(&lines[1][29..], " ");
        assert_eq!(formed(LineForm::Timestamps, b"two", Rest::Ended).1[0][29..], *" two");
    }

    #[test]
    fn the_keys_of_an_object_come_in_one_order() {
        let raw = b"say \"hi\"\\\t\x1b[0m\xff\n";
        let (made, lines) = formed(LineForm::Json, raw, Rest::Awaited);
        assert_eq!(made, raw.len());
        let line = r#"say \"hi\"\\\t\u001b[0m"#;
        let expected = format!(
            r#"","component":"ps","run":7,"stream":"stdout","line":"{line}{}"}}"#,
            char::REPLACEMENT_CHARACTER
        );
        assert!(lines[0].starts_with(r#"{"time":"2"#) && lines[0].ends_with(&expected), "{}", lines[0]);
        assert_eq!(objects(&lines)[0]["line"], "say \"hi\"\\\t\u{1b}[0m\u{fffd}");
    }

    #[test]
    fn a_long_line_is_split_between_characters_and_its_pieces_are_marked() {
        let long = format!("x{}\nnext\n", "ä".repeat(LONGEST_LINE));
        let (made, lines) = formed(LineForm::Json, long.as_bytes(), Rest::Awaited);
        assert_eq!(made, long.len());
        let objects = objects(&lines);
        let partial: Vec<_> = objects.iter().map(|object| object["partial"] == true).collect();
        assert_eq!(partial, [true, true, false, false]);
        let text: String = objects.iter().map(|object| object["line"].as_str().unwrap()).collect();
        assert_eq!(text, long.replace('\n', ""));
        assert!(objects[0]["line"].as_str().unwrap().len() <= LONGEST_LINE);
    }

    #[test]
    fn no_more_is_made_at_a_time_than_a_chunk_and_a_line() {
        let mut former = Former::default();
        let raw = vec![b'\n'; CHUNK];
        let made = former.form(&shape(LineForm::Timestamps), &raw, Rest::Awaited);
        assert!(made < raw.len() && former.text.len() <= CHUNK + 100);
        assert_eq!(former.source_of(former.text.len(), &raw, Rest::Awaited), made);
        assert_eq!(former.source_of(31 * 5 + 30, &raw, Rest::Awaited), 5);
    }

    proptest! {
        #[test]
        fn whatever_is_written_comes_back_out_of_the_objects(
            raw in prop::collection::vec(prop::sample::select(b"ab\n\"\\\x01\xc3\xa4".to_vec()), 0..60),
            is_json: bool,
        ) {
            let form = if is_json { LineForm::Json } else { LineForm::Timestamps };
            let mut former = Former::default();
            let made = former.form(&shape(form), &raw, Rest::Ended);
            prop_assert_eq!(made, raw.len());
            prop_assert_eq!(former.text.is_empty(), raw.is_empty());
            prop_assume!(!raw.is_empty());
            let lines: Vec<_> = raw.strip_suffix(b"\n").unwrap_or(&raw).split(|byte| *byte == b'\n').collect();
            let text = former.text.strip_suffix(b"\n").unwrap_or(&former.text);
            for (line, made) in lines.into_iter().zip(text.split(|byte| *byte == b'\n')) {
                if is_json {
                    let object: Value = serde_json::from_slice(made).unwrap();
                    prop_assert_eq!(object["line"].as_str().unwrap(), &*String::from_utf8_lossy(line));
                } else {
                    prop_assert_eq!(&made[30..], line);
                }
            }
        }
    }
}

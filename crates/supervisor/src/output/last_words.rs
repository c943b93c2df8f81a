//! The last lines that a run has written: what a person would look for first after it has crashed.

use memchr::{memchr, memrchr_iter};

/// How many lines are kept.
const MOST_LINES: usize = 20;

/// How many bytes of a line are kept.
const LONGEST_LINE: usize = 512;

/// The last lines of one stream. It takes no memory before the first byte, and little more than ten kilobytes ever.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    /// Lines as they came, but for the ends of long ones: one byte more is kept than is shown, to know that there is more.
    text: Vec<u8>,
    /// How many lines have ended.
    ended: usize,
    /// Where the line begins that has not ended.
    open: usize,
}

impl LastWords {
    /// Takes in what was written next. Of a long text only the end is looked at.
    pub(super) fn hear(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        if let Some(before) = memrchr_iter(b'\n', chunk).nth(MOST_LINES) {
            rest = &chunk[before + 1..];
            self.text.clear();
            (self.ended, self.open) = (0, 0);
        }
        while let Some(end) = memchr(b'\n', rest) {
            self.append(&rest[..end]);
            self.text.push(b'\n');
            self.ended += 1;
            self.open = self.text.len();
            self.drop_oldest();
            rest = &rest[end + 1..];
        }
        self.append(rest);
    }

    /// Whether what comes before this end of a text would make no difference.
    pub(super) fn are_all_in(end: &[u8]) -> bool {
        memrchr_iter(b'\n', end).nth(MOST_LINES).is_some()
    }

    /// The lines as they can be shown, the oldest first: none if there is nothing but empty ones.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        let lines: Vec<_> = text.split(|byte| *byte == b'\n').map(shown).collect();
        let surplus = lines.len().saturating_sub(MOST_LINES);
        if lines.iter().all(|line| line.trim().is_empty()) { Vec::new() } else { lines[surplus..].to_vec() }
    }

    fn append(&mut self, piece: &[u8]) {
        let room = (LONGEST_LINE + 1).saturating_sub(self.text.len() - self.open);
        self.text.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn drop_oldest(&mut self) {
        if self.ended > MOST_LINES
            && let Some(end) = memchr(b'\n', &self.text)
        {
            self.text.drain(..=end);
            self.ended -= 1;
            self.open -= end + 1;
        }
    }
}

/// A line without what could play tricks on a terminal.
fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (kept, mark) = if line.len() > LONGEST_LINE { (&line[..LONGEST_LINE], "…") } else { (line, "") };
    let mut shown = String::with_capacity(kept.len() + mark.len());
    for character in String::from_utf8_lossy(kept).chars() {
        if character.is_control() && character != '\t' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown + mark
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&str]) -> Vec<String> {
        let mut words = LastWords::default();
        chunks.iter().for_each(|chunk| words.hear(chunk.as_bytes()));
        words.lines()
    }

    #[test]
    fn the_last_twenty_lines_are_kept_the_oldest_first() {
        assert_eq!(lines(&["one\ntw", "o\nth", "ree"]), ["one", "two", "three"]);
        let many: String = (0..100).map(|number| format!("{number}\n")).collect();
        let last: Vec<_> = (80..100).map(|number| number.to_string()).collect();
        assert_eq!(lines(&[&many]), last);
        let by_line: Vec<_> = many.split_inclusive('\n').collect();
        assert_eq!(lines(&by_line), last);
        assert_eq!(lines(&[&many, "open"])[18..], ["99", "open"]);
    }

    #[test]
    fn nothing_is_said_by_silence_and_empty_lines() {
        for text in ["", "\n", "\n\n \r\n"] {
            assert!(lines(&[text]).is_empty(), "{text:?}");
        }
        assert_eq!(LastWords::default().text.capacity(), 0);
    }

    #[test]
    fn a_line_can_be_shown_whatever_is_in_it() {
        assert_eq!(
            lines(&["\tat main\r\n\u{1b}[2Jred\rover\0"]),
            ["\tat main", "\\u{1b}[2Jred\\rover\\u{0}"]
        );
        let mut words = LastWords::default();
        words.hear(b"\xff\xfe caf\xc3\xa9");
        assert_eq!(words.lines(), ["\u{fffd}\u{fffd} café"]);
    }

    #[test]
    fn of_a_long_line_the_beginning_is_kept() {
        let (fits, long) = ("x".repeat(LONGEST_LINE), "y".repeat(LONGEST_LINE + 1));
        assert_eq!(lines(&[&fits, "\n", &long, &long]), [fits, format!("{}…", &long[1..])]);
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_chunks_make_no_difference(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..12),
        ) {
            let mut words = LastWords::default();
            chunks.iter().for_each(|chunk| words.hear(chunk));
            prop_assert!(words.text.len() <= (MOST_LINES + 1) * (LONGEST_LINE + 2));
            let mut at_once = LastWords::default();
            at_once.hear(&chunks.concat());
            prop_assert_eq!(words.lines(), at_once.lines());
        }
    }
}

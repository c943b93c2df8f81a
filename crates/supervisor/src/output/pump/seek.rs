//! Looking for the line by which a component says that it is ready.

use regex::bytes::Regex;

/// How much of a line is looked at.
const LONGEST_LINE: usize = 16 * 1024;

/// Looks for a pattern in the lines of one stream, without their ends.
#[derive(Debug, Default)]
pub(super) struct Seeker {
    /// The beginning of the line that has not ended yet.
    line: Vec<u8>,
    /// That line has been looked at: it is so long that no more of it counts.
    is_done: bool,
}

impl Seeker {
    /// Whether one of the lines that end in this chunk matches, or one of which enough is known.
    pub(super) fn finds(&mut self, pattern: &Regex, chunk: &[u8]) -> bool {
        chunk.split_inclusive(|byte| *byte == b'\n').any(|piece| self.is_found_in(pattern, piece))
    }

    /// Whether the last line matches, which nothing ends but the end of the stream.
    pub(super) fn finds_at_end(&mut self, pattern: &Regex) -> bool {
        !self.line.is_empty() && self.is_found_in(pattern, b"\n")
    }

    fn is_found_in(&mut self, pattern: &Regex, piece: &[u8]) -> bool {
        let text = piece.strip_suffix(b"\n");
        let ends = text.is_some();
        let text = text.unwrap_or(piece);
        let room = LONGEST_LINE - self.line.len();
        self.line.extend_from_slice(&text[..text.len().min(room)]);
        let is_known = ends || self.line.len() == LONGEST_LINE;
        let found = is_known && !self.is_done && {
            let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
            pattern.is_match(line)
        };
        self.is_done = is_known && !ends;
        if ends {
            self.line.clear();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::log_pattern;

    fn finds(text: &str, chunks: &[&[u8]]) -> bool {
        let pattern = log_pattern(text).unwrap();
        let mut seeker = Seeker::default();
        chunks.iter().any(|chunk| seeker.finds(&pattern, chunk)) || seeker.finds_at_end(&pattern)
    }

    #[test]
    fn a_line_is_found_however_it_comes() {
        for chunks in [
            &[&b"one\nServer startup in 12 ms\nthree\n"[..]][..],
            &[b"one\nServer st", b"artup in 12", b" ms\n"],
            &[b"Server startup in 12 ms\r\n"],
            &[b"Server startup in 12 ms"],
            &[b"\xff\xfe\n", b"Server startup in 12 ms\n"],
        ] {
            assert!(finds(r"^Server startup in \d+ ms$", chunks));
        }
    }

    #[test]
    fn lines_are_looked_at_one_by_one_and_not_before_they_end() {
        assert!(!finds("one.*two", &[b"one\ntwo\n"]));
        assert!(!finds("^two", &[b"one ", b"two\n"]));
        let pattern = log_pattern("^re$").unwrap();
        assert!(!Seeker::default().finds(&pattern, b"re"), "it may go on: ready");
    }

    #[test]
    fn only_the_beginning_of_a_long_line_counts_and_no_more_is_kept_of_it() {
        let pattern = log_pattern("x|y").unwrap();
        let mut seeker = Seeker::default();
        let long = vec![b'a'; LONGEST_LINE - 1];
        assert!(!seeker.finds(&pattern, &long));
        assert!(!seeker.finds(&pattern, b"ax"), "beyond");
        assert!(!seeker.finds(&pattern, &[b'x'; 100_000]), "far beyond");
        assert!(seeker.line.capacity() <= 2 * LONGEST_LINE);
        assert!(!seeker.finds(&pattern, b"\n"));
        assert!(
            seeker.finds(&pattern, &[&long[..], b"y"].concat()),
            "the last that counts, before its line ends"
        );
    }

    proptest! {
        #[test]
        fn how_a_text_is_cut_into_chunks_makes_no_difference(
            text in "[a-c\n]{0,60}",
            cuts in prop::collection::vec(0_usize..60, 0..5),
        ) {
            let pattern = log_pattern("^a+b").unwrap();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut seeker = Seeker::default();
            let in_chunks = cuts.windows(2).any(|cut| seeker.finds(&pattern, &text.as_bytes()[cut[0]..cut[1]]))
                || seeker.finds_at_end(&pattern);
            prop_assert_eq!(in_chunks, text.lines().any(|line| pattern.is_match(line.as_bytes())));
        }
    }
}

//! One line of a script as words with their places, and what may be wrong with them.

use std::time::Duration;

use crate::duration::parse_duration;
use crate::naming::most_like;

/// The longest time that a script may name.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// What is wrong, and where in the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The line, from 1.
    pub(super) line: usize,
    /// The column, in characters from 1.
    pub(super) column: usize,
    /// What, and what to do.
    pub(super) message: String,
}

/// A word of a script.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    /// The word.
    pub(super) text: &'a str,
    line: usize,
    column: usize,
}

impl Word<'_> {
    /// Something is wrong with this word.
    pub(super) fn problem(self, message: impl Into<String>) -> Problem {
        Problem { line: self.line, column: self.column, message: message.into() }
    }

    /// This word is not one of those that may stand here.
    pub(super) fn is_none_of(self, expected: &[&str]) -> Problem {
        let advice = match most_like(self.text, expected.iter().copied()) {
            Some(likely) => format!("; did you mean {likely:?}?"),
            None => String::new(),
        };
        self.problem(format!("here may stand {}, not {}{advice}", alternatives(expected), quoted(self.text)))
    }
}

/// The words of a line that have not been read yet.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    words: std::vec::IntoIter<Word<'a>>,
    /// The place behind the last word, for what is missing.
    end: Word<'a>,
}

impl<'a> Line<'a> {
    /// Takes a line apart, up to a comment. `number` is that of the line, from 1.
    pub(super) fn new(number: usize, text: &'a str) -> Self {
        let text = text.split('#').next().unwrap_or_default();
        let word = |(at, word): (usize, &'a str)| Word {
            text: word,
            line: number,
            column: text[..at].chars().count() + 1,
        };
        let starts =
            text.split_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word));
        let words: Vec<_> = starts.map(word).collect();
        let end = word((text.trim_end().len(), ""));
        Self { words: words.into_iter(), end }
    }

    /// The next word, which stays.
    pub(super) fn peek(&self) -> Option<Word<'a>> {
        self.words.as_slice().first().copied()
    }

    /// The word after the next one, which stays.
    pub(super) fn peek_second(&self) -> Option<Word<'a>> {
        self.words.as_slice().get(1).copied()
    }

    /// The next word, if there is one.
    pub(super) fn next(&mut self) -> Option<Word<'a>> {
        self.words.next()
    }

    /// The next word; `what` is what is missing without it.
    pub(super) fn word(&mut self, what: &str) -> Result<Word<'a>, Problem> {
        self.words.next().ok_or_else(|| self.end.problem(format!("{what} is missing")))
    }

    /// The next word, which must be one of these.
    pub(super) fn one_of(&mut self, expected: &[&str]) -> Result<Word<'a>, Problem> {
        let word = self.word(&alternatives(expected))?;
        if expected.contains(&word.text) { Ok(word) } else { Err(word.is_none_of(expected)) }
    }

    /// Whether the next word is this one, which is read then.
    pub(super) fn skip(&mut self, text: &str) -> bool {
        let is_next = self.peek().is_some_and(|word| word.text == text);
        is_next && self.words.next().is_some()
    }

    /// The next word as a time.
    pub(super) fn time(&mut self) -> Result<Duration, Problem> {
        let word = self.word("a time (5, 0.5, 250ms, 5s, 2m, 1h)")?;
        let time = parse_duration(word.text).map_err(|_| {
            word.problem(format!("{} is no time; write 5, 0.5, 250ms, 5s, 2m or 1h", quoted(word.text)))
        })?;
        if time > LONGEST {
            return Err(word.problem("a time may be at most 365 days (8760h)"));
        }
        Ok(time)
    }

    /// The next word as a size in bytes.
    pub(super) fn size(&mut self) -> Result<u64, Problem> {
        let word = self.word("a size (4096, 64m, 2g)")?;
        let digits = word.text.trim_end_matches(['k', 'm', 'g']);
        let unit = match &word.text[digits.len()..] {
            "" => 1,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            _ => 0,
        };
        let size =
            digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|_| unit > 0);
        size.ok_or_else(|| word.problem(format!("{} is no size; write 4096, 64m or 2g", quoted(word.text))))
    }

    /// The next word as a number in this range; `what` is what it is.
    pub(super) fn number<N>(&mut self, what: &str, range: std::ops::RangeInclusive<N>) -> Result<N, Problem>
    where
        N: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        let word = self.word(what)?;
        word.text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            word.problem(format!("{what} is a number from {least} to {most}, not {}", quoted(word.text)))
        })
    }

    /// Nothing may be left.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => Err(word
                .problem(format!("{} is too much: the statement is complete before it", quoted(word.text)))),
        }
    }
}

/// A word for a message: not too long, and nothing in it that a terminal would take for an order.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_columns_in_characters_and_a_comment_is_none() {
        let mut line = Line::new(7, "  ä crashes# every");
        let (first, second) = (line.next().unwrap(), line.next().unwrap());
        assert_eq!((first.text, first.column, first.line), ("ä", 3, 7));
        assert_eq!((second.text, second.column), ("crashes", 5));
        let missing = line.word("a time").unwrap_err();
        assert_eq!((missing.column, missing.message.as_str()), (12, "a time is missing"));
    }

    #[test]
    fn a_word_that_may_not_stand_there_is_told_with_those_that_may() {
        let problem = Line::new(1, "evry").one_of(&["after", "every"]).unwrap_err();
        let message = "here may stand \"after\" or \"every\", not \"evry\"; did you mean \"every\"?";
        assert_eq!(problem, Problem { line: 1, column: 1, message: message.into() });
    }

    #[test]
    fn a_time_and_a_number_have_their_bounds() {
        let time = |text: &str| Line::new(1, text).time();
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("1h30m"), Ok(Duration::from_secs(5_400)));
        for text in ["soon", "-1", "nan", "inf", "366days", "1e300", "8761h"] {
            assert!(time(text).is_err(), "{text}");
        }
        let number = |text: &str| Line::new(1, text).number("the code", 1..=255);
        assert_eq!(number("255"), Ok(255));
        for text in ["0", "256", "-1", "x", "99999999999999999999"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_may_have_a_unit() {
        let size = |text: &str| Line::new(1, text).size();
        assert_eq!([size("4096"), size("64m"), size("2g")], [Ok(4096), Ok(64 << 20), Ok(2 << 30)]);
        for text in ["", "g", "2gg", "2t", "-1", "99999999999999999g"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_quoted_is_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}[2J"), "\"a\\u{1b}[2J\"");
        assert!(quoted(&"x".repeat(1_000)).len() < 80);
    }
}

//! From a place in a file to the line that people see: which one it is, and as much of it as helps.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::rc::Rc;

use super::{Excerpt, Problem, Span};

/// The text of a file, to show problems in it.
pub(super) struct Source {
    /// The path as people know it.
    pub(super) path: PathBuf,
    pub(super) text: Rc<str>,
    line_starts: OnceCell<Vec<usize>>,
    /// What must not be shown.
    pub(super) hidden: Vec<Span>,
    /// Named parts of the file, which a problem inside them begins with: `server "ps"`. In ascending order.
    pub(super) parts: Vec<(Span, String)>,
}

impl Source {
    /// The most bytes of a line that are shown on either side of a problem.
    const EXCERPT: usize = 100;

    /// A file as people know it, with its text.
    pub(super) fn new(path: PathBuf, text: Rc<str>) -> Self {
        Self { path, text, line_starts: OnceCell::new(), hidden: Vec::new(), parts: Vec::new() }
    }

    /// A problem here.
    pub(super) fn problem(&self, span: Span, message: &str) -> Problem {
        let (line, line_range) = self.line(span);
        let start = self.boundary((span.start as usize).clamp(line_range.start, line_range.end));
        let before = self.text.get(line_range.start..start).unwrap_or_default();
        let message = match self.part(span) {
            Some(part) => format!("{part}: {message}"),
            None => message.to_owned(),
        };
        Problem {
            file: self.path.clone(),
            line: line + 1,
            column: before.chars().count() + 1,
            message,
            excerpt: self.excerpt(span, line_range),
        }
    }

    /// The index of the line in which the offset lies.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        let starts = self.line_starts.get_or_init(|| {
            let after_line_feed = |(index, _): (usize, &str)| index + 1;
            std::iter::once(0).chain(self.text.match_indices('\n').map(after_line_feed)).collect()
        });
        starts.partition_point(|&start| start <= offset) - 1
    }

    /// The line in which the span begins, and its range without the line's end.
    fn line(&self, span: Span) -> (usize, std::ops::Range<usize>) {
        let offset = (span.start as usize).min(self.text.len());
        let line = self.line_of(offset);
        let start = self.line_starts.get().map_or(0, |starts| starts[line]);
        let length = self.text[start..].find('\n').unwrap_or(self.text.len() - start);
        let without_return = self.text[start..start + length].trim_end_matches('\r').len();
        (line, start..start + without_return)
    }

    fn part(&self, span: Span) -> Option<&str> {
        let after = self.parts.partition_point(|(part, _)| part.start <= span.start);
        let (part, name) = self.parts.get(after.checked_sub(1)?)?;
        (span.start < part.end).then_some(name)
    }

    fn excerpt(&self, span: Span, line: std::ops::Range<usize>) -> Option<Excerpt> {
        let whole_line = Span::new(line.start, line.end);
        let has_no_place = span == Span::new(0, 0);
        if has_no_place || line.is_empty() || self.hidden.iter().any(|hidden| hidden.overlaps(whole_line)) {
            return None;
        }
        let start = self.boundary((span.start as usize).min(line.end));
        let end = self.boundary((span.end as usize).clamp(start, line.end));
        let from = self.boundary(line.start.max(start.saturating_sub(Self::EXCERPT)));
        let to = self.boundary(line.end.min(start + Self::EXCERPT));
        let end = end.min(to);
        // What would move the cursor of a terminal is shown as a blank of the same size.
        let text = self.text[from..to].replace(|c: char| c.is_ascii_control(), " ");
        let text = text.chars().map(|c| if c.is_control() { '\u{a0}' } else { c }).collect();
        Some(Excerpt { text, underline: start - from..end - from })
    }

    /// The offset, or the nearest before it that does not lie inside a character.
    fn boundary(&self, offset: usize) -> usize {
        (0..=offset.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }
}

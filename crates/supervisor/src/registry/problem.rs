//! What is wrong with a registry: collected while it is read, told all at once.
//!
//! [`Problems`] keeps the text of every file that was read, so that a problem is noted by its place alone and gets
//! its line, its column and the line's text when everything is known. Text that is, or may be, part of a secret is
//! never shown: see [`Problems::hide`].
//!
//! - `source`: from a place to the line that people see

mod source;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use self::source::Source;

/// Why a registry could not be loaded: every problem of it and of the files that it includes.
///
/// Displayed as a line for each problem: `conf/SupervisorRegistry.xml:14:9: what, why`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryError {
    problems: Vec<Problem>,
    more: usize,
}

impl RegistryError {
    /// Every problem, file by file in the order in which they were read, from top to bottom. After the first 1,000
    /// the rest is only counted: [`RegistryError::more`].
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many problems there are beyond those of [`RegistryError::problems`].
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    /// All problems for a person at a terminal: each with its line of the file, the place underlined.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&problem.render(color));
            text.push_str("\n\n");
        }
        if self.more > 0 {
            text.push_str(&self.rest());
            text.push('\n');
        }
        text
    }

    fn rest(&self) -> String {
        format!("and {} more problems", self.more)
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let end_of_the_one_before = if index == 0 { "" } else { "\n" };
            write!(f, "{end_of_the_one_before}{problem}")?;
        }
        if self.more > 0 {
            write!(f, "\n{}", self.rest())?;
        }
        Ok(())
    }
}

impl std::error::Error for RegistryError {}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1. What has no place in the file, such as that it cannot be read, stands at 1:1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
    /// What is wrong, why, and what to do, in one line.
    pub message: String,
    excerpt: Option<Excerpt>,
}

/// The line of the file, or as much of it as helps, and what of it to underline.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    underline: std::ops::Range<usize>,
}

impl Problem {
    /// The problem for a person at a terminal: with its line of the file, the place underlined.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let path = self.file.to_string_lossy();
        // The place is said here, because the excerpt need not begin where the line does.
        let origin = Origin::path(path).line(self.line).char_column(self.column);
        let mut report = Level::ERROR.primary_title(&self.message).element(origin);
        if let Some(excerpt) = &self.excerpt {
            report = report.element(
                Snippet::source(&excerpt.text)
                    .line_start(self.line)
                    .annotation(AnnotationKind::Primary.span(excerpt.underline.clone())),
            );
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[report])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)
    }
}

/// A range of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// Files are at most 16 MiB, so that every offset fits.
    pub(super) fn new(start: usize, end: usize) -> Self {
        let fit = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: fit(start), end: fit(end) }
    }

    fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// A file that was read, by the order in which it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId(u32);

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) file: FileId,
    pub(super) span: Span,
}

/// That something is wrong and has been told: whatever depends on it has nothing to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told;

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Problems {
    sources: Vec<Source>,
    found: Vec<(Place, String)>,
    seen: HashSet<(Place, String)>,
    more: usize,
    incomplete: bool,
}

impl Problems {
    /// More are only counted: nobody reads them, and they cost memory.
    const MOST_TOLD: usize = 1_000;

    /// Makes a file known: problems can have a place in it.
    pub(super) fn add_file(&mut self, path: &Path, text: Rc<str>) -> FileId {
        let file = FileId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(Source::new(path.to_owned(), text));
        file
    }

    /// Notes that something is wrong. The same at the same place is noted once.
    pub(super) fn add(&mut self, place: Place, message: impl Into<String>) -> Told {
        let problem = (place, message.into());
        if self.is_full() {
            if !self.seen.contains(&problem) {
                self.more += 1;
            }
        } else if self.seen.insert(problem.clone()) {
            self.found.push(problem);
        }
        Told
    }

    /// Notes that something is wrong, where it takes long to say what.
    pub(super) fn add_with(&mut self, place: Place, message: impl FnOnce() -> String) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.add(place, message());
        }
    }

    /// Notes that something is wrong with a file as a whole.
    pub(super) fn add_to_file(&mut self, file: FileId, message: impl Into<String>) -> Told {
        self.add(self.beginning(file), message)
    }

    /// The place of what has none in the file.
    pub(super) fn beginning(&self, file: FileId) -> Place {
        Place { file, span: Span::new(0, 0) }
    }

    /// How many problems there are so far.
    pub(super) fn count(&self) -> usize {
        self.found.len() + self.more
    }

    /// Whether further problems are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= Self::MOST_TOLD
    }

    /// Notes that not everything could be read, so that what seems to be missing may be in what was not.
    pub(super) fn set_incomplete(&mut self) {
        self.incomplete = true;
    }

    /// Whether something could not be read: nothing should then be called unknown.
    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Keeps every line that this text touches from being shown.
    pub(super) fn hide(&mut self, place: Place) {
        if let Some(source) = self.sources.get_mut(place.file.0 as usize) {
            source.hidden.push(place.span);
        }
    }

    /// Gives a part of a file a name with which every problem in it begins.
    pub(super) fn name_part(&mut self, place: Place, name: String) {
        if let Some(source) = self.sources.get_mut(place.file.0 as usize) {
            source.parts.push((place.span, name));
        }
    }

    /// The text of a file.
    pub(super) fn text(&self, file: FileId) -> Rc<str> {
        self.sources.get(file.0 as usize).map_or_else(|| Rc::from(""), |source| source.text.clone())
    }

    /// The file and the line of a place.
    pub(super) fn line(&self, place: Place) -> (PathBuf, usize) {
        self.sources.get(place.file.0 as usize).map_or_else(
            || (PathBuf::new(), 1),
            |source| (source.path.clone(), source.line_of(place.span.start as usize) + 1),
        )
    }

    /// Where a place is, for a message about another: `conf/a.xml:12`.
    pub(super) fn position(&self, place: Place) -> String {
        let (file, line) = self.line(place);
        format!("{}:{line}", file.display())
    }

    /// Everything that was noted; `None` if nothing was.
    pub(super) fn finish(mut self) -> Option<RegistryError> {
        if self.found.is_empty() {
            return None;
        }
        for source in &mut self.sources {
            source.parts.sort_by_key(|(span, _)| span.start);
        }
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(place, _)| (place.file, place.span.start));
        let told = |(place, message): (Place, String)| {
            self.sources.get(place.file.0 as usize).map(|source| source.problem(place.span, &message))
        };
        Some(RegistryError { problems: found.into_iter().filter_map(told).collect(), more: self.more })
    }
}

/// A text of a file as part of a message: quoted, on one line, and cut if it is long.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", plain(text))
}

/// A name of a file as part of a message: on one line, and cut if it is long.
pub(super) fn plain(text: &str) -> String {
    const MOST_SHOWN: usize = 80;
    let mut shown: String = text
        .chars()
        .take(MOST_SHOWN)
        .flat_map(|c| c.escape_debug().filter(move |_| c.is_control()).chain((!c.is_control()).then_some(c)))
        .collect();
    if text.chars().nth(MOST_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_at(text: &str, start: usize, end: usize) -> Problem {
        let mut problems = Problems::default();
        let file = problems.add_file(Path::new("conf/a.xml"), text.into());
        problems.add(Place { file, span: Span::new(start, end) }, "is wrong");
        problems.finish().unwrap().problems.remove(0)
    }

    #[test]
    fn a_problem_tells_line_and_column_in_characters() {
        let problem = problem_at("<a>\r\n  äö<b>", 11, 12);
        assert_eq!(problem.to_string(), "conf/a.xml:2:5: is wrong");
    }

    #[test]
    fn any_span_of_any_text_can_be_told() {
        let text = "ä\n\r\n\u{9b}<日本>\t\n";
        for start in 0..text.len() + 3 {
            for end in 0..text.len() + 3 {
                let problem = problem_at(text, start, end);
                assert!(problem.line <= 4 && !problem.render(true).is_empty());
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_problem() {
        let text = format!("{}HERE{}", "x".repeat(5_000), "y".repeat(5_000));
        let problem = problem_at(&text, 5_000, 5_004);
        assert_eq!(problem.column, 5_001);
        let rendered = problem.render(false);
        assert!(rendered.contains("HERE") && rendered.len() < 1_000, "{rendered}");
        assert_eq!(rendered.matches("conf/a.xml").count(), 1, "{rendered}");
        assert!(rendered.contains("--> conf/a.xml:1:5001\n"), "{rendered}");
    }

    #[test]
    fn the_same_problem_is_told_once_and_more_than_1000_are_only_counted() {
        let mut problems = Problems::default();
        let file = problems.add_file(Path::new("a.xml"), " ".repeat(5_000).as_str().into());
        for at in 0..1_500 {
            for _ in 0..2 {
                problems.add(Place { file, span: Span::new(at, at + 1) }, "is wrong");
            }
        }
        let error = problems.finish().unwrap();
        assert_eq!(error.problems().len(), 1_000);
        // Beyond the limit, what is the same is no longer recognized.
        assert_eq!(error.more(), 1_000);
        assert!(error.to_string().ends_with("and 1000 more problems"));
    }

    #[test]
    fn a_hidden_line_is_not_shown() {
        let mut problems = Problems::default();
        let file = problems.add_file(Path::new("a.xml"), "<a>\nhunter2 <b/>\n</a>".into());
        problems.hide(Place { file, span: Span::new(4, 11) });
        problems.add(Place { file, span: Span::new(12, 16) }, "is wrong");
        let error = problems.finish().unwrap();
        assert!(!error.render(false).contains("hunter2"));
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(error.render(false).contains("a.xml:2:9"));
    }
}

//! From the events of the parser to the tree, however little of the file is well-formed.

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

use super::super::problem::{FileId, Place, Problems, Span, plain};
use super::tag::marks_a_secret;
use super::wording::{NO_CHARACTER, TOO_LONG, UNKNOWN_ENTITY, syntax_error};
use super::{Element, MAX_DEPTH, MAX_VALUE, Text, is_allowed, is_white_space};

/// How many elements a file may have: far more than 10,000 components need.
const MAX_ELEMENTS: usize = 1_000_000;

/// Builds the tree of this text. `None` if there is no element at all.
pub(super) fn build(file: FileId, text: &str, problems: &mut Problems) -> Option<Element> {
    let mut builder = TreeBuilder {
        text,
        file,
        problems,
        open: Vec::new(),
        root: None,
        elements: 0,
        has_declaration: false,
    };
    builder.check_characters();
    if let Err(Stop { tree_is_whole: false }) = builder.read_events() {
        builder.problems.set_incomplete();
    }
    builder.close_all();
    builder.root
}

/// The rest of the file cannot be read with any sense, and is left alone.
pub(super) struct Stop {
    /// The root element ended before.
    pub(super) tree_is_whole: bool,
}

/// The tree, as far as it has been read.
pub(super) struct TreeBuilder<'a> {
    pub(super) text: &'a str,
    file: FileId,
    problems: &'a mut Problems,
    pub(super) open: Vec<Open>,
    root: Option<Element>,
    elements: usize,
    pub(super) has_declaration: bool,
}

/// An element whose end tag has not come yet.
pub(super) struct Open {
    element: Element,
    text: String,
    text_span: Span,
    text_broken: bool,
}

impl TreeBuilder<'_> {
    fn read_events(&mut self) -> Result<(), Stop> {
        let text = self.text;
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_comments = true;
        // End tags are matched here, so that a missing one can be told from a misspelt one.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        loop {
            let start = offset(reader.buffer_position());
            let event = reader.read_event();
            let span = Span::new(start, offset(reader.buffer_position()));
            match event {
                Ok(Event::Eof) => return self.end_of_file(),
                Ok(event) => self.event(event, span)?,
                Err(error) => self.parser_error(&error, offset(reader.error_position()), span)?,
            }
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Start(tag) => self.start(tag.name().as_ref(), span, 1),
            Event::Empty(tag) => {
                self.start(tag.name().as_ref(), span, 2)?;
                self.close(span.start);
                Ok(())
            }
            Event::End(tag) => {
                self.end(tag.name().as_ref(), span);
                Ok(())
            }
            Event::Text(raw) => {
                if let Some(at) = raw.find("]]>") {
                    let at = span.start as usize + at;
                    self.complain(span, Span::new(at, at + 3), "\"]]>\" must be written as \"]]&gt;\"");
                }
                self.text(&raw.xml10_content(), span)
            }
            Event::CData(raw) => {
                if let Some(open) = self.open.last_mut() {
                    open.element.cdata.get_or_insert(span);
                }
                self.text(&raw.xml10_content(), span)
            }
            Event::GeneralRef(reference) => self.reference(&reference, span),
            Event::Decl(_) => self.declaration(span),
            Event::PI(instruction) => {
                self.instruction(instruction.target(), span);
                Ok(())
            }
            Event::DocType(_) => {
                self.complain(span, span, "a DOCTYPE is not allowed: take it out");
                Ok(())
            }
            Event::Comment(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, name: &str, span: Span, closing_characters: u32) -> Result<(), Stop> {
        let start = span.start as usize;
        let name_span = Span::new(start + 1, start + 1 + name.len());
        if self.open.is_empty() && self.root.is_some() {
            self.complain(span, name_span, "nothing may follow the root element");
            return Err(Stop { tree_is_whole: true });
        }
        if self.open.len() >= MAX_DEPTH {
            self.complain(span, name_span, format!("elements are nested deeper than {MAX_DEPTH}"));
            return Err(Stop { tree_is_whole: false });
        }
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            self.complain(span, name_span, format!("the file has more than {MAX_ELEMENTS} elements"));
            return Err(Stop { tree_is_whole: false });
        }
        let content = start + 1..(span.end - closing_characters) as usize;
        let (attributes, broken_tag) = self.attributes(content, name.len(), span)?;
        let may_be_secret = attributes.iter().any(marks_a_secret)
            || broken_tag && mentions_secrets(&self.text.as_bytes()[start..span.end as usize]);
        let element = Element {
            name: name.into(),
            name_span,
            span,
            attributes,
            broken_tag,
            children: Vec::new(),
            may_be_secret,
            text: None,
            cdata: None,
        };
        self.open.push(Open { element, text: String::new(), text_span: Span::new(0, 0), text_broken: false });
        Ok(())
    }

    fn end(&mut self, name: &str, span: Span) {
        let Some(innermost) = self.open.last() else {
            self.complain(span, span, format!("</{}> ends nothing", plain(name)));
            return;
        };
        let expected = &innermost.element.name;
        if **expected == *name {
            return self.close(span.start);
        }
        self.problems.set_incomplete();
        if let Some(index) = self.open.iter().rposition(|open| *open.element.name == *name) {
            while self.open.len() > index + 1 {
                self.close_unended(span.start, &format!("before </{}>", plain(name)));
            }
            return self.close(span.start);
        }
        let is_misspelt = strsim::normalized_damerau_levenshtein(expected, &plain(name)) >= 0.5;
        let message = format!("</{}> does not end <{}>, which is open", plain(name), plain(expected));
        self.complain(span, span, message);
        if is_misspelt {
            self.close(span.start);
        }
    }

    /// Ends the innermost element, whose content goes up to `end`.
    fn close(&mut self, end: u32) {
        let Some(open) = self.open.pop() else { return };
        let Open { mut element, text, text_span, text_broken } = open;
        element.span.end = element.span.end.max(end);
        // A mark that became text, because the tag that it was written in lost its beginning.
        element.may_be_secret |= mentions(text.as_bytes(), "secret=");
        let trimmed = text.trim_matches(is_white_space);
        if !trimmed.is_empty() || text_broken {
            element.text = Some(Text { value: trimmed.into(), span: text_span, broken: text_broken });
        }
        if element.may_be_secret {
            self.problems.hide(Place { file: self.file, span: element.span });
        }
        match self.open.last_mut() {
            Some(parent) => parent.element.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn close_unended(&mut self, end: u32, when: &str) {
        if let Some(open) = self.open.last() {
            let span = open.element.name_span;
            let message = format!("<{}> is not closed {when}", plain(&open.element.name));
            self.complain(span, span, message);
        }
        self.close(end);
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close(Span::new(0, self.text.len()).end);
        }
    }

    fn end_of_file(&mut self) -> Result<(), Stop> {
        if self.open.is_empty() {
            return Ok(());
        }
        // One problem is enough: those around it are open because this one is.
        self.close_unended(Span::new(0, self.text.len()).end, "before the end of the file");
        Err(Stop { tree_is_whole: false })
    }

    fn text(&mut self, text: &str, span: Span) -> Result<(), Stop> {
        // By what stands in the file: entities and ends of lines make the text shorter.
        let raw = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let leading = raw.len() - raw.trim_start_matches(is_white_space).len();
        let trailing = raw.len() - raw.trim_end_matches(is_white_space).len();
        let is_blank = text.chars().all(is_white_space);
        let Some(open) = self.open.last_mut() else {
            if is_blank {
                return Ok(());
            }
            let start = (span.start as usize + leading).min(span.end as usize);
            let what = if self.root.is_some() { "nothing may follow" } else { "no text may stand before" };
            self.complain(span, Span::new(start, span.end as usize), format!("{what} the root element"));
            return if self.root.is_some() { Err(Stop { tree_is_whole: true }) } else { Ok(()) };
        };
        if open.text.is_empty() && is_blank {
            return Ok(());
        }
        if open.text.len() + text.len() > MAX_VALUE {
            let already_told = std::mem::replace(&mut open.text_broken, true);
            if !already_told {
                let name = open.element.name_span;
                self.complain(span, name, TOO_LONG);
            }
            return Ok(());
        }
        if open.text.is_empty() {
            let start = span.start as usize + leading;
            open.text_span = Span::new(start, start);
        }
        if !is_blank {
            open.text_span.end = Span::new(0, (span.end as usize).saturating_sub(trailing)).end;
        }
        open.text.push_str(text);
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>, span: Span) -> Result<(), Stop> {
        let resolved = match reference.resolve_char_ref() {
            Ok(Some(character)) if is_allowed(character) => Ok(character.to_string()),
            Ok(Some(_)) => Err(NO_CHARACTER),
            Ok(None) => resolve_predefined_entity(reference).map(str::to_owned).ok_or(UNKNOWN_ENTITY),
            Err(_) => Err(NO_CHARACTER),
        };
        match resolved {
            Ok(text) => self.text(&text, span),
            Err(message) => {
                self.complain(span, span, message);
                self.break_text();
                Ok(())
            }
        }
    }

    fn break_text(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.text_broken = true;
        }
    }

    fn parser_error(&mut self, error: &Error, at: usize, event: Span) -> Result<(), Stop> {
        let found = Span::new(at, at + 1);
        match error {
            Error::IllFormed(IllFormedError::UnclosedReference) => {
                self.complain(event, found, "\"&\" must be written as \"&amp;\"");
                self.break_text();
                Ok(())
            }
            Error::IllFormed(IllFormedError::DoubleHyphenInComment) => {
                self.complain(event, found, "\"--\" must not stand inside a comment");
                Ok(())
            }
            Error::IllFormed(_) => {
                self.complain(event, event, "this is not well-formed XML");
                Ok(())
            }
            Error::Syntax(error) => {
                self.complain(event, found, syntax_error(*error));
                Err(Stop { tree_is_whole: false })
            }
            _ => {
                self.complain(event, event, "this is not well-formed XML");
                Err(Stop { tree_is_whole: false })
            }
        }
    }

    /// Tells the first character that XML does not allow: a file seldom has just one.
    fn check_characters(&mut self) {
        let first = self.text.char_indices().find(|&(at, c)| !is_allowed(c) || (at == 0 && c == '\u{feff}'));
        if let Some((at, character)) = first {
            let message = format!("the character U+{:04X} is not allowed in XML", u32::from(character));
            let span = Span::new(at, at + character.len_utf8());
            self.problems.add(Place { file: self.file, span }, message);
        }
    }

    /// Tells a problem of an event. Where secrets are mentioned nearby, it is hard to say which part of it is one.
    pub(super) fn complain(&mut self, event: Span, span: Span, message: impl Into<String>) {
        const NEARBY: usize = 512;
        let place = |span| Place { file: self.file, span };
        if !self.problems.is_full() {
            let start = (event.start as usize).saturating_sub(NEARBY);
            let end = self.text.len().min(event.end as usize + NEARBY);
            if mentions_secrets(&self.text.as_bytes()[start..end]) {
                self.problems.hide(place(event));
                self.problems.hide(place(span));
                // What follows may have been meant for the tag that could not be read.
                if let Some(open) = self.open.last_mut() {
                    open.element.may_be_secret = true;
                }
            }
        }
        self.problems.add(place(span), message);
    }
}

fn mentions_secrets(text: &[u8]) -> bool {
    mentions(text, "secret")
}

fn mentions(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// An offset as the parser counts it; files are far smaller than any address space.
fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

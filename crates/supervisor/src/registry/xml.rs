//! The text of an XML file -> a tree of elements that know where they stand.
//!
//! This file and those of its folder are the only ones that know the XML parser. The parser is lenient where the XML specification is not, so the
//! strictness is here: no DOCTYPE, no entity but the five of XML, no instruction that would be ignored, nothing after
//! the root. What is not well-formed is told, and as much of the tree is kept as can be made out, so that a missing
//! end tag does not hide the other problems of the file.
//!
//! Memory is bounded before it is spent: depth, number of elements and size of values have limits.

mod tag;
mod wording;

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

use self::tag::marks_a_secret;
use self::wording::{NO_CHARACTER, TOO_LONG, UNKNOWN_ENTITY, syntax_error};
use super::problem::{FileId, Place, Problems, Span, plain};

/// How deep elements may be nested.
pub(super) const MAX_DEPTH: usize = 64;
/// How many bytes a value may have, in the file and after its settings are put in.
pub(super) const MAX_VALUE: usize = 64 * 1024;
/// How many elements a file may have: far more than 10,000 components need.
const MAX_ELEMENTS: usize = 1_000_000;
/// An element and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: Box<str>,
    /// Where its name stands, for problems of the element as a whole.
    pub(super) name_span: Span,
    /// From its start tag to its end tag.
    pub(super) span: Span,
    pub(super) attributes: Vec<Attribute>,
    /// Something of the start tag could not be read.
    pub(super) broken_tag: bool,
    pub(super) children: Vec<Element>,
    /// It is marked as a secret, or somebody seems to have meant that.
    pub(super) may_be_secret: bool,
    /// Its own text, trimmed; `None` if there is none but white space.
    pub(super) text: Option<Text>,
    /// The first CDATA section in it: text by intention, though there may be nothing but white space in it.
    pub(super) cdata: Option<Span>,
}

/// An attribute and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Box<str>,
    pub(super) name_span: Span,
    pub(super) value: Text,
}

/// A text, entities replaced, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) value: Box<str>,
    pub(super) span: Span,
    /// Something of it could not be read, which has been told.
    pub(super) broken: bool,
}

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    Everything,
    /// Not what stands in the elements of [`COMPONENTS`], which is by far the greatest part of it.
    WithoutComponents,
}

/// The elements below the root that have no part in finding a running supervisor.
const COMPONENTS: [&str; 2] = ["servers", "profiles"];

/// Reads the tree of a file whose text `problems` knows. `None` if there is no element at all.
pub(super) fn read(file: FileId, scope: Scope, problems: &mut Problems) -> Option<Element> {
    let text = problems.text(file);
    let told_before = problems.count();
    let mut builder = TreeBuilder {
        text: &text,
        file,
        problems,
        open: Vec::new(),
        root: None,
        elements: 0,
        has_declaration: false,
        scope,
        passed_over: None,
    };
    builder.check_characters();
    if let Err(Stop { tree_is_whole: false }) = builder.read_events() {
        builder.problems.set_incomplete();
    }
    builder.close_all();
    if builder.root.is_none() && builder.problems.count() == told_before {
        builder.problems.add_to_file(file, "there is no root element: expected <supervisor>");
    }
    builder.root
}

/// The rest of the file cannot be read with any sense, and is left alone.
struct Stop {
    /// The root element ended before.
    tree_is_whole: bool,
}

struct TreeBuilder<'a> {
    text: &'a str,
    file: FileId,
    problems: &'a mut Problems,
    open: Vec<Open>,
    root: Option<Element>,
    elements: usize,
    has_declaration: bool,
    scope: Scope,
    /// Which of [`COMPONENTS`] is being passed over.
    passed_over: Option<&'static str>,
}

/// An element whose end tag has not come yet.
struct Open {
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
        if self.scope == Scope::WithoutComponents && self.passes_over(&event) {
            return Ok(());
        }
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

    /// Whether the event belongs to what is passed over: that ends with the end tag of the same name, however broken
    /// it is inside, because what follows it is still wanted.
    fn passes_over(&mut self, event: &Event<'_>) -> bool {
        match (self.passed_over, event) {
            (None, Event::Start(tag)) if self.open.len() == 1 => {
                self.passed_over = COMPONENTS.into_iter().find(|name| *name == tag.name().as_ref());
                self.passed_over.is_some()
            }
            (Some(name), Event::End(tag)) if tag.name().as_ref() == name => {
                self.passed_over = None;
                true
            }
            (within, _) => within.is_some(),
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
    fn complain(&mut self, event: Span, span: Span, message: impl Into<String>) {
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
    text.windows("secret".len()).any(|word| word.eq_ignore_ascii_case(b"secret"))
}

/// What XML calls white space: <https://www.w3.org/TR/xml/#NT-S>.
pub(super) fn is_white_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// What XML calls a character: <https://www.w3.org/TR/xml/#NT-Char>.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// An offset as the parser counts it; files are far smaller than any address space.
fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> (Option<Element>, Vec<String>) {
        let mut problems = Problems::default();
        let file = problems.add_file(Path::new("a"), text.into());
        let root = read(file, Scope::Everything, &mut problems);
        let told = problems.finish().map_or(Vec::new(), |error| {
            error.problems().iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.message)).collect()
        });
        (root, told)
    }

    fn problems_of(text: &str) -> Vec<String> {
        parse(text).1
    }

    #[test]
    fn a_tree_has_names_attributes_text_and_places() {
        let text = "<a x='1 &amp; 2'>\n  <b> c &lt; <!-- d -->e<![CDATA[ <f> ]]></b>\n</a>";
        let (root, problems) = parse(text);
        assert_eq!(problems, [""; 0]);
        let root = root.unwrap();
        assert_eq!((&*root.name, &*root.attributes[0].value.value), ("a", "1 & 2"));
        let slice = |span: Span| &text[span.start as usize..span.end as usize];
        assert_eq!(slice(root.attributes[0].name_span), "x");
        assert_eq!(slice(root.attributes[0].value.span), "1 &amp; 2");
        assert_eq!(root.text, None);
        let b = &root.children[0];
        let b_text = b.text.as_ref().unwrap();
        assert_eq!(&*b_text.value, "c < e <f>");
        assert_eq!(slice(b_text.span), "c &lt; <!-- d -->e<![CDATA[ <f> ]]>");
        assert_eq!(slice(b.name_span), "b");
    }

    #[test]
    fn a_missing_end_tag_is_told_where_it_is_missing_and_the_rest_is_still_read() {
        let (root, problems) = parse("<a>\n <b>\n  <c>x</b>\n <d>y</d>\n</a>");
        assert_eq!(problems, ["3:4: <c> is not closed before </b>"]);
        let names: Vec<_> = root.unwrap().children.into_iter().map(|child| child.name).collect();
        assert_eq!(names, ["b".into(), "d".into()]);
    }

    #[test]
    fn a_misspelt_end_tag_ends_what_it_resembles() {
        let (root, problems) = parse("<a><log>x</lgo><b/></a>");
        assert_eq!(problems, ["1:10: </lgo> does not end <log>, which is open"]);
        assert_eq!(root.unwrap().children.len(), 2);
    }

    #[test]
    fn only_one_of_the_elements_that_a_cut_off_file_leaves_open_is_told() {
        assert_eq!(problems_of("<a><b><c>"), ["1:8: <c> is not closed before the end of the file"]);
    }

    #[test]
    fn what_xml_forbids_is_told_at_its_place() {
        for (text, expected) in [
            ("", "1:1: there is no root element"),
            (" \n", "1:1: there is no root element"),
            ("x<a/>", "1:1: no text may stand before"),
            ("<a/>\nx", "2:1: nothing may follow"),
            ("<a/><b/>", "1:6: nothing may follow"),
            ("</a>", "1:1: </a> ends nothing"),
            ("<a>&b;</a>", "1:4: unknown entity"),
            ("<a b='&c;'/>", "1:7: unknown entity"),
            ("<a> x & y</a>", "1:7: \"&\" must be written"),
            ("<a b='x & y'/>", "1:7: \"&\" must be written"),
            ("<a>&#0;</a>", "1:4: this is not a character"),
            ("<a>&#7;</a>", "1:4: this is not a character"),
            ("<a>&#xfffffff;</a>", "1:4: this is not a character"),
            ("<a b='&#7;'/>", "1:7: this is not a character"),
            ("<a>\u{7}</a>", "1:4: the character U+0007"),
            ("<a>]]></a>", "1:4: \"]]>\" must"),
            ("<a b=1/>", "1:6: an attribute's value must stand in quotes"),
            ("<a b/>", "1:5: an attribute must be written"),
            ("<a b=/>", "1:6: an attribute's value is missing"),
            ("<a b='1' b='2'/>", "1:10: the attribute b stands here twice"),
            ("<a b='1'c='2'/>", "1:9: a blank is missing"),
            ("<a b='<'/>", "1:7: an attribute's value contains"),
            ("<a b='1/>", "1:1: the closing quote"),
            ("<a><!-- -- --></a>", "1:9: \"--\" must not"),
            ("<a><!-- </a>", "1:4: the comment is not closed"),
            ("<a><![CDATA[ </a>", "1:4: <![CDATA[ is not closed"),
            ("<a", "1:1: the tag is not closed"),
            ("<!DOCTYPE a><a/>", "1:1: a DOCTYPE is not allowed"),
            ("<!DOCTYPE a [<!ENTITY b SYSTEM '/etc/passwd'>]><a>&b;</a>", "1:1: a DOCTYPE is not allowed"),
            ("<a><?php x?></a>", "1:4: a processing instruction"),
            (" <?xml version='1.0'?><a/>", "1:2: an XML declaration may stand only"),
            ("<?xml version='1.1'?><a/>", "1:16: only XML 1.0"),
            ("<?xml version='1.0' encoding='latin1'?><a/>", "1:31: only UTF-8"),
            ("<?xml encoding='utf-8'?><a/>", "1:1: the XML declaration must be"),
            ("<?xml?><a/>", "1:1: the XML declaration must be"),
            ("\u{feff}<a/>", "1:1: the character U+FEFF"),
        ] {
            let problems = problems_of(text);
            assert!(
                problems.first().is_some_and(|first| first.starts_with(expected)),
                "{text}: {problems:?}"
            );
        }
    }

    #[test]
    fn what_xml_and_editors_need_is_allowed() {
        for text in [
            "<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n<!-- c --><a/>\n<!-- d -->\n",
            "<?xml-model href='SupervisorRegistry.xsd'?><a></a >",
        ] {
            assert_eq!(problems_of(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn depth_elements_attributes_and_values_are_limited() {
        let nested = "<a>".repeat(65);
        assert_eq!(problems_of(&nested), ["1:194: elements are nested deeper than 64"]);
        let fits = format!("<a>{}</a>", "x".repeat(64 * 1024));
        assert_eq!(problems_of(&fits), [""; 0]);
        let too_long = format!("<a>{}</a>", "x".repeat(64 * 1024 + 1));
        assert_eq!(problems_of(&too_long), ["1:2: the value is longer than 64 KiB"]);
        let too_long = format!("<a>{}&amp;</a>", "x".repeat(64 * 1024));
        assert_eq!(problems_of(&too_long), ["1:2: the value is longer than 64 KiB"]);
        let too_long = format!("<a b='{}'/>", "x".repeat(64 * 1024 + 1));
        assert_eq!(problems_of(&too_long), ["1:7: the value is longer than 64 KiB"]);
        let attributes: String = (0..65).map(|n| format!(" a{n}='1'")).collect();
        assert_eq!(problems_of(&format!("<a{attributes}/>")), ["1:506: more than 64 attributes"]);
        let elements = format!("<a>{}</a>", "<b/>".repeat(1_000_000));
        assert_eq!(problems_of(&elements).len(), 1);
        let white_space = format!("<a>{}</a>", format!("<b/>{}", " ".repeat(70_000)).repeat(2));
        assert_eq!(problems_of(&white_space), [""; 0]);
    }
}

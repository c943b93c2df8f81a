//! The text of an XML file -> a tree of elements that know where they stand.
//!
//! This file and those of its folder are the only ones that know the XML parser. The parser is lenient where the XML specification is not, so the
//! strictness is here: no DOCTYPE, no entity but the five of XML, no instruction that would be ignored, nothing after
//! the root. What is not well-formed is told, and as much of the tree is kept as can be made out, so that a missing
//! end tag does not hide the other problems of the file.
//!
//! Memory is bounded before it is spent: depth, number of elements and size of values have limits.
//!
//! - `tree`: from the events of the parser to the tree
//! - `tag`: what stands in a tag
//! - `wording`: the problems of the parser in our words

mod tag;
mod tree;
mod wording;

use super::problem::{FileId, Problems, Span};

/// How deep elements may be nested.
pub(super) const MAX_DEPTH: usize = 64;
/// How many bytes a value may have, in the file and after its settings are put in.
pub(super) const MAX_VALUE: usize = 64 * 1024;

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

/// Reads the tree of a file whose text `problems` knows. `None` if there is no element at all.
pub(super) fn read(file: FileId, problems: &mut Problems) -> Option<Element> {
    let text = problems.text(file);
    let told_before = problems.count();
    let root = tree::build(file, &text, problems);
    if root.is_none() && problems.count() == told_before {
        problems.add_to_file(file, "there is no root element: expected <supervisor>");
    }
    root
}

/// What XML calls white space: <https://www.w3.org/TR/xml/#NT-S>.
pub(super) fn is_white_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// What XML calls a character: <https://www.w3.org/TR/xml/#NT-Char>.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> (Option<Element>, Vec<String>) {
        let mut problems = Problems::default();
        let file = problems.add_file(Path::new("a"), text.into());
        let root = read(file, &mut problems);
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

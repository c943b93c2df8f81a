//! What stands in a tag: its attributes. Also the declaration and the instructions, which look alike.

use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attributes;

use super::super::problem::{Span, plain};
use super::tree::{Stop, TreeBuilder};
use super::wording::{NO_CHARACTER, TOO_LONG, attribute_error, reference_error};
use super::{Attribute, MAX_VALUE, Text, is_allowed, is_white_space};

/// How many attributes an element may have.
const MAX_ATTRIBUTES: usize = 64;

impl TreeBuilder<'_> {
    pub(super) fn attributes(
        &mut self,
        content: std::ops::Range<usize>,
        name_length: usize,
        tag: Span,
    ) -> Result<(Vec<Attribute>, bool), Stop> {
        let text = self.text;
        let tag_text = text.get(content.clone()).unwrap_or_default();
        let mut read: Vec<Attribute> = Vec::new();
        let mut broken = false;
        // The parser would look for duplicates; but it cannot tell where the first one is.
        for attribute in Attributes::new(tag_text, name_length).with_checks(false) {
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(error) => {
                    let (at, message) = attribute_error(&error);
                    let at = content.start + at.min(tag_text.len());
                    self.complain(tag, Span::new(at, at + 1), message);
                    broken = true;
                    continue;
                }
            };
            let name = attribute.key.as_ref();
            let name_start = offset_in(text, name);
            let name_span = Span::new(name_start, name_start + name.len());
            let raw_start = offset_in(text, &attribute.value);
            let raw_span = Span::new(raw_start, raw_start + attribute.value.len());
            if !text[..name_start].ends_with(is_white_space) {
                self.complain(tag, name_span, "a blank is missing before this attribute");
            }
            if attribute.value.contains('<') {
                self.complain(
                    tag,
                    raw_span,
                    "an attribute's value contains \"<\": its closing quote is missing, or it must be written as \"&lt;\"",
                );
                return Err(Stop { tree_is_whole: false });
            }
            if read.len() >= MAX_ATTRIBUTES {
                self.complain(tag, name_span, format!("more than {MAX_ATTRIBUTES} attributes"));
                return Ok((read, true));
            }
            if read.iter().any(|other| *other.name == *name) {
                let message = format!("the attribute {} stands here twice", plain(name));
                self.complain(tag, name_span, message);
                continue;
            }
            let value = match attribute.normalized_value(XmlVersion::Implicit1_0) {
                Ok(value) => self.attribute_value(&value, raw_span, tag),
                Err(error) => {
                    self.complain(tag, raw_span, reference_error(&error));
                    Text { value: "".into(), span: raw_span, broken: true }
                }
            };
            read.push(Attribute { name: name.into(), name_span, value });
        }
        Ok((read, broken))
    }

    fn attribute_value(&mut self, value: &str, span: Span, tag: Span) -> Text {
        let problem = if value.len() > MAX_VALUE {
            Some(TOO_LONG)
        } else if value.chars().all(is_allowed) {
            None
        } else {
            Some(NO_CHARACTER)
        };
        match problem {
            Some(message) => {
                self.complain(tag, span, message);
                Text { value: "".into(), span, broken: true }
            }
            None => Text { value: value.into(), span, broken: false },
        }
    }

    /// Checks `<?xml version="1.0" encoding="UTF-8"?>`.
    pub(super) fn declaration(&mut self, span: Span) -> Result<(), Stop> {
        if span.start > 0 || std::mem::replace(&mut self.has_declaration, true) {
            self.complain(span, span, "an XML declaration may stand only at the very beginning of the file");
            return Ok(());
        }
        let content = span.start as usize + 2..span.end as usize - 2;
        let (attributes, _) = self.attributes(content, "xml".len(), span)?;
        let names: Vec<&str> = attributes.iter().map(|attribute| &*attribute.name).collect();
        let is_well_formed = matches!(
            names[..],
            ["version"] | ["version", "encoding" | "standalone"] | ["version", "encoding", "standalone"]
        );
        if !is_well_formed {
            self.complain(
                span,
                span,
                "the XML declaration must be <?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            );
        }
        for attribute in attributes {
            let value = &*attribute.value.value;
            let problem = match &*attribute.name {
                "version" if value != "1.0" => "only XML 1.0 can be read",
                "encoding" if !value.eq_ignore_ascii_case("UTF-8") => {
                    "only UTF-8 can be read: convert the file, and say UTF-8 here"
                }
                "standalone" if !matches!(value, "yes" | "no") => "standalone must be \"yes\" or \"no\"",
                _ => continue,
            };
            self.complain(span, attribute.value.span, problem);
        }
        Ok(())
    }

    /// Editors may keep their own instructions outside the root; any other would be ignored, which would be a lie.
    pub(super) fn instruction(&mut self, target: &str, span: Span) {
        let is_for_editors = self.open.is_empty() && matches!(target, "xml-model" | "xml-stylesheet");
        if !is_for_editors {
            let message = "a processing instruction is not allowed here: nothing would follow it";
            self.complain(span, span, message);
        }
    }
}

/// Whether an attribute says that its element holds a secret, or was meant to and is misspelt.
pub(super) fn marks_a_secret(attribute: &Attribute) -> bool {
    let name = attribute.name.to_ascii_lowercase();
    let is_meant = name.len() < 10 && strsim::damerau_levenshtein(&name, "secret") <= 2;
    is_meant && *attribute.value.value != *"false"
}

/// Where `part` begins in the `whole` that it was cut from.
fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr()).min(whole.len())
}

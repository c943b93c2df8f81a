//! The faults that the XML parser finds, in words that say what to do.

use quick_xml::errors::{Error, SyntaxError};
use quick_xml::escape::EscapeError;
use quick_xml::events::attributes::AttrError;

pub(super) const TOO_LONG: &str = "the value is longer than 64 KiB";
pub(super) const NO_CHARACTER: &str = "this is not a character that XML allows";
pub(super) const UNKNOWN_ENTITY: &str =
    "unknown entity: there are only &amp; &lt; &gt; &quot; &apos; and characters by number, such as &#228;";

pub(super) fn reference_error(error: &Error) -> &'static str {
    match error {
        Error::Escape(EscapeError::UnrecognizedEntity(..)) => UNKNOWN_ENTITY,
        Error::Escape(EscapeError::UnterminatedEntity(_)) => "\"&\" must be written as \"&amp;\"",
        _ => NO_CHARACTER,
    }
}

pub(super) fn attribute_error(error: &AttrError) -> (usize, &'static str) {
    match error {
        AttrError::ExpectedEq(at) => (*at, "an attribute must be written as name=\"value\""),
        AttrError::ExpectedValue(at) => (*at, "an attribute's value is missing after \"=\""),
        AttrError::UnquotedValue(at) => (*at, "an attribute's value must stand in quotes"),
        AttrError::ExpectedQuote(at, _) => (*at, "an attribute's closing quote is missing"),
        AttrError::Duplicated(at, _) => (*at, "an attribute stands here twice"),
    }
}

pub(super) fn syntax_error(error: SyntaxError) -> &'static str {
    match error {
        SyntaxError::InvalidBangMarkup => "\"<!\" must begin a comment, <!-- … -->, or <![CDATA[ … ]]>",
        SyntaxError::UnclosedPI | SyntaxError::UnclosedXmlDecl => "\"<?\" is not closed by \"?>\"",
        SyntaxError::UnclosedComment => "the comment is not closed by \"-->\"",
        SyntaxError::UnclosedDoctype => "a DOCTYPE is not allowed, and this one is not closed",
        SyntaxError::UnclosedCData => "<![CDATA[ is not closed by \"]]>\"",
        SyntaxError::UnclosedTag => "the tag is not closed by \">\"",
        SyntaxError::UnclosedSingleQuotedAttributeValue | SyntaxError::UnclosedDoubleQuotedAttributeValue => {
            "the closing quote of an attribute's value is missing"
        }
    }
}

//! Where words go: the answer to standard output and nothing else there, everything else to standard error.
//!
//! A reader that has gone away (`s7supervisor status | head -1`) is no reason to fail, let alone to panic. An answer
//! that cannot be written for another reason, such as a full disk, is one: see [`lost`].

use std::borrow::Cow;
use std::io::{Error, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use supervisor::registry::RegistryError;

use crate::progress::in_place_of_line;

/// Why the first answer that was lost could not be written.
static LOST: Mutex<Option<Error>> = Mutex::new(None);

/// Writes a part of the answer as it is.
pub(crate) fn answer_bytes(bytes: &[u8]) {
    note(in_place_of_line(|| {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush())
    }));
}

/// Remembers whether an answer was written.
fn note(written: std::io::Result<()>) {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        Err(_) => GONE.store(true, Ordering::Relaxed),
        Ok(()) => {}
    }
}

/// Whether whoever read the answers has gone away.
static GONE: AtomicBool = AtomicBool::new(false);

/// Writes the answer of a command, colours only where a terminal shows them.
pub(crate) fn answer(text: &str) {
    note(in_place_of_line(|| {
        // What has no colours needs none taken out, which would cost a long answer a millisecond.
        if text.contains('\u{1b}') {
            write_line(anstream::stdout(), text)
        } else {
            write_line(std::io::stdout(), text)
        }
    }));
}

/// Whether whoever read the answers has gone away, so that there is no use in more of them.
pub(crate) fn reader_is_gone() -> bool {
    GONE.load(Ordering::Relaxed)
}

/// Why an answer could not be written, if one could not though somebody may have waited for it.
pub(crate) fn lost() -> Option<Error> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Tells people what is going on.
pub(crate) fn tell(text: &str) {
    // Nobody is left to be told that nobody reads.
    let _gone = in_place_of_line(|| write_line(anstream::stderr(), text));
}

/// The problems of a registry as standard error shows them: on a terminal each with its line of the file, the place
/// underlined; else each in one line for programs that read them, `file:line:column: what, why`.
pub(crate) fn problems(error: &RegistryError) -> String {
    if std::io::stderr().is_terminal() { error.render(colours_on_stderr()) } else { error.to_string() }
}

/// Lets terminals that know no colours have none, whatever else the environment says.
pub(crate) fn choose_colours() {
    if std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb") {
        anstream::ColorChoice::Never.write_global();
    }
}

/// Whether standard error shows colours.
pub(crate) fn colours_on_stderr() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// Whether standard output shows colours.
pub(crate) fn colours_on_stdout() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

fn write_line(mut stream: impl Write, text: &str) -> std::io::Result<()> {
    stream.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        stream.write_all(b"\n")?;
    }
    stream.flush()
}

/// `text` in one line, with nothing in it that a terminal would take for an order.
pub(crate) fn printable<'a>(text: impl Into<Cow<'a, str>>) -> String {
    let text = text.into();
    if !text.chars().any(char::is_control) {
        return text.into_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// What a program has written, as a terminal may show it: likewise, but tabs stay, and so do colours if there are to be any.
pub(crate) fn harmless(text: &str, colours: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let (mut rest, mut is_coloured) = (text, false);
    while let Some(character) = rest.chars().next() {
        let length = colour(rest).unwrap_or(0);
        if length > 0 {
            is_coloured = true;
            shown.push_str(if colours { &rest[..length] } else { "" });
        } else if character.is_control() && character != '\t' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        rest = &rest[length.max(character.len_utf8())..];
    }
    if is_coloured && colours {
        // What is not ended by whoever began it goes no further than the line.
        shown.push_str("\u{1b}[0m");
    }
    shown
}

/// How long the order to a terminal is that `text` begins with, if it is one that only sets colours.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|character: char| !character.is_ascii_digit() && character != ';')?;
    parameters[end..].starts_with('m').then_some("\u{1b}[".len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_program_writes_a_terminal_takes_colours_and_no_other_orders() {
        let shown = |text| harmless(text, true);
        assert_eq!(shown("a\tb\u{1b}[2Jc\r\u{7}"), "a\tb\\u{1b}[2Jc\\r\\u{7}");
        assert_eq!(shown("\u{1b}[1;31mred"), "\u{1b}[1;31mred\u{1b}[0m");
        assert_eq!(shown("\u{1b}[31"), "\\u{1b}[31");
        assert_eq!(shown("\u{1b}]0;title\u{7}\u{9b}1m"), "\\u{1b}]0;title\\u{7}\\u{9b}1m");
        assert_eq!(harmless("\u{1b}[31mred\u{1b}[m ä", false), "red ä");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_program_writes_only_tabs_and_colours_are_left_of_its_orders(text: String, orders in "([\\x1b\\[0-9;mJ\u{9b}\\t\\r]|a)*") {
            for text in [text, orders] {
                let is_order = |character: char| character.is_control() && character != '\t';
                proptest::prop_assert!(!harmless(&text, false).contains(is_order));
                for piece in harmless(&text, true).split('\u{1b}').skip(1) {
                    let end = piece.find('m').unwrap();
                    proptest::prop_assert!(piece[1..end].chars().all(|c| c.is_ascii_digit() || c == ';'));
                    proptest::prop_assert!(piece.starts_with('[') && !piece.contains(is_order));
                }
            }
        }
    }

    #[test]
    fn what_comes_from_outside_can_neither_break_a_line_nor_order_a_terminal_about() {
        assert_eq!(printable("a\nb\u{1b}[2Jc\u{9b}ä"), "a\\nb\\u{1b}[2Jc\\u{9b}ä");
    }
}

//! Where words go: the answer to standard output and nothing else there, everything else to standard error.
//!
//! A reader that has gone away (`s7supervisor status | head -1`) is no reason to fail, let alone to panic. An answer
//! that cannot be written for another reason, such as a full disk, is one: see [`lost`].

use std::borrow::Cow;
use std::io::{Error, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use supervisor::registry::RegistryError;

/// Why the first answer that was lost could not be written.
static LOST: Mutex<Option<Error>> = Mutex::new(None);

/// Whether whoever read the answers has gone away.
static GONE: AtomicBool = AtomicBool::new(false);

/// Writes the answer of a command, colours only where a terminal shows them.
pub(crate) fn answer(text: &str) {
    // What has no colours needs none taken out, which would cost a long answer a millisecond.
    let written = if text.contains('\u{1b}') {
        write_line(anstream::stdout(), text)
    } else {
        write_line(std::io::stdout(), text)
    };
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        Err(_) => GONE.store(true, Ordering::Relaxed),
        Ok(()) => {}
    }
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
    let _gone = write_line(anstream::stderr(), text);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_can_neither_break_a_line_nor_order_a_terminal_about() {
        assert_eq!(printable("a\nb\u{1b}[2Jc\u{9b}ä"), "a\\nb\\u{1b}[2Jc\\u{9b}ä");
    }
}

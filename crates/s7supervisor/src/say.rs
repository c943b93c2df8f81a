//! Where words go: the answer to standard output and nothing else there, everything else to standard error.
//!
//! A reader that has gone away (`s7supervisor status | head -1`) is no reason to fail, let alone to panic.

use std::io::{IsTerminal, Write};

use supervisor::registry::RegistryError;

/// Writes the answer of a command, colours only where a terminal shows them.
pub(crate) fn answer(text: &str) {
    write_line(anstream::stdout(), text);
}

/// Tells people what is going on.
pub(crate) fn tell(text: &str) {
    write_line(anstream::stderr(), text);
}

/// The problems of a registry as standard error shows them: on a terminal each with its line of the file, the place
/// underlined; else each in one line for programs that read them, `file:line:column: what, why`.
pub(crate) fn problems(error: &RegistryError) -> String {
    if std::io::stderr().is_terminal() { error.render(colours_on_stderr()) } else { error.to_string() }
}

/// Whether standard error shows colours.
pub(crate) fn colours_on_stderr() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

fn write_line(mut stream: impl Write, text: &str) {
    let line = if text.ends_with('\n') { "" } else { "\n" };
    // Nobody is left to be told that nobody reads.
    let _gone = write!(stream, "{text}{line}").and_then(|()| stream.flush());
}

/// `text` in one line, with nothing in it that a terminal would take for an order.
pub(crate) fn printable(text: &str) -> String {
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

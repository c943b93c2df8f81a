//! How lines are printed: for people with the name of who wrote them, for programs as JSON.

use std::borrow::Cow;
use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::line::{Told, Writer};
use super::source::Source;
use crate::say;

/// So much is held back at most, to be written at once.
const BUFFER: usize = 64 << 10;

/// The colours of names, one after the other.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// Prints lines.
pub(super) struct Teller {
    form: Form,
    /// What comes before the first line.
    heading: Option<String>,
    /// What was not written yet.
    held: Vec<u8>,
}

enum Form {
    /// By component, what stands before each line.
    Text { prefixes: Vec<String>, is_terminal: bool, colours: bool },
    /// By component, its id.
    Json { ids: Vec<Option<String>> },
}

impl Form {
    fn of(sources: &[&Source], json: bool) -> Self {
        if json {
            let id = |source: &&Source| match &source.writer {
                Writer::Supervisor => None,
                Writer::Component { id, .. } => Some(id.clone()),
            };
            return Self::Json { ids: sources.iter().map(id).collect() };
        }
        let colours = say::colours_on_stdout();
        let prefixes = prefixes(sources, colours);
        Self::Text { prefixes, is_terminal: std::io::stdout().is_terminal(), colours }
    }
}

/// A line where it is printed as JSON. Fields are added in later versions and never changed.
#[derive(Serialize)]
struct Document<'a> {
    /// When it was written, as it says itself or else a line before; `null` where none does.
    time: Option<String>,
    /// Who has written it; `null`: the supervisor.
    component: Option<&'a str>,
    /// The run that has written it, if that is known.
    run: Option<u64>,
    /// `stdout` or `stderr`, if that is known.
    stream: Option<&'a str>,
    line: Cow<'a, str>,
}

impl Teller {
    pub(super) fn new(sources: &[Source], json: bool) -> Self {
        Self { form: Form::of(&sources.iter().collect::<Vec<_>>(), json), heading: None, held: Vec::new() }
    }

    /// From now on there are these.
    pub(super) fn set_sources<'a>(&mut self, sources: impl Iterator<Item = &'a Source>) {
        self.form = Form::of(&sources.collect::<Vec<_>>(), matches!(self.form, Form::Json { .. }));
    }

    /// Of one log, whose lines come under this heading, if there are any, and each after a prefix.
    pub(super) fn under(heading: &str, prefix: &str) -> Self {
        let form = Form::Text {
            prefixes: vec![prefix.to_owned()],
            is_terminal: std::io::stdout().is_terminal(),
            colours: say::colours_on_stdout(),
        };
        Self { form, heading: Some(format!("{heading}\n")), held: Vec::new() }
    }

    /// Prints a line of this log, of which this is known to be the time.
    pub(super) fn tell(&mut self, source: usize, told: &Told<'_>, time: Option<DateTime<Utc>>) {
        self.held.extend(self.heading.take().unwrap_or_default().into_bytes());
        match &self.form {
            Form::Text { prefixes, is_terminal, colours } => {
                self.held.extend_from_slice(prefixes[source].as_bytes());
                if *is_terminal {
                    let text = say::harmless(&String::from_utf8_lossy(&told.shown), *colours);
                    self.held.extend_from_slice(text.as_bytes());
                } else {
                    self.held.extend_from_slice(&told.shown);
                }
            }
            Form::Json { ids } => {
                let document = Document {
                    time: time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
                    component: ids[source].as_deref(),
                    run: told.run,
                    stream: told.stream.as_deref(),
                    line: String::from_utf8_lossy(&told.line),
                };
                // Texts and a number: there is nothing in it that JSON does not know.
                let text = serde_json::to_string(&document).unwrap_or_default();
                self.held.extend_from_slice(without_controls(&text).as_bytes());
            }
        }
        self.held.push(b'\n');
        if self.held.len() >= BUFFER {
            self.flush();
        }
    }

    /// Writes what was held back.
    pub(super) fn flush(&mut self) {
        if !self.held.is_empty() {
            say::answer_bytes(&self.held);
            self.held.clear();
            self.held.shrink_to(2 * BUFFER);
        }
    }
}

/// What stands before the lines of each: where there are several, its name.
fn prefixes(sources: &[&Source], colours: bool) -> Vec<String> {
    if sources.len() < 2 {
        return vec![String::new(); sources.len()];
    }
    let width = sources.iter().map(|source| source.name().len()).max().unwrap_or_default();
    let prefix = |(source, colour): (&&Source, &AnsiColor)| {
        let style = if colours { colour.on_default() } else { Style::new() };
        format!("{style}{:<width$} |{style:#} ", source.name())
    };
    sources.iter().zip(COLOURS.iter().cycle()).map(prefix).collect()
}

/// JSON leaves some control characters as they are that a terminal would heed.
fn without_controls(json: &str) -> Cow<'_, str> {
    if !json.chars().any(char::is_control) {
        return json.into();
    }
    let escaped = |character: char| {
        if character.is_control() {
            format!("\\u{:04x}", u32::from(character))
        } else {
            character.to_string()
        }
    };
    json.chars().map(escaped).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor::{LineForm, LogSettings};

    fn source(id: &str) -> Source {
        let writer = Writer::Component { id: id.to_owned(), stream: None, form: LineForm::Raw };
        Source { writer, settings: LogSettings::new("ps.log") }
    }

    #[test]
    fn names_are_as_wide_as_the_widest_and_stand_only_where_there_are_several() {
        assert_eq!(prefixes(&[&source("ps")], true), [""]);
        assert_eq!(prefixes(&[&source("ps"), &source("web-1")], false), ["ps    | ", "web-1 | "]);
        let coloured = prefixes(&[&source("ps"), &source("is")], true);
        assert!(coloured[0] != coloured[1] && coloured[0].contains("\u{1b}["));
    }

    #[test]
    fn json_orders_no_terminal_about() {
        let text = without_controls("\"a\u{9b}2J\u{7f}ä\"");
        assert_eq!(text, r#""a\u009b2J\u007fä""#);
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "a\u{9b}2J\u{7f}ä");
    }
}

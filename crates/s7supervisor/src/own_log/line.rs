//! An event as a line of the log: as text, or as a JSON document.

use std::borrow::Cow;
use std::fmt;

use anstyle::{AnsiColor, Style};
use serde::{Deserialize, Serialize};
use supervisor::registry::LogFormat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::level;
use crate::say;

/// How an event is written.
pub(super) enum Line {
    Text { colours: bool },
    Json,
}

/// A line of the log where it is JSON. Fields are added in later versions and never changed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Document<'a> {
    /// Local time with its offset, to the millisecond.
    #[serde(borrow)]
    pub(crate) time: Cow<'a, str>,
    /// The trace level at which it is told, 1 to 4.
    pub(crate) level: u8,
    /// How bad it is: `error`, `warn`, `info`, `debug` or `trace`.
    #[serde(borrow)]
    severity: Cow<'a, str>,
    /// The component that it is about, if it is about one.
    #[serde(borrow)]
    component: Option<Cow<'a, str>>,
    /// At trace level 4: the part of the program that says it.
    #[serde(borrow)]
    target: Option<Cow<'a, str>>,
    /// What is said.
    #[serde(borrow)]
    message: Cow<'a, str>,
}

impl Document<'_> {
    /// The same as a line of text, but for its time.
    pub(crate) fn text(&self) -> String {
        let subject = self.target.as_ref().or(self.component.as_ref());
        text(self.level, subject.map_or("", AsRef::as_ref), &self.message)
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut told = Told::default();
        event.record(&mut told);
        let metadata = event.metadata();
        let level = level::of(metadata);
        let target = (level == 4).then(|| metadata.target());
        match *self {
            Self::Text { colours } => {
                let text = text(level, target.unwrap_or(&told.subject), &told.text);
                let (level, text) = text.split_once(' ').unwrap_or_default();
                let (dim, tone) = if colours { styles(*metadata.level()) } else { Default::default() };
                writeln!(line, "{dim}{} {level}{dim:#} {tone}{text}{tone:#}", timestamp())
            }
            Self::Json => line.write_str(&json(&Document {
                time: timestamp().into(),
                level,
                severity: severity(*metadata.level()).into(),
                component: (level < 4 && !told.subject.is_empty()).then_some(Cow::Borrowed(&told.subject)),
                target: target.map(Cow::Borrowed),
                message: Cow::Borrowed(&told.text),
            })),
        }
    }
}

/// The line that says how many could not be written before it.
pub(super) fn of_lost(format: LogFormat, count: u64) -> String {
    let message = format!("{count} lines of this log could not be written");
    match format {
        LogFormat::Text => format!("{} 1 {message}\n", timestamp()),
        LogFormat::Json => json(&Document {
            time: timestamp().into(),
            level: 1,
            severity: severity(Level::WARN).into(),
            component: None,
            target: None,
            message: message.into(),
        }),
    }
}

/// A line without its time: `1 ps: up, pid 4711 (run 3)`.
fn text(level: u8, subject: &str, text: &str) -> String {
    let (subject, text) = (say::printable(subject), say::printable(text));
    let colon = if subject.is_empty() { "" } else { ": " };
    format!("{level} {subject}{colon}{text}")
}

fn json(document: &Document<'_>) -> String {
    // Texts and a number: there is nothing in it that JSON does not know.
    let mut line = serde_json::to_string(document).unwrap_or_default();
    line.push('\n');
    line
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// How the time, and the rest of a line of this level, look on a terminal.
fn styles(level: Level) -> (Style, Style) {
    let tone = match level {
        Level::ERROR => AnsiColor::Red.on_default(),
        Level::WARN => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    };
    (Style::new().dimmed(), tone)
}

/// Local time with its offset, to the millisecond, as RFC 3339 has it.
fn timestamp() -> String {
    chrono::Local::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, false)
}

/// What an event says: its subject, and its message with whatever other fields it has.
#[derive(Default)]
struct Told {
    subject: String,
    text: String,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "subject" => value.clone_into(&mut self.subject),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.text.insert_str(0, &format!("{value:?}"));
        } else {
            self.text.push_str(&format!(" {}={value:?}", field.name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, fmt as layer};

    use super::super::TraceLevel;
    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written in this form at these trace levels, one after the other.
    fn written(form: Line, levels: &[u8]) -> String {
        let buffer = Buffer::default();
        let (writer, level) = (buffer.clone(), TraceLevel::new(levels[0]));
        let layer =
            layer::layer().event_format(form).with_writer(move || writer.clone()).with_filter(level.up_to(4));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for &now in levels {
                level.set(now);
                tracing::info!(subject = "ps", "up, pid {}", 4711);
                tracing::warn!("two\nlines");
                tracing::debug!(subject = "ps", "stop asked for");
                tracing::trace!("everything");
                tracing::info!(target: "polling", wait = 5, "waited");
            }
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    fn lines_at(levels: &[u8]) -> Vec<String> {
        let text = written(Line::Text { colours: false }, levels);
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn each_trace_level_adds_to_the_one_before_and_an_event_is_one_line() {
        let all = [
            "1 ps: up, pid 4711",
            "1 two\\nlines",
            "2 ps: stop asked for",
            "3 everything",
            "4 polling: waited wait=5",
        ];
        assert_eq!(lines_at(&[1]), all[..2]);
        assert_eq!(lines_at(&[2]), all[..3]);
        assert_eq!(lines_at(&[3]), all[..4]);
        assert_eq!(lines_at(&[4]), all);
        assert_eq!(lines_at(&[1, 4, 2]), [&all[..2], &all, &all[..3]].concat(), "the level was changed");
    }

    #[test]
    fn a_line_of_json_says_the_same_as_one_of_text() {
        let text = written(Line::Json, &[4]);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let without_time = |line: &serde_json::Value| {
            let mut line = line.clone();
            assert!(line["time"].take().is_string());
            line
        };
        assert_eq!(
            without_time(&lines[0]),
            serde_json::json!({
                "time": null, "level": 1, "severity": "info", "component": "ps", "target": null,
                "message": "up, pid 4711"
            })
        );
        assert_eq!((&lines[1]["severity"], &lines[1]["message"]), (&"warn".into(), &"two\nlines".into()));
        assert_eq!((&lines[4]["target"], &lines[4]["component"]), (&"polling".into(), &().into()));
        let texts = text.lines().map(|line| serde_json::from_str::<Document<'_>>(line).unwrap().text());
        assert_eq!(texts.collect::<Vec<_>>(), lines_at(&[4]));
        let lost: Document<'_> = serde_json::from_str(of_lost(LogFormat::Json, 7).leak()).unwrap();
        assert_eq!(lost.text(), "1 7 lines of this log could not be written");
    }

    #[test]
    fn a_line_begins_with_local_time_to_the_millisecond_and_its_offset() {
        let time = timestamp();
        assert!(chrono::DateTime::parse_from_rfc3339(&time).is_ok());
        assert_eq!(time.len(), "2026-11-22T13:14:15.123+01:00".len());
    }
}

//! What a line of a file says, in whichever form it was stored.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use supervisor::LineForm;

use super::time;
use crate::own_log::line::Document;

/// Who writes a log.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Writer {
    /// The supervisor, as text or JSON.
    Supervisor,
    /// A component; `stream`: which one alone comes into this log, if only one does; `form`: what is made of its lines.
    Component { id: String, stream: Option<&'static str>, form: LineForm },
}

/// A line.
#[derive(Debug)]
pub(super) struct Told<'a> {
    /// When it was written, as far as it says itself.
    pub(super) time: Option<DateTime<Utc>>,
    /// The line as people see it: with the time that the supervisor has put there, if it has.
    pub(super) shown: Cow<'a, [u8]>,
    /// The line as it was written.
    pub(super) line: Cow<'a, [u8]>,
    pub(super) run: Option<u64>,
    pub(super) stream: Option<Cow<'a, str>>,
}

/// A line of a component's output that is stored as JSON.
#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    component: Cow<'a, str>,
    run: Option<u64>,
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    line: Cow<'a, str>,
}

impl Writer {
    /// What this line of its log says.
    pub(super) fn read<'a>(&self, stored: &'a [u8]) -> Told<'a> {
        match self {
            Self::Supervisor => of_supervisor(stored),
            Self::Component { id, stream, form } => of_component(stored, id, *stream, *form),
        }
    }
}

fn of_supervisor(stored: &[u8]) -> Told<'_> {
    let told = |time, shown, line| Told { time, shown, line, run: None, stream: None };
    if let Some(document) = json::<Document<'_>>(stored) {
        let text = document.text();
        let shown = format!("{} {text}", document.time).into_bytes();
        return told(time::rfc3339(&document.time), shown.into(), text.into_bytes().into());
    }
    match time::leading(stored) {
        Some((time, length)) => {
            let line = stored[length..].strip_prefix(b" ").unwrap_or(&stored[length..]);
            told(Some(time), stored.into(), line.into())
        }
        None => told(None, stored.into(), stored.into()),
    }
}

fn of_component<'a>(stored: &'a [u8], id: &str, stream: Option<&'static str>, form: LineForm) -> Told<'a> {
    // What a component has written itself may look like it, but does not have its name by chance.
    if let Some(document) = json::<Stored<'a>>(stored).filter(|document| document.component == id) {
        return Told {
            time: time::rfc3339(&document.time),
            shown: format!("{} {}", document.time, document.line).into_bytes().into(),
            line: match document.line {
                Cow::Borrowed(line) => line.as_bytes().into(),
                Cow::Owned(line) => line.into_bytes().into(),
            },
            run: document.run,
            stream: document.stream,
        };
    }
    let leading = time::leading(stored);
    // Of what was written before the registry said so, it is the component's own time.
    let ours = leading.filter(|_| form == LineForm::Timestamps);
    let line = ours.and_then(|(_, length)| stored[length..].strip_prefix(b" ")).unwrap_or(stored);
    let time = leading.map(|(time, _)| time);
    Told { time, shown: stored.into(), line: line.into(), run: None, stream: stream.map(Cow::Borrowed) }
}

fn json<'a, T: Deserialize<'a>>(stored: &'a [u8]) -> Option<T> {
    if stored.first() == Some(&b'{') { serde_json::from_slice(stored).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-29T08:30:00.123+01:00";

    fn component() -> Writer {
        Writer::Component { id: "ps".to_owned(), stream: Some("stdout"), form: LineForm::Raw }
    }

    #[test]
    fn a_line_is_read_in_each_form() {
        let json = format!(
            r#"{{"time":"{TIME}","component":"ps","run":3,"stream":"stderr","line":"a \"quoted\" word"}}"#
        );
        let told = component().read(json.as_bytes().to_vec().leak());
        assert_eq!(told.time, time::rfc3339(TIME));
        assert_eq!((told.run, told.stream.as_deref()), (Some(3), Some("stderr")));
        assert_eq!(&*told.line, b"a \"quoted\" word");
        assert_eq!(told.shown, format!("{TIME} a \"quoted\" word").as_bytes());

        let text = format!("{TIME} text");
        let told = component().read(text.as_bytes().to_vec().leak());
        assert_eq!((told.time, told.stream.as_deref()), (time::rfc3339(TIME), Some("stdout")));
        assert_eq!((&*told.shown, &*told.line), (text.as_bytes(), text.as_bytes()));

        let timed = Writer::Component { id: "ps".to_owned(), stream: None, form: LineForm::Timestamps };
        let told = timed.read(text.as_bytes().to_vec().leak());
        assert_eq!((&*told.shown, &*told.line), (text.as_bytes(), &b"text"[..]));

        let told = component().read(b"\xffraw");
        assert_eq!((told.time, &*told.line), (None, &b"\xffraw"[..]));
    }

    #[test]
    fn json_that_a_component_has_written_itself_stays_as_it_is() {
        for line in [
            r#"{"time":"2026-11-29T08:30:00Z","level":"info","msg":"up"}"#,
            r#"{"time":"2026-11-29T08:30:00Z","component":"other","run":1,"stream":"stdout","line":"x"}"#,
            r#"{"time":"#,
            "{}",
        ] {
            assert_eq!(&*component().read(line.as_bytes()).shown, line.as_bytes(), "{line}");
        }
    }

    #[test]
    fn both_forms_of_the_own_log_say_the_same() {
        let text = format!("{TIME} 1 ps: up, pid 4711");
        let json = format!(
            r#"{{"time":"{TIME}","level":1,"severity":"info","component":"ps","target":null,"message":"up, pid 4711"}}"#
        );
        let told = [text, json].map(|line| {
            let told = Writer::Supervisor.read(line.as_bytes().to_vec().leak());
            (told.time, told.shown.into_owned(), told.line.into_owned())
        });
        assert_eq!(told[0], told[1]);
        assert_eq!(told[0].2, b"1 ps: up, pid 4711");
    }
}

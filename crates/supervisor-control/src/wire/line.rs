//! A line that a component has written.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use supervisor::LineForm;

/// A line that a component has written, as it was stored: what is not known is `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineDocument {
    /// When it was read, where lines are stored with their time.
    pub time: Option<String>,
    /// The how manieth run of the component has written it, where lines are stored as JSON.
    pub run: Option<u64>,
    /// `stdout`, `stderr`, or `supervisor` where that says what is missing here.
    pub stream: Option<String>,
    /// The line, without its end. What is no UTF-8 is replaced by U+FFFD.
    pub line: String,
}

/// A line that is stored as JSON.
#[derive(Deserialize)]
struct Stored<'a> {
    time: String,
    #[serde(borrow)]
    component: Cow<'a, str>,
    run: Option<u64>,
    stream: Option<String>,
    line: String,
}

impl LineDocument {
    /// What this line of a log says, to which `component` writes `stream` alone, if only one comes there.
    pub(crate) fn read(stored: &[u8], form: LineForm, component: &str, stream: Option<&str>) -> Self {
        let whole = || String::from_utf8_lossy(stored).into_owned();
        let plain = |time, line| Self { time, run: None, stream: stream.map(str::to_owned), line };
        match form {
            LineForm::Json => match serde_json::from_slice::<Stored<'_>>(stored) {
                // What a component has written itself may look like it, but does not have its name by chance.
                Ok(it) if it.component == component => {
                    Self { time: Some(it.time), run: it.run, stream: it.stream, line: it.line }
                }
                _ => plain(None, whole()),
            },
            LineForm::Timestamps => match whole().split_once(' ') {
                Some((time, line)) if chrono::DateTime::parse_from_rfc3339(time).is_ok() => {
                    plain(Some(time.to_owned()), line.to_owned())
                }
                _ => plain(None, whole()),
            },
            _ => plain(None, whole()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_in_each_form() {
        let read = |stored: &str, form| LineDocument::read(stored.as_bytes(), form, "ps", Some("stdout"));
        let told = |time: Option<&str>, run, stream: &str, line: &str| LineDocument {
            time: time.map(str::to_owned),
            run,
            stream: Some(stream.to_owned()),
            line: line.to_owned(),
        };
        let time = "2026-11-29T08:30:00.123+01:00";
        assert_eq!(read("a b", LineForm::Raw), told(None, None, "stdout", "a b"));
        assert_eq!(
            read(&format!("{time} a b"), LineForm::Timestamps),
            told(Some(time), None, "stdout", "a b")
        );
        assert_eq!(read("a b", LineForm::Timestamps), told(None, None, "stdout", "a b"));
        let json =
            format!(r#"{{"time":"{time}","component":"ps","run":3,"stream":"stderr","line":"a \"b\""}}"#);
        assert_eq!(read(&json, LineForm::Json), told(Some(time), Some(3), "stderr", "a \"b\""));
        let foreign = json.replace("\"ps\"", "\"is\"");
        assert_eq!(read(&foreign, LineForm::Json).line, foreign);
    }
}

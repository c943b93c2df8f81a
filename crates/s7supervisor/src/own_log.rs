//! The supervisor's own log: `Supervisor-yyyy-mm-dd.log`, and on a terminal the same lines on standard error.
//!
//! One event is one line: when, at which trace level, about what, and what:
//!
//! ```text
//! 2026-11-22T13:14:15.123+01:00 1 ps: up, pid 4711 (run 3)
//! ```
//!
//! The trace levels of the registry are these levels of `tracing`:
//!
//! | trace level | adds | `tracing` |
//! |---|---|---|
//! | 1 | starts, stops, crashes, statistics | info and above, from this crate |
//! | 2 | requests and decisions | debug, from this crate |
//! | 3 | every event in full | trace, from this crate |
//! | 4 | everything | every level, from every crate |
//!
//! A log that cannot be written never holds supervision up: the lines are counted, and the count is told in the log
//! as soon as it can be written again.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstyle::{AnsiColor, Style};
use supervisor::{LogFile, LogSettings};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt as layer};

use crate::say;

/// The log, once it is open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OwnLog {
    file: Arc<Mutex<Guarded<LogFile>>>,
}

impl OwnLog {
    /// Opens the log and sends all events there, up to this trace level, from now until the process ends.
    pub(crate) fn start(settings: &LogSettings, trace_level: u8) -> io::Result<Self> {
        let file = Guarded::new(LogFile::open(settings.clone())?);
        let log = Self { file: Arc::new(Mutex::new(file)) };
        let to_file = layer::layer()
            .event_format(Line { colours: false })
            .with_writer(log.clone())
            .log_internal_errors(false)
            .with_filter(up_to(trace_level));
        let to_terminal = io::stderr().is_terminal().then(|| {
            // Not level 4: what other threads say in passing must not wait for a terminal that somebody has halted.
            layer::layer()
                .event_format(Line { colours: say::colours_on_stderr() })
                .with_writer(io::stderr)
                .log_internal_errors(false)
                .with_filter(up_to(trace_level.min(3)))
        });
        let subscriber = tracing_subscriber::registry().with(to_file).with(to_terminal);
        tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
        Ok(log)
    }

    /// Opens the file anew, after somebody has moved it away.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).inner.reopen()
    }
}

fn up_to(trace_level: u8) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let most = match trace_level {
        0 | 1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    FilterFn::new(move |metadata| self::trace_level(metadata) <= trace_level).with_max_level_hint(most)
}

/// The trace level at which an event is shown.
fn trace_level(metadata: &Metadata<'_>) -> u8 {
    let ours = metadata.target().starts_with(env!("CARGO_CRATE_NAME"));
    match *metadata.level() {
        _ if !ours => 4,
        Level::TRACE => 3,
        Level::DEBUG => 2,
        _ => 1,
    }
}

impl<'a> MakeWriter<'a> for OwnLog {
    type Writer = Locked<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        // A panic while a line was written costs at most that line.
        Locked(self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The log while a line is written.
pub(crate) struct Locked<'a>(MutexGuard<'a, Guarded<LogFile>>);

impl Write for Locked<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A writer of whole lines that swallows errors, and tells afterwards how many lines they have cost.
pub(crate) struct Guarded<W> {
    inner: W,
    lost: u64,
}

impl<W: Write> Guarded<W> {
    fn new(inner: W) -> Self {
        Self { inner, lost: 0 }
    }

    fn try_write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.lost > 0 {
            let told = format!("{} 1 {} lines of this log could not be written\n", timestamp(), self.lost);
            self.inner.write_all(told.as_bytes())?;
            self.lost = 0;
        }
        self.inner.write_all(line)?;
        self.inner.flush()
    }
}

impl<W: Write> Write for Guarded<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.try_write(line) {
            if self.lost == 0 {
                say::tell(&format!("cannot write the log, and go on without it: {error}"));
            }
            self.lost += 1;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event as a line.
struct Line {
    colours: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut told = Told::default();
        event.record(&mut told);
        let level = trace_level(event.metadata());
        if level == 4 {
            told.subject = event.metadata().target().to_owned();
        }
        let (subject, text) = (say::printable(&told.subject), say::printable(&told.text));
        let colon = if subject.is_empty() { "" } else { ": " };
        let (dim, tone) = if self.colours { styles(*event.metadata().level()) } else { Default::default() };
        let at = timestamp();
        writeln!(line, "{dim}{at} {level}{dim:#} {tone}{subject}{colon}{text}{tone:#}")
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
    use super::*;

    /// A disk that is full at first.
    #[derive(Default)]
    struct Disk {
        full: bool,
        content: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.full { Err(io::ErrorKind::StorageFull.into()) } else { self.content.write(bytes) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_and_told_of_later() {
        let mut log = Guarded::new(Disk { full: true, ..Disk::default() });
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        log.inner.full = false;
        log.write_all(b"three\n").unwrap();
        log.write_all(b"four\n").unwrap();
        let content = String::from_utf8(log.inner.content).unwrap();
        let lines: Vec<_> = content.lines().collect();
        assert!(lines[0].ends_with(" 1 2 lines of this log could not be written"), "{content}");
        assert_eq!(lines[1..], ["three", "four"]);
    }

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

    fn lines_at(trace_level: u8) -> Vec<String> {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let layer = layer::layer()
            .event_format(Line { colours: false })
            .with_writer(move || writer.clone())
            .with_filter(up_to(trace_level));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(subject = "ps", "up, pid {}", 4711);
            tracing::warn!("two\nlines");
            tracing::debug!(subject = "ps", "stop asked for");
            tracing::trace!("everything");
            tracing::info!(target: "polling", wait = 5, "waited");
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
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
        assert_eq!(lines_at(1), all[..2]);
        assert_eq!(lines_at(2), all[..3]);
        assert_eq!(lines_at(3), all[..4]);
        assert_eq!(lines_at(4), all);
    }

    #[test]
    fn a_line_begins_with_local_time_to_the_millisecond_and_its_offset() {
        let time = timestamp();
        assert!(chrono::DateTime::parse_from_rfc3339(&time).is_ok());
        assert_eq!(time.len(), "2026-11-22T13:14:15.123+01:00".len());
    }
}

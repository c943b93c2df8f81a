//! The supervisor's own log: `Supervisor-yyyy-mm-dd.log`, and on a terminal the same lines on standard error.
//!
//! One event is one line, as text or as a JSON document (`line`): when, at which trace level, about what, and what:
//!
//! ```text
//! 2026-11-22T13:14:15.123+01:00 1 ps: up, pid 4711 (run 3)
//! ```
//!
//! Which events are told is the affair of the trace level (`level`), which can be changed meanwhile.
//!
//! A log that cannot be written never holds supervision up: the lines are counted, and the count is told in the log
//! as soon as it can be written again.

mod level;
pub(crate) mod line;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use supervisor::registry::LogFormat;
use supervisor::{LogFile, LogSettings};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, fmt as layer};

pub(crate) use self::level::TraceLevel;
use self::line::Line;
use crate::say;

/// A file of the own log has no more bytes than this: the next one begins then, though the day is the same.
const LARGEST_FILE: u64 = 64 << 20;

/// The files of the own log, whose path the registry gives: each day has its own, or several.
pub(crate) fn settings(path: &Path, days: Option<u32>) -> LogSettings {
    LogSettings { dated: true, days, max_size: Some(LARGEST_FILE), ..LogSettings::new(path) }
}

/// The log, once it is open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OwnLog {
    file: Arc<Mutex<Guarded<LogFile>>>,
    /// How much is told.
    pub(crate) level: TraceLevel,
}

impl OwnLog {
    /// Opens the log and sends all events there, up to this trace level, from now until the process ends.
    pub(crate) fn start(settings: &LogSettings, format: LogFormat, trace_level: u8) -> io::Result<Self> {
        let file = Guarded::new(LogFile::open(settings.clone())?, format);
        let level = TraceLevel::new(trace_level);
        let log = Self { file: Arc::new(Mutex::new(file)), level: level.clone() };
        let to_file = layer::layer()
            .event_format(match format {
                LogFormat::Text => Line::Text { colours: false },
                LogFormat::Json => Line::Json,
            })
            .with_writer(log.clone())
            .log_internal_errors(false)
            .with_filter(level.up_to(4));
        let to_terminal = io::stderr().is_terminal().then(|| {
            // Not level 4: what other threads say in passing must not wait for a terminal that somebody has halted.
            layer::layer()
                .event_format(Line::Text { colours: say::colours_on_stderr() })
                .with_writer(io::stderr)
                .log_internal_errors(false)
                .with_filter(level.up_to(3))
        });
        let subscriber = tracing_subscriber::registry().with(to_file).with(to_terminal);
        tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
        Ok(log)
    }

    /// Ends the file, and begins another; says whether there was anything in it.
    pub(crate) fn rotate(&self) -> io::Result<bool> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).inner.rotate()
    }

    /// Opens the file anew, after somebody has moved it away.
    #[cfg(unix)]
    pub(crate) fn reopen(&self) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).inner.reopen()
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
    format: LogFormat,
    lost: u64,
}

impl<W: Write> Guarded<W> {
    fn new(inner: W, format: LogFormat) -> Self {
        Self { inner, format, lost: 0 }
    }

    fn try_write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.lost > 0 {
            self.inner.write_all(line::of_lost(self.format, self.lost).as_bytes())?;
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

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

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
    fn a_file_that_is_large_enough_makes_way_for_another_of_the_same_day() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder.path().join("Supervisor.log"), None);
        LogFile::open(settings.clone()).unwrap().write_all(b"first\n").unwrap();
        let first = settings.files().unwrap().remove(0);
        let mut file = std::fs::File::options().write(true).open(first.path()).unwrap();
        // It has holes, but for the end of its last line.
        file.seek(SeekFrom::Start(LARGEST_FILE - 2)).unwrap();
        file.write_all(b"\n").unwrap();
        LogFile::open(settings.clone()).unwrap().write_all(b"second\n").unwrap();
        let files = settings.files().unwrap();
        assert_eq!(files.len(), 2, "{files:?}");
        assert_eq!(files[0].path().metadata().unwrap().len(), LARGEST_FILE - 1);
        assert_eq!(std::fs::read(files[1].path()).unwrap(), b"second\n");
        assert_eq!(files[1].path(), first.path());
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_and_told_of_later() {
        let mut log = Guarded::new(Disk { full: true, ..Disk::default() }, LogFormat::Text);
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
}

//! One stream of a component and the log that it goes to, also while the log cannot be written.
//!
//! ```text
//!            a write fails            as long as it may wait
//! writing ─────────────────▶ holding ─────────────────────────▶ dropping
//!    ▲                          │ it can be stored again            │ what was lost is told in the log
//!    └──────────────────────────┴───────────────────────────────────┘
//! ```
//!
//! While it holds, what is to be stored stays where it is, in the pipes: they are not read, and in time the component waits.
//! While it drops, the newest stay there, and the oldest lines make way for them. A component that shall not wait is dropped
//! from at once.
//!
//! A stream that is only looked at has no log: what it brings is thrown away.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memchr_iter;

use super::clock::unix_now;
use super::form::{Former, Rest, Shape};
use super::housekeeping::Housekeeper;
use super::log_file::LogFile;
use super::{LogSettings, WhenFull};

/// After a failure it is tried again after this pause, which doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What stands between a stream and its log file.
#[derive(Debug)]
pub(super) struct Sink {
    /// None for a stream without a log.
    settings: Option<Arc<LogSettings>>,
    housekeeper: Housekeeper,
    /// None until it could be opened.
    log: Option<LogFile>,
    /// What was dropped and is not yet told in the log.
    lost: Lost,
    /// Boxed, because there hardly ever is one.
    failure: Option<Box<Failure>>,
    /// It was to be opened again, and could not.
    is_moved: bool,
    /// What is made of the lines that we write ourselves, if they do not stay as they are.
    shape: Option<Box<Shape>>,
}

#[derive(Debug, Default)]
struct Lost {
    bytes: u64,
    lines: u64,
    /// Why, the last time.
    reason: String,
}

#[derive(Debug)]
struct Failure {
    reason: String,
    since: Instant,
    retry_at: Instant,
    pause: Duration,
    is_dropping: bool,
}

impl Sink {
    /// Opens the log. If that fails it is tried again, as everything else.
    pub(super) fn new(settings: Option<LogSettings>, housekeeper: Housekeeper, now: Instant) -> Self {
        let lost = Lost::default();
        let settings = settings.map(Arc::new);
        let mut sink =
            Self { settings, housekeeper, log: None, lost, failure: None, is_moved: false, shape: None };
        let opened = sink.open();
        sink.note(opened, now);
        sink
    }

    pub(super) fn settings(&self) -> Option<&LogSettings> {
        self.settings.as_deref()
    }

    /// Has the lines that are written here made into this.
    pub(super) fn speak_as(&mut self, shape: Option<Box<Shape>>) {
        self.shape = shape;
    }

    /// Whether something is made of lines.
    pub(super) fn is_formed(&self) -> bool {
        self.shape.is_some()
    }

    /// Whether there is a log that takes something now.
    pub(super) fn can_store(&self) -> bool {
        self.log.is_some() && self.failure.is_none()
    }

    /// Has `draw` store something, and says how much that was: nothing if that failed.
    pub(super) fn store(
        &mut self,
        draw: impl FnOnce(&mut LogFile, i64) -> io::Result<usize>,
        now: Instant,
    ) -> usize {
        match self.tell_lost().and_then(|()| self.try_to_store(draw)) {
            Ok(stored) => stored,
            Err(reason) => {
                self.note(Err(reason), now);
                0
            }
        }
    }

    /// Fills the buffer with what was stored last; says whether it could.
    pub(super) fn read_back(&self, buffer: &mut [u8]) -> bool {
        self.log.as_ref().is_some_and(|log| log.read_back(buffer))
    }

    /// Takes note of what is lost, because nothing can be stored.
    pub(super) fn lose(&mut self, chunk: &[u8]) {
        if self.settings.is_some() {
            self.lost.bytes += chunk.len() as u64;
            self.lost.lines += memchr_iter(b'\n', chunk).count() as u64;
            if let Some(failure) = &self.failure {
                self.lost.reason.clone_from(&failure.reason);
            }
        }
    }

    /// Takes note of a line that is lost though nothing has ended it.
    pub(super) fn lose_end(&mut self) {
        self.lost.lines += u64::from(self.settings.is_some());
    }

    /// Takes the line out of the log that was begun there, because its rest is lost.
    pub(super) fn lose_open_line(&mut self) {
        self.lost.bytes += self.log.as_mut().map_or(0, LogFile::cut_open_line);
    }

    /// Tries again what failed. Whether it would succeed now shows by what `draw` stores; says how much that was.
    pub(super) fn retry(
        &mut self,
        draw: impl FnOnce(&mut LogFile, i64) -> io::Result<usize>,
        now: Instant,
    ) -> usize {
        let reopened = if self.is_moved { self.reopen_log() } else { Ok(()) };
        let mut stored = 0;
        let retried = reopened.and_then(|()| self.open()).and_then(|()| self.tell_lost()).and_then(|()| {
            stored = self.try_to_store(draw)?;
            Ok(())
        });
        self.note(retried, now);
        stored
    }

    /// Opens the file again if somebody has moved or deleted it.
    pub(super) fn reopen(&mut self, now: Instant) {
        let reopened = self.reopen_log();
        if self.failure.is_none() {
            self.note(reopened, now);
        }
    }

    fn reopen_log(&mut self) -> Result<(), String> {
        let reopened = self.log.as_mut().map_or(Ok(()), LogFile::reopen).map_err(|error| error.to_string());
        self.is_moved = reopened.is_err();
        reopened
    }

    /// Ends the file that is written to; says whether there was anything in it. `goes_on`: the line may that was begun there.
    pub(super) fn rotate(&mut self, goes_on: bool) -> io::Result<bool> {
        self.open().map_err(io::Error::other)?;
        let Some(log) = &mut self.log else { return Ok(false) };
        if !goes_on {
            // Where the disk has no room for its end, it moves on to the next file.
            let _ = log.end_line(unix_now());
        }
        log.rotate()
    }

    /// When [`Sink::retry`] is due; `None` if nothing failed.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.failure.as_ref().map(|failure| failure.retry_at)
    }

    /// Whether nothing fails.
    pub(super) fn is_writing(&self) -> bool {
        self.failure.is_none()
    }

    /// Whether it waits until it can store again, and nothing may be taken out of the pipes.
    pub(super) fn is_holding(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| !failure.is_dropping)
    }

    /// Whether it cannot store, and waits for nothing.
    pub(super) fn is_dropping(&self) -> bool {
        self.settings.is_some() && self.failure.as_ref().is_some_and(|failure| failure.is_dropping)
    }

    /// What is wrong, for people; `None` if nothing is.
    pub(super) fn condition(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let effect = if failure.is_dropping {
            "the oldest output is dropped"
        } else {
            "the component may have to wait"
        };
        Some(format!("{}; until that is mended {effect}", failure.reason))
    }

    fn open(&mut self) -> Result<(), String> {
        if self.log.is_none()
            && let Some(settings) = self.settings.clone()
        {
            let opened = LogFile::open_with(settings, self.housekeeper.clone(), unix_now());
            self.log = Some(opened.map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    fn try_to_store(
        &mut self,
        draw: impl FnOnce(&mut LogFile, i64) -> io::Result<usize>,
    ) -> Result<usize, String> {
        let Some(log) = &mut self.log else { return Ok(0) };
        match draw(log, unix_now()) {
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                Ok(0)
            }
            drawn => drawn.map_err(|error| error.to_string()),
        }
    }

    /// Writes a line that says what was lost. What follows it may begin in the middle of a line.
    fn tell_lost(&mut self) -> Result<(), String> {
        if self.lost.bytes == 0 {
            return Ok(());
        }
        let Lost { bytes, lines, reason } = &self.lost;
        let told = format!("supervisor: {lines} lines ({bytes} bytes) were lost here: {reason}\n");
        let mut former = Former::default();
        match &self.shape {
            Some(shape) => _ = former.form(shape, told.as_bytes(), Rest::Ended),
            None => former.text = told.into_bytes(),
        }
        let Some(log) = &mut self.log else { return Ok(()) };
        let now = unix_now();
        let stored = log.end_line(now).map_err(|(_, error)| error);
        stored.and_then(|()| log.append_lines(&former.text, now)).map_err(|error| error.to_string())?;
        self.lost = Lost::default();
        Ok(())
    }

    /// Draws the consequences of a success or a failure.
    fn note(&mut self, done: Result<(), String>, now: Instant) {
        let Err(reason) = done else {
            self.failure = None;
            return;
        };
        let last = self.failure.take();
        let since = last.as_ref().map_or(now, |last| last.since);
        let pause = last.map_or(FIRST_PAUSE, |last| (last.pause * 2).min(LONGEST_PAUSE));
        let when_full = self.settings.as_ref().map_or(WhenFull::Drop, |settings| settings.when_full);
        let drops_at = match when_full {
            WhenFull::Drop => Some(since),
            WhenFull::Block { at_most } => at_most.and_then(|at_most| since.checked_add(at_most)),
        };
        let is_dropping = drops_at.is_some_and(|at| at <= now);
        // It is not held up any longer than it may be.
        let end_of_wait = drops_at.filter(|_| !is_dropping);
        let retry_at = end_of_wait.map_or(now + pause, |end| end.min(now + pause));
        self.failure = Some(Box::new(Failure { reason, since, retry_at, pause, is_dropping }));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::testbench::text;
    use super::*;

    /// A sink whose log cannot be opened, because the folder above its folder is missing.
    fn failing_sink(folder: &Path, now: Instant) -> Sink {
        let log = LogSettings::new(folder.join("missing/logs/ps.log"));
        Sink::new(Some(log), Housekeeper::default(), now)
    }

    #[expect(clippy::disallowed_methods, reason = "a beginning to count from")]
    fn beginning() -> Instant {
        Instant::now()
    }

    /// Stores a text.
    fn text_to(text: &str) -> impl FnOnce(&mut LogFile, i64) -> io::Result<usize> {
        move |log, now| {
            log.append_all(text.as_bytes(), now).map_err(|(_, error)| error)?;
            Ok(text.len())
        }
    }

    /// Finds the disk full.
    fn full(_: &mut LogFile, _: i64) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    const HOLD_AT_MOST: Duration = Duration::from_secs(30);

    #[test]
    fn it_holds_until_something_was_stored_again() {
        let folder = tempfile::tempdir().unwrap();
        let start = beginning();
        let log = LogSettings::new(folder.path().join("logs/ps.log"));
        let mut sink = Sink::new(Some(log), Housekeeper::default(), start);
        assert!(sink.can_store() && !sink.is_holding() && sink.condition().is_none());
        assert_eq!(sink.store(text_to("one\n"), start), 4);
        assert_eq!(sink.store(full, start), 0);
        assert!(sink.is_holding() && !sink.can_store());
        assert_eq!(sink.retry(full, start + FIRST_PAUSE), 0);
        assert!(sink.is_holding());
        assert_eq!(sink.retry(text_to("two\n"), start + FIRST_PAUSE), 4);
        assert!(!sink.is_holding() && sink.condition().is_none() && sink.retry_at().is_none());
        assert_eq!(text(&folder.path().join("logs/ps.log")), "one\ntwo\n");
    }

    #[test]
    fn it_is_tried_again_after_pauses_that_double_up_to_five_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let start = beginning();
        let mut sink = failing_sink(folder.path(), start);
        let mut pauses = Vec::new();
        let mut last = start;
        for _ in 0..8 {
            let next = sink.retry_at().unwrap();
            pauses.push((next - last).as_millis());
            last = next;
            sink.retry(|_, _| Ok(0), last);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn when_it_has_held_long_enough_output_is_dropped_and_the_log_says_how_much() {
        let folder = tempfile::tempdir().unwrap();
        let start = beginning();
        let mut sink = failing_sink(folder.path(), start);
        let reason = sink.condition().unwrap();
        assert!(reason.starts_with("cannot make the folder") && reason.contains("missing"), "{reason}");
        sink.retry(|_, _| Ok(0), start + HOLD_AT_MOST - Duration::from_millis(1));
        assert!(sink.is_holding());
        assert_eq!(sink.retry_at(), Some(start + HOLD_AT_MOST), "no longer than that");
        sink.retry(|_, _| Ok(0), start + HOLD_AT_MOST);
        assert!(sink.is_dropping() && sink.retry_at().is_some() && sink.condition().is_some());
        sink.lose(b"dropped 1\ndropped 2\ndropp");
        sink.lose(b"ed 3\ndropped 4\n");

        std::fs::create_dir(folder.path().join("missing")).unwrap();
        sink.retry(text_to("stored\n"), start + HOLD_AT_MOST + LONGEST_PAUSE);
        assert!(sink.condition().is_none() && sink.retry_at().is_none());
        let text = text(&folder.path().join("missing/logs/ps.log"));
        let (marker, rest) = text.split_once('\n').unwrap();
        assert!(marker.starts_with("supervisor: 4 lines (40 bytes) were lost here: "), "{marker}");
        assert_eq!(rest, "stored\n");
    }
    #[test]
    fn who_waits_for_nothing_is_dropped_from_at_once_and_who_waits_for_ever_never() {
        let folder = tempfile::tempdir().unwrap();
        let start = beginning();
        let sink = |when_full| {
            let path = folder.path().join("missing/logs/ps.log");
            let log = LogSettings { when_full, ..LogSettings::new(path) };
            Sink::new(Some(log), Housekeeper::default(), start)
        };
        assert!(sink(WhenFull::Drop).is_dropping());
        assert!(sink(WhenFull::Block { at_most: Some(Duration::ZERO) }).is_dropping());
        let mut patient = sink(WhenFull::Block { at_most: None });
        patient.retry(|_, _| Ok(0), start + Duration::from_secs(1_000_000));
        assert!(patient.is_holding() && !patient.is_dropping());
    }
}

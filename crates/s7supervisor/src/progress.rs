//! What a command is waiting for: on a terminal a line that tells how long it has been, redrawn each second and gone at the
//! end; elsewhere a plain line, once.
//!
//! Whatever else is written meanwhile is written [in its place](in_place_of_line), so that nothing is written into it.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use supervisor::Short;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::{say, waiting};

/// Back to the beginning of the line, and nothing is left of it.
const CLEAR: &[u8] = b"\r\x1b[K";

/// How long it is between two looks at the clock.
const SECOND: Duration = Duration::from_secs(1);

/// The columns of a terminal that does not tell how many it has.
const USUAL_WIDTH: usize = 80;

/// Whether a line is redrawn, and stands on the terminal now.
static STATE: Mutex<State> = Mutex::new(State::None);

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is none.
    None,
    /// It comes back.
    Cleared,
    Shown,
}

/// Somebody waits for something, until this is dropped.
#[must_use]
#[derive(Debug)]
pub(crate) struct Progress {
    /// None where nothing is redrawn.
    redrawing: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Says what is waited for, `waiting for ps to be ready`, and for how long at most.
    pub(crate) fn show(what: &str, limit: Option<Duration>) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        if is_dumb || !std::io::stderr().is_terminal() {
            say::tell(what);
            return Self { redrawing: None };
        }
        let line = Line { what: what.to_owned(), since: waiting::now(), limit };
        line.draw();
        let (stop, stopped) = bounded(0);
        #[expect(clippy::disallowed_methods, reason = "the command itself waits for the supervisor")]
        let thread =
            std::thread::Builder::new().name("progress".to_owned()).spawn(move || line.redraw(&stopped));
        // Without it, the line stays as it is.
        Self { redrawing: thread.ok().map(|thread| (stop, thread)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.redrawing.take() {
            drop(stop);
            // It panics nowhere; and if it did, there would be nothing to do about it.
            let _ = thread.join();
        }
        in_place_of_line(|| ());
        *state() = State::None;
    }
}

/// Clears the line, if one is shown, and writes something else. The line comes back within a second if what it tells of goes on.
pub(crate) fn in_place_of_line<T>(write_else: impl FnOnce() -> T) -> T {
    let mut state = state();
    if *state == State::None {
        // A supervisor writes in several threads, and none of them may wait for another one's reader.
        drop(state);
        return write_else();
    }
    if *state == State::Shown {
        write(CLEAR);
        *state = State::Cleared;
    }
    write_else()
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is told.
struct Line {
    what: String,
    since: Instant,
    limit: Option<Duration>,
}

impl Line {
    /// Draws it anew at each full second, until whoever waits has ended that.
    fn redraw(&self, stopped: &Receiver<()>) {
        loop {
            let into_the_second = Duration::from_nanos(self.since.elapsed().subsec_nanos().into());
            if stopped.recv_timeout(SECOND.saturating_sub(into_the_second)) != Err(RecvTimeoutError::Timeout)
            {
                return;
            }
            self.draw();
        }
    }

    fn draw(&self) {
        let text = cut(&self.text(Duration::from_secs(self.since.elapsed().as_secs())), width());
        let mut state = state();
        write(&[CLEAR, text.as_bytes()].concat());
        *state = State::Shown;
    }

    /// `waiting for ps to be ready … 12s of 1m`
    fn text(&self, elapsed: Duration) -> String {
        let what = &self.what;
        match self.limit {
            _ if elapsed.is_zero() => what.clone(),
            Some(limit) if elapsed <= limit => format!("{what} … {} of {}", Short(elapsed), Short(limit)),
            // It takes longer than it should: whom it needs comes first, perhaps.
            _ => format!("{what} … {}", Short(elapsed)),
        }
    }
}

/// How many columns the terminal has.
fn width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map(|(width, _)| width.0.into()).filter(|width| *width > 0).unwrap_or(USUAL_WIDTH)
}

/// What fits into one line with a column left, where the cursor stands: of what does not, the middle is left out. The time
/// at the end is what changes.
fn cut(text: &str, width: usize) -> String {
    let room = width.saturating_sub(1);
    if text.width() <= room {
        return text.to_owned();
    }
    let end: String =
        text.rsplit(' ').take(4).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" ");
    let end = if end.width() + 2 <= room { end } else { String::new() };
    let mut left = room.saturating_sub(end.width() + 1);
    let fits = |character: &char| {
        let width = character.width().unwrap_or(0);
        let is_room = width <= left;
        left -= if is_room { width } else { 0 };
        is_room
    };
    let beginning: String = text.chars().take_while(fits).collect();
    format!("{beginning}…{end}")
}

fn write(bytes: &[u8]) {
    let mut stderr = std::io::stderr().lock();
    // Nobody is left to be told that nobody reads.
    let _gone = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(limit: Option<u64>, elapsed: u64) -> String {
        let line = Line {
            what: "waiting for ps to be ready".into(),
            since: waiting::now(),
            limit: limit.map(Duration::from_secs),
        };
        line.text(Duration::from_secs(elapsed))
    }

    #[test]
    fn it_tells_what_is_waited_for_how_long_and_of_how_long() {
        assert_eq!(text(Some(60), 0), "waiting for ps to be ready");
        assert_eq!(text(Some(90), 12), "waiting for ps to be ready … 12s of 1m 30s");
        assert_eq!(text(Some(60), 61), "waiting for ps to be ready … 1m 1s");
        assert_eq!(text(None, 125), "waiting for ps to be ready … 2m 5s");
    }

    #[test]
    fn it_never_takes_more_than_a_line_and_the_time_is_always_seen() {
        let text = format!("waiting for {} to be ready … 12s of 60s", "web-1, ".repeat(50));
        for width in [20, 40, 80] {
            let cut = cut(&text, width);
            assert!(cut.width() < width, "{cut}");
            assert!(cut.starts_with("waiting") || width < 30, "{cut}");
            assert!(cut.ends_with("12s of 60s") || width < 15, "{cut}");
        }
        assert_eq!(cut("short", 80), "short");
        assert!(cut("ääääääääääääää", 5).width() < 5);
        assert_eq!(cut("anything", 0).width(), 1, "there is nothing narrower");
    }
}

//! What the thread of the pump knows of one stream of a component, and of the pipes that it comes through.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use super::super::last_words::LastWords;
use super::super::log_file::LogFile;
use super::super::sink::Sink;
use super::seek::Seeker;
use crate::os::{Lens, Watched};
use crate::run::RunId;

/// A component's standard output, with what joined it, or its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId {
    pub(super) component: u32,
    pub(super) is_stderr: bool,
}

/// One stream, over all runs of its component.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) sink: Sink,
    /// The keys of its pipes, that of the present run last.
    pub(super) pipes: VecDeque<usize>,
    /// That of which only a part could be stored: it comes first, so that no line of it is torn by another.
    pub(super) cut: Option<usize>,
    /// Why a pipe of it is not read.
    pub(super) problem: Option<String>,
    /// What people were told is wrong.
    pub(super) condition: Option<String>,
    /// The last lines of the present run, if they are kept, from the first byte on.
    pub(super) last_words: Option<Box<LastWords>>,
}

/// The pipe of one run.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) reader: Watched<OwnedFd>,
    /// What it is called, if it has a name.
    pub(super) name: Option<Box<str>>,
    pub(super) stream: StreamId,
    pub(super) run: RunId,
    /// While something is looked for in it.
    pub(super) seeker: Option<Box<Seeker>>,
    /// Whether its last lines are kept.
    pub(super) has_last_words: bool,
    /// Nothing was read of it yet.
    pub(super) is_fresh: bool,
    /// It was found full before.
    pub(super) was_full: bool,
    /// It was enlarged.
    pub(super) is_large: bool,
}

impl Pipe {
    pub(super) fn new(reader: Watched<OwnedFd>, stream: StreamId, run: RunId) -> Self {
        let (name, seeker, has_last_words) = (None, None, false);
        let (is_fresh, was_full, is_large) = (true, false, false);
        Self { reader, name, stream, run, seeker, has_last_words, is_fresh, was_full, is_large }
    }

    /// Moves what it holds into a log, after the line that an earlier run has left open; says how much that was.
    pub(super) fn draw(
        &mut self,
        log: &mut LogFile,
        held: usize,
        lens: &mut Lens,
        now: i64,
    ) -> io::Result<usize> {
        if self.is_fresh && !log.is_at_line_start() {
            log.append_all(b"\n", now).map_err(|(_, error)| error)?;
        }
        let stored = log.draw(&self.reader, held, lens, now)?;
        self.is_fresh = false;
        Ok(stored)
    }
}

impl Stream {
    pub(super) fn new(sink: Sink) -> Self {
        Self { sink, pipes: VecDeque::new(), cut: None, problem: None, condition: None, last_words: None }
    }

    /// Takes note of how much of what a pipe held was stored.
    pub(super) fn note_stored(&mut self, key: usize, stored: usize, held: usize) {
        if stored == held {
            self.cut = self.cut.filter(|cut| *cut != key);
        } else if stored > 0 {
            self.cut = Some(key);
        }
    }

    /// Whether all is well with it.
    pub(super) fn is_fine(&self) -> bool {
        self.problem.is_none() && self.sink.is_writing()
    }

    /// What to say of a pipe that cannot be listened to: its component sees that when it writes,
    /// or, if it has a name, waits once it is full.
    pub(super) fn deaf_to(&self, error: &io::Error) -> String {
        let log = self.sink.settings().map_or("nowhere".into(), |log| log.path.display().to_string());
        format!("cannot read what should go to {log}: {error}; restart the component to try again")
    }
}

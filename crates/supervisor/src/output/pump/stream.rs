//! What the thread of the pump knows of one stream of a component, and of the pipes that it comes through.

use std::collections::VecDeque;
use std::io;

use super::super::form::{Former, Rest, Shape};
use super::super::last_words::LastWords;
use super::super::log_file::LogFile;
use super::super::sink::Sink;
use super::seek::Seeker;
use super::worker::{CHUNK, MOVED};
use crate::os::{self, Lens, ReadEnd, Watched};
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
    /// That of which something was stored last: a line that was begun in the log is of it.
    pub(super) last: Option<usize>,
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
    pub(super) reader: Watched<ReadEnd>,
    /// What it is called, if it has a name.
    pub(super) name: Option<Box<str>>,
    pub(super) stream: StreamId,
    pub(super) run: RunId,
    /// What lines are made into, if they do not stay as they are.
    pub(super) shape: Option<Box<Shape>>,
    /// Its run is over: what it holds is not the beginning of anything.
    pub(super) is_over: bool,
    /// While something is looked for in it.
    pub(super) seeker: Option<Box<Seeker>>,
    /// Whether its last lines are kept.
    pub(super) has_last_words: bool,
    /// The beginning of a line was dropped, and the rest has not come yet.
    pub(super) is_shedding: bool,
    /// Nothing was read of it yet.
    pub(super) is_fresh: bool,
    /// Half of what it can hold: above that it may be full.
    pub(super) half: usize,
    /// It was found full before.
    pub(super) was_full: bool,
    /// It was enlarged.
    pub(super) is_large: bool,
}

impl Pipe {
    pub(super) fn new(reader: Watched<ReadEnd>, stream: StreamId, run: RunId) -> Self {
        Self {
            half: os::half_of(&*reader),
            reader,
            name: None,
            stream,
            run,
            shape: None,
            is_over: false,
            seeker: None,
            has_last_words: false,
            is_shedding: false,
            is_fresh: true,
            was_full: false,
            is_large: false,
        }
    }

    /// How much is taken of it at a time.
    pub(super) fn most(&self) -> usize {
        if self.seeker.is_some() || self.shape.is_some() { CHUNK } else { MOVED }
    }

    /// Moves what it holds into a log, after the line that an earlier run has left open; says how much that was.
    pub(super) fn draw(
        &mut self,
        log: &mut LogFile,
        held: usize,
        (lens, former): (&mut Lens, &mut Former),
        now: i64,
    ) -> io::Result<usize> {
        if let Some(shape) = self.shape.take() {
            let drawn = self.draw_formed(log, held, &shape, (lens, former), now);
            self.shape = Some(shape);
            return drawn;
        }
        if self.is_fresh && !log.is_at_line_start() {
            log.append_all(b"\n", now).map_err(|(_, error)| error)?;
        }
        let stored = log.draw(&self.reader, held, lens, now)?;
        self.is_fresh = false;
        Ok(stored)
    }

    /// Stores what is made of the lines that it holds. They leave the pipe after that; a line that has not ended stays in it.
    fn draw_formed(
        &mut self,
        log: &mut LogFile,
        held: usize,
        shape: &Shape,
        (lens, former): (&mut Lens, &mut Former),
        now: i64,
    ) -> io::Result<usize> {
        let seen = lens.look(&*self.reader, held)?.len();
        let raw = &lens.buffer[..seen];
        let mut rest = if seen == held && self.is_ending_with(raw) { Rest::Ended } else { Rest::Awaited };
        let mut drawn = former.form(shape, raw, rest);
        if drawn == 0 && seen > 0 && (seen < held || held > os::half_of(&*self.reader)) {
            rest = Rest::Cut;
            drawn = former.form(shape, raw, rest);
        }
        if drawn > 0 {
            log.end_line(now).map_err(|(_, error)| error)?;
            let stored = log.append_lines(&former.text, now)?;
            if stored < former.text.len() {
                drawn = former.source_of(stored, raw, rest);
            }
            lens.discard(&*self.reader, drawn)?;
        }
        self.await_more(seen - drawn)?;
        Ok(drawn)
    }

    /// Whether nothing comes after this, which is all that it holds.
    fn is_ending_with(&self, raw: &[u8]) -> bool {
        let is_open = raw.last().is_some_and(|last| *last != b'\n');
        let has_hung_up = || os::has_hung_up(&*self.reader) && os::held_by(&*self.reader) == raw.len();
        is_open && (self.is_over || has_hung_up())
    }

    /// Has it watched for what comes after the line of this length that has not ended, if that is all that it holds.
    fn await_more(&mut self, open: usize) -> io::Result<()> {
        if os::held_by(&*self.reader) > open {
            self.reader.resume()
        } else if open > 0 {
            self.reader.await_more()
        } else {
            Ok(())
        }
    }
}

impl Stream {
    pub(super) fn new(sink: Sink) -> Self {
        Self {
            sink,
            pipes: VecDeque::new(),
            cut: None,
            last: None,
            problem: None,
            condition: None,
            last_words: None,
        }
    }

    /// Takes note of how much of what a pipe held was stored.
    pub(super) fn note_stored(&mut self, key: usize, stored: usize, held: usize) {
        if stored > 0 {
            self.last = Some(key);
        }
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

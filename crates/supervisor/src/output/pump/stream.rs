//! What the thread of the pump knows of one stream of a component, and of the pipes that it comes through.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use super::super::last_words::LastWords;
use super::super::sink::Sink;
use super::seek::Seeker;
use crate::os::Watched;
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
    pub(super) stream: StreamId,
    pub(super) run: RunId,
    /// While something is looked for in it.
    pub(super) seeker: Option<Box<Seeker>>,
    /// Whether its last lines are kept.
    pub(super) has_last_words: bool,
    /// Nothing was read of it yet.
    pub(super) is_fresh: bool,
}

impl Stream {
    pub(super) fn new(sink: Sink) -> Self {
        Self { sink, pipes: VecDeque::new(), problem: None, condition: None, last_words: None }
    }

    /// Whether all is well with it.
    pub(super) fn is_fine(&self) -> bool {
        self.problem.is_none() && self.sink.is_writing()
    }

    /// What to say of a pipe that cannot be listened to: it is closed, which its component sees when it writes.
    pub(super) fn deaf_to(&self, error: &io::Error) -> String {
        let log = self.sink.settings().map_or("nowhere".into(), |log| log.path.display().to_string());
        format!("cannot read what should go to {log}: {error}; restart the component to try again")
    }
}

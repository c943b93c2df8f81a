//! The thread of the pump: one loop around one poller.
//!
//! In each round every pipe that has something is read once, so that a flood keeps nobody from being heard. What it holds is
//! moved into the log by the operating system, so that none of it is lost or stored twice when we are killed; where
//! something wants to know what it was, that is read in the log. All pipes share one buffer. Nothing happens by time, but for
//! the retries of what failed.

mod hearing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use polling::{Events, Poller};
use regex::bytes::Regex;

use super::super::fifos::Fifos;
use super::super::housekeeping::Housekeeper;
use super::super::log_file::LogFile;
use super::super::sink::Sink;
use super::stream::{Pipe, Stream, StreamId};
use super::{Command, Conditions, News, Notice, Run, Source, now};
use crate::os::{self, Lens, Watched};
use crate::run::RunId;
use crate::spec::log_pattern;

/// The most that is taken of a pipe at a time.
const CHUNK: usize = 256 << 10;
/// How many pipes are read in a round.
const ROUND: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// How many pipes of ended runs a component may have beside that of its run. Whatever a run left behind may hold its pipe
/// for ever; beyond this number the oldest is closed.
const MAX_OLD_PIPES: usize = 4;

/// What the thread knows.
pub(super) struct Worker {
    poller: Arc<Poller>,
    commands: Receiver<Command>,
    conditions: Conditions,
    notice: Notice,
    housekeeper: Housekeeper,
    /// Where pipes are that have names.
    fifos: Option<Arc<Fifos>>,
    /// Boxed, because a tree keeps room for almost as many again.
    streams: BTreeMap<StreamId, Box<Stream>>,
    /// By the key of their events, which is never used again.
    pipes: BTreeMap<usize, Box<Pipe>>,
    next_key: usize,
    /// The streams that have something to try again.
    failing: BTreeSet<StreamId>,
    /// What is looked for in the pipes of these runs, by component.
    sought: BTreeMap<u32, (RunId, Regex)>,
    lens: Lens,
    /// How many pipes were enlarged and are still there.
    large_pipes: usize,
}

impl Worker {
    pub(super) fn new(
        poller: Arc<Poller>,
        commands: Receiver<Command>,
        (conditions, notice): (Conditions, Notice),
        housekeeper: Housekeeper,
        fifos: Option<Arc<Fifos>>,
    ) -> Self {
        Self {
            poller,
            commands,
            conditions,
            notice,
            housekeeper,
            fifos,
            streams: BTreeMap::new(),
            pipes: BTreeMap::new(),
            next_key: 0,
            failing: BTreeSet::new(),
            sought: BTreeMap::new(),
            lens: Lens::new(CHUNK),
            large_pipes: 0,
        }
    }

    /// Works until it is told to finish.
    pub(super) fn work(mut self) {
        let mut events = Events::with_capacity(ROUND);
        loop {
            events.clear();
            let waited = self.poller.wait(&mut events, self.until_retry());
            if let Err(error) = waited {
                if error.kind() == std::io::ErrorKind::Interrupted {
                    continue;
                }
                // The poller is broken: better to end the components' output than to turn in circles.
                return;
            }
            for event in events.iter() {
                self.read(event.key);
            }
            while let Ok(command) = self.commands.try_recv() {
                match command {
                    Command::Attach(run) => self.attach(*run),
                    Command::Ended(run) => self.ended(run),
                    Command::Reopen => self.reopen(),
                    Command::Finish(limit) => return self.finish(limit),
                }
            }
            self.retry_what_is_due();
        }
    }

    fn attach(&mut self, run: Run) {
        let Run { id: run, stdout, stderr, ready, is_new } = run;
        self.sought.remove(&run.component);
        // What cannot be a pattern was refused before.
        if let Some(pattern) = ready.and_then(|text| log_pattern(&text).ok()) {
            self.sought.insert(run.component, (run, pattern));
        }
        let stderr = stderr.map(|source| (true, source));
        let stdout = stdout.map(|source| (false, source));
        for (is_stderr, source) in [stdout, stderr].into_iter().flatten() {
            let id = StreamId { component: run.component, is_stderr };
            if self.streams.get(&id).is_none_or(|stream| stream.sink.settings() != source.log.as_ref()) {
                self.close_all(id);
                let sink = Sink::new(source.log.clone(), self.housekeeper.clone(), now());
                self.streams.insert(id, Box::new(Stream::new(sink)));
            }
            self.make_way(id);
            self.add_pipe(id, run, source, is_new);
            self.settle(id);
        }
    }

    /// Tells the last words of a run.
    fn ended(&mut self, run: RunId) {
        self.sought.retain(|_, (sought, _)| *sought != run);
        for is_stderr in [false, true] {
            let id = StreamId { component: run.component, is_stderr };
            for key in self.pipes_of(id) {
                if self.pipes.get(&key).is_some_and(|pipe| pipe.run == run) {
                    self.drain(key, None, Self::read);
                }
                // Who holds it still is not of this run.
                if let Some(pipe) = self.pipes.get_mut(&key) {
                    pipe.has_last_words = false;
                }
            }
            let words = self.streams.get_mut(&id).and_then(|stream| stream.last_words.take());
            let lines = words.map(|words| words.lines()).unwrap_or_default();
            if !lines.is_empty() {
                (self.notice)(News::LastWords { run, lines });
            }
        }
    }

    /// Stores what the earlier runs of a component have left in their pipes, before its next run says something.
    fn make_way(&mut self, id: StreamId) {
        let old = self.pipes_of(id);
        let too_many = old.len().saturating_sub(MAX_OLD_PIPES);
        for (age, key) in old.into_iter().enumerate() {
            self.drain(key, None, Self::read);
            if age < too_many {
                // What its log cannot take now is lost, and counted.
                self.drain(key, None, Self::take);
                self.close(key);
            }
        }
    }

    fn add_pipe(&mut self, id: StreamId, run: RunId, source: Source, is_new: bool) {
        let Source { reader, name, has_last_words, problem, .. } = source;
        let seeker = self.sought.contains_key(&run.component).then(Box::default);
        let key = self.next_key;
        self.next_key += 1;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match Watched::new(reader, &self.poller, key) {
            Ok(reader) => {
                let mut pipe = Pipe::new(reader, id, run);
                (pipe.name, pipe.seeker, pipe.is_fresh) = (name, seeker, is_new);
                pipe.has_last_words = has_last_words;
                self.pipes.insert(key, Box::new(pipe));
                stream.pipes.push_back(key);
                stream.problem = problem;
            }
            Err(error) => stream.problem = Some(stream.deaf_to(&error)),
        }
    }

    /// Reads a pipe once, unless its log has to wait; says how much was in it. It may be an event of the same round that
    /// found that the log has to wait.
    fn read(&mut self, key: usize) -> usize {
        let Some(pipe) = self.pipes.get(&key) else { return 0 };
        let is_holding = self.streams.get(&pipe.stream).is_some_and(|stream| stream.sink.is_holding());
        if is_holding { 0 } else { self.take(key) }
    }

    /// Reads a pipe once and stores what was in it, or takes note that it is lost; says how much that was. The end of a
    /// pipe closes it.
    fn take(&mut self, key: usize) -> usize {
        let Some(pipe) = self.pipes.get(&key) else { return 0 };
        let (id, held) = (pipe.stream, os::held_by(&*pipe.reader).min(CHUNK));
        if held == 0 {
            if os::is_at_end(&*pipe.reader) {
                self.seek(key, None);
                self.close(key);
            }
            return 0;
        }
        if held > os::PIPE_SIZE / 2 {
            self.enlarge(key);
        }
        let cut = self.streams.get(&id).and_then(|stream| stream.cut).filter(|cut| *cut != key);
        if let Some(cut) = cut {
            self.take(cut);
            if self.streams.get(&id).is_some_and(|stream| stream.cut.is_some()) {
                return 0;
            }
        }
        let Some(pipe) = self.pipes.get_mut(&key) else { return 0 };
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        let length = if stream.sink.can_store() {
            let length = stream.sink.store(|log, at| pipe.draw(log, held, &mut self.lens, at), now());
            stream.note_stored(key, length, held);
            self.hear_stored(key, length);
            length
        } else {
            let length = rustix::io::read(&*pipe.reader, &mut self.lens.buffer[..held]).unwrap_or(0);
            stream.sink.lose(&self.lens.buffer[..length]);
            stream.note_stored(key, length, length);
            self.hear(key, 0, length);
            length
        };
        self.settle(id);
        length
    }

    /// Has a pipe that is found half full hold more, once, and as long as there are not too many of them.
    fn enlarge(&mut self, key: usize) {
        let pipes = self.pipes.len();
        let Some(pipe) = self.pipes.get_mut(&key).filter(|pipe| !pipe.was_full) else { return };
        pipe.was_full = true;
        pipe.is_large = self.large_pipes < os::most_large_pipes(pipes) && os::enlarge(&*pipe.reader);
        self.large_pipes += usize::from(pipe.is_large);
    }

    /// Reads of a pipe what it holds by now.
    fn drain(&mut self, key: usize, deadline: Option<Instant>, read: fn(&mut Self, usize) -> usize) {
        let Some(pipe) = self.pipes.get(&key) else { return };
        let mut left = os::held_by(&*pipe.reader);
        while left > 0 && deadline.is_none_or(|deadline| now() < deadline) {
            let length = read(self, key);
            left = if length == 0 { 0 } else { left.saturating_sub(length) };
        }
    }

    fn close(&mut self, key: usize) {
        let Some(pipe) = self.pipes.remove(&key) else { return };
        self.large_pipes -= usize::from(pipe.is_large);
        if let (Some(name), Some(fifos)) = (&pipe.name, &self.fifos) {
            fifos.remove(name);
        }
        if let Some(stream) = self.streams.get_mut(&pipe.stream) {
            stream.pipes.retain(|&other| other != key);
            stream.cut = stream.cut.filter(|cut| *cut != key);
        }
    }

    /// The keys of a stream's pipes, the oldest first.
    fn pipes_of(&self, id: StreamId) -> VecDeque<usize> {
        self.streams.get(&id).map_or_else(VecDeque::new, |stream| stream.pipes.clone())
    }

    fn close_all(&mut self, id: StreamId) {
        for key in self.pipes_of(id) {
            self.drain(key, None, Self::take);
            self.close(key);
        }
    }

    fn reopen(&mut self) {
        let ids: Vec<_> = self.streams.keys().copied().collect();
        for id in ids {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.sink.reopen(now());
            }
            self.settle(id);
        }
    }

    /// How long to wait for events at most.
    fn until_retry(&self) -> Option<Duration> {
        let due = self.failing.iter().filter_map(|id| self.streams.get(id)?.sink.retry_at()).min()?;
        Some(due.saturating_duration_since(now()))
    }

    fn retry_what_is_due(&mut self) {
        if self.failing.is_empty() {
            return;
        }
        let now = now();
        let is_due = |id: &&StreamId| {
            self.streams.get(id).and_then(|stream| stream.sink.retry_at()).is_some_and(|at| at <= now)
        };
        let due: Vec<_> = self.failing.iter().filter(is_due).copied().collect();
        for id in due {
            self.retry(id, now);
        }
    }

    fn retry(&mut self, id: StreamId, now: Instant) {
        let holds_some = |key: &usize| self.pipes.get(key).is_some_and(|pipe| os::held_by(&*pipe.reader) > 0);
        let cut = self.streams.get(&id).and_then(|stream| stream.cut);
        let first = cut.into_iter().chain(self.pipes_of(id)).find(holds_some);
        let mut pipe = first.and_then(|key| self.pipes.get_mut(&key));
        let held = pipe.as_ref().map_or(0, |pipe| os::held_by(&*pipe.reader).min(CHUNK));
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let draw = |log: &mut LogFile, at| match &mut pipe {
            Some(pipe) => pipe.draw(log, held, &mut self.lens, at),
            None => Ok(0),
        };
        let stored = stream.sink.retry(draw, now);
        if let Some(key) = first {
            stream.note_stored(key, stored, held);
            self.hear_stored(key, stored);
        }
        self.settle(id);
        // What waited meanwhile is stored in the order of the runs.
        for key in self.pipes_of(id) {
            self.drain(key, None, Self::read);
        }
    }

    /// Draws the consequences where a stream has begun or ceased to fail: while it holds a chunk its pipes are not read.
    fn settle(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.is_fine() && stream.condition.is_none() {
            return;
        }
        if stream.sink.is_writing() {
            self.failing.remove(&id);
        } else {
            self.failing.insert(id);
        }
        for key in stream.pipes.clone() {
            let Some(pipe) = self.pipes.get_mut(&key) else { continue };
            if stream.sink.is_holding() {
                pipe.reader.pause();
            } else if let Err(error) = pipe.reader.resume() {
                stream.problem = Some(stream.deaf_to(&error));
                stream.pipes.retain(|&other| other != key);
                self.pipes.remove(&key);
            }
        }
        let condition = stream.sink.condition().or_else(|| stream.problem.clone());
        if stream.condition != condition {
            let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
            match &condition {
                Some(text) => conditions.insert(id, text.clone()),
                None => conditions.remove(&id),
            };
            drop(conditions);
            (self.notice)(News::Stored { component: id.component, problem: condition.clone() });
            stream.condition = condition;
        }
    }

    /// Stores what the pipes hold by now.
    fn finish(mut self, limit: Duration) {
        let deadline = now() + limit;
        // What could not be written has its last chance.
        for id in self.failing.clone() {
            self.retry(id, now());
        }
        let keys: Vec<_> = self.pipes.keys().copied().collect();
        for key in keys {
            self.drain(key, Some(deadline), Self::read);
            // Removes it if nobody has it any more. Another supervisor may go on with the others.
            self.read(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir};
    use std::io::Write;

    use super::super::super::LogSettings;
    use super::super::super::testbench::text;
    use super::super::pipe;
    use super::*;

    #[test]
    fn a_pipe_that_was_ready_when_its_log_began_to_fail_is_read_later() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogSettings::new(folder.path().join("missing/logs/ps.log"));
        let (_, commands) = crossbeam_channel::unbounded();
        let poller = Arc::new(Poller::new().unwrap());
        let mut worker = Worker::new(
            poller,
            commands,
            (Conditions::default(), Arc::new(|_| {})),
            Housekeeper::default(),
            None,
        );
        let (stdout, writer) = pipe().unwrap();
        File::from(writer).write_all(b"patience\n").unwrap();
        let id = RunId { component: 0, number: 1 };
        let stdout =
            Source { reader: stdout, name: None, log: Some(log), has_last_words: true, problem: None };
        worker.attach(Run { id, stdout: Some(stdout), stderr: None, ready: None, is_new: true });

        let key = *worker.pipes.keys().next().unwrap();
        assert_eq!(worker.read(key), 0);
        create_dir(folder.path().join("missing")).unwrap();
        worker.retry(StreamId { component: 0, is_stderr: false }, now());
        assert_eq!(text(&folder.path().join("missing/logs/ps.log")), "patience\n");
    }
}

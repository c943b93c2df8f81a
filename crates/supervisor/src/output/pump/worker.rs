//! The thread of the pump: one loop around one poller.
//!
//! In each round every pipe that has something is read once, so that a flood keeps nobody from being heard. All pipes
//! share one buffer. Nothing happens by time, but for the retries of what failed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use polling::{Events, Poller};
use regex::bytes::Regex;
use rustix::io::Errno;

use super::super::housekeeping::Housekeeper;
use super::super::sink::Sink;
use super::stream::{Pipe, Stream, StreamId};
use super::{Command, Conditions, News, Notice, Run, Source, now};
use crate::os::Watched;
use crate::run::RunId;
use crate::spec::log_pattern;

/// What is read at a time: the size of a pipe.
const CHUNK: usize = 64 * 1024;
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
    /// Boxed, because a tree keeps room for almost as many again.
    streams: BTreeMap<StreamId, Box<Stream>>,
    /// By the key of their events, which is never used again.
    pipes: BTreeMap<usize, Box<Pipe>>,
    next_key: usize,
    /// The streams that have something to try again.
    failing: BTreeSet<StreamId>,
    /// What is looked for in the pipes of these runs, by component.
    sought: BTreeMap<u32, (RunId, Regex)>,
    /// The first byte is kept free for the end of a line that the run before left open.
    buffer: Vec<u8>,
}

impl Worker {
    pub(super) fn new(
        poller: Arc<Poller>,
        commands: Receiver<Command>,
        (conditions, notice): (Conditions, Notice),
        housekeeper: Housekeeper,
    ) -> Self {
        Self {
            poller,
            commands,
            conditions,
            notice,
            housekeeper,
            streams: BTreeMap::new(),
            pipes: BTreeMap::new(),
            next_key: 0,
            failing: BTreeSet::new(),
            sought: BTreeMap::new(),
            buffer: vec![0; 1 + CHUNK],
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
                    Command::Attach(run) => self.attach(run),
                    Command::Ended(run) => self.ended(run),
                    Command::Reopen => self.reopen(),
                    Command::Finish(limit) => return self.finish(limit),
                }
            }
            self.retry_what_is_due();
        }
    }

    fn attach(&mut self, run: Run) {
        let Run { id: run, stdout, stderr, ready } = run;
        self.sought.remove(&run.component);
        // What cannot be a pattern was refused before.
        if let Some(pattern) = ready.and_then(|text| log_pattern(&text).ok()) {
            self.sought.insert(run.component, (run, pattern));
        }
        let stderr = stderr.map(|source| (true, source));
        for (is_stderr, source) in [Some((false, stdout)), stderr].into_iter().flatten() {
            let id = StreamId { component: run.component, is_stderr };
            if self.streams.get(&id).is_none_or(|stream| stream.sink.settings() != source.log.as_ref()) {
                self.close_all(id);
                let sink = Sink::new(source.log.clone(), self.housekeeper.clone(), now());
                self.streams.insert(id, Box::new(Stream::new(sink)));
            }
            self.make_way(id);
            self.add_pipe(id, run, source);
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

    fn add_pipe(&mut self, id: StreamId, run: RunId, source: Source) {
        let has_last_words = source.has_last_words;
        let seeker = self.sought.contains_key(&run.component).then(Box::default);
        let key = self.next_key;
        self.next_key += 1;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match Watched::new(source.reader, &self.poller, key) {
            Ok(reader) => {
                let pipe = Pipe { reader, stream: id, run, seeker, has_last_words, is_fresh: true };
                self.pipes.insert(key, Box::new(pipe));
                stream.pipes.push_back(key);
                stream.problem = None;
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

    /// Reads a pipe once and stores what was in it; says how much that was. The end of a pipe closes it.
    fn take(&mut self, key: usize) -> usize {
        let Some(pipe) = self.pipes.get_mut(&key) else { return 0 };
        let Some(stream) = self.streams.get_mut(&pipe.stream) else { return 0 };
        let id = pipe.stream;
        match rustix::io::read(&*pipe.reader, &mut self.buffer[1..]) {
            Ok(0) => {
                self.seek(key, None);
                self.close(key);
                0
            }
            Ok(length) => {
                if pipe.has_last_words {
                    stream.last_words.get_or_insert_default().hear(&self.buffer[1..=length]);
                }
                let is_fresh = std::mem::take(&mut pipe.is_fresh);
                let ends_line = is_fresh && stream.sink.is_writing() && stream.sink.is_mid_line();
                self.buffer[0] = b'\n';
                let chunk = &self.buffer[usize::from(!ends_line)..=length];
                stream.sink.write(chunk, now());
                self.seek(key, Some(length));
                self.settle(id);
                length
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => {
                self.close(key);
                0
            }
        }
    }

    /// Looks for what a run says when it is ready in so much that was just read, or at its end; until it is found.
    fn seek(&mut self, key: usize, length: Option<usize>) {
        let Some(pipe) = self.pipes.get_mut(&key) else { return };
        let Some(seeker) = &mut pipe.seeker else { return };
        let sought = self.sought.get(&pipe.run.component).filter(|(run, _)| *run == pipe.run);
        let found = sought.map(|(run, pattern)| match length {
            Some(length) => (*run, seeker.finds(pattern, &self.buffer[1..=length])),
            None => (*run, seeker.finds_at_end(pattern)),
        });
        match found {
            Some((_, false)) => {}
            // Found in another pipe, or the run is over.
            None => pipe.seeker = None,
            Some((run, true)) => {
                pipe.seeker = None;
                self.sought.remove(&run.component);
                (self.notice)(News::Ready(run));
            }
        }
    }

    /// Reads of a pipe what it holds by now.
    fn drain(&mut self, key: usize, deadline: Option<Instant>, read: fn(&mut Self, usize) -> usize) {
        let Some(pipe) = self.pipes.get(&key) else { return };
        let held = rustix::io::ioctl_fionread(&*pipe.reader).unwrap_or(0);
        let mut left = usize::try_from(held).unwrap_or(usize::MAX);
        while left > 0 && deadline.is_none_or(|deadline| now() < deadline) {
            let length = read(self, key);
            left = if length == 0 { 0 } else { left.saturating_sub(length) };
        }
    }

    fn close(&mut self, key: usize) {
        if let Some(pipe) = self.pipes.remove(&key)
            && let Some(stream) = self.streams.get_mut(&pipe.stream)
        {
            stream.pipes.retain(|&other| other != key);
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
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.sink.retry(now);
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
        let mut worker =
            Worker::new(poller, commands, (Conditions::default(), Arc::new(|_| {})), Housekeeper::default());
        let (stdout, writer) = pipe().unwrap();
        File::from(writer).write_all(b"patience\n").unwrap();
        let id = RunId { component: 0, number: 1 };
        let stdout = Source { reader: stdout, log: Some(log), has_last_words: true };
        worker.attach(Run { id, stdout, stderr: None, ready: None });

        let key = *worker.pipes.keys().next().unwrap();
        assert_eq!(worker.read(key), 0);
        create_dir(folder.path().join("missing")).unwrap();
        worker.retry(StreamId { component: 0, is_stderr: false }, now());
        assert_eq!(text(&folder.path().join("missing/logs/ps.log")), "patience\n");
    }
}

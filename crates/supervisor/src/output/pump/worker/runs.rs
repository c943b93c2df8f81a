//! Runs begin and end, and their pipes with them.

use std::collections::VecDeque;

use super::super::super::LineForm;
use super::super::super::form::Shape;
use super::super::super::sink::Sink;
use super::super::stream::{Pipe, Stream, StreamId};
use super::super::{News, Run, Source, now};
use super::{MAX_OLD_PIPES, Worker};
use crate::os::Watched;
use crate::run::RunId;
use crate::spec::{ComponentId, log_pattern};

impl Worker {
    pub(super) fn attach(&mut self, run: Run) {
        let Run { id: run, name, stdout, stderr, ready, is_new } = run;
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
            self.add_pipe(id, (run, &name), source, is_new);
            self.settle(id);
        }
    }

    /// Tells the last words of a run.
    pub(super) fn ended(&mut self, run: RunId) {
        self.sought.retain(|_, (sought, _)| *sought != run);
        for is_stderr in [false, true] {
            let id = StreamId { component: run.component, is_stderr };
            for key in self.pipes_of(id) {
                if self.pipes.get(&key).is_some_and(|pipe| pipe.run == run) {
                    self.end_line(key);
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

    /// A component is none any more: its logs are closed, unless something of it is still to come or to be stored.
    pub(super) fn dismiss(&mut self, component: u32) {
        for is_stderr in [false, true] {
            let id = StreamId { component, is_stderr };
            for key in self.pipes_of(id) {
                self.end_line(key);
                self.drain(key, None, Self::read);
                // Closes it if nobody has it any more.
                self.read(key);
            }
            self.streams.remove_entry(&id).into_iter().for_each(|(id, stream)| {
                if !stream.pipes.is_empty() || !stream.is_fine() {
                    self.streams.insert(id, stream);
                }
            });
        }
    }

    /// Stores what the earlier runs of a component have left in their pipes, before its next run says something.
    fn make_way(&mut self, id: StreamId) {
        let old = self.pipes_of(id);
        let too_many = old.len().saturating_sub(MAX_OLD_PIPES);
        for (age, key) in old.into_iter().enumerate() {
            self.end_line(key);
            self.drain(key, None, Self::read);
            if age < too_many {
                // What its log cannot take now is lost, and counted.
                self.shed_all(key);
                self.close(key);
            }
        }
    }

    fn add_pipe(
        &mut self,
        id: StreamId,
        (run, component): (RunId, &ComponentId),
        source: Source,
        is_new: bool,
    ) {
        let Source { reader, name, log, has_last_words, problem } = source;
        let form = log.map_or(LineForm::Raw, |log| log.form);
        let shape = |stream| Shape::of(form, component, run.number, stream).map(Box::new);
        let seeker = self.sought.contains_key(&run.component).then(Box::default);
        let key = self.next_key;
        self.next_key += 1;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.sink.speak_as(shape("supervisor"));
        match Watched::new(reader, &self.poller, key) {
            Ok(reader) => {
                let mut pipe = Pipe::new(reader, id, run);
                (pipe.name, pipe.seeker, pipe.is_fresh) = (name, seeker, is_new);
                pipe.has_last_words = has_last_words;
                pipe.shape = shape(if id.is_stderr { "stderr" } else { "stdout" });
                self.pipes.insert(key, Box::new(pipe));
                stream.pipes.push_back(key);
                stream.problem = problem;
            }
            Err(error) => stream.problem = Some(stream.deaf_to(&error)),
        }
    }

    pub(super) fn close(&mut self, key: usize) {
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
    pub(super) fn pipes_of(&self, id: StreamId) -> VecDeque<usize> {
        self.streams.get(&id).map_or_else(VecDeque::new, |stream| stream.pipes.clone())
    }

    fn close_all(&mut self, id: StreamId) {
        for key in self.pipes_of(id) {
            self.end_line(key);
            self.drain(key, None, Self::read);
            self.shed_all(key);
            self.close(key);
        }
    }

    /// Has what a pipe holds end with a line, because its run is over.
    pub(super) fn end_line(&mut self, key: usize) {
        if let Some(pipe) = self.pipes.get_mut(&key) {
            pipe.is_over = true;
        }
    }
}

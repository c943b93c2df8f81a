//! What cannot be stored is tried again.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::super::super::log_file::LogFile;
use super::super::stream::StreamId;
use super::super::{News, now};
use super::Worker;
use crate::os;

impl Worker {
    /// How long to wait for events at most.
    pub(super) fn until_retry(&self) -> Option<Duration> {
        let due = self.failing.iter().filter_map(|id| self.streams.get(id)?.sink.retry_at()).min()?;
        Some(due.saturating_duration_since(now()))
    }

    pub(super) fn retry_what_is_due(&mut self) {
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

    pub(super) fn retry(&mut self, id: StreamId, now: Instant) {
        for key in self.pipes_of(id) {
            self.shed_begun(key);
        }
        let holds_some = |key: &usize| self.pipes.get(key).is_some_and(|pipe| os::held_by(&*pipe.reader) > 0);
        let cut = self.streams.get(&id).and_then(|stream| stream.cut);
        let first = cut.into_iter().chain(self.pipes_of(id)).find(holds_some);
        let mut pipe = first.and_then(|key| self.pipes.get_mut(&key));
        let held = pipe.as_ref().map_or(0, |pipe| os::held_by(&*pipe.reader).min(pipe.most()));
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let draw = |log: &mut LogFile, at| match &mut pipe {
            Some(pipe) => pipe.draw(log, held, (&mut self.lens, &mut self.former), at),
            None => Ok(0),
        };
        let stored = stream.sink.retry(draw, now);
        if let Some(key) = first {
            stream.note_stored(key, stored, if stream.sink.is_formed() { stored } else { held });
            self.hear_stored(key, stored);
        }
        self.settle(id);
        // What waited meanwhile is stored in the order of the runs.
        for key in self.pipes_of(id) {
            self.drain(key, None, Self::read);
        }
    }

    /// Draws the consequences where a stream has begun or ceased to fail: while it holds a chunk its pipes are not read.
    pub(super) fn settle(&mut self, id: StreamId) {
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
            let watched = if stream.sink.is_holding() {
                pipe.reader.pause();
                Ok(())
            } else if stream.sink.is_dropping() {
                // What is kept stays there.
                pipe.reader.await_more()
            } else {
                pipe.reader.resume()
            };
            if let Err(error) = watched {
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
}

//! What the thread of the pump makes of what runs write: their last lines, and whether they are ready.

use super::super::super::last_words::LastWords;
use super::super::News;
use super::{CHUNK, Worker};

/// How much of what was stored is read for the last lines, if they are in it.
const LAST_LINES: usize = 8 << 10;

impl Worker {
    /// Reads in the log what was just stored there, as far as anything wants to know it. What was made into lines is still
    /// in the buffer.
    pub(super) fn hear_stored(&mut self, key: usize, length: usize) {
        let Some(pipe) = self.pipes.get(&key).filter(|_| length > 0) else { return };
        if pipe.shape.is_some() {
            return self.hear(key, 0, length);
        }
        let Some(stream) = self.streams.get(&pipe.stream) else { return };
        // More than that is moved only where nothing but the last lines is looked at.
        let is_cut = length > CHUNK;
        let length = length.min(CHUNK);
        let chunk = &mut self.lens.buffer[..length];
        let mut from = match &pipe.seeker {
            Some(_) => 0,
            None if pipe.has_last_words => length.saturating_sub(LAST_LINES),
            None => return,
        };
        let mut is_read = stream.sink.read_back(&mut chunk[from..]);
        if is_read && from > 0 && !LastWords::are_all_in(&chunk[from..]) {
            from = 0;
            is_read = stream.sink.read_back(chunk);
        }
        if is_read && is_cut && from == 0 {
            // What was heard before does not go on with this.
            self.forget(key);
        }
        if is_read {
            self.hear(key, from, length);
        }
    }

    fn forget(&mut self, key: usize) {
        if let Some(pipe) = self.pipes.get(&key)
            && let Some(stream) = self.streams.get_mut(&pipe.stream)
        {
            stream.last_words = None;
        }
    }

    /// Takes in what a run has written, or the end of it: what the buffer holds from here to there.
    pub(super) fn hear(&mut self, key: usize, from: usize, to: usize) {
        let Some(pipe) = self.pipes.get(&key) else { return };
        if pipe.has_last_words
            && let Some(stream) = self.streams.get_mut(&pipe.stream)
        {
            stream.last_words.get_or_insert_default().hear(&self.lens.buffer[from..to]);
        }
        self.seek(key, Some(to));
    }

    /// Looks for what a run says when it is ready in so much that was just read, or at its end; until it is found.
    pub(super) fn seek(&mut self, key: usize, length: Option<usize>) {
        let Some(pipe) = self.pipes.get_mut(&key) else { return };
        let Some(seeker) = &mut pipe.seeker else { return };
        let sought = self.sought.get(&pipe.run.component).filter(|(run, _)| *run == pipe.run);
        let found = sought.map(|(run, pattern)| match length {
            Some(length) => (*run, seeker.finds(pattern, &self.lens.buffer[..length])),
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
}

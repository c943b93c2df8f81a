//! What becomes of output that can neither be stored nor waited with: the oldest lines of a pipe make way for the newest.
//!
//! So the newest are kept in the pipe itself: that takes no memory of ours, has the size that a pipe has, and outlives us.

use memchr::{memchr, memrchr};

use super::super::stream::StreamId;
use super::{CHUNK, Worker};
use crate::os;

impl Worker {
    /// Drops the oldest lines of a pipe that is more than half full, until only a quarter is left in it; says how much
    /// that was.
    pub(super) fn shed(&mut self, key: usize) -> usize {
        let shed = self.shed_begun(key);
        let Some(pipe) = self.pipes.get(&key) else { return shed };
        let held = os::held_by(&*pipe.reader);
        if held <= os::half_of(&*pipe.reader) {
            return shed;
        }
        self.begin_to_shed(key);
        shed + self.shed_lines(key, held - held / 4)
    }

    /// Drops all that a pipe holds, because it is closed.
    pub(super) fn shed_all(&mut self, key: usize) {
        let Some(pipe) = self.pipes.get(&key) else { return };
        let (id, held) = (pipe.stream, os::held_by(&*pipe.reader));
        if held > 0 {
            self.begin_to_shed(key);
            self.shed_lines(key, held);
            self.end_shedding(key, id);
        }
    }

    /// Drops what has come of the rest of a line whose beginning was dropped; says how much that was.
    pub(super) fn shed_begun(&mut self, key: usize) -> usize {
        let mut shed = 0;
        while let Some(pipe) = self.pipes.get(&key).filter(|pipe| pipe.is_shedding) {
            let seen = self.lens.look(&*pipe.reader, CHUNK).map_or(0, <[u8]>::len);
            let end = memchr(b'\n', &self.lens.buffer[..seen]).map(|newline| newline + 1);
            if seen == 0 || !self.drop_first(key, end.unwrap_or(seen)) {
                break;
            }
            shed += end.unwrap_or(seen);
        }
        shed
    }

    /// A line of which the beginning is stored already is lost as a whole.
    fn begin_to_shed(&mut self, key: usize) {
        let Some(pipe) = self.pipes.get(&key) else { return };
        let Some(stream) = self.streams.get_mut(&pipe.stream) else { return };
        if pipe.shape.is_none() && stream.last == Some(key) {
            stream.sink.lose_open_line();
            stream.last = None;
        }
        stream.cut = stream.cut.filter(|cut| *cut != key);
    }

    /// Drops lines from the beginning of what a pipe holds, so many bytes at most, or the beginning of a line that is longer.
    fn shed_lines(&mut self, key: usize, most: usize) -> usize {
        let mut shed = 0;
        while shed < most
            && let Some(pipe) = self.pipes.get(&key)
        {
            let seen = self.lens.look(&*pipe.reader, (most - shed).min(CHUNK)).map_or(0, <[u8]>::len);
            let whole = memrchr(b'\n', &self.lens.buffer[..seen]).map(|newline| newline + 1);
            let length = if shed + seen < most { seen } else { whole.unwrap_or(seen) };
            if length == 0 || !self.drop_first(key, length) {
                break;
            }
            shed += length;
            if length < seen {
                break;
            }
        }
        shed
    }

    /// Drops the first bytes of a pipe, which the buffer holds.
    fn drop_first(&mut self, key: usize, length: usize) -> bool {
        let Some(pipe) = self.pipes.get_mut(&key) else { return false };
        let Some(stream) = self.streams.get_mut(&pipe.stream) else { return false };
        let is_dropped = self.lens.discard(&*pipe.reader, length).is_ok();
        if is_dropped {
            let chunk = &self.lens.buffer[..length];
            stream.sink.lose(chunk);
            pipe.is_shedding = chunk.last() != Some(&b'\n');
            pipe.is_fresh = false;
            self.hear(key, 0, length);
        }
        is_dropped
    }

    /// A line that was begun, and does not go on, is lost as well.
    pub(super) fn end_shedding(&mut self, key: usize, id: StreamId) {
        let Some(pipe) = self.pipes.get_mut(&key).filter(|pipe| pipe.is_shedding) else { return };
        pipe.is_shedding = false;
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.sink.lose_end();
        }
    }
}

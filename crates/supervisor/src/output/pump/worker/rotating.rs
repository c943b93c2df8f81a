//! Files of logs end because somebody asks for it.

use std::io;
use std::sync::Arc;

use super::super::super::LogSettings;
use super::super::super::log_file::LogFile;
use super::super::stream::StreamId;
use super::super::{News, Rotation};
use super::Worker;

impl Worker {
    /// Ends the files of a component's output, and tells what has come of that.
    pub(super) fn rotate(&mut self, rotation: Rotation) {
        let Rotation { request, component, stdout, stderr } = rotation;
        let ended = self.rotate_stream(StreamId { component, is_stderr: false }, Some(stdout));
        let also = self.rotate_stream(StreamId { component, is_stderr: true }, stderr);
        let result = match (ended, also) {
            (Ok(ended), Ok(also)) => Ok(ended || also),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string().into()),
        };
        (self.notice)(News::Rotated { request, component, result });
    }

    /// `log`: where it is stored, if it has not been opened yet.
    fn rotate_stream(&mut self, id: StreamId, log: Option<LogSettings>) -> io::Result<bool> {
        // What was written before somebody asked is in the file that ends.
        for key in self.pipes_of(id) {
            self.drain(key, None, Self::read);
            // Closes it if nobody has it any more: then no line goes on in the next file.
            self.read(key);
        }
        match self.streams.get_mut(&id).filter(|stream| stream.sink.settings().is_some()) {
            Some(stream) => stream.sink.rotate(!stream.pipes.is_empty()),
            None => {
                log.map_or(Ok(false), |log| LogFile::rotate_unopened(Arc::new(log), self.housekeeper.clone()))
            }
        }
    }
}

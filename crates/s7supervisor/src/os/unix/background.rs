//! The supervisor on its way into the background, and what it tells of that.

use std::io::{self, PipeReader, Read};
use std::process::Command;
use std::time::Duration;

use super::waiting;

/// Nothing of ours is to stay with whoever is started next, or with us.
pub(crate) fn keep_inheritance_private() {
    close_fds::set_fds_cloexec(3, &[]);
}

/// Leaves the terminal.
pub(crate) fn leave_terminal() {
    // Fails only for the leader of a session, who has left already.
    let _left = rustix::process::setsid();
}

/// What is said here is heard by nobody from now on: whoever has listened is told so by the end of the pipe.
pub(crate) fn leave_outputs() {
    let Ok(nowhere) = std::fs::File::options().write(true).open("/dev/null") else { return };
    // Should this fail, the last word ends the wait all the same.
    let _unchanged = (rustix::stdio::dup2_stdout(&nowhere), rustix::stdio::dup2_stderr(&nowhere));
}

/// Holds no folder that somebody may want to remove. It leaves the terminal by itself.
pub(crate) fn detach(command: &mut Command) {
    command.current_dir("/");
}

/// What comes through a pipe, waited for no longer than one was told to.
pub(crate) struct Told(PipeReader);

impl Told {
    pub(crate) fn new(pipe: PipeReader) -> io::Result<Self> {
        Ok(Self(pipe))
    }

    /// The next part, empty at the end; `None`: there is none in time.
    pub(crate) fn next(&mut self, limit: Option<Duration>) -> io::Result<Option<Vec<u8>>> {
        if !waiting::readable(&self.0, limit)? {
            return Ok(None);
        }
        let mut buffer = vec![0; 4096];
        let length = self.0.read(&mut buffer)?;
        buffer.truncate(length);
        Ok(Some(buffer))
    }
}

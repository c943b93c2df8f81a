//! The supervisor on its way into the background, and what it tells of that.
#![expect(unsafe_code, reason = "no safe library lets a process have other outputs")]

use std::io::{self, PipeReader, Read};
use std::os::windows::io::IntoRawHandle;
use std::os::windows::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use windows_sys::Win32::Foundation::CloseHandle;
use windows_sys::Win32::System::Console::{GetStdHandle, STD_ERROR_HANDLE, STD_OUTPUT_HANDLE, SetStdHandle};
use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS};

/// Handles are inherited only where somebody says so.
pub(crate) fn keep_inheritance_private() {}

/// It has no console: it was begun without.
pub(crate) fn leave_terminal() {}

/// What is said here is heard by nobody from now on: whoever has listened is told so by the end of the pipe.
pub(crate) fn leave_outputs() {
    for output in [STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
        let Ok(nowhere) = std::fs::File::options().write(true).open("NUL") else { return };
        // SAFETY: the standard library asks for the handle each time that it writes, and nobody writes at the same time: the log does
        // so in a file. The old one is open, and nobody has it any more.
        unsafe {
            let old = GetStdHandle(output);
            if SetStdHandle(output, nowhere.into_raw_handle()) != 0 {
                CloseHandle(old);
            }
        }
    }
}

/// Has no console, does not hear the Ctrl-C of ours, and holds no folder that somebody may want to remove.
pub(crate) fn detach(command: &mut Command) {
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    let root = std::env::current_exe().ok().and_then(|path| Some(path.ancestors().last()?.to_owned()));
    if let Some(root) = root {
        command.current_dir(root);
    }
}

/// What comes through a pipe, waited for no longer than one was told to.
pub(crate) struct Told(Receiver<io::Result<Vec<u8>>>);

impl Told {
    /// A pipe cannot be waited for: a thread reads it.
    pub(crate) fn new(mut pipe: PipeReader) -> io::Result<Self> {
        let (sender, receiver) = bounded(1);
        #[expect(clippy::disallowed_methods, reason = "a pipe cannot be waited for with a limit")]
        let _detached = std::thread::Builder::new().name("told".to_owned()).spawn(move || {
            loop {
                let mut buffer = vec![0; 4096];
                let part = pipe.read(&mut buffer).map(|length| {
                    buffer.truncate(length);
                    buffer
                });
                let is_last = part.as_ref().map_or(true, Vec::is_empty);
                if sender.send(part).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(Self(receiver))
    }

    /// The next part, empty at the end; `None`: there is none in time.
    pub(crate) fn next(&mut self, limit: Option<Duration>) -> io::Result<Option<Vec<u8>>> {
        let part = match limit {
            Some(limit) => self.0.recv_timeout(limit),
            None => self.0.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match part {
            Ok(part) => part.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Ok(Some(Vec::new())),
        }
    }
}

//! News of log files, where nobody tells of what is written: looked for once a second.
//!
//! Windows tells of what is written to a file that stays open only when it writes it to the disk, which may be much later; POSIX
//! has no such thing.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, never};

/// How long it is between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Folders in which something may be written.
#[derive(Debug)]
pub(crate) struct Folders;

/// What happened in a folder.
#[derive(Debug)]
#[expect(dead_code, reason = "here nobody knows what happened")]
pub(crate) enum News<'a> {
    /// A file of this name was written to.
    Written(i32, &'a OsStr),
    /// A file has this name from now on.
    Appeared(i32, &'a OsStr),
    /// Anything.
    Unknown,
    /// The folder is gone.
    Gone(i32),
}

impl Folders {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Adds a folder, which must be there.
    pub(crate) fn add(&self, folder: &Path) -> io::Result<i32> {
        std::fs::read_dir(folder).map(|_| 0)
    }

    /// Takes all the news there is.
    pub(crate) fn take(&self, mut heed: impl FnMut(News<'_>)) -> io::Result<()> {
        heed(News::Unknown);
        Ok(())
    }

    /// Waits for the next look: `false` if the end is told. That nobody reads any more is noticed when something is written.
    pub(crate) fn wait(&self, end: Option<&End>) -> io::Result<bool> {
        let nobody = never();
        match end.map_or(&nobody, |end| &end.told).recv_timeout(PAUSE) {
            Err(RecvTimeoutError::Timeout) => Ok(true),
            told => {
                if let (Ok(()), Some(end)) = (told, end) {
                    end.nothing_comes.store(true, Ordering::Relaxed);
                }
                Ok(false)
            }
        }
    }
}

/// Tells somebody who waits for news that it is to end.
#[derive(Debug)]
pub(crate) struct Ender(Sender<()>);

/// Where that is heard.
#[derive(Debug)]
pub(crate) struct End {
    told: Receiver<()>,
    nothing_comes: AtomicBool,
}

impl Ender {
    pub(crate) fn new() -> io::Result<(Self, End)> {
        let (ender, told) = bounded(1);
        Ok((Self(ender), End { told, nothing_comes: AtomicBool::new(false) }))
    }

    /// `nothing_comes`: nothing will be written any more.
    pub(crate) fn end(self, nothing_comes: bool) {
        if nothing_comes {
            // Refused only if nobody waits any more.
            let _ = self.0.send(());
        }
    }
}

impl End {
    /// Whether nothing will be written any more, once the end is told.
    pub(crate) fn nothing_comes(&self) -> bool {
        self.nothing_comes.load(Ordering::Relaxed)
    }
}

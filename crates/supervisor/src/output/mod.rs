//! The components' standard output and standard error: pump, rotation, retention.
//!
//! ```text
//! component ──pipe──▶ pump ──chunk──▶ sink ──chunk──▶ LogFile ──▶ ps-2026-11-22.log
//!                    (one thread)   (holds, drops)      │ rolls over
//!                                                       ▼
//!                                   housekeeper: old files are deleted, ended ones compressed
//! ```
//!
//! - `fifos` is the folder of the pipes, if there is one: then they have names, and outlive us.
//! - `pump` is the one thread that moves what all components write. It waits only for bytes, and needs the same memory
//!   whatever is written. It looks at bytes only where something asks for it: until the line by which a component says
//!   that it is ready (`pump/seek`), and at the end of each chunk of standard error for the last lines (`last_words`).
//! - `form` makes something else of lines, where that is asked for: then bytes are looked at, and leave the pipe once what
//!   was made of them is stored.
//! - `sink` stands between a stream and its file: what cannot be written stays in the pipe, so that the component waits, and
//!   is after a while dropped, so that it does not wait for ever. What was dropped is told in the file.
//! - `log_file` appends to the file of the day and begins a new one when it is due; `names` knows what these files
//!   are called and `folder` opens them.
//! - `retention` knows which of the ended files have to go; `housekeeping` deletes and compresses in the background.
//! - `files` tells whoever wants to read a log which files it has.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod clock;
#[cfg_attr(any(not(target_os = "linux"), s7_posix), path = "no_fifos.rs")]
mod fifos;
mod files;
mod folder;
mod form;
mod housekeeping;
mod last_words;
mod log_file;
mod names;
mod pump;
mod retention;
mod sink;
#[cfg(test)]
mod testbench;

pub(crate) use fifos::{Fifo, Fifos, Purpose};
pub use files::StoredLog;
pub use log_file::LogFile;
pub(crate) use names::owners;
pub(crate) use pump::{News, Notice, Pump};

/// A log file: where it is, when a new one begins, and how long old ones are kept.
///
/// A file that is ended, for its size or because somebody [asks](crate::Handle::rotate), is renamed: `ps.log` to `ps.log.1`, the next one to `ps.log.2`, and so on; the
/// highest number is the newest. No file is ever copied, cut short or renumbered. Only files that are named exactly
/// so are ever deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The path. With `dated`, a hyphen and the date are put in before the suffix.
    pub path: PathBuf,
    /// Whether each day has a file of its own: `ps.log` is written as `ps-yyyy-mm-dd.log`, by local time.
    pub dated: bool,
    /// The size in bytes at which a new file begins, before the line that would pass it. Default: none.
    ///
    /// No file is ever larger. A line is torn only if it fits into no file, or is longer than 1 MiB. Zero is none.
    pub max_size: Option<u64>,
    /// How many files that were ended (but for those whose day was over) are kept beside the current one. Default: all.
    pub keep: Option<u32>,
    /// For how many days files are kept. Default: for ever.
    ///
    /// A dated file counts by the date in its name: with 10, the one of ten days ago is the oldest. The numbered files
    /// of a log without date count by the time of their last line.
    pub days: Option<u32>,
    /// How many bytes the ended files may take together, compressed ones as they are. Beyond that the oldest are
    /// deleted. Default: no limit.
    pub max_total: Option<u64>,
    /// How many bytes of the disk must stay free: while there are fewer, ended files are deleted, the oldest first.
    /// Default: none.
    ///
    /// It is looked at when a file begins or ends, each time that 16 MiB were written, and when the disk is full.
    pub min_free: Option<u64>,
    /// Whether ended files are compressed with gzip: `ps.log.1.gz`, `ps-2026-11-22.log.gz`. Default: no.
    pub compress: bool,
    /// What the lines of a component are made into. Default: nothing else than they are. A [`LogFile`] by itself makes
    /// nothing of what is written to it.
    pub form: LineForm,
    /// What becomes of a component's output that cannot be stored. Default: it waits, 30 s at most.
    pub when_full: WhenFull,
}

/// What becomes of a component's output while it cannot be stored, because the disk is full for example.
///
/// It stays in the pipe, which holds 64 KiB, or 1 MiB where it could be enlarged. What differs is what happens when that is
/// full. It is tried again after 100 ms, then ever less often, up to every 5 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The component waits, when it writes: so long at most, counted from the first failure, or, with `None`, for ever.
    /// Then it is as with `Drop`.
    Block {
        /// How long it waits at most.
        at_most: Option<Duration>,
    },
    /// The component does not wait: when the pipe is half full, its oldest lines are dropped. Once it can be stored again,
    /// a line in the log says how many lines and bytes that were; what follows that is stored.
    Drop,
}

impl Default for WhenFull {
    fn default() -> Self {
        Self::Block { at_most: Some(Duration::from_secs(30)) }
    }
}

/// What the lines of a component's output are made into.
///
/// Only raw output is stored exactly once whatever happens: it goes from the pipe to the file in one step. Where
/// something is made of it, it leaves the pipe once that is stored. When the process dies in between, the next supervisor
/// stores it again: a quarter of a megabyte at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineForm {
    /// Nothing: every byte stays as it is.
    #[default]
    Raw,
    /// Each begins with the time at which it was read, and a blank: `2026-11-29T08:30:00.123+01:00 ready`.
    ///
    /// A line of more than 32 KiB becomes several lines.
    Timestamps,
    /// Each becomes an object of JSON with the keys `time`, `component`, `run` (its number), `stream` (`stdout`, also for
    /// standard error that joins it; `stderr`; or `supervisor`, where we say what was lost) and `line`, in this order.
    ///
    /// What is no UTF-8 is replaced by U+FFFD. A line of more than 32 KiB becomes several objects: all but the last have
    /// `"partial":true` at their end.
    Json,
}

impl LogSettings {
    /// The log at `path`, with every default and no date.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            dated: false,
            max_size: None,
            keep: None,
            days: None,
            max_total: None,
            min_free: None,
            compress: false,
            form: LineForm::Raw,
            when_full: WhenFull::default(),
        }
    }

    /// What its files are called.
    fn names(&self) -> names::Names {
        names::Names::new(&self.path, self.dated)
    }

    /// The log beside this one for standard error: `ps-stderr.log`.
    pub(crate) fn for_stderr(&self) -> Self {
        let mut name = OsString::from(self.path.file_stem().unwrap_or_default());
        name.push("-stderr");
        if let Some(suffix) = self.path.extension() {
            name.push(".");
            name.push(suffix);
        }
        Self { path: self.path.with_file_name(name), ..self.clone() }
    }
}

/// An error that says what could not be done to which file, and why.
fn failed(verb: &str, path: &Path, error: &io::Error) -> io::Error {
    let reason = crate::os::words(error);
    let text = format!("cannot {verb} {}: {reason}", path.display());
    io::Error::new(error.kind(), Failed { text, is_want: is_want(error) })
}

/// Whether this means that the system or the process has run short of something, which may pass by itself.
fn is_want(error: &io::Error) -> bool {
    let failed = error.get_ref().and_then(|inner| inner.downcast_ref::<Failed>());
    failed.map_or_else(|| crate::os::is_want(error), |failed| failed.is_want)
}

/// What could not be done to which file, in words.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Failed {
    text: String,
    is_want: bool,
}

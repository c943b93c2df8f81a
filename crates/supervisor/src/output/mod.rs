//! The components' standard output and standard error: pump, rotation, retention.

use std::path::PathBuf;

/// A log file: where it is, when a new one begins, and how long old ones are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The path. With `dated`, a hyphen and the date are put in before the suffix.
    pub path: PathBuf,
    /// Whether each day has a file of its own: `ps.log` is written as `ps-yyyy-mm-dd.log`, by local time.
    pub dated: bool,
    /// The size in bytes at which a new file begins, before the line that would pass it. Default: none.
    pub max_size: Option<u64>,
    /// How many files that were ended for their size are kept beside the current one. Default: all.
    pub keep: Option<u32>,
    /// For how many days files are kept. Default: for ever.
    pub days: Option<u32>,
    /// Whether ended files are compressed with gzip. Default: no.
    pub compress: bool,
}

impl LogSettings {
    /// The log at `path`, with every default and no date.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), dated: false, max_size: None, keep: None, days: None, compress: false }
    }
}

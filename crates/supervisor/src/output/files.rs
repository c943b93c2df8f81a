//! The files of a log that are there, for whoever wants to read them.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::clock::unix_now;
use super::folder::Folder;
use super::names::{Form, Found};
use super::{LogSettings, failed};

/// So often files are looked at anew that were renamed while they were looked at.
const LOOKS: usize = 100;

/// A folder in which nothing has changed for so many seconds would tell by its time if something did. One that has may have the
/// same time for two changes.
const REST: i64 = 1;

/// A file of a log that is there: [`LogSettings::files`].
///
/// Files of one log are ordered as they were written, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLog {
    path: PathBuf,
    date: Option<NaiveDate>,
    number: Option<u64>,
    is_compressed: bool,
}

impl StoredLog {
    fn new(path: PathBuf, found: Found) -> Option<Self> {
        let Found { date, number, form } = found;
        let is_compressed = match form {
            Form::Plain => false,
            Form::Compressed => true,
            Form::Unfinished => return None,
        };
        Some(Self { path, date, number, is_compressed })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is compressed, with gzip.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Whether it was ended for its size, or because somebody asked for that. One that was keeps its name, but that it may be compressed.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.number.is_some()
    }

    /// What it is called once it is ended, where these are the files of the log.
    #[must_use]
    pub fn once_ended(&self, files: &[Self]) -> Self {
        if self.number.is_some() || self.is_compressed {
            return self.clone();
        }
        let of_its_day = files.iter().filter(|file| file.date == self.date);
        let number = of_its_day.filter_map(|file| file.number).max().unwrap_or(0) + 1;
        Self { path: with_end(&self.path, &format!(".{number}")), number: Some(number), ..self.clone() }
    }

    /// What it is called once it is compressed.
    #[must_use]
    pub fn compressed(&self) -> Self {
        let path = if self.is_compressed { self.path.clone() } else { with_end(&self.path, ".gz") };
        Self { path, is_compressed: true, ..self.clone() }
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// It is gone, may not be read, or is no regular file.
    pub fn open(&self) -> io::Result<File> {
        let cannot = |error: io::Error| failed("open", &self.path, &error);
        let name = self.path.file_name().unwrap_or_default();
        let file = Folder::existing(&self.path)?.open_for_reading(name).map_err(cannot)?;
        if file.metadata().map_err(cannot)?.is_file() {
            Ok(file)
        } else {
            Err(cannot(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")))
        }
    }
}

impl PartialOrd for StoredLog {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for StoredLog {
    fn cmp(&self, other: &Self) -> Ordering {
        // What has no number yet is written to, or was the last of its day.
        let age = |file: &Self| (file.date, file.number.unwrap_or(u64::MAX));
        let rest = |file: &Self| (file.is_compressed, file.path.clone());
        age(self).cmp(&age(other)).then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl LogSettings {
    /// Makes the folder of this log, with mode 0750, if only that is missing: as is done when its first file is made.
    ///
    /// # Errors
    /// It cannot be made, or is no folder.
    pub fn make_folder(&self) -> io::Result<()> {
        Folder::of(&self.path).map(drop)
    }

    /// The files of this log that are there, the oldest first. One that is just being compressed is named once, as what
    /// it still is.
    ///
    /// They may change at any time: the last one may be [renamed](StoredLog::once_ended), others may be
    /// [compressed](StoredLog::compressed) or deleted.
    ///
    /// # Errors
    /// The folder cannot be listed. One that is missing holds no files.
    pub fn files(&self) -> io::Result<Vec<StoredLog>> {
        self.files_with(|_| ()).map(|(files, ())| files)
    }

    /// The [files](Self::files), and what comes of a `look` at them, of which none was renamed meanwhile: whoever opens the last
    /// one here has the one that is meant. If they change, it looks anew, up to 100 times; what changes faster is taken as it is.
    ///
    /// # Errors
    /// As of [`files`](Self::files).
    pub fn files_with<T>(&self, mut look: impl FnMut(&[StoredLog]) -> T) -> io::Result<(Vec<StoredLog>, T)> {
        let folder = match Folder::existing(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), look(&[]))),
            folder => folder?,
        };
        let changed = folder.changed();
        let (mut files, mut looks) = (self.listed(&folder)?, 0);
        loop {
            let found = look(&files);
            looks += 1;
            if looks == 1
                && changed == folder.changed()
                && changed.is_some_and(|(at, _)| at < unix_now() - REST)
            {
                return Ok((files, found));
            }
            // A listing may miss what is renamed during it, but then the next one does not: whatever is renamed gets a
            // number that nothing had before.
            let again = self.listed(&folder)?;
            if again == files || looks == LOOKS {
                return Ok((files, found));
            }
            files = again;
        }
    }

    fn listed(&self, folder: &Folder) -> io::Result<Vec<StoredLog>> {
        let names = self.names();
        let stored = |name: std::ffi::OsString| {
            let found = names.parse(&name)?;
            StoredLog::new(self.path.with_file_name(name), found)
        };
        let mut files: Vec<_> = folder.names()?.into_iter().filter_map(stored).collect();
        files.sort_unstable();
        // Of both forms of a file, the compressed one comes second and is the same.
        files.dedup_by_key(|file| (file.date, file.number));
        Ok(files)
    }

    /// Whether a file of this name, in the folder of the log, is one of this log's files.
    #[must_use]
    pub fn owns(&self, name: &std::ffi::OsStr) -> bool {
        self.names().parse(name).is_some_and(|found| found.form != Form::Unfinished)
    }

    /// The log of standard error, where that has files of its own: `ps-stderr.log` beside `ps.log`.
    #[must_use]
    pub fn of_stderr(&self) -> Self {
        self.for_stderr()
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    path.with_file_name(super::names::with_end(path.file_name().unwrap_or_default(), end))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn names(settings: &LogSettings) -> Vec<String> {
        let files = settings.files().unwrap().into_iter();
        files.map(|file| file.path().file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    fn filled(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
        folder
    }

    #[test]
    fn the_files_of_a_log_come_as_they_were_written_and_each_once() {
        let folder = filled(&[
            "ps.log",
            "ps.log.10",
            "ps.log.9",
            "ps.log.9.gz",
            "ps.log.2.gz",
            "ps.log.11.gz.tmp",
            "ps-stderr.log",
            "is.log",
        ]);
        let settings = LogSettings::new(folder.path().join("ps.log"));
        assert_eq!(names(&settings), ["ps.log.2.gz", "ps.log.9", "ps.log.10", "ps.log"]);
        let compressed: Vec<_> = settings.files().unwrap().iter().map(StoredLog::is_compressed).collect();
        assert_eq!(compressed, [true, false, false, false]);
        assert_eq!(names(&settings.of_stderr()), ["ps-stderr.log"]);
    }

    #[test]
    fn days_come_one_after_the_other_and_the_last_of_a_day_has_no_number() {
        let folder = filled(&[
            "ps-2026-11-22.log",
            "ps-2026-11-22.log.1",
            "ps-2026-11-21.log.gz",
            "ps-2026-11-21.log.3.gz",
        ]);
        let dated = LogSettings { dated: true, ..LogSettings::new(folder.path().join("ps.log")) };
        let expected =
            ["ps-2026-11-21.log.3.gz", "ps-2026-11-21.log.gz", "ps-2026-11-22.log.1", "ps-2026-11-22.log"];
        assert_eq!(names(&dated), expected);
        assert!(dated.owns(OsStr::new("ps-2026-11-22.log.2")));
        assert!(!dated.owns(OsStr::new("ps.log")));
    }

    #[test]
    fn what_a_file_will_be_called_is_known() {
        let folder = filled(&["ps.log", "ps.log.6"]);
        let files = LogSettings::new(folder.path().join("ps.log")).files().unwrap();
        let ended = files[1].once_ended(&files).compressed();
        assert_eq!(ended.path(), folder.path().join("ps.log.7.gz"));
        assert_eq!(files[0].once_ended(&files), files[0]);
        assert!(files[0] < ended && ended < files[1], "what has a number is older than what has none");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_renamed_while_it_is_looked_at_is_looked_at_anew_but_not_for_ever() {
        let folder = filled(&["ps.log"]);
        let settings = LogSettings::new(folder.path().join("ps.log"));
        // How many files are found, and after how many looks, where during the first of them one is ended.
        let look = |most| {
            let mut looks = 0;
            let (files, ()) = settings
                .files_with(|files| {
                    looks += 1;
                    if looks <= most {
                        let ended = folder.path().join(format!("ps.log.{}", files.len()));
                        std::fs::rename(&settings.path, ended).unwrap();
                        std::fs::write(&settings.path, "").unwrap();
                    }
                })
                .unwrap();
            (files.len(), looks)
        };
        let rest = || {
            let long_ago = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
            std::fs::File::open(folder.path()).unwrap().set_times(long_ago).unwrap();
        };
        assert_eq!(look(0), (1, 1));
        assert_eq!(look(1), (2, 2));
        rest();
        assert_eq!(look(0), (2, 1));
        rest();
        assert_eq!(look(1), (3, 2));
        assert_eq!(look(usize::MAX).1, LOOKS);
    }

    #[test]
    fn a_folder_that_is_missing_holds_no_files_and_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings::new(folder.path().join("logs/ps.log"));
        assert_eq!(settings.files().unwrap(), []);
        assert!(!folder.path().join("logs").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = filled(&["secret"]);
        std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("ps.log")).unwrap();
        let files = LogSettings::new(folder.path().join("ps.log")).files().unwrap();
        assert!(files[0].open().is_err());
    }
}

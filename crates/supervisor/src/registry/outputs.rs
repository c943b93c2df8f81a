//! Which component writes which files: two that wrote the same would spoil it for each other, and so would one whose
//! file the other takes for an old one of its own, to be removed in time.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::problem::{Place, Problems, quoted};
use crate::output::LogSettings;
use crate::spec::{Output, Stderr};

/// The files that are written, and by whom.
pub(super) struct Outputs {
    writers: Vec<Writer>,
    /// What is written by which of the writers.
    logs: HashMap<Log, usize>,
    /// The logs, whoever writes them, that would take a file of one of the writers for theirs.
    lookalikes: HashMap<Log, usize>,
}

enum Writer {
    Supervisor,
    Component { id: String, place: Place },
}

/// A log by its path and whether the date is put in, which give the names of all its files.
type Log = (PathBuf, bool);

impl Outputs {
    /// Nobody writes anything yet but the supervisor its own log.
    pub(super) fn beside(own_log: &Path) -> Self {
        Self {
            writers: vec![Writer::Supervisor],
            logs: HashMap::from([((normal(own_log), true), 0)]),
            lookalikes: HashMap::new(),
        }
    }

    /// Notes what a component writes, and tells if another one does already.
    pub(super) fn claim(
        &mut self,
        output: &Output,
        id: &str,
        is_instance: bool,
        place: Place,
        problems: &mut Problems,
    ) {
        let Output::File { log, stderr } = output else { return };
        let mut paths = vec![normal(&log.path)];
        if *stderr == Stderr::File {
            paths.push(stderr_path(log));
        }
        for (index, path) in paths.into_iter().enumerate() {
            let log = (path, log.dated);
            let owners = owners_of(&log);
            let same = self.logs.get(&log);
            let alike = || owners.iter().find_map(|owner| self.logs.get(owner));
            let Some(other) = same.or_else(alike).or_else(|| self.lookalikes.get(&log)) else {
                let writer = self.writers.len();
                self.writers.push(Writer::Component { id: id.to_owned(), place });
                self.logs.insert(log, writer);
                for owner in owners {
                    self.lookalikes.entry(owner).or_insert(writer);
                }
                continue;
            };
            let file = quoted(&log.0.display().to_string());
            let message = match &self.writers[*other] {
                // Then its id is the name of the own log, which has been told.
                Writer::Supervisor if index == 0 && same.is_some() => continue,
                Writer::Supervisor => {
                    format!("the output goes to {file}, which is a name of the supervisor's own log")
                }
                Writer::Component { place: other, .. }
                    if is_instance && same.is_some() && *other == place =>
                {
                    "the output of several instances goes to one file: put SV::instance or SV::id into its name"
                        .into()
                }
                Writer::Component { id: other, place } => {
                    let first = problems.position(*place);
                    let how = if same.is_some() { "as does" } else { "which cannot be told from the files of" };
                    format!("the output goes to {file}, {how} that of {other} ({first})")
                }
            };
            problems.add(place, message);
        }
    }

    /// Tells if a component writes one of the files that the registry is made of.
    pub(super) fn check_files(&self, files: &[PathBuf], problems: &mut Problems) {
        for file in files {
            let file = (normal(file), false);
            let owners = owners_of(&file);
            let writer = std::iter::once(&file).chain(&owners).find_map(|log| self.logs.get(log));
            if let Some(Writer::Component { place, .. }) = writer.map(|writer| &self.writers[*writer]) {
                problems.add(*place, "the output goes to a file that the registry is read from");
            }
        }
    }
}

/// The other logs that would take the file of this one for theirs, by its name: `ps-2030-01-31.log.7` is taken by
/// `ps-2030-01-31.log` for one that was ended for its size, and by the dated `ps.log` for that of a day.
///
/// A file whose log puts the date in is nobody else's.
fn owners_of((path, is_dated): &Log) -> Vec<Log> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|_| !is_dated) else { return Vec::new() };
    let unpacked = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".gz.tmp")).unwrap_or(name);
    let unnumbered = without_number(unpacked);
    let days = [Some(name), Some(unpacked), unnumbered].into_iter().flatten().filter_map(without_date);
    let dated = days.map(|name| (path.with_file_name(name), true));
    unnumbered.map(|name| (path.with_file_name(name), false)).into_iter().chain(dated).collect()
}

/// `ps.log.7` -> `ps.log`
fn without_number(name: &str) -> Option<&str> {
    let (name, number) = name.rsplit_once('.')?;
    let is_number =
        matches!(number.as_bytes(), [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit));
    (is_number && !name.is_empty()).then_some(name)
}

/// `ps-2030-01-31.log` -> `ps.log`
fn without_date(name: &str) -> Option<String> {
    const FORM: &[u8] = b"-dddd-dd-dd";
    let path = Path::new(name);
    let stem = path.file_stem()?.to_str()?;
    let (stem, date) = stem.split_at_checked(stem.len().checked_sub(FORM.len())?)?;
    let fits = |(byte, form): (u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == *form };
    let is_date = date.bytes().zip(FORM).all(fits);
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    let suffix = suffix.map_or(String::new(), |suffix| format!(".{suffix}"));
    (is_date && !stem.is_empty()).then(|| format!("{stem}{suffix}"))
}

/// Where standard error goes if it has a file of its own.
fn stderr_path(log: &LogSettings) -> PathBuf {
    let mut name = log.path.file_stem().unwrap_or_default().to_owned();
    name.push("-stderr");
    if let Some(suffix) = log.path.extension() {
        name.push(".");
        name.push(suffix);
    }
    normal(&log.path.with_file_name(name))
}

/// The path without `.` and `..`, as far as that can be known without looking at links.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_by_the_logs_that_would_give_it_its_name() {
        let owners = |name: &str| {
            let owners = owners_of(&(Path::new("/l").join(name), false));
            let mut owners: Vec<_> =
                owners.into_iter().map(|(path, dated)| format!("{} {dated}", path.display())).collect();
            owners.dedup();
            owners
        };
        for (name, expected) in [
            ("ps.log", &[][..]),
            ("ps.log.gz", &[]),
            ("ps.log.07", &[]),
            ("-2030-01-31.log", &[]),
            ("ps.2030-01-31.log", &[]),
            ("ps.log.7", &["/l/ps.log false"]),
            ("ps.log.7.gz.tmp", &["/l/ps.log false"]),
            ("ps-2030-01-31.log", &["/l/ps.log true"]),
            ("ps-2030-01-31", &["/l/ps true"]),
            ("ps-2030-01-31.log.gz", &["/l/ps.log true"]),
            ("ps-2030-01-31.log.7", &["/l/ps-2030-01-31.log false", "/l/ps.log true"]),
        ] {
            assert_eq!(owners(name), expected, "{name}");
        }
    }
}

//! Which component writes which files: two that wrote the same would spoil it for each other, and so would one whose
//! file the other takes for an old one of its own, to be removed in time.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::problem::{Place, Problems, quoted};
use crate::output;
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
            paths.push(normal(&log.for_stderr().path));
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

/// The other logs that would take the file of this one for theirs. A file whose log puts the date in is nobody else's.
fn owners_of((path, is_dated): &Log) -> Vec<Log> {
    if *is_dated { Vec::new() } else { output::owners(path) }
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

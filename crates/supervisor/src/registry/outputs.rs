//! Which component writes which file: two that wrote the same would spoil it for each other.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::problem::{Place, Problems, quoted};
use crate::output::LogSettings;
use crate::spec::{Output, Stderr};

/// The files that are written, and by whom.
pub(super) struct Outputs {
    /// By path and whether the date is put in.
    writers: HashMap<(PathBuf, bool), Writer>,
}

enum Writer {
    Supervisor,
    Component { id: String, place: Place },
}

impl Outputs {
    /// Nobody writes anything yet but the supervisor its own log.
    pub(super) fn beside(own_log: &Path) -> Self {
        Self { writers: HashMap::from([((normal(own_log), true), Writer::Supervisor)]) }
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
            let Some(other) = self.writers.get(&(path.clone(), log.dated)) else {
                let writer = Writer::Component { id: id.to_owned(), place };
                self.writers.insert((path, log.dated), writer);
                continue;
            };
            let file = quoted(&path.display().to_string());
            let message = match other {
                // Then its id is the name of the own log, which has been told.
                Writer::Supervisor if index == 0 => continue,
                Writer::Supervisor => format!("the output goes to {file}, which is the supervisor's own log"),
                Writer::Component { place: other, .. } if is_instance && *other == place => {
                    "the output of several instances goes to one file: put SV::instance or SV::id into its name"
                        .into()
                }
                Writer::Component { id: other, place } => {
                    let first = problems.position(*place);
                    format!("the output goes to {file}, as does that of {other} ({first})")
                }
            };
            problems.add(place, message);
        }
    }
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

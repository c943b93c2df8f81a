//! Where the output of evidence commands is kept: `evidence/` in the folder for state, a file for each.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{Local, NaiveDateTime};

use crate::os::{Folder, words};
use crate::spec::ComponentId;

/// How many files of one component are kept.
const KEPT: usize = 10;

const FOLDER: &str = "evidence";

/// What a piece of evidence is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) id: ComponentId,
    /// The number of the run.
    pub(super) run: u64,
    /// The how manieth step, beginning with 1.
    pub(super) step: usize,
}

/// Stores a piece of evidence below `state`, and removes the oldest of that component beyond ten. Gives the path.
///
/// # Errors
/// What could not be done, to which file, and why.
pub(super) fn store(state: &Arc<Path>, subject: &Subject, text: &[u8]) -> Result<PathBuf, String> {
    let path = state.join(FOLDER);
    let cannot = |what: &str, path: &Path, error: &io::Error| {
        format!("cannot {what} {}: {}", path.display(), words(error))
    };
    let folder =
        Folder::open_private(state, FOLDER).map_err(|error| cannot("open the folder", &path, &error))?;
    let name = subject.name(Local::now().naive_local());
    let file = path.join(&name);
    // A link that somebody has planted is not followed, and what is there already is left alone.
    let written = folder.create_private(name.as_ref()).and_then(|mut file| file.write_all(text));
    written.map_err(|error| cannot("write", &file, &error))?;
    // What cannot be removed now is tried again with the next.
    let _ = remove_oldest(&folder, &subject.id);
    Ok(file)
}

fn remove_oldest(folder: &Folder, id: &ComponentId) -> io::Result<()> {
    let names = folder.names()?.into_iter().filter_map(|name| name.into_string().ok());
    let mut dated: Vec<_> = names.filter_map(|name| Some((age(id, &name)?, name))).collect();
    dated.sort_unstable();
    let excess = dated.len().saturating_sub(KEPT);
    dated.iter().take(excess).try_for_each(|(_, name)| folder.remove(name.as_ref()))
}

impl Subject {
    fn name(&self, time: NaiveDateTime) -> String {
        format!("{}-run{}-{}-{}.txt", self.id, self.run, self.step, time.format("%Y%m%d-%H%M%S"))
    }
}

/// By what the files of a component are sorted, the oldest first: time, run and step. `None` for any other file.
fn age(id: &ComponentId, name: &str) -> Option<(String, u64, usize)> {
    let rest = name.strip_prefix(id.as_str())?.strip_prefix("-run")?.strip_suffix(".txt")?;
    let (run, rest) = rest.split_once('-')?;
    let (step, time) = rest.split_once('-')?;
    let run = run.parse().ok()?;
    let step = step.parse().ok()?;
    NaiveDateTime::parse_from_str(time, "%Y%m%d-%H%M%S").ok()?;
    Some((time.to_owned(), run, step))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn subject(run: u64) -> Subject {
        Subject { id: ComponentId::new("ps").unwrap(), run, step: 1 }
    }

    #[test]
    fn evidence_is_stored_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state: Arc<Path> = folder.path().join("state").into();
        let path = store(&state, &subject(3), b"threads").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"threads");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap()), mode(&state)), (0o600, 0o700, 0o700));
        assert!(age(&subject(3).id, path.file_name().unwrap().to_str().unwrap()).is_some());
    }

    #[test]
    fn the_oldest_of_that_component_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let state: Arc<Path> = folder.path().into();
        let evidence = folder.path().join("evidence");
        fs::create_dir(&evidence).unwrap();
        // By their time, not by their names.
        for run in 0..KEPT {
            fs::write(evidence.join(format!("ps-run{}-1-202001{:02}-120000.txt", 99 - run, run + 1)), "")
                .unwrap();
        }
        let strangers = ["ps-2-run1-1-20200101-120000.txt", "ps-run1-1-20200101.txt", "ps.txt"];
        for name in strangers {
            fs::write(evidence.join(name), "").unwrap();
        }
        let newest = store(&state, &subject(1), b"").unwrap();
        assert!(newest.exists());
        let oldest = evidence.join("ps-run99-1-20200101-120000.txt");
        assert!(!oldest.exists());
        let names: Vec<_> =
            fs::read_dir(&evidence).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(strangers.iter().all(|name| names.iter().any(|its| its == name)), "{names:?}");
        assert_eq!(names.len(), KEPT + strangers.len());
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let state: Arc<Path> = folder.path().join("state").into();
        fs::create_dir(&state).unwrap();
        symlink(&elsewhere, state.join("evidence")).unwrap();
        let error = store(&state, &subject(1), b"x").unwrap_err();
        assert!(error.starts_with("cannot open the folder ") && error.contains("evidence"), "{error}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}

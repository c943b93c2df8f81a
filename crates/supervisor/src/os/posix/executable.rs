//! Which file a bare name means.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::{Clues, variable};
use crate::error::{SpawnError, SpawnStep};
use crate::os::Launch;

/// Where programs are looked for when the component's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Whether a program has a bare name: a path stays as it is.
pub(super) fn is_bare(program: &OsStr) -> bool {
    !program.as_bytes().contains(&b'/')
}

/// Where a bare name is looked for: the component's own `PATH`.
pub(super) fn path<'a>(launch: &Launch<'a>) -> &'a OsStr {
    variable(launch, "PATH").unwrap_or(OsStr::new(DEFAULT_PATH))
}

/// The paths to try, one after the other, as they are seen from the working directory.
///
/// No file is looked at: the child tries them all, with the rights of the component, and nobody else waits for a file
/// system that is slow.
pub(super) fn candidates(program: &OsStr, path: &OsStr) -> Vec<PathBuf> {
    if !is_bare(program) {
        return vec![program.into()];
    }
    // An empty entry means the working directory.
    let folder =
        |folder: &[u8]| PathBuf::from(OsStr::from_bytes(if folder.is_empty() { b"." } else { folder }));
    path.as_bytes().split(|byte| *byte == b':').map(|entry| folder(entry).join(program)).collect()
}

/// The path that failed, after it has: of a bare name the first that can be executed, or else the first that is a file, for
/// which the system's own refusal says why it cannot be executed.
pub(super) fn find(clues: &Clues) -> Result<PathBuf, SpawnError> {
    let Clues { program, path, .. } = clues;
    let mut candidates = candidates(program, path);
    if !is_bare(program) {
        return Ok(candidates.swap_remove(0));
    }
    candidates.retain(|candidate| seen_from_here(clues, candidate).is_file());
    let is_executable =
        |candidate: &PathBuf| rustix::fs::access(seen_from_here(clues, candidate), Access::EXEC_OK).is_ok();
    let place = candidates.iter().position(is_executable).unwrap_or(0);
    if place < candidates.len() {
        return Ok(candidates.swap_remove(place));
    }
    let reason = format!("{}: no such program in PATH ({})", program.display(), path.display());
    let os_error = Some(rustix::io::Errno::NOENT.raw_os_error());
    Err(SpawnError { step: SpawnStep::Executable, reason, os_error })
}

/// The same file, as this process has to name it.
pub(super) fn seen_from_here(clues: &Clues, path: &Path) -> PathBuf {
    clues.spec.working_directory.as_deref().unwrap_or(Path::new("")).join(path)
}

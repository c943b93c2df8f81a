//! Which file a bare name means.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::variable;
use crate::error::{SpawnError, SpawnStep};
use crate::os::Launch;

/// Where programs are looked for when the component's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Whether the program has a bare name: a path stays as it is.
pub(super) fn is_looked_for(launch: &Launch<'_>) -> bool {
    !launch.program().as_bytes().contains(&b'/')
}

/// The paths to try, one after the other, as they are seen from the working directory. A bare name is looked for in the
/// component's own `PATH`.
///
/// No file is looked at: the child tries them all, with the rights of the component, and nobody else waits for a file
/// system that is slow.
pub(super) fn candidates(launch: &Launch<'_>) -> Vec<PathBuf> {
    let name = launch.program();
    if !is_looked_for(launch) {
        return vec![name.into()];
    }
    let folders = path(launch).as_bytes().split(|byte| *byte == b':');
    // An empty entry means the working directory.
    let folder = |folder: &'_ [u8]| {
        Path::new(OsStr::from_bytes(if folder.is_empty() { b"." } else { folder })).join(name)
    };
    folders.map(folder).collect()
}

/// The path that failed, after it has: of a bare name the first that can be executed, or else the first that is a file, for
/// which the system's own refusal says why it cannot be executed.
pub(super) fn find(launch: &Launch<'_>) -> Result<PathBuf, SpawnError> {
    let name = launch.program();
    let mut candidates = candidates(launch);
    if !is_looked_for(launch) {
        return Ok(candidates.swap_remove(0));
    }
    candidates.retain(|candidate| seen_from_here(launch, candidate).is_file());
    let is_executable =
        |candidate: &PathBuf| rustix::fs::access(seen_from_here(launch, candidate), Access::EXEC_OK).is_ok();
    let place = candidates.iter().position(is_executable).unwrap_or(0);
    if place < candidates.len() {
        return Ok(candidates.swap_remove(place));
    }
    let reason = format!("{}: no such program in PATH ({})", name.display(), path(launch).display());
    let os_error = Some(rustix::io::Errno::NOENT.raw_os_error());
    Err(SpawnError { step: SpawnStep::Executable, reason, os_error })
}

fn path<'a>(launch: &Launch<'a>) -> &'a OsStr {
    variable(launch, "PATH").unwrap_or(OsStr::new(DEFAULT_PATH))
}

/// The same file, as this process has to name it.
pub(super) fn seen_from_here(launch: &Launch<'_>, path: &Path) -> PathBuf {
    launch.spec.working_directory.as_deref().unwrap_or(Path::new("")).join(path)
}

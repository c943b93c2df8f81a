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

/// The path to execute, as it is seen from the working directory.
///
/// A path stays as it is. A bare name is looked up in the component's own `PATH`: here rather than by the standard
/// library, which would leave `posix_spawn` for it and could not say what was wrong.
pub(super) fn find(launch: &Launch<'_>) -> Result<PathBuf, SpawnError> {
    let name = launch.program();
    let failed = |reason, os_error| Err(SpawnError { step: SpawnStep::Executable, reason, os_error });
    if name.is_empty() {
        return failed("the name of the executable is empty".to_owned(), None);
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(name.into());
    }
    let path = variable(launch, "PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut unusable = None;
    for folder in path.as_bytes().split(|byte| *byte == b':') {
        // An empty entry means the working directory.
        let folder = if folder.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(folder)) };
        let candidate = folder.join(name);
        let seen_from_here = seen_from_here(launch, &candidate);
        if !seen_from_here.is_file() {
            continue;
        }
        if rustix::fs::access(&seen_from_here, Access::EXEC_OK).is_ok() {
            return Ok(candidate);
        }
        unusable.get_or_insert(candidate);
    }
    match unusable {
        // The system's own refusal says why it cannot be executed.
        Some(candidate) => Ok(candidate),
        None => failed(
            format!("{}: no such program in PATH ({})", name.display(), path.display()),
            Some(rustix::io::Errno::NOENT.raw_os_error()),
        ),
    }
}

/// The same file, as this process has to name it.
pub(super) fn seen_from_here(launch: &Launch<'_>, path: &Path) -> PathBuf {
    launch.spec.working_directory.as_deref().unwrap_or(Path::new("")).join(path)
}

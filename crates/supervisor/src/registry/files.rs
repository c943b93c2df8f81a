//! Reading files: bounded, only regular ones, and for root only what nobody else could have written.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::outline::outline;
use super::problem::{FileId, Place, Problems, Span};

/// How large a file may be.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// How large all files of a registry may be together.
const MAX_ALL_FILES: u64 = 64 * 1024 * 1024;
/// How many files a registry may have.
const MAX_FILES: usize = 1_000;

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    Everything,
    /// Its outline: not what stands in the elements of `<servers>` and `<profiles>`.
    WithoutComponents,
}

/// The files that a registry is made of.
pub(super) struct Files {
    check_ownership: bool,
    /// What is read of each.
    scope: Scope,
    /// By their paths without links, so that none counts twice.
    seen: HashSet<PathBuf>,
    /// Absolute, in the order in which they were read.
    read: Vec<PathBuf>,
    bytes: u64,
}

impl Files {
    pub(super) fn new(check_ownership: bool, scope: Scope) -> Self {
        Self { check_ownership, scope, seen: HashSet::new(), read: Vec::new(), bytes: 0 }
    }

    /// All files that were read.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.read.clone()
    }

    /// Whether this is the first time that somebody asks for this file, by whatever path.
    pub(super) fn is_new(&mut self, path: &Path) -> bool {
        self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }

    /// Reads a file and makes it known to the problems.
    ///
    /// # Errors
    /// Why it cannot be read, as the end of a sentence.
    pub(super) fn read(&mut self, path: &Path, problems: &mut Problems) -> Result<FileId, String> {
        if self.read.len() >= MAX_FILES {
            return Err(format!("the registry has more than {MAX_FILES} files"));
        }
        let bytes = self.read_bytes(path)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > MAX_ALL_FILES {
            return Err("all files of the registry together are larger than 64 MiB".into());
        }
        self.read.push(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        if matches!(bytes[..], [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) {
            return Err("it seems to be UTF-16: save it as UTF-8".into());
        }
        Ok(match self.scope {
            Scope::Everything => decode(path, &bytes, problems),
            Scope::WithoutComponents => decode(path, &outline(&bytes), problems),
        })
    }

    fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, String> {
        // Where a folder cannot be opened as a file, that must not be told as a want of permission.
        let refused = |error| if path.is_dir() { "it is a folder".to_owned() } else { reason(&error) };
        let file = open(path).map_err(refused)?;
        let metadata = file.metadata().map_err(|error| reason(&error))?;
        if metadata.is_dir() {
            return Err("it is a folder".into());
        }
        if !metadata.is_file() {
            return Err("it is not a regular file".into());
        }
        if self.check_ownership {
            ownership::check(path, &metadata)?;
        }
        if metadata.len() > MAX_FILE {
            return Err("it is larger than 16 MiB".into());
        }
        let mut bytes = Vec::new();
        // It may grow meanwhile: what counts is what is read.
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err("it is larger than 16 MiB".into());
        }
        Ok(bytes)
    }
}

/// Opens a file without waiting: a FIFO in its place would otherwise hang us for ever.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

/// Makes the text of a file known. A byte-order mark is no part of it.
pub(super) fn decode(path: &Path, bytes: &[u8], problems: &mut Problems) -> FileId {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => problems.add_file(path, Rc::from(text)),
        Err(error) => {
            // Up to the first byte that is wrong, the offsets in both are the same.
            let at = error.valid_up_to();
            let byte = bytes.get(at).copied().unwrap_or_default();
            let file = problems.add_file(path, Rc::from(&*String::from_utf8_lossy(bytes)));
            let message = format!("the byte 0x{byte:02X} is not UTF-8: save the file as UTF-8");
            problems.add(Place { file, span: Span::new(at, at + 3) }, message);
            problems.set_incomplete();
            file
        }
    }
}

/// Why something could not be done, without the number that nobody knows by heart.
pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}

/// Whether a process with these rights does whatever is written in its files: then nobody else may write them.
pub(super) fn is_root() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    return false;
}

#[cfg(unix)]
mod ownership {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    /// Checks that only root could have written the file, or put another in its place.
    pub(super) fn check(path: &Path, file: &Metadata) -> Result<(), String> {
        if is_writable_by_others(file) {
            return Err(refusal("it"));
        }
        let real = path.canonicalize().map_err(|error| super::reason(&error))?;
        // Where the path is a link, whoever may change the link may change what is read.
        for path in [path, &real] {
            let folder = match path.parent() {
                Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                Some(parent) => parent,
                None => Path::new("/"),
            };
            let metadata = folder.metadata().map_err(|error| super::reason(&error))?;
            if is_writable_by_others(&metadata) {
                return Err(refusal(&format!("its folder {}", folder.display())));
            }
        }
        Ok(())
    }

    fn is_writable_by_others(metadata: &Metadata) -> bool {
        const GROUP_AND_OTHERS: u32 = 0o022;
        metadata.uid() != 0 || metadata.mode() & GROUP_AND_OTHERS != 0
    }

    fn refusal(what: &str) -> String {
        format!(
            "{what} can be written by others than root, and what is in it runs as root; \
             let it belong to root (chown root) and take the right to write away (chmod go-w)"
        )
    }
}

#[cfg(not(unix))]
mod ownership {
    use std::fs::Metadata;
    use std::path::Path;

    /// Elsewhere nobody is root.
    pub(super) fn check(_path: &Path, _file: &Metadata) -> Result<(), String> {
        Ok(())
    }
}

//! A folder by its path, which is held so that it keeps meaning the same folder.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_LIST_DIRECTORY, FILE_SHARE_READ,
    FILE_SHARE_WRITE,
};

use super::{FileId, id_at, id_of};

/// An open folder. While it is open, nobody can remove or rename it; no link in it is followed. Who may read its files is what it
/// passes on to them.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    held: File,
}

impl Folder {
    /// Opens the folder of this path.
    ///
    /// # Errors
    /// There is none, or it may not be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let held = File::options()
            .access_mode(FILE_LIST_DIRECTORY)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?;
        if !held.metadata()?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(Self { path: std::path::absolute(path)?, held })
    }

    /// The same once more.
    ///
    /// # Errors
    /// The process has no handles left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { path: self.path.clone(), held: self.held.try_clone()? })
    }

    /// Opens the file `name` for appending and reading, and makes it if it is not there.
    pub(crate) fn open_private(&self, name: &str) -> io::Result<File> {
        // Not `append`, which would not let us cut off what is torn: whoever writes is alone, and goes to the end first.
        self.open_with(File::options().read(true).write(true).create(true).truncate(false), name)
    }

    /// Opens the file `name` for reading; `None`: there is none.
    pub(crate) fn open_to_read(&self, name: &str) -> io::Result<Option<(File, FileId)>> {
        match self.open_with(File::options().read(true), name) {
            Ok(file) => {
                let id = id_of(&file)?;
                Ok(Some((file, id)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the name means this file.
    pub(crate) fn has(&self, name: &str, file: &File) -> bool {
        matches!((id_of(file), id_at(&self.path.join(name))), (Ok(ours), Ok(there)) if ours == there)
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn open_with(&self, options: &mut OpenOptions, name: &str) -> io::Result<File> {
        let file = options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(self.path.join(name))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{name} is no file")));
        }
        Ok(file)
    }
}

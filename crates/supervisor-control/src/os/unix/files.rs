//! By what a file is known whatever its name, and how it is read at a place.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// By what a file is known among those of its folder.
pub(crate) type FileId = u64;

/// That of an open file.
pub(crate) fn id_of(file: &File) -> io::Result<FileId> {
    Ok(file.metadata()?.ino())
}

/// That of the file which is called so now, following no link.
pub(crate) fn id_at(path: &Path) -> io::Result<FileId> {
    Ok(path.symlink_metadata()?.ino())
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(buffer, offset)
}

//! By what a file is known whatever its name, and how it is read at a place.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Whether this is the file that is called so now.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let (ours, there) = (file.metadata().ok(), std::fs::symlink_metadata(path).ok());
    ours.zip(there).is_some_and(|(ours, there)| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

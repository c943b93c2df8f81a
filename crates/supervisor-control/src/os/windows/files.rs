//! By what a file is known whatever its name, and how it is read at a place.
#![expect(unsafe_code, reason = "no safe library tells the number of an open file")]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_OPEN_REPARSE_POINT, GetFileInformationByHandle,
};

/// By what a file is known among those of its folder.
pub(crate) type FileId = u64;

/// That of an open file.
pub(crate) fn id_of(file: &File) -> io::Result<FileId> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is that of an open file, and it writes into the structure that it is given.
    let succeeded = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) };
    if succeeded == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(found.nFileIndexHigh) << 32 | u64::from(found.nFileIndexLow))
}

/// That of the file which is called so now, following no link.
pub(crate) fn id_at(path: &Path) -> io::Result<FileId> {
    // No access at all: who has it open for whatever purpose is not in the way.
    let file = File::options().access_mode(0).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)?;
    id_of(&file)
}

/// How far the file was read otherwise is not kept: whoever reads at a place does nothing else.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                buffer = &mut buffer[length..];
                offset += length as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

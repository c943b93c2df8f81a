//! By what a file is known whatever its name, and how it is read at a place.
#![expect(unsafe_code, reason = "no safe library tells the number of an open file")]

use std::fs::File;
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_OPEN_REPARSE_POINT, GetFileInformationByHandle,
};

/// Whether this is the file that is called so now.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    // No access at all: who has it open for whatever purpose is not in the way.
    let there = File::options().access_mode(0).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path);
    let there = there.and_then(|there| identity(&there));
    matches!((identity(file), there), (Ok(ours), Ok(there)) if ours == there)
}

/// How far the file was read otherwise is not kept: whoever reads at a place does nothing else.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

/// The volume and the number of the file there.
fn identity(file: &File) -> io::Result<(u32, u32, u32)> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is that of an open file, and it writes into the structure that it is given.
    let succeeded = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) };
    if succeeded == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((found.dwVolumeSerialNumber, found.nFileIndexHigh, found.nFileIndexLow))
}

//! What is done with open files, and what is known of them.

use std::fs::{File, Metadata};
use std::io;
use std::mem;
use std::os::windows::fs::FileExt;
use std::os::windows::io::{AsHandle, AsRawHandle};

use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Threading::{
    GetCurrentThread, SetThreadPriority, THREAD_MODE_BACKGROUND_BEGIN,
};

use super::WriteEnd;
use super::handle::done;

/// Fills the buffer with what is in the file from there on.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.seek_read(&mut buffer[filled..], from + filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => filled += more,
        }
    }
    Ok(())
}

/// Appends to a file, wherever that ends by now, and says how much that was.
pub(crate) fn append(file: &File, part: &[u8]) -> io::Result<usize> {
    // SAFETY: a struct of numbers and pointers, for which zeros are a value.
    let mut at_its_end: OVERLAPPED = unsafe { mem::zeroed() };
    at_its_end.Anonymous.Anonymous.Offset = u32::MAX;
    at_its_end.Anonymous.Anonymous.OffsetHigh = u32::MAX;
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    let mut written = 0;
    // SAFETY: so many bytes are read, and the call returns when they are.
    done(unsafe {
        WriteFile(file.as_raw_handle(), part.as_ptr(), length, &raw mut written, &raw mut at_its_end)
    })?;
    Ok(written as usize)
}

/// Nothing need be done for that: see [`append`].
pub(crate) fn set_appending(_file: &File, _is_appending: bool) -> io::Result<()> {
    Ok(())
}

/// Whether two looks at a name have seen the same file.
pub(crate) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.created().ok() == other.created().ok()
}

/// What a file takes of the disk, in bytes: about its length.
pub(crate) fn size_on_disk(file: &Metadata) -> u64 {
    file.len()
}

/// Where that can be written to which nobody wants to know.
pub(crate) fn nowhere() -> io::Result<WriteEnd> {
    Ok(File::options().read(true).write(true).open("NUL")?.into())
}

/// Our own standard output and standard error.
pub(crate) fn our_output() -> io::Result<(WriteEnd, WriteEnd)> {
    Ok((io::stdout().as_handle().try_clone_to_owned()?, io::stderr().as_handle().try_clone_to_owned()?))
}

/// Lets the calling thread run, and use the disk, only when nothing else wants to. What cannot be had is done without.
pub(crate) fn lower_this_thread() {
    // SAFETY: of this thread a number is set.
    unsafe { SetThreadPriority(GetCurrentThread(), THREAD_MODE_BACKGROUND_BEGIN) };
}

/// Windows has no such wish.
pub(crate) fn give_way() {}

//! What is done with open files, and what is known of them.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::time::{ClockId, clock_gettime};

use super::WriteEnd;

/// Fills the buffer with what is in the file from there on.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<()> {
    file.read_exact_at(buffer, from)
}

/// Appends to a file that [is appended to](set_appending), and says how much that was.
pub(crate) fn append(mut file: &File, part: &[u8]) -> io::Result<usize> {
    file.write(part)
}

/// Whether writing to a file appends. A pipe cannot be moved into one that is open so.
pub(crate) fn set_appending(file: &File, is_appending: bool) -> io::Result<()> {
    let flags = fcntl_getfl(file)?;
    let flags = if is_appending { flags | OFlags::APPEND } else { flags - OFlags::APPEND };
    Ok(fcntl_setfl(file, flags)?)
}

/// Whether two looks at a name have seen the same file.
pub(crate) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.ino() == other.ino()
}

/// What a file takes of the disk, in bytes.
pub(crate) fn size_on_disk(file: &Metadata) -> u64 {
    file.blocks() * 512
}

/// Where that can be written to which nobody wants to know.
pub(crate) fn nowhere() -> io::Result<WriteEnd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

/// Our own standard output and standard error.
pub(crate) fn our_output() -> io::Result<(WriteEnd, WriteEnd)> {
    Ok((io::stdout().as_fd().try_clone_to_owned()?, io::stderr().as_fd().try_clone_to_owned()?))
}

/// The time since the machine began, without that in which it slept.
pub(crate) fn monotonic() -> Duration {
    // It does not begin before zero.
    clock_gettime(ClockId::Monotonic).try_into().unwrap_or_default()
}

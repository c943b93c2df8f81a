//! How this process becomes another program, and what that finds open.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Becomes another program: with these arguments and this environment, and with the signals that this thread defers still
/// deferred, which the standard library would not leave so. Returns only if that cannot be done: why.
pub(crate) fn become_program(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: all three are as it expects them: a text, and arrays of texts that end with nothing. They outlive the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// The descriptor of this number, which is to be nobody else's: one that another program has left to us.
pub(crate) fn adopt_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it only asks whether there is such a descriptor.
    if number <= 2 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: it is open, and was before anything in this program opened one: nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

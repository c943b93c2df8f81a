//! What is common to all handles.

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{CreateEventW, WaitForSingleObject};

/// Takes a handle that a call has just given, or says why there is none.
///
/// # Safety
/// The handle is nobody else's, unless it is null or invalid.
pub(super) unsafe fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller says so.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Whether a call has worked that says so by a number.
pub(super) fn done(answer: i32) -> io::Result<()> {
    if answer == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether this handle is signalled, or is within so many milliseconds.
pub(super) fn is_signalled(handle: BorrowedHandle<'_>, milliseconds: u32) -> bool {
    // SAFETY: the handle is open.
    unsafe { WaitForSingleObject(handle.as_raw_handle(), milliseconds) == WAIT_OBJECT_0 }
}

/// An event that is not signalled, and is no longer once somebody has waited for it.
pub(super) fn bell() -> io::Result<OwnedHandle> {
    // SAFETY: no pointer is given; the handle is new.
    unsafe { owned(CreateEventW(ptr::null(), 0, 0, ptr::null())) }
}

/// Text as the system takes it.
pub(super) fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

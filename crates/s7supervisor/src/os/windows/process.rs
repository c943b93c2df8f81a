//! Another process, held so that its pid cannot come to mean a third.
#![expect(unsafe_code, reason = "no safe library holds a process that is not a child")]

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle, RawHandle};
use std::time::Duration;

use windows_sys::Win32::Foundation::{FILETIME, WAIT_FAILED, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, INFINITE, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    WaitForMultipleObjects,
};

/// A process that lived when this was made.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    handle: OwnedHandle,
}

impl Process {
    /// The process that has this pid now.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        // SAFETY: it takes numbers.
        let handle = unsafe { OpenProcess(PROCESS_SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was opened just now, and is nobody else's.
        Ok(Self { pid, handle: unsafe { OwnedHandle::from_raw_handle(handle) } })
    }

    /// When it began, on the system's clock: no two processes have the same pid and began at the same time.
    pub(crate) fn began(&self) -> io::Result<u64> {
        let [mut began, mut ended, mut kernel, mut user] = [FILETIME::default(); 4];
        // SAFETY: the handle is that of a process, and it writes into the four structures that it is given.
        let succeeded = unsafe {
            GetProcessTimes(
                self.handle.as_raw_handle(),
                &raw mut began,
                &raw mut ended,
                &raw mut kernel,
                &raw mut user,
            )
        };
        if succeeded == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(u64::from(began.dwHighDateTime) << 32 | u64::from(began.dwLowDateTime))
    }

    /// Waits for its end; `false` if it has not come in time.
    pub(crate) fn is_gone(&self, limit: Option<Duration>) -> io::Result<bool> {
        Ok(wait_for_any(&[self.handle.as_raw_handle()], limit)?.is_some())
    }

    pub(super) fn handle(&self) -> RawHandle {
        self.handle.as_raw_handle()
    }
}

/// Waits until one of these is signalled: the first that is, `None` if none is within `limit`.
pub(super) fn wait_for_any(handles: &[RawHandle], limit: Option<Duration>) -> io::Result<Option<usize>> {
    // What is too far away for the system's clock is as good as never; rounded up, so that nothing is waited for in vain.
    let milliseconds = limit.map(|limit| limit.as_nanos().div_ceil(1_000_000));
    let milliseconds = milliseconds.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(INFINITE);
    let count = u32::try_from(handles.len()).map_err(io::Error::other)?;
    // SAFETY: the handles are an array of that length.
    let woken = unsafe { WaitForMultipleObjects(count, handles.as_ptr(), 0, milliseconds) };
    match woken {
        WAIT_TIMEOUT => Ok(None),
        WAIT_FAILED => Err(io::Error::last_os_error()),
        woken => Ok(usize::try_from(woken).ok().filter(|woken| *woken < handles.len())),
    }
}

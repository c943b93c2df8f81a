//! The event by which a supervisor on Windows asks what it has started to stop: its name stands in the environment.
#![expect(unsafe_code, reason = "no safe library waits for an event with a name")]

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::System::Threading::{OpenEventW, SYNCHRONIZATION_SYNCHRONIZE};

use super::process::wait_for_any;
use super::wide;

/// Where the name stands.
const VARIABLE: &str = "S7_STOP_EVENT";

/// The event of this process.
pub(crate) struct StopEvent(OwnedHandle);

impl StopEvent {
    /// `None`: no supervisor has started this process, or none that would ask so.
    pub(crate) fn find() -> Option<Self> {
        let name = wide(&std::env::var_os(VARIABLE)?);
        // SAFETY: the name is a text with its end.
        let handle = unsafe { OpenEventW(SYNCHRONIZATION_SYNCHRONIZE, 0, name.as_ptr()) };
        // SAFETY: it was opened just now, and is nobody else's.
        (!handle.is_null()).then(|| Self(unsafe { OwnedHandle::from_raw_handle(handle) }))
    }

    /// Waits until it is asked to stop.
    pub(crate) fn wait(&self) -> io::Result<()> {
        wait_for_any(&[self.0.as_raw_handle()], None).map(drop)
    }
}

//! How a run is asked to stop, where there are no signals. Each of the ways is tried, because nobody knows which of them a program
//! knows:
//!
//! - an event, whose name it finds in its environment;
//! - the end of its standard input (see `process`);
//! - Ctrl-Break, for programs of the console;
//! - `WM_CLOSE` to each of its windows.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, HWND, LPARAM, TRUE};
use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_BREAK_EVENT, FreeConsole, GenerateConsoleCtrlEvent, GetConsoleCP,
};
use windows_sys::Win32::System::Threading::{CreateEventW, SetEvent};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    EnumWindows, GetWindowThreadProcessId, PostMessageW, WM_CLOSE,
};

use super::handle::{owned, wide};
use super::security::{Rights, Sid};

/// The variable in which a run finds the name of the event by which it is asked to stop.
pub(super) const STOP_VARIABLE: &str = "S7_STOP_EVENT";

/// What the event of the run with this token is called. Nobody else can guess it.
pub(super) fn event_name(token: &str) -> String {
    let random = token.split('/').nth(1).unwrap_or(token);
    format!(r"Local\S7-stop-{random}")
}

/// The event of this name, which stays signalled once it is. The run may be that of another account, which must be able to wait for it.
///
/// # Errors
/// Also if it is there already: then somebody else could see that it is signalled, or signal it.
pub(super) fn make_event(name: &str, other: Option<&Sid>) -> io::Result<OwnedHandle> {
    let name = wide(name);
    let rights = other.map(Rights::to_wait).transpose()?;
    let attributes = rights.as_ref().map(Rights::attributes);
    let attributes = attributes.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the name ends with zero; the rights outlive the call; the handle is new.
    let event = unsafe { owned(CreateEventW(attributes, 1, 0, name.as_ptr())) }?;
    let error = io::Error::last_os_error();
    if error.raw_os_error() == i32::try_from(ERROR_ALREADY_EXISTS).ok() { Err(error) } else { Ok(event) }
}

/// Signals it.
pub(super) fn ring(event: BorrowedHandle<'_>) {
    // SAFETY: the handle is open.
    unsafe { SetEvent(event.as_raw_handle()) };
}

/// Whether we have a console, which what we start shares.
pub(super) fn has_console() -> bool {
    // SAFETY: reads a number, which is zero without one.
    unsafe { GetConsoleCP() != 0 }
}

/// Presses Ctrl-Break for the group of processes that this one leads. Without a console of our own, it has one that nobody sees; we
/// are in that for the moment that it takes.
pub(super) fn send_break(group: u32) {
    // SAFETY: numbers are passed. Who is in the group hears of it, and we are not.
    unsafe {
        if has_console() {
            GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, group);
        } else if AttachConsole(group) != 0 {
            GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, group);
            FreeConsole();
        }
    }
}

/// Asks each window of these processes to close.
pub(super) fn close_windows(pids: &[u32]) {
    // SAFETY: `close` gets what is passed on, and only until the call returns.
    unsafe { EnumWindows(Some(close), (&raw const pids) as LPARAM) };
}

unsafe extern "system" fn close(window: HWND, pids: LPARAM) -> i32 {
    // SAFETY: it is what `close_windows` has passed on.
    let pids = unsafe { *(pids as *const &[u32]) };
    let mut pid = 0;
    // SAFETY: the window may be gone, which is an error. The number is written.
    unsafe { GetWindowThreadProcessId(window, &raw mut pid) };
    if pids.contains(&pid) {
        // SAFETY: nothing is pointed to, and nobody is waited for.
        unsafe { PostMessageW(window, WM_CLOSE, 0, 0) };
    }
    TRUE
}

//! The event log: where administrators look first.
//!
//! A source needs a file with the texts of its messages. Windows has one in which the text is what is said, and nothing else:
//! that of `eventcreate`, for the numbers 1 to 1000.
#![expect(unsafe_code, reason = "no safe library that is kept up writes there")]

use std::io;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_SUCCESS};
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE,
    RegisterEventSourceW, ReportEventW,
};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_SET_VALUE, REG_DWORD, REG_EXPAND_SZ, REG_OPTION_NON_VOLATILE, RegCloseKey,
    RegCreateKeyExW, RegDeleteKeyW, RegSetValueExW,
};

use super::wide;

/// What is told, with the number by which it can be filtered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message {
    Started = 1,
    Stopped = 2,
    /// A component is in lasting trouble.
    Trouble = 10,
    /// The supervisor has ended otherwise than it was told to, or could not start.
    Failed = 20,
}

/// Where the file of messages and the kinds of messages of a source stand.
pub(crate) fn key(source: &str) -> String {
    format!(r"SYSTEM\CurrentControlSet\Services\EventLog\Application\{source}")
}

/// Makes the source known.
pub(crate) fn register(source: &str) -> io::Result<()> {
    let (path, mut key): (_, HKEY) = (wide(&key(source)), null_mut());
    // SAFETY: the path is a text with its end; it writes the key; what is null may be.
    let made = unsafe {
        RegCreateKeyExW(
            HKEY_LOCAL_MACHINE,
            path.as_ptr(),
            0,
            null(),
            REG_OPTION_NON_VOLATILE,
            KEY_SET_VALUE,
            null(),
            &raw mut key,
            null_mut(),
        )
    };
    succeeded(made)?;
    let file: Vec<u8> =
        wide(r"%SystemRoot%\System32\EventCreate.exe").iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let kinds = u32::from(EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE);
    let set = |name: &str, kind, value: &[u8]| {
        let (name, length) = (wide(name), u32::try_from(value.len()).unwrap_or_default());
        // SAFETY: the key is open, the name a text with its end, and the value has that length.
        succeeded(unsafe { RegSetValueExW(key, name.as_ptr(), 0, kind, value.as_ptr(), length) })
    };
    let done = set("EventMessageFile", REG_EXPAND_SZ, &file)
        .and_then(|()| set("TypesSupported", REG_DWORD, &kinds.to_le_bytes()));
    // SAFETY: it is open, and nobody uses it any more.
    unsafe { RegCloseKey(key) };
    done
}

/// Forgets the source.
pub(crate) fn forget(source: &str) -> io::Result<()> {
    let path = wide(&key(source));
    // SAFETY: the path is a text with its end.
    match unsafe { RegDeleteKeyW(HKEY_LOCAL_MACHINE, path.as_ptr()) } {
        ERROR_FILE_NOT_FOUND => Ok(()),
        deleted => succeeded(deleted),
    }
}

/// Tells it. Whether it was told is nobody's affair: it stands in the own log too.
pub(crate) fn tell(source: &str, message: Message, text: &str) {
    let kind = match message {
        Message::Started | Message::Stopped => EVENTLOG_INFORMATION_TYPE,
        Message::Trouble => EVENTLOG_WARNING_TYPE,
        Message::Failed => EVENTLOG_ERROR_TYPE,
    };
    let (source, text) = (wide(source), wide(&text.replace('\0', " ")));
    let texts = [text.as_ptr()];
    // SAFETY: the name and the one text have their ends and outlive the calls; the handle is closed once.
    unsafe {
        let log = RegisterEventSourceW(null(), source.as_ptr());
        if !log.is_null() {
            ReportEventW(log, kind, 0, message as u32, null_mut(), 1, 0, texts.as_ptr(), null());
            DeregisterEventSource(log);
        }
    }
}

fn succeeded(code: u32) -> io::Result<()> {
    match code {
        ERROR_SUCCESS => Ok(()),
        code => Err(io::Error::from_raw_os_error(i32::try_from(code).unwrap_or_default())),
    }
}

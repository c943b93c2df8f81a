//! What errors mean.

use std::io;

use windows_sys::Win32::Foundation::{
    ERROR_COMMITMENT_LIMIT, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_ENOUGH_QUOTA,
    ERROR_OUTOFMEMORY, ERROR_TOO_MANY_OPEN_FILES, ERROR_WORKING_SET_QUOTA,
};
use windows_sys::Win32::Networking::WinSock::{WSAEMFILE, WSAENOBUFS};

/// The system's words for an error, without its number and without a full stop.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.find(" (os error").map_or(text.as_str(), |end| &text[..end]);
    text.trim_end_matches('.').to_owned()
}

/// An error as the end of a sentence, with what to do where something is short.
pub(crate) fn in_words(error: &io::Error) -> String {
    let words = words(error);
    let mut letters = words.chars();
    let words: String =
        letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect());
    match error.raw_os_error().and_then(shortage) {
        Some(advice) => format!("{words} ({advice})"),
        None => words,
    }
}

/// Whether this error means that the system or the process has run short of something.
pub(crate) fn is_shortage(code: i32) -> bool {
    shortage(code).is_some()
}

/// The same of an error as it comes.
pub(crate) fn is_want(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(is_shortage)
}

fn shortage(code: i32) -> Option<&'static str> {
    if [WSAEMFILE, WSAENOBUFS].contains(&code) {
        return Some("the system has no room left for another connection");
    }
    match code.cast_unsigned() {
        ERROR_NOT_ENOUGH_MEMORY | ERROR_OUTOFMEMORY | ERROR_COMMITMENT_LIMIT => {
            Some("the system has no memory left for it")
        }
        ERROR_NO_SYSTEM_RESOURCES | ERROR_NOT_ENOUGH_QUOTA | ERROR_WORKING_SET_QUOTA => {
            Some("the system has no resources left for it, or a quota is used up")
        }
        ERROR_TOO_MANY_OPEN_FILES => Some("too many files are open"),
        _ => None,
    }
}

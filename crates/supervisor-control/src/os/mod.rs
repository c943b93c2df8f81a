//! What differs between operating systems: how connections come in, who is at their other end, and how files are known again.
//!
//! Both sides offer the same names: `Listener`, `Incoming`, `Stream`, `HangUp`, `Local` and `Accounts` to the server,
//! [`Folder`] to the journal, and to those who read logs what a file is known by, how it is read at a place, and `News` of what is written.

#[cfg(any(not(target_os = "linux"), s7_posix))]
mod news;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use self::unix::*;
#[cfg(unix)]
pub use self::unix::{Folder, LocalListener};

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use self::windows::*;
#[cfg(windows)]
pub use self::windows::{Folder, LocalListener};

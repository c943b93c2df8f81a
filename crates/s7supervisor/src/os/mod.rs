//! What differs between operating systems. Both sides offer the same names:
//!
//! - `lock`, `process`, `presence`, `temp_folder`: the place of the one supervisor, and who is there
//! - `door`: how it is reached from there
//! - `background`: how it gets there, and tells how its start goes
//! - `watch`: news of files; `files`: by what they are known
//! - and functions for what no safe library offers

#[cfg(any(not(target_os = "linux"), s7_posix))]
pub(crate) mod folders;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use self::unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use self::windows::*;

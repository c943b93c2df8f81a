//! Where there are local sockets, descriptors and inodes.

mod accounts;
mod files;
mod folder;
mod groups;
mod incoming;
mod local;
#[cfg(all(target_os = "linux", not(s7_posix)))]
mod news;
pub(crate) mod socket;
mod stream;

pub(crate) use self::accounts::Accounts;
pub(crate) use self::files::{FileId, id_at, id_of, read_at, read_exact_at};
pub use self::folder::Folder;
pub(crate) use self::incoming::Incoming;
pub use self::local::LocalListener;
pub(crate) use self::local::{Local, LocalChoices};
#[cfg(all(target_os = "linux", not(s7_posix)))]
pub(crate) use self::news::News;
pub(crate) use self::stream::{HangUp, Listener, Stream};
#[cfg(any(not(target_os = "linux"), s7_posix))]
pub(crate) use super::news::News;

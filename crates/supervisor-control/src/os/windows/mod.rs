//! Where there are no local sockets that say who is there, and files are known by a number of the volume.

mod files;
mod folder;
mod local;
mod stream;

pub(crate) use self::files::{FileId, id_at, id_of, read_at, read_exact_at};
pub use self::folder::Folder;
pub use self::local::LocalListener;
pub(crate) use self::local::{Accounts, Local, LocalChoices};
pub(crate) use self::stream::{HangUp, Incoming, Listener, Stream};
pub(crate) use super::news::News;

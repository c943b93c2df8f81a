//! Linux: processes are held by pidfds, everything else is read from `/proc`.

mod facts;
mod leftovers;
mod member;
mod memory;
mod notify_socket;
mod out_of_memory;
mod proc;
mod process;
mod spawn;
mod usage;

pub(crate) use facts::facts;
pub(crate) use leftovers::{Leftover, descendants, end_orphans, leftovers, reap_orphans};
pub(crate) use member::{may_speak_for_all, member, user_of};
pub(crate) use memory::memory;
pub(crate) use notify_socket::{NotifySocket, Sender};
pub(crate) use out_of_memory::OutOfMemory;
pub(crate) use process::{Process, destroy};
#[cfg(test)]
pub(super) use spawn::Road;
pub(super) use spawn::{Failure, Step};
pub(crate) use spawn::{Fledgling, LaunchPad, Spawned, spawn};
pub(crate) use usage::Meter;

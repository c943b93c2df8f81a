//! Linux: processes are held by pidfds, everything else is read from `/proc`.

mod adopted;
mod bearers;
mod cgroup;
mod descendants;
mod environment;
mod facts;
mod identity;
mod leftovers;
mod member;
mod memory;
mod notify_socket;
mod orphans;
mod out_of_memory;
mod pipes;
mod present;
mod proc;
mod process;
mod spawn;
mod tree;
mod usage;

pub(crate) use adopted::Fate;
pub(crate) use bearers::{Bearer, bearers, families};
pub(crate) use cgroup::{ControlGroup, ControlGroups, GroupFolder, Members, Population};
pub(crate) use descendants::descendants;
pub(crate) use facts::facts;
pub(crate) use identity::{Identity, Place};
#[cfg(test)]
pub(crate) use leftovers::leftovers;
pub(crate) use leftovers::{Leftover, leftovers_at_once, leftovers_by_token};
pub(crate) use member::{may_speak_for_all, member, user_of};
pub(crate) use memory::memory;
pub(crate) use notify_socket::{NotifySocket, Sender};
pub(crate) use orphans::{end_orphans, reap_orphans};
pub(crate) use out_of_memory::OutOfMemory;
pub(crate) use pipes::{
    Lens, enlarge, give_to, half_of, has_hung_up, held_by, is_at_end, make_fifo, most_large_pipes,
    move_to_file, open_fifo,
};
pub(crate) use present::{ReadEnd, can_send, is_silent, pipe, read_end, read_some, unsupported};
pub(crate) use process::{Process, destroy};
#[cfg(test)]
pub(super) use spawn::Road;
pub(super) use spawn::calls;
pub(crate) use spawn::{Fledgling, LaunchPad, Spawned, spawn};
pub(crate) use tree::processes;
pub(crate) use usage::Meter;

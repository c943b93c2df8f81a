//! Windows: what a run has started is held by a job, which ends with us whatever happens; everything that is waited for is a handle.
//!
//! A run begins in a job of its own, and so does a command that is run for a component. Whoever is born of them is in it too and
//! cannot leave it: nothing has to be looked for. The kernel ends a job when its last handle is closed, so that nothing outlives
//! this process, and nothing is ever adopted.

mod absent;
mod account;
mod attributes;
mod command_line;
mod connecting;
mod environment;
mod figures;
mod files;
mod folder;
mod handle;
mod identity;
mod job;
mod leftovers;
mod pipes;
mod process;
mod security;
mod spawn;
mod stopping;
mod watched;
mod words;

pub(super) use absent::NO_CONTROL_GROUPS;
pub(crate) use absent::{Reserve, can_send, descendants, descriptors_are_scarce, scarcity, unsupported};
pub(crate) use account::Account;
pub(crate) use connecting::Connecting;
pub(crate) use figures::{Meter, facts, memory, processes};
pub(crate) use files::{
    append, give_way, is_same, lower_this_thread, nowhere, our_output, read_exact_at, set_appending,
    size_on_disk,
};
pub(crate) use folder::{Folder, is_link};
pub(crate) use identity::{Fate, Identity, Place, monotonic};
pub(crate) use leftovers::{Leftover, leftovers_at_once, leftovers_by_token, member};
pub(crate) use pipes::{
    Lens, ReadEnd, drain, enlarge, half_of, has_hung_up, held_by, is_at_end, is_silent, most_large_pipes,
    move_to_file, pipe, read_some,
};
pub(crate) use process::{Process, destroy};
pub(crate) use spawn::{LaunchPad, Spawned, spawn};
pub(crate) use watched::{Watchable, Watched};
pub(crate) use words::{in_words, is_shortage, is_want, words};

/// What a process can write to: its end of a pipe, mostly.
pub(crate) type WriteEnd = std::os::windows::io::OwnedHandle;

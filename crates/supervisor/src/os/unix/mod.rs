//! Unix systems other than Linux: macOS and the BSDs. (With `--cfg s7_posix` it runs on Linux, to be tried.)
//!
//! What POSIX has is taken: `fork`, process groups, `waitid`, and `ps`, which tells of other processes. POSIX lacks one thing, a
//! descriptor by which the end of a process is waited for: that is a queue of the kernel's own on each of these systems, and a pidfd
//! on Linux ([`watch`]).
//!
//! What leaves the group of its run is found while its parents live, and nothing is ever adopted: a pid alone does not prove
//! whose it is.

mod absent;
pub(super) mod calls;
mod figures;
mod identity;
mod leftovers;
mod pipes;
mod process;
mod spawn;
mod table;
mod time;
mod watch;

pub(super) use absent::NO_CONTROL_GROUPS;
pub(crate) use absent::{can_send, unsupported};
pub(crate) use figures::{Meter, facts, memory, processes};
pub(crate) use identity::{Fate, Identity, Place};
#[cfg(test)]
pub(crate) use leftovers::leftovers;
pub(crate) use leftovers::{Leftover, descendants, leftovers_at_once, leftovers_by_token, member};
pub(crate) use pipes::{
    Lens, ReadEnd, enlarge, half_of, has_hung_up, held_by, is_at_end, is_silent, most_large_pipes,
    move_to_file, pipe, read_end, read_some,
};
pub(crate) use process::{Process, destroy};
#[cfg(test)]
pub(super) use spawn::Road;
pub(crate) use spawn::{LaunchPad, Spawned, spawn};
#[cfg(test)]
pub(super) use watch::Watch;

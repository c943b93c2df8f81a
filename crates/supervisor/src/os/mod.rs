//! What is asked of the operating system: spawn, signal, look at an exit, find what is left of a run, reap, measure.
//!
//! Verbs only. Nothing here decides or keeps a clock; that is the driver's part, and only the driver's thread starts,
//! signals and reaps. There is no trait: every system offers the same names, and this file chooses.
//!
//! - `posix/` is what the Unix systems share: accounts, attributes, and why a spawn failed.
//! - `linux/` is what only Linux has: pidfds and `/proc`. It needs Linux 5.4 or newer.
//! - `unix/` is for the other Unix systems, macOS and the BSDs: what POSIX has, and one descriptor for the end of each process. With
//!   `--cfg s7_posix` it is what runs on Linux too, so that it can be tried there.
//! - `windows/` is what Windows has: jobs, and waits for handles.
//! - `absent.rs` is what only Linux has, for the others: it bears the same names and can do nothing.
//!
//! Two rules keep signals from strangers. A main process is not reaped before everything else of its run is gone, so
//! its pid, which is the id of its process group too, stays its own. And whatever is found beside it is held by a
//! pidfd that was opened before anything was read of it.
#![expect(unsafe_code, reason = "the one place for it: each block says why it is sound")]

#[cfg(any(not(target_os = "linux"), s7_posix))]
mod absent;
#[cfg(unix)]
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(all(target_os = "linux", not(s7_posix)))]
mod linux;
#[cfg(unix)]
mod posix;
#[cfg(unix)]
mod priority;
#[cfg(unix)]
mod reserve;
#[cfg(all(unix, any(not(target_os = "linux"), s7_posix)))]
mod unix;
#[cfg(unix)]
mod watched;
#[cfg(windows)]
mod windows;

use std::ffi::{OsStr, OsString};

#[cfg(any(not(target_os = "linux"), s7_posix))]
pub(crate) use absent::*;
#[cfg(all(target_os = "linux", not(s7_posix)))]
pub(crate) use linux::*;
#[cfg(unix)]
pub(crate) use posix::{
    Account, Connecting, Folder, Watchable, WriteEnd, append, drain, in_words, is_link, is_same, is_shortage,
    is_want, monotonic, nowhere, our_output, read_exact_at, set_appending, size_on_disk, words,
};
#[cfg(unix)]
pub(crate) use priority::{give_way, lower_this_thread};
#[cfg(unix)]
pub(crate) use reserve::{Reserve, descriptors_are_scarce, scarcity};
#[cfg(all(unix, any(not(target_os = "linux"), s7_posix)))]
pub(crate) use unix::*;
#[cfg(unix)]
pub(crate) use watched::Watched;
#[cfg(windows)]
pub(crate) use windows::*;

use crate::spec::{Command, ProcessSpec};

#[cfg(not(any(unix, windows)))]
compile_error!("`os/` has no part for this operating system");

/// The variable by which the processes of a run are known, wherever they have gone.
pub(crate) const RUN_VARIABLE: &str = "S7_RUN";

/// The variable by which the processes of a command that is run for a component are told from those of its run.
pub(crate) const TASK_VARIABLE: &str = "S7_TASK";

/// Whether this is a system, or a part of one, on which what outlives its supervisor can be taken over by another one.
pub(crate) const ADOPTS: bool = cfg!(all(target_os = "linux", not(s7_posix)));

/// Whether whatever a run has left can be told at once, without asking processes for their environments.
pub(crate) const TELLS_AT_ONCE: bool = cfg!(windows);

/// Whether a process may ask for the orphans that its descendants leave.
pub(crate) const ORPHANS_MAY_COME: bool = cfg!(all(target_os = "linux", not(s7_posix)));

/// Whether components end with the process that has started them, whatever is asked for.
pub(crate) const ENDS_WITH_US: bool = cfg!(windows);

/// Whether they can be made to.
pub(crate) const CAN_END_WITH_US: bool = cfg!(any(windows, all(target_os = "linux", not(s7_posix))));

/// What holds for every launch of a supervisor.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(windows, expect(dead_code, reason = "what there is of it is refused"))]
pub(crate) struct Terms {
    /// The soft limit of open descriptors that it begins with, if neither its specification sets one nor ours is right for
    /// it.
    pub(crate) open_files: Option<u64>,
    /// Whether it is told to stop when we die.
    pub(crate) ends_with_us: bool,
}

/// What a run needs besides its specification. The driver prepares it.
#[cfg_attr(
    any(not(target_os = "linux"), s7_posix),
    expect(dead_code, reason = "what there is of it is refused elsewhere")
)]
pub(crate) struct Launch<'a> {
    /// What to run.
    pub(crate) spec: &'a ProcessSpec,
    /// The whole environment: what is inherited and the specification's own variables. [`spawn`] adds only what
    /// comes with a user, and [`RUN_VARIABLE`].
    pub(crate) environment: &'a [(OsString, OsString)],
    /// Variables for this launch alone, which replace those of the same name: beside the others, because these
    /// need not be copied then.
    pub(crate) added: &'a [(OsString, OsString)],
    /// The value of [`RUN_VARIABLE`]: no other run ever has the same.
    pub(crate) token: &'a str,
    /// Who it runs as, if its specification names a user or a group: looked up by [`Account::find`], because that may
    /// take long.
    pub(crate) account: Option<&'a Account>,
    pub(crate) terms: Terms,
    /// The folder of the control group (version 2) in which it begins. `None`: ours.
    pub(crate) cgroup: Option<GroupFolder<'a>>,
    /// What is run in the component's stead, as it would be run itself. `None`: the component.
    pub(crate) errand: Option<Errand<'a>>,
    /// Its standard output.
    pub(crate) stdout: &'a WriteEnd,
    /// Its standard error.
    pub(crate) stderr: &'a WriteEnd,
    /// What it finds beside these three, and under which number: where it says that it is ready.
    pub(crate) ready: Option<(i32, &'a WriteEnd)>,
}

/// A command that is run for a component: a probe, or a step.
#[derive(Clone, Copy)]
pub(crate) struct Errand<'a> {
    /// The command.
    pub(crate) command: &'a Command,
    /// The value of [`TASK_VARIABLE`]: no other command, and no run, ever has the same.
    pub(crate) token: &'a str,
}

impl<'a> Launch<'a> {
    /// A path, or a bare name.
    fn program(&self) -> &'a OsStr {
        self.errand.map_or(self.spec.executable.as_os_str(), |errand| &errand.command.program)
    }

    fn arguments(&self) -> &'a [OsString] {
        self.errand.map_or(&self.spec.arguments, |errand| &errand.command.arguments)
    }
}

/// A run, or a command that is run for one, whose leftovers are looked for.
#[derive(Clone, Copy)]
#[cfg_attr(
    any(not(target_os = "linux"), s7_posix),
    expect(dead_code, reason = "nobody else can tell processes by their tokens")
)]
pub(crate) struct Run<'a> {
    /// Its main process, not reaped yet.
    pub(crate) process: &'a Process,
    /// The token that [`Launch::token`] gave it, or [`Errand::token`].
    pub(crate) token: &'a str,
}

/// What a look at runs has found.
#[derive(Debug)]
pub(crate) struct Found {
    /// What lives, with the indexes of the runs that it belongs to.
    pub(crate) held: Vec<(usize, Leftover)>,
    /// Whether nothing is left of the runs of which nothing was found. Otherwise descriptors or memory were wanting, and
    /// it is not known.
    pub(crate) is_whole: bool,
    /// Whether there are processes of which only their environments could tell whose they are, and these were not read.
    pub(crate) has_strangers: bool,
}

//! Keeps processes running: starts components in order, restarts what crashes, stops in reverse order, and leaves
//! nothing behind.
//!
//! A host describes what to run with [`ProcessSpec`]s (or reads them from a `SupervisorRegistry.xml` with
//! [`registry::Registry`]), starts a [`Supervisor`], and asks it for things through a [`Handle`].
//!
//! ```
//! use supervisor::{ProcessSpec, Supervisor};
//!
//! let mut helper = ProcessSpec::new("helper", "sleep")?;
//! helper.arguments = vec!["1000".into()];
//!
//! let supervisor = Supervisor::builder().components([helper]).start()?;
//! let handle = supervisor.handle();
//! handle.restart("helper")?.wait()?;
//! println!("{}", handle.status()?.components[0].state);
//! drop(supervisor); // stops everything, and waits for it
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a component does
//!
//! A component is *wanted* or not, and it is in one of the states of [`ComponentState`]. A run of it has **started**
//! once it has been up for [`ProcessSpec::start_delay`], and is **stable** once it has been up for
//! [`ProcessSpec::reset_after`] beyond that. Any end but exit code 0, or a stop that was asked for, is a **failure**;
//! so is a spawn that fails.
//!
//! - Components start in ascending [`start_priority`](ProcessSpec::start_priority), those of the same priority
//!   together, and so do those that one request is about; requests do not wait for each other. The next priority begins when each of the one before has started, completed, or failed a first time:
//!   priority orders, it does not gate. They stop in the reverse order.
//! - What ends though it is wanted is up to its [`RestartPolicy`]: by default [`Backoff`], which is back at once after
//!   a stable run and ever later while it keeps failing. [`Never`], [`OnFailure`], [`Fixed`] and [`Limit`] are there
//!   too, and a policy of your own is one pure function of the component's [`History`].
//! - A component is told to stop by SIGTERM to its process group. What is left of it after
//!   [`stop_timeout`](ProcessSpec::stop_timeout) is killed, children that have changed their session included. What a
//!   crashed run leaves behind is killed before the next run begins.
//!
//! # Asking and listening
//!
//! [`Handle::start`], [`stop`](Handle::stop), [`restart`](Handle::restart) and [`shutdown`](Handle::shutdown) return as
//! soon as the supervisor has taken the request up; [`Pending::wait`] waits until it has happened, and says of each
//! component what came of it. So do [`reset`](Handle::reset), which forgets what went wrong, [`reload`](Handle::reload),
//! [`signal`](Handle::signal), and [`wait_for`](Handle::wait_for), which changes nothing. Requests are welcome at any moment, also in the middle of starting or stopping; the
//! later one wins. [`Handle::status`] is what is true now, and [`Handle::detail`] shows one component from all sides; [`Handle::subscribe`] and [`Builder::subscribe`] tell
//! everything that happens, as [`Event`]s on a bounded channel.
//!
//! # A guest in its host
//!
//! The library installs no signal handler, sets no subreaper, reaps no child but its own, forces no async runtime,
//! prints nothing, opens only close-on-exec descriptors, and writes no file but the logs that components were given, and,
//! if it was given a folder, evidence and named pipes in that ([`Builder::state_dir`]).
//! It runs one thread, `supervisor`, and others only where they are needed: `output` if a component has [`Output::File`] or
//! [`ReadyWhen::Logged`], and at times `housekeeping`, while old files are deleted and compressed; `memory` if one has a limit
//! for it; `resolver` if the host of a probe is no address; `evidence` once some was taken. A supervisor that is dropped takes
//! its components with it.
//!
//! # Testing
//!
//! All decisions are taken by a state machine that reads no clock and touches no process. [`testing`] puts it into a
//! simulated world, in virtual time, with mock components: test your policies and registries there.
//!
//! # Limitations
//!
//! - Linux 5.4 or newer; other systems come later. On Windows 10, components end with the process that has started them, some of
//!   what is described here is refused, and what works has been tried under Wine only.
//! - A process that leaves its session, clears its environment *and* whose parents have ended cannot be told to be a
//!   component's. It outlives that component's stop; if orphans come to this process ([`Builder::reap_orphans`]), it is
//!   killed at the latest when supervision ends.
//! - Without [`Builder::reap_orphans`], each end of a run, or of a command that is run for one, costs one look at the
//!   processes of the machine.
//! - A main process that has used no more memory than the host itself has no known peak: the kernel counts what it had of the
//!   host's before it executed its own program.
//! - That a process was killed for memory is known only where the kernel counts it for our own control group, and it may be
//!   taken for another's that was killed (SIGKILL) by a stranger in the same moment.
//! - Users and groups are looked up at each spawn, by the system's name service: one that hangs holds supervision up.
//! - Components end with the supervisor, except if it is killed (SIGKILL): then they run on, unsupervised.
//!
//! # Limits
//!
//! 10,000 components ([`Builder::MAX_COMPONENTS`]); 1,024 requests without an answer (a shutdown is always taken up); 4,096 events waiting for a slow
//! reader; at most 10,000 past runs of a component remembered for its policy ([`History::MAX_CAPACITY`]).
#![cfg_attr(
    windows,
    expect(clippy::explicit_auto_deref, reason = "elsewhere, ends of pipes are whatever has a descriptor")
)]

mod chance;
mod core;
mod environment;
mod error;
mod event;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod names;
mod os;
mod output;
mod plan;
mod policy;
pub mod registry;
mod relations;
mod request;
mod run;
mod said;
mod signal;
mod spec;
mod status;
mod supervisor;
pub mod testing;
mod tokens;

pub use crate::error::{SpawnError, SpawnStep};
pub use crate::event::{Event, EventKind, KillReason, StepOf, Unready, WaitReason};
pub use crate::output::{LineForm, LogFile, LogSettings, StoredLog, WhenFull};
pub use crate::plan::{ChangedField, Effect, Plan, Planned, PlannedAction, Setup};
pub use crate::policy::{Backoff, Decision, Fixed, Jitter, Limit, Never, OnFailure, RestartPolicy};
pub use crate::relations::{RelationError, RelationProblem};
pub use crate::request::{Achieved, Dependants, GoneBack, Outcome, Request, RequestError, Targets, Until};
pub use crate::run::{End, Exit, Fault, History, PastRun, RunId};
pub use crate::signal::Signal;
pub use crate::spec::{
    Cleanup, Command, ComponentId, Condition, Dependency, Environment, ExitAction, ExitMatch, ExitRule,
    GuardAction, Health, Intensity, InvalidId, MemoryLimit, OnCrash, OnGiveUp, Output, Probe, ProcessSpec,
    Readiness, ReadyWhen, Recipient, Resource, ResourceLimit, RestartBudget, RestartGroup, Stderr, Step,
    Strategy, Variable,
};
pub use crate::status::{ComponentState, ComponentStatus, Detail, ProcessStatus, Short, Status, Usage};
pub use crate::supervisor::{
    ApplyError, Builder, Handle, HttpQuestion, KeptOpen, Pending, ProbeAnswer, Prober, STATE_VERSION,
    StartError, Submitted, Supervisor,
};

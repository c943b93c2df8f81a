//! Keeps processes running.

mod chance;
mod core;
mod environment;
mod error;
mod event;
mod names;
mod os;
mod output;
mod policy;
pub mod registry;
mod request;
mod run;
mod spec;
mod status;
mod supervisor;
pub mod testing;

pub use crate::error::{SpawnError, SpawnStep};
pub use crate::event::{Event, EventKind, KillReason};
pub use crate::output::{LogFile, LogSettings};
pub use crate::policy::{Backoff, Decision, Fixed, Jitter, Limit, Never, OnFailure, RestartPolicy};
pub use crate::request::{Achieved, Outcome, Request, RequestError, Targets};
pub use crate::run::{End, Exit, History, PastRun, RunId};
pub use crate::spec::{
    ComponentId, Environment, InvalidId, Output, ProcessSpec, Resource, ResourceLimit, Stderr, Variable,
};
pub use crate::status::{ComponentState, ComponentStatus, Short, Status, Usage};
pub use crate::supervisor::{Builder, Handle, Pending, StartError, Supervisor};

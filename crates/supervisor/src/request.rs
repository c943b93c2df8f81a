//! What can be asked of a running supervisor, and what comes of it.

use std::fmt;
use std::sync::Arc;

use crate::run::End;
use crate::signal::Signal;
use crate::spec::ComponentId;

/// Something asked of a running supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// These shall run: now, whatever backoff or failure says, and from now on.
    Start(Targets),
    /// These shall not run until somebody asks for them.
    Stop {
        /// Which.
        targets: Targets,
        /// What happens to running components that depend on them.
        dependants: Dependants,
    },
    /// These shall end their run, if they have one, and begin another.
    Restart(Targets),
    /// What went wrong with these before shall be forgotten: backoff, trip and failure. Nothing is started by that.
    Reset(Targets),
    /// These shall read their configuration again, as [`ProcessSpec::reload`](crate::ProcessSpec::reload) says.
    Reload(Targets),
    /// The main process of each of these shall get a signal.
    Signal {
        /// Which.
        targets: Targets,
        /// Which signal.
        signal: Signal,
    },
    /// The files that the output of these goes to shall end, and others begin: see [`Handle::rotate`](crate::Handle::rotate).
    Rotate(Targets),
    /// Nothing shall change, but the answer comes when this is true of these.
    Wait {
        /// Of which.
        targets: Targets,
        /// What.
        until: Until,
    },
    /// Everything shall stop, in reverse start order, and then the supervisor end.
    Shutdown {
        /// Kill everything now instead of stopping it in order.
        immediately: bool,
    },
}

impl Request {
    /// The request in one word: `start`.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Stop { .. } => "stop",
            Self::Restart(_) => "restart",
            Self::Reset(_) => "reset",
            Self::Reload(_) => "reload",
            Self::Signal { .. } => "signal",
            Self::Rotate(_) => "rotate",
            Self::Wait { .. } => "wait",
            Self::Shutdown { .. } => "shutdown",
        }
    }

    /// Which components it is about; `None`: the supervisor itself.
    #[must_use]
    pub fn targets(&self) -> Option<&Targets> {
        match self {
            Self::Start(targets)
            | Self::Stop { targets, .. }
            | Self::Restart(targets)
            | Self::Reset(targets)
            | Self::Reload(targets)
            | Self::Signal { targets, .. }
            | Self::Rotate(targets)
            | Self::Wait { targets, .. } => Some(targets),
            Self::Shutdown { .. } => None,
        }
    }
}

/// What happens to running components that depend on one that is to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dependants {
    /// The request is refused if there are any.
    #[default]
    Refuse,
    /// They are stopped too, before it.
    Stop,
    /// They run on.
    Leave,
}

/// What a request can wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// It has started, or has completed.
    Started,
    /// It has started and is ready now, or has completed.
    #[default]
    Ready,
    /// Nothing of it runs, or will by itself.
    Stopped,
}

/// Which components a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Targets {
    /// Every component.
    #[default]
    All,
    /// Those that these names mean: an id, the common name of several instances, or a glob (`web-*`).
    Named(Vec<String>),
}

impl From<&str> for Targets {
    fn from(name: &str) -> Self {
        Self::Named(vec![name.to_owned()])
    }
}

impl From<&ComponentId> for Targets {
    fn from(id: &ComponentId) -> Self {
        Self::from(id.as_str())
    }
}

impl<S: AsRef<str>> From<&[S]> for Targets {
    fn from(names: &[S]) -> Self {
        Self::Named(names.iter().map(|name| name.as_ref().to_owned()).collect())
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for Targets {
    fn from(names: [S; N]) -> Self {
        Self::from(names.as_slice())
    }
}

/// What came of a request, component by component, in start order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Each component that the request was about (and, of a start, whom they need), and what came of it.
    pub components: Vec<(ComponentId, Achieved)>,
    /// Of a shutdown: the essential component that was given up, where that is its reason.
    pub given_up: Option<ComponentId>,
    /// Of a shutdown because nothing would have run again: those that had been started and have not done their work.
    pub unsuccessful: Vec<ComponentId>,
    /// Of an [apply](crate::Handle::apply) that was to be confirmed: why everything is as it was before. The components are then those that
    /// were touched to go back.
    pub gone_back: Option<GoneBack>,
    /// Nothing was stopped: everything was [left running](crate::Handle::leave) for another supervisor.
    pub left: bool,
}

impl Outcome {
    /// Whether all that was asked for is so.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.gone_back.is_none() && self.components.iter().all(|(_, achieved)| achieved.is_success())
    }
}

/// Why a changed registry was taken back: displayed as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GoneBack {
    /// The component for which.
    pub component: ComponentId,
    /// What became of that: `was not ready within 60s`.
    pub why: Arc<str>,
}

impl fmt::Display for GoneBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.component, self.why)
    }
}

/// What came of a request for one component.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Achieved {
    /// It has happened: started (or completed), or stopped.
    Done,
    /// It was so already.
    AlreadySo,
    /// The first try failed; if its policy says so, the tries go on.
    FailedStart(End),
    /// Its start goes on: another one that was asked for with it has failed, so that the answer did not wait.
    UnderWay,
    /// It waits for whom it needs: this component, of which this is true instead.
    Blocked {
        /// Whom it needs: of several, that of which there is the least hope. If that one waits for another in turn, that other, and so on.
        on: ComponentId,
        /// What that one is doing: `tripped`.
        state: &'static str,
    },
    /// Its output is stored nowhere: there is no file that could end.
    NotStored,
    /// It has no process that could be told.
    NotRunning,
    /// It was tried, and failed for this reason.
    Failed(Arc<str>),
    /// Somebody asked for the contrary before it had happened.
    Overtaken,
    /// These processes did not end even when they were killed.
    Unkillable(Vec<u32>),
}

impl Achieved {
    /// Whether what was asked for is so.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Done | Self::AlreadySo | Self::NotStored)
    }
}

/// Why a request was refused. Nothing was touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No component has this name.
    #[error("there is no component {name:?}{}", similar(.suggestion.as_ref()))]
    Unknown {
        /// The name.
        name: String,
        /// The id that looks most like it, if one does.
        suggestion: Option<ComponentId>,
    },
    /// Running components depend on it, and nobody said what shall happen to them.
    #[error("{} on {id}", depend(.dependants))]
    Dependants {
        /// The component that was to stop.
        id: ComponentId,
        /// Those that depend on it, directly or not.
        dependants: Vec<ComponentId>,
    },
    /// It does not say how it can be told to read its configuration again.
    #[error("{id} has no <reload>: nothing says how it reads its configuration again")]
    NoReload {
        /// The component.
        id: ComponentId,
    },
    /// The operating system has no such signal.
    #[error("there is no {signal} on Windows: a component can be asked to stop (TERM) or killed (KILL)")]
    NoSignal {
        /// Which.
        signal: Signal,
    },
    /// It is no component any more, as soon as nothing of it is left.
    #[error("{id} is no longer in the registry, and is about to be gone")]
    Leaving {
        /// Which.
        id: ComponentId,
    },
    /// Other components were there a moment later than those whose names were looked up.
    #[error("the registry was changed at this very moment; ask again")]
    Changed,
    /// What was applied last is not confirmed yet, and may have to be taken back.
    #[error("a changed registry was applied and is not confirmed yet; wait for that")]
    OnTrial,
    /// The supervisor is ending: nothing can be started any more.
    #[error("the supervisor is shutting down")]
    ShuttingDown,
    /// Nothing is written down by which another supervisor could go on.
    #[error("there is no folder in which another supervisor would find what runs")]
    Forgetful,
    /// Components end with the process that has started them: [`OnCrash::Stop`](crate::OnCrash::Stop).
    #[error("components are to end with the process that has started them (--on-crash stop)")]
    Bound,
    /// No other supervisor could go on with what runs: on this system nothing can be taken over.
    #[error("on this system no other supervisor can take over what runs")]
    Heirless,
    /// Too many requests wait for an answer.
    #[error("1,024 requests wait for an answer already")]
    TooMany,
    /// The supervisor has ended.
    #[error("the supervisor has ended")]
    Ended,
}

fn depend(dependants: &[ComponentId]) -> String {
    let names = dependants.iter().map(ComponentId::as_str).collect::<Vec<_>>().join(", ");
    format!("{names} {}", if dependants.len() == 1 { "runs and depends" } else { "run and depend" })
}

fn similar(suggestion: Option<&ComponentId>) -> String {
    suggestion.map(|id| format!("; did you mean {id:?}?")).unwrap_or_default()
}

//! What can be asked of a running supervisor, and what comes of it.

use crate::run::End;
use crate::spec::ComponentId;

/// Something asked of a running supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// These shall run: now, whatever backoff or failure says, and from now on.
    Start(Targets),
    /// These shall not run until somebody asks for them.
    Stop(Targets),
    /// These shall end their run, if they have one, and begin another.
    Restart(Targets),
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
            Self::Stop(_) => "stop",
            Self::Restart(_) => "restart",
            Self::Shutdown { .. } => "shutdown",
        }
    }
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
    /// Each component that the request was about, and what came of it.
    pub components: Vec<(ComponentId, Achieved)>,
}

impl Outcome {
    /// Whether all that was asked for is so.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.components.iter().all(|(_, achieved)| achieved.is_success())
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
    /// Somebody asked for the contrary before it had happened.
    Overtaken,
    /// These processes did not end even when they were killed.
    Unkillable(Vec<u32>),
}

impl Achieved {
    /// Whether what was asked for is so.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Done | Self::AlreadySo)
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
    /// The supervisor is ending: nothing can be started any more.
    #[error("the supervisor is shutting down")]
    ShuttingDown,
    /// Too many requests wait for an answer.
    #[error("1,024 requests wait for an answer already")]
    TooMany,
    /// The supervisor has ended.
    #[error("the supervisor has ended")]
    Ended,
}

fn similar(suggestion: Option<&ComponentId>) -> String {
    suggestion.map(|id| format!("; did you mean {id:?}?")).unwrap_or_default()
}

//! The running supervisor.

mod handle;

use std::sync::Arc;

pub use handle::{Handle, Pending};

use crate::event::Event;
use crate::request::Outcome;
use crate::spec::{ComponentId, ProcessSpec};

/// Keeps components running. Dropping it stops them all and waits, so that nothing is left behind.
#[derive(Debug)]
pub struct Supervisor {
    handle: Handle,
}

/// How to make a [`Supervisor`].
#[derive(Debug, Default)]
pub struct Builder {
    components: Vec<ProcessSpec>,
}

impl Supervisor {
    /// How to make one.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A handle by which any thread can ask for things.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until somebody has asked for a shutdown and it is complete.
    #[must_use]
    pub fn wait(self) -> Outcome {
        Outcome::default()
    }
}

impl Builder {
    /// Adds components, in the order in which those of the same priority start.
    #[must_use]
    pub fn components(mut self, components: impl IntoIterator<Item = ProcessSpec>) -> Self {
        self.components.extend(components);
        self
    }

    /// A reader of all that happens, from the very beginning. See [`Handle::subscribe`].
    pub fn subscribe(&mut self) -> crossbeam_channel::Receiver<Event> {
        crossbeam_channel::bounded(0).1
    }

    /// (unix) Makes the supervisor reap orphans that the operating system gives to this process, because it is a
    /// subreaper or process 1. `sigchld` becomes readable with each SIGCHLD; the library installs no handler.
    #[cfg(unix)]
    #[must_use]
    pub fn reap_orphans(self, sigchld: std::os::fd::OwnedFd) -> Self {
        drop(sigchld);
        self
    }

    /// Checks the components and starts supervising them.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(self) -> Result<Supervisor, StartError> {
        Err(StartError::Duplicate(Arc::new(self.components[0].clone()).id.clone()))
    }
}

/// Why a supervisor could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two components have the same id but for case.
    #[error("two components are called {0:?}")]
    Duplicate(ComponentId),
    /// The operating system refused what supervision itself needs.
    #[error("cannot {0}: {1}")]
    System(&'static str, String),
}

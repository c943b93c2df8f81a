//! The running supervisor: a driver thread around the core, and the handles by which others ask it for things.

mod builder;
mod driver;
mod handle;
mod helper;
mod launches;
mod ledger;
mod measuring;
mod prober;
mod readers;
mod records;
mod runs;
mod takeover;
mod tasks;
mod voices;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

#[cfg(fuzzing)]
pub(crate) use builder::check;
pub use builder::{Builder, StartError};
pub use handle::{ApplyError, Handle, Pending, Submitted};
pub use prober::{HttpQuestion, ProbeAnswer, Prober};
#[cfg(fuzzing)]
pub(crate) use records::is_record;
pub use voices::KeptOpen;

use crate::request::{Outcome, RequestError};

/// Which supervisors can go on where one of this version has left off, or was killed: those of the same number. It changes with
/// what is in the folder of [`Builder::state_dir`].
pub const STATE_VERSION: u32 = records::VERSION;

/// Keeps components running.
///
/// Dropping it asks for a shutdown and waits until it is complete, so that nothing is left behind when a host
/// returns early. That wait is bounded by the components' stop timeouts, priority by priority, and 5 s beyond each
/// for what does not end when it is killed.
///
/// ```
/// use supervisor::{ProcessSpec, Supervisor};
///
/// let mut sleeper = ProcessSpec::new("sleeper", "sleep")?;
/// sleeper.arguments = vec!["1000".into()];
/// let supervisor = Supervisor::builder().components([sleeper]).start()?;
/// let handle = supervisor.handle();
/// handle.start("sleeper")?.wait()?;
/// assert_eq!(handle.status()?.components[0].state.word(), "up");
/// handle.shutdown()?;
/// assert!(supervisor.wait()?.is_success());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Supervisor {
    handle: Handle,
    thread: Option<JoinHandle<(Outcome, KeptOpen)>>,
    control_groups: Result<PathBuf, String>,
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

    /// The folder of the control groups in which components run, each in one of its own.
    ///
    /// # Errors
    /// Why there are none: a sentence.
    pub fn control_groups(&self) -> Result<&Path, &str> {
        self.control_groups.as_deref().map_err(String::as_str)
    }

    /// Waits until somebody has asked for a shutdown and it is complete. Says of each component whether it is gone,
    /// or which of its processes could not be killed.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if supervision broke off by a fault of its own; every component was killed then.
    pub fn wait(self) -> Result<Outcome, RequestError> {
        self.wait_and_keep().map(|(outcome, _)| outcome)
    }

    /// The same, and what is kept open where everything was [left running](Handle::leave): for
    /// [`Builder::kept_open`] of the next supervisor, if that is begun in this process or in a program that this becomes.
    ///
    /// # Errors
    /// As of [`wait`](Self::wait).
    pub fn wait_and_keep(mut self) -> Result<(Outcome, KeptOpen), RequestError> {
        let thread = self.thread.take().ok_or(RequestError::Ended)?;
        thread.join().map_err(|_panic| RequestError::Ended)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Refused only if it has ended already.
            let _ = self.handle.shutdown();
            // A fault of the driver's was told by the panic itself, and the driver left nothing behind.
            let _ = thread.join();
        }
    }
}

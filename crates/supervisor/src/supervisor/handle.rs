//! How other threads ask the driver for things.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::event::Event;
use crate::request::{Outcome, Request, RequestError, Targets};
use crate::status::Status;

/// Asks a running supervisor for things, from any thread. Cheap to clone.
///
/// Each request returns as soon as the supervisor has taken it up; [`Pending::wait`] waits until what was asked for
/// has happened.
#[derive(Clone, Debug)]
pub struct Handle {}

impl Handle {
    /// Starts these components, whatever backoff or failure says.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then.
    pub fn start(&self, targets: impl Into<Targets>) -> Result<Pending, RequestError> {
        self.ask(Request::Start(targets.into()))
    }

    /// Stops these components until somebody asks for them.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then.
    pub fn stop(&self, targets: impl Into<Targets>) -> Result<Pending, RequestError> {
        self.ask(Request::Stop(targets.into()))
    }

    /// Ends the run of each of these components, if it has one, and begins another.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then.
    pub fn restart(&self, targets: impl Into<Targets>) -> Result<Pending, RequestError> {
        self.ask(Request::Restart(targets.into()))
    }

    /// Stops everything in reverse start order and then ends the supervisor.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if it has ended.
    pub fn shutdown(&self) -> Result<Pending, RequestError> {
        self.ask(Request::Shutdown { immediately: false })
    }

    /// Kills everything now and then ends the supervisor; also speeds up a shutdown that is under way.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if it has ended.
    pub fn shutdown_now(&self) -> Result<Pending, RequestError> {
        self.ask(Request::Shutdown { immediately: true })
    }

    /// What is true of every component now.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if the supervisor has ended.
    pub fn status(&self) -> Result<Status, RequestError> {
        self.status_of(Targets::All)
    }

    /// What is true of these components now.
    ///
    /// # Errors
    /// [`RequestError`] if a name means nothing or the supervisor has ended.
    pub fn status_of(&self, _targets: impl Into<Targets>) -> Result<Status, RequestError> {
        Err(RequestError::Ended)
    }

    /// A reader of all that happens from now on, the oldest first.
    ///
    /// The queue is bounded (1,024 events): a reader that is too slow loses news, never holds supervision up, and is
    /// told how much it lost by [`EventKind::Lost`](crate::EventKind::Lost). The channel closes when the supervisor has ended.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if it has ended.
    pub fn subscribe(&self) -> Result<Receiver<Event>, RequestError> {
        Err(RequestError::Ended)
    }

    /// Passes a request on in somebody's name (`by` is shown in events), and calls `done` once, when what was asked
    /// for has happened or can no longer happen. For callers that must not wait in a thread: `done` runs on the
    /// supervisor's own thread and must return at once.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then, and `done` is not called.
    pub fn submit(
        &self,
        _request: Request,
        _by: impl Into<Arc<str>>,
        _done: impl FnOnce(Outcome) + Send + 'static,
    ) -> Result<(), RequestError> {
        Err(RequestError::Ended)
    }

    fn ask(&self, request: Request) -> Result<Pending, RequestError> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        self.submit(request, "the host", move |outcome| drop(sender.send(outcome)))?;
        Ok(Pending { receiver })
    }
}

/// A request that was taken up. Dropping it changes nothing.
#[derive(Debug)]
pub struct Pending {
    receiver: Receiver<Outcome>,
}

impl Pending {
    /// Waits until what was asked for has happened or can no longer happen.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if the supervisor ended without an answer.
    pub fn wait(self) -> Result<Outcome, RequestError> {
        self.receiver.recv().map_err(|_| RequestError::Ended)
    }

    /// Waits no longer than this; `None` when it has not happened by then.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if the supervisor ended without an answer.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<Outcome>, RequestError> {
        match self.receiver.recv_timeout(timeout) {
            Ok(outcome) => Ok(Some(outcome)),
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => Ok(None),
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => Err(RequestError::Ended),
        }
    }
}

//! Other components are to be supervised.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::{Command, Handle, Pending, Submitted};
use crate::core::Ask;
use crate::plan::{Plan, Setup};
use crate::request::{Outcome, RequestError};
use crate::supervisor::builder::{StartError, check};

/// Why other components cannot be supervised. Nothing was touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// They could not be supervised together.
    #[error(transparent)]
    Setup(#[from] StartError),
    /// The request was refused.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Handle {
    /// What [`apply`](Self::apply) would do if it were asked for this now. Nothing is touched.
    ///
    /// # Errors
    /// [`ApplyError`]
    pub fn plan(&self, setup: Setup) -> Result<Plan, ApplyError> {
        check(&setup.components)?;
        let setup = Arc::new(setup);
        Ok(self.call(|answer| Command::Plan { setup, answer })?)
    }

    /// Has this supervised from now on, in the place of what is. Components are known by their ids.
    ///
    /// What is no more is stopped, what has to be begun anew is restarted, and what is new and starts by itself is started: stops
    /// in reverse order, by the steps and in the order that held until then; starts in order, and not before nothing is left of what
    /// is no more. What somebody has stopped stays so, and nothing else is touched: the [`Plan`] says what happens.
    ///
    /// With `confirm_ready`, everything goes back to what there is now unless all that is started or restarted for this is ready (or has
    /// completed) within that time; and at once if one of these is given up. [`Outcome::gone_back`] tells. If the supervisor is killed
    /// meanwhile, nothing goes back.
    ///
    /// It is taken up while another one is under way or on trial: that is over then, and would both fail, it all goes back to what there was
    /// before the first.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing was touched then.
    pub fn apply(&self, setup: Setup, confirm_ready: Option<Duration>) -> Result<Pending, ApplyError> {
        let (sender, receiver) = bounded(1);
        let done = move |outcome| drop(sender.send(outcome));
        let submitted = self.submit_apply(setup, confirm_ready, "the host", done)?;
        Ok(Pending { receiver, submitted })
    }

    /// The same in somebody's name, for callers that must not wait: as [`submit`](Self::submit).
    ///
    /// # Errors
    /// [`ApplyError`]; nothing was touched then, and `done` is not called.
    pub fn submit_apply(
        &self,
        setup: Setup,
        confirm_ready: Option<Duration>,
        by: impl Into<Arc<str>>,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) -> Result<Submitted, ApplyError> {
        check(&setup.components)?;
        let (ask, by) = (Ask::Apply { setup: Arc::new(setup), confirm: confirm_ready }, by.into());
        let request = self.call(|taken_up| Command::Ask { ask, by, taken_up, done: Box::new(done) })??;
        Ok(Submitted { request, handle: self.clone() })
    }
}

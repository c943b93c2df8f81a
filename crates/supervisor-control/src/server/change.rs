//! Requests to compare a registry with what runs, or to apply it, which the host carries out: it alone knows how to read one.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use supervisor::{Outcome, RequestError};
use tokio::sync::oneshot;

use super::extract::Patience;
use super::problem::{Problem, json};
use crate::wire::{ApplyDocument, OutcomeDocument, PlanDocument};

/// Somebody wants to know what a registry would change, or wants it applied, and waits for what the host says to that.
#[derive(Debug)]
pub struct ChangeRequest {
    /// Which registry, by its absolute path; `None`: the one that the host was started with.
    pub registry: Option<PathBuf>,
    /// What shall be done with it.
    pub change: Change,
    /// Who: `user root (pid 4711)`.
    pub by: Arc<str>,
    answer: oneshot::Sender<Result<PlanDocument, ChangeRefusal>>,
    done: Option<oneshot::Sender<Outcome>>,
}

/// What shall be done with a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It shall be compared with what runs.
    Plan,
    /// It shall be applied: [`Handle::apply`](supervisor::Handle::apply).
    Apply {
        /// Within which time all that is begun for it must be ready, or everything goes back.
        confirm_ready: Option<Duration>,
    },
}

/// Why a registry is neither compared nor applied. Nothing was touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// It cannot be used.
    Invalid {
        /// In one sentence.
        detail: String,
        /// Everything that is wrong, a text each.
        problems: Vec<String>,
    },
    /// It cannot be done now, for this reason.
    NotNow(String),
    /// The supervisor has refused it.
    Refused(RequestError),
}

impl ChangeRequest {
    /// What is to be called when all has happened that an apply does. Called a second time, it gives something that does nothing.
    pub fn when_done(&mut self) -> impl FnOnce(Outcome) + Send + 'static {
        let done = self.done.take();
        // Whoever asked may have gone away.
        move |outcome| drop(done.map(|done| done.send(outcome)))
    }

    /// Says what would be done, or is being done now; or why nothing is. Whoever asked is told nothing but that the supervisor has
    /// ended if this is dropped instead.
    pub fn answer(self, answer: Result<PlanDocument, ChangeRefusal>) {
        // Whoever asked may have gone away.
        let _ = self.answer.send(answer);
    }
}

/// What the host does when a registry is to be compared or applied, if it can. Returns at once, and answers later.
#[derive(Clone, Default)]
pub(super) struct Changer(pub(super) Option<Arc<dyn Fn(ChangeRequest) + Send + Sync>>);

impl Changer {
    /// Asks the host, waits as long as whoever asks wants to, and tells what it says.
    pub(super) async fn ask(
        &self,
        registry: Option<PathBuf>,
        change: Change,
        by: Arc<str>,
        patience: Patience,
    ) -> Result<Response, Problem> {
        let Some(begin) = &self.0 else {
            let detail =
                "this supervisor is part of another program, which has no registry that could be applied";
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        let ((answer, answered), (done, outcome)) = (oneshot::channel(), oneshot::channel());
        begin(ChangeRequest { registry, change, by, answer, done: Some(done) });
        let plan = match answered.await {
            Ok(Ok(plan)) => plan,
            Ok(Err(refusal)) => return Err(refusal.into()),
            Err(_) => return Err(RequestError::Ended.into()),
        };
        if change == Change::Plan {
            return Ok(json(StatusCode::OK, &plan));
        }
        let outcome = match patience {
            Patience::None => None,
            Patience::For(limit) => tokio::time::timeout(limit, outcome).await.ok(),
            Patience::Forever => Some(outcome.await),
        };
        match outcome {
            None => Ok(json(StatusCode::ACCEPTED, &ApplyDocument { plan, ..ApplyDocument::default() })),
            Some(Ok(outcome)) => {
                let status = if outcome.is_success() { StatusCode::OK } else { StatusCode::CONFLICT };
                let outcome = OutcomeDocument::new(&outcome, |_| true);
                Ok(json(status, &ApplyDocument { plan, outcome }))
            }
            Some(Err(_)) => Err(RequestError::Ended.into()),
        }
    }
}

impl fmt::Debug for Changer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changer").field(&self.0.is_some()).finish()
    }
}

impl From<ChangeRefusal> for Problem {
    fn from(refusal: ChangeRefusal) -> Self {
        match refusal {
            ChangeRefusal::Invalid { detail, problems } => Self::of_registry(detail, problems),
            ChangeRefusal::NotNow(why) => Self::new(StatusCode::CONFLICT, why),
            ChangeRefusal::Refused(error) => error.into(),
        }
    }
}

//! Requests to replace the supervisor by another executable, which the host carries out.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::oneshot;

use super::problem::{Problem, json};
use crate::wire::UpgradeDocument;

/// Somebody wants the supervisor replaced, and waits for what the host says to that.
#[derive(Debug)]
pub struct UpgradeRequest {
    /// By which executable; `None`: by the one that the host knows.
    pub executable: Option<PathBuf>,
    /// Who: `user root (pid 4711)`.
    pub by: Arc<str>,
    answer: oneshot::Sender<Result<UpgradeDocument, String>>,
}

impl UpgradeRequest {
    /// Says that it will be done, or why it will not: a sentence. Whoever asked is told nothing but that the supervisor has
    /// ended if this is dropped instead.
    pub fn answer(self, answer: Result<UpgradeDocument, String>) {
        // Whoever asked may have gone away.
        let _ = self.answer.send(answer);
    }
}

/// What the host does when it is asked to replace the supervisor, if it can. Returns at once, and answers later.
#[derive(Clone, Default)]
pub(super) struct Upgrader(pub(super) Option<Arc<dyn Fn(UpgradeRequest) + Send + Sync>>);

impl Upgrader {
    /// Asks the host, and tells what it says.
    pub(super) async fn ask(&self, executable: Option<PathBuf>, by: Arc<str>) -> Result<Response, Problem> {
        let Some(begin) = &self.0 else {
            let detail = "this supervisor is part of another program and cannot be replaced by itself";
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        let (answer, answered) = oneshot::channel();
        begin(UpgradeRequest { executable, by, answer });
        match answered.await {
            Ok(Ok(document)) => Ok(json(StatusCode::ACCEPTED, &document)),
            Ok(Err(why)) => Err(Problem::new(StatusCode::CONFLICT, why)),
            Err(_) => Err(supervisor::RequestError::Ended.into()),
        }
    }
}

impl fmt::Debug for Upgrader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upgrader").field(&self.0.is_some()).finish()
    }
}

//! The host's own log, the file of which somebody may want to end.

use std::fmt;
use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use super::problem::{Problem, json};
use crate::wire::{OutcomeKind, OwnLogDocument};

/// See [`super::Builder::own_log`].
pub(super) type Rotate = dyn Fn() -> io::Result<bool> + Send + Sync;

/// What the host does when the file of its own log is to end, if it has one.
#[derive(Clone, Default)]
pub(super) struct OwnLog(pub(super) Option<Arc<Rotate>>);

impl OwnLog {
    /// Asks the host, and tells what came of it.
    pub(super) fn rotate(&self) -> Result<Response, Problem> {
        let Some(rotate) = &self.0 else {
            let detail = "this supervisor is part of another program and has no log of its own";
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        let (status, result, message) = match rotate() {
            Ok(true) => (StatusCode::OK, OutcomeKind::Done, None),
            Ok(false) => (StatusCode::OK, OutcomeKind::Already, None),
            Err(error) => (StatusCode::CONFLICT, OutcomeKind::Failed, Some(error.to_string())),
        };
        Ok(json(status, &OwnLogDocument { result, message }))
    }
}

impl fmt::Debug for OwnLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnLog").field(&self.0.is_some()).finish()
    }
}

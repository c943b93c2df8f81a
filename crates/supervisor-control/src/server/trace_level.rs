//! How much the host tells in its own log, which somebody may ask for and change.

use std::fmt;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use super::problem::{Problem, json};
use crate::wire::TraceLevelDocument;

/// See [`super::Builder::trace_level`].
pub(super) type Ask = dyn Fn(Option<u8>, &str) -> u8 + Send + Sync;

/// What the host does when it is asked for its trace level, if it has one: with a level, which is to hold from now on, and
/// who asks.
#[derive(Clone, Default)]
pub(super) struct TraceLevel(pub(super) Option<Arc<Ask>>);

impl TraceLevel {
    /// Asks the host, and tells what holds now.
    pub(super) fn ask(&self, level: Option<u8>, by: &str) -> Result<Response, Problem> {
        let Some(ask) = &self.0 else {
            let detail = "this supervisor is part of another program and has no trace level";
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        match level {
            None | Some(1..=4) => Ok(json(StatusCode::OK, &TraceLevelDocument { level: ask(level, by) })),
            Some(level) => {
                let detail = format!(
                    "cannot set the trace level to {level}: it is 1 to 4; give it ({{\"level\": 3}})"
                );
                Err(Problem::new(StatusCode::BAD_REQUEST, detail))
            }
        }
    }
}

impl fmt::Debug for TraceLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceLevel").field(&self.0.is_some()).finish()
    }
}

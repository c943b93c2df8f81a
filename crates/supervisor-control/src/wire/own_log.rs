//! What came of a request about the host's own log.

use serde::{Deserialize, Serialize};

use super::OutcomeKind;

/// The answer to `POST /v1/log/rotate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLogDocument {
    /// `done`: its file has ended, and another begun; `already`: there was nothing in it; `failed`.
    pub result: OutcomeKind,
    /// Of `failed`: why, in words.
    #[serde(default)]
    pub message: Option<String>,
}

/// The body of a request that has nothing to say; an empty body is the same as `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NothingDocument {}

//! How much the host tells in its own log.

use serde::{Deserialize, Serialize};

/// The body of `POST /v1/tracelevel`, and the answer to that and to `GET /v1/tracelevel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceLevelDocument {
    /// From 1, the least, to 4, everything.
    pub level: u8,
}

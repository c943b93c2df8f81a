//! Whether all is well.

use serde::{Deserialize, Serialize};

/// The answer to `GET /livez` and `GET /readyz` where all is well; else that is a [`ProblemDocument`](super::ProblemDocument).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthDocument {
    /// It is.
    pub ok: bool,
    /// How many components should run.
    pub wanted: u64,
}

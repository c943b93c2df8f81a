//! The supervisor is replaced by another executable, and nothing else changes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The body of `POST /v1/upgrade`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpgradeOrderDocument {
    /// The executable, by its absolute path; without it, the one that the supervisor was started from, as it is now.
    pub executable: Option<PathBuf>,
}

/// An upgrade: what is about to happen in the answer to `POST /v1/upgrade`, and what has happened in a status and in the
/// journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeDocument {
    /// The how manieth it is of this process.
    pub number: u64,
    /// The version before.
    pub from: String,
    /// The version that was to come.
    pub to: String,
    /// Who asked for it: `user root (pid 4711)`.
    pub by: String,
    /// Why it has not come to be, and the version before goes on.
    #[serde(default)]
    pub failure: Option<String>,
}

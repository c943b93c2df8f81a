//! What a changed registry would do, and having it done.

use std::path::PathBuf;
use std::time::Duration;

use super::{Client, ClientError, GRACE, PATIENCE, Wait};
use crate::wire::{ApplyDocument, ApplyOrderDocument, PlanDocument, PlanOrderDocument};

/// How long it may take until a registry is read and compared.
const READING: Duration = Duration::from_secs(60);

impl Client {
    /// What it would change to [apply](Self::apply) this registry (its absolute path), or the one that the supervisor was
    /// started with. The supervisor reads it, with its own settings, environment and install folder.
    ///
    /// # Errors
    /// [`ClientError`]; `Invalid`: the registry is not in order.
    pub fn plan(&self, registry: Option<PathBuf>) -> Result<PlanDocument, ClientError> {
        let body = written(&PlanOrderDocument { registry })?;
        self.exchange("POST", "/v1/plan", &body, Some(READING))
    }

    /// Has this registry applied, likewise. With `confirm_ready`, everything goes back unless all that is started or restarted
    /// is ready within that time.
    ///
    /// The answer may be that it did not come to be: see [`OutcomeDocument::is_success`](crate::wire::OutcomeDocument::is_success).
    ///
    /// # Errors
    /// [`ClientError`], as [`Client::act`]; `Invalid`: the registry is not in order, and nothing was touched.
    pub fn apply(
        &self,
        registry: Option<PathBuf>,
        confirm_ready: Option<Duration>,
        wait: Wait,
    ) -> Result<ApplyDocument, ClientError> {
        let confirm_ready = confirm_ready.as_ref().map(Duration::as_secs_f64);
        let body = written(&ApplyOrderDocument { registry, confirm_ready })?;
        let (query, patience) = match wait {
            Wait::No => ("?wait=false".to_owned(), Some(READING)),
            Wait::Forever => (String::new(), None),
            Wait::For(limit) => {
                let reading = PATIENCE.saturating_add(GRACE);
                (format!("?timeout={}", limit.as_secs_f64()), Some(limit.saturating_add(reading)))
            }
        };
        self.exchange("POST", &format!("/v1/apply{query}"), &body, patience)
    }
}

fn written(document: &impl serde::Serialize) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(document).map_err(|error| ClientError::Broken(error.to_string()))
}

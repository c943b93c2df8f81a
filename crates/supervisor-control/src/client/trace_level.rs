//! How much the supervisor tells in its own log.

use super::{Client, ClientError, PATIENCE};
use crate::wire::TraceLevelDocument;

impl Client {
    /// The trace level of the supervisor's own log, from 1 to 4.
    ///
    /// # Errors
    /// [`ClientError`]; `Refused` with 404: it is part of another program and has none.
    pub fn trace_level(&self) -> Result<u8, ClientError> {
        let answer: TraceLevelDocument = self.exchange("GET", "/v1/tracelevel", &[], Some(PATIENCE))?;
        Ok(answer.level)
    }

    /// Has the supervisor tell more or less from now on, until it is begun anew; which level holds then.
    ///
    /// # Errors
    /// As [`Client::trace_level`]; `Refused` with 400: there is no such level.
    pub fn set_trace_level(&self, level: u8) -> Result<u8, ClientError> {
        let order = TraceLevelDocument { level };
        let body = serde_json::to_vec(&order).map_err(|error| ClientError::Broken(error.to_string()))?;
        let answer: TraceLevelDocument = self.exchange("POST", "/v1/tracelevel", &body, Some(PATIENCE))?;
        Ok(answer.level)
    }
}

//! The supervisor's own log.

use super::{Client, ClientError, PATIENCE};
use crate::wire::OwnLogDocument;

impl Client {
    /// Has the file of the supervisor's own log end, and another begin.
    ///
    /// # Errors
    /// [`ClientError`]; `Refused` with 404: it is part of another program and has none.
    pub fn rotate_log(&self) -> Result<OwnLogDocument, ClientError> {
        self.exchange("POST", "/v1/log/rotate", &[], Some(PATIENCE))
    }
}

//! One component from all sides.

use super::{Client, ClientError, PATIENCE, push_encoded};
use crate::wire::DetailDocument;

impl Client {
    /// The one component that this name means, from all sides.
    ///
    /// # Errors
    /// [`ClientError`]; `Refused` with 404 if the name means none or several.
    pub fn detail(&self, name: &str) -> Result<DetailDocument, ClientError> {
        let mut path = String::from("/v1/components/");
        push_encoded(&mut path, name);
        path.push_str("/detail");
        self.exchange("GET", &path, &[], Some(PATIENCE))
    }
}

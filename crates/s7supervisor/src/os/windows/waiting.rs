//! How commands that would go on without end are ended.

use super::console;
use crate::exit::Failure;

/// From now on Ctrl-C is how this command ends, and no failure.
pub(crate) fn end_on_signals() -> Result<(), Failure> {
    console::end_on_events().map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))
}

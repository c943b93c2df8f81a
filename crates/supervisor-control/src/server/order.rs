//! From what a request says to what the supervisor is asked for.

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use supervisor::{Request, Signal, Targets};

use super::problem::Problem;
use crate::wire::{SelectionDocument, SignalDocument, StopDocument, WaitDocument};

/// What the body of a request says of how something is to be done, and with whom unless the path tells that.
pub(super) trait Order: DeserializeOwned + Default + Send + 'static {
    /// Whom it names.
    fn take_components(&mut self) -> Option<Vec<String>>;
}

/// How a document is read about these components.
pub(super) type Read<D> = fn(&D, Targets) -> Result<Request, Problem>;

pub(super) fn start(_: &SelectionDocument, targets: Targets) -> Result<Request, Problem> {
    Ok(Request::Start(targets))
}

pub(super) fn stop(document: &StopDocument, targets: Targets) -> Result<Request, Problem> {
    Ok(Request::Stop { targets, dependants: document.dependants })
}

pub(super) fn restart(_: &SelectionDocument, targets: Targets) -> Result<Request, Problem> {
    Ok(Request::Restart(targets))
}

pub(super) fn reset(_: &SelectionDocument, targets: Targets) -> Result<Request, Problem> {
    Ok(Request::Reset(targets))
}

pub(super) fn reload(_: &SelectionDocument, targets: Targets) -> Result<Request, Problem> {
    Ok(Request::Reload(targets))
}

pub(super) fn signal(document: &SignalDocument, targets: Targets) -> Result<Request, Problem> {
    let name: String = document.signal.chars().take(80).collect();
    match Signal::from_name(&name) {
        Some(signal) => Ok(Request::Signal { targets, signal }),
        None => {
            let detail = format!(
                "cannot send {name:?}: no such signal; give its name ({{\"signal\": \"HUP\"}}) or its number"
            );
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}

pub(super) fn rotate(_: &SelectionDocument, targets: Targets) -> Result<Request, Problem> {
    Ok(Request::Rotate(targets))
}

pub(super) fn wait(document: &WaitDocument, targets: Targets) -> Result<Request, Problem> {
    Ok(Request::Wait { targets, until: document.until })
}

impl Order for SelectionDocument {
    fn take_components(&mut self) -> Option<Vec<String>> {
        self.components.take()
    }
}

impl Order for StopDocument {
    fn take_components(&mut self) -> Option<Vec<String>> {
        self.components.take()
    }
}

impl Order for SignalDocument {
    fn take_components(&mut self) -> Option<Vec<String>> {
        self.components.take()
    }
}

impl Order for WaitDocument {
    fn take_components(&mut self) -> Option<Vec<String>> {
        self.components.take()
    }
}

//! What runs, as it was declared.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::App;
use super::extract::Names;
use super::problem::{self, Problem};
use crate::wire::declared;

/// Who tells what is declared beside the components, if anybody does.
#[derive(Clone, Default)]
pub(super) struct About(pub(super) Option<Arc<dyn Fn() -> Value + Send + Sync>>);

/// All of it, or some components.
pub(super) async fn registry(State(app): State<App>, Names(targets): Names) -> Result<Response, Problem> {
    let components: Vec<_> = app.handle.specs(targets)?.iter().map(declared).collect();
    let about = app.about.0.as_ref().map(|about| about());
    Ok(problem::json(StatusCode::OK, &json!({"registry": about, "components": components})))
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("About").field(&self.0.is_some()).finish()
    }
}

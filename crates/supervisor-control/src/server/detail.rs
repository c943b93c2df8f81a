//! One component from all sides.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use supervisor::Targets;

use super::App;
use super::extract::Name;
use super::problem::{Problem, json};
use crate::wire::{DetailDocument, wall_clock};

/// All that is known of the one component that the name means.
pub(super) async fn detail(State(app): State<App>, Name(name): Name) -> Result<Response, Problem> {
    let meant = app.handle.meant_by(&Targets::from(name.as_str()))?;
    let [id] = meant.as_slice() else {
        let detail = format!("{name:?} means {} components; ask for one of them", meant.len());
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    Ok(json(StatusCode::OK, &DetailDocument::new(&app.handle.detail(id)?, wall_clock())))
}

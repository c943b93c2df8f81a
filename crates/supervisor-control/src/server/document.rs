//! What can be asked for, described for programs: the OpenAPI document.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// It is written by hand, and a test asks the server whether it is true.
pub(super) const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

pub(super) async fn openapi() -> Response {
    let kind = HeaderValue::from_static("application/json");
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], OPENAPI).into_response()
}

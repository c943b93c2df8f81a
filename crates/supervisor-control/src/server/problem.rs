//! Answers: documents, and problems as RFC 9457 has them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use supervisor::RequestError;

use crate::wire::ProblemDocument;

/// The type of a problem's document.
const PROBLEM: &str = "application/problem+json";

/// Why a request was refused.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    dependants: Vec<String>,
    problems: Vec<String>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), dependants: Vec::new(), problems: Vec::new() }
    }

    /// A registry cannot be used, for these reasons.
    pub(super) fn of_registry(detail: String, problems: Vec<String>) -> Self {
        Self { problems, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// Whoever asks has to say first who it is.
    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// What could not be done, why, and what to do.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The whole answer for a peer whose requests are not read: it is the last on its connection.
    pub(super) fn unasked(self) -> Vec<u8> {
        let status = self.status;
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {PROBLEM}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    fn document(self) -> ProblemDocument {
        ProblemDocument {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            dependants: self.dependants,
            problems: self.problems,
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let status = match error {
            RequestError::Unknown { .. } => StatusCode::NOT_FOUND,
            RequestError::ShuttingDown | RequestError::Ended => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        let problem = Self::new(status, error.to_string());
        match error {
            RequestError::Dependants { dependants, .. } => {
                Self { dependants: dependants.iter().map(ToString::to_string).collect(), ..problem }
            }
            _ => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut answer = answer(status, PROBLEM, &self.document());
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"s7supervisor\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        answer
    }
}

/// An answer with a document.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Response {
    answer(status, "application/json", document)
}

fn answer(status: StatusCode, content_type: &'static str, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(bytes) => {
            let content_type = HeaderValue::from_static(content_type);
            (status, [(header::CONTENT_TYPE, content_type)], bytes).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

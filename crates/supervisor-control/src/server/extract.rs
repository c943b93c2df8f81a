//! What a request says, read strictly: whatever is not understood is refused, never ignored.

mod query;

use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use supervisor::Targets;

use super::App;
use super::connection::Crowded;
use super::problem::Problem;
use query::Pairs;
pub(super) use query::{Awaited, JournalQuery, LastEvent, LogQuery, Which};

/// The largest body of a request, in bytes.
pub(super) const BODY_SIZE: usize = 1024 * 1024;

/// Nobody waits for longer than so many seconds.
const LONGEST_WAIT: f64 = 1e9;

/// The most names in one request: as many as a registry may have components.
const MAX_NAMES: usize = 10_000;

/// The most globs in one request: each is held against every id.
const MAX_GLOBS: usize = 100;

/// The components that `?id=NAME`, any number of times, is about: all if there is none.
pub(super) struct Names(pub(super) Targets);

impl FromRequestParts<App> for Names {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let mut query = Pairs::of(parts)?;
        let targets = query.targets()?;
        query.end(&["id"])?;
        Ok(Self(targets.unwrap_or(Targets::All)))
    }
}

/// The components of these names, if there are not too many of them.
pub(super) fn named(mut names: Vec<String>) -> Result<Targets, Problem> {
    names.sort_unstable();
    names.dedup();
    if names.len() > MAX_NAMES {
        return Err(bad(format!("cannot take more than {MAX_NAMES} names in one request; use a glob")));
    }
    if names.iter().filter(|name| name.contains(['*', '?', '['])).count() > MAX_GLOBS {
        return Err(bad(format!("cannot take more than {MAX_GLOBS} globs in one request")));
    }
    Ok(Targets::Named(names))
}

/// The name in the path.
pub(super) struct Name(pub(super) String);

impl FromRequestParts<App> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, app).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// How long whoever asks wants to wait for what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all: `?wait=false`.
    None,
    /// So long: `?timeout=SECONDS`.
    For(Duration),
    /// Until it has happened or can no longer happen.
    Forever,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatienceQuery {
    wait: Option<bool>,
    timeout: Option<f64>,
}

impl FromRequestParts<App> for Patience {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let query: PatienceQuery = read_query(parts)?;
        if query.wait != Some(false) {
            refuse_if_crowded(parts)?;
        }
        match (query.wait, query.timeout.map(wait_of)) {
            (_, Some(None)) => Err(bad(format!("cannot read the query: timeout must be {SECONDS}"))),
            (Some(false), _) => Ok(Self::None),
            (_, Some(Some(timeout))) => Ok(Self::For(timeout)),
            (_, None) => Ok(Self::Forever),
        }
    }
}

/// What a time to wait has to be.
pub(super) const SECONDS: &str = "a number of seconds, a billion at most";

/// So many seconds, if nobody has to wait for longer than anybody would.
pub(super) fn wait_of(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds <= LONGEST_WAIT)
}

/// So many requests may be waiting that another one may not.
fn refuse_if_crowded(parts: &Parts) -> Result<(), Problem> {
    if parts.extensions.get::<Crowded>().is_none() {
        return Ok(());
    }
    let detail = "too many requests are waiting already; ask without waiting (wait=false), or later";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
}

/// The document in the body; an empty body is the same as `{}`.
pub(super) struct Document<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let too_large = || {
            let detail = format!("cannot take a body of more than {BODY_SIZE} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        };
        // What announces its size is refused before any of it is read.
        if request.body().size_hint().lower() > BODY_SIZE as u64 {
            return Err(too_large());
        }
        let reading = Bytes::from_request(request, app);
        let bytes = match tokio::time::timeout(app.limits.body_time, reading).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(too_large()),
            Ok(Err(error)) => return Err(Problem::new(error.status(), error.body_text())),
            Err(_) => {
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to come"));
            }
        };
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            let detail = "cannot read the body: its Content-Type must be application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        // serde takes a list for the fields of a document in their order, so that `[]` would mean every component.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(bad("cannot read the body: it must be a JSON object"));
        }
        match serde_json::from_slice(&bytes) {
            Ok(document) => Ok(Self(document)),
            Err(error) => Err(bad(format!("cannot read the body: {error}"))),
        }
    }
}

/// Whether the headers say that the body is JSON, with whatever parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn read_query<T: DeserializeOwned>(parts: &Parts) -> Result<T, Problem> {
    match Query::try_from_uri(&parts.uri) {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => Err(bad(rejection.body_text())),
    }
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

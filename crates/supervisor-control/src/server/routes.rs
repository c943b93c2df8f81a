//! What can be asked for, by path and method.

use std::collections::HashSet;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};
use supervisor::{ComponentId, Request, RequestError, Submitted, Targets};
use tokio::sync::oneshot;

use super::App;
use super::connection::{Crowded, Endless};
use super::detail::detail;
use super::extract::{BODY_SIZE, Document, Name, Names, Patience, named};
use super::order::{self, Order};
use super::peer::Peer;
use super::problem::{Problem, json};
use crate::wire::{
    ComponentsAnswer, OutcomeDocument, ShutdownDocument, StatusAnswer, SupervisorDocument,
    TraceLevelDocument, UpgradeOrderDocument, rfc3339, wall_clock,
};

/// Every path under `/v1/`.
pub(super) fn router(app: App) -> Router {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/components", get(components))
        .route("/v1/events", get(events))
        .route("/v1/components/{id}", get(component))
        .route("/v1/components/{id}/detail", get(detail))
        .route("/v1/shutdown", post(shutdown))
        .route("/v1/upgrade", post(upgrade))
        .route("/v1/tracelevel", get(trace_level).post(set_trace_level));
    let router = verb(router, "start", order::start);
    let router = verb(router, "stop", order::stop);
    let router = verb(router, "restart", order::restart);
    let router = verb(router, "reset", order::reset);
    let router = verb(router, "reload", order::reload);
    let router = verb(router, "signal", order::signal);
    let router = verb(router, "wait", order::wait);
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_SIZE))
        .with_state(app)
}

/// What can be asked of one component by its path, and of several by the document in the body.
fn verb<D: Order>(router: Router<App>, verb: &str, read: order::Read<D>) -> Router<App> {
    let one = async move |State(app): State<App>,
                          Extension(peer): Extension<Peer>,
                          Name(name): Name,
                          patience: Patience,
                          Document(mut document): Document<D>| {
        if document.take_components().is_some() {
            let detail =
                "cannot read the body: its \"components\" do not belong where the path names the component";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        act(&app, read(&document, Targets::Named(vec![name]))?, peer, patience).await
    };
    let several = async move |State(app): State<App>,
                              Extension(peer): Extension<Peer>,
                              patience: Patience,
                              Document(mut document): Document<D>| {
        let targets = document.take_components().map_or(Ok(Targets::All), named)?;
        act(&app, read(&document, targets)?, peer, patience).await
    };
    router
        .route(&format!("/v1/components/{{id}}/{verb}"), post(one))
        .route(&format!("/v1/{verb}"), post(several))
}

async fn status(State(app): State<App>, Names(targets): Names) -> Result<Response, Problem> {
    let status = app.handle.status_of(targets)?;
    let supervisor = SupervisorDocument {
        pid: std::process::id(),
        version: app.version.to_string(),
        began: app.began.map(rfc3339),
        registry: app.registry.as_deref().map(str::to_owned),
        conditions: app.conditions.now(),
        upgrade: app.upgrade.as_deref().cloned(),
        ..SupervisorDocument::default()
    };
    Ok(json(StatusCode::OK, &StatusAnswer::new(supervisor, &status, wall_clock())))
}

async fn components(State(app): State<App>, Names(targets): Names) -> Result<Response, Problem> {
    let status = app.handle.status_of(targets)?;
    Ok(json(StatusCode::OK, &ComponentsAnswer { status: &status, now: wall_clock() }))
}

async fn component(State(app): State<App>, Name(name): Name) -> Result<Response, Problem> {
    let status = app.handle.status_of(name.as_str())?;
    let answer = ComponentsAnswer { status: &status, now: wall_clock() };
    let mut found = answer.documents();
    if let (Some(only), None) = (found.next(), found.next()) {
        return Ok(json(StatusCode::OK, &only));
    }
    let count = status.components.len();
    let detail = format!("{name:?} means {count} components; ask for /v1/components?id=NAME");
    Err(Problem::new(StatusCode::NOT_FOUND, detail))
}

/// All that happens from now on. The answer is under way until the supervisor ends, or whoever reads it goes away.
async fn events(State(app): State<App>, crowded: Option<Extension<Crowded>>) -> Result<Response, Problem> {
    if crowded.is_some() {
        let detail = "too many requests are waiting already; try again later";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    }
    let mut answer = Response::new(Body::new(app.feed.follow()?));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer.extensions_mut().insert(Endless);
    Ok(answer)
}

async fn shutdown(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    patience: Patience,
    Document(document): Document<ShutdownDocument>,
) -> Result<Response, Problem> {
    act(&app, Request::Shutdown { immediately: document.immediately }, peer, patience).await
}

async fn upgrade(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Document(document): Document<UpgradeOrderDocument>,
) -> Result<Response, Problem> {
    app.upgrader.ask(document.executable, peer.0).await
}

async fn trace_level(State(app): State<App>, Extension(peer): Extension<Peer>) -> Result<Response, Problem> {
    app.trace_level.ask(None, &peer.0)
}

async fn set_trace_level(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Document(document): Document<TraceLevelDocument>,
) -> Result<Response, Problem> {
    app.trace_level.ask(Some(document.level), &peer.0)
}

/// Asks for something about components, and tells of each what came of it.
async fn act(app: &App, request: Request, peer: Peer, patience: Patience) -> Result<Response, Problem> {
    // Who is meant need not be looked up where everybody is.
    let asked: Option<HashSet<ComponentId>> = match request.targets() {
        None | Some(Targets::All) => None,
        Some(targets) => Some(app.handle.meant_by(targets)?.into_iter().collect()),
    };
    ask(app, request, peer, patience, |id| asked.as_ref().is_none_or(|asked| asked.contains(id))).await
}

/// Passes the request on and waits as long as whoever asks wants to. If it goes away meanwhile, this future is
/// dropped, and the request goes on without it.
async fn ask(
    app: &App,
    request: Request,
    peer: Peer,
    patience: Patience,
    asked: impl Fn(&ComponentId) -> bool,
) -> Result<Response, Problem> {
    let (done, outcome) = oneshot::channel();
    let submitted = app.handle.submit(request, peer.0, move |outcome| drop(done.send(outcome)))?;
    let mut waiter = Waiter { submitted, is_answered: false };
    let outcome = match patience {
        Patience::None => None,
        Patience::For(limit) => tokio::time::timeout(limit, outcome).await.ok(),
        Patience::Forever => Some(outcome.await),
    };
    waiter.is_answered = outcome.is_some();
    match outcome {
        None => Ok(json(StatusCode::ACCEPTED, &OutcomeDocument::default())),
        Some(Ok(outcome)) => {
            let status = if outcome.is_success() { StatusCode::OK } else { StatusCode::CONFLICT };
            Ok(json(status, &OutcomeDocument::new(&outcome, asked)))
        }
        Some(Err(_)) => Err(RequestError::Ended.into()),
    }
}

/// Waits for the answer to a request. It is forgotten when the wait ends without one, however that comes about.
struct Waiter {
    submitted: Submitted,
    is_answered: bool,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if !self.is_answered {
            self.submitted.forget();
        }
    }
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {:?}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{:?} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

//! What can be asked for, by path and method.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use supervisor::{Dependants, Request, Targets};
use tokio::sync::oneshot;

use super::App;
use super::connection::{Crowded, Endless};
use super::extract::{BODY_SIZE, Document, Name, Names, Nothing, Patience, named};
use super::peer::Peer;
use super::problem::{Problem, json};
use crate::wire::{
    ComponentsAnswer, OutcomeDocument, SelectionDocument, ShutdownDocument, StatusAnswer, SupervisorDocument,
    wall_clock,
};

/// Every path under `/v1/`.
pub(super) fn router(app: App) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/components", get(components))
        .route("/v1/events", get(events))
        .route("/v1/components/{id}", get(component))
        .route("/v1/components/{id}/start", act_on_one(Request::Start))
        .route("/v1/components/{id}/stop", act_on_one(stop))
        .route("/v1/components/{id}/restart", act_on_one(Request::Restart))
        .route("/v1/start", act_on_several(Request::Start))
        .route("/v1/stop", act_on_several(stop))
        .route("/v1/restart", act_on_several(Request::Restart))
        .route("/v1/shutdown", post(shutdown))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_SIZE))
        .with_state(app)
}

fn stop(targets: Targets) -> Request {
    Request::Stop { targets, dependants: Dependants::Refuse }
}

async fn status(State(app): State<App>, Names(targets): Names) -> Result<Response, Problem> {
    let status = app.handle.status_of(targets)?;
    let supervisor = SupervisorDocument {
        pid: std::process::id(),
        version: app.version.to_string(),
        registry: app.registry.as_deref().map(str::to_owned),
        conditions: app.conditions.now(),
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

fn act_on_one(request: fn(Targets) -> Request) -> MethodRouter<App> {
    post(
        async move |State(app): State<App>,
                    Extension(peer): Extension<Peer>,
                    Name(name): Name,
                    patience: Patience,
                    Document(Nothing {}): Document<Nothing>| {
            ask(&app, request(Targets::Named(vec![name])), peer, patience).await
        },
    )
}

fn act_on_several(request: fn(Targets) -> Request) -> MethodRouter<App> {
    post(
        async move |State(app): State<App>,
                    Extension(peer): Extension<Peer>,
                    patience: Patience,
                    Document(selection): Document<SelectionDocument>| {
            let targets = selection.components.map_or(Ok(Targets::All), named)?;
            ask(&app, request(targets), peer, patience).await
        },
    )
}

async fn shutdown(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    patience: Patience,
    Document(document): Document<ShutdownDocument>,
) -> Result<Response, Problem> {
    ask(&app, Request::Shutdown { immediately: document.immediately }, peer, patience).await
}

/// Passes the request on and waits as long as whoever asks wants to. If it goes away meanwhile, this future is
/// dropped and the request goes on.
async fn ask(app: &App, request: Request, peer: Peer, patience: Patience) -> Result<Response, Problem> {
    let (done, outcome) = oneshot::channel();
    app.handle.submit(request, peer.0, move |outcome| drop(done.send(outcome)))?;
    let outcome = match patience {
        Patience::None => None,
        Patience::For(limit) => tokio::time::timeout(limit, outcome).await.ok(),
        Patience::Forever => Some(outcome.await),
    };
    match outcome {
        None => Ok(json(StatusCode::ACCEPTED, &OutcomeDocument::default())),
        Some(Ok(outcome)) => {
            let status = if outcome.is_success() { StatusCode::OK } else { StatusCode::CONFLICT };
            Ok(json(status, &OutcomeDocument::from(&outcome)))
        }
        Some(Err(_)) => Err(supervisor::RequestError::Ended.into()),
    }
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {:?}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{:?} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

//! What can be asked for, by path and method.

use std::collections::HashSet;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use supervisor::{ComponentId, Outcome, Request, RequestError, Status, Submitted, Targets};
use tokio::sync::oneshot;

use super::change::Change;
use super::connection::{Crowded, Endless};
use super::detail::detail;
use super::extract::{Awaited, BODY_SIZE, Document, LastEvent, Name, Patience, SECONDS, named, wait_of};
use super::order::{self, Order};
use super::peer::Peer;
use super::problem::{Problem, json};
use super::resume;
use super::{App, document, health, journal, logs, registry};
use crate::wire::{
    ApplyOrderDocument, ComponentDocument, ComponentsAnswer, NothingDocument, OutcomeDocument,
    PlanOrderDocument, ShutdownDocument, StatusAnswer, SupervisorDocument, TraceLevelDocument,
    UpgradeOrderDocument, rfc3339, started, wall_clock,
};

/// Every path, each of which is in `docs/openapi.json` too.
pub(super) fn router(app: App) -> Router {
    Routes::all()
        .router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_SIZE))
        .with_state(app)
}

/// The paths, and what is done there.
#[derive(Default)]
struct Routes {
    router: Router<App>,
    paths: Vec<String>,
}

impl Routes {
    fn all() -> Self {
        let routes = Self::default()
            .with(health::ALIVE, get(health::alive))
            .with(health::READY, get(health::ready))
            .with("/v1/openapi.json", get(document::openapi))
            .with("/v1/status", get(status))
            .with("/v1/components", get(components))
            .with("/v1/components/{id}", get(component))
            .with("/v1/components/{id}/detail", get(detail))
            .with("/v1/components/{id}/logs", get(logs::logs))
            .with("/v1/events", get(events))
            .with("/v1/journal", get(journal::journal))
            .with("/v1/registry", get(registry::registry))
            .with("/v1/shutdown", post(shutdown))
            .with("/v1/plan", post(plan))
            .with("/v1/apply", post(apply))
            .with("/v1/upgrade", post(upgrade))
            .with("/v1/tracelevel", get(trace_level).post(set_trace_level))
            .with("/v1/log/rotate", post(rotate_log));
        routes
            .verb("start", order::start)
            .verb("stop", order::stop)
            .verb("restart", order::restart)
            .verb("reset", order::reset)
            .verb("reload", order::reload)
            .verb("signal", order::signal)
            .verb("rotate", order::rotate)
            .verb("wait", order::wait)
    }

    fn with(mut self, path: &str, done: MethodRouter<App>) -> Self {
        self.router = self.router.route(path, done);
        self.paths.push(path.to_owned());
        self
    }

    /// What can be asked of one component by its path, and of several by the document in the body.
    fn verb<D: Order>(self, verb: &str, read: order::Read<D>) -> Self {
        let one = async move |State(app): State<App>,
                              Extension(peer): Extension<Peer>,
                              Name(name): Name,
                              patience: Patience,
                              Document(mut document): Document<D>| {
            if document.take_components().is_some() {
                let detail = "cannot read the body: its \"components\" do not belong where the path names the component";
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
        self.with(&format!("/v1/components/{{id}}/{verb}"), post(one))
            .with(&format!("/v1/{verb}"), post(several))
    }
}

async fn status(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    awaited: Awaited,
) -> Result<Response, Problem> {
    let (code, status) = state(&app, peer, awaited).await?;
    let supervisor = SupervisorDocument {
        pid: std::process::id(),
        version: app.version.to_string(),
        began: app.began.map(rfc3339),
        registry: app.registry.as_deref().map(str::to_owned),
        conditions: app.conditions.now(),
        upgrade: app.upgrade.as_deref().cloned(),
        ..SupervisorDocument::default()
    };
    Ok(json(code, &StatusAnswer::new(supervisor, &status, wall_clock())))
}

async fn components(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    awaited: Awaited,
) -> Result<Response, Problem> {
    let (code, status) = state(&app, peer, awaited).await?;
    Ok(json(code, &ComponentsAnswer { status: &status, now: wall_clock() }))
}

async fn component(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Name(name): Name,
    awaited: Awaited,
) -> Result<Response, Problem> {
    if awaited.targets.is_some() {
        let detail = "cannot read the query: an \"id\" does not belong where the path names the component";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let targets = Targets::Named(vec![name.clone()]);
    let meant = app.handle.meant_by(&targets)?;
    let [id] = meant.as_slice() else {
        let detail = format!("{name:?} means {} components; ask for /v1/components?id=NAME", meant.len());
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let code = awaited_code(&app, peer, targets, &awaited).await?;
    let (component, uptime) = app.handle.component(id)?;
    Ok(json(code, &ComponentDocument::new(&component, started(wall_clock(), uptime))))
}

/// The state that is asked for, when what is waited for is so, or can no longer be waited for.
async fn state(app: &App, peer: Peer, awaited: Awaited) -> Result<(StatusCode, Status), Problem> {
    let targets = awaited.targets.clone().unwrap_or(Targets::All);
    let code = awaited_code(app, peer, targets.clone(), &awaited).await?;
    Ok((code, app.handle.status_of(targets)?))
}

/// What the answer says of what is waited for: once it is so, or has not become so in time.
async fn awaited_code(
    app: &App,
    peer: Peer,
    targets: Targets,
    awaited: &Awaited,
) -> Result<StatusCode, Problem> {
    let Some(until) = awaited.until else { return Ok(StatusCode::OK) };
    let patience = awaited.timeout.map_or(Patience::Forever, Patience::For);
    let came = wait(app, Request::Wait { targets, until }, peer, patience).await?.is_some();
    Ok(if came { StatusCode::OK } else { StatusCode::ACCEPTED })
}

/// All that happens from now on, or after the last that somebody has. The answer is under way until the supervisor ends, or
/// whoever reads it goes away.
async fn events(
    State(app): State<App>,
    crowded: Option<Extension<Crowded>>,
    LastEvent(last): LastEvent,
) -> Result<Response, Problem> {
    if crowded.is_some() {
        let detail = "too many requests are waiting already; try again later";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    }
    let (from, live) = app.feed.follow()?;
    let body = match last {
        None => Body::new(live),
        Some(last) => Body::new(resume::after(last, app.journal, app.reading, from, live)),
    };
    let mut answer = Response::new(body);
    endless(&mut answer);
    Ok(answer)
}

/// Says of an answer that it is a stream of events, which ends with its connection.
pub(super) fn endless(answer: &mut Response) {
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer.extensions_mut().insert(Endless);
}

async fn shutdown(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    patience: Patience,
    Document(document): Document<ShutdownDocument>,
) -> Result<Response, Problem> {
    act(&app, Request::Shutdown { immediately: document.immediately }, peer, patience).await
}

async fn plan(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Document(document): Document<PlanOrderDocument>,
) -> Result<Response, Problem> {
    app.changer.ask(document.registry, Change::Plan, peer.0, Patience::None).await
}

async fn apply(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    patience: Patience,
    Document(document): Document<ApplyOrderDocument>,
) -> Result<Response, Problem> {
    let confirm_ready = match document.confirm_ready.map(wait_of) {
        Some(None) => {
            let detail = format!("cannot read the body: confirmReady must be {SECONDS}");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        confirm_ready => confirm_ready.flatten(),
    };
    app.changer.ask(document.registry, Change::Apply { confirm_ready }, peer.0, patience).await
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

async fn rotate_log(
    State(app): State<App>,
    Document(_): Document<NothingDocument>,
) -> Result<Response, Problem> {
    app.own_log.rotate()
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

/// Passes the request on, waits as long as whoever asks wants to, and tells what came of it.
async fn ask(
    app: &App,
    request: Request,
    peer: Peer,
    patience: Patience,
    asked: impl Fn(&ComponentId) -> bool,
) -> Result<Response, Problem> {
    let Some(outcome) = wait(app, request, peer, patience).await? else {
        return Ok(json(StatusCode::ACCEPTED, &OutcomeDocument::default()));
    };
    let status = if outcome.is_success() { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(json(status, &OutcomeDocument::new(&outcome, asked)))
}

/// Passes the request on and waits as long as whoever asks wants to: `None`, if that was not long enough. If it goes away
/// meanwhile, this future is dropped, and the request goes on without it.
async fn wait(
    app: &App,
    request: Request,
    peer: Peer,
    patience: Patience,
) -> Result<Option<Outcome>, Problem> {
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
        None => Ok(None),
        Some(Ok(outcome)) => Ok(Some(outcome)),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_every_path_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(document::OPENAPI).unwrap();
        let told: BTreeSet<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
        let there: BTreeSet<_> = Routes::all().paths.into_iter().collect();
        assert_eq!(told, there);
    }
}

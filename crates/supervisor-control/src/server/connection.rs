//! One connection: requests are read and answered one after the other, each within its time.
//!
//! hyper has a time limit for heads of its own, but starts it when the answer before is sent, so that a kept
//! connection could idle no longer than a head may take. So the connection watches its traffic itself:
//!
//! ```text
//! accepted ──► Head ── head complete ──► Request ── answer made ──► Idle
//!               ▲  closed head_time                                  │ closed idle_time after
//!               │  after the first                                   │ the last byte of traffic
//!               └──────────────────── first byte ────────────────────┘
//! ```
//!
//! A client may send the beginning of its next head before it has the answer. It is then read with what is before it,
//! so that no byte tells when the answer is made: the connection counts what came beyond the request. Nor is anything read after it
//! until then, so that hyper would not notice that the client has gone: the connection watches for that itself.

mod activity;
mod watched;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::time::{Instant, sleep, sleep_until};

pub(super) use self::activity::Activity;
use self::watched::Watched;
use super::gate::{Gate, HELD_BACK, Refusal};
use super::peer::{Access, Peer};
use crate::os::{HangUp, Stream};

/// The largest head of a request, in bytes.
const HEAD_SIZE: usize = 16 * 1024;

/// By whom and how the requests of a connection are answered.
pub(super) struct Desk<C> {
    pub(super) peer: Peer,
    pub(super) gate: Gate,
    pub(super) router: Router,
    /// Whether so many are waiting for their answers that no more may wait.
    pub(super) is_crowded: C,
}

/// Serves a connection until it ends, a time limit is over, or `graceful` says that it is enough.
pub(super) async fn serve<C: Fn() -> bool>(
    stream: Stream,
    desk: Desk<C>,
    activity: Rc<Activity>,
    graceful: Watcher,
) {
    let desk = &desk;
    let service = service_fn(|request: hyper::Request<Incoming>| {
        activity.request_came(request.body().size_hint().exact().unwrap_or(0));
        let logged = Logged::new(&request, &desk.peer);
        let activity = &activity;
        async move {
            let answer = desk.answer(request, activity).await;
            if answer.extensions().get::<Endless>().is_none() {
                activity.answer_is_made();
            }
            logged.answered(&answer);
            Ok::<_, Infallible>(answer)
        }
    });
    let stream = Rc::new(stream);
    let watched = Watched::new(Rc::clone(&stream), Rc::clone(&activity));
    let connection = http1::Builder::new()
        .max_buf_size(HEAD_SIZE)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(graceful.watch(connection));
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut hang_up = None;

    // Whatever ends it, an error of the peer or the time, there is nobody left to tell.
    poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if activity.is_unread() {
            // Where no descriptor is left it is noticed when something is written.
            hang_up = hang_up.take().or_else(|| HangUp::of(&stream).ok());
            if hang_up.as_ref().is_some_and(|hang_up: &HangUp| hang_up.has_come(context)) {
                return Poll::Ready(());
            }
        } else {
            hang_up = None;
        }
        let Some(deadline) = activity.deadline() else { return Poll::Pending };
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    })
    .await;
}

impl<C: Fn() -> bool> Desk<C> {
    /// The answer to a request, if it may be made.
    async fn answer(&self, mut request: hyper::Request<Incoming>, activity: &Activity) -> Response {
        match self.gate.admit(&request) {
            Ok(access) => {
                if access != Access::Stranger {
                    activity.is_known();
                }
                request.extensions_mut().insert(self.peer.clone());
                if (self.is_crowded)() {
                    request.extensions_mut().insert(Crowded);
                }
                let router = TowerToHyperService::new(self.router.clone());
                router.call(request).await.unwrap_or_else(|never| match never {})
            }
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    /// Whoever is not known has had its chance, and whoever guesses has to wait.
    async fn refuse(&self, refusal: Refusal) -> Response {
        if let Refusal::WrongToken(untold) = refusal {
            if let Some(count) = untold {
                tracing::warn!(target: "control", count, "a wrong token, from what would be {}", self.peer.0);
            }
            sleep(HELD_BACK).await;
        }
        let mut answer = refusal.into_problem().into_response();
        answer.extensions_mut().insert(Refused);
        if matches!(self.gate, Gate::Token(_)) {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// Says of a request that so many are waiting for their answers that this one must not wait too.
#[derive(Clone, Copy)]
pub(super) struct Crowded;

/// Says of an answer that the request was not looked at.
#[derive(Clone, Copy)]
struct Refused;

/// Says of an answer that it ends with its connection: until then, that waits for an answer.
#[derive(Clone, Copy)]
pub(super) struct Endless;

/// The line of the log about a request.
struct Logged {
    peer: Peer,
    method: hyper::Method,
    path: String,
    began: Instant,
}

impl Logged {
    fn new(request: &hyper::Request<Incoming>, peer: &Peer) -> Self {
        let path = request.uri().path().to_owned();
        Self { peer: peer.clone(), method: request.method().clone(), path, began: Instant::now() }
    }

    /// Requests that change something are told at `info`, questions and what was not looked at, at `debug`.
    fn answered(self, answer: &Response) {
        let Self { peer: Peer(peer), method, path, began } = self;
        let (status, duration) = (answer.status().as_u16(), began.elapsed());
        if method.is_safe() || answer.extensions().get::<Refused>().is_some() {
            tracing::debug!(target: "control", %peer, %method, path, status, ?duration);
        } else {
            tracing::info!(target: "control", %peer, %method, path, status, ?duration);
        }
    }
}

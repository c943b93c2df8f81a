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

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

use super::Limits;
use super::peer::Peer;

/// The largest head of a request, in bytes.
const HEAD_SIZE: usize = 16 * 1024;

/// Serves a connection until it ends, a time limit is over, or `graceful` says that it is enough.
pub(super) async fn serve(
    stream: UnixStream,
    peer: Peer,
    router: Router,
    activity: Rc<Activity>,
    graceful: Watcher,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        activity.request_came();
        let logged = Logged::new(&request, &peer);
        request.extensions_mut().insert(peer.clone());
        let answering = router.call(request);
        let activity = &activity;
        async move {
            let answer = answering.await;
            activity.answer_is_made();
            answer.inspect(|answer| logged.answered(answer.status().as_u16()))
        }
    });
    let watched = Watched { stream, activity: Rc::clone(&activity) };
    let connection = http1::Builder::new()
        .max_buf_size(HEAD_SIZE)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(graceful.watch(connection));
    let mut timer = pin!(sleep_until(activity.accepted));

    // Whatever ends it, an error of the peer or the time, there is nobody left to tell.
    poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let Some(deadline) = activity.deadline() else { return Poll::Pending };
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    })
    .await;
}

/// What a connection is doing, for its own time limits and for choosing which one to close when there are too many.
pub(super) struct Activity {
    limits: Limits,
    accepted: Instant,
    phase: Cell<Phase>,
    last_byte: Cell<Instant>,
}

#[derive(Clone, Copy)]
enum Phase {
    /// A head is being waited for since then.
    Head { since: Instant },
    /// A request is being read or answered.
    Request,
    /// The last answer is made; it may still be on its way out.
    Idle,
}

impl Activity {
    /// That of a connection that has just been accepted.
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let (phase, last_byte) = (Cell::new(Phase::Head { since: now }), Cell::new(now));
        Self { limits, accepted: now, phase, last_byte }
    }

    /// Whether a request has been taken up and its answer is not made yet.
    pub(super) fn has_request(&self) -> bool {
        matches!(self.phase.get(), Phase::Request)
    }

    /// Whether nothing is lost when the connection is closed: no request is there, and no answer is on its way.
    pub(super) fn is_fresh(&self) -> bool {
        matches!(self.phase.get(), Phase::Head { .. })
    }

    /// When the last byte came or went.
    pub(super) fn last_byte(&self) -> Instant {
        self.last_byte.get()
    }

    /// When the connection is to be closed unless something happens. A request has its own time limits.
    fn deadline(&self) -> Option<Instant> {
        match self.phase.get() {
            Phase::Head { since } => Some(since + self.limits.head_time),
            Phase::Request => None,
            Phase::Idle => Some(self.last_byte.get() + self.limits.idle_time),
        }
    }

    fn bytes_came(&self) {
        let now = Instant::now();
        self.last_byte.set(now);
        if matches!(self.phase.get(), Phase::Idle) {
            self.phase.set(Phase::Head { since: now });
        }
    }

    fn bytes_went(&self) {
        self.last_byte.set(Instant::now());
    }

    fn request_came(&self) {
        self.phase.set(Phase::Request);
    }

    fn answer_is_made(&self) {
        // Its first byte has as much time to go as the next one to come, however long the answer took.
        self.last_byte.set(Instant::now());
        self.phase.set(Phase::Idle);
    }
}

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

    /// Requests that change something are told at `info`, questions at `debug`.
    fn answered(self, status: u16) {
        let Self { peer: Peer(peer), method, path, began } = self;
        let duration = began.elapsed();
        if method.is_safe() {
            tracing::debug!(target: "control", %peer, %method, path, status, ?duration);
        } else {
            tracing::info!(target: "control", %peer, %method, path, status, ?duration);
        }
    }
}

/// A stream whose traffic is noticed.
struct Watched {
    stream: UnixStream,
    activity: Rc<Activity>,
}

impl Watched {
    fn noticing(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        self.activity.bytes_went();
        Poll::Ready(written)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before {
            self.activity.bytes_came();
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.noticing(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices));
        self.noticing(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

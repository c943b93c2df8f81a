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
//! so that no byte tells when the answer is made: the connection counts what came beyond the request.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use axum::Router;
use hyper::body::{Body, Incoming};
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
    is_crowded: impl Fn() -> bool,
    graceful: Watcher,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        activity.request_came(request.body().size_hint().exact().unwrap_or(0));
        let logged = Logged::new(&request, &peer);
        request.extensions_mut().insert(peer.clone());
        if is_crowded() {
            request.extensions_mut().insert(Crowded);
        }
        let answering = router.call(request);
        let activity = &activity;
        async move {
            let answer = answering.await;
            if answer.as_ref().is_ok_and(|answer| answer.extensions().get::<Endless>().is_none()) {
                activity.answer_is_made();
            }
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

/// Says of a request that so many are waiting for their answers that this one must not wait too.
#[derive(Clone, Copy)]
pub(super) struct Crowded;

/// Says of an answer that it ends with its connection: until then, that waits for an answer.
#[derive(Clone, Copy)]
pub(super) struct Endless;

/// What a connection is doing, for its own time limits and for choosing which one to close when there are too many.
pub(super) struct Activity {
    limits: Limits,
    accepted: Instant,
    phase: Cell<Phase>,
    last_byte: Cell<Instant>,
    /// How long the body of the last request is; 0 if it came in chunks, whose end is a blank line.
    body_length: Cell<u64>,
    blank_line: Cell<BlankLine>,
}

/// Where the last blank line is, with which every head ends.
#[derive(Clone, Copy, Default)]
struct BlankLine {
    bytes_since: u64,
    /// Whether nothing has come in the present line.
    in_empty_line: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    /// A head is being waited for since then.
    Head { since: Instant },
    /// A request is being read or answered.
    Request,
    /// The last answer is made; it may still be on its way out.
    Idle,
    /// Likewise, and there is something of the next head, the rest of which is being waited for since then.
    AnsweredAmidHead { since: Instant },
}

impl Activity {
    /// That of a connection that has just been accepted.
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            limits,
            accepted: now,
            phase: Cell::new(Phase::Head { since: now }),
            last_byte: Cell::new(now),
            body_length: Cell::default(),
            blank_line: Cell::default(),
        }
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
            Phase::Head { since } | Phase::AnsweredAmidHead { since } => Some(since + self.limits.head_time),
            Phase::Request => None,
            Phase::Idle => Some(self.last_byte.get() + self.limits.idle_time),
        }
    }

    fn bytes_came(&self, bytes: &[u8]) {
        let now = Instant::now();
        self.last_byte.set(now);
        self.blank_line.set(bytes.iter().fold(self.blank_line.get(), BlankLine::after));
        match self.phase.get() {
            Phase::Idle => self.phase.set(Phase::Head { since: now }),
            Phase::AnsweredAmidHead { since } => self.phase.set(Phase::Head { since }),
            Phase::Head { .. } | Phase::Request => {}
        }
    }

    fn bytes_went(&self) {
        self.last_byte.set(Instant::now());
    }

    fn request_came(&self, body_length: u64) {
        self.body_length.set(body_length);
        self.phase.set(Phase::Request);
    }

    fn answer_is_made(&self) {
        // Its first byte has as much time to go as the next one to come, however long the answer took.
        let now = Instant::now();
        self.last_byte.set(now);
        // A body that holds blank lines itself can hide what follows it, which is then taken for idling.
        let has_more = self.blank_line.get().bytes_since > self.body_length.get();
        self.phase.set(if has_more { Phase::AnsweredAmidHead { since: now } } else { Phase::Idle });
    }
}

impl BlankLine {
    fn after(self, byte: &u8) -> Self {
        match byte {
            b'\n' if self.in_empty_line => Self { bytes_since: 0, in_empty_line: true },
            b'\n' => Self { bytes_since: self.bytes_since + 1, in_empty_line: true },
            b'\r' => Self { bytes_since: self.bytes_since + 1, ..self },
            _ => Self { bytes_since: self.bytes_since + 1, in_empty_line: false },
        }
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
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            self.activity.bytes_came(bytes);
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

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

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
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
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
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
    let stream = Rc::new(stream);
    let watched = Watched { stream: Rc::clone(&stream), activity: Rc::clone(&activity) };
    let connection = http1::Builder::new()
        .max_buf_size(HEAD_SIZE)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(graceful.watch(connection));
    let mut timer = pin!(sleep_until(activity.accepted));
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
    /// How many there were since the connection last idled, but for those of the requests that were taken up.
    more: usize,
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

    /// Whether more has come than the request that is being answered: then nothing is read until it is.
    fn is_unread(&self) -> bool {
        // A body that holds blank lines itself is taken for more, which costs a descriptor until it is answered.
        self.has_request() && (self.blank_line.get().more > 0 || self.has_beginning())
    }

    /// Whether something of a head has come that has no end yet.
    fn has_beginning(&self) -> bool {
        // A body that holds blank lines itself can hide what follows it.
        self.blank_line.get().bytes_since > self.body_length.get()
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
        let mut blank_line = self.blank_line.get();
        if matches!(self.phase.get(), Phase::Idle) {
            blank_line.more = 0;
        }
        self.blank_line.set(bytes.iter().fold(blank_line, BlankLine::after));
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
        let blank_line = self.blank_line.get();
        self.blank_line.set(BlankLine { more: blank_line.more.saturating_sub(1), ..blank_line });
        self.phase.set(Phase::Request);
    }

    fn answer_is_made(&self) {
        // Its first byte has as much time to go as the next one to come, however long the answer took.
        let now = Instant::now();
        self.last_byte.set(now);
        // What is hidden is taken for idling.
        self.phase.set(if self.has_beginning() {
            Phase::AnsweredAmidHead { since: now }
        } else {
            Phase::Idle
        });
    }
}

impl BlankLine {
    fn after(self, byte: &u8) -> Self {
        match byte {
            b'\n' if self.in_empty_line => {
                Self { bytes_since: 0, in_empty_line: true, more: self.more.saturating_add(1) }
            }
            b'\n' => Self { bytes_since: self.bytes_since + 1, in_empty_line: true, ..self },
            b'\r' => Self { bytes_since: self.bytes_since + 1, ..self },
            _ => Self { bytes_since: self.bytes_since + 1, in_empty_line: false, ..self },
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

/// That the peer has closed its end altogether, whatever it had sent before: noticed without reading.
struct HangUp(AsyncFd<OwnedFd>);

impl HangUp {
    fn of(stream: &UnixStream) -> io::Result<Self> {
        // What is watched for writing is told of the end of both directions alone: who only has nothing more to say may read.
        let stream = stream.as_fd().try_clone_to_owned()?;
        #[expect(
            deprecated,
            reason = "sound for what owns its descriptor, as here; what replaces it is unsafe"
        )]
        AsyncFd::with_interest(stream, Interest::WRITABLE).map(Self)
    }

    /// If not, the task is woken when it does.
    fn has_come(&self, context: &mut Context<'_>) -> bool {
        loop {
            match self.0.poll_write_ready(context) {
                Poll::Pending => return false,
                Poll::Ready(Ok(mut room)) if !room.ready().is_write_closed() => room.clear_ready(),
                Poll::Ready(_) => return true,
            }
        }
    }
}

/// A stream whose traffic is noticed.
struct Watched {
    stream: Rc<UnixStream>,
    activity: Rc<Activity>,
}

impl Watched {
    /// Writes once there is room.
    fn write(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match write(&self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => {
                    self.activity.bytes_went();
                    return Poll::Ready(written);
                }
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            let unfilled = buffer.initialize_unfilled();
            match self.stream.try_read(unfilled) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(length) => {
                    if length > 0 {
                        self.activity.bytes_came(&unfilled[..length]);
                    }
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is kept back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(rustix::net::shutdown(&*self.stream, rustix::net::Shutdown::Write)?))
    }
}

//! The server: one thread, one socket, few connections.
//!
//! - `connections`: who may connect, how many, and how they end
//! - `connection`: one connection and its time limits
//! - `routes`: what can be asked for
//! - `detail`: one component from all sides
//! - `extract`: what a request says, read strictly
//! - `order`: what that asks of the supervisor
//! - `problem`: answers
//! - `peer`: who asks
//! - `feed`: events for those who follow them
//! - `upgrade`, `trace_level`: what the host is asked for

mod connection;
mod connections;
mod detail;
mod extract;
mod feed;
mod order;
mod peer;
mod problem;
mod routes;
mod trace_level;
mod upgrade;

use std::ffi::OsStr;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use supervisor::Handle;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::socket::{BoundSocket, Place};
use crate::wire::UpgradeDocument;
use connections::Connections;
use feed::Feed;
use trace_level::TraceLevel;
pub use upgrade::UpgradeRequest;
use upgrade::Upgrader;

/// Answers on a Unix socket whoever wants to know of or control a supervisor, in a thread of its own named `control`.
///
/// Only root and the account that the server itself runs as may connect; the operating system says who is there.
/// While nobody asks, nothing happens: the thread sleeps without a timer. Dropping the server ends it at once,
/// [`Server::finish`] when the answers under way have been sent; both close all connections and remove the socket.
pub struct Server {
    stop: Option<oneshot::Sender<Farewell>>,
    thread: Option<JoinHandle<Option<UnixListener>>>,
}

/// How the server ends.
#[derive(Debug, Default)]
struct Farewell {
    /// How long the answers that are under way may take.
    limit: Duration,
    /// The version of the supervisor whose server goes on with the socket, if one does.
    successor: Option<String>,
}

/// How to make a [`Server`].
#[derive(Clone, Debug)]
pub struct Builder {
    app: App,
    replace: bool,
}

/// What the server bears. Requests beyond are refused or their connections closed.
///
/// Heads of requests may have 16 KiB, bodies 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections there may be at once, at least 1. When there is one more, the longest idle one is closed.
    /// One that waits for an answer never is: if all do, a few more are taken in, on which everything can be asked for
    /// but to wait (503). Default: 64.
    pub connections: usize,
    /// How many of them may follow events. Default: 16.
    pub streams: usize,
    /// How long the head of a request may take. Default: 5 s.
    pub head_time: Duration,
    /// How long the body of a request may take. Default: 10 s.
    pub body_time: Duration,
    /// How long a connection may idle after an answer; one that follows events may as long as it likes. Default: 60 s.
    pub idle_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            streams: 16,
            head_time: Duration::from_secs(5),
            body_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
        }
    }
}

/// What every request is answered from.
#[derive(Clone, Debug)]
struct App {
    handle: Handle,
    registry: Option<Arc<str>>,
    version: Arc<str>,
    began: Option<SystemTime>,
    conditions: Conditions,
    limits: Limits,
    feed: Arc<Feed>,
    upgrader: Upgrader,
    upgrade: Option<Arc<UpgradeDocument>>,
    trace_level: TraceLevel,
}

/// What tells of conditions that the supervisor itself does not know of.
#[derive(Clone, Default)]
struct Conditions(Vec<Arc<dyn Fn() -> Option<String> + Send + Sync>>);

impl Conditions {
    /// Those that hold now.
    fn now(&self) -> Vec<String> {
        self.0.iter().filter_map(|condition| condition()).collect()
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Conditions").field(&self.now()).finish()
    }
}

impl Server {
    /// How to make a server that controls what `handle` controls.
    #[must_use]
    pub fn builder(handle: Handle) -> Builder {
        let limits = Limits::default();
        let app = App {
            feed: Arc::new(Feed::new(handle.clone(), limits.streams)),
            handle,
            registry: None,
            version: env!("CARGO_PKG_VERSION").into(),
            began: None,
            conditions: Conditions::default(),
            limits,
            upgrader: Upgrader::default(),
            upgrade: None,
            trace_level: TraceLevel::default(),
        };
        Builder { app, replace: false }
    }

    /// Takes no new connections, sends the answers that are under way, and ends: after `limit` in any case.
    ///
    /// To be called when the supervisor has ended, so that whoever asked for that gets its answer.
    pub fn finish(mut self, limit: Duration) {
        self.end(Farewell { limit, successor: None });
    }

    /// Likewise, but for another server that goes on with the socket: whoever connects meanwhile waits for that one. Those
    /// who follow events are told this last: that the supervisor is replaced, by what version.
    ///
    /// `None`: the server had broken off before.
    #[must_use]
    pub fn hand_over(mut self, limit: Duration, to: &str) -> Option<UnixListener> {
        self.end(Farewell { limit, successor: Some(to.to_owned()) })
    }

    fn end(&mut self, farewell: Farewell) -> Option<UnixListener> {
        if let Some(stop) = self.stop.take() {
            // The thread is gone already if nobody hears this.
            let _ = stop.send(farewell);
        }
        // A panic in it has been told by the panic hook; there is nothing to add.
        self.thread.take()?.join().ok()?
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Farewell::default());
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Builder {
    /// The registry that the supervisor was started with, to be shown. Default: none.
    #[must_use]
    pub fn registry(mut self, registry: &Path) -> Self {
        self.app.registry = Some(registry.to_string_lossy().into());
        self
    }

    /// The version of the supervisor, to be shown. Default: that of this crate.
    #[must_use]
    pub fn supervisor_version(mut self, version: &str) -> Self {
        self.app.version = version.into();
        self
    }

    /// When the supervisor's journal began, if it keeps one: see [`crate::journal::Journal::began`]. By that, those who
    /// read the journal tell it from that of an older supervisor. Default: it keeps none.
    #[must_use]
    pub fn journal_began(mut self, began: SystemTime) -> Self {
        self.app.began = Some(began);
        self
    }

    /// Something of the host's that may not be as it should be: asked at each status, it says what is wrong, as a
    /// sentence, if anything is, and must answer at once. Default: nothing.
    #[must_use]
    pub fn condition(mut self, condition: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.app.conditions.0.push(Arc::new(condition));
        self
    }

    /// What is done when somebody asks for the supervisor to be replaced by another executable. It must return at once, and
    /// [answer](UpgradeRequest::answer) later. Default: such requests are refused.
    #[must_use]
    pub fn upgrader(mut self, begin: impl Fn(UpgradeRequest) + Send + Sync + 'static) -> Self {
        self.app.upgrader = Upgrader(Some(Arc::new(begin)));
        self
    }

    /// The last upgrade, to be shown. Default: none.
    #[must_use]
    pub fn upgrade(mut self, upgrade: Option<UpgradeDocument>) -> Self {
        self.app.upgrade = upgrade.map(Arc::new);
        self
    }

    /// How much the host tells in its own log, from 1 to 4: given a level, which is to hold from now on, and who asks, it
    /// says which holds. It must answer at once. Default: such requests are refused.
    #[must_use]
    pub fn trace_level(mut self, ask: impl Fn(Option<u8>, &str) -> u8 + Send + Sync + 'static) -> Self {
        self.app.trace_level = TraceLevel(Some(Arc::new(ask)));
        self
    }

    /// What the server bears. Default: [`Limits::default`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.app.limits = limits;
        self.app.feed = Arc::new(Feed::new(self.app.handle.clone(), limits.streams));
        self
    }

    /// Whether to replace a socket that stands there already, without asking whether somebody listens. Only for
    /// those who hold a lock that says that nobody does. Default: no.
    #[must_use]
    pub fn replace_socket(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Listens at `path`, whose folder must exist and should be private, however long it is.
    ///
    /// # Errors
    /// There is something already, the folder cannot be written, or the system has no descriptors or threads left.
    pub fn bind(self, path: &Path) -> io::Result<Server> {
        self.bind_at(Place::at(path)?)
    }

    /// Listens at `name` in the folder that the descriptor stands for, wherever that may be by now.
    ///
    /// # Errors
    /// As [`Builder::bind`]; and elsewhere than on Linux, where a socket can be bound by a path only.
    pub fn bind_in(self, folder: OwnedFd, name: impl AsRef<OsStr>) -> io::Result<Server> {
        self.bind_at(Place::within(folder, name.as_ref())?)
    }

    /// Goes on with a socket that another server has [handed over](Server::hand_over), which is called `name` in the folder
    /// that the descriptor stands for. If somebody has removed it, another one is made.
    ///
    /// # Errors
    /// As [`Builder::bind_in`].
    pub fn resume_in(
        self,
        folder: OwnedFd,
        name: impl AsRef<OsStr>,
        listener: UnixListener,
    ) -> io::Result<Server> {
        let place = Place::within(folder, name.as_ref())?;
        match place.resume() {
            Ok(socket) => self.start(listener, Some(socket)),
            Err(place) => self.bind_at(place),
        }
    }

    /// Listens on a socket that somebody else has bound and will remove.
    ///
    /// # Errors
    /// The system has no descriptors or threads left.
    pub fn serve(self, listener: UnixListener) -> io::Result<Server> {
        self.start(listener, None)
    }

    fn bind_at(self, place: Place) -> io::Result<Server> {
        if self.replace {
            place.clear()?;
        }
        let (listener, socket) = place.bind()?;
        self.start(listener, Some(socket))
    }

    fn start(self, listener: UnixListener, socket: Option<BoundSocket>) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _context = runtime.enter();
            #[expect(
                deprecated,
                reason = "sound for what owns its descriptor, as here; what replaces it is unsafe"
            )]
            AsyncFd::with_interest(listener, Interest::READABLE)?
        };
        let app = self.app;
        let (stop, stopped) = oneshot::channel();
        #[expect(clippy::disallowed_methods, reason = "the control thread must not hold up the host")]
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || run(&runtime, listener, socket, stopped, app))?;
        Ok(Server { stop: Some(stop), thread: Some(thread) })
    }
}

/// The control thread: takes connections in until it is told to stop, and then ends those that are there. Gives the socket
/// where another server is to go on with it.
fn run(
    runtime: &Runtime,
    listener: AsyncFd<UnixListener>,
    socket: Option<BoundSocket>,
    stopped: oneshot::Receiver<Farewell>,
    app: App,
) -> Option<UnixListener> {
    let feed = Arc::clone(&app.feed);
    let connections = Connections::new(app.limits, routes::router(app));
    LocalSet::new().block_on(runtime, async {
        let farewell = {
            let mut stopped = pin!(stopped);
            let mut accepting = pin!(connections.accept(&listener));
            std::future::poll_fn(|context| {
                if let Poll::Ready(farewell) = stopped.as_mut().poll(context) {
                    return Poll::Ready(farewell.ok());
                }
                accepting.as_mut().poll(context).map(|never| match never {})
            })
            .await
        };
        let Farewell { limit, successor } = farewell.unwrap_or_default();
        let listener = if let Some(version) = successor {
            socket.into_iter().for_each(BoundSocket::leave);
            // Not before nobody is taken in any more: whoever hears it connects again, and must not come to us.
            feed.end_for(&version);
            Some(listener.into_inner())
        } else {
            drop((socket, listener));
            None
        };
        connections.finish(limit).await;
        listener
    })
}

//! The server: one thread, a socket, perhaps ports, few connections. Where there are no local sockets, ports alone.
//!
//! - `builder`: how it is made; `tcp`: ports, which may be taken
//! - `connections`: who may connect, how many, and how they end; `peer`: who is there
//! - `connection`: one connection and its time limits
//! - `gate`: whether a request is answered
//! - `routes`: what can be asked for; `document`: the same for programs
//! - `detail`: one component from all sides
//! - `extract`: what a request says, read strictly
//! - `order`: what that asks of the supervisor
//! - `problem`: answers
//! - `health`: whether all is well, for those who may know no more
//! - `queued`: what waits for a reader
//! - `feed`: events for those who follow them; `resume`: for those who were away for a while
//! - `journal`, `logs`: what was written down; `reading`: beside this thread, because a disk may hang
//! - `registry`: what runs, as it was declared
//! - `change`, `upgrade`, `trace_level`, `own_log`: what the host is asked for

mod builder;
mod change;
mod connection;
mod connections;
mod detail;
mod document;
mod extract;
mod feed;
mod gate;
mod health;
mod journal;
mod logs;
mod order;
mod own_log;
mod paced;
mod peer;
mod problem;
mod queued;
mod reading;
mod registry;
mod resume;
mod routes;
mod tcp;
mod trace_level;
mod upgrade;

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
#[cfg(unix)]
use std::io;
use std::net::TcpListener;
#[cfg(unix)]
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use supervisor::Handle;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

pub use self::builder::Builder;
use self::change::Changer;
pub use self::change::{Change, ChangeRefusal, ChangeRequest};
use self::connections::{Connections, Guard};
use self::feed::Feed;
use self::gate::Lock;
use self::health::Health;
use self::own_log::OwnLog;
pub(crate) use self::peer::{Access, Peer};
use self::reading::Reading;
use self::tcp::{Endpoint, Open, Trouble};
use self::trace_level::TraceLevel;
pub use self::upgrade::UpgradeRequest;
use self::upgrade::Upgrader;
use crate::Token;
use crate::journal::Reader;
use crate::os::{Local, LocalListener};
use crate::wire::UpgradeDocument;

/// Answers whoever wants to know of or control a supervisor, on a Unix socket and by TCP, in a thread of its own named
/// `control`.
///
/// To the socket, only root and the account that the server itself runs as may connect, and [a group](Builder::readers) that
/// reads; the operating system says who is there. By [TCP](Builder::tcp), each request needs a [`Token`].
/// While nobody asks, nothing happens: the thread sleeps without a timer. Dropping the server ends it at once,
/// [`Server::finish`] when the answers under way have been sent; both close all connections and remove the socket.
pub struct Server {
    stop: Option<oneshot::Sender<Farewell>>,
    thread: Option<JoinHandle<HandedOver>>,
}

/// Where a server listened that has made way for another one, which goes on there: see [`Server::hand_over`].
#[derive(Debug, Default)]
pub struct HandedOver {
    /// The local socket; `None`: it had none, or had broken off before.
    pub socket: Option<LocalListener>,
    /// The ports.
    pub tcp: Vec<TcpListener>,
}

/// How the server ends.
#[derive(Debug, Default)]
struct Farewell {
    /// How long the answers that are under way may take.
    limit: Duration,
    /// The version of the supervisor whose server goes on with the socket, if one does.
    successor: Option<String>,
}

/// What the server bears. Requests beyond are refused or their connections closed.
///
/// Heads of requests may have 16 KiB, bodies 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections there may be at once, at least 1, on the socket, and as many by TCP, and as many of the group
    /// that reads. When there is one more, the
    /// longest idle one is closed; by TCP first one that has not presented the token.
    /// One that waits for an answer never is: if all do, a few more are taken in, on which everything can be asked for
    /// but to wait (503). Default: 64.
    pub connections: usize,
    /// How many of them may follow events, and as many again logs. Default: 16.
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
    journal: Option<Reader>,
    about: registry::About,
    health: Health,
    reading: Reading,
    log_places: logs::Places,
    conditions: Conditions,
    limits: Limits,
    feed: Arc<Feed>,
    changer: Changer,
    upgrader: Upgrader,
    upgrade: Option<Arc<UpgradeDocument>>,
    trace_level: TraceLevel,
    own_log: OwnLog,
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
    /// Serves what `handle` controls at a new socket at `path`, whose folder must exist and should be private: to root and
    /// the account that this process runs as. What else there is to choose has [`Server::builder`].
    ///
    /// # Errors
    /// As [`Builder::bind`].
    #[cfg(unix)]
    pub fn new(handle: Handle, path: &Path) -> io::Result<Self> {
        Self::builder(handle).bind(path)
    }

    /// How to make a server that controls what `handle` controls.
    #[must_use]
    pub fn builder(handle: Handle) -> Builder {
        Builder::new(handle)
    }

    /// Takes no new connections, sends the answers that are under way, and ends: after `limit` in any case.
    ///
    /// To be called when the supervisor has ended, so that whoever asked for that gets its answer.
    pub fn finish(mut self, limit: Duration) {
        self.end(Farewell { limit, successor: None });
    }

    /// Likewise, but for another server that goes on with the socket and the ports: whoever connects meanwhile waits for that
    /// one. Those who follow events are told this last: that the supervisor is replaced, by what version.
    #[must_use]
    pub fn hand_over(mut self, limit: Duration, to: &str) -> HandedOver {
        self.end(Farewell { limit, successor: Some(to.to_owned()) })
    }

    fn end(&mut self, farewell: Farewell) -> HandedOver {
        if let Some(stop) = self.stop.take() {
            // The thread is gone already if nobody hears this.
            let _ = stop.send(farewell);
        }
        // A panic in it has been told by the panic hook; there is nothing to add.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
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

/// Where the server listens.
struct Places {
    local: Option<Local>,
    /// The ports, what stands in the way of each, and the token for all of them.
    tcp: Option<(Vec<(Endpoint, Trouble)>, Token)>,
}

/// The control thread: takes connections in until it is told to stop, and then ends those that are there. Gives what it
/// has listened on where another server is to go on there.
fn run(runtime: Runtime, places: Places, stopped: oneshot::Receiver<Farewell>, app: App) -> HandedOver {
    let served = LocalSet::new().block_on(&runtime, serve(places, stopped, app));
    // A disk that hangs while something is read must not hold up the end.
    runtime.shutdown_background();
    served
}

async fn serve(places: Places, stopped: oneshot::Receiver<Farewell>, app: App) -> HandedOver {
    let (feed, limits) = (Arc::clone(&app.feed), app.limits);
    let router = routes::router(app);
    let local = places.local;
    let accounts = local.as_ref().map(Local::accounts).map(Guard::Accounts);
    let on_socket = accounts.map(|accounts| Connections::new(limits, router.clone(), accounts));
    let by_tcp = places.tcp.map(|(endpoints, token)| {
        (endpoints, Connections::new(limits, router, Guard::Token(Rc::new(Lock::new(token)))))
    });
    let (endpoints, by_tcp) = by_tcp.unzip();
    let open = Open::default();
    let farewell = {
        let mut accepting: Vec<Pin<Box<dyn Future<Output = Infallible> + '_>>> = Vec::new();
        if let (Some(local), Some(connections)) = (&local, &on_socket) {
            accepting.push(Box::pin(connections.accept(local.incoming())));
        }
        if let (Some(endpoints), Some(connections)) = (endpoints, &by_tcp) {
            let endpoints = endpoints.into_iter();
            accepting
                .extend(endpoints.map(|(at, trouble)| Box::pin(at.serve(trouble, connections, &open)) as _));
        }
        until_told(stopped, &mut accepting).await
    };
    let Farewell { limit, successor } = farewell;
    let handed_over = if let Some(version) = successor {
        // Not before nobody is taken in any more: whoever hears it connects again, and must not come to us.
        feed.end_for(&version);
        HandedOver { socket: local.and_then(Local::leave), tcp: open.into_listeners() }
    } else {
        drop((local, open));
        HandedOver::default()
    };
    // Both at the same time, so that neither takes from the time of the other.
    let mut finishing: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    let connections = on_socket.into_iter().chain(by_tcp);
    finishing.extend(connections.map(|connections| Box::pin(connections.finish(limit)) as _));
    poll_fn(|context| {
        finishing.retain_mut(|finishing| finishing.as_mut().poll(context).is_pending());
        if finishing.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    handed_over
}

/// Takes connections in until it is told how to end.
async fn until_told(
    stopped: oneshot::Receiver<Farewell>,
    accepting: &mut [Pin<Box<dyn Future<Output = Infallible> + '_>>],
) -> Farewell {
    let mut stopped = pin!(stopped);
    poll_fn(|context| {
        if let Poll::Ready(farewell) = stopped.as_mut().poll(context) {
            return Poll::Ready(farewell.unwrap_or_default());
        }
        for accepting in &mut *accepting {
            if let Poll::Ready(never) = accepting.as_mut().poll(context) {
                match never {}
            }
        }
        Poll::Pending
    })
    .await
}

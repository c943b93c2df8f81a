//! All connections: taken in, counted, closed when there are too many, ended together.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Write};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_local, yield_now};

use super::Limits;
use super::connection::{self, Activity};
use super::peer::Accounts;
use super::problem::Problem;

/// How long to wait after an accept that failed, the first time and at most.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How many connections more there may be while all the others wait for answers: so that somebody can still ask.
const SPARE: usize = 4;

/// Every open connection. Lives on the control thread.
pub(super) struct Connections {
    limits: Limits,
    router: Router,
    graceful: GracefulShutdown,
    open: Rc<Open>,
}

/// The open connections by the order in which they were accepted.
#[derive(Default)]
struct Open {
    entries: RefCell<BTreeMap<u64, Entry>>,
    closed: Notify,
}

struct Entry {
    activity: Rc<Activity>,
    task: AbortHandle,
}

impl Connections {
    pub(super) fn new(limits: Limits, router: Router) -> Self {
        Self { limits, router, graceful: GracefulShutdown::new(), open: Rc::default() }
    }

    /// Takes in whoever is allowed to connect.
    pub(super) async fn accept(&self, listener: &AsyncFd<UnixListener>) -> Infallible {
        let accounts = Accounts::allowed();
        let mut pause = ACCEPT_PAUSE.0;
        let mut number = 0;
        loop {
            match next(listener).await {
                Ok(stream) => {
                    pause = ACCEPT_PAUSE.0;
                    number += 1;
                    self.take_in(number, stream, &accounts);
                }
                // There are no descriptors left, most likely. One of ours may do; else whoever is waiting in the
                // queue waits on, and trying again at once would only burn time.
                Err(_) if self.open.close_quietest(|activity| !activity.has_request()) => {}
                Err(error) => {
                    tracing::warn!(target: "control", %error, "cannot accept a connection; trying again");
                    let _ = tokio::time::timeout(pause, self.open.closed.notified()).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE.1);
                }
            }
            // Who has just been taken in gets its turn before the next one, who might push it out again.
            yield_now().await;
        }
    }

    fn take_in(&self, number: u64, stream: UnixStream, accounts: &Accounts) {
        let peer = match accounts.admit(&stream) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!(target: "control", %error, "refused a connection");
                return refuse(stream, Problem::new(StatusCode::FORBIDDEN, error.to_string()));
            }
        };
        if !self.make_room() {
            let detail = "too many requests are waiting already; try again later";
            return refuse(stream, Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
        }
        let activity = Rc::new(Activity::new(self.limits));
        let is_crowded = {
            let (open, most) = (Rc::clone(&self.open), self.most());
            move || open.waiting() > most
        };
        let slot = Slot { number, open: Rc::clone(&self.open) };
        let serving = connection::serve(
            stream,
            peer,
            self.router.clone(),
            Rc::clone(&activity),
            is_crowded,
            self.graceful.watcher(),
        );
        let task = spawn_local(async move {
            let _slot = slot;
            serving.await;
        });
        let entry = Entry { activity, task: task.abort_handle() };
        self.open.entries.borrow_mut().insert(number, entry);
    }

    /// Closes idle connections until there is room for one more. Whether there is: who waits for an answer gets it.
    fn make_room(&self) -> bool {
        let all_wait = self.open.waiting() >= self.most();
        let most = if all_wait { self.most() + SPARE } else { self.most() };
        while self.open.entries.borrow().len() >= most {
            if !self.open.close_quietest(|activity| !activity.has_request()) {
                return false;
            }
        }
        true
    }

    fn most(&self) -> usize {
        self.limits.connections.max(1)
    }

    /// Ends every connection: at once where nothing is under way, else when the answer has been sent, and after
    /// `limit` in any case.
    pub(super) async fn finish(self, limit: Duration) {
        while self.open.close_quietest(Activity::is_fresh) {}
        let _ = tokio::time::timeout(limit, self.graceful.shutdown()).await;
        while self.open.close_quietest(|_| true) {}
    }
}

/// The next connection of those who wait in the queue, once somebody does.
///
/// # Errors
/// Somebody waits and cannot be taken in.
async fn next(listener: &AsyncFd<UnixListener>) -> io::Result<UnixStream> {
    loop {
        let mut ready = listener.readable().await?;
        match listener.get_ref().accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                return UnixStream::from_std(stream);
            }
            // Linux looks for a descriptor first and for somebody in the queue second: for want of one it fails though
            // nobody waits.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock && is_awaited(listener.get_ref()) => {
                return Err(error);
            }
            Err(_) => ready.clear_ready(),
        }
    }
}

/// Whether somebody is in the queue.
fn is_awaited(listener: &UnixListener) -> bool {
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    // What cannot be told is taken for a yes: then the failure is told, and the next try waits.
    poll(&mut polled, Some(&Timespec::default())).map_or(true, |ready| ready > 0)
}

/// Answers without reading what was asked, and closes.
fn refuse(stream: UnixStream, problem: Problem) {
    // It fits into the empty buffer of a new connection; if the peer is gone already, nobody misses it.
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(&problem.unasked()));
}

impl Open {
    /// How many connections wait for an answer.
    fn waiting(&self) -> usize {
        self.entries.borrow().values().filter(|entry| entry.activity.has_request()).count()
    }

    /// Closes the one among the `eligible` whose last byte is longest ago. Whether there was one.
    fn close_quietest(&self, eligible: impl Fn(&Activity) -> bool) -> bool {
        let entry = {
            let mut entries = self.entries.borrow_mut();
            let eligible = entries.iter().filter(|(_, entry)| eligible(&entry.activity));
            let quietest = eligible.min_by_key(|(_, entry)| entry.activity.last_byte());
            let number = quietest.map(|(number, _)| *number);
            number.and_then(|number| entries.remove(&number))
        };
        // What is not counted any more will be closed when its task has its next turn.
        entry.inspect(|entry| entry.task.abort()).is_some()
    }
}

/// The place of a connection among the open ones, for as long as it is served.
struct Slot {
    number: u64,
    open: Rc<Open>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.entries.borrow_mut().remove(&self.number);
        self.open.closed.notify_one();
    }
}

//! All connections: taken in, counted, closed when there are too many, ended together.
//!
//! Those by TCP and those on the socket are counted apart, and there those of the group that reads: so that nobody keeps out
//! who may do more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_local, yield_now};

use super::Limits;
use super::connection::{self, Activity, Desk};
use super::gate::{Gate, Lock};
use super::paced::Paced;
use super::peer::{Access, Peer};
use super::problem::Problem;
use crate::os::{Accounts, Incoming, Stream};

/// How long to wait after an accept that failed, the first time and at most.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How many connections more there may be while all the others wait for answers: so that somebody can still ask.
const SPARE: usize = 4;

/// Who may connect.
pub(super) enum Guard {
    /// These accounts, to a local socket.
    Accounts(Accounts),
    /// Whoever has this token.
    Token(Rc<Lock>),
}

/// Every open connection of a kind. Lives on the control thread.
pub(super) struct Connections {
    limits: Limits,
    router: Router,
    guard: Guard,
    refused: Paced,
    graceful: GracefulShutdown,
    open: Rc<Open>,
}

/// The open connections by the order in which they were accepted.
#[derive(Default)]
struct Open {
    next: Cell<u64>,
    entries: RefCell<BTreeMap<u64, Entry>>,
    closed: Notify,
}

struct Entry {
    is_reader: bool,
    activity: Rc<Activity>,
    task: AbortHandle,
}

impl Connections {
    pub(super) fn new(limits: Limits, router: Router, guard: Guard) -> Self {
        let (refused, graceful) = (Paced::default(), GracefulShutdown::new());
        Self { limits, router, guard, refused, graceful, open: Rc::default() }
    }

    /// Takes in whoever is allowed to connect.
    pub(super) async fn accept(&self, incoming: &Incoming) -> Infallible {
        let mut pause = ACCEPT_PAUSE.0;
        loop {
            match incoming.next().await {
                Ok(stream) => {
                    pause = ACCEPT_PAUSE.0;
                    self.take_in(stream);
                }
                // There are no descriptors left, most likely. One of ours may do; else whoever is waiting in the
                // queue waits on, and trying again at once would only burn time.
                Err(_) if self.open.close_least() => {}
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

    fn take_in(&self, stream: Stream) {
        let (peer, gate) = match self.guard.admit(&stream) {
            Ok(admitted) => admitted,
            Err(error) => {
                if let Some(count) = self.refused.note() {
                    tracing::warn!(target: "control", %error, count, "refused a connection");
                }
                return refuse(&stream, Problem::new(StatusCode::FORBIDDEN, error.to_string()));
            }
        };
        let is_reader = matches!(gate, Gate::Known(Access::Reader));
        if !self.make_room(is_reader) {
            let detail = "too many requests are waiting already; try again later";
            return refuse(&stream, Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
        }
        let activity = Rc::new(Activity::new(self.limits, matches!(gate, Gate::Token(_))));
        let is_crowded = {
            let (open, most) = (Rc::clone(&self.open), self.most());
            move || open.waiting(is_reader) > most
        };
        let number = self.open.next.replace(self.open.next.get() + 1);
        let slot = Slot { number, open: Rc::clone(&self.open) };
        let desk = Desk { peer, gate, router: self.router.clone(), is_crowded };
        let serving = connection::serve(stream, desk, Rc::clone(&activity), self.graceful.watcher());
        let task = spawn_local(async move {
            let _slot = slot;
            serving.await;
        });
        let entry = Entry { is_reader, activity, task: task.abort_handle() };
        self.open.entries.borrow_mut().insert(number, entry);
    }

    /// Closes connections of the same kind that may give way until there is room for one more. Whether there is: who waits
    /// for an answer gets it.
    fn make_room(&self, is_reader: bool) -> bool {
        let all_wait = self.open.waiting(is_reader) >= self.most();
        let most = if all_wait { self.most() + SPARE } else { self.most() };
        while self.open.count(is_reader, |_| true) >= most {
            if !self.open.close_one(|entry| entry.is_reader == is_reader && entry.activity.may_give_way()) {
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
        while self.open.close_one(|entry| entry.activity.is_fresh()) {}
        let _ = tokio::time::timeout(limit, self.graceful.shutdown()).await;
        while self.open.close_one(|_| true) {}
    }
}

impl Guard {
    /// Who is there, and what each request has to show.
    ///
    /// # Errors
    /// Whoever it is may not be there.
    fn admit(&self, stream: &Stream) -> io::Result<(Peer, Gate)> {
        match (self, stream.tcp_peer()) {
            (Self::Accounts(accounts), None) => {
                accounts.admit(stream).map(|(peer, access)| (peer, Gate::Known(access)))
            }
            (Self::Token(lock), Some(address)) => Ok((Peer::at(address?), Gate::Token(Rc::clone(lock)))),
            _ => Err(ErrorKind::Unsupported.into()),
        }
    }
}

/// Answers without reading what was asked, and closes.
fn refuse(stream: &Stream, problem: Problem) {
    // It fits into the empty buffer of a new connection; if the peer is gone already, nobody misses it.
    let _ = stream.send_at_once(&problem.unasked());
}

impl Open {
    /// How many connections of this kind there are of which this is true.
    fn count(&self, is_reader: bool, is_so: impl Fn(&Activity) -> bool) -> usize {
        let entries = self.entries.borrow();
        let of_kind = entries.values().filter(|entry| entry.is_reader == is_reader);
        of_kind.filter(|entry| is_so(&entry.activity)).count()
    }

    /// How many wait for an answer that they will get.
    fn waiting(&self, is_reader: bool) -> usize {
        self.count(is_reader, |activity| !activity.may_give_way())
    }

    /// Closes the one among those that may give way which is worth least. Whether there was one.
    fn close_least(&self) -> bool {
        self.close_one(|entry| entry.activity.may_give_way())
    }

    /// Likewise among the `eligible`.
    fn close_one(&self, eligible: impl Fn(&Entry) -> bool) -> bool {
        let entry = {
            let mut entries = self.entries.borrow_mut();
            let eligible = entries.iter().filter(|(_, entry)| eligible(entry));
            let least = eligible.min_by_key(|(_, entry)| entry.activity.worth());
            let number = least.map(|(number, _)| *number);
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

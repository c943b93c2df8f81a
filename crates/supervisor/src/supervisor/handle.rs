//! How other threads ask the driver for things.

mod applying;
mod looking;
mod recent;

pub use self::applying::ApplyError;
use self::recent::Recent;
pub(super) use self::recent::{Known, Told};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};
use polling::Poller;

use super::launches::Named;
use super::runs::Looked;
use super::tasks::{Answer, Failure};
use crate::core::{Ask, Core, RequestId};
use crate::error::SpawnError;
use crate::event::Event;
use crate::names::Names;
use crate::os::{self, Account, Meter};
use crate::output::News;
use crate::plan::{Plan, Setup};
use crate::request::{Dependants, Outcome, Request, RequestError, Targets, Until};
use crate::run::RunId;
use crate::signal::Signal;
use crate::spec::{ComponentId, ProcessSpec};
use crate::status::Status;

/// Something for the driver to do.
pub(super) enum Command {
    Ask {
        ask: Ask,
        by: Arc<str>,
        taken_up: TakenUp,
        done: Done,
    },
    /// Nobody waits for the answer to this request any more.
    Forget {
        request: RequestId,
    },
    Status {
        keys: Vec<u32>,
        answer: Sender<Status>,
    },
    /// What would happen if this were to be supervised?
    Plan {
        setup: Arc<Setup>,
        answer: Sender<Plan>,
    },
    Specs {
        keys: Vec<u32>,
        answer: Sender<Vec<ProcessSpec>>,
    },
    /// `None`: there is no such component any more.
    Detail {
        key: u32,
        answer: Sender<Option<Known>>,
    },
    Subscribe {
        answer: Sender<(u64, Receiver<Event>)>,
    },
    ReopenLogs,
    LongestShutdown {
        answer: Sender<Duration>,
    },
    /// Who a user and a group are, or why that cannot be told.
    Found {
        named: Named,
        account: Result<Option<Arc<Account>>, SpawnError>,
    },
    /// Why a run that was on its way has not come to its program.
    Fell {
        run: RunId,
        why: SpawnError,
    },
    /// From a prober, or from a thread of ours: what has come of a task.
    Answered {
        serial: u64,
        result: Answer,
    },
    /// What addresses the host of a task has.
    Resolved {
        serial: u64,
        addresses: Result<Vec<SocketAddr>, Failure>,
    },
    /// How much memory, in bytes, a run uses.
    Measured {
        run: RunId,
        memory: u64,
    },
    /// What was to be written down is.
    Recorded,
    /// What lives of runs beside their main processes.
    Looked(Looked),
    /// From the pump.
    Output(News),
}

/// Who is told under which number a request was taken up, or why it was refused.
pub(super) type TakenUp = Sender<Result<RequestId, RequestError>>;

/// Who is told when a request is done.
pub(super) type Done = Box<dyn FnOnce(Outcome) + Send>;

/// Where threads that work for the driver tell it what has come of that.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    commands: Sender<Command>,
    poller: Arc<Poller>,
}

impl Mailbox {
    pub(super) fn new(commands: &Sender<Command>, poller: &Arc<Poller>) -> Self {
        Self { commands: commands.clone(), poller: Arc::clone(poller) }
    }

    /// Tells the driver, if it still is there.
    pub(super) fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            let _ = self.poller.notify();
        }
    }
}

/// The queue from the handles to the driver.
///
/// It has no bound of its own: each caller waits for the answer to its one command, so that there are never more of
/// them than threads that ask; and each request, of which there are 1,024 at most, is forgotten once. And when the driver ends, an unbounded channel drops what nobody has read, which lets go
/// of those who wait; a bounded one would keep it.
pub(super) fn command_queue() -> (Sender<Command>, Receiver<Command>) {
    unbounded()
}

/// The names by which components are found: others are put in their place as soon as other components are there.
#[derive(Clone, Debug)]
pub(super) struct SharedNames(Arc<Mutex<Arc<Names>>>);

impl SharedNames {
    pub(super) fn of(core: &Core) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(names_of(core)))))
    }

    /// Other components are there.
    pub(super) fn renew(&self, core: &Core) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(names_of(core));
    }

    fn now(&self) -> Arc<Names> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn names_of(core: &Core) -> Names {
    Names::new(core.specs()).with_leaving(core.leaving())
}

/// Asks a running supervisor for things, from any thread. Cheap to clone.
///
/// Each request returns as soon as the supervisor has taken it up; [`Pending::wait`] waits until what was asked for
/// has happened.
#[derive(Clone)]
pub struct Handle {
    commands: Sender<Command>,
    poller: Arc<Poller>,
    names: SharedNames,
    /// Shared by those who ask for a status, and by nobody else.
    meter: Arc<Mutex<Meter>>,
    /// Likewise by those who ask for details.
    recent: Arc<Recent>,
}

impl Handle {
    pub(super) fn new(
        commands: Sender<Command>,
        poller: Arc<Poller>,
        names: SharedNames,
        told: Told,
    ) -> Self {
        Self { commands, poller, names, meter: Arc::default(), recent: Arc::new(Recent::new(told)) }
    }

    /// Starts these components, whatever backoff or failure says.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then.
    pub fn start(&self, targets: impl Into<Targets>) -> Result<Pending, RequestError> {
        self.ask(Request::Start(targets.into()))
    }

    /// Stops these components until somebody asks for them; refused where running components depend on them.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then.
    pub fn stop(&self, targets: impl Into<Targets>) -> Result<Pending, RequestError> {
        self.stop_with(targets, Dependants::Refuse)
    }

    /// Stops these components until somebody asks for them, and does this about running components that depend on them.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then.
    pub fn stop_with(
        &self,
        targets: impl Into<Targets>,
        dependants: Dependants,
    ) -> Result<Pending, RequestError> {
        self.ask(Request::Stop { targets: targets.into(), dependants })
    }

    /// Ends the run of each of these components, if it has one, and begins another.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then.
    pub fn restart(&self, targets: impl Into<Targets>) -> Result<Pending, RequestError> {
        self.ask(Request::Restart(targets.into()))
    }

    /// Forgets what went wrong with these components before: backoff, trip and failure. Nothing is started by that.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then.
    pub fn reset(&self, targets: impl Into<Targets>) -> Result<Pending, RequestError> {
        self.ask(Request::Reset(targets.into()))
    }

    /// Has these components read their configuration again, each as its [`reload`](crate::ProcessSpec::reload) says.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then.
    pub fn reload(&self, targets: impl Into<Targets>) -> Result<Pending, RequestError> {
        self.ask(Request::Reload(targets.into()))
    }

    /// Sends a signal to the main process of each of these components.
    ///
    /// # Errors
    /// [`RequestError`]; nobody has got the signal then.
    pub fn signal(&self, targets: impl Into<Targets>, signal: Signal) -> Result<Pending, RequestError> {
        self.ask(Request::Signal { targets: targets.into(), signal })
    }

    /// Ends the files that the output of these components goes to, each at the end of a line, as if it had reached its size: it gets
    /// the next number, and another begins. What a component had written before this is in the ended one. One that does not run
    /// may have a file as well; an empty file goes on ([`Achieved::AlreadySo`](crate::Achieved::AlreadySo)).
    ///
    /// # Errors
    /// [`RequestError`]; no file has ended then. One that cannot end goes on, and the answer says why.
    pub fn rotate(&self, targets: impl Into<Targets>) -> Result<Pending, RequestError> {
        self.ask(Request::Rotate(targets.into()))
    }

    /// Changes nothing; [`Pending::wait`] then waits until this is true of these components, or can no longer be.
    ///
    /// # Errors
    /// [`RequestError`]
    pub fn wait_for(&self, targets: impl Into<Targets>, until: Until) -> Result<Pending, RequestError> {
        self.ask(Request::Wait { targets: targets.into(), until })
    }

    /// Stops everything in reverse start order and then ends the supervisor.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if it has ended.
    pub fn shutdown(&self) -> Result<Pending, RequestError> {
        self.ask(Request::Shutdown { immediately: false })
    }

    /// Kills everything now and then ends the supervisor; also speeds up a shutdown that is under way.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if it has ended.
    pub fn shutdown_now(&self) -> Result<Pending, RequestError> {
        self.ask(Request::Shutdown { immediately: true })
    }

    /// Ends the supervisor and leaves everything running, for one that is started after it with the same
    /// [`state_dir`](crate::Builder::state_dir), which goes on with all of it: an orderly end, where a kill would do too.
    /// Returns when it is taken up; [`Supervisor::wait`](crate::Supervisor::wait) when all is stored that was written until
    /// then. What waits for an answer meanwhile gets [`RequestError::Ended`]. `by` is shown in events.
    ///
    /// A component that writes while no supervisor reads waits at most, once its pipe is full. What it says on the socket of
    /// `sd_notify` is refused meanwhile, unless that is [kept open](crate::Supervisor::wait_and_keep).
    ///
    /// # Errors
    /// [`RequestError::Forgetful`] where there is no such folder, [`RequestError::Bound`], [`RequestError::Heirless`] on macOS and the
    /// BSDs, [`RequestError::ShuttingDown`], [`RequestError::Ended`];
    /// all goes on as before then.
    pub fn leave(&self, by: impl Into<Arc<str>>) -> Result<(), RequestError> {
        if !os::ADOPTS && !os::ENDS_WITH_US {
            return Err(RequestError::Heirless);
        }
        let by = by.into();
        let done = Box::new(drop);
        self.call(|taken_up| Command::Ask { ask: Ask::Leave, by, taken_up, done })?.map(drop)
    }

    /// How long a shutdown may take that begins now, or goes on, if each component takes all the time that it can get: for
    /// whoever would take it for one that hangs.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if the supervisor has ended.
    pub fn longest_shutdown(&self) -> Result<Duration, RequestError> {
        self.call(|answer| Command::LongestShutdown { answer })
    }

    /// Whether supervision answers within `limit`: not if its thread hangs, or if it has ended.
    #[must_use]
    pub fn is_answering(&self, limit: Duration) -> bool {
        let (answer, receiver) = bounded(1);
        self.send(Command::Status { keys: Vec::new(), answer }).is_ok()
            && receiver.recv_timeout(limit).is_ok()
    }

    /// The components that these names mean, in start order.
    ///
    /// # Errors
    /// [`RequestError::Unknown`] if a name means nothing.
    pub fn meant_by(&self, targets: &Targets) -> Result<Vec<ComponentId>, RequestError> {
        let names = self.names.now();
        let keys = names.resolve(targets)?;
        Ok(keys.into_iter().filter_map(|key| names.id(key)).cloned().collect())
    }

    /// A reader of all that happens from now on, the oldest first.
    ///
    /// The queue is bounded (4,096 events): a reader that is too slow loses news, never holds supervision up, and is
    /// told how much it lost by [`EventKind::Lost`](crate::EventKind::Lost). The channel closes when the supervisor
    /// has ended.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if it has ended.
    pub fn subscribe(&self) -> Result<Receiver<Event>, RequestError> {
        Ok(self.subscribe_numbered()?.1)
    }

    /// The same, and how many events there have been before. With that, and with what
    /// [`EventKind::Lost`](crate::EventKind::Lost) counts, every reader can give each event the same number.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if it has ended.
    pub fn subscribe_numbered(&self) -> Result<(u64, Receiver<Event>), RequestError> {
        self.call(|answer| Command::Subscribe { answer })
    }

    /// Opens the components' log files again where somebody has moved them away, as logrotate does.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if the supervisor has ended.
    pub fn reopen_logs(&self) -> Result<(), RequestError> {
        self.send(Command::ReopenLogs)
    }

    /// Passes a request on in somebody's name (`by` is shown in events), and calls `done` once, when what was asked
    /// for has happened or can no longer happen. For callers that must not wait in a thread: `done` runs on the
    /// supervisor's own thread, must return at once, and must not ask the supervisor for anything. A panic in it is
    /// caught. It is dropped without being called if supervision breaks off by a fault of its own, and where the answer is
    /// [forgotten](Submitted::forget).
    ///
    /// # Errors
    /// [`RequestError`]; nothing was touched then, and `done` is not called.
    pub fn submit(
        &self,
        request: Request,
        by: impl Into<Arc<str>>,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) -> Result<Submitted, RequestError> {
        let names = self.names.now();
        let ask = match request {
            Request::Start(targets) => Ask::Start(names.resolve(&targets)?),
            Request::Stop { targets, dependants } => Ask::Stop { keys: names.resolve(&targets)?, dependants },
            Request::Restart(targets) => Ask::Restart(names.resolve(&targets)?),
            Request::Reset(targets) => Ask::Reset(names.resolve(&targets)?),
            Request::Reload(targets) => Ask::Reload(names.resolve(&targets)?),
            Request::Signal { signal, .. } if !os::can_send(signal) => {
                return Err(RequestError::NoSignal { signal });
            }
            Request::Signal { targets, signal } => Ask::Signal { keys: names.resolve(&targets)?, signal },
            Request::Rotate(targets) => Ask::Rotate(names.resolve(&targets)?),
            Request::Wait { targets, until } => Ask::Wait { keys: names.resolve(&targets)?, until },
            Request::Shutdown { immediately } => Ask::Shutdown { immediately },
        };
        let taken_up =
            self.call(|taken_up| Command::Ask { ask, by: by.into(), taken_up, done: Box::new(done) });
        taken_up?.map(|request| Submitted { request, handle: self.clone() })
    }

    /// Sends a command and waits for its answer, which the driver always gives soon.
    fn call<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Result<T, RequestError> {
        let (answer, receiver) = bounded(1);
        self.send(command(answer))?;
        receiver.recv().map_err(|_| RequestError::Ended)
    }

    fn send(&self, command: Command) -> Result<(), RequestError> {
        self.commands.send(command).map_err(|_| RequestError::Ended)?;
        // Fails only if the poller is broken, in which case the driver has ended or will by itself.
        let _ = self.poller.notify();
        Ok(())
    }

    fn ask(&self, request: Request) -> Result<Pending, RequestError> {
        let (sender, receiver) = bounded(1);
        let submitted = self.submit(request, "the host", move |outcome| drop(sender.send(outcome)))?;
        Ok(Pending { receiver, submitted })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// A request that was taken up and may be answered later. Dropping it changes nothing.
#[derive(Debug)]
pub struct Submitted {
    request: RequestId,
    handle: Handle,
}

impl Submitted {
    /// Does without the answer, if it has not been given yet: the request goes on, and no longer counts as one without
    /// an answer. One that [waits](Request::Wait) is over by that.
    pub fn forget(&self) {
        // Refused only if the supervisor has ended, and with it everything that it could forget.
        let _ = self.handle.send(Command::Forget { request: self.request });
    }
}

/// A request that was taken up. Dropping it only means that nobody waits for its answer any more.
#[derive(Debug)]
pub struct Pending {
    receiver: Receiver<Outcome>,
    submitted: Submitted,
}

impl Pending {
    /// Waits until what was asked for has happened or can no longer happen.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if the supervisor ended without an answer.
    pub fn wait(self) -> Result<Outcome, RequestError> {
        self.receiver.recv().map_err(|_| RequestError::Ended)
    }

    /// Waits no longer than this; `None` when it has not happened by then.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if the supervisor ended without an answer.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<Outcome>, RequestError> {
        match self.receiver.recv_timeout(timeout) {
            Ok(outcome) => Ok(Some(outcome)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(RequestError::Ended),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Whoever has answered holds the other end no longer.
        if self.receiver.try_recv() == Err(TryRecvError::Empty) {
            self.submitted.forget();
        }
    }
}

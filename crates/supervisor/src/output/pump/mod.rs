//! The thread that moves what components write into their logs, as the driver sees it.

mod worker;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use polling::Poller;

use self::worker::Worker;
use super::LogSettings;
use super::housekeeping::Housekeeper;
use crate::os::pipe;
use crate::spec::{Output, Stderr};

/// How many commands may wait for the thread. It hangs only if a disk does; then starting more runs must fail, instead
/// of piling up descriptors.
const MAX_WAITING_COMMANDS: usize = 4096;

/// Gives components the ends of pipes, and stores what comes out of them.
///
/// The thread and its poller begin with the first component that needs them.
pub(crate) struct Pump {
    nowhere: OwnedFd,
    notice: Notice,
    thread: OnceCell<Thread>,
}

/// A component's ends of its pipes: hand them to the child, then drop them.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// What the thread is told.
#[derive(Debug)]
enum Command {
    /// A component has a new run, which writes to these pipes.
    Attach(Run),
    /// Log files may have been moved away.
    Reopen,
    /// Store what the pipes hold by now, in this time, and end.
    Finish(Duration),
}

#[derive(Debug)]
struct Run {
    component: u32,
    log: LogSettings,
    stdout: OwnedFd,
    /// Where standard error has a file of its own.
    stderr: Option<OwnedFd>,
}

/// What is wrong, by the stream that it concerns.
type Conditions = Arc<Mutex<BTreeMap<worker::StreamId, String>>>;

/// Is told of a component whose output cannot be stored, and why; and, with nothing, when it can be again. It runs on the
/// pump's thread.
pub(crate) type Notice = Arc<dyn Fn(u32, Option<&str>) + Send + Sync>;

impl Pump {
    pub(crate) fn start(notice: Notice) -> io::Result<Self> {
        let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        Ok(Self { nowhere: nowhere.into(), notice, thread: OnceCell::new() })
    }

    /// New ends for one run of a component. Opens no file: the thread does, once it is [woken](Self::wake), which may
    /// come after the start that is waited for.
    pub(crate) fn open(&self, component: u32, output: &Output) -> io::Result<Ends> {
        match output {
            Output::Null => Ok(Ends { stdout: self.nowhere.try_clone()?, stderr: self.nowhere.try_clone()? }),
            Output::Inherit => Ok(Ends {
                stdout: io::stdout().as_fd().try_clone_to_owned()?,
                stderr: io::stderr().as_fd().try_clone_to_owned()?,
            }),
            Output::File { log, stderr } => {
                let (stdout_reader, stdout) = pipe()?;
                let (stderr_reader, stderr) = match stderr {
                    Stderr::Join => (None, stdout.try_clone()?),
                    Stderr::Null => (None, self.nowhere.try_clone()?),
                    Stderr::File => {
                        let (reader, writer) = pipe()?;
                        (Some(reader), writer)
                    }
                };
                let run = Run { component, log: log.clone(), stdout: stdout_reader, stderr: stderr_reader };
                self.thread()?.send(Command::Attach(run))?;
                Ok(Ends { stdout, stderr })
            }
        }
    }

    /// Has the thread take up what was opened.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.wake();
        }
    }

    /// Has all log files opened again that somebody moved or deleted, as logrotate does.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        self.thread.get().map_or(Ok(()), |thread| thread.send(Command::Reopen).map(|()| thread.wake()))
    }

    /// What is wrong with logs, a sentence for each.
    pub(crate) fn conditions(&self) -> Vec<String> {
        self.thread.get().map_or_else(Vec::new, |thread| {
            let conditions = thread.conditions.lock().unwrap_or_else(PoisonError::into_inner);
            let mut all: Vec<_> = conditions.values().cloned().collect();
            all.extend(thread.housekeeper.problems());
            if thread.alive.try_recv() == Err(TryRecvError::Disconnected) {
                all.push("the thread that stores output has ended: restart the supervisor".to_owned());
            }
            all
        })
    }

    /// Stores what the pipes hold by now and ends the thread, in little more than `limit`, even if somebody holds a pipe
    /// or a disk hangs. Then the thread is left to itself.
    pub(crate) fn finish(self, limit: Duration) {
        if let Some(thread) = self.thread.into_inner() {
            thread.finish(limit);
        }
    }

    fn thread(&self) -> io::Result<&Thread> {
        if let Some(thread) = self.thread.get() {
            return Ok(thread);
        }
        let thread = Thread::start(&self.notice)?;
        Ok(self.thread.get_or_init(|| thread))
    }
}

/// The running thread.
#[derive(Debug)]
struct Thread {
    commands: Sender<Command>,
    poller: Arc<Poller>,
    conditions: Conditions,
    housekeeper: Housekeeper,
    /// Disconnected when the thread has ended.
    alive: Receiver<()>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    fn start(notice: &Notice) -> io::Result<Self> {
        let (commands, received) = crossbeam_channel::unbounded();
        let (living, alive) = crossbeam_channel::bounded(0);
        let poller = Arc::new(Poller::new()?);
        let conditions = Conditions::default();
        let housekeeper = Housekeeper::default();
        let told = (Arc::clone(&conditions), Arc::clone(notice));
        let worker = Worker::new(Arc::clone(&poller), received, told, housekeeper.clone());
        #[expect(clippy::disallowed_methods, reason = "a slow disk must not hold up the driver")]
        let handle = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            worker.work();
            drop(living);
        })?;
        Ok(Self { commands, poller, conditions, housekeeper, alive, handle: Some(handle) })
    }

    fn send(&self, command: Command) -> io::Result<()> {
        if self.commands.len() >= MAX_WAITING_COMMANDS {
            return Err(io::Error::other(
                "the thread that stores output does not keep up: does a disk hang?",
            ));
        }
        let sent = self.commands.send(command);
        sent.map_err(|_| io::Error::other("the thread that stores output has ended"))
    }

    fn wake(&self) {
        // Fails only if the poller is broken: then the thread has ended, which `conditions` tells.
        let _ = self.poller.notify();
    }

    fn finish(mut self, limit: Duration) {
        let deadline = now() + limit;
        // The other half is for the disk to answer.
        self.end(limit / 2);
        let has_ended = self.alive.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected);
        if let Some(handle) = self.handle.take_if(|_| has_ended) {
            // It has no more to do than to return.
            let _ = handle.join();
        }
        self.housekeeper.stop(deadline.saturating_duration_since(now()));
    }

    /// Has the thread end. It has ended already if it cannot be told.
    fn end(&self, limit: Duration) {
        let _ = self.commands.send(Command::Finish(limit));
        self.wake();
    }
}

impl Drop for Thread {
    /// A host that is unwinding does not wait, and leaves no thread behind either.
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a log could not be written is measured here, for no decision"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;

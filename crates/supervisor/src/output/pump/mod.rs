//! The thread that moves what components write into their logs, as the driver sees it.

mod seek;
mod stream;
mod worker;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use polling::Poller;

use self::stream::StreamId;
use self::worker::Worker;
use super::housekeeping::Housekeeper;
use super::{Fifo, Fifos, LogSettings, Purpose};
use crate::core::RequestId;
use crate::os::{self, ReadEnd, WriteEnd, pipe};
use crate::run::RunId;
use crate::spec::{ComponentId, Output, ProcessSpec, ReadyWhen, Stderr};

/// How many commands may wait for the thread. It hangs only if a disk does; then starting more runs must fail, instead
/// of piling up descriptors.
const MAX_WAITING_COMMANDS: usize = 4096;

/// Gives components the ends of pipes, and stores what comes out of them.
///
/// The thread and its poller begin with the first component that needs them.
pub(crate) struct Pump {
    nowhere: WriteEnd,
    /// Where pipes get names, by which they outlive us.
    fifos: Option<Arc<Fifos>>,
    notice: Notice,
    thread: OnceCell<Thread>,
}

/// A component's ends of its pipes: hand them to the child, then drop them.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) stdout: WriteEnd,
    pub(crate) stderr: WriteEnd,
}

/// What the thread is told.
#[derive(Debug)]
enum Command {
    /// A component has a new run, which writes to these pipes.
    Attach(Box<Run>),
    /// Nothing of this run is left.
    Ended(RunId),
    /// This component is none any more: its logs are closed.
    Forget(u32),
    /// Log files may have been moved away.
    Reopen,
    /// The files of a component's output are to end.
    Rotate(Box<Rotation>),
    /// Store what the pipes hold by now, in this time, and end.
    Finish(Duration),
}

/// The files of a component's output are to end, for this request.
#[derive(Debug)]
struct Rotation {
    request: RequestId,
    component: u32,
    /// Where its output is stored.
    stdout: LogSettings,
    /// Where its standard error is, if not there.
    stderr: Option<LogSettings>,
}

#[derive(Debug)]
struct Run {
    id: RunId,
    /// What its component is called.
    name: ComponentId,
    /// None only for one that is adopted and has none.
    stdout: Option<Source>,
    /// Where standard error has a pipe of its own.
    stderr: Option<Source>,
    /// What the line looks like by which it says that it is ready, until it has.
    ready: Option<String>,
    /// It begins now, with a new line; it is not one that goes on.
    is_new: bool,
}

#[derive(Debug)]
struct Source {
    reader: ReadEnd,
    /// What it is called, if it has a name.
    name: Option<Box<str>>,
    /// Where what comes out of it goes, if it is not only looked at.
    log: Option<LogSettings>,
    /// Whether its last lines are kept.
    has_last_words: bool,
    /// Why it is not as good as it should be.
    problem: Option<String>,
}

/// What is wrong, by the stream that it concerns.
type Conditions = Arc<Mutex<BTreeMap<StreamId, String>>>;

/// What the thread has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The output of this component cannot be stored, and why; or, with nothing, it can be again.
    Stored { component: u32, problem: Option<String> },
    /// This run has written the line by which it says that it is ready.
    Ready(RunId),
    /// The files of a component's output have ended for this request; or there was nothing in them; or why they could not.
    Rotated { request: RequestId, component: u32, result: Result<bool, Arc<str>> },
    /// This run has ended, and these were its last lines, the oldest first. Never none.
    LastWords { run: RunId, lines: Vec<String> },
}

/// Is told what the thread has to tell, and runs on it.
pub(crate) type Notice = Arc<dyn Fn(News) + Send + Sync>;

impl Pump {
    /// With a folder for them, pipes are made there and outlive us. Without, whoever writes when we have gone is ended by
    /// SIGPIPE.
    pub(crate) fn start(notice: Notice, fifos: Option<Arc<Fifos>>) -> io::Result<Self> {
        Ok(Self { nowhere: os::nowhere()?, fifos, notice, thread: OnceCell::new() })
    }

    /// New ends for a run of this component, which this user shall own; `None`: we. Opens no log: the thread does, once it is
    /// [woken](Self::wake), which may come after the start that is waited for.
    ///
    /// A component that says in its output that it is ready has pipes in any case, also for what goes nowhere: the
    /// thread looks at that until then, and throws it away.
    pub(crate) fn open(&self, run: RunId, spec: &ProcessSpec, owner: Option<u32>) -> io::Result<Ends> {
        let ready = pattern_of(spec);
        let (log, stderr) = match &spec.output {
            Output::Null if ready.is_none() => {
                return Ok(Ends { stdout: self.nowhere.try_clone()?, stderr: self.nowhere.try_clone()? });
            }
            // The builder refuses one that should be looked at as well.
            Output::Inherit => {
                let (stdout, stderr) = os::our_output()?;
                return Ok(Ends { stdout, stderr });
            }
            Output::Null => (None, Stderr::Join),
            Output::File { log, stderr } => (Some(log), *stderr),
        };
        let name = (&spec.id, run.number);
        let (mut stdout_source, stdout) = self.source(name, Purpose::Out, owner)?;
        let (stderr_source, stderr_end) = match stderr {
            Stderr::Join => (None, stdout.try_clone()?),
            Stderr::Null if ready.is_none() => (None, self.nowhere.try_clone()?),
            Stderr::Null | Stderr::File => {
                let (mut source, end) = self.source(name, Purpose::Err, owner)?;
                source.has_last_words = stderr == Stderr::File;
                source.log = log.filter(|_| source.has_last_words).map(LogSettings::for_stderr);
                (Some(source), end)
            }
        };
        stdout_source.log = log.cloned();
        stdout_source.has_last_words = log.is_some() && stderr == Stderr::Join;
        let ready = ready.map(str::to_owned);
        let run = Run {
            id: run,
            name: spec.id.clone(),
            stdout: Some(stdout_source),
            stderr: stderr_source,
            ready,
            is_new: true,
        };
        self.thread().and_then(|thread| thread.send(Command::Attach(Box::new(run)))).inspect_err(|_| {
            if let Some(fifos) = &self.fifos {
                fifos.discard(name.0, name.1);
            }
        })?;
        Ok(Ends { stdout, stderr: stderr_end })
    }

    /// A new pipe: what is read, and the component's end.
    fn source(
        &self,
        name: (&ComponentId, u64),
        purpose: Purpose,
        owner: Option<u32>,
    ) -> io::Result<(Source, WriteEnd)> {
        let made = self.fifos.as_ref().map(|fifos| fifos.make(name, purpose, owner)).transpose();
        let (reader, name, end, problem) = match made {
            Ok(Some((Fifo { reader, name }, end))) => (reader, Some(name), end, None),
            Ok(None) => {
                let (reader, end) = pipe()?;
                (reader, None, end, None)
            }
            // A component that runs is worth more than one that could be adopted.
            Err(error) => {
                let (reader, end) = pipe()?;
                let id = name.0;
                let problem =
                    format!("{error}; {id} would not outlive the supervisor: mend that and restart {id}");
                (reader, None, end, Some(problem))
            }
        };
        Ok((Source { reader, name, log: None, has_last_words: false, problem }, end))
    }

    /// Goes on with the output of a run that was begun by an earlier supervisor, where that left off. Says whether it has any
    /// pipe. It [must be woken](Self::wake), as for a new one.
    ///
    /// `is_ready`: nothing is looked for any more that would say so.
    pub(crate) fn adopt(&self, run: RunId, spec: &ProcessSpec, is_ready: bool) -> io::Result<bool> {
        let ready = pattern_of(spec).filter(|_| !is_ready);
        self.take_over(run, spec, ready, true)
    }

    fn take_over(
        &self,
        run: RunId,
        spec: &ProcessSpec,
        ready: Option<&str>,
        has_last_words: bool,
    ) -> io::Result<bool> {
        let Some(fifos) = &self.fifos else { return Ok(false) };
        let (log, stderr) = match &spec.output {
            Output::File { log, stderr } => (Some(log), *stderr),
            Output::Null | Output::Inherit => (None, Stderr::Join),
        };
        // What it was given counts, not what its next run would be given.
        let source = |purpose, log: Option<LogSettings>, is_heard: bool| {
            let found = fifos.find((&spec.id, run.number), purpose)?;
            let source = |Fifo { reader, name }| {
                let has_last_words = has_last_words && is_heard && log.is_some();
                Source { reader, name: Some(name), log, has_last_words, problem: None }
            };
            io::Result::Ok(found.map(source))
        };
        let for_stderr = log.filter(|_| stderr != Stderr::Null).map(LogSettings::for_stderr);
        let stderr = source(Purpose::Err, for_stderr, true)?;
        let stdout = source(Purpose::Out, log.cloned(), stderr.is_none())?;
        let has_any = stdout.is_some() || stderr.is_some();
        if has_any {
            let ready = ready.map(str::to_owned);
            let name = spec.id.clone();
            let run = Run { id: run, name, stdout, stderr, ready, is_new: false };
            self.thread()?.send(Command::Attach(Box::new(run)))?;
        }
        Ok(has_any)
    }

    /// The runs of earlier supervisors of which pipes stand in the folder.
    pub(crate) fn standing(&self) -> io::Result<Vec<(ComponentId, u64)>> {
        self.fifos.as_ref().map_or_else(|| Ok(Vec::new()), |fifos| fifos.standing())
    }

    /// Sees to the pipes of a run of an earlier supervisor that nobody goes on with, before any that goes on is adopted:
    /// what those who still have them write is stored until the last has gone. Where its component is not `known` any more, by
    /// its place and specification, there is nowhere to store it.
    pub(crate) fn let_go(
        &self,
        (id, number): (&ComponentId, u64),
        known: Option<(u32, &ProcessSpec)>,
    ) -> io::Result<()> {
        let Some(fifos) = &self.fifos else { return Ok(()) };
        let Some((component, spec)) = known else {
            fifos.discard(id, number);
            return Ok(());
        };
        if let Some(Fifo { name, .. }) = fifos.find((id, number), Purpose::Ready)? {
            fifos.remove(&name);
        }
        self.take_over(RunId { component, number }, spec, None, false).map(|_| ())
    }

    /// Has the thread tell the last words of a run that has ended, once it is [woken](Self::wake). Says whether it has
    /// to be.
    pub(crate) fn ended(&self, run: RunId, spec: &ProcessSpec) -> bool {
        let has_pipes = matches!(spec.output, Output::File { .. }) || pattern_of(spec).is_some();
        // Refused only if the thread hangs or has ended, which `conditions` tells.
        has_pipes && self.thread.get().is_some_and(|thread| thread.send(Command::Ended(run)).is_ok())
    }

    /// A component is none any more, and nothing of it is left: its logs are closed.
    pub(crate) fn forget(&self, component: u32) {
        if let Some(thread) = self.thread.get() {
            // Refused only if the thread hangs or has ended, which `conditions` tells.
            let _ = thread.send(Command::Forget(component));
            thread.wake();
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

    /// Has the files end that a component's output goes to. What came of it is told with the request; nothing is where its output
    /// is not stored.
    pub(crate) fn rotate(&self, request: RequestId, component: u32, spec: &ProcessSpec) -> io::Result<()> {
        let Output::File { log, stderr } = &spec.output else { return Ok(()) };
        let stderr = (*stderr == Stderr::File).then(|| log.for_stderr());
        let rotation = Rotation { request, component, stdout: log.clone(), stderr };
        let thread = self.thread()?;
        thread.send(Command::Rotate(Box::new(rotation))).map(|()| thread.wake())
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
    ///
    /// Gives the pipes in which more may come for another supervisor: as long as they are open, nothing that is in them is lost.
    pub(crate) fn finish(&mut self, limit: Duration) -> Vec<ReadEnd> {
        self.thread.take().map_or_else(Vec::new, |thread| thread.finish(limit))
    }

    fn thread(&self) -> io::Result<&Thread> {
        if let Some(thread) = self.thread.get() {
            return Ok(thread);
        }
        let thread = Thread::start(&self.notice, self.fifos.clone())?;
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
    handle: Option<JoinHandle<Vec<ReadEnd>>>,
}

impl Thread {
    fn start(notice: &Notice, fifos: Option<Arc<Fifos>>) -> io::Result<Self> {
        let (commands, received) = crossbeam_channel::unbounded();
        let (living, alive) = crossbeam_channel::bounded(0);
        let poller = Arc::new(Poller::new()?);
        let conditions = Conditions::default();
        let housekeeper = Housekeeper::default();
        let told = (Arc::clone(&conditions), Arc::clone(notice));
        let worker = Worker::new(Arc::clone(&poller), received, told, housekeeper.clone(), fifos);
        #[expect(clippy::disallowed_methods, reason = "a slow disk must not hold up the driver")]
        let handle = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            os::give_way();
            let open = worker.work();
            drop(living);
            open
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

    fn finish(mut self, limit: Duration) -> Vec<ReadEnd> {
        let deadline = now() + limit;
        // The other half is for the disk to answer.
        self.end(limit / 2);
        let has_ended = self.alive.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected);
        let handle = self.handle.take_if(|_| has_ended);
        // It has no more to do than to return.
        let open = handle.and_then(|handle| handle.join().ok()).unwrap_or_default();
        self.housekeeper.stop(deadline.saturating_duration_since(now()));
        open
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

/// What the line looks like by which a component says that it is ready, if it says so in its output.
fn pattern_of(spec: &ProcessSpec) -> Option<&str> {
    match &spec.readiness.as_ref()?.when {
        ReadyWhen::Logged(pattern) => Some(pattern),
        _ => None,
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

//! What runs say of themselves: by sd_notify, and on the descriptor of their readiness.
//!
//! Each run has a socket of its own if it has a use for one, so that the socket tells whose run it is. A run that
//! floods us is heard a bounded while in each round of the driver's, as everybody else.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use polling::Poller;
use rustix::io::Errno;

use super::said;
use crate::core::Said;
use crate::environment;
use crate::os::{NotifySocket, Sender, Watched};
use crate::run::RunId;
use crate::spec::{ProcessSpec, ReadyWhen};

/// The keys of the poller from here on are given here; those below, to processes.
const FIRST_KEY: usize = usize::MAX / 2;

/// How many datagrams of a run are heard in a round.
const MOST_DATAGRAMS: usize = 32;

/// The longest datagram that is heard.
const LONGEST_DATAGRAM: usize = 8 * 1024;

/// Where the runs are heard that have something to say.
#[derive(Debug)]
pub(super) struct Voices {
    poller: Arc<Poller>,
    by_component: HashMap<u32, Box<Voice>>,
    by_key: HashMap<usize, RunId>,
    last_key: usize,
    /// Empty before the first datagram.
    buffer: Vec<u8>,
}

/// Where one run is heard, until nothing of it is left.
#[derive(Debug)]
struct Voice {
    run: RunId,
    socket: Option<Watched<NotifySocket>>,
    /// Open until it is ready, or has closed its end.
    ready: Option<Watched<OwnedFd>>,
}

/// What a run that is about to be spawned needs to be heard.
#[derive(Debug, Default)]
pub(super) struct Mouth {
    /// What it finds in its environment.
    pub(super) variables: Vec<(OsString, OsString)>,
    ready: Option<(RawFd, OwnedFd)>,
}

impl Mouth {
    /// The descriptor for its readiness, and the number under which it finds that.
    pub(super) fn ready(&self) -> Option<(RawFd, BorrowedFd<'_>)> {
        self.ready.as_ref().map(|(number, writer)| (*number, writer.as_fd()))
    }
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A datagram, of this sender, who may be anybody.
    Notified(Sender, Said),
    /// The newline that says that it is ready.
    Ready,
}

impl Voices {
    pub(super) fn new(poller: Arc<Poller>) -> Self {
        let (by_component, by_key) = Default::default();
        Self { poller, by_component, by_key, last_key: FIRST_KEY, buffer: Vec::new() }
    }

    /// Prepares to hear a run of this component, as far as it has something to say: a socket costs a descriptor. What
    /// is left of the component's run before is not heard any more.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn open(&mut self, run: RunId, spec: &ProcessSpec) -> io::Result<Mouth> {
        self.close(run.component);
        let mut mouth = Mouth::default();
        let mut voice = Voice { run, socket: None, ready: None };
        let when = spec.readiness.as_ref().map(|readiness| &readiness.when);
        if when == Some(&ReadyWhen::Notified) || spec.watchdog.is_some() {
            let socket = NotifySocket::open(environment::unique("s7-notify")?)?;
            mouth.variables.push(("NOTIFY_SOCKET".into(), socket.address().into()));
            voice.socket = Some(self.watch(socket)?);
        }
        if let Some(watchdog) = spec.watchdog {
            // No `WATCHDOG_PID`: the program may be the child of a script, and need not care about the others.
            mouth.variables.push(("WATCHDOG_USEC".into(), watchdog.as_micros().to_string().into()));
        }
        if let Some(&ReadyWhen::Descriptor(number)) = when {
            let (reader, writer) = io::pipe()?;
            rustix::io::ioctl_fionbio(&reader, true)?;
            voice.ready = Some(self.watch(reader.into())?);
            mouth.ready = Some((number, writer.into()));
        }
        let keys: Vec<_> = voice.keys().collect();
        if !keys.is_empty() {
            self.by_key.extend(keys.into_iter().map(|key| (key, run)));
            self.by_component.insert(run.component, Box::new(voice));
        }
        Ok(mouth)
    }

    /// Whose voice a notice of the poller is about.
    pub(super) fn noticed(&self, key: usize) -> Option<RunId> {
        self.by_key.get(&key).copied()
    }

    /// What this run has said since it was last heard, or the beginning of it: then the poller will tell again.
    pub(super) fn hear(&mut self, run: RunId) -> Vec<Heard> {
        let Some(voice) = self.by_component.get_mut(&run.component).filter(|voice| voice.run == run) else {
            return Vec::new();
        };
        let mut heard = Vec::new();
        if let Some(socket) = &voice.socket {
            self.buffer.resize(LONGEST_DATAGRAM, 0);
            let datagrams = std::iter::from_fn(|| {
                let (sender, length) = socket.receive(&mut self.buffer)?;
                Some(Heard::Notified(sender, said::parse(&self.buffer[..length])))
            });
            let datagrams = datagrams.take(MOST_DATAGRAMS);
            heard.extend(
                datagrams
                    .filter(|heard| !matches!(heard, Heard::Notified(_, said) if *said == Said::default())),
            );
        }
        if let Some(pipe) = &voice.ready {
            let said = read_ready(pipe);
            if said != Some(false) {
                self.by_key.remove(&pipe.key());
                voice.ready = None;
            }
            heard.extend((said == Some(true)).then_some(Heard::Ready));
        }
        heard
    }

    /// Hears no more of the run of this component.
    pub(super) fn close(&mut self, component: u32) {
        if let Some(voice) = self.by_component.remove(&component) {
            for key in voice.keys() {
                self.by_key.remove(&key);
            }
        }
    }

    fn watch<D: AsFd>(&mut self, source: D) -> io::Result<Watched<D>> {
        self.last_key += 1;
        Watched::new(source, &self.poller, self.last_key)
    }
}

impl Voice {
    fn keys(&self) -> impl Iterator<Item = usize> + use<> {
        let keys = [self.socket.as_ref().map(Watched::key), self.ready.as_ref().map(Watched::key)];
        keys.into_iter().flatten()
    }
}

/// Whether a newline has come; `None` if none ever will.
fn read_ready(pipe: &OwnedFd) -> Option<bool> {
    let mut buffer = [0; 512];
    match rustix::io::read(pipe, &mut buffer) {
        Ok(0) => None,
        Ok(length) => Some(buffer[..length].contains(&b'\n')),
        Err(Errno::AGAIN | Errno::INTR) => Some(false),
        Err(_) => None,
    }
}

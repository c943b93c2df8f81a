//! What runs say of themselves: by `sd_notify`, and on the descriptor of their readiness.
//!
//! Each run has a socket of its own if it has a use for one, so that the socket tells whose run it is. A run that
//! floods us is heard a bounded while in each round of the driver's, as everybody else.
//!
//! A socket is called after the token of its run, which nobody can guess before: so whoever supervises the run after us finds
//! the same name again. The pipe of readiness has a name where there is a folder for that, and then needs nobody to read it.
//! How a supervisor after us goes on hearing is in [`kept`].

mod kept;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use polling::Poller;

pub use self::kept::KeptOpen;
use self::kept::Resumed;
use crate::core::Said;
use crate::os::{self, NotifySocket, ReadEnd, Sender, Watchable, Watched, WriteEnd, pipe};
use crate::output::{Fifo, Fifos, Purpose};
use crate::run::RunId;
use crate::said;
use crate::spec::{ProcessSpec, ReadyWhen};

/// The keys of the poller from here on are given here; those below to processes, and those with the highest bit to tasks.
const FIRST_KEY: usize = 1 << (usize::BITS - 2);

/// How many datagrams of a run are heard in a round.
const MOST_DATAGRAMS: usize = 32;

/// The longest datagram that is heard.
const LONGEST_DATAGRAM: usize = 8 * 1024;

/// Where the runs are heard that have something to say.
#[derive(Debug)]
pub(super) struct Voices {
    poller: Arc<Poller>,
    /// Where sockets are made as files.
    folder: Option<PathBuf>,
    /// Where pipes are that have names.
    fifos: Option<Arc<Fifos>>,
    /// What a supervisor before us has kept open, until supervision begins.
    resumed: Resumed,
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
    ready: Option<Watched<Arc<ReadEnd>>>,
    /// What that is called, if it has a name.
    name: Option<Box<str>>,
}

/// What a run that is about to be spawned needs to be heard.
#[derive(Debug, Default)]
pub(super) struct Mouth {
    /// What it finds in its environment.
    pub(super) variables: Vec<(OsString, OsString)>,
    ready: Option<(i32, WriteEnd)>,
}

impl Mouth {
    /// The descriptor for its readiness, and the number under which it finds that.
    pub(super) fn ready(&self) -> Option<(i32, &WriteEnd)> {
        self.ready.as_ref().map(|(number, writer)| (*number, writer))
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
    /// Sockets are made as files in this folder, if there is one, else with abstract addresses. Pipes have names in the other.
    pub(super) fn new(poller: Arc<Poller>, folder: Option<PathBuf>, fifos: Option<Arc<Fifos>>) -> Self {
        let (resumed, by_component, by_key) = Default::default();
        Self { poller, folder, fifos, resumed, by_component, by_key, last_key: FIRST_KEY, buffer: Vec::new() }
    }

    /// Prepares to hear a run of this component, as far as it has something to say: a socket costs a descriptor. What
    /// is left of the component's run before is not heard any more.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn open(&mut self, run: RunId, token: &str, spec: &ProcessSpec) -> io::Result<Mouth> {
        self.close(run.component);
        let mut mouth = Mouth::default();
        let mut voice = Voice { run, socket: None, ready: None, name: None };
        if has_socket(spec) {
            let socket = self.socket(token)?;
            mouth.variables.push(("NOTIFY_SOCKET".into(), socket.address()));
            voice.socket = Some(self.watch(socket)?);
        }
        if let Some(watchdog) = spec.watchdog {
            // No `WATCHDOG_PID`: the program may be the child of a script, and need not care about the others.
            mouth.variables.push(("WATCHDOG_USEC".into(), watchdog.as_micros().to_string().into()));
        }
        if let Some(number) = number_of(spec) {
            let (name, reader, writer) = self.pipe(run, spec)?;
            voice.name = name;
            voice.ready =
                Some(self.watch(Arc::new(reader)).inspect_err(|_| self.remove(voice.name.as_deref()))?);
            mouth.ready = Some((number, writer));
        }
        self.listen_to(voice);
        Ok(mouth)
    }

    fn listen_to(&mut self, voice: Voice) {
        let keys: Vec<_> = voice.keys().collect();
        if !keys.is_empty() {
            self.by_key.extend(keys.into_iter().map(|key| (key, voice.run)));
            self.by_component.insert(voice.run.component, Box::new(voice));
        }
    }

    /// A socket for the run with this token: the address is the same for whoever asks.
    fn socket(&self, token: &str) -> io::Result<NotifySocket> {
        let in_folder = self.folder.as_ref().and_then(|folder| {
            // Where no file can be made (its path is too long, or the folder is gone), most are heard all the same.
            NotifySocket::open_in(folder, file_name(token)).ok()
        });
        in_folder.map_or_else(|| NotifySocket::open(abstract_name(token)), Ok)
    }

    /// A pipe: its name, if it has one, the end to read, and the other one.
    fn pipe(&self, run: RunId, spec: &ProcessSpec) -> io::Result<(Option<Box<str>>, ReadEnd, WriteEnd)> {
        let made = self.fifos.as_ref().map(|fifos| fifos.make((&spec.id, run.number), Purpose::Ready, None));
        // Where none with a name can be made, it is ready all the same.
        if let Some(Ok((Fifo { reader, name }, writer))) = made {
            return Ok((Some(name), reader, writer));
        }
        let (reader, writer) = pipe()?;
        Ok((None, reader, writer))
    }

    fn remove(&self, name: Option<&str>) {
        if let (Some(fifos), Some(name)) = (&self.fifos, name) {
            fifos.remove(name);
        }
    }

    /// All that may have something to say.
    pub(super) fn runs(&self) -> Vec<RunId> {
        self.by_component.values().map(|voice| voice.run).collect()
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
                if let (Some(fifos), Some(name)) = (&self.fifos, voice.name.take()) {
                    fifos.remove(&name);
                }
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
            self.remove(voice.name.as_deref());
        }
    }

    fn watch<D: Watchable>(&mut self, source: D) -> io::Result<Watched<D>> {
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

/// Whether its runs have a use for a socket.
fn has_socket(spec: &ProcessSpec) -> bool {
    let is_notified = spec.readiness.as_ref().is_some_and(|readiness| readiness.when == ReadyWhen::Notified);
    is_notified || spec.watchdog.is_some()
}

/// The number of the descriptor on which its runs say that they are ready.
fn number_of(spec: &ProcessSpec) -> Option<i32> {
    match spec.readiness.as_ref()?.when {
        ReadyWhen::Descriptor(number) => Some(number),
        _ => None,
    }
}

/// The file of a run's socket: what of its token nobody else has.
fn file_name(token: &str) -> &str {
    token.rsplit('/').next().unwrap_or(token)
}

fn abstract_name(token: &str) -> String {
    format!("s7-notify/{}", file_name(token))
}

/// Whether a newline has come; `None` if none ever will.
fn read_ready(pipe: &ReadEnd) -> Option<bool> {
    match os::read_some(pipe, &mut [0; 512]) {
        Some([]) => None,
        Some(said) => Some(said.contains(&b'\n')),
        None => Some(false),
    }
}

// Of `sd_notify` and named pipes, which only Linux has.
#[cfg(all(target_os = "linux", not(s7_posix)))]
#[cfg(test)]
mod tests;

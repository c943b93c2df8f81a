//! What runs say of themselves: by `sd_notify`, and on the descriptor of their readiness.
//!
//! Each run has a socket of its own if it has a use for one, so that the socket tells whose run it is. A run that
//! floods us is heard a bounded while in each round of the driver's, as everybody else.
//!
//! A socket is called after the token of its run, which nobody can guess before: so whoever supervises the run after us finds
//! the same name again. The pipe of readiness has a name where there is a folder for that, and then needs nobody to read it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use polling::Poller;
use rustix::io::Errno;

use super::said;
use crate::core::Said;
use crate::os::{NotifySocket, Sender, Watched, pipe};
use crate::output::{Fifo, Fifos, Purpose};
use crate::run::RunId;
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
    /// What that is called, if it has a name.
    name: Option<Box<str>>,
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
    /// Sockets are made as files in this folder, if there is one, else with abstract addresses. Pipes have names in the other.
    pub(super) fn new(poller: Arc<Poller>, folder: Option<PathBuf>, fifos: Option<Arc<Fifos>>) -> Self {
        let (by_component, by_key) = Default::default();
        Self { poller, folder, fifos, by_component, by_key, last_key: FIRST_KEY, buffer: Vec::new() }
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
            voice.ready = Some(self.watch(reader).inspect_err(|_| self.remove(voice.name.as_deref()))?);
            mouth.ready = Some((number, writer));
        }
        self.listen_to(voice);
        Ok(mouth)
    }

    /// Goes on hearing a run that was begun by an earlier supervisor, under the addresses that it was given. What it has
    /// said on its socket meanwhile was refused, or lost with that; what it has said on its descriptor was not.
    ///
    /// `is_ready`: nothing is expected on its descriptor any more.
    ///
    /// # Errors
    /// When there are no descriptors left, or somebody else has taken the abstract address. All else is heard then.
    pub(super) fn adopt(
        &mut self,
        run: RunId,
        token: &str,
        spec: &ProcessSpec,
        is_ready: bool,
    ) -> io::Result<()> {
        self.close(run.component);
        let mut voice = Voice { run, socket: None, ready: None, name: None };
        let found = match &self.fifos {
            Some(fifos) if number_of(spec).is_some() => fifos.find((&spec.id, run.number), Purpose::Ready),
            _ => Ok(None),
        };
        let mut adopted = Ok(());
        match found {
            Ok(Some(Fifo { name, .. })) if is_ready => self.remove(Some(&name)),
            Ok(Some(Fifo { reader, name })) => match self.watch(reader) {
                Ok(reader) => (voice.ready, voice.name) = (Some(reader), Some(name)),
                Err(error) => adopted = Err(error),
            },
            Ok(None) => {}
            Err(error) => adopted = Err(error),
        }
        if has_socket(spec) {
            match self.socket(token).and_then(|socket| self.watch(socket)) {
                Ok(socket) => voice.socket = Some(socket),
                Err(error) => adopted = Err(error),
            }
        }
        self.listen_to(voice);
        adopted
    }

    fn listen_to(&mut self, voice: Voice) {
        let keys: Vec<_> = voice.keys().collect();
        if !keys.is_empty() {
            self.by_key.extend(keys.into_iter().map(|key| (key, voice.run)));
            self.by_component.insert(voice.run.component, Box::new(voice));
        }
    }

    /// The socket of the run with this token: the same for whoever asks.
    fn socket(&self, token: &str) -> io::Result<NotifySocket> {
        let in_folder = self.folder.as_ref().and_then(|folder| {
            // Where no file can be made (its path is too long, or the folder is gone), most are heard all the same.
            NotifySocket::open_in(folder, file_name(token)).ok()
        });
        in_folder.map_or_else(|| NotifySocket::open(abstract_name(token)), Ok)
    }

    /// A pipe: its name, if it has one, the end to read, and the other one.
    fn pipe(&self, run: RunId, spec: &ProcessSpec) -> io::Result<(Option<Box<str>>, OwnedFd, OwnedFd)> {
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

/// Whether its runs have a use for a socket.
fn has_socket(spec: &ProcessSpec) -> bool {
    let is_notified = spec.readiness.as_ref().is_some_and(|readiness| readiness.when == ReadyWhen::Notified);
    is_notified || spec.watchdog.is_some()
}

/// The number of the descriptor on which its runs say that they are ready.
fn number_of(spec: &ProcessSpec) -> Option<RawFd> {
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
fn read_ready(pipe: &OwnedFd) -> Option<bool> {
    let mut buffer = [0; 512];
    match rustix::io::read(pipe, &mut buffer) {
        Ok(0) => None,
        Ok(length) => Some(buffer[..length].contains(&b'\n')),
        Err(Errno::AGAIN | Errno::INTR) => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::path::Path;
    use std::time::Duration;

    use polling::Events;

    use super::*;
    use crate::spec::Readiness;

    const RUN: RunId = RunId { component: 3, number: 1 };
    const TOKEN: &str = "ps/ffeeddccbbaa99887766554433221100";

    struct Bench {
        poller: Arc<Poller>,
        voices: Voices,
    }

    impl Bench {
        fn new() -> Self {
            let poller = Arc::new(Poller::new().unwrap());
            Self { voices: Voices::new(Arc::clone(&poller), None, None), poller }
        }

        /// The runs that have something to say by now.
        fn noticed(&self) -> Vec<RunId> {
            let mut events = Events::new();
            self.poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            events.iter().filter_map(|event| self.voices.noticed(event.key)).collect()
        }
    }

    fn spec(when: Option<ReadyWhen>) -> ProcessSpec {
        let mut spec = ProcessSpec::new("ps", "true").unwrap();
        spec.readiness = when.map(|when| Readiness { when, timeout: Duration::from_secs(60) });
        spec
    }

    fn variable(mouth: &Mouth, name: &str) -> Option<String> {
        let (_, value) = mouth.variables.iter().find(|(of, _)| of == name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    fn speaker(mouth: &Mouth) -> UnixDatagram {
        let address = variable(mouth, "NOTIFY_SOCKET").unwrap();
        let speaker = UnixDatagram::unbound().unwrap();
        speaker.connect_addr(&SocketAddr::from_abstract_name(&address[1..]).unwrap()).unwrap();
        speaker
    }

    #[test]
    fn who_has_nothing_to_say_costs_no_descriptor() {
        let mut bench = Bench::new();
        for when in [None, Some(ReadyWhen::Logged("ready".to_owned()))] {
            let mouth = bench.voices.open(RUN, TOKEN, &spec(when)).unwrap();
            assert!(mouth.variables.is_empty() && mouth.ready().is_none());
            assert!(bench.voices.by_component.is_empty() && bench.voices.by_key.is_empty());
        }
    }

    #[test]
    fn a_socket_is_a_file_where_there_is_a_folder_for_it_and_goes_with_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Bench::new();
        bench.voices.folder = Some(folder.path().to_owned());
        let mouth = bench.voices.open(RUN, TOKEN, &spec(Some(ReadyWhen::Notified))).unwrap();
        let file = PathBuf::from(variable(&mouth, "NOTIFY_SOCKET").unwrap());
        assert_eq!(file.parent(), Some(folder.path()));
        UnixDatagram::unbound().unwrap().send_to(b"READY=1", &file).unwrap();
        assert!(matches!(&bench.voices.hear(RUN)[..], [Heard::Notified(_, said)] if said.ready));
        bench.voices.close(RUN.component);
        assert!(!file.exists());

        drop(folder);
        let mouth = bench.voices.open(RUN, TOKEN, &spec(Some(ReadyWhen::Notified))).unwrap();
        speaker(&mouth).send(b"READY=1").unwrap();
        assert!(matches!(&bench.voices.hear(RUN)[..], [Heard::Notified(_, said)] if said.ready));
    }

    #[test]
    fn a_flood_is_heard_a_bounded_while_and_noticed_again() {
        let mut bench = Bench::new();
        let mouth = bench.voices.open(RUN, TOKEN, &spec(Some(ReadyWhen::Notified))).unwrap();
        let speaker = speaker(&mouth);
        speaker.set_nonblocking(true).unwrap();
        // As many as the system keeps for one who does not read (`net.unix.max_dgram_qlen`, and the sender's buffer).
        let said = (0..1000)
            .take_while(|number| speaker.send(format!("STATUS={number}").as_bytes()).is_ok())
            .count();
        let mut heard = 0;
        while bench.noticed() == [RUN] {
            let now = bench.voices.hear(RUN).len();
            assert!((1..=MOST_DATAGRAMS).contains(&now));
            heard += now;
        }
        assert_eq!(heard, said);
    }

    #[test]
    fn garbage_is_no_news() {
        let mut bench = Bench::new();
        let mouth = bench.voices.open(RUN, TOKEN, &spec(Some(ReadyWhen::Notified))).unwrap();
        let speaker = speaker(&mouth);
        let long = [b"READY=1\n".as_slice(), &[b'x'; LONGEST_DATAGRAM]].concat();
        for datagram in [b"".as_slice(), b"\xff\0\n==", &long, b"READY=1"] {
            speaker.send(datagram).unwrap();
        }
        let heard = bench.voices.hear(RUN);
        let ready = Said { ready: true, ..Said::default() };
        assert!(matches!(&heard[..], [Heard::Notified(_, said)] if *said == ready), "{heard:?}");
    }

    #[test]
    fn a_descriptor_of_readiness_is_heard_until_its_newline_or_its_end() {
        for (said, last) in [("not yet\n", vec![Heard::Ready]), ("never", Vec::new())] {
            let mut bench = Bench::new();
            let mut mouth = bench.voices.open(RUN, TOKEN, &spec(Some(ReadyWhen::Descriptor(5)))).unwrap();
            let (number, writer) = mouth.ready.take().unwrap();
            assert_eq!(number, 5);
            let mut writer = std::fs::File::from(writer);
            assert_eq!(bench.voices.hear(RUN), []);
            writer.write_all(b"x").unwrap();
            assert_eq!((bench.noticed(), bench.voices.hear(RUN)), (vec![RUN], Vec::new()));
            writer.write_all(said.as_bytes()).unwrap();
            assert_eq!(bench.voices.hear(RUN), last);
            drop(writer);
            assert_eq!(bench.voices.hear(RUN), []);
            assert!(bench.noticed().is_empty() && bench.voices.by_key.is_empty(), "it is closed");
        }
    }

    /// Voices that keep what they need in a folder, as those that come after them.
    fn keeping(folder: &Path) -> Bench {
        let mut bench = Bench::new();
        bench.voices.fifos = Some(Arc::new(Fifos::open(folder).unwrap()));
        bench
    }

    #[test]
    fn whoever_says_that_it_is_ready_while_nobody_listens_is_heard_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(Some(ReadyWhen::Descriptor(5)));
        let pipes = || std::fs::read_dir(folder.path().join("output")).unwrap().count();
        let mut bench = keeping(folder.path());
        let (_, writer) = bench.voices.open(RUN, TOKEN, &spec).unwrap().ready.take().unwrap();
        let mut writer = std::fs::File::from(writer);
        // A killed supervisor closes nothing in order.
        std::mem::take(&mut bench.voices.by_component);
        drop(bench);
        writer.write_all(b"ready\n").unwrap();
        let mut bench = keeping(folder.path());
        bench.voices.adopt(RUN, TOKEN, &spec, false).unwrap();
        assert_eq!((bench.noticed(), bench.voices.hear(RUN)), (vec![RUN], vec![Heard::Ready]));
        assert!(bench.voices.by_key.is_empty() && pipes() == 0);
        bench.voices.close(RUN.component);
        bench.voices.adopt(RUN, TOKEN, &spec, true).unwrap();
        assert!(bench.voices.by_component.is_empty(), "who is ready costs no descriptor");
        // Nobody may have written, and gone.
        drop(bench.voices.open(RUN, TOKEN, &spec).unwrap());
        assert_eq!((bench.voices.hear(RUN), pipes()), (Vec::new(), 0));
    }

    #[test]
    fn a_socket_has_the_same_address_again() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(Some(ReadyWhen::Notified));
        for notify in [None, Some(folder.path().to_owned())] {
            let mut bench = Bench::new();
            bench.voices.folder.clone_from(&notify);
            let mouth = bench.voices.open(RUN, TOKEN, &spec).unwrap();
            let address = variable(&mouth, "NOTIFY_SOCKET").unwrap();
            assert_eq!(address.starts_with('/'), notify.is_some());
            drop(bench);
            if notify.is_some() {
                // A killed supervisor leaves the file behind.
                drop(UnixDatagram::bind(&address).unwrap());
            }
            let mut bench = Bench::new();
            bench.voices.folder = notify;
            bench.voices.adopt(RUN, TOKEN, &spec, true).unwrap();
            let to = match address.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name).unwrap(),
                None => SocketAddr::from_pathname(&address).unwrap(),
            };
            UnixDatagram::unbound().unwrap().send_to_addr(b"READY=1", &to).unwrap();
            assert!(matches!(&bench.voices.hear(RUN)[..], [Heard::Notified(_, said)] if said.ready));
        }
    }

    #[test]
    fn an_address_that_somebody_else_has_taken_is_told_and_the_rest_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec(Some(ReadyWhen::Descriptor(5)));
        spec.watchdog = Some(Duration::from_secs(1));
        let mut bench = keeping(folder.path());
        let (_, writer) = bench.voices.open(RUN, TOKEN, &spec).unwrap().ready.take().unwrap();
        std::mem::take(&mut bench.voices.by_component);
        drop(bench);
        let _squatter = NotifySocket::open(abstract_name(TOKEN)).unwrap();
        let mut bench = keeping(folder.path());
        let refused = bench.voices.adopt(RUN, TOKEN, &spec, false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        std::fs::File::from(writer).write_all(b"\n").unwrap();
        assert_eq!(bench.voices.hear(RUN), [Heard::Ready]);
    }

    #[test]
    fn an_old_run_is_not_heard_when_the_next_one_is_there() {
        let mut bench = Bench::new();
        let mut spec = spec(Some(ReadyWhen::Notified));
        spec.watchdog = Some(Duration::from_millis(1500));
        let old = bench.voices.open(RUN, TOKEN, &spec).unwrap();
        let old_speaker = speaker(&old);
        old_speaker.send(b"READY=1").unwrap();
        let next = RunId { number: 2, ..RUN };
        let mouth = bench.voices.open(next, "ps/00112233445566778899aabbccddeeff", &spec).unwrap();
        assert_eq!(variable(&mouth, "WATCHDOG_USEC").as_deref(), Some("1500000"));
        assert_ne!(variable(&mouth, "NOTIFY_SOCKET"), variable(&old, "NOTIFY_SOCKET"));
        assert!(old_speaker.send(b"READY=1").is_err(), "nobody is there any more");
        assert!(bench.noticed().is_empty() && bench.voices.hear(RUN).is_empty());
        speaker(&mouth).send(b"READY=1").unwrap();
        assert_eq!((bench.noticed(), bench.voices.hear(next).len()), (vec![next], 1));
        bench.voices.close(RUN.component);
        assert!(bench.voices.by_key.is_empty());
    }
}

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use polling::Events;

use super::*;
use crate::spec::Readiness;

const RUN: RunId = RunId { component: 3, number: 1 };

/// A token that no other test has, each of which is a thread: sockets are called by them, and there is one of each name.
fn token() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local!(static OURS: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    format!("ps/{:016x}{:016x}", std::process::id(), OURS.with(|ours| *ours))
}

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

/// Waits until nobody has the socket at this address open any more. A process that another test is just starting has whatever
/// was open when it began, until its own program runs.
fn await_closed(address: &str) {
    let address = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(address),
    };
    let address = address.unwrap();
    while UnixDatagram::unbound().unwrap().connect_addr(&address).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn who_has_nothing_to_say_costs_no_descriptor() {
    let mut bench = Bench::new();
    for when in [None, Some(ReadyWhen::Logged("ready".to_owned()))] {
        let mouth = bench.voices.open(RUN, &token(), &spec(when)).unwrap();
        assert!(mouth.variables.is_empty() && mouth.ready().is_none());
        assert!(bench.voices.by_component.is_empty() && bench.voices.by_key.is_empty());
    }
}

#[test]
fn a_socket_is_a_file_where_there_is_a_folder_for_it_and_goes_with_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new();
    bench.voices.folder = Some(folder.path().to_owned());
    let mouth = bench.voices.open(RUN, &token(), &spec(Some(ReadyWhen::Notified))).unwrap();
    let file = PathBuf::from(variable(&mouth, "NOTIFY_SOCKET").unwrap());
    assert_eq!(file.parent(), Some(folder.path()));
    UnixDatagram::unbound().unwrap().send_to(b"READY=1", &file).unwrap();
    assert!(matches!(&bench.voices.hear(RUN)[..], [Heard::Notified(_, said)] if said.ready));
    bench.voices.close(RUN.component);
    assert!(!file.exists());

    drop(folder);
    let mouth = bench.voices.open(RUN, &token(), &spec(Some(ReadyWhen::Notified))).unwrap();
    speaker(&mouth).send(b"READY=1").unwrap();
    assert!(matches!(&bench.voices.hear(RUN)[..], [Heard::Notified(_, said)] if said.ready));
}

#[test]
fn a_flood_is_heard_a_bounded_while_and_noticed_again() {
    let mut bench = Bench::new();
    let mouth = bench.voices.open(RUN, &token(), &spec(Some(ReadyWhen::Notified))).unwrap();
    let speaker = speaker(&mouth);
    speaker.set_nonblocking(true).unwrap();
    // As many as the system keeps for one who does not read (`net.unix.max_dgram_qlen`, and the sender's buffer).
    let said =
        (0..1000).take_while(|number| speaker.send(format!("STATUS={number}").as_bytes()).is_ok()).count();
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
    let mouth = bench.voices.open(RUN, &token(), &spec(Some(ReadyWhen::Notified))).unwrap();
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
        let mut mouth = bench.voices.open(RUN, &token(), &spec(Some(ReadyWhen::Descriptor(5)))).unwrap();
        let (number, writer) = mouth.ready.take().unwrap();
        assert_eq!(number, 5);
        let mut writer = std::fs::File::from(writer);
        assert_eq!(bench.voices.hear(RUN), []);
        writer.write_all(b"x").unwrap();
        assert_eq!((bench.noticed(), bench.voices.hear(RUN)), (vec![RUN], Vec::new()));
        writer.write_all(said.as_bytes()).unwrap();
        assert_eq!(bench.voices.hear(RUN), last);
        drop(writer);
        // A process that another test is just starting may have the other end open until its own program runs.
        while !bench.voices.by_key.is_empty() {
            assert_eq!(bench.voices.hear(RUN), []);
        }
        assert!(bench.noticed().is_empty());
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
    let (_, writer) = bench.voices.open(RUN, &token(), &spec).unwrap().ready.take().unwrap();
    let mut writer = std::fs::File::from(writer);
    // A killed supervisor closes nothing in order.
    std::mem::take(&mut bench.voices.by_component);
    drop(bench);
    writer.write_all(b"ready\n").unwrap();
    let mut bench = keeping(folder.path());
    bench.voices.adopt(RUN, &token(), &spec, false).unwrap();
    assert_eq!((bench.noticed(), bench.voices.hear(RUN)), (vec![RUN], vec![Heard::Ready]));
    assert!(bench.voices.by_key.is_empty() && pipes() == 0);
    bench.voices.close(RUN.component);
    bench.voices.adopt(RUN, &token(), &spec, true).unwrap();
    assert!(bench.voices.by_component.is_empty(), "who is ready costs no descriptor");
    // Nobody may have written, and gone.
    drop(bench.voices.open(RUN, &token(), &spec).unwrap());
    while pipes() > 0 {
        assert_eq!(bench.voices.hear(RUN), []);
    }
}

#[test]
fn a_socket_has_the_same_address_again() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(Some(ReadyWhen::Notified));
    for notify in [None, Some(folder.path().to_owned())] {
        let mut bench = Bench::new();
        bench.voices.folder.clone_from(&notify);
        let mouth = bench.voices.open(RUN, &token(), &spec).unwrap();
        let address = variable(&mouth, "NOTIFY_SOCKET").unwrap();
        assert_eq!(address.starts_with('/'), notify.is_some());
        drop(bench);
        await_closed(&address);
        if notify.is_some() {
            // A killed supervisor leaves the file behind.
            drop(UnixDatagram::bind(&address).unwrap());
        }
        let mut bench = Bench::new();
        bench.voices.folder = notify;
        bench.voices.adopt(RUN, &token(), &spec, true).unwrap();
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
    let (_, writer) = bench.voices.open(RUN, &token(), &spec).unwrap().ready.take().unwrap();
    std::mem::take(&mut bench.voices.by_component);
    drop(bench);
    await_closed(&format!("@{}", abstract_name(&token())));
    let _squatter = NotifySocket::open(abstract_name(&token())).unwrap();
    let mut bench = keeping(folder.path());
    let refused = bench.voices.adopt(RUN, &token(), &spec, false).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    std::fs::File::from(writer).write_all(b"\n").unwrap();
    assert_eq!(bench.voices.hear(RUN), [Heard::Ready]);
}

#[test]
fn an_old_run_is_not_heard_when_the_next_one_is_there() {
    let mut bench = Bench::new();
    let mut spec = spec(Some(ReadyWhen::Notified));
    spec.watchdog = Some(Duration::from_millis(1500));
    let old = bench.voices.open(RUN, &token(), &spec).unwrap();
    let old_speaker = speaker(&old);
    old_speaker.send(b"READY=1").unwrap();
    let next = RunId { number: 2, ..RUN };
    let mouth = bench.voices.open(next, &format!("{}/next", token()), &spec).unwrap();
    assert_eq!(variable(&mouth, "WATCHDOG_USEC").as_deref(), Some("1500000"));
    assert_ne!(variable(&mouth, "NOTIFY_SOCKET"), variable(&old, "NOTIFY_SOCKET"));
    await_closed(&variable(&old, "NOTIFY_SOCKET").unwrap());
    assert!(old_speaker.send(b"READY=1").is_err(), "nobody is there any more");
    assert!(bench.noticed().is_empty() && bench.voices.hear(RUN).is_empty());
    speaker(&mouth).send(b"READY=1").unwrap();
    assert_eq!((bench.noticed(), bench.voices.hear(next).len()), (vec![next], 1));
    bench.voices.close(RUN.component);
    assert!(bench.voices.by_key.is_empty());
}

/// What is said between two of these voices, and heard by the second, where the first keeps all open or does not.
fn heard_between(folder: &Path, keeps: bool) -> (io::Result<()>, Vec<Heard>) {
    let notify = folder.join("notify");
    std::fs::create_dir_all(&notify).unwrap();
    let mut spec = spec(Some(ReadyWhen::Descriptor(5)));
    spec.watchdog = Some(Duration::from_secs(1));
    let mut bench = keeping(folder);
    bench.voices.folder = Some(notify.clone());
    let mut mouth = bench.voices.open(RUN, &token(), &spec).unwrap();
    let file = PathBuf::from(variable(&mouth, "NOTIFY_SOCKET").unwrap());
    let kept = bench.voices.keep();
    assert_eq!(kept.descriptors().count(), 2);
    drop(bench);
    let kept = Some(kept).filter(|_| keeps).unwrap_or_default();
    if !keeps {
        await_closed(file.to_str().unwrap());
    }
    let (_, writer) = mouth.ready.take().unwrap();
    let mut writer = std::fs::File::from(writer);
    writer.write_all(b"ready\n").unwrap();
    drop(writer);
    let sent = UnixDatagram::unbound().unwrap().send_to(b"WATCHDOG=1", &file).map(drop);

    let mut bench = keeping(folder);
    bench.voices.folder = Some(notify);
    bench.voices.resume(kept);
    bench.voices.adopt(RUN, &token(), &spec, false).unwrap();
    bench.voices.settle();
    let heard = bench.voices.hear(RUN);
    UnixDatagram::unbound().unwrap().send_to(b"WATCHDOG=1", &file).unwrap();
    assert_eq!(bench.voices.hear(RUN).len(), 1, "it goes on");
    bench.voices.close(RUN.component);
    assert!(!file.exists());
    (sent, heard)
}

#[test]
fn what_is_said_between_two_supervisors_is_heard_if_all_is_kept_open_and_refused_if_not() {
    let folder = tempfile::tempdir().unwrap();
    let (sent, heard) = heard_between(folder.path(), true);
    sent.unwrap();
    assert!(matches!(&heard[..], [Heard::Notified(_, said), Heard::Ready] if said.alive), "{heard:?}");
    let (sent, heard) = heard_between(folder.path(), false);
    assert_eq!((sent.unwrap_err().kind(), heard), (io::ErrorKind::ConnectionRefused, Vec::new()));
}

#[test]
fn what_was_kept_open_of_a_run_that_is_gone_is_closed_when_supervision_begins_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new();
    bench.voices.folder = Some(folder.path().to_owned());
    let mouth = bench.voices.open(RUN, &token(), &spec(Some(ReadyWhen::Notified))).unwrap();
    let file = PathBuf::from(variable(&mouth, "NOTIFY_SOCKET").unwrap());
    let kept = bench.voices.keep();
    let mut next = Bench::new();
    next.voices.resume(kept.clone());
    drop(next);
    assert!(file.exists(), "somebody may go back");
    let mut next = Bench::new();
    next.voices.resume(kept.clone());
    next.voices.settle();
    assert!(!file.exists());
    drop(kept);
    assert!(UnixDatagram::unbound().unwrap().send_to(b"READY=1", &file).is_err());
}

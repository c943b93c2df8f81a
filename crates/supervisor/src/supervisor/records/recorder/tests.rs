use std::fs;
use std::path::Path;
use std::time::Instant;

use crossbeam_channel::{Receiver, unbounded};

use super::super::tests::{Memory, id, is_stored, record};
use super::*;

fn open(place: &Path) -> (Recorder, Receiver<()>) {
    let (told, notices) = unbounded();
    let recorder = Records::open(place).unwrap().recorder(move || told.send(()).unwrap()).unwrap();
    (recorder, notices)
}

fn stored(place: &Path, name: &str) -> Option<u64> {
    let text = fs::read(place.join("runs").join(name)).ok()?;
    let record = text.split(|byte| *byte == b'\n').nth(1).unwrap();
    Some(serde_json::from_slice::<Record<Memory>>(record).unwrap().memory.runs)
}

/// Longer than anything here should take.
const LONG: Duration = Duration::from_secs(90);

/// Gives the other threads the processor until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// Ends a recorder by this; then something is so, unless nobody could wait for it, because a thread was halted for too long.
fn ended(what: &str, end: impl FnOnce(), is_so: impl Fn() -> bool) {
    let began = now();
    end();
    if began.elapsed() < PATIENCE {
        assert!(is_so(), "{what}");
    }
    until(what, is_so);
}

#[expect(clippy::disallowed_methods, reason = "deadlines that only a fault reaches")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn who_asks_is_told_when_all_is_stored_that_was_handed_over_before() {
    let place = tempfile::tempdir().unwrap();
    let (recorder, notices) = open(place.path());
    assert_eq!(recorder.ask(), None);
    for runs in 1..=100 {
        recorder.remember(&id("ps"), &record(runs));
        recorder.remember(&id("is"), &record(runs));
    }
    if let Some(number) = recorder.ask() {
        while recorder.stored() < number {
            notices.recv_timeout(LONG).unwrap();
        }
    }
    assert_eq!((stored(place.path(), "ps.run"), stored(place.path(), "is.run")), (Some(100), Some(100)));
    recorder.forget(&id("is"));
    assert!(is_stored(&recorder));
    assert_eq!((recorder.ask(), recorder.condition()), (None, None));
    assert_eq!(stored(place.path(), "is.run"), None);
}

#[test]
fn what_was_handed_over_last_is_stored_when_it_is_dropped_and_gone_after_an_orderly_end() {
    let place = tempfile::tempdir().unwrap();
    let (recorder, _notices) = open(place.path());
    recorder.remember(&id("ps"), &record(7));
    ended("it is stored", || drop(recorder), || stored(place.path(), "ps.run") == Some(7));
    let (recorder, _notices) = open(place.path());
    recorder.remember(&id("is"), &record(7));
    let files = || fs::read_dir(place.path().join("runs")).unwrap().count();
    ended("nothing is left", || recorder.end(), || files() == 0);
}

#[test]
fn what_cannot_be_written_is_told_and_written_when_it_can() {
    let place = tempfile::tempdir().unwrap();
    let (recorder, notices) = open(place.path());
    // A folder that is not empty cannot be replaced.
    let squatted = place.path().join("runs/ps.run");
    fs::create_dir_all(squatted.join("x")).unwrap();
    recorder.remember(&id("ps"), &record(1));
    recorder.remember(&id("is"), &record(2));
    assert!(!recorder.wait(), "it takes no longer than agreed");
    until("it is told", || recorder.condition().is_some());
    let condition = recorder.condition().unwrap();
    assert!(condition.starts_with("cannot write ") && condition.contains("ps.run"), "{condition}");
    until("others are not held up", || stored(place.path(), "is.run") == Some(2));

    recorder.remember(&id("ps"), &record(3));
    let number = recorder.ask().unwrap();
    fs::remove_dir_all(&squatted).unwrap();
    while recorder.stored() < number {
        notices.recv_timeout(LONG).unwrap();
    }
    assert_eq!((stored(place.path(), "ps.run"), recorder.condition()), (Some(3), None));
}

/// A file system of its own takes a mount namespace of its own: so the scenario runs in another process.
#[cfg(unix)]
#[test]
fn a_full_disk_holds_nobody_up_and_heals() {
    const NAME: &str = "supervisor::records::recorder::tests::a_full_disk_holds_nobody_up_and_heals";
    if let Some(place) = std::env::var_os("TEST_ON_SMALL_DISK") {
        return on_a_small_disk(Path::new(&place));
    }
    if !rustix::process::geteuid().is_root() {
        return; // Only root can mount.
    }
    let place = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=256k,nr_inodes=64 tmpfs \"$TEST_ON_SMALL_DISK\" || exit 77; exec \"$@\"";
    #[expect(clippy::disallowed_methods, reason = "a test runs itself in a process of its own")]
    let mut scenario = std::process::Command::new("unshare");
    scenario.args(["-m", "sh", "-c", script, "sh"]).arg(std::env::current_exe().unwrap());
    scenario.args(["--exact", NAME]).env("TEST_ON_SMALL_DISK", place.path());
    let output = scenario.output().unwrap();
    if matches!(output.status.code(), Some(1 | 77)) && !output.stdout.starts_with(b"\nrunning") {
        return; // A container may be root and yet not be allowed to.
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[cfg(unix)]
fn on_a_small_disk(place: &Path) {
    let (recorder, notices) = open(place);
    recorder.remember(&id("ps"), &record(1));
    assert!(is_stored(&recorder));
    let full = place.join("full");
    assert!(fs::write(&full, vec![0; 1 << 20]).is_err(), "there is less room");

    recorder.remember(&id("ps"), &record(2));
    let mut held = Held::default();
    held.hold("answer", recorder.ask().unwrap(), Duration::ZERO);
    assert!(!recorder.wait());
    until("it is told", || recorder.condition().is_some());
    assert!(recorder.condition().unwrap().contains("No space left"), "{:?}", recorder.condition());
    assert_eq!(held.release(recorder.stored(), Duration::from_millis(999)), None);
    assert_eq!(held.release(recorder.stored(), Duration::from_secs(1)), Some("answer"));
    assert_eq!(stored(place, "ps.run"), Some(1), "the old one is still whole");

    fs::remove_file(&full).unwrap();
    while recorder.condition().is_some() {
        notices.recv_timeout(LONG).unwrap();
    }
    assert_eq!(stored(place, "ps.run"), Some(2));
}

#[test]
fn what_is_held_is_released_in_order_when_it_is_stored_or_its_time_is_over() {
    let at = Duration::from_millis;
    let mut held = Held::default();
    assert_eq!((held.deadline(), held.release(9, at(0))), (None, None));
    held.hold('a', 5, at(0));
    held.hold('b', 7, at(100));
    assert_eq!((held.deadline(), held.release(4, at(0))), (Some(at(1000)), None));
    assert_eq!((held.release(6, at(0)), held.release(6, at(0))), (Some('a'), None));
    assert_eq!((held.deadline(), held.release(6, at(1100))), (Some(at(1100)), Some('b')));
    assert_eq!(held.deadline(), None);
}

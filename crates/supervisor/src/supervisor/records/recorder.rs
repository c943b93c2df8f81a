//! Writes records down, in a thread of its own: a disk that is slow, full or gone holds nobody up.
//!
//! Of each component only the latest record waits to be written, so that what waits has a bound. What cannot be written is
//! tried again, ever less often, until it can.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;

use super::{KEY, Record, Records, SUFFIX, page};
use crate::os::{Place, words};
use crate::spec::ComponentId;

/// How soon what could not be written is tried again at first, and at most.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How long somebody waits at most for what is to be stored.
const PATIENCE: Duration = Duration::from_secs(1);

/// Has records written down. Dropping it leaves them to the next supervisor.
pub(in super::super) struct Recorder {
    place: Place,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread has in common with those who give it work. Locked for moments only.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// What is to become of files, by their names: their contents, or nothing.
type Pending = HashMap<String, Option<Vec<u8>>>;

#[derive(Default)]
struct State {
    pending: Pending,
    /// How much has been handed over, and up to where all of that is stored.
    handed: u64,
    stored: u64,
    /// Up to where somebody wants to be told.
    asked: u64,
    trouble: Option<String>,
    /// The folder is empty, though it should not be: all that is known has to be handed over again.
    is_bare: bool,
    ending: Option<Ending>,
    has_ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// What waits is tried once more.
    Leave,
    /// All records are removed.
    Forget,
}

impl Records {
    /// Begins to write. After each [`Recorder::ask`], `notice` is called in the thread that writes, once all is stored that had
    /// been handed over before; and when [`Recorder::take_bareness`] has something to say.
    ///
    /// # Errors
    /// If there can be no thread for it.
    pub(in super::super) fn recorder(mut self, notice: impl Fn() + Send + 'static) -> io::Result<Recorder> {
        let place = self.place.clone();
        let shared = Arc::new(Shared::default());
        if !self.is_key_stored {
            shared.hand_over(KEY.to_owned(), Some(self.key_file()));
        }
        let theirs = Arc::clone(&shared);
        #[expect(clippy::disallowed_methods, reason = "the one thread that writes records")]
        let thread = thread::Builder::new().name("records".into()).spawn(move || {
            let _ended = Ended(&theirs);
            write(&mut self, &theirs, &notice);
        })?;
        Ok(Recorder { place, shared, thread: Some(thread) })
    }
}

impl Recorder {
    /// Has this written down in the place of what was known of the component before. Returns at once.
    pub(in super::super) fn remember<M: Serialize>(&self, id: &ComponentId, record: &Record<M>) {
        match page(id, &self.place, record) {
            Ok(content) => self.shared.hand_over(format!("{id}{SUFFIX}"), Some(content)),
            Err(error) => {
                let told = format!("cannot write down what is known of {id}: {error}");
                self.shared.lock().trouble = Some(told);
            }
        }
    }

    /// Has the record of a component removed that is none any more. Returns at once.
    pub(in super::super) fn forget(&self, id: &ComponentId) {
        self.shared.hand_over(format!("{id}{SUFFIX}"), None);
    }

    /// Asks to be told when all is stored that was handed over so far. Gives the number from which on
    /// [`stored`](Self::stored) says so; `None` if it is so already, and nobody will be told.
    pub(in super::super) fn ask(&self) -> Option<u64> {
        let mut state = self.shared.lock();
        if state.stored == state.handed {
            return None;
        }
        state.asked = state.handed;
        Some(state.handed)
    }

    /// Up to which number all is stored.
    pub(in super::super) fn stored(&self) -> u64 {
        self.shared.lock().stored
    }

    /// Whether somebody has removed the folder since this was asked last: it is there again, and all that is known of the
    /// components has to be handed over once more.
    pub(in super::super) fn take_bareness(&self) -> bool {
        std::mem::take(&mut self.shared.lock().is_bare)
    }

    /// What is wrong with the records, as a sentence.
    pub(in super::super) fn condition(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }

    #[cfg(test)]
    /// Waits until all is stored that was handed over so far: for a second at most. Says whether it is.
    pub(in super::super) fn wait(&self) -> bool {
        let state = self.shared.lock();
        let number = state.handed;
        self.shared.wait_while(state, |state| state.stored < number).stored >= number
    }

    /// Removes all records, and the key with them, after an orderly end: waits for that for a second at most.
    pub(in super::super) fn end(mut self) {
        self.finish(Ending::Forget);
    }

    fn finish(&mut self, ending: Ending) {
        let Some(thread) = self.thread.take() else { return };
        let mut state = self.shared.lock();
        state.ending = Some(ending);
        self.shared.changed.notify_all();
        // A thread that hangs is left to itself.
        if self.shared.wait_while(state, |state| !state.has_ended).has_ended {
            // A panic in it has been told by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.finish(Ending::Leave);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, name: String, content: Option<Vec<u8>>) {
        let mut state = self.lock();
        state.handed += 1;
        state.pending.insert(name, content);
        drop(state);
        self.changed.notify_all();
    }

    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.wait_for(state, PATIENCE, condition)
    }

    fn wait_for<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Duration,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_timeout_while(state, time, condition).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Tells that the thread has ended, however it does.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.changed.notify_all();
    }
}

/// What the thread does until it is to end.
fn write(records: &mut Records, shared: &Shared, notice: &dyn Fn()) {
    let mut retry = None;
    loop {
        let state = shared.lock();
        let mut state = match retry {
            Some(pause) => shared.wait_for(state, pause, |state| state.ending.is_none()),
            None => {
                let is_idle = |state: &mut State| state.pending.is_empty() && state.ending.is_none();
                shared.changed.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner)
            }
        };
        let (batch, number, ending) = (std::mem::take(&mut state.pending), state.handed, state.ending);
        drop(state);
        if ending == Some(Ending::Forget) {
            return forget_all(records);
        }
        // What cannot be made again cannot be written either, which is told.
        if records.folder.make_again() == Ok(true) {
            shared.hand_over(KEY.to_owned(), Some(records.key_file()));
            shared.lock().is_bare = true;
            notice();
        }
        let (failed, trouble) = store(records, batch);
        let is_whole = failed.is_empty();
        if put_back(shared, failed, trouble, number) {
            notice();
        }
        if ending.is_some() {
            return;
        }
        let later = |pause: Duration| LAST_RETRY.min(pause * 2);
        retry = (!is_whole).then(|| retry.map_or(FIRST_RETRY, later));
    }
}

/// Stores what it can. Gives what it cannot, and why.
fn store(records: &Records, batch: Pending) -> (Pending, Option<String>) {
    let mut trouble = None;
    let mut failed = batch;
    failed.retain(|name, content| {
        let result = match content {
            Some(content) => records.folder.replace(name, content),
            None => records.folder.remove(name),
        };
        if let Err(error) = &result {
            let path = records.folder.path().join(name);
            let told = || told(&path.display().to_string(), error);
            trouble.get_or_insert_with(told);
        }
        result.is_err()
    });
    (failed, trouble)
}

fn told(path: &str, error: &io::Error) -> String {
    let advice =
        "a supervisor that is killed now is not followed by one that knows all; make room or permit it";
    format!("cannot write {path}: {}: {advice}", words(error))
}

/// Takes note of what came of a batch, which was all up to this number. Says whether somebody waits for that.
fn put_back(shared: &Shared, failed: Pending, trouble: Option<String>, number: u64) -> bool {
    let mut state = shared.lock();
    state.trouble = trouble;
    if failed.is_empty() {
        let before = std::mem::replace(&mut state.stored, number);
        shared.changed.notify_all();
        return before < state.asked.min(number);
    }
    for (name, content) in failed {
        // Something newer may have come meanwhile.
        state.pending.entry(name).or_insert(content);
    }
    false
}

/// What cannot be removed tells of processes that have ended, as the next supervisor will see.
fn forget_all(records: &Records) {
    let names = records.folder.names().unwrap_or_default();
    for name in names.iter().filter(|name| name.ends_with(SUFFIX) || *name == KEY) {
        let _ = records.folder.remove(name);
    }
}

/// What is held back until that is stored by which it is true, though not for longer than a second.
#[derive(Debug)]
pub(in super::super) struct Held<T> {
    /// The oldest first.
    waiting: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    number: u64,
    until: Duration,
    held: T,
}

impl<T> Default for Held<T> {
    /// Nothing.
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> Held<T> {
    /// Holds this back until all up to the number that [`Recorder::ask`] has given is stored.
    pub(in super::super) fn hold(&mut self, held: T, number: u64, now: Duration) {
        self.waiting.push_back(Waiting { number, until: now.saturating_add(PATIENCE), held });
    }

    /// When something must be released whatever is stored by then.
    pub(in super::super) fn deadline(&self) -> Option<Duration> {
        self.waiting.front().map(|waiting| waiting.until)
    }

    /// The next thing that need not wait any longer when all up to this number is stored.
    pub(in super::super) fn release(&mut self, stored: u64, now: Duration) -> Option<T> {
        let is_due = |waiting: &&Waiting<T>| waiting.number <= stored || waiting.until <= now;
        self.waiting.front().filter(is_due)?;
        self.waiting.pop_front().map(|waiting| waiting.held)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use crossbeam_channel::{Receiver, unbounded};

    use super::super::tests::{Memory, id, record};
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
                notices.recv_timeout(Duration::from_secs(10)).unwrap();
            }
        }
        assert_eq!((stored(place.path(), "ps.run"), stored(place.path(), "is.run")), (Some(100), Some(100)));
        recorder.forget(&id("is"));
        assert!(recorder.wait());
        assert_eq!((recorder.ask(), recorder.condition()), (None, None));
        assert_eq!(stored(place.path(), "is.run"), None);
    }

    #[test]
    fn what_was_handed_over_last_is_stored_when_it_is_dropped_and_gone_after_an_orderly_end() {
        let place = tempfile::tempdir().unwrap();
        let (recorder, _notices) = open(place.path());
        recorder.remember(&id("ps"), &record(7));
        drop(recorder);
        assert_eq!(stored(place.path(), "ps.run"), Some(7));
        let (recorder, _notices) = open(place.path());
        recorder.remember(&id("is"), &record(7));
        recorder.end();
        assert_eq!(fs::read_dir(place.path().join("runs")).unwrap().count(), 0);
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
        let condition = recorder.condition().unwrap();
        assert!(condition.starts_with("cannot write ") && condition.contains("ps.run"), "{condition}");
        assert_eq!(stored(place.path(), "is.run"), Some(2), "others are not held up");

        recorder.remember(&id("ps"), &record(3));
        let number = recorder.ask().unwrap();
        fs::remove_dir_all(&squatted).unwrap();
        while recorder.stored() < number {
            notices.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        assert_eq!((stored(place.path(), "ps.run"), recorder.condition()), (Some(3), None));
    }

    /// A file system of its own takes a mount namespace of its own: so the scenario runs in another process.
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

    fn on_a_small_disk(place: &Path) {
        let (recorder, notices) = open(place);
        recorder.remember(&id("ps"), &record(1));
        assert!(recorder.wait());
        let full = place.join("full");
        assert!(fs::write(&full, vec![0; 1 << 20]).is_err(), "there is less room");

        recorder.remember(&id("ps"), &record(2));
        let mut held = Held::default();
        held.hold("answer", recorder.ask().unwrap(), Duration::ZERO);
        assert!(!recorder.wait());
        assert!(recorder.condition().unwrap().contains("No space left"), "{:?}", recorder.condition());
        assert_eq!(held.release(recorder.stored(), Duration::from_millis(999)), None);
        assert_eq!(held.release(recorder.stored(), Duration::from_secs(1)), Some("answer"));
        assert_eq!(stored(place, "ps.run"), Some(1), "the old one is still whole");

        fs::remove_file(&full).unwrap();
        while recorder.condition().is_some() {
            notices.recv_timeout(Duration::from_secs(10)).unwrap();
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
}

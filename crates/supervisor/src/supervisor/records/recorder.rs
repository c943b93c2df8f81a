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
use crate::os::{self, Place, words};
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
            os::give_way();
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
mod tests;

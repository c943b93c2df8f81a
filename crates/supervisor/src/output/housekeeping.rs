//! What becomes of files that were ended: the old ones are deleted, the others compressed, in the background.
//!
//! The thread lives only while there is something to do, and gives way to everything else on the machine. What it could not do
//! for want of descriptors or memory it tries again after a pause, each twice the one before. What it did not come to do, because
//! the process ended, is done after the next opening of the log.

use std::borrow::Borrow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{File, FileTimes, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use chrono::NaiveDate;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::clock::local_date;
use super::folder::Folder;
use super::names::{Form, Found, with_end};
use super::retention::{files_of, retain};
use super::{LogSettings, failed, is_want};
use crate::os;

/// How long to wait before what could not be done for want of something is tried again: the first time, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The files of one log are to be looked through.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// With an absolute path.
    pub(super) settings: Arc<LogSettings>,
    /// Seconds since 1970.
    pub(super) now: i64,
}

/// Does jobs one after another, in a thread that ends when there are no more. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Housekeeper {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The thread has nothing more to do.
    is_idle: Condvar,
    /// There is something new to do, or nothing ever again.
    has_news: Condvar,
    /// The thread is to leave off what it does.
    is_stopping: AtomicBool,
    /// What cannot be done, by log. Apart from the state, which is locked while files are renamed: whoever asks for
    /// this never waits for a disk.
    problems: Mutex<BTreeMap<PathBuf, String>>,
}

#[derive(Debug, Default)]
struct State {
    /// By log: a later one replaces an earlier one.
    jobs: BTreeMap<PathBuf, Job>,
    /// Likewise what is to be tried again.
    again: BTreeMap<PathBuf, Job>,
    is_running: bool,
    thread: Option<JoinHandle<()>>,
    /// The date of the file of each log that is written to, or about to be. It is left alone.
    claimed: BTreeMap<Log, NaiveDate>,
}

/// A log, which is known by its path.
#[derive(Debug)]
struct Log(Arc<LogSettings>);

impl Borrow<Path> for Log {
    fn borrow(&self) -> &Path {
        &self.0.path
    }
}

impl Ord for Log {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.path.cmp(&other.0.path)
    }
}

impl PartialOrd for Log {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.0.path == other.0.path
    }
}

impl Eq for Log {}

impl Housekeeper {
    /// Says that this log is about to open the file of that day, and to write to no other from then on.
    pub(super) fn claim(&self, log: &Arc<LogSettings>, date: NaiveDate) {
        self.shared.lock().claimed.insert(Log(Arc::clone(log)), date);
    }

    /// Has a job done some time.
    pub(super) fn submit(&self, job: Job) {
        let mut state = self.shared.lock();
        state.jobs.insert(job.settings.path.clone(), job);
        self.shared.has_news.notify_all();
        if !state.is_running && !self.shared.is_stopping() {
            let shared = Arc::clone(&self.shared);
            #[expect(clippy::disallowed_methods, reason = "compression must hold up no output")]
            let started = Builder::new().name("housekeeping".to_owned()).spawn(move || shared.work());
            // Without a thread the job waits until the next one comes.
            state.is_running = started.is_ok();
            state.thread = started.ok();
        }
    }

    /// What could not be done, a sentence for each log.
    pub(super) fn problems(&self) -> Vec<String> {
        self.shared.problems().values().cloned().collect()
    }

    /// Ends the thread, within `limit` if the disk answers. What it was doing is done after the next opening.
    pub(super) fn stop(&self, limit: Duration) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        // It is waiting by then, or will see it before.
        drop(self.shared.lock());
        self.shared.has_news.notify_all();
        self.wait_until_idle(limit);
    }

    /// Waits until there is nothing more to do, or `limit` has passed; says whether there is nothing.
    pub(super) fn wait_until_idle(&self, limit: Duration) -> bool {
        let state = self.shared.lock();
        let waited = self.shared.is_idle.wait_timeout_while(state, limit, |state| state.is_running);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_idle = !state.is_running;
        let thread = if is_idle { state.thread.take() } else { None };
        drop(state);
        // It has no more to do than to return.
        thread.is_none_or(|thread| thread.join().is_ok()) && is_idle
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn problems(&self) -> MutexGuard<'_, BTreeMap<PathBuf, String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        os::lower_this_thread();
        let mut pause = PAUSE.0;
        loop {
            let mut state = self.lock();
            if state.jobs.is_empty() && !state.again.is_empty() {
                let has_none = |state: &mut State| state.jobs.is_empty() && !self.is_stopping();
                let waited = self.has_news.wait_timeout_while(state, pause, has_none);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                pause = (pause * 2).min(PAUSE.1);
            }
            if self.is_stopping() || (state.jobs.is_empty() && state.again.is_empty()) {
                state.is_running = false;
                self.is_idle.notify_all();
                return;
            }
            let mut jobs = std::mem::take(&mut state.again);
            jobs.append(&mut state.jobs);
            drop(state);
            self.work_off(jobs);
            if self.lock().again.is_empty() {
                pause = PAUSE.0;
            }
        }
    }

    fn work_off(&self, jobs: BTreeMap<PathBuf, Job>) {
        // Many logs share a folder, and often begin a new day together: it is listed once for all of them.
        let mut listings = HashMap::new();
        for job in jobs.into_values() {
            if self.is_stopping() {
                return;
            }
            let done = self.tidy(&job, &mut listings);
            if done.as_ref().is_err_and(is_want) {
                self.lock().again.insert(job.settings.path.clone(), job.clone());
            }
            let mut problems = self.problems();
            match done {
                Ok(()) => problems.remove(&job.settings.path),
                Err(error) => problems.insert(job.settings.path.clone(), error.to_string()),
            };
        }
    }

    fn tidy(&self, job: &Job, listings: &mut HashMap<PathBuf, Vec<OsString>>) -> io::Result<()> {
        let folder = Folder::of(&job.settings.path)?;
        let names = job.settings.names();
        let existing = match listings.entry(folder.path().to_path_buf()) {
            Entry::Occupied(listed) => listed.into_mut(),
            Entry::Vacant(unlisted) => unlisted.insert(folder.names()?),
        };
        // What cannot be done to one file does not keep the others from being dealt with.
        let mut done = retain(&folder, &job.settings, existing, claimed(&self.lock(), job).as_deref());
        for (name, found) in files_of(&names, existing) {
            if !is_claimed(&self.lock(), job, name) {
                done = done.and(self.tidy_file(job, &folder, name, found, existing));
            }
        }
        done
    }

    fn tidy_file(
        &self,
        job: &Job,
        folder: &Folder,
        name: &OsStr,
        found: Found,
        existing: &[OsString],
    ) -> io::Result<()> {
        if found.form == Form::Unfinished || job.is_too_old(folder, name, found) {
            return folder.remove(name);
        }
        // A day's file is not compressed twice: its day went on after the clock had been set back.
        let is_done = || found.number.is_none() && existing.contains(&with_end(name, ".gz"));
        if job.settings.compress && found.form == Form::Plain && !is_done() {
            return self.compress(job, folder, name);
        }
        Ok(())
    }

    /// Puts a compressed file in the place of `name`.
    ///
    /// Under its own name it is complete and on the disk before the original is removed: whatever happens in between,
    /// one of them is whole.
    fn compress(&self, job: &Job, folder: &Folder, name: &OsStr) -> io::Result<()> {
        let unfinished = with_end(name, ".gz.tmp");
        let compressed = with_end(name, ".gz");
        let is_compressed = self.compress_into(folder, name, &unfinished).and_then(|is_whole| {
            // The clock may have been set back just now: while this is locked the log cannot open the file again.
            let state = self.lock();
            let is_in_order = is_whole && !is_claimed(&state, job, name);
            if is_in_order {
                folder.rename(&unfinished, &compressed)?;
                folder.remove(name)?;
            }
            Ok(is_in_order)
        });
        match is_compressed {
            Ok(true) => Ok(()),
            Ok(false) => folder.remove(&unfinished),
            Err(error) => {
                // What remains is removed when this log is looked through again.
                let _ = folder.remove(&unfinished);
                Err(failed("compress", &folder.path().join(name), &error))
            }
        }
    }

    /// Writes what `name` holds to `target`, compressed. Says no if that is not to take its place, because we are to
    /// stop, or because it was deleted or written to meanwhile.
    fn compress_into(&self, folder: &Folder, name: &OsStr, target: &OsStr) -> io::Result<bool> {
        let Some(before) = folder.look_at(name) else { return Ok(false) };
        let mut source = folder.open_for_reading(name)?;
        let mut encoder = GzEncoder::new(folder.create(target)?, Compression::default());
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = source.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            if self.is_stopping() {
                return Ok(false);
            }
            encoder.write_all(&buffer[..length])?;
        }
        let written: File = encoder.finish()?;
        // Its age is that of what it holds.
        written.set_times(FileTimes::new().set_modified(before.modified()?))?;
        written.sync_all()?;
        let is_unchanged = |after: Metadata| {
            after.len() == before.len()
                && os::is_same(&after, &before)
                && after.modified().ok() == before.modified().ok()
        };
        Ok(folder.look_at(name).is_some_and(is_unchanged))
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }
}

/// The file that is written to.
fn claimed(state: &State, job: &Job) -> Option<OsString> {
    let date = state.claimed.get(job.settings.path.as_path());
    date.map(|date| job.settings.names().current(*date))
}

fn is_claimed(state: &State, job: &Job, name: &OsStr) -> bool {
    claimed(state, job).is_some_and(|claimed| claimed == name)
}

impl Job {
    fn is_too_old(&self, folder: &Folder, name: &OsStr, found: Found) -> bool {
        let Some(days) = self.settings.days.map(i64::from) else { return false };
        match found.date {
            Some(date) => (local_date(self.now) - date).num_days() > days,
            None => {
                let modified = folder.look_at(name).and_then(|file| file.modified().ok());
                let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let age = since.map(|since| self.now - i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
                age.is_some_and(|age| age > days * 24 * 60 * 60)
            }
        }
    }
}

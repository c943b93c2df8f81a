//! `run --output`: all that components write, passed on to standard output, so that a container's logs are complete.
//!
//! It is read from their files by a thread of its own, as `logs -f` reads it. So whoever reads our output slowly, or not at
//! all, holds up neither supervision nor a component, and misses nothing that the files still hold.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use supervisor::{LogSettings, ProcessSpec};
use tracing::{debug, warn};

use super::Wanted;
use super::follow::{Begun, Following, Until};
use super::source::{self, Source};
use super::teller::Teller;
use crate::exit::Failure;
use crate::os::watch::{Ender, Folders};
use crate::say;

/// What is passed on while the supervisor runs.
#[derive(Debug)]
pub(crate) struct Echo {
    end: Ender,
    also: Arc<Also>,
    /// Disconnected when the thread has ended.
    alive: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Echo {
    /// Passes on what these components write from now on. `own`: the supervisor's own log, which is passed on too, unless a terminal
    /// shows it already.
    ///
    /// # Errors
    /// There is no descriptor, or no thread, to be had.
    pub(crate) fn begin(specs: &[ProcessSpec], own: LogSettings, json: bool) -> std::io::Result<Self> {
        let own = (!std::io::stderr().is_terminal()).then(|| source::own(own));
        let sources: Vec<_> = own.into_iter().chain(source::all(specs)).filter(has_folder).collect();
        let known = sources.iter().map(|source| (place_of(source), source.clone())).collect();
        let (end, told) = Ender::new()?;
        let ((begun, has_begun), (living, alive), (more, to_come)) =
            (bounded(1), bounded::<()>(0), unbounded());
        let pass_on = move || {
            let _living = living;
            let mut teller = Teller::new(&sources, json);
            let wanted = Wanted::default();
            let following = Following::begin(&sources, &wanted);
            // Nobody writes before that.
            let _somebody_waits = begun.send(following.as_ref().ok().map(Following::news));
            let until = Until::Told(&told, &to_come);
            let followed = following.and_then(|following| following.follow(&mut teller, until));
            if let Err(Failure { message, .. }) = followed {
                warn!("what components write is not passed on to standard output any more: {message}");
            }
        };
        #[expect(clippy::disallowed_methods, reason = "a slow reader of our output must hold up nobody else")]
        let thread = std::thread::Builder::new().name("echo".to_owned()).spawn(pass_on)?;
        let news = has_begun.recv().ok().flatten();
        let also = Arc::new(Also { news, known: Mutex::new(known), more });
        Ok(Self { end, also, alive, thread })
    }

    /// By which more can be passed on.
    pub(crate) fn also(&self) -> Arc<Also> {
        Arc::clone(&self.also)
    }

    /// Passes on the rest, for so long at most. `goes_on`: another program passes on what comes next, and with it the lines
    /// that have no end yet.
    pub(crate) fn finish(self, limit: Duration, goes_on: bool) {
        self.end.end(!goes_on);
        if self.alive.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected) {
            let _ = self.thread.join();
        } else {
            debug!("nobody has read the last lines on standard output");
        }
        if let Some(error) = say::lost() {
            warn!("cannot pass on what components write to standard output: {error}");
        }
    }
}

/// Has more passed on.
#[derive(Debug)]
pub(crate) struct Also {
    /// By which what is followed hears of what is written; none if nothing is.
    news: Option<Arc<Folders>>,
    /// What is followed.
    known: Mutex<HashMap<(PathBuf, bool), Source>>,
    more: Sender<Begun>,
}

impl Also {
    /// Passes on too what these components write from now on, as theirs. Logs that are followed already stay so, also those of others.
    /// It waits for files, but not for whoever reads our output.
    pub(crate) fn pass_on(&self, specs: &[ProcessSpec]) {
        let Some(news) = &self.news else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for source in source::all(specs) {
            let place = place_of(&source);
            if known.get(&place) == Some(&source) || !has_folder(&source) {
                continue;
            }
            match Begun::new(news, source.clone()) {
                // Whoever follows takes it in when it hears of the first that is written.
                Ok(begun) => {
                    known.insert(place, source);
                    if self.more.send(begun).is_err() {
                        // Nobody follows any more.
                        return;
                    }
                }
                Err(Failure { message, .. }) => {
                    warn!("what {} writes is not passed on to standard output: {message}", source.name());
                }
            }
        }
    }
}

/// By what its files are told from those of other logs.
fn place_of(source: &Source) -> (PathBuf, bool) {
    (source.settings.path.clone(), source.settings.dated)
}

/// Whether the folder of a log is there, or could be made, as is done for the log itself.
fn has_folder(source: &Source) -> bool {
    let made = source.settings.make_folder();
    if let Err(error) = &made {
        warn!("what {} writes is not passed on to standard output: {error}", source.name());
    }
    made.is_ok()
}

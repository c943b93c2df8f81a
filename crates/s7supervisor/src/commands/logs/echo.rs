//! `run --output`: all that components write, passed on to standard output, so that a container's logs are complete.
//!
//! It is read from their files by a thread of its own, as `logs -f` reads it. So whoever reads our output slowly, or not at
//! all, holds up neither supervision nor a component, and misses nothing that the files still hold.

use std::io::IsTerminal;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use supervisor::{LogSettings, ProcessSpec};
use tracing::{debug, warn};

use super::Wanted;
use super::follow::{Following, Until};
use super::source::{self, Source};
use super::teller::Teller;
use crate::exit::Failure;
use crate::os::watch::Ender;
use crate::say;

/// What is passed on while the supervisor runs.
#[derive(Debug)]
pub(crate) struct Echo {
    end: Ender,
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
        let (end, told) = Ender::new()?;
        let ((begun, has_begun), (living, alive)) = (bounded(1), bounded::<()>(0));
        let pass_on = move || {
            let _living = living;
            let mut teller = Teller::new(&sources, json);
            let wanted = Wanted::default();
            let following = Following::begin(&sources, &wanted);
            // Nobody writes before that.
            drop(begun);
            let followed = following.and_then(|following| following.follow(&mut teller, Until::Told(&told)));
            if let Err(Failure { message, .. }) = followed {
                warn!("what components write is not passed on to standard output any more: {message}");
            }
        };
        #[expect(clippy::disallowed_methods, reason = "a slow reader of our output must hold up nobody else")]
        let thread = std::thread::Builder::new().name("echo".to_owned()).spawn(pass_on)?;
        let _: Result<(), _> = has_begun.recv();
        Ok(Self { end, alive, thread })
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

/// Whether the folder of a log is there, or could be made, as is done for the log itself.
fn has_folder(source: &Source) -> bool {
    let made = source.settings.make_folder();
    if let Err(error) = &made {
        warn!("what {} writes is not passed on to standard output: {error}", source.name());
    }
    made.is_ok()
}

//! Signals as news on a channel.

use std::fmt;
use std::io::{self, IsTerminal};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, bounded, never};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals as Iterator};
use supervisor_control::HandedOver;
use tracing::{debug, error};

use crate::commands::run::Supervision;
use crate::os::{self, door};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGHUP.
    HangUp,
    /// SIGUSR1.
    Reopen,
}

impl Signal {
    fn of(number: i32) -> Self {
        match number {
            SIGHUP => Self::HangUp,
            SIGUSR1 => Self::Reopen,
            SIGINT => Self::Interrupt,
            _ => Self::Terminate,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::HangUp => "SIGHUP",
            Self::Reopen => "SIGUSR1",
        })
    }
}

/// The signals that are listened for, in a thread that only passes them on.
pub(crate) struct Signals {
    receiver: Receiver<Signal>,
    on_terminal: bool,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut signals = Iterator::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
        let handle = signals.handle();
        // A person presses Ctrl+C more often than needed, but not without end.
        let (sender, receiver) = bounded(16);
        #[expect(
            clippy::disallowed_methods,
            reason = "signals come by a pipe, which a channel cannot wait for"
        )]
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            // All other threads defer them.
            os::heed_signals();
            for number in &mut signals {
                if sender.send(Signal::of(number)).is_err() {
                    return;
                }
            }
            os::defer_signals();
            // What had come before that, and was not passed on.
            for number in signals.pending() {
                let _nobody_waits = sender.try_send(Signal::of(number));
            }
        })?;
        Ok(Self { receiver, on_terminal: io::stdin().is_terminal(), handle, thread: Some(thread) })
    }

    /// Where they arrive.
    pub(crate) fn receiver(&self) -> &Receiver<Signal> {
        &self.receiver
    }

    /// Nothing will arrive any more.
    pub(crate) fn forget(&mut self) {
        self.receiver = never();
    }

    /// Listens no more. What has come and nobody has taken.
    #[cfg(all(target_os = "linux", not(s7_posix)))]
    pub(crate) fn end(self) -> Vec<Signal> {
        let receiver = self.receiver.clone();
        drop(self);
        receiver.try_iter().collect()
    }

    /// Whether standard input was a terminal when the listening began: SIGHUP then means that the terminal is gone.
    pub(crate) fn on_terminal(&self) -> bool {
        self.on_terminal
    }
}

impl Supervision {
    pub(crate) fn obey(&mut self, signal: Signal) {
        debug!("received {signal}");
        match signal {
            Signal::Terminate => self.stop("SIGTERM"),
            Signal::Interrupt => self.stop("SIGINT"),
            Signal::HangUp if self.signals.on_terminal() => self.stop("SIGHUP"),
            Signal::HangUp => self.applier.apply_for("SIGHUP"),
            Signal::Reopen => self.reopen(),
        }
    }

    /// After somebody has moved the log away, or removed the socket.
    fn reopen(&mut self) {
        if let Err(error) = self.home.log.reopen() {
            error!("cannot open the log again, and go on with the old file: {error}");
        }
        if let Err(error) = self.handle.reopen_logs() {
            debug!("{error}");
        }
        if door::is_open(&self.home.temp) {
            return;
        }
        self.serve(HandedOver::default());
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Nobody receives any more, so the thread cannot be held up by a full channel.
        self.forget();
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _panic_was_told = thread.join();
        }
    }
}

//! What the console and the service control manager ask for, as news on a channel.

use std::io;

use crossbeam_channel::{Receiver, never};
use supervisor::{Dependants, Outcome, Request, Targets};
use tracing::{debug, info};

use super::service::{self, Control};
use crate::commands::run::{Stopping, Supervision};
use crate::os::console;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Console(console::Told),
    Service(Control),
}

/// Who asks, in events.
const MANAGER: &str = "the service control manager";

/// Where it comes from: the service control manager for its service, else the console.
pub(crate) struct Signals {
    receiver: Receiver<Signal>,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        if let Some(receiver) = service::controls() {
            return Ok(Self { receiver });
        }
        let told = console::listen()?;
        let (sender, receiver) = crossbeam_channel::bounded(16);
        #[expect(clippy::disallowed_methods, reason = "it only passes on")]
        let _detached = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for told in told {
                if sender.send(Signal::Console(told)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { receiver })
    }

    /// Where they arrive.
    pub(crate) fn receiver(&self) -> &Receiver<Signal> {
        &self.receiver
    }

    /// Nothing will arrive any more.
    pub(crate) fn forget(&mut self) {
        self.receiver = never();
    }
}

impl Supervision {
    pub(crate) fn obey(&mut self, signal: Signal) {
        debug!("received {signal:?}");
        match signal {
            Signal::Console(told) => self.stop(&told.to_string()),
            // Asked twice, it does not stop at once: whoever wants that ends the process.
            Signal::Service(Control::Stop) if self.stopping == Stopping::No => self.stop(MANAGER),
            Signal::Service(Control::Stop) => {}
            Signal::Service(Control::Pause) => self.pause(),
            Signal::Service(Control::Continue) => self.go_on(),
            Signal::Service(Control::RestartAll) => self.restart_all(),
        }
    }

    /// Stops what runs, and the supervisor stays.
    fn pause(&mut self) {
        let wanted = self.wanted();
        service::remember_paused(wanted.clone());
        let request = Request::Stop { targets: Targets::Named(wanted), dependants: Dependants::Stop };
        self.ask(request, |_| service::paused());
    }

    /// Starts what was stopped by the pause.
    fn go_on(&mut self) {
        let request = Request::Start(Targets::Named(service::take_paused()));
        self.ask(request, |_| service::running());
    }

    fn restart_all(&mut self) {
        let request = Request::Restart(Targets::Named(self.wanted()));
        self.ask(request, |_| {});
    }

    fn wanted(&self) -> Vec<String> {
        let status = self.handle.status().ok();
        let components = status.into_iter().flat_map(|status| status.components);
        components.filter(|it| it.wanted).map(|it| it.id.to_string()).collect()
    }

    fn ask(&self, request: Request, done: impl FnOnce(Outcome) + Send + 'static) {
        let verb = request.verb();
        if let Err(error) = self.handle.submit(request, MANAGER, done) {
            info!("{MANAGER}: cannot {verb}: {error}");
            service::running();
        }
    }
}

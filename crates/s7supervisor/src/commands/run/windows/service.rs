//! The service: what the service control manager is told, and what it asks for.
//!
//! ```text
//! StartPending ──ready──▶ Running ──Pause──▶ PausePending ──stopped──▶ Paused ──Continue──▶ ContinuePending ──▶ Running
//!      each news of components is a checkpoint          Stop, Preshutdown ──▶ StopPending (with all the time it may take) ──▶ Stopped
//! ```
//!
//! <https://learn.microsoft.com/windows/win32/services/service-status-transitions>

use std::ffi::OsString;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{ServiceControlHandlerResult, ServiceStatusHandle, register};
use windows_service::{define_windows_service, service_dispatcher};

use super::signals::Signal;
use crate::arguments::Run;
use crate::exit::{Ended, Exit, Failure};
use crate::os::event_log::{self, Message};

/// The control code by which every component that is wanted is restarted: `sc control NAME 200`.
const RESTART_ALL: u32 = 200;

/// So long it may take until there is news of a start. What takes longer goes on all the same.
const START_HINT: Duration = Duration::from_secs(120);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Stop,
    Pause,
    Continue,
    RestartAll,
}

type Work = Box<dyn FnOnce() -> Ended + Send>;

/// What is to be done once the manager has called, and what has come of it.
static WORK: Mutex<Option<Work>> = Mutex::new(None);
static ENDED: Mutex<Option<Ended>> = Mutex::new(None);
static SERVICE: OnceLock<Service> = OnceLock::new();
static NAME: OnceLock<String> = OnceLock::new();

/// The service that this process is.
struct Service {
    name: String,
    controls: (Sender<Signal>, Receiver<Signal>),
    status: Mutex<Status>,
}

/// What was told last.
struct Status {
    handle: Option<ServiceStatusHandle>,
    state: ServiceState,
    checkpoint: u32,
    hint: Duration,
    /// What runs again after a pause.
    paused: Vec<String>,
}

/// Does this: as the service, if it is asked to be one, else as the main thread.
pub(crate) fn run_as_asked(asked: &Run, work: impl FnOnce() -> Ended + Send + 'static) -> Ended {
    let Some(name) = &asked.service else { return work() };
    *lock(&WORK) = Some(Box::new(work));
    let name = NAME.get_or_init(|| name.clone());
    service_dispatcher::start(name, ffi_service_main).map_err(|error| {
        let advice = "it is started by the service control manager: `s7supervisor service start`";
        Failure::failed(format!("cannot be the service {name:?}: {error}; {advice}"))
    })?;
    lock(&ENDED).take().unwrap_or(Ok(Exit::Failed))
}

define_windows_service!(ffi_service_main, service_main);

fn service_main(_: Vec<OsString>) {
    let (Some(name), Some(work)) = (NAME.get(), lock(&WORK).take()) else { return };
    let status = Status {
        handle: None,
        state: ServiceState::StartPending,
        checkpoint: 0,
        hint: START_HINT,
        paused: Vec::new(),
    };
    let service = SERVICE.get_or_init(|| Service {
        name: name.clone(),
        controls: bounded(16),
        status: Mutex::new(status),
    });
    match register(name, |control| service.hear(&control)) {
        Ok(handle) => lock(&service.status).handle = Some(handle),
        // Nobody can be told.
        Err(error) => return *lock(&ENDED) = Some(Err(Failure::failed(error.to_string()))),
    }
    service.change(ServiceState::StartPending, START_HINT);
    let ended = work();
    let exit = match &ended {
        Ok(Exit::Done) => {
            event_log::tell(name, Message::Stopped, "The supervisor has stopped, with all components.");
            ServiceExitCode::NO_ERROR
        }
        Ok(exit) => {
            let text = format!("The supervisor ended with exit code {}; see its log.", exit.code());
            event_log::tell(name, Message::Failed, &text);
            ServiceExitCode::ServiceSpecific(exit.code().into())
        }
        Err(Failure { exit, message }) => {
            event_log::tell(name, Message::Failed, message);
            ServiceExitCode::ServiceSpecific(exit.code().into())
        }
    };
    *lock(&ENDED) = Some(ended);
    service.tell(&mut lock(&service.status), ServiceState::Stopped, exit);
}

impl Service {
    /// Takes note of what the manager asks for. It must be told at once, and what takes time comes later.
    fn hear(&self, control: &ServiceControl) -> ServiceControlHandlerResult {
        let (control, state) = match control {
            ServiceControl::Interrogate => return ServiceControlHandlerResult::NoError,
            ServiceControl::Stop | ServiceControl::Preshutdown | ServiceControl::Shutdown => {
                (Control::Stop, Some(ServiceState::StopPending))
            }
            ServiceControl::Pause => (Control::Pause, Some(ServiceState::PausePending)),
            ServiceControl::Continue => (Control::Continue, Some(ServiceState::ContinuePending)),
            ServiceControl::UserEvent(code) if code.to_raw() == RESTART_ALL => (Control::RestartAll, None),
            _ => return ServiceControlHandlerResult::NotImplemented,
        };
        if let Some(state) = state {
            self.change(state, START_HINT);
        }
        // Full: enough is asked for already.
        let _ = self.controls.0.try_send(Signal::Service(control));
        ServiceControlHandlerResult::NoError
    }

    /// It is so from now on, and what is pending may take so long until there is news.
    fn change(&self, state: ServiceState, hint: Duration) {
        let mut status = lock(&self.status);
        if status.state == ServiceState::StopPending && state != ServiceState::StopPending {
            // What has come of what was asked for before is of no interest any more.
            return;
        }
        let is_more = status.state == state;
        status.state = state;
        status.checkpoint = if is_more { status.checkpoint + 1 } else { 1 };
        status.hint = hint;
        self.tell(&mut status, state, ServiceExitCode::NO_ERROR);
    }

    fn tell(&self, status: &mut Status, state: ServiceState, exit_code: ServiceExitCode) {
        status.state = state;
        let is_settled =
            matches!(state, ServiceState::Running | ServiceState::Paused | ServiceState::Stopped);
        let controls_accepted = match state {
            ServiceState::Running | ServiceState::Paused => {
                ServiceControlAccept::STOP
                    | ServiceControlAccept::PAUSE_CONTINUE
                    | ServiceControlAccept::PRESHUTDOWN
            }
            ServiceState::StartPending | ServiceState::PausePending | ServiceState::ContinuePending => {
                ServiceControlAccept::STOP | ServiceControlAccept::PRESHUTDOWN
            }
            _ => ServiceControlAccept::empty(),
        };
        let told = ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: state,
            controls_accepted,
            exit_code,
            checkpoint: if is_settled { 0 } else { status.checkpoint },
            // More than its clock can hold is as good as for ever.
            wait_hint: if is_settled {
                Duration::ZERO
            } else {
                status.hint.min(Duration::from_millis(u32::MAX.into()))
            },
            process_id: None,
        };
        if let Some(handle) = &status.handle
            && let Err(error) = handle.set_service_status(told)
        {
            tracing::debug!("cannot tell the service control manager: {error}");
        }
    }
}

/// What the manager asks for, if this is a service.
pub(super) fn controls() -> Option<Receiver<Signal>> {
    SERVICE.get().map(|service| service.controls.1.clone())
}

/// The name of the service, if this is one.
pub(super) fn name() -> Option<&'static str> {
    SERVICE.get().map(|service| service.name.as_str())
}

/// Everything that starts by itself has started, or has failed at it; or runs again after a pause.
pub(super) fn running() {
    change(ServiceState::Running, Duration::ZERO);
}

pub(super) fn paused() {
    change(ServiceState::Paused, Duration::ZERO);
}

/// Everything stops, and may take so long.
pub(super) fn stopping(longest: Duration) {
    change(ServiceState::StopPending, longest);
}

/// What is pending goes on.
pub(super) fn progress() {
    if let Some(service) = SERVICE.get() {
        let (state, hint) = {
            let status = lock(&service.status);
            (status.state, status.hint)
        };
        if !matches!(state, ServiceState::Running | ServiceState::Paused | ServiceState::Stopped) {
            service.change(state, hint);
        }
    }
}

/// What is to run again after the pause.
pub(super) fn remember_paused(wanted: Vec<String>) {
    if let Some(service) = SERVICE.get() {
        lock(&service.status).paused = wanted;
    }
}

pub(super) fn take_paused() -> Vec<String> {
    SERVICE.get().map(|service| std::mem::take(&mut lock(&service.status).paused)).unwrap_or_default()
}

fn change(state: ServiceState, hint: Duration) {
    if let Some(service) = SERVICE.get() {
        service.change(state, hint);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

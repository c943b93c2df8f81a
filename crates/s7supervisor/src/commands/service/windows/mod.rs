//! The service of the service control manager.

mod plan;

use std::time::Duration;

use serde::Serialize;
use windows_service::service::{
    Service, ServiceAccess, ServiceExitCode, ServiceStartType, ServiceState, ServiceStatus,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use self::plan::Plan;
use super::{Asked, Chosen, Kind};
use crate::arguments::{Patience, Place, Serving};
use crate::exit::{Ended, Exit, Failure};
use crate::os::event_log;
use crate::os::process::Process;
use crate::progress::Progress;
use crate::{say, waiting};

/// What the service is called where nobody says so.
pub(super) const NAME: &str = "Dynamic Media Image Serving";

pub(crate) const HELP: &str = "\
`install` makes a service that starts with the system, delayed, and is started
again by the service control manager where it ends otherwise than it was told
to. It takes the registry, the install folder and the temp folder from where it
is called, or from --registry and the others. Nothing is started. What is
installed already is changed to what it would be now. Administrators alone may
do this.

The service control manager may stop, pause (stop the components), continue
(start them again) and shut down; `sc control NAME 200` restarts all components.

Exit codes of `status`:
  0    it runs
  1    it has failed
  3    it is stopped
  4    there is no such service
  150  it starts, stops, or is paused

Examples:
  s7supervisor service install --dry-run
  s7supervisor service install --user \"NT AUTHORITY\\LocalService\"
  s7supervisor service start
  s7supervisor service uninstall";

/// How long it may take until the service has changed, if it says nothing meanwhile of how long it takes.
const USUAL: Duration = Duration::from_secs(30);

/// Between two looks at a service: the manager tells only those who wait in a way that no safe library has.
const PAUSE: Duration = Duration::from_millis(100);

/// `ERROR_SERVICE_DOES_NOT_EXIST`, `ERROR_ACCESS_DENIED`.
const MISSING: i32 = 1060;
const DENIED: i32 = 5;

/// Through which service `start` and `stop` act: through none. The service ends as it was told to when its supervisor does, whoever
/// has asked for that.
pub(crate) enum Owner {}

impl Owner {
    pub(crate) fn of(_: &std::path::Path) -> Option<Self> {
        None
    }

    pub(crate) fn runs(&self, _: Option<u32>) -> bool {
        match *self {}
    }

    pub(crate) fn asked_for(self, _: &Place, _: &Serving) -> Result<Self, Failure> {
        match self {}
    }

    pub(crate) fn act(&self, _: &str, _: Patience) -> Ended {
        match *self {}
    }
}

/// Installs it, or changes what is installed.
pub(super) fn install(kind: &Kind, chosen: &Chosen) -> Ended {
    let plan = Plan::new(kind, &chosen.name);
    if chosen.dry_run {
        say::answer(&plan.told());
        return Ok(Exit::Done);
    }
    let cannot = |error: windows_service::Error| failure("install", &chosen.name, &error);
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let access = ServiceAccess::CHANGE_CONFIG | ServiceAccess::START;
    let service = match manager.open_service(&chosen.name, access) {
        Ok(service) => {
            service.change_config(&plan.info).map_err(cannot)?;
            service
        }
        Err(error) if code(&error) == Some(MISSING) => {
            manager.create_service(&plan.info, access).map_err(cannot)?
        }
        Err(error) => return Err(cannot(error)),
    };
    for (what, error) in Plan::complete(&service) {
        say::tell(&format!("cannot say of {:?} {what}: {}; it goes without", chosen.name, in_words(&error)));
    }
    if let Err(error) = event_log::register(&chosen.name) {
        let advice = "what it writes there is shown without its text";
        say::tell(&format!("cannot make {:?} known to the event log: {error}; {advice}", chosen.name));
    }
    say::answer(&format!("installed the service {:?}", chosen.name));
    Ok(Exit::Done)
}

/// Stops and removes it.
pub(super) fn uninstall(chosen: &Chosen) -> Ended {
    let name = &chosen.name;
    let Some(service) =
        open(name, ServiceAccess::STOP | ServiceAccess::QUERY_STATUS | ServiceAccess::DELETE)?
    else {
        say::answer(&format!("{name} is not installed; nothing was changed"));
        return Ok(Exit::Done);
    };
    if chosen.dry_run {
        say::answer(&format!("would stop and remove the service {name:?}, and its source in the event log"));
        return Ok(Exit::Done);
    }
    stop_and_wait(&service, name)?;
    service.delete().map_err(|error| failure("remove", name, &error))?;
    if let Err(error) = event_log::forget(name) {
        say::tell(&format!("cannot remove {}: {error}", event_log::key(name)));
    }
    say::answer(&format!("removed the service {name:?}"));
    Ok(Exit::Done)
}

/// Has it start, stop or restart, and waits for that.
pub(super) fn ask(chosen: &Chosen, verb: &'static str) -> Ended {
    let name = &chosen.name;
    let access = ServiceAccess::START | ServiceAccess::STOP | ServiceAccess::QUERY_STATUS;
    let service = open(name, access)?.ok_or_else(|| missing(name))?;
    if chosen.dry_run {
        say::answer(&format!("would {verb} the service {name:?}"));
        return Ok(Exit::Done);
    }
    if verb != "start" {
        stop_and_wait(&service, name)?;
    }
    if verb != "stop" {
        start_and_wait(&service, name)?;
    }
    say::answer(&format!("{name}: {}", if verb == "stop" { "stopped" } else { "running" }));
    Ok(Exit::Done)
}

fn start_and_wait(service: &Service, name: &str) -> Result<(), Failure> {
    let status = query(service, name)?;
    if status.current_state == ServiceState::Stopped {
        service.start::<&str>(&[]).map_err(|error| failure("start", name, &error))?;
    }
    let status = wait_while(service, name, "start", |state| state == ServiceState::StartPending)?;
    match status.current_state {
        ServiceState::Running | ServiceState::Paused => Ok(()),
        _ => Err(Failure::failed(format!(
            "cannot start the service {name:?}: {}; see its log and the event log",
            exit_in_words(&status.exit_code)
        ))),
    }
}

fn stop_and_wait(service: &Service, name: &str) -> Result<(), Failure> {
    let status = query(service, name)?;
    if status.current_state == ServiceState::Stopped {
        return Ok(());
    }
    // Held before it is told, so that its pid cannot come to mean another.
    let process = status.process_id.filter(|pid| *pid != 0).and_then(|pid| Process::of(pid).ok());
    if status.current_state != ServiceState::StopPending {
        service.stop().map_err(|error| failure("stop", name, &error))?;
    }
    wait_while(service, name, "stop", |state| state != ServiceState::Stopped)?;
    // It is stopped when it has said so, and gone a moment later.
    if let Some(process) = process {
        let _too_late = process.is_gone(Some(USUAL));
    }
    Ok(())
}

/// Waits while this is true of its state, as long as it says of itself that it gets on.
fn wait_while(
    service: &Service,
    name: &str,
    verb: &str,
    is_so: impl Fn(ServiceState) -> bool,
) -> Result<ServiceStatus, Failure> {
    let _progress = Progress::show(&format!("waiting for the service {name:?} to {verb}"), None);
    let (mut since, mut checkpoint) = (waiting::now(), 0);
    let (_nobody, pause) = crossbeam_channel::bounded::<()>(0);
    loop {
        let status = query(service, name)?;
        if !is_so(status.current_state) {
            return Ok(status);
        }
        if status.checkpoint != checkpoint {
            (since, checkpoint) = (waiting::now(), status.checkpoint);
        }
        if since.elapsed() > status.wait_hint.max(USUAL) {
            let message = format!("the service {name:?} does not {verb}, and says nothing; see its log");
            return Err(Failure::new(Exit::TimedOut, message));
        }
        let _over = pause.recv_timeout(PAUSE);
    }
}

/// What `service status --json` prints. What is not known is `null`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    name: &'a str,
    /// `scm`
    manager: &'static str,
    installed: bool,
    /// Whether it starts with the system.
    enabled: Option<bool>,
    /// As of systemd: `active`, `inactive`, `failed`, `activating`, `deactivating`; and `paused`.
    state: Option<&'static str>,
    pid: Option<u32>,
    /// There is none here.
    status: Option<String>,
}

/// Tells what it is doing.
pub(super) fn status(asked: &Asked) -> Ended {
    let name = asked.name.as_str();
    let mut told = Status {
        name,
        manager: "scm",
        installed: false,
        enabled: None,
        state: None,
        pid: None,
        status: None,
    };
    let service = open(name, ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG)?;
    if let Some(service) = &service {
        let status = query(service, name)?;
        let config = service.query_config().ok();
        told.installed = true;
        told.enabled = config.map(|config| config.start_type == ServiceStartType::AutoStart);
        told.state = Some(in_a_word(&status));
        told.pid = status.process_id.filter(|pid| *pid != 0);
    }
    if asked.json {
        let text = serde_json::to_string_pretty(&told)
            .map_err(|error| Failure::failed(format!("cannot write the status as JSON: {error}")))?;
        say::answer(&text);
    } else if let Some(state) = told.state {
        let pid = told.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
        let at_boot = if told.enabled == Some(true) { "starts" } else { "does not start" };
        say::answer(&say::printable(format!("{name}: {state}{pid}, {at_boot} with the system")));
    } else {
        return Err(missing(name));
    }
    Ok(match told.state {
        Some("active") => Exit::Done,
        Some("inactive") => Exit::Down,
        Some("failed") => Exit::Failed,
        Some(_) => Exit::OnItsWay,
        None => Exit::Unknown,
    })
}

fn in_a_word(status: &ServiceStatus) -> &'static str {
    /// It was never started.
    const NEVER: ServiceExitCode = ServiceExitCode::Win32(1077);
    match status.current_state {
        ServiceState::Running => "active",
        ServiceState::Paused => "paused",
        ServiceState::StartPending | ServiceState::ContinuePending => "activating",
        ServiceState::StopPending | ServiceState::PausePending => "deactivating",
        ServiceState::Stopped => match &status.exit_code {
            code if *code == ServiceExitCode::NO_ERROR || *code == NEVER => "inactive",
            _ => "failed",
        },
    }
}

fn exit_in_words(code: &ServiceExitCode) -> String {
    match code {
        ServiceExitCode::Win32(code) => format!("it ended with the error {code} of Windows"),
        ServiceExitCode::ServiceSpecific(code) => format!("it ended with exit code {code}"),
    }
}

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager, Failure> {
    ServiceManager::local_computer(None::<&str>, access)
        .map_err(|error| failure("reach the manager of", "all services", &error))
}

/// The service; `None`: there is none.
fn open(name: &str, access: ServiceAccess) -> Result<Option<Service>, Failure> {
    match manager(ServiceManagerAccess::CONNECT)?.open_service(name, access) {
        Ok(service) => Ok(Some(service)),
        Err(error) if code(&error) == Some(MISSING) => Ok(None),
        Err(error) => Err(failure("reach", name, &error)),
    }
}

fn query(service: &Service, name: &str) -> Result<ServiceStatus, Failure> {
    service.query_status().map_err(|error| failure("ask", name, &error))
}

fn missing(name: &str) -> Failure {
    let advice = "install it with `s7supervisor service install`";
    Failure::new(Exit::Unknown, format!("there is no service {name:?}: {advice}"))
}

fn code(error: &windows_service::Error) -> Option<i32> {
    match error {
        windows_service::Error::Winapi(error) => error.raw_os_error(),
        _ => None,
    }
}

fn in_words(error: &windows_service::Error) -> String {
    match error {
        windows_service::Error::Winapi(error) => error.to_string(),
        error => error.to_string(),
    }
}

fn failure(verb: &str, name: &str, error: &windows_service::Error) -> Failure {
    match code(error) {
        Some(DENIED) => {
            let message =
                format!("cannot {verb} the service {name:?}: no permission; use an administrator's console");
            Failure::new(Exit::Unknown, message)
        }
        _ => Failure::failed(format!("cannot {verb} the service {name:?}: {}", in_words(error))),
    }
}

/// The system looks for the account when the service is made.
pub(super) fn is_known(_: &str) -> Result<(), Failure> {
    Ok(())
}

pub(super) fn parse_account(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.len() <= 256 && !text.contains(char::is_control);
    let wanted = r"write an account: LocalSystem, NT AUTHORITY\LocalService, DOMAIN\NAME";
    if is_name { Ok(text.to_owned()) } else { Err(wanted.to_owned()) }
}

pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
    let is_name = !text.trim().is_empty() && text.chars().count() <= 256 && text.chars().all(is_plain);
    let wanted = r"write a name of at most 256 characters, without '/' and '\'";
    if is_name { Ok(text.to_owned()) } else { Err(wanted.to_owned()) }
}

//! What is installed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use windows_service::service::{
    Service, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceFailureActions,
    ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceType,
};

use super::Kind;

/// How long the system waits for it when it shuts down, at most: it goes on as soon as all has stopped.
const PRESHUTDOWN: Duration = Duration::from_secs(15 * 60);

/// After which time it is started again where it has failed: the first time, the second, and from then on.
const AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];

/// After so much time without a failure it is the first one again.
const RESET: Duration = Duration::from_secs(24 * 60 * 60);

const DESCRIPTION: &str =
    "Starts, stops and keeps healthy the servers that its registry names (s7supervisor).";

/// A service as it is to be.
pub(super) struct Plan {
    pub(super) info: ServiceInfo,
}

impl Plan {
    pub(super) fn new(kind: &Kind, name: &str) -> Self {
        let Kind { program, registry, install_folder, temp, user, .. } = kind;
        let words = [
            "--registry",
            registry,
            "--install-folder",
            install_folder,
            "--temp",
            temp,
            "run",
            "--service",
            name,
        ];
        let is_system = |user: &&String| {
            ["LocalSystem", r".\LocalSystem"].iter().any(|system| user.eq_ignore_ascii_case(system))
        };
        Self {
            info: ServiceInfo {
                name: OsString::from(name),
                display_name: OsString::from(name),
                service_type: ServiceType::OWN_PROCESS,
                start_type: ServiceStartType::AutoStart,
                error_control: ServiceErrorControl::Normal,
                executable_path: PathBuf::from(program),
                launch_arguments: words.map(OsString::from).to_vec(),
                dependencies: Vec::new(),
                account_name: user.as_ref().filter(|user| !is_system(user)).map(OsString::from),
                // Accounts of the system, of services and managed ones have none; that of a person is given in `services.msc`, where
                // nobody reads it.
                account_password: None,
            },
        }
    }

    /// Says the rest, once there is the service. What cannot be said is returned, with why: the service is one without it.
    pub(super) fn complete(service: &Service) -> Vec<(&'static str, windows_service::Error)> {
        let again = AGAIN.map(|delay| ServiceAction { action_type: ServiceActionType::Restart, delay });
        let after_failures = ServiceFailureActions {
            reset_period: ServiceFailureResetPeriod::After(RESET),
            reboot_msg: None,
            command: None,
            actions: Some(again.to_vec()),
        };
        let said = [
            ("its description", service.set_description(DESCRIPTION)),
            ("that it starts delayed", service.set_delayed_auto_start(true)),
            ("how long a shutdown waits for it", service.set_preshutdown_timeout(PRESHUTDOWN)),
            ("when it is started again after a failure", service.update_failure_actions(after_failures)),
            // What has ended by itself with an error has failed too.
            ("that an error is a failure", service.set_failure_actions_on_non_crash_failures(true)),
        ];
        said.into_iter().filter_map(|(what, said)| Some((what, said.err()?))).collect()
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        let ServiceInfo { name, executable_path, launch_arguments, account_name, .. } = &self.info;
        let quote = |word: &OsString| {
            let word = word.to_string_lossy();
            if word.contains(' ') { format!("\"{word}\"") } else { word.into_owned() }
        };
        let arguments = launch_arguments.iter().map(quote).collect::<Vec<_>>().join(" ");
        let account = account_name.as_ref().map_or("LocalSystem".into(), |name| name.to_string_lossy());
        let [first, second, later] = AGAIN.map(|delay| delay.as_secs());
        format!(
            "would install the service {name:?}:\n  \"{}\" {arguments}\n  account: {account}\n  starts with the system, \
             delayed\n  after a failure again in {first} s, {second} s, {later} s\n  source of the event log: the same name",
            executable_path.display()
        )
    }
}

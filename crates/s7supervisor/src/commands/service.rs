//! `service`: the supervisor as a service of the operating system, which starts with it.
//!
//! - `unix`: of systemd, or as a script in /etc/init.d
//! - `windows`: of the service control manager

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use clap::{Args, Subcommand};

pub(crate) use self::system::{HELP, Owner};
use self::system::{NAME, parse_account, parse_name};
#[cfg(unix)]
use self::unix as system;
#[cfg(windows)]
use self::windows as system;
use crate::arguments::Place;
use crate::exit::{Ended, Exit, Failure};

/// `service`
#[derive(Args, Debug)]
pub(crate) struct Service {
    /// What to do
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Install the service, and have it start with the system; the registry is checked first
    Install(Install),
    /// Stop the service and remove it
    Uninstall(Chosen),
    /// Start the service, and wait until it is ready
    Start(Chosen),
    /// Stop the service with all components
    Stop(Chosen),
    /// Stop the service, and start it with the registry as it is now
    Restart(Chosen),
    /// Tell whether it is installed and what it is doing
    Status(Asked),
}

#[derive(Args, Debug)]
struct Install {
    /// The account that the supervisor runs as [default: root; on Windows: `LocalSystem`]
    #[arg(long, value_name = "ACCOUNT", value_parser = parse_account)]
    user: Option<String>,

    #[command(flatten)]
    chosen: Chosen,
}

#[derive(Args, Debug)]
struct Chosen {
    /// What the service is called
    #[arg(long, value_name = "NAME", default_value = NAME, value_parser = parse_name)]
    name: String,

    /// Change nothing, but print what would be changed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
struct Asked {
    /// What the service is called
    #[arg(long, value_name = "NAME", default_value = NAME, value_parser = parse_name)]
    name: String,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Does what was asked about the service.
pub(crate) fn service(place: &Place, asked: &Service) -> Ended {
    match &asked.verb {
        Verb::Install(Install { user, chosen }) => {
            system::install(&Kind::new(place, user.as_deref())?, chosen)
        }
        Verb::Uninstall(chosen) => system::uninstall(chosen),
        Verb::Start(chosen) => system::ask(chosen, "start"),
        Verb::Stop(chosen) => system::ask(chosen, "stop"),
        Verb::Restart(chosen) => system::ask(chosen, "restart"),
        Verb::Status(asked) => system::status(asked),
    }
}

/// What is installed: whose supervisor, and as whom it runs.
struct Kind {
    program: String,
    registry: String,
    install_folder: String,
    temp: String,
    /// The folder of its own log.
    #[cfg_attr(windows, expect(dead_code, reason = "folders are not given to accounts there"))]
    logs: String,
    user: Option<String>,
}

impl Kind {
    /// That of this place, the registry of which is right.
    fn new(place: &Place, user: Option<&str>) -> Result<Self, Failure> {
        if !place.settings.is_empty() {
            let advice = "everybody could read it there; write it into <settings> of the registry";
            return Err(Failure::new(
                Exit::Invalid,
                format!("cannot install a service with --set: {advice}"),
            ));
        }
        if let Some(user) = user {
            system::is_known(user)?;
        }
        let registry = place.load(None)?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("cannot learn which program this is: {error}")))?;
        let logs = registry.config.log.parent().unwrap_or(std::path::Path::new("/"));
        Ok(Self {
            program: writable(&program)?,
            registry: writable(&registry.path)?,
            install_folder: writable(&registry.install_folder)?,
            temp: writable(&place.temp_of(&registry))?,
            logs: writable(logs)?,
            user: user.map(str::to_owned),
        })
    }
}

/// A path as it can stand in a file that others read.
fn writable(path: &std::path::Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => {
            let advice = "it is no UTF-8, or has control characters in it; name another place";
            Err(Failure::failed(format!("cannot write {} into a file: {advice}", path.display())))
        }
    }
}

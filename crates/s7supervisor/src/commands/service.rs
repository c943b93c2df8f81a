//! `service`: the supervisor as a service of the operating system, which starts with it.
//!
//! - `systemd`: its unit, where systemd is process 1
//! - `sysv`: its script in /etc/init.d, where it is not
//! - `steps`: what is changed, told before or after
//! - `owner`: through which service `start` and `stop` act

mod owner;
mod steps;
mod systemd;
mod sysv;

use clap::{Args, Subcommand};

pub(crate) use self::owner::Owner;
use self::systemd::Systemd;
use self::sysv::SysV;
use crate::arguments::Place;
use crate::exit::{Ended, Exit, Failure};
use crate::say;

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
    /// The account that the supervisor runs as [default: root]
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

/// What the service is called where nobody says so.
const NAME: &str = "ImageServing";

/// What tells files that were made here from those of somebody else: their first line.
const MARK: &str = "# Made by `s7supervisor service install`, which may make it anew.";

pub(crate) const HELP: &str = "\
Where systemd is process 1, `install` writes /etc/systemd/system/NAME.service
and enables it; elsewhere the script /etc/init.d/NAME, with its links. It takes
the registry, the install folder and the temp folder from where it is called, or
from --registry and the others. Nothing is started. What is installed already is
left alone; a file that somebody else has made is never touched.

The components are not in the hands of the service manager: they outlive a crash
and an upgrade of the supervisor, and are stopped in order by it. `start`,
`stop` and `restart` without ID act through the service where there is one.

Exit codes of `status`:
  0    it runs
  1    it has failed
  3    it is stopped
  4    there is no such service
  150  it starts or stops

Examples:
  s7supervisor service install --dry-run
  s7supervisor service install --user imaging
  s7supervisor service start
  s7supervisor service uninstall";

/// Which manager there is.
enum Manager {
    Systemd(Systemd),
    SysV(SysV),
}

impl Manager {
    fn find(name: &str) -> Result<Self, Failure> {
        let booted = sd_notify::booted()
            .map_err(|error| Failure::failed(format!("cannot look for systemd: {error}")))?;
        Ok(if booted { Self::Systemd(Systemd::new(name)) } else { Self::SysV(SysV::new(name)) })
    }
}

/// Does what was asked about the service.
pub(crate) fn service(place: &Place, asked: &Service) -> Ended {
    match &asked.verb {
        Verb::Install(Install { user, chosen }) => {
            let kind = Kind::new(place, user.as_deref())?;
            let steps = match Manager::find(&chosen.name)? {
                Manager::Systemd(systemd) => systemd.install(&kind)?,
                Manager::SysV(sysv) => sysv.install(&kind)?,
            };
            if steps.is_empty() {
                say::answer(&format!("{} is installed already; nothing was changed", chosen.name));
            }
            steps::take(&steps, chosen.dry_run)
        }
        Verb::Uninstall(chosen) => {
            let mut steps = match Manager::find(&chosen.name)? {
                Manager::Systemd(systemd) => systemd.uninstall()?,
                Manager::SysV(_) => Vec::new(),
            };
            // A script of a time without systemd, which makes a unit of it.
            steps.extend(SysV::new(&chosen.name).uninstall()?);
            if steps.is_empty() {
                say::answer(&format!("{} is not installed; nothing was changed", chosen.name));
            }
            steps::take(&steps, chosen.dry_run)
        }
        Verb::Start(chosen) => ask(chosen, "start"),
        Verb::Stop(chosen) => ask(chosen, "stop"),
        Verb::Restart(chosen) => ask(chosen, "restart"),
        Verb::Status(asked) => match Manager::find(&asked.name)? {
            Manager::Systemd(systemd) => systemd.status(asked.json),
            Manager::SysV(sysv) => sysv.status(asked.json),
        },
    }
}

fn ask(chosen: &Chosen, verb: &'static str) -> Ended {
    let step = match Manager::find(&chosen.name)? {
        Manager::Systemd(systemd) => systemd.ask(verb)?,
        Manager::SysV(sysv) => sysv.ask(verb)?,
    };
    steps::take(&[step], chosen.dry_run)
}

/// What is installed: whose supervisor, and as whom it runs.
struct Kind {
    program: String,
    registry: String,
    install_folder: String,
    temp: String,
    /// The folder of its own log.
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
            is_known(user)?;
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

/// Whether there is such an account, as far as somebody can tell.
fn is_known(user: &str) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "only the system's own program asks all name services")]
    let found = std::process::Command::new("getent").args(["passwd", "--", user]).output();
    match found {
        // It tells 2 for who is not there.
        Ok(output) if output.status.code() == Some(2) => {
            let advice = format!("make it: `useradd --system --shell /usr/sbin/nologin {user}`");
            Err(Failure::new(Exit::Invalid, format!("there is no account {user:?}: {advice}")))
        }
        _ => Ok(()),
    }
}

fn parse_account(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain);
    let wanted = "write the name of an account: letters, digits, '-', '_' and '.'";
    if is_name { Ok(text.to_owned()) } else { Err(wanted.to_owned()) }
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_plain)
        && text.len() <= 64;
    let wanted = "write letters, digits, '-', '_' and '.', beginning with a letter or digit, at most 64";
    if is_name { Ok(text.to_owned()) } else { Err(wanted.to_owned()) }
}

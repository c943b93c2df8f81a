//! The service on Unix.
//!
//! - `systemd`: its unit, where systemd is process 1
//! - `sysv`: its script in /etc/init.d, where it is not
//! - `steps`: what is changed, told before or after
//! - `owner`: through which service `start` and `stop` act

mod owner;
mod steps;
mod systemd;
mod sysv;

pub(crate) use self::owner::Owner;
use self::systemd::Systemd;
use self::sysv::SysV;
use super::{Asked, Chosen, Kind};
use crate::exit::{Ended, Exit, Failure};
use crate::say;

/// What the service is called where nobody says so.
pub(super) const NAME: &str = "ImageServing";

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
        if cfg!(any(not(target_os = "linux"), s7_posix)) {
            let advice = "have launchd or rc.d call `s7supervisor run`, which stays in the foreground";
            return Err(Failure::new(Exit::Invalid, format!("no service is made on this system: {advice}")));
        }
        let booted = sd_notify::booted()
            .map_err(|error| Failure::failed(format!("cannot look for systemd: {error}")))?;
        Ok(if booted { Self::Systemd(Systemd::new(name)) } else { Self::SysV(SysV::new(name)) })
    }
}

/// Installs it.
pub(super) fn install(kind: &Kind, chosen: &Chosen) -> Ended {
    let steps = match Manager::find(&chosen.name)? {
        Manager::Systemd(systemd) => systemd.install(kind)?,
        Manager::SysV(sysv) => sysv.install(kind)?,
    };
    if steps.is_empty() {
        say::answer(&format!("{} is installed already; nothing was changed", chosen.name));
    }
    steps::take(&steps, chosen.dry_run)
}

/// Removes it.
pub(super) fn uninstall(chosen: &Chosen) -> Ended {
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

/// Has it start, stop or restart.
pub(super) fn ask(chosen: &Chosen, verb: &'static str) -> Ended {
    let step = match Manager::find(&chosen.name)? {
        Manager::Systemd(systemd) => systemd.ask(verb)?,
        Manager::SysV(sysv) => sysv.ask(verb)?,
    };
    steps::take(&[step], chosen.dry_run)
}

/// Tells what it is doing.
pub(super) fn status(asked: &Asked) -> Ended {
    match Manager::find(&asked.name)? {
        Manager::Systemd(systemd) => systemd.status(asked.json),
        Manager::SysV(sysv) => sysv.status(asked.json),
    }
}

/// Whether there is such an account, as far as somebody can tell.
pub(super) fn is_known(user: &str) -> Result<(), Failure> {
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

pub(super) fn parse_account(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain);
    let wanted = "write the name of an account: letters, digits, '-', '_' and '.'";
    if is_name { Ok(text.to_owned()) } else { Err(wanted.to_owned()) }
}

pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_plain)
        && text.len() <= 64;
    let wanted = "write letters, digits, '-', '_' and '.', beginning with a letter or digit, at most 64";
    if is_name { Ok(text.to_owned()) } else { Err(wanted.to_owned()) }
}

//! The service as a unit of systemd.
//!
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html>

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::MARK;
use super::steps::Step;
use crate::commands::service::Kind;
use crate::exit::{Ended, Exit, Failure};
use crate::say;

/// Where units of the administrator are.
pub(crate) const UNITS: &str = "/etc/systemd/system";

/// Where units of packages are.
pub(crate) const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];

/// What stands in a unit before the `temp` folder of its supervisor, as in its command line: systemd does not read it.
pub(crate) const TEMP: &str = "X-S7Temp=";

/// Where `ProtectSystem=full` lets nobody write.
const PROTECTED: [&str; 4] = ["/usr", "/boot", "/efi", "/etc"];

/// The unit of this name.
pub(crate) struct Systemd {
    name: String,
}

/// What `service status --json` prints. What is not known is `null`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceStatus {
    name: String,
    /// `systemd` or `sysv`.
    manager: &'static str,
    installed: bool,
    /// Whether it starts with the system.
    enabled: Option<bool>,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    state: Option<String>,
    /// The main process.
    pid: Option<u32>,
    /// What the supervisor says of itself.
    status: Option<String>,
}

impl Systemd {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    fn file(&self) -> PathBuf {
        Path::new(UNITS).join(self.unit())
    }

    fn unit(&self) -> String {
        format!("{}.service", self.name)
    }

    /// Writes the unit and enables it, as far as that is not so already.
    pub(crate) fn install(&self, kind: &Kind) -> Result<Vec<Step>, Failure> {
        if let Some(path) = self.of_a_package() {
            let advice = format!("change it with `systemctl edit {}`, or take another --name", self.name);
            return Err(Failure::failed(format!("{} is there, of a package: {advice}", path.display())));
        }
        let mut steps = folders(kind);
        steps.extend(Step::write(&self.file(), unit(kind), 0o644, MARK)?);
        if steps.iter().any(|step| matches!(step, Step::Write { .. })) {
            steps.push(Step::run("systemctl", &["daemon-reload"], ""));
        }
        if show(&self.unit())?.enabled != Some(true) {
            steps.push(Step::run("systemctl", &["enable", &self.unit()], ""));
        }
        Ok(steps)
    }

    /// Stops it and removes the unit.
    pub(crate) fn uninstall(&self) -> Result<Vec<Step>, Failure> {
        let Some(removal) = Step::remove(&self.file(), MARK)? else { return Ok(Vec::new()) };
        Ok(vec![
            Step::run("systemctl", &["disable", "--now", &self.unit()], self.advice()),
            removal,
            Step::run("systemctl", &["daemon-reload"], ""),
        ])
    }

    /// Has systemd start, stop or restart it.
    pub(crate) fn ask(&self, verb: &'static str) -> Result<Step, Failure> {
        if !show(&self.unit())?.installed {
            return Err(self.missing());
        }
        Ok(Step::run("systemctl", &[verb, &self.unit()], self.advice()))
    }

    fn advice(&self) -> String {
        format!("; see `systemctl status {}` and `journalctl -u {}`", self.name, self.name)
    }

    fn missing(&self) -> Failure {
        let advice = "install it with `s7supervisor service install`";
        Failure::new(Exit::Unknown, format!("there is no service {}: {advice}", self.name))
    }

    /// Tells what it is doing.
    pub(crate) fn status(&self, json: bool) -> Ended {
        let status = ServiceStatus { name: self.name.clone(), ..show(&self.unit())? };
        if json {
            tell_json(&status)?;
        } else if status.installed {
            let state = status.state.as_deref().unwrap_or("not known");
            let pid = status.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
            let at_boot = if status.enabled == Some(true) { "starts" } else { "does not start" };
            let says = status.status.as_deref().map(|status| format!(": {status}")).unwrap_or_default();
            say::answer(&say::printable(format!(
                "{}: {state}{pid}, {at_boot} with the system{says}",
                self.name
            )));
        } else {
            return Err(self.missing());
        }
        Ok(match status.state.as_deref() {
            _ if !status.installed => Exit::Unknown,
            Some("active" | "reloading") => Exit::Done,
            Some("inactive") => Exit::Down,
            Some("failed") => Exit::Failed,
            Some("activating" | "deactivating") => Exit::OnItsWay,
            _ => Exit::Unknown,
        })
    }

    fn of_a_package(&self) -> Option<PathBuf> {
        PACKAGED.iter().map(|folder| Path::new(folder).join(self.unit())).find(|path| path.exists())
    }
}

pub(crate) fn tell_json(status: &ServiceStatus) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(status)
        .map_err(|error| Failure::failed(format!("cannot write the status as JSON: {error}")))?;
    say::answer(&text);
    Ok(())
}

/// What systemd knows of a unit.
pub(crate) fn show(unit: &str) -> Result<ServiceStatus, Failure> {
    let text = properties(unit, "LoadState,ActiveState,MainPID,UnitFileState,StatusText")?;
    let value = |key| value(&text, key).map(str::to_owned);
    let enabled = value("UnitFileState").map(|state| state.starts_with("enabled"));
    Ok(ServiceStatus {
        name: unit.to_owned(),
        manager: "systemd",
        installed: value("LoadState").is_some_and(|state| state == "loaded"),
        enabled,
        state: value("ActiveState"),
        pid: value("MainPID").and_then(|pid| pid.parse().ok()).filter(|pid| *pid != 0),
        status: value("StatusText"),
    })
}

/// The variables that a unit sets, as `NAME=VALUE`; one with a blank in it is not told whole.
pub(crate) fn environment(unit: &str) -> Result<Vec<String>, Failure> {
    let text = properties(unit, "Environment")?;
    Ok(value(&text, "Environment").unwrap_or_default().split(' ').map(str::to_owned).collect())
}

/// These properties of a unit, one in a line.
fn properties(unit: &str, names: &str) -> Result<String, Failure> {
    let names = format!("--property={names}");
    #[expect(clippy::disallowed_methods, reason = "systemd's own program knows how to ask it")]
    let output = Command::new("systemctl").args(["show", &names, "--", unit]).output();
    let output = output.map_err(|error| Failure::failed(format!("cannot execute `systemctl`: {error}")))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::failed(say::printable(format!("systemd does not answer: {}", why.trim()))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    found.filter(|value| !value.is_empty())
}

impl ServiceStatus {
    /// Of a service that systemd knows nothing of.
    pub(crate) fn of_script(name: &str, installed: bool, state: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            manager: "sysv",
            installed,
            enabled: None,
            state: state.map(str::to_owned),
            pid: None,
            status: None,
        }
    }

    /// Its main process, if it has one.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }
}

/// The folders that an account of its own must be able to write, where they are missing.
pub(crate) fn folders(kind: &Kind) -> Vec<Step> {
    let Some(user) = &kind.user else { return Vec::new() };
    let missing = |(folder, _): &(&String, &str)| !Path::new(folder.as_str()).exists();
    let folders = [(&kind.logs, "0750"), (&kind.temp, "0700")].into_iter().filter(missing);
    let make = |(folder, mode): (&String, &str)| {
        Step::run("install", &["-d", "-o", user, "-m", mode, folder], "; make it yourself")
    };
    folders.map(make).collect()
}

/// The unit as it is written.
///
/// `KillMode=process`: a supervisor that was killed leaves its components to the next one; what stops them is its own SIGTERM.
/// Nothing that would be undone at a restart of the service (a private /tmp, a runtime folder) may be among the
/// restrictions, because adopted components go on with what they began in; and nothing that only some servers can live without.
fn unit(kind: &Kind) -> String {
    let Kind { program, registry, install_folder, temp, logs, user } = kind;
    let line = |key: &str, value: &str| format!("{key}={value}\n");
    let user = user.as_ref().map(|user| line("User", user)).unwrap_or_default();
    let mut writable = vec![install_folder, temp, logs];
    writable.retain(|path| is_protected(path));
    writable.dedup();
    let writable: String =
        writable.into_iter().map(|path| line("ReadWritePaths", &format!("-{}", quoted(path)))).collect();
    include_str!("unit.in")
        .replace("@MARK@", MARK)
        .replace("@PROGRAM@", &quoted(program))
        .replace("@REGISTRY@", &quoted(registry))
        .replace("@FOLDER@", &quoted(install_folder))
        .replace("@TEMP@", &quoted(temp))
        .replace("@USER@\n", &user)
        .replace("@WRITABLE@\n", &writable)
}

fn is_protected(path: &str) -> bool {
    PROTECTED.iter().any(|folder| Path::new(path).starts_with(folder))
}

/// A word in a command line of a unit: nothing in it means anything to systemd.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@=,".contains(c);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(folder: &str) -> Kind {
        Kind {
            program: "/usr/bin/s7supervisor".into(),
            registry: format!("{folder}/conf/SupervisorRegistry.xml"),
            install_folder: folder.into(),
            temp: format!("{folder}/temp"),
            logs: format!("{folder}/logs"),
            user: Some("imaging".into()),
        }
    }

    #[test]
    fn what_is_protected_can_be_written_where_it_must_be() {
        let text = unit(&kind("/usr/local/scene7/ImageServing"));
        assert!(text.contains("\nReadWritePaths=-/usr/local/scene7/ImageServing/temp\n"), "{text}");
        assert!(text.contains("\nUser=imaging\n"));
        assert!(text.ends_with("\nX-S7Temp=/usr/local/scene7/ImageServing/temp\n"));
        assert!(!unit(&kind("/srv/images")).contains("ReadWritePaths"));
    }

    #[test]
    fn no_path_means_anything_to_systemd() {
        assert_eq!(quoted("/srv/a-b_c.xml"), "/srv/a-b_c.xml");
        assert_eq!(quoted("/srv/50% $HOME \"x\""), r#""/srv/50%% $$HOME \"x\"""#);
    }
}

//! The service as a script in /etc/init.d, where systemd is not process 1.
//!
//! <https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/iniscrptact.html>

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::MARK;
use super::steps::Step;
use super::systemd::{ServiceStatus, folders, tell_json};
use crate::commands::service::Kind;
use crate::exit::{Ended, Exit, Failure};
use crate::os::temp_folder::PID_FILE;

/// Where scripts are.
const SCRIPTS: &str = "/etc/init.d";

/// What makes the links by which a script is called when the system starts, and removes them: of Debian, of Red Hat.
const LINKERS: [(&str, [&[&str]; 2]); 2] = [
    ("update-rc.d", [&["NAME", "defaults"], &["NAME", "remove"]]),
    ("chkconfig", [&["--add", "NAME"], &["--del", "NAME"]]),
];

/// The script of this name.
pub(crate) struct SysV {
    name: String,
}

impl SysV {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    fn file(&self) -> PathBuf {
        Path::new(SCRIPTS).join(&self.name)
    }

    /// Writes the script and its links, as far as that is not so already.
    pub(crate) fn install(&self, kind: &Kind) -> Result<Vec<Step>, Failure> {
        let mut steps = folders(kind);
        if let Some(write) = Step::write(&self.file(), script(&self.name, kind), 0o755, MARK)? {
            steps.push(write);
            steps.extend(self.link(0));
        }
        Ok(steps)
    }

    /// Stops it and removes the script and its links.
    pub(crate) fn uninstall(&self) -> Result<Vec<Step>, Failure> {
        let Some(removal) = Step::remove(&self.file(), MARK)? else { return Ok(Vec::new()) };
        let mut steps = vec![self.ask("stop")?, removal];
        steps.extend(self.link(1));
        Ok(steps)
    }

    /// Makes (0) or removes (1) the links, where there is a program for that.
    fn link(&self, what: usize) -> Option<Step> {
        let is_there = |program: &str| {
            let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
            folders.iter().any(|folder| Path::new(folder).join(program).exists())
        };
        let (program, arguments) = LINKERS.into_iter().find(|(program, _)| is_there(program))?;
        let named = |argument| if argument == "NAME" { self.name.as_str() } else { argument };
        let arguments: Vec<_> = arguments[what].iter().map(|&argument| named(argument)).collect();
        Some(Step::run(program, &arguments, ""))
    }

    /// Has the script do this.
    pub(crate) fn ask(&self, verb: &'static str) -> Result<Step, Failure> {
        if !self.file().exists() {
            let advice = "install it with `s7supervisor service install`";
            return Err(Failure::new(Exit::Unknown, format!("there is no service {}: {advice}", self.name)));
        }
        // In a clean environment and the root folder, as when the system starts.
        let script = self.file().display().to_string();
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Ok(Step::run("env", &["-i", "-C", "/", path, &script, verb], ""))
    }

    /// Tells what it is doing, in the words of the script.
    pub(crate) fn status(&self, json: bool) -> Ended {
        self.ask("status")?;
        #[expect(clippy::disallowed_methods, reason = "the script tells, as it tells everybody")]
        let mut command = Command::new(self.file());
        command.arg("status");
        if json {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let status = command.status();
        let status = status
            .map_err(|error| Failure::failed(format!("cannot execute {}: {error}", self.file().display())))?;
        let (state, exit) = match status.code() {
            Some(0) => (Some("active"), Exit::Done),
            Some(1 | 2) => (Some("failed"), Exit::Failed),
            Some(3) => (Some("inactive"), Exit::Down),
            _ => (None, Exit::Unknown),
        };
        if json {
            tell_json(&ServiceStatus::of_script(&self.name, true, state))?;
        }
        Ok(exit)
    }
}

/// The script as it is written.
fn script(name: &str, kind: &Kind) -> String {
    let Kind { program, registry, install_folder, temp, user, .. } = kind;
    let as_user = user.as_ref().map(|user| format!("runuser -u {user} -- ")).unwrap_or_default();
    include_str!("script.in")
        .replace("@MARK@", MARK)
        .replace("@NAME@", name)
        .replace("@PROGRAM@", &word(program))
        .replace("@REGISTRY@", &word(registry))
        .replace("@FOLDER@", &word(install_folder))
        .replace("@TEMP@", &word(temp))
        // For systemd and chkconfig, who know no quotes.
        .replace("@PIDFILE@", &format!("{temp}/{PID_FILE}"))
        .replace("@AS_USER@", &as_user)
}

/// A word of a shell: nothing in it means anything to that.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_means_anything_to_the_shell() {
        assert_eq!(word("/srv/a-b_c.xml"), "/srv/a-b_c.xml");
        assert_eq!(word("/srv/$(x) it's"), r"'/srv/$(x) it'\''s'");
    }
}

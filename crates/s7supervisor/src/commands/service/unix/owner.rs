//! Through which service `start`, `stop` and `restart` act, so that systemd and we never disagree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::systemd::{PACKAGED, TEMP, UNITS, environment, quoted, show};
use crate::arguments::{Patience, Place, Serving};
use crate::control;
use crate::exit::{Ended, Exit, Failure};
use crate::os::process::Process;
use crate::say;

/// The largest unit that is read.
const LARGEST: u64 = 64 << 10;

/// The service of systemd whose supervisor has this `temp` folder.
pub(crate) struct Owner {
    unit: String,
}

impl Owner {
    /// The service of this `temp` folder, where systemd is process 1 and one is installed.
    pub(crate) fn of(temp: &Path) -> Option<Self> {
        if !sd_notify::booted().unwrap_or(false) {
            return None;
        }
        let folders = [UNITS].into_iter().chain(PACKAGED);
        let mut files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let found = files.find(|file| is_of(&file.path(), temp))?;
        Some(Self { unit: found.file_name().into_string().ok()? })
    }

    /// Whether the supervisor of this pid is its main process.
    pub(crate) fn runs(&self, pid: Option<u32>) -> bool {
        pid.is_some() && show(&self.unit).is_ok_and(|status| status.pid() == pid)
    }

    /// The same, where nothing was said that its unit does not say.
    pub(crate) fn asked_for(self, place: &Place, serving: &Serving) -> Result<Self, Failure> {
        if !place.settings.is_empty() {
            return Err(self.refuse("--set", "write it into <settings> of the registry"));
        }
        let wanted = variables(serving);
        if wanted.is_empty() {
            return Ok(self);
        }
        let known = environment(&self.unit)?;
        match wanted.into_iter().find(|(_, variable)| !known.contains(variable)) {
            None => Ok(self),
            Some((option, variable)) => {
                let unit = &self.unit;
                let advice =
                    format!("write `Environment={variable}` below [Service] in `systemctl edit {unit}`");
                Err(self.refuse(option, &advice))
            }
        }
    }

    fn refuse(&self, option: &str, advice: &str) -> Failure {
        let message =
            format!("the service {} runs as its unit says, and not with {option}: {advice}", self.unit);
        Failure::new(Exit::Invalid, message)
    }

    /// Has systemd do this, and waits as long as wanted.
    pub(crate) fn act(&self, verb: &str, patience: Patience) -> Ended {
        say::tell(&format!("{verb} through the service: `systemctl {verb} {}`", self.unit));
        #[expect(clippy::disallowed_methods, reason = "systemd's own program knows how to ask it")]
        let mut command = Command::new("systemctl");
        command.args([verb, "--no-ask-password"]).args(patience.no_wait.then_some("--no-block"));
        // Standard output is for the answer.
        let child = command.arg("--").arg(&self.unit).stdout(Stdio::null()).spawn();
        let cannot = |error: std::io::Error| Failure::failed(format!("cannot execute `systemctl`: {error}"));
        let mut child = child.map_err(cannot)?;
        let process = Process::of(child.id()).map_err(cannot)?;
        if !process.is_gone(patience.timeout).map_err(cannot)? {
            return control::unfinished(patience, &format!("the {verb} goes on"));
        }
        let status = child.wait().map_err(cannot)?;
        control::tell_document(patience, status.success() && !patience.no_wait)?;
        if !status.success() {
            let unit = self.unit.trim_end_matches(".service");
            let advice = format!("see `systemctl status {unit}` and `journalctl -u {unit}`");
            return Err(Failure::failed(format!("`systemctl {verb} {unit}` failed: {advice}")));
        }
        Ok(Exit::Done)
    }
}

/// By which option each was asked for, and the variable that says the same in a unit.
fn variables(serving: &Serving) -> Vec<(&'static str, String)> {
    let addresses: Vec<_> = serving.bind.iter().map(ToString::to_string).collect();
    let group = serving.group.as_ref().map(|group| ("--group", format!("S7_GROUP={group}")));
    let bind = (!addresses.is_empty()).then(|| ("--bind", format!("S7_BIND={}", addresses.join(","))));
    group.into_iter().chain(bind).collect()
}

/// Whether the file is a unit of ours, for this `temp` folder.
fn is_of(unit: &PathBuf, temp: &Path) -> bool {
    let is_unit = unit.extension().is_some_and(|end| end == "service");
    let is_small = || fs::metadata(unit).is_ok_and(|file| file.is_file() && file.len() <= LARGEST);
    let names = |text: String| {
        let mut found = text.lines().filter_map(|line| line.strip_prefix(TEMP));
        temp.to_str().is_some_and(|temp| found.any(|found| found == quoted(temp)))
    };
    is_unit && is_small() && fs::read_to_string(unit).is_ok_and(names)
}

//! What is changed on the system, one step after the other: done and told, or only told.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::exit::{Ended, Exit, Failure};
use crate::say;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A file gets this content and these permissions.
    Write {
        path: PathBuf,
        text: String,
        mode: u32,
    },
    Remove {
        path: PathBuf,
    },
    Run {
        program: &'static str,
        arguments: Vec<String>,
        /// What helps where it fails.
        advice: String,
    },
}

impl Step {
    pub(crate) fn run(program: &'static str, arguments: &[&str], advice: impl Into<String>) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self::Run { program, arguments, advice: advice.into() }
    }

    /// Gives the file this content; `None` where it has it already.
    ///
    /// # Errors
    /// Somebody else has made it.
    pub(crate) fn write(path: &Path, text: String, mode: u32, mark: &str) -> Result<Option<Self>, Failure> {
        let found = match read(path)? {
            Some(found) if !found.contains(mark) => return Err(foreign(path)),
            found => found,
        };
        let is_there = found.is_some_and(|found| found == text);
        Ok((!is_there).then(|| Self::Write { path: path.to_owned(), text, mode }))
    }

    /// Removes the file; `None` where there is none.
    ///
    /// # Errors
    /// Somebody else has made it.
    pub(crate) fn remove(path: &Path, mark: &str) -> Result<Option<Self>, Failure> {
        match read(path)? {
            None => Ok(None),
            Some(found) if found.contains(mark) => Ok(Some(Self::Remove { path: path.to_owned() })),
            Some(_) => Err(foreign(path)),
        }
    }

    fn take(&self) -> Result<(), Failure> {
        match self {
            Self::Write { path, text, mode } => write(path, text, *mode)
                .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display()))),
            Self::Remove { path } => fs::remove_file(path)
                .map_err(|error| Failure::failed(format!("cannot remove {}: {error}", path.display()))),
            Self::Run { advice, .. } => match self.execute() {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(Failure::failed(format!("`{}` failed ({status}){advice}", self.command()))),
                Err(error) => Err(Failure::failed(format!("cannot execute `{}`: {error}", self.command()))),
            },
        }
    }

    fn execute(&self) -> io::Result<ExitStatus> {
        let Self::Run { program, arguments, .. } = self else { return Ok(ExitStatus::default()) };
        #[expect(clippy::disallowed_methods, reason = "only the service manager's own programs can ask it")]
        Command::new(program).args(arguments).status()
    }

    fn command(&self) -> String {
        let Self::Run { program, arguments, .. } = self else { return String::new() };
        format!("{program} {}", arguments.join(" "))
    }

    /// What was done, or is to be: `to_do`.
    fn told(&self, to_do: bool) -> String {
        match (self, to_do) {
            (Self::Write { path, text, mode }, true) => {
                format!("would write {} ({mode:04o}):\n{text}", path.display())
            }
            (Self::Write { path, .. }, false) => format!("wrote {}", path.display()),
            (Self::Remove { path }, true) => format!("would remove {}", path.display()),
            (Self::Remove { path }, false) => format!("removed {}", path.display()),
            (Self::Run { .. }, true) => format!("would run `{}`", self.command()),
            (Self::Run { .. }, false) => format!("ran `{}`", self.command()),
        }
    }
}

/// Takes these steps, and tells of each; or only tells.
pub(crate) fn take(steps: &[Step], dry_run: bool) -> Ended {
    for step in steps {
        if !dry_run {
            step.take()?;
        }
        say::answer(&step.told(dry_run));
    }
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::failed(format!("cannot read {}: {error}", path.display()))),
    }
}

/// In one step, so that nobody reads half of it.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&name)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&name, path)
}

fn foreign(path: &Path) -> Failure {
    let advice = "move it away, or take another --name";
    Failure::failed(format!("{} was not made by s7supervisor and is not touched: {advice}", path.display()))
}

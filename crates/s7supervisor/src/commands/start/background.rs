//! The supervisor in the background: this program again, as `run --background`, with a pipe for its output.
//!
//! Through the pipe it tells how its start goes: lines for people, and lines of one word (see [`report`]) for us. Once
//! it has told the end of the start it closes its end; that end also closes if it dies, whatever it dies of. So
//! nothing is polled, and nothing of ours stays open in it.

use std::io::{PipeReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::arguments::{Patience, Place};
use crate::commands::run::report;
use crate::control;
use crate::exit::{Ended, Exit, Failure};
use crate::say;

/// Checks the registry, starts the supervisor in the background, and waits until its components are up.
pub(crate) fn launch(place: &Place, patience: Patience) -> Ended {
    let since = control::now();
    let registry = place.load(None)?;
    let place = place.absolute(&registry);
    let (pipe, child) = spawn(&place).map_err(|error| {
        Failure::failed(format!(
            "cannot start the supervisor in the background: {error}; try `s7supervisor run`"
        ))
    })?;
    if !patience.no_wait {
        say::tell(&format!("waiting until the components of {} are up", registry.path.display()));
    }
    Launch { pipe, child, pending: Vec::new() }.wait(patience, since)
}

/// Starts it, with both outputs going into the pipe.
fn spawn(place: &Place) -> std::io::Result<(PipeReader, Child)> {
    let (reader, writer) = std::io::pipe()?;
    // Whatever we have inherited ourselves ends with the program that we become in the background.
    close_fds::set_fds_cloexec(3, &[]);
    #[expect(clippy::disallowed_methods, reason = "the supervisor itself is what this command starts")]
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", "--background"]).current_dir("/");
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    for (option, value) in [
        ("--registry", &place.registry),
        ("--install-folder", &place.install_folder),
        ("--temp", &place.temp),
    ] {
        if let Some(value) = value {
            command.arg(option).arg(value);
        }
    }
    for (name, value) in &place.settings {
        let bare = name.strip_prefix("SV::").unwrap_or(name);
        if bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            // Everybody can read a command line, for as long as the process lives; a value may be a secret.
            command.env(format!("S7_SV_{bare}"), value);
        } else {
            command.arg("--set").arg(format!("{name}={value}"));
        }
    }
    Ok((reader, command.spawn()?))
}

/// A supervisor on its way into the background.
struct Launch {
    pipe: PipeReader,
    child: Child,
    /// The beginning of a line.
    pending: Vec<u8>,
}

impl Launch {
    /// Passes on what it tells, until it has told how it ends.
    fn wait(mut self, patience: Patience, since: Instant) -> Ended {
        let cannot = |error| Failure::failed(format!("cannot learn how the start goes: {error}"));
        let mut buffer = [0; 4096];
        loop {
            while let Some(line) = self.next_line() {
                match line.as_str() {
                    report::READY if patience.no_wait => return Ok(Exit::Done),
                    report::READY => {}
                    report::UP => {
                        say::answer(&format!("started, pid {}", self.child.id()));
                        return Ok(Exit::Done);
                    }
                    report::FAILED => return Ok(Exit::Failed),
                    words => say::tell(words),
                }
            }
            let readable = control::wait_readable(&self.pipe, patience.left(since).timeout);
            if !readable.map_err(|error| cannot(error.into()))? {
                return control::unfinished(patience, "the start goes on");
            }
            match self.pipe.read(&mut buffer).map_err(cannot)? {
                0 => return self.died().map_err(cannot),
                length => self.pending.extend_from_slice(&buffer[..length]),
            }
        }
    }

    fn next_line(&mut self) -> Option<String> {
        let end = self.pending.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.pending.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// It has ended, and has said why if it could; so its exit code is ours.
    fn died(mut self) -> std::io::Result<Exit> {
        let status = self.child.wait()?;
        if status.code() == Some(i32::from(Exit::Invalid.code())) {
            return Ok(Exit::Invalid);
        }
        say::tell(&format!("the supervisor did not start: it ended with {status}"));
        Ok(Exit::Failed)
    }
}

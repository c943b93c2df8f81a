//! The supervisor in the background: this program again, as `run --background`, with a pipe for its output.
//!
//! Through the pipe it tells how its start goes: lines for people, and lines of one word (see [`report`]) for us. Once
//! it has told the end of the start it closes its end; that end also closes if it dies, whatever it dies of. So
//! nothing is polled, and nothing of ours stays open in it.

use std::io::PipeReader;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::arguments::{Patience, Place, Serving};
use crate::commands::run::report;
use crate::control;
use crate::exit::{Exit, Failure};
use crate::os::background::{self, Told};
use crate::progress::Progress;
use crate::{say, waiting};

/// What came of a launch.
pub(crate) enum Launched {
    /// The start has ended, or nobody waits for it any longer.
    Ended(Exit),
    /// Another supervisor was there first; what it says of that.
    Held(String),
}

/// Checks the registry, starts the supervisor in the background, and waits until its components are up.
pub(crate) fn launch(place: &Place, serving: &Serving, patience: Patience) -> Result<Launched, Failure> {
    let since = waiting::now();
    let registry = place.load(None)?;
    let place = place.absolute(&registry);
    let spawned = spawn(&place, serving).and_then(|(pipe, child)| Ok((Told::new(pipe)?, child)));
    let (told, child) = spawned.map_err(|error| {
        Failure::failed(format!(
            "cannot start the supervisor in the background: {error}; try `s7supervisor run`"
        ))
    })?;
    let what = format!("waiting until the components of {} are up", registry.path.display());
    let _progress = (!patience.no_wait).then(|| Progress::show(&what, patience.timeout));
    Launch { told, child, pending: Vec::new(), ended: None, held: None, json: patience.json }
        .wait(patience, since)
}

/// Starts it, with both outputs going into the pipe.
fn spawn(place: &Place, serving: &Serving) -> std::io::Result<(PipeReader, Child)> {
    let (reader, writer) = std::io::pipe()?;
    // Whatever we have inherited ourselves ends with the program that we become in the background.
    background::keep_inheritance_private();
    #[expect(clippy::disallowed_methods, reason = "the supervisor itself is what this command starts")]
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", "--background"]);
    background::detach(&mut command);
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
    if let Some(group) = &serving.group {
        command.arg("--group").arg(group);
    }
    for address in &serving.bind {
        command.arg("--bind").arg(address.to_string());
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
    told: Told,
    child: Child,
    /// The beginning of a line.
    pending: Vec<u8>,
    /// How the start ended, once it has said so; it lets go of the pipe next.
    ended: Option<Exit>,
    /// What it says of the supervisor that was there first, if one was.
    held: Option<String>,
    /// Whether standard output is for a document.
    json: bool,
}

impl Launch {
    /// Passes on what it tells, until it has let go of the pipe.
    fn wait(mut self, patience: Patience, since: Instant) -> Result<Launched, Failure> {
        let cannot = |error| Failure::failed(format!("cannot learn how the start goes: {error}"));
        loop {
            while let Some(line) = self.next_line() {
                if let Some(held) = &mut self.held {
                    held.push_str(&line);
                    continue;
                }
                match line.as_str() {
                    report::HELD => self.held = Some(String::new()),
                    report::READY if patience.no_wait => return Ok(Launched::Ended(Exit::Done)),
                    report::READY => {}
                    report::UP => self.ended = Some(Exit::Done),
                    report::FAILED => self.ended = Some(Exit::Failed),
                    words => say::tell(words),
                }
            }
            match self.told.next(patience.left(since).timeout).map_err(cannot)? {
                None => return control::unfinished(patience, "the start goes on").map(Launched::Ended),
                Some(told) if told.is_empty() => return self.end().map_err(cannot),
                Some(told) => self.pending.extend_from_slice(&told),
            }
        }
    }

    fn next_line(&mut self) -> Option<String> {
        let end = self.pending.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.pending.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// How the start ended; if the supervisor has ended instead, it has said why if it could.
    fn end(mut self) -> std::io::Result<Launched> {
        if let Some(exit) = self.ended {
            if exit == Exit::Done && !self.json {
                say::answer(&format!("started, pid {}", self.child.id()));
            }
            return Ok(Launched::Ended(exit));
        }
        let status = self.child.wait()?;
        if let Some(held) = self.held {
            return Ok(Launched::Held(held));
        }
        let mut said = [Exit::Failed, Exit::Invalid].into_iter();
        let exit = said.find(|exit| status.code() == Some(exit.code().into())).unwrap_or_else(|| {
            say::tell(&format!("the supervisor ended before its components were up: {status}; see its log"));
            Exit::Failed
        });
        Ok(Launched::Ended(exit))
    }
}

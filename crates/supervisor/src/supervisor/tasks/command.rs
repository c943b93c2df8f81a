//! The commands that tasks are: how one begins, what it says, and what its end means.

use std::ffi::OsString;
use std::sync::Arc;

use polling::Poller;

use super::{Answer, Failure, cannot_run, shown};
use crate::environment;
use crate::os::{self, Account, Errand, Launch, LaunchPad, ReadEnd, Terms, Watched};
use crate::run::Exit;
use crate::spec::{Command, ProcessSpec};
use crate::supervisor::runs::{Owner, Runs};
use crate::tokens::Tokens;

/// How much of the end of its output is kept: its last line is its answer.
const TAIL: usize = 4 * 1024;

/// How much of evidence is kept.
const WHOLE: usize = 1024 * 1024;

/// How much is read before others have their turn.
const TURN: usize = 64 * 1024;

/// What starting a command takes.
pub(in crate::supervisor) struct Launcher<'a> {
    pub(in crate::supervisor) spec: &'a ProcessSpec,
    /// What components inherit of our environment.
    pub(in crate::supervisor) inherited: &'a [(OsString, OsString)],
    /// Who the component runs as, if it has an account.
    pub(in crate::supervisor) account: Option<Arc<Account>>,
    /// The soft limit of open descriptors, if it is not ours.
    pub(in crate::supervisor) terms: Terms,
    pub(in crate::supervisor) pad: &'a mut LaunchPad,
    pub(in crate::supervisor) runs: &'a mut Runs,
    pub(in crate::supervisor) tokens: Tokens,
}

/// Whose command it is.
pub(super) struct Place<'a> {
    /// By what the poller and the table know it.
    pub(super) key: usize,
    pub(super) owner: Owner,
    /// The token of its run.
    pub(super) token: &'a str,
    /// Its number among the tasks of its run.
    pub(super) number: u32,
    /// The main process of its run, which may have ended.
    pub(super) pid: Option<u32>,
    pub(super) is_evidence: bool,
}

/// Starts a command as its component would be started, and gives what it is going to say.
///
/// # Errors
/// Why it cannot be run, in words.
pub(super) fn start(
    command: &Command,
    place: &Place<'_>,
    launcher: &mut Launcher<'_>,
    poller: &Arc<Poller>,
) -> Result<Said, Failure> {
    let cannot = |error: std::io::Error| cannot_run(&error);
    let (reader, writer) = os::pipe().map_err(cannot)?;
    if os::descriptors_are_scarce(&writer) {
        return Err(cannot(os::scarcity()));
    }
    let said = Said::new(reader, poller, place.key, place.is_evidence).map_err(cannot)?;
    let spec = launcher.spec;
    let environment = environment::of(&spec.environment, launcher.inherited);
    let mut added = vec![("S7_ID".into(), spec.id.as_str().into())];
    added.extend(place.pid.map(|pid| ("S7_PID".into(), pid.to_string().into())));
    // What it leaves behind is known by this, and never taken for a part of the run.
    let token = format!("{}/{}", place.token, place.number);
    let launch = Launch {
        spec,
        environment: &environment,
        added: &added,
        token: place.token,
        account: launcher.account.as_deref(),
        terms: launcher.terms,
        cgroup: None,
        errand: Some(Errand { command, token: &token }),
        stdout: &writer,
        stderr: &writer,
        ready: None,
    };
    let spawned = os::spawn(&launch, launcher.pad).map_err(|error| {
        let told = error.to_string();
        if error.is_shortage() { Failure::Want(told) } else { Failure::Told(told) }
    })?;
    // If its program cannot be run after all, it ends with code 127.
    let process = spawned.into_process(launcher.pad);
    launcher.runs.add(place.owner, token.into(), process).map_err(cannot)?;
    Ok(said)
}

/// What a command says on its standard output and standard error together.
#[derive(Debug)]
pub(super) struct Said {
    /// Until its end is reached.
    pipe: Option<Watched<ReadEnd>>,
    tail: Vec<u8>,
    /// Where all of it is wanted.
    whole: Option<Vec<u8>>,
    /// How much more there was.
    lost: u64,
}

impl Said {
    fn new(pipe: ReadEnd, poller: &Arc<Poller>, key: usize, is_whole_wanted: bool) -> std::io::Result<Self> {
        let pipe = Some(Watched::new(pipe, poller, key)?);
        Ok(Self { pipe, tail: Vec::new(), whole: is_whole_wanted.then(Vec::new), lost: 0 })
    }

    /// Takes in what is there, but no more than a turn's worth. Says whether there may be more.
    pub(super) fn read(&mut self) -> bool {
        let mut buffer = [0; 8 * 1024];
        for _ in 0..TURN / buffer.len() {
            let Some(pipe) = &self.pipe else { return false };
            match os::read_some(&**pipe, &mut buffer) {
                None => return false,
                Some([]) => self.pipe = None,
                Some(part) => self.add(part),
            }
        }
        true
    }

    /// Takes in the rest: all that a process that has ended has written is there. What others go on writing is not
    /// waited for.
    fn read_rest(&mut self) {
        // A pipe holds at most a mebibyte, unless root has enlarged it.
        let mut turns = 0;
        while turns < WHOLE / TURN && self.read() {
            turns += 1;
        }
        self.pipe = None;
    }

    fn add(&mut self, part: &[u8]) {
        self.tail.extend_from_slice(part);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        if let Some(whole) = &mut self.whole {
            let room = WHOLE - whole.len();
            whole.extend_from_slice(&part[..part.len().min(room)]);
            self.lost += part.len().saturating_sub(room) as u64;
        }
    }

    /// What the end of the command means.
    pub(super) fn answer(&mut self, exit: Exit) -> Answer {
        self.read_rest();
        let tail = &self.tail[self.tail.len().saturating_sub(TAIL)..];
        let text = String::from_utf8_lossy(tail);
        let last = text.lines().rev().map(shown).find(|line| !line.is_empty());
        match (exit.is_success(), last) {
            (true, Some(line)) => Ok(line),
            (true, None) => Ok(exit.to_string()),
            (false, Some(line)) => Err(Failure::Told(format!("{exit}: {line}"))),
            (false, None) => Err(Failure::Told(exit.to_string())),
        }
    }

    /// All that it has said so far, if that is wanted and anything.
    pub(super) fn evidence(&mut self) -> Option<Vec<u8>> {
        self.read_rest();
        let mut whole = self.whole.take().filter(|whole| !whole.is_empty())?;
        if self.lost > 0 {
            let note = format!("\n[{} more bytes were not stored]\n", self.lost);
            whole.extend_from_slice(note.as_bytes());
        }
        Some(whole)
    }
}

//! `takeover-check`: whether this program can go on for a supervisor that runs, asked by that one before it lets go.
//!
//! The question is a JSON document on standard input, the answer another one on standard output, and exit code 0. All that
//! could keep this program from taking over is tried here as far as it can be: the versions of what is handed over, the
//! arguments, and the registry.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

use clap::Parser;
use serde::{Deserialize, Serialize};

use crate::arguments::{Arguments, Command};
use crate::exit::{Ended, Exit, Failure};
use crate::say;

/// The version of what a supervisor hands over to the next one: of the question here and of
/// `Handover`. The first field of both, in every version.
pub(crate) const HANDOVER_VERSION: u32 = 1;

/// What is to be taken over.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) handover: u32,
    /// The version of what is written down of components.
    pub(crate) state: u32,
    /// With what the supervisor was started, the name of the program first.
    pub(crate) arguments: Vec<OsString>,
    /// Its `temp` folder.
    pub(crate) temp: PathBuf,
    /// What `SV::supervisorExecutable` stands for.
    pub(crate) executable: Option<PathBuf>,
}

/// Who would take over.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) version: String,
}

#[derive(Deserialize)]
struct Versions {
    handover: u32,
    state: u32,
}

/// Answers the question.
pub(crate) fn takeover_check() -> Ended {
    /// No supervisor has more to ask.
    const LIMIT: u64 = 16 << 20;
    let mut text = Vec::new();
    let read = std::io::stdin().lock().take(LIMIT).read_to_end(&mut text);
    read.map_err(|error| Failure::failed(format!("cannot read the question: {error}")))?;
    let not_understood = |error: serde_json::Error| {
        Failure::failed(format!(
            "cannot understand the question, which only `s7supervisor upgrade` asks: {error}"
        ))
    };
    let versions: Versions = serde_json::from_slice(&text).map_err(not_understood)?;
    for (what, theirs, ours) in [
        ("what is handed over", versions.handover, HANDOVER_VERSION),
        ("what is written down of components", versions.state, supervisor::STATE_VERSION),
    ] {
        if theirs != ours {
            return Err(Failure::failed(format!(
                "{what} is of version {theirs}, and it knows version {ours}: stop the old supervisor and start the new one \
                 instead"
            )));
        }
    }
    check(&serde_json::from_slice(&text).map_err(not_understood)?)?;
    let answer = Answer { version: env!("CARGO_PKG_VERSION").to_owned() };
    say::answer(&serde_json::to_string(&answer).map_err(not_understood)?);
    Ok(Exit::Done)
}

fn check(question: &Question) -> Result<(), Failure> {
    let Arguments { place, command } = Arguments::try_parse_from(&question.arguments).map_err(|error| {
        Failure::failed(format!("it does not take the arguments of the old one: {error}"))
    })?;
    let Command::Run(asked) = command else {
        return Err(Failure::failed("it would not run as a supervisor with the arguments of the old one"));
    };
    let registry = place.load_for(asked.file.as_deref(), question.executable.clone())?;
    let temp = place.temp_of(&registry);
    if temp == question.temp {
        return Ok(());
    }
    let (temp, theirs) = (temp.display(), question.temp.display());
    Err(Failure::failed(format!("its temp folder would be {temp}, and that of the old one is {theirs}")))
}

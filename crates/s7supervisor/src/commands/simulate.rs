//! `simulate`: what would happen, in virtual time.
//!
//! The library's simulated world takes the very decisions that a supervisor of this registry would take; `script` says
//! what its made-up processes do and what people ask for (`reader` reads it), `play` lets them live, and `timeline` tells what came of it.

mod line;
mod play;
mod reader;
mod script;
mod timeline;
mod words;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use supervisor::ProcessSpec;

use self::line::Problem;
use self::script::Script;
use crate::arguments::{Place, Simulate};
use crate::exit::{Ended, Exit, Failure};
use crate::say;

/// The longest script, in bytes.
const LONGEST_SCRIPT: u64 = 1024 * 1024;

/// The most problems of a script that are told one by one.
const MOST_PROBLEMS: usize = 100;

/// Lets the registry live as the script says, and tells what happens.
pub(crate) fn simulate(place: &Place, asked: &Simulate) -> Ended {
    let registry = place.load(asked.file.as_deref())?;
    let script = read(&asked.script, &registry.components)?;
    let timeline = play::play(&registry, &script);
    if asked.json {
        let lines = timeline.for_programs();
        say::answer(
            &lines.map_err(|error| Failure::failed(format!("cannot write the timeline as JSON: {error}")))?,
        );
    } else {
        say::answer(&timeline.for_people());
    }
    let Some(when) = timeline.is_cut_off() else { return Ok(Exit::Done) };
    say::tell(&format!(
        "the simulation was ended at {when}, because too much happened in it; shorten it with `for`, or let the \
         components crash less often"
    ));
    Ok(Exit::Failed)
}

fn read(path: &Path, components: &[ProcessSpec]) -> Result<Script, Failure> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "standard input".into() } else { path.to_string_lossy() };
    let invalid = |why: &str| Failure::new(Exit::Invalid, format!("cannot read the script {name}: {why}"));
    let bytes = if is_stdin { bounded(io::stdin().lock()) } else { File::open(path).and_then(bounded) };
    let bytes = bytes.map_err(|error| invalid(&error.to_string()))?;
    if bytes.len() as u64 > LONGEST_SCRIPT {
        return Err(invalid("it is longer than 1 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8"))?;
    Script::read(&text, components).map_err(|problems| Failure::new(Exit::Invalid, list(&name, &problems)))
}

/// As much as a script may have, and one byte more.
fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LONGEST_SCRIPT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The problems, each in a line: `file:line:column: what`.
fn list(name: &str, problems: &[Problem]) -> String {
    let told = problems.iter().take(MOST_PROBLEMS);
    let mut lines: Vec<_> =
        told.map(|Problem { line, column, message }| format!("{name}:{line}:{column}: {message}")).collect();
    if problems.len() > MOST_PROBLEMS {
        lines.push(format!("and {} more problems", problems.len() - MOST_PROBLEMS));
    }
    lines.join("\n")
}

//! `simulate`: what would happen, in virtual time.
//!
//! The library's simulated world takes the very decisions that a supervisor of this registry would take; `script` says
//! what its made-up processes do and what people ask for (`reader` reads it), `play` lets them live, and `timeline` tells what came of it.

mod line;
mod play;
mod reader;
mod script;
mod tally;
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

/// What `--help` says at the end.
pub(crate) const HELP: &str = "\
The decisions are those of a supervisor of this very registry, about made-up
processes that do what the script says. What it does not mention starts at once,
is ready at once, runs for ever, and stops at once when told to.

The script has one statement to a line; # begins a comment. A component is an
ID, the common name of several instances, or a pattern (web-*).

  ps crashes every 3s           every run of ps ends 3 s after it has begun
  ps crashes once after 3s      only the first run does
  ps crashes 5 times after 1s with code 78         or: with signal SEGV
  ps completes after 2s         ends with success
  ps fails to start 3 times
  ps is ready after 4s
  ps is never ready
  ps hangs once after 30s       no health check succeeds any more, nor does it
                                give a sign of life to a watchdog
  ps uses 3g                    so much memory
  ps ignores the stop
  ps stops after 5s             takes so long when told to stop
  at 10s stop ps                also start, restart, reset and reload
  at 2m kill ps                 its main process, as if from outside
  at 5m shutdown
  for 1h                        how long is simulated [default: until 10
                                minutes after the last `at`]
  seed 42                       what chance follows from [default: 0]

`once` and `N times` may stand in each statement where a run does something. Of
several statements, the next one begins where the runs of the one before are
used up. docs/restarts.md has worked examples.

Exit codes:
  0  the timeline is complete
  1  it ended early because there was too much of it: standard error says when
  2  the registry, the script or the arguments are wrong

Examples:
  s7supervisor simulate conf/SupervisorRegistry.xml --script crashes.txt
  echo 'is crashes every 3s' | s7supervisor simulate REGISTRY --script -";

//! `tracelevel`: how much the running supervisor tells in its own log.

use clap::Args;
use supervisor_control::ClientError;

use crate::arguments::Place;
use crate::exit::{Ended, Exit, Failure};
use crate::{control, say};

/// `tracelevel`
#[derive(Args, Debug)]
pub(crate) struct Tracelevel {
    /// The level from now on [default: only show it]
    #[arg(value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=4))]
    level: Option<u8>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) const HELP: &str = "\
1: starts, stops and crashes; 2: also requests and decisions; 3: every event in
full; 4: everything. The level holds until the supervisor is begun anew or
upgraded, which then follows the registry again.

Examples:
  s7supervisor tracelevel
  s7supervisor tracelevel 4";

/// Shows the level, or sets it.
pub(crate) fn tracelevel(place: &Place, asked: &Tracelevel) -> Ended {
    let Some(client) = control::connect(place)? else {
        let advice = "start it with `s7supervisor start`, and set `tracelevel` in the registry";
        return Err(Failure::new(Exit::NotRunning, format!("the supervisor is not running: {advice}")));
    };
    let answer = match asked.level {
        Some(level) => client.set_trace_level(level),
        None => client.trace_level(),
    };
    let level = answer.map_err(|error| match error {
        // Not an unknown component, as elsewhere.
        ClientError::Refused { status: 404, detail } => Failure::failed(say::printable(detail)),
        error => control::failure(&error),
    })?;
    say::answer(&if asked.json { format!("{{\"level\": {level}}}") } else { format!("trace level {level}") });
    Ok(Exit::Done)
}

//! `apply`: what a changed registry would do is done.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use supervisor_control::ClientError;
use supervisor_control::wire::{ApplyDocument, ComponentOutcome};

use super::plan::{absolute, lines, summary};
use crate::arguments::{Patience, Place};
use crate::duration::parse_duration;
use crate::exit::{Ended, Exit, Failure};
use crate::{control, say};

/// `apply`
#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// The registry [default: the one that the supervisor was started with, as it is now]
    #[arg(value_name = "REGISTRY")]
    file: Option<PathBuf>,

    /// Go back to what there was unless all that is started or restarted is ready within this (60s, 5m)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    confirm_ready: Option<Duration>,

    /// How long to wait, and how to tell
    #[command(flatten)]
    patience: Patience,
}

pub(crate) const HELP: &str = "\
Does what `plan` shows, and touches nothing else: what is no more, or takes
another process, stops in reverse order; then what is to start starts, in order.
What somebody has stopped stays so. A registry that is not in order changes
nothing. So does SIGHUP to the supervisor.

With --confirm-ready, everything goes back to what there was unless all that was
started or restarted is ready in time; at once, if one of them is given up. What
runs then is not what the registry says: `status` tells, until one is applied.

A registry other than the one that the supervisor was started with holds until
the supervisor begins anew.

Exit codes:
  0    it is so
  1    something did not start or stop, or everything has gone back
  2    the registry is not in order; everything that is wrong is named
  7    the supervisor is not running
  151  waited in vain (--timeout); it goes on all the same

Examples:
  s7supervisor apply
  s7supervisor apply --confirm-ready 60s
  s7supervisor apply --json --timeout 5m";

/// Has the registry applied, waits as long as wanted, and tells what came of it.
pub(crate) fn apply(place: &Place, asked: &Apply) -> Ended {
    let registry = absolute(asked.file.as_deref())?;
    let client = control::connected(place)?;
    let patience = asked.patience;
    let done = client.apply(registry, asked.confirm_ready, patience.wait());
    let done = done.map_err(|error| match error {
        ClientError::Invalid { .. } => control::failure(&error),
        error => control::failure_in_time(&error, patience),
    })?;
    if patience.json {
        let text = serde_json::to_string_pretty(&done)
            .map_err(|error| Failure::failed(format!("cannot write the outcome as JSON: {error}")))?;
        say::answer(&text);
    } else {
        lines(&done.plan).iter().for_each(|line| say::answer(line));
        say::answer(&summary(&done.plan));
    }
    conclude(patience, &done)
}

fn conclude(patience: Patience, done: &ApplyDocument) -> Ended {
    let ApplyDocument { outcome, .. } = done;
    if !outcome.finished {
        if patience.no_wait {
            return Ok(Exit::Done);
        }
        let message = "waited in vain: it goes on all the same; see `s7supervisor status`";
        return Err(Failure::new(Exit::TimedOut, message));
    }
    let failed = outcome.components.iter().filter(|component| !component.result.is_success());
    failed.for_each(|component| say::tell(&say::printable(failure(component))));
    match &outcome.gone_back {
        Some(why) => {
            let message =
                format!("everything is as it was before: {why}; mend the registry and apply it again");
            Err(Failure::failed(say::printable(message)))
        }
        None if outcome.is_success() => Ok(Exit::Done),
        None => Ok(Exit::Failed),
    }
}

fn failure(component: &ComponentOutcome) -> String {
    let ComponentOutcome { id, message, .. } = component;
    let why = message.as_deref().unwrap_or("not as it should be");
    format!("{id}: {why}; see `s7supervisor why {id}`")
}

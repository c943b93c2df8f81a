//! `rotate`: log files end, and others begin.

use clap::Args;
use serde::Serialize;
use supervisor_control::wire::{OutcomeDocument, OutcomeKind, OwnLogDocument};
use supervisor_control::{Action, Client};

use crate::arguments::{Patience, Place};
use crate::exit::{Ended, Exit, Failure};
use crate::{completing, control, say};

/// `rotate`
#[derive(Args, Debug)]
pub(crate) struct Rotate {
    /// The components: ids, names of several instances, or patterns ('web-*') [default: all, and the supervisor's own log]
    #[arg(value_name = "ID", add = completing::ids())]
    ids: Vec<String>,

    /// How long to wait, and how to tell
    #[command(flatten)]
    patience: Patience,
}

pub(crate) const HELP: &str = "\
Ends the file that the output of each component goes to, at the end of a line,
and begins another, as when it has reached its maxSize: web.log becomes
web.log.1, or the next higher number, and is compressed and deleted as its
<output> says. What a component had written before is in the ended file. Nothing
is lost, torn or doubled, and no component notices. One that does not run may
have a file as well. An empty file goes on. It has happened when this returns.

Without ID: of all components, and of the supervisor's own log.

Examples:
  s7supervisor rotate
  s7supervisor rotate ps 'web-*'";

/// What `rotate --json` prints without ID.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Everything {
    #[serde(flatten)]
    components: OutcomeDocument,
    own_log: OwnLogDocument,
}

/// Ends the files of these components, or all.
pub(crate) fn rotate(place: &Place, asked: &Rotate) -> Ended {
    if !asked.ids.is_empty() {
        return control::act(place, Action::Rotate, &asked.ids, asked.patience);
    }
    everything(&control::connected(place)?, asked.patience)
}

fn everything(client: &Client, patience: Patience) -> Ended {
    // First, so that it holds from here on what is told of the others.
    let own_log = client.rotate_log().map_err(|error| control::failure(&error))?;
    let outcome = control::ask(client, Action::Rotate, None, patience)?;
    if !outcome.finished {
        return control::unfinished(patience, "it goes on");
    }
    let is_success = outcome.is_success() && own_log.result.is_success();
    if patience.json {
        let text = serde_json::to_string_pretty(&Everything { components: outcome, own_log })
            .map_err(|error| Failure::failed(format!("cannot write the outcome as JSON: {error}")))?;
        say::answer(&text);
    } else {
        control::tell(Action::Rotate, &outcome, false);
        tell_own(&own_log);
    }
    Ok(if is_success { Exit::Done } else { Exit::Failed })
}

fn tell_own(own_log: &OwnLogDocument) {
    let why = own_log.message.as_deref().unwrap_or("for an unknown reason");
    match own_log.result {
        OutcomeKind::Done => say::answer("the supervisor's own log: rotated"),
        OutcomeKind::Already => say::answer("the supervisor's own log: there is nothing in it"),
        _ => say::tell(&say::printable(format!("the supervisor's own log: not rotated: {why}"))),
    }
}

//! `upgrade`: the running supervisor is replaced by another executable, in the same process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use supervisor_control::ClientError;
use supervisor_control::wire::{StatusDocument, UpgradeDocument};

use crate::arguments::{Patience, Place};
use crate::exit::{Ended, Exit, Failure};
use crate::progress::Progress;
use crate::{control, say, waiting};

/// How long it may take until one of both answers, where nobody says how long to wait.
const LIMIT: Duration = Duration::from_secs(60);

/// `upgrade`
#[derive(Args, Debug)]
pub(crate) struct Upgrade {
    /// The executable [default: the path that the running one was started from, as it is now]
    #[arg(value_name = "EXECUTABLE")]
    executable: Option<PathBuf>,

    /// How long to wait, and how to tell
    #[command(flatten)]
    patience: Patience,
}

pub(crate) const HELP: &str = "\
The supervisor becomes the other program and keeps its pid. Its components run
on and notice nothing, no line of their output is lost, and it stays the
supervisor that `start` or `run` has made. To be used after a package was
upgraded, for instance.

The other program is first asked whether it can go on with what there is; if it
cannot, or fails before it has taken over, the old one goes on. So it does if
the registry was changed meanwhile: components would be touched.

Exit codes:
  0    the other one has taken over
  1    the old one goes on; the message says why
  7    the supervisor is not running
  151  waited in vain (--timeout)

Examples:
  s7supervisor upgrade
  s7supervisor upgrade /opt/s7/1.3/s7supervisor";

/// Has the running supervisor replaced.
pub(crate) fn upgrade(place: &Place, asked: &Upgrade) -> Ended {
    let temp = place.find_temp()?;
    let Some(client) = control::connect_in(&temp)? else {
        let advice = "start it with `s7supervisor start`";
        return Err(Failure::new(Exit::NotRunning, format!("the supervisor is not running: {advice}")));
    };
    let executable = asked.executable.as_ref().map(std::path::absolute).transpose();
    let executable = executable.map_err(|error| Failure::failed(format!("cannot upgrade: {error}")))?;
    let begun = client.upgrade(executable).map_err(|error| match error {
        ClientError::Refused { status: 409, detail } => {
            Failure::failed(say::printable(format!("not upgraded, all is as before: {detail}")))
        }
        error => control::failure(&error),
    })?;
    // Its connection would be one that is waited for.
    drop(client);
    let patience = asked.patience;
    if patience.no_wait {
        return tell(patience, &begun, None);
    }
    let what = format!("waiting until version {} has taken over from {}", begun.to, begun.from);
    let progress = Progress::show(&say::printable(what), patience.at_most(LIMIT).timeout);
    let status = wait(&temp, &begun, patience)?;
    drop(progress);
    let now = status.supervisor.upgrade.filter(|upgrade| upgrade.number == begun.number).unwrap_or(begun);
    tell(patience, &now, Some(status.supervisor.pid))
}

/// Waits until one of both answers that knows what has come of it.
fn wait(temp: &Path, begun: &UpgradeDocument, patience: Patience) -> Result<StatusDocument, Failure> {
    let since = waiting::now();
    let limit = patience.at_most(LIMIT);
    loop {
        let left = limit.left(since);
        let answer = match control::listening(temp)? {
            Some(client) => control::status(&client, left).map(Some),
            None => Ok(None),
        };
        match answer {
            Ok(Some(status))
                if status.supervisor.upgrade.as_ref().is_some_and(|its| its.number >= begun.number) =>
            {
                return Ok(status);
            }
            // The one before, which answers for the last time, or neither of both yet.
            Ok(_) | Err(ClientError::Closed { .. }) => {}
            Err(error) => return Err(control::failure_in_time(&error, left)),
        }
        if limit.timeout.is_some_and(|limit| since.elapsed() >= limit) {
            let advice = "see its log, and `s7supervisor status`";
            return Err(Failure::new(Exit::TimedOut, format!("waited in vain for an answer; {advice}")));
        }
    }
}

fn tell(patience: Patience, upgrade: &UpgradeDocument, pid: Option<u32>) -> Ended {
    if patience.json {
        let text = serde_json::to_string_pretty(upgrade)
            .map_err(|error| Failure::failed(format!("cannot write the upgrade as JSON: {error}")))?;
        say::answer(&text);
    }
    let UpgradeDocument { from, to, .. } = upgrade;
    match (&upgrade.failure, pid) {
        (Some(why), _) => Err(Failure::failed(say::printable(format!(
            "not upgraded: version {from} goes on, and every component with it: {why}"
        )))),
        (None, Some(pid)) if !patience.json => {
            say::answer(&format!("upgraded from version {from} to {to}, pid {pid}"));
            Ok(Exit::Done)
        }
        _ => Ok(Exit::Done),
    }
}

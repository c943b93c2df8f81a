//! `stop`: components, or all of them and the supervisor.

use std::time::Duration;

use supervisor_control::wire::OutcomeDocument;
use supervisor_control::{Client, ClientError};

use crate::arguments::{Patience, Place, Stop};
use crate::commands::service::Owner;
use crate::control;
use crate::exit::{Ended, Exit, Failure};
use crate::os::process::Process;
use crate::progress::Progress;
use crate::{say, waiting};

/// How long a supervisor that no longer answers may take to end before it is taken for one that does not.
const LAST_MOMENTS: Duration = Duration::from_secs(10);

/// Stops these components, or everything.
pub(crate) fn stop(place: &Place, asked: &Stop) -> Ended {
    if !asked.ids.is_empty() {
        return control::act(place, asked.action(), &asked.ids, asked.patience);
    }
    let Some(client) = control::connect(place)? else {
        say::tell("not running");
        return control::tell_document(asked.patience, true).map(|()| Exit::Done);
    };
    // Through the service that it is of, which would not know else that somebody wanted this.
    if let Some(owner) = Owner::of(&place.find_temp()?).filter(|owner| owner.runs(client.supervisor_pid())) {
        return owner.act("stop", asked.patience);
    }
    let (ended, outcome) = stop_supervisor(&client, asked.patience)?;
    if asked.patience.json {
        control::print_json(&outcome)?;
    } else if ended == Exit::Done && !asked.patience.no_wait {
        say::answer("stopped");
    }
    Ok(ended)
}

/// Stops everything, and waits until the process of the supervisor is gone.
pub(crate) fn stop_supervisor(
    client: &Client,
    patience: Patience,
) -> Result<(Exit, OutcomeDocument), Failure> {
    if patience.no_wait {
        let outcome = client.shutdown(false, patience.wait()).map_err(|error| control::failure(&error))?;
        return Ok((Exit::Done, outcome));
    }
    let since = waiting::now();
    let process = process_of(client)?;
    let what = format!("waiting until all components and the supervisor (pid {}) have stopped", process.pid);
    let _progress = Progress::show(&what, patience.timeout);
    let outcome = match client.shutdown(false, patience.wait()) {
        Ok(outcome) => outcome,
        // Its last answer may have been lost on the way, or it was ending already; whether it is gone then shows below.
        Err(error @ (ClientError::Closed { .. } | ClientError::Refused { status: 503, .. })) => {
            if !is_ending(client) && !is_gone(&process, patience.left(since).at_most(LAST_MOMENTS))? {
                return Err(control::failure(&error));
            }
            OutcomeDocument { finished: true, ..OutcomeDocument::default() }
        }
        Err(error) => return Err(control::failure_in_time(&error, patience)),
    };
    if !is_gone(&process, patience.left(since))? {
        let unfinished = control::unfinished(patience, "the supervisor stops")?;
        return Ok((unfinished, outcome));
    }
    let mut ended = Exit::Done;
    for component in outcome.components.iter().filter(|component| !component.result.is_success()) {
        let why = component.message.as_deref().unwrap_or("it did not stop");
        say::tell(&say::printable(format!("{}: {why}", component.id)));
        ended = Exit::Failed;
    }
    Ok((ended, outcome))
}

/// Whether the supervisor that has closed our connection has been asked to end, or listens no more.
fn is_ending(closed: &Client) -> bool {
    match closed.connect_again().and_then(|client| client.status(&[])) {
        Ok(status) => status.supervisor.shutting_down,
        Err(error) => matches!(error, ClientError::NotRunning { .. }),
    }
}

/// The process of the supervisor that we are connected to: so soon after that its pid cannot have come to mean another.
fn process_of(client: &Client) -> Result<Process, Failure> {
    let pid = match client.supervisor_pid() {
        Some(pid) => pid,
        // By TCP it says so itself.
        None => client.status(&[]).map_err(|error| control::failure(&error))?.supervisor.pid,
    };
    Process::of(pid).map_err(|error| {
        let advice = "stop it with --no-wait, or from within its own pid namespace";
        Failure::failed(format!("cannot watch the process of the supervisor: {error}; {advice}"))
    })
}

/// Waits for its end; `false` if it has not come in time.
fn is_gone(process: &Process, patience: Patience) -> Result<bool, Failure> {
    process
        .is_gone(patience.timeout)
        .map_err(|error| Failure::failed(format!("cannot wait for the end of the supervisor: {error}")))
}

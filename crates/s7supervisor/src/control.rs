//! Asking the running supervisor, and telling what came of it.

mod limits;
mod telling;

use std::path::Path;
use std::time::{Duration, Instant};

use supervisor::Until;
use supervisor_control::wire::{OutcomeDocument, StatusDocument};
use supervisor_control::{Action, Client, ClientError, Wait};

pub(crate) use self::telling::tell;
use crate::arguments::{Patience, Place};
use crate::exit::{Ended, Exit, Failure};
use crate::os::door;
use crate::os::presence::Presence;
use crate::progress::Progress;
use crate::{say, waiting};

/// So long, a supervisor that does not listen may be beginning or ending.
const MOMENT: Duration = Duration::from_secs(1);

/// Connects to the supervisor of this place; `None` if none runs.
pub(crate) fn connect(place: &Place) -> Result<Option<Client>, Failure> {
    connect_in(&place.find_temp()?)
}

/// Connects to the supervisor of this `temp` folder; `None` if none runs. One that runs and does not listen is waited for
/// a moment, because it may have just begun, or be about to end.
pub(crate) fn connect_in(temp: &Path) -> Result<Option<Client>, Failure> {
    let since = waiting::now();
    if let Some(client) = listening(temp)? {
        return Ok(Some(client));
    }
    while let Some(supervisor) = Presence::find(temp)? {
        if let Some(client) = listening(temp)? {
            return Ok(Some(client));
        }
        if !supervisor.changes(Some(MOMENT.saturating_sub(since.elapsed())))? {
            return Err(supervisor.unheard());
        }
    }
    Ok(None)
}

/// Connects to the supervisor that listens in this `temp` folder; `None` if none does.
pub(crate) fn listening(temp: &Path) -> Result<Option<Client>, Failure> {
    match door::connect(temp) {
        Ok(client) => Ok(Some(client)),
        Err(ClientError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(failure(&error)),
    }
}

/// Asks components for something, waits as long as wanted, and tells what came of it.
pub(crate) fn act(place: &Place, action: Action, ids: &[String], patience: Patience) -> Ended {
    act_on(&connected(place)?, action, ids, patience)
}

/// Connects to the supervisor of this place, which must be running.
pub(crate) fn connected(place: &Place) -> Result<Client, Failure> {
    let advice = "start it with `s7supervisor start`";
    let not_running = || Failure::new(Exit::NotRunning, format!("the supervisor is not running: {advice}"));
    connect(place)?.ok_or_else(not_running)
}

/// Asks these components for something, waits as long as wanted, and tells what came of it.
pub(crate) fn act_on(client: &Client, action: Action, ids: &[String], patience: Patience) -> Ended {
    if ids.is_empty() {
        say::tell(&format!("there is nothing to {action}"));
        return tell_document(patience, true).map(|()| Exit::Done);
    }
    let awaited = telling::awaited(action, ids);
    let since = waiting::now();
    let mut progress = None;
    if let (false, Some(awaited)) = (patience.no_wait, &awaited) {
        // Nobody is to read first that something is waited for which does not exist.
        let meant = match status_of(client, ids, patience) {
            Ok(status) => status.components,
            // Closed for another supervisor, perhaps: that is seen below.
            Err(ClientError::Closed { .. }) => Vec::new(),
            Err(error) => return Err(failure_in_time(&error, patience)),
        };
        let limit = patience.timeout.or_else(|| limits::of(client, action, &meant));
        progress = Some(Progress::show(&format!("waiting for {awaited}"), limit));
    }
    let outcome = ask(client, action, Some(ids), patience.left(since));
    drop(progress);
    let outcome = outcome?;
    if !outcome.finished {
        return match (action, awaited) {
            (Action::WaitFor(_), Some(awaited)) => in_vain(patience, &format!(" for {awaited}")),
            _ => unfinished(patience, &format!("{action} goes on")),
        };
    }
    if patience.json {
        print_json(&outcome)?;
    }
    telling::tell(action, &outcome, patience.json);
    Ok(if outcome.is_success() { Exit::Done } else { Exit::Failed })
}

/// Asks these components for something, or all, and waits as long as wanted for what comes of it.
pub(crate) fn ask(
    client: &Client,
    action: Action,
    ids: Option<&[String]>,
    patience: Patience,
) -> Result<OutcomeDocument, Failure> {
    let since = waiting::now();
    let mut outcome = client.act(action, ids, patience.wait());
    while matches!(outcome, Err(ClientError::Closed { .. }))
        && let Some((next, action)) = ask_again(client, action)
    {
        outcome = next.act(action, ids, patience.left(since).wait());
    }
    outcome.map_err(|error| failure_in_time(&error, patience))
}

/// Whom to ask, and for what, where the supervisor was replaced before it had answered: what it had taken up goes on.
fn ask_again(client: &Client, action: Action) -> Option<(Client, Action)> {
    let action = match action {
        Action::Start | Action::Stop | Action::StopWith(_) | Action::Reset | Action::WaitFor(_) => action,
        // What has ended already is empty now, and stays.
        Action::Rotate => action,
        Action::Restart => Action::WaitFor(Until::Started),
        // Twice is not the same as once.
        Action::Reload | Action::Signal(_) => return None,
    };
    let next = client.connect_again().ok()?;
    let is_another = next.status(&[]).ok()?.supervisor.upgrade.is_some();
    is_another.then_some((next, action))
}

/// What is to be said when nobody waited, or not long enough.
pub(crate) fn unfinished(patience: Patience, goes_on: &str) -> Ended {
    if patience.no_wait {
        return tell_document(patience, false).map(|()| Exit::Done);
    }
    in_vain(patience, &format!(": {goes_on} all the same"))
}

fn in_vain(patience: Patience, what: &str) -> Ended {
    tell_document(patience, false)?;
    Err(Failure::new(Exit::TimedOut, format!("waited in vain{what}; see `s7supervisor status`")))
}

/// With `--json`: what came of a request that was not about single components.
pub(crate) fn tell_document(patience: Patience, finished: bool) -> Result<(), Failure> {
    if patience.json {
        print_json(&OutcomeDocument { finished, ..OutcomeDocument::default() })
    } else {
        Ok(())
    }
}

/// Prints an outcome as the document that it is.
pub(crate) fn print_json(outcome: &OutcomeDocument) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(outcome)
        .map_err(|error| Failure::failed(format!("cannot write the outcome as JSON: {error}")))?;
    say::answer(&text);
    Ok(())
}

/// The state of all components, waiting for it no longer than for anything else.
pub(crate) fn status(client: &Client, patience: Patience) -> Result<StatusDocument, ClientError> {
    status_of(client, &[], patience)
}

/// Likewise of these components.
fn status_of(client: &Client, ids: &[String], patience: Patience) -> Result<StatusDocument, ClientError> {
    match patience.timeout {
        Some(timeout) => client.status_within(ids, timeout),
        None => client.status(ids),
    }
}

/// The failure that an error of the client is where one waited so long: no answer in time is a wait in vain.
pub(crate) fn failure_in_time(error: &ClientError, patience: Patience) -> Failure {
    match error {
        ClientError::NoAnswer { .. } if patience.timeout.is_some() => {
            let advice = "see its log, and `s7supervisor status` for what came of it";
            Failure::new(Exit::TimedOut, say::printable(format!("waited in vain: {error}; {advice}")))
        }
        _ => failure(error),
    }
}

/// The failure that an error of the client is.
pub(crate) fn failure(error: &ClientError) -> Failure {
    let (exit, advice) = match error {
        ClientError::NotRunning { .. } => (Exit::NotRunning, "; start it with `s7supervisor start`"),
        ClientError::PermissionDenied { .. } => (Exit::Unknown, ""),
        ClientError::Refused { status: 404, .. } => (Exit::Invalid, "; `s7supervisor status` names all"),
        ClientError::Invalid { .. } => (Exit::Invalid, "; nothing was touched"),
        ClientError::Refused { status: 401 | 403, .. } => (Exit::Unknown, ""),
        ClientError::HasDependants { .. } => {
            (Exit::Failed, "; stop those too (--with-dependants), or let them run on (--only)")
        }
        ClientError::NoAnswer { .. } => (Exit::Failed, "; see its log"),
        ClientError::Closed { .. } => (Exit::Failed, "; try again, and see its log"),
        _ => (Exit::Failed, ""),
    };
    let mut message = say::printable(format!("{error}{advice}"));
    if let ClientError::Invalid { problems, .. } = error {
        let problems = problems.iter().map(|problem| say::printable(problem.clone()));
        message = problems.chain([message]).collect::<Vec<_>>().join("\n");
    }
    Failure::new(exit, message)
}

impl Patience {
    /// The same for the client.
    pub(crate) fn wait(self) -> Wait {
        match (self.no_wait, self.timeout) {
            (true, _) => Wait::No,
            (false, Some(timeout)) => Wait::For(timeout),
            (false, None) => Wait::Forever,
        }
    }

    /// The same, but no longer than `limit`.
    pub(crate) fn at_most(self, limit: Duration) -> Self {
        Self { timeout: Some(self.timeout.map_or(limit, |timeout| timeout.min(limit))), ..self }
    }

    /// What is left of it at a later step.
    pub(crate) fn left(self, since: Instant) -> Self {
        Self { timeout: self.timeout.map(|timeout| timeout.saturating_sub(since.elapsed())), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_client_has_its_exit_code() {
        let at = supervisor_control::Address::Socket("s".into());
        let exit = |error: ClientError| failure(&error).exit;
        assert_eq!(exit(ClientError::NotRunning { at: at.clone() }), Exit::NotRunning);
        assert_eq!(exit(ClientError::PermissionDenied { at: at.clone() }), Exit::Unknown);
        assert_eq!(exit(ClientError::NoAnswer { at }), Exit::Failed);
        assert_eq!(exit(ClientError::Refused { status: 404, detail: String::new() }), Exit::Invalid);
        let dependants = vec!["ps".to_owned()];
        assert_eq!(exit(ClientError::HasDependants { detail: String::new(), dependants }), Exit::Failed);
        assert_eq!(exit(ClientError::Refused { status: 503, detail: String::new() }), Exit::Failed);
    }
}

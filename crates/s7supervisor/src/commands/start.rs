//! `start`: the supervisor in the background, or components of the one that runs.

mod background;

use std::path::Path;
use std::time::Duration;

use supervisor_control::wire::{ComponentDocument, StatusDocument};
use supervisor_control::{Action, Client, ClientError};

use self::background::Launched;
use crate::arguments::{Change, Patience, Place};
use crate::exit::{Ended, Exit, Failure};
use crate::{control, say, waiting};

/// How long a supervisor that holds the lock may take until it answers, or is gone.
const HELD: Duration = Duration::from_secs(10);

/// How often to look whether it does.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts these components, or the supervisor with all that are to start by themselves.
pub(crate) fn start(place: &Place, asked: &Change) -> Ended {
    if asked.ids.is_empty() {
        start_supervisor(place, asked.patience)
    } else {
        control::act(place, Action::Start, &asked.ids, asked.patience)
    }
}

/// Starts the supervisor in the background; of one that runs already, what should run and does not.
///
/// Of several that do this at the same time, one makes the supervisor, and the others find it running.
pub(crate) fn start_supervisor(place: &Place, patience: Patience) -> Ended {
    let since = waiting::now();
    loop {
        let left = patience.left(since);
        if let Some((client, status)) = running(place, left)? {
            say::tell("the supervisor is already running; starting what is not");
            return control::act_on(&client, Action::Start, &to_start(place, &status)?, left);
        }
        match background::launch(place, patience.left(since))? {
            Launched::Ended(exit) => {
                control::tell_document(patience, exit == Exit::Done && !patience.no_wait)?;
                return Ok(exit);
            }
            Launched::Held(why) if patience.timeout.is_some_and(|limit| since.elapsed() >= limit) => {
                return Err(Failure::new(Exit::TimedOut, why));
            }
            Launched::Held(why) if since.elapsed() >= HELD => return Err(Failure::failed(why)),
            Launched::Held(_) => waiting::pause(PAUSE),
        }
    }
}

/// The supervisor that runs and is to go on; one that is ending does not count.
fn running(place: &Place, patience: Patience) -> Result<Option<(Client, StatusDocument)>, Failure> {
    let Some(client) = control::connect(place)? else { return Ok(None) };
    match control::status(&client, patience) {
        Ok(status) if status.supervisor.shutting_down => Ok(None),
        Ok(status) => Ok(Some((client, status))),
        // It has ended meanwhile.
        Err(ClientError::Closed { .. }) => Ok(None),
        Err(error) => Err(control::failure_in_time(&error, patience)),
    }
}

/// What should run: what is wanted, and what starts by itself according to the registry.
fn to_start(place: &Place, status: &StatusDocument) -> Result<Vec<String>, Failure> {
    let registry = place.load(status.supervisor.registry.as_deref().map(Path::new))?;
    let starts_by_itself = |component: &ComponentDocument| {
        registry.components.iter().any(|spec| spec.autostart && spec.id == *component.id)
    };
    let chosen = status.components.iter().filter(|it| it.wanted || starts_by_itself(it));
    Ok(chosen.map(|component| component.id.clone()).collect())
}

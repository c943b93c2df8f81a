//! `start`: the supervisor in the background, or components of the one that runs.

mod background;

use std::path::Path;
use std::time::Duration;

use supervisor_control::wire::{ComponentDocument, StatusDocument};
use supervisor_control::{Action, Client, ClientError};

use self::background::Launched;
use crate::arguments::{Change, Patience, Place, Serving};
use crate::commands::service::Owner;
use crate::exit::{Ended, Exit, Failure};
use crate::os::presence::Presence;
use crate::{control, say, waiting};

/// How long a supervisor that holds the lock may take until it answers, or is gone.
const HELD: Duration = Duration::from_secs(10);

/// Starts these components, or the supervisor with all that are to start by themselves.
pub(crate) fn start(place: &Place, asked: &Change) -> Ended {
    if asked.ids.is_empty() {
        start_supervisor(place, &asked.serving, asked.patience)
    } else {
        control::act(place, Action::Start, &asked.ids, asked.patience)
    }
}

/// Starts the supervisor in the background; of one that runs already, what should run and does not.
///
/// Of several that do this at the same time, one makes the supervisor, and the others find it running.
pub(crate) fn start_supervisor(place: &Place, serving: &Serving, patience: Patience) -> Ended {
    let since = waiting::now();
    let temp = place.find_temp()?;
    let mut was_unseen = false;
    loop {
        let left = patience.left(since);
        // Found first and asked then, so that whatever it does meanwhile is noticed.
        let other = Presence::find(&temp)?;
        if let Some((client, status)) = running(&temp, left)? {
            say::tell("the supervisor is already running; starting what is not");
            return control::act_on(&client, Action::Start, &to_start(place, &status)?, left);
        }
        // Of several that do this at the same time, all ask systemd, which does it once.
        if let Some(owner) = Owner::of(&temp).filter(|_| other.is_none()) {
            return owner.asked_for(place, serving)?.act("start", patience.left(since));
        }
        match background::launch(place, serving, patience.left(since))? {
            Launched::Ended(exit) => {
                control::tell_document(patience, exit == Exit::Done && !patience.no_wait)?;
                return Ok(exit);
            }
            Launched::Held(why) => {
                let left = patience.left(since).at_most(HELD.saturating_sub(since.elapsed()));
                let has_changed = match &other {
                    Some(other) => other.changes(left.timeout)?,
                    // It was not there yet. If it is not to be seen the next time either, nobody tells what becomes of it.
                    None => !std::mem::replace(&mut was_unseen, true),
                };
                if !has_changed {
                    let in_vain = patience.timeout.is_some_and(|limit| since.elapsed() >= limit);
                    return Err(match other {
                        _ if in_vain => Failure::new(Exit::TimedOut, why),
                        Some(other) if control::listening(&temp)?.is_none() => other.unheard(),
                        _ => Failure::failed(why),
                    });
                }
            }
        }
    }
}

/// The supervisor that runs and is to go on; one that is ending does not count.
fn running(temp: &Path, patience: Patience) -> Result<Option<(Client, StatusDocument)>, Failure> {
    let Some(client) = control::listening(temp)? else { return Ok(None) };
    match control::status(&client, patience) {
        Ok(status) if status.supervisor.shutting_down => Ok(None),
        Ok(status) => Ok(Some((client, status))),
        // It has ended meanwhile, or has nobody any more who could answer: then it will have in a moment.
        Err(ClientError::Closed { .. } | ClientError::Refused { status: 503, .. }) => Ok(None),
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

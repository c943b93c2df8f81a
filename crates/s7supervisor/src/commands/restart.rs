//! `restart`: components, or all of them and the supervisor.

use supervisor_control::Action;

use crate::arguments::{Change, Patience, Place};
use crate::commands::service::Owner;
use crate::commands::{start, stop};
use crate::control;
use crate::exit::{Ended, Exit};
use crate::os::OpenFolder;
use crate::os::lock::Lock;
use crate::os::temp_folder::LOCK;
use crate::say;
use crate::waiting;

/// Restarts these components, or everything.
pub(crate) fn restart(place: &Place, asked: &Change) -> Ended {
    if !asked.ids.is_empty() {
        return control::act(place, Action::Restart, &asked.ids, asked.patience);
    }
    // An invalid registry touches nothing.
    place.load(None)?;
    let temp = place.find_temp()?;
    let Some(client) = control::connect_in(&temp)? else {
        say::tell("not running; starting");
        return start::start_supervisor(place, &asked.serving, asked.patience);
    };
    if let Some(owner) = Owner::of(&temp).filter(|owner| owner.runs(client.supervisor_pid())) {
        return owner.asked_for(place, &asked.serving)?.act("restart", asked.patience);
    }
    if !is_in_background(&temp) {
        say::tell(
            "the supervisor runs in the foreground and stays; to give it a changed registry: `s7supervisor apply`",
        );
        let status = control::status(&client, asked.patience);
        let status = status.map_err(|error| control::failure_in_time(&error, asked.patience))?;
        let wanted = status.components.into_iter().filter(|component| component.wanted);
        let wanted: Vec<_> = wanted.map(|component| component.id).collect();
        return control::act_on(&client, Action::Restart, &wanted, asked.patience);
    }
    let since = waiting::now();
    let (stopped, outcome) = stop::stop_supervisor(&client, Patience { no_wait: false, ..asked.patience })?;
    if stopped != Exit::Done {
        if asked.patience.json {
            control::print_json(&outcome)?;
        }
        return Ok(stopped);
    }
    start::start_supervisor(place, &asked.serving, asked.patience.left(since))
}

/// Whether `start` has made the supervisor that holds the lock, so that another may take its place.
fn is_in_background(temp: &std::path::Path) -> bool {
    let holder = OpenFolder::open(temp).ok().and_then(|folder| Lock::holder(folder.dir(), LOCK));
    holder.is_some_and(|holder| holder.background)
}

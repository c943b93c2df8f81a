//! `start`: the supervisor in the background, or components of the one that runs.

mod background;

use supervisor_control::Action;

pub(crate) use self::background::launch;
use crate::arguments::{Change, Place};
use crate::control;
use crate::exit::Ended;
use crate::say;

/// Starts these components, or the supervisor with all that are to start by themselves.
pub(crate) fn start(place: &Place, asked: &Change) -> Ended {
    if !asked.ids.is_empty() {
        return control::act(place, Action::Start, &asked.ids, asked.patience);
    }
    match control::connect(place)? {
        Some(client) => {
            say::tell("the supervisor is already running; starting what is not");
            control::act_on(&client, Action::Start, None, asked.patience)
        }
        None => launch(place, asked.patience),
    }
}

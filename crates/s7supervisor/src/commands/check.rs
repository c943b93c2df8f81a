//! `check`: is the registry right, and what does it say?

use crate::arguments::{Check, Place};
use crate::exit::{Ended, Exit};
use crate::say;
use crate::shell;

/// Names every problem of the registry, or summarizes its components.
pub(crate) fn check(place: &Place, asked: &Check) -> Ended {
    let registry = place.load(asked.file.as_deref())?;
    for spec in &registry.components {
        say::answer(&format!(
            "{} (priority {}): {}",
            spec.id,
            spec.start_priority,
            shell::command_line(spec)
        ));
    }
    say::tell(&format!("{} is valid: components {}", registry.path.display(), registry.components.len()));
    Ok(Exit::Done)
}

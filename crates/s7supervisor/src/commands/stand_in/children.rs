//! The processes that the stand-in starts and leaves alone.

use std::process::{Command, Stdio};

use super::{StandIn, cannot};
use crate::exit::Failure;

/// Starts as many as were asked for. They are stand-ins themselves, and as deaf as their parent.
pub(super) fn start(told: &StandIn) -> Result<(), Failure> {
    (1..=told.fork_children).try_for_each(|number| {
        start_one(told, number).map_err(|error| cannot(&format!("start child {number}"), error))
    })
}

fn start_one(told: &StandIn, number: u16) -> std::io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a component may start processes; this one is told to")]
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("stand-in").stdin(Stdio::null());
    command.arg(format!("--name={} child {number}", told.name));
    if told.ignore_stop {
        command.arg("--ignore-stop");
    }
    if !told.new_session {
        return command.spawn().map(drop);
    }
    // The one in between leaves the session, starts the one that stays there, and ends: its child is a daemon.
    command.args(["--own-session", "--fork-children=1", "--exit-after=0"]);
    let ended = command.spawn()?.wait()?;
    if ended.success() { Ok(()) } else { Err(std::io::Error::other(format!("it ended with {ended}"))) }
}

//! What single components are asked for: `stop`, `reset`, `reload`, `signal`, `wait`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use supervisor::{Dependants, Signal, Until};
use supervisor_control::Action;

use super::Patience;
use crate::completing;
use crate::duration::parse_duration;

/// `stop`
#[derive(Args, Debug)]
pub(crate) struct Stop {
    /// The components: ids, names of several instances, or patterns ('web-*') [default: all, and the supervisor]
    #[arg(value_name = "ID", add = completing::ids())]
    pub(crate) ids: Vec<String>,

    /// Stop running components that depend on these too, before them
    #[arg(long, requires = "ids")]
    with_dependants: bool,

    /// Stop these alone, and let those that depend on them run on
    #[arg(long, requires = "ids", conflicts_with = "with_dependants")]
    only: bool,

    /// How long to wait, and how to tell
    #[command(flatten)]
    pub(crate) patience: Patience,
}

impl Stop {
    /// What the components are asked for.
    pub(crate) fn action(&self) -> Action {
        Action::StopWith(match (self.with_dependants, self.only) {
            (true, _) => Dependants::Stop,
            (false, true) => Dependants::Leave,
            (false, false) => Dependants::Refuse,
        })
    }
}

/// `reset`, `reload`
#[derive(Args, Debug)]
pub(crate) struct Chosen {
    /// The components: ids, names of several instances, or patterns ('web-*')
    #[arg(value_name = "ID", required = true, add = completing::ids())]
    pub(crate) ids: Vec<String>,

    /// How long to wait, and how to tell
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// `signal`
#[derive(Args, Debug)]
pub(crate) struct SendSignal {
    /// The signal: its name (HUP, SIGHUP) or its number
    #[arg(value_name = "NAME", value_parser = parse_signal, add = completing::signals())]
    pub(crate) signal: Signal,

    /// Who gets it
    #[command(flatten)]
    pub(crate) to: Chosen,
}

/// `wait`
#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// The components: ids, names of several instances, or patterns ('web-*')
    #[arg(value_name = "ID", required = true, add = completing::ids())]
    pub(crate) ids: Vec<String>,

    /// What shall be true of each of them
    #[arg(long = "for", value_name = "STATE", value_enum, default_value = "ready")]
    state: State,

    /// Wait no longer than this (5, 0.5, 250ms, 2m), then end with 151 [default: as long as it takes]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,

    /// Print one JSON document: whether it is so, and what came of it for each component
    #[arg(long)]
    json: bool,
}

impl Wait {
    /// What the components are asked for.
    pub(crate) fn action(&self) -> Action {
        Action::WaitFor(match self.state {
            State::Ready => Until::Ready,
            State::Started => Until::Started,
            State::Stopped => Until::Stopped,
        })
    }

    /// How long to wait, and how to tell.
    pub(crate) fn patience(&self) -> Patience {
        Patience { no_wait: false, timeout: self.timeout, json: self.json }
    }
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// It has started and is ready now, or has completed
    Ready,
    /// It has started, or has completed
    Started,
    /// Nothing of it runs, or will by itself
    Stopped,
}

fn parse_signal(text: &str) -> Result<Signal, String> {
    Signal::from_name(text).ok_or_else(|| "write a name (HUP, SIGHUP) or a number from 1 to 64".to_owned())
}

pub(super) const STOP: &str = "\
Without ID: stops all components in reverse start order, then the supervisor,
and returns when its process is gone. Without a supervisor there is nothing to
stop, which is fine.

With ID: stops these components until somebody starts them. If running
components depend on them, nothing is stopped unless --with-dependants or --only
says what shall happen to those.

Asked again for what is stopping already, it kills what is left at once; within
a second of the first time it only waits with it.

Examples:
  s7supervisor stop
  s7supervisor stop ps
  s7supervisor stop is --with-dependants
  s7supervisor stop --no-wait";

pub(super) const RESET: &str = "\
Forgets backoff, trip and failure of these components, and starts none of them:
what has been given up, or waits for its next try, is plainly stopped then until
somebody starts it. What runs goes on running with a clean record.

Examples:
  s7supervisor reset ps
  s7supervisor reset 'web-*'";

pub(super) const RELOAD: &str = "\
Does what the <reload> of each component says: signals, or commands. A component
without <reload> is refused, and nothing is reloaded.

Examples:
  s7supervisor reload nginx
  s7supervisor reload nginx --timeout 10s";

pub(super) const SIGNAL: &str = "\
The main process of each component gets the signal. What it does then is up to
it: one that ends by it is restarted like any other that has ended.

Examples:
  s7supervisor signal HUP nginx
  s7supervisor signal USR1 'web-*'";

pub(super) const WAIT: &str = "\
Starts and stops nothing, and returns when it is so of all these components,
each at its time. One that has been given up or stopped is waited for like any
other: somebody may start it. Give a --timeout where nobody will.

Exit codes:
  0    it is so
  1    the supervisor has ended meanwhile
  7    the supervisor is not running
  151  waited in vain (--timeout)

Examples:
  s7supervisor wait ps --timeout 2m
  s7supervisor wait 'web-*' --for stopped";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_fits_80_columns() {
        for text in [STOP, RESET, RELOAD, SIGNAL, WAIT] {
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}

//! The command line: commands, options that all of them have, and the texts of `--help`.

mod run;
mod serving;
mod verbs;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

#[cfg(unix)]
pub(crate) use self::run::Cgroups;
pub(crate) use self::run::{OnCrash, Output, Run};
pub(crate) use self::serving::Serving;
pub(crate) use self::verbs::{Chosen, SendSignal, Stop, Wait};
use crate::commands;
use crate::commands::stand_in::StandIn;
use crate::completing;
use crate::duration::parse_duration;

/// Starts, stops and keeps healthy the components named in a SupervisorRegistry.xml
#[derive(Parser, Debug)]
#[command(name = "s7supervisor", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What all commands have.
    #[command(flatten)]
    pub(crate) place: Place,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which supervisor is meant, and how its registry is read.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which supervisor")]
pub(crate) struct Place {
    /// The registry [default: conf/SupervisorRegistry.xml or SupervisorRegistry.xml in the current folder]
    #[arg(long, global = true, value_name = "FILE", env = "S7_REGISTRY", hide_env_values = true, value_parser = may_be_empty())]
    pub(crate) registry: Option<PathBuf>,

    /// The folder that relative paths in the registry start from [default: see the manual]
    ///
    /// Without it: the parent of the registry's folder if that folder is called `conf`, else the registry's folder.
    #[arg(long, global = true, value_name = "FOLDER", env = "S7_INSTALL_FOLDER", hide_env_values = true, value_parser = may_be_empty())]
    pub(crate) install_folder: Option<PathBuf>,

    /// Give a setting of the registry this value; may be given several times
    #[arg(long = "set", global = true, value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub(crate) settings: Vec<(String, String)>,

    /// The folder of the supervisor's socket, lock and pid file [default: what the registry says]
    #[arg(long, global = true, value_name = "FOLDER", env = "S7_TEMP", hide_env_values = true, value_parser = may_be_empty())]
    pub(crate) temp: Option<PathBuf>,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the components in the foreground until SIGTERM, SIGINT or `stop`
    #[command(after_long_help = RUN)]
    Run(Run),

    /// Check the registry: name every problem, or summarize the components
    #[command(after_long_help = commands::check::HELP)]
    Check(Check),

    /// Show what will really be run, after settings and profiles
    #[command(after_long_help = commands::show::HELP)]
    Show(Show),

    /// Show what would happen, in virtual time: nothing is started
    #[command(after_long_help = commands::simulate::HELP)]
    Simulate(Simulate),

    /// Start the supervisor in the background, or components of the one that runs
    #[command(after_long_help = START)]
    Start(Change),

    /// Stop components, or all of them and the supervisor
    #[command(after_long_help = verbs::STOP)]
    Stop(Stop),

    /// Restart components, or all of them and the supervisor
    #[command(after_long_help = RESTART)]
    Restart(Change),

    /// Forget what went wrong with components: backoff, trip, failure
    #[command(after_long_help = verbs::RESET)]
    Reset(Chosen),

    /// Have components read their configuration again
    #[command(after_long_help = verbs::RELOAD)]
    Reload(Chosen),

    /// Send a signal to components
    #[command(after_long_help = verbs::SIGNAL)]
    Signal(SendSignal),

    /// Wait until components are ready, started or stopped
    #[command(after_long_help = verbs::WAIT)]
    Wait(Wait),

    /// Show state, pid, uptime, memory, processor time, restarts and last exit; of one component, all there is to know
    #[command(after_long_help = STATUS)]
    Status(Status),

    /// Show what components have written, and with -f what they write; without ID, the supervisor's own log
    #[command(after_long_help = commands::logs::HELP)]
    Logs(commands::logs::Logs),

    /// End log files and begin others: of components, or of all and the supervisor
    #[command(after_long_help = commands::rotate::HELP)]
    Rotate(commands::rotate::Rotate),

    /// Tell what happened, and with -f what happens
    #[command(after_long_help = commands::events::HELP)]
    Events(commands::events::Events),

    /// Tell why a component is in the state that it is in
    #[command(after_long_help = commands::why::HELP)]
    Why(commands::why::Why),

    /// Show or set how much the running supervisor tells in its own log
    #[command(after_long_help = commands::tracelevel::HELP)]
    Tracelevel(commands::tracelevel::Tracelevel),

    /// Show what a changed registry would do to the running components; nothing is touched
    #[command(after_long_help = commands::plan::HELP)]
    Plan(commands::plan::PlanOf),

    /// Do what `plan` shows: touch only what has changed
    #[command(after_long_help = commands::apply::HELP)]
    Apply(commands::apply::Apply),

    /// Replace the running supervisor by another version; no component is touched
    #[command(after_long_help = commands::upgrade::HELP)]
    Upgrade(commands::upgrade::Upgrade),

    /// Install, control or remove the supervisor as a service of the operating system
    #[command(after_long_help = commands::service::HELP)]
    Service(commands::service::Service),

    /// Print what makes a shell complete command lines, with the ids of running components
    #[command(after_long_help = commands::completions::HELP)]
    Completions(commands::completions::Completions),

    /// Print the manual page, or write those of all commands
    #[command(after_long_help = commands::man::HELP)]
    Man(commands::man::Pages),

    /// Tell whether this program can go on for the supervisor that asks, on standard input: how `upgrade` calls this.
    #[command(hide = true)]
    TakeoverCheck,

    /// Be a component for trying things out: listen, crash, ignore, flood, fork
    #[command(after_long_help = commands::stand_in::HELP)]
    StandIn(StandIn),
}

/// `check`
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The registry
    #[arg(value_name = "REGISTRY")]
    pub(crate) file: Option<PathBuf>,

    /// Print one JSON document, also when there are problems
    #[arg(long)]
    pub(crate) json: bool,
}

/// `show`
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The registry, and the components to show; the first is taken for a registry if it ends in .xml or has a /
    #[arg(value_name = "REGISTRY|ID", add = completing::ids_and_files())]
    pub(crate) names: Vec<String>,

    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// `simulate`
#[derive(Args, Debug)]
pub(crate) struct Simulate {
    /// The registry
    #[arg(value_name = "REGISTRY")]
    pub(crate) file: Option<PathBuf>,

    /// What the components do and what people ask for; -: standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) script: PathBuf,

    /// Print one JSON document for each event, and then one for each component
    #[arg(long)]
    pub(crate) json: bool,
}

/// `status`
#[derive(Args, Debug)]
pub(crate) struct Status {
    /// The components to show: ids, names of several instances, or patterns ('web-*') [default: all]
    #[arg(value_name = "ID", add = completing::ids())]
    pub(crate) ids: Vec<String>,

    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// `start`, `restart`
#[derive(Args, Debug)]
pub(crate) struct Change {
    /// The components: ids, names of several instances, or patterns ('web-*') [default: all, and the supervisor]
    #[arg(value_name = "ID", add = completing::ids())]
    pub(crate) ids: Vec<String>,

    /// How long to wait, and how to tell
    #[command(flatten)]
    pub(crate) patience: Patience,

    /// For whom a supervisor that is started answers
    #[command(flatten)]
    pub(crate) serving: Serving,
}

/// How long to wait until what was asked for has happened, and how it is told.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// Return as soon as the supervisor has taken it up
    #[arg(long, conflicts_with = "timeout")]
    pub(crate) no_wait: bool,

    /// Wait no longer than this (5, 0.5, 250ms, 2m), then end with 151 [default: as long as it takes]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Print one JSON document: whether it is finished, and what came of it for each component
    #[arg(long)]
    pub(crate) json: bool,
}

/// A path that may be empty, which counts as not given: in scripts `S7_TEMP=` is how a variable is unset.
fn may_be_empty() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, for instance SV::PsHeapSize=1g".to_owned()),
    }
}

const EXAMPLES: &str = "\
Examples:
  s7supervisor check                     is the registry right?
  s7supervisor start                     start the supervisor and its components
  s7supervisor status                    what are they doing?
  s7supervisor restart ps                restart one of them
  s7supervisor stop                      stop them all, and the supervisor

Exit codes:
  0    what was asked for is so
  1    it could not be done
  2    wrong arguments (an unknown ID too) or an invalid registry
  4    no permission to control that supervisor
  7    the supervisor is not running
  151  waited in vain (--timeout)
`run` and `status` have some of their own: see their --help.";

const RUN: &str = "\
The first SIGTERM or SIGINT stops the components in order, the second kills what
is left. SIGHUP applies the changed registry, as `apply` does; where standard
input was a terminal at the start, it stops in order.
SIGUSR1 opens the log anew and makes the control socket again if it is gone. On
a terminal, the lines of the supervisor's log are shown as well.

Exit codes:
  0   stopped in order
  1   cannot start: the message says why and what to do
  2   the registry or the arguments are wrong
  10  an essential component was given up, and the registry says to stop then
  11  a second signal forced the end, or something could not be killed

Examples:
  s7supervisor run
  s7supervisor run examples/image-serving/conf/SupervisorRegistry.xml
  s7supervisor run --set SV::tracelevel=3 --temp /run/s7";

const START: &str = "\
Without ID: checks the registry, starts the supervisor in the background and
returns when its components are up. Ends with 1 at the first that does not
start, and says which and why; the supervisor keeps trying. If a supervisor runs
already, starts those that should run and do not: those that start by
themselves, and those that somebody has started. The others stay as they are.

With ID: starts these components now, whatever backoff, trip or failure says,
and before them those that they depend on. Ends with 1 at the first that does
not start; the supervisor keeps trying, and the others go on.

Examples:
  s7supervisor start
  s7supervisor start --timeout 2m
  s7supervisor start ps 'web-*'";

const RESTART: &str = "\
Without ID: checks the registry first; an invalid one touches nothing. Then
stops the supervisor with all components and starts it again in the background,
with the registry as it is now. If none runs, it starts.

A supervisor that runs in the foreground (`run`: on a terminal, in a container,
under a service manager) belongs to whoever started it and stays: those of its
components that should run are restarted, with the registry that it has. To give
it a changed registry, use `apply`.

With ID: restarts these components.

With --no-wait and without ID, it still waits until the old supervisor is gone.

Examples:
  s7supervisor restart
  s7supervisor restart ps";

const STATUS: &str = "\
The components stand in the order in which they start. MEMORY and CPU are those
of all processes of a component.

A single component is shown from all sides: command, processes, last exits,
dependencies and dependants, why it is in its state, and the last lines of its
output. With --json, it is the same document as for all.

Exit codes; of several components, the worst counts, in the order 4, 1, 3, 150,
0; without ID, only components that are wanted count:
  0    up, or completed
  1    failed or tripped: dead though it is wanted
  3    stopped, or the supervisor is not running
  4    not known: no answer, no permission, unknown ID
  150  on its way: waiting, starting, stopping, backoff; unready, unhealthy

Examples:
  s7supervisor status
  s7supervisor status ps
  s7supervisor status --json";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_in_itself() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_setting_has_a_name_and_may_have_any_value() {
        let setting = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(parse_setting("SV::a=b=c"), setting("SV::a", "b=c"));
        assert_eq!(parse_setting("a="), setting("a", ""));
        assert!(parse_setting("a").is_err());
        assert!(parse_setting("=a").is_err());
    }

    #[test]
    fn the_help_fits_80_columns() {
        for text in [
            EXAMPLES,
            RUN,
            START,
            RESTART,
            STATUS,
            commands::events::HELP,
            commands::logs::HELP,
            commands::why::HELP,
            commands::rotate::HELP,
            commands::service::HELP,
            commands::tracelevel::HELP,
            commands::upgrade::HELP,
            commands::plan::HELP,
            commands::apply::HELP,
            commands::simulate::HELP,
            commands::stand_in::HELP,
            commands::check::HELP,
            commands::show::HELP,
            commands::completions::HELP,
            commands::man::HELP,
        ] {
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}

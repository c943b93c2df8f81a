//! What `run` is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Serving;

/// `run`
#[derive(Args, Clone, Debug)]
pub(crate) struct Run {
    /// The registry
    #[arg(value_name = "REGISTRY")]
    pub(crate) file: Option<PathBuf>,

    /// What becomes of the components when the supervisor is killed: they live on, and the next one adopts them; or they are told to stop
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub(crate) on_crash: OnCrash,

    /// End by itself when nothing will run again: with 0 if every component has done its work, else with 10
    #[arg(long)]
    pub(crate) exit_when_done: bool,

    /// Whether each component has a control group (version 2) of its own, where one can be made: then nothing that it has
    /// started outlives it
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) cgroups: Cgroups,

    /// What standard output shows of what the components write, beside the files that it is stored in
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub(crate) output: Output,

    /// For whom the supervisor answers
    #[command(flatten)]
    pub(crate) serving: Serving,

    /// Be the service of this name: how the service control manager calls this.
    #[cfg(windows)]
    #[arg(long, hide = true)]
    pub(crate) service: Option<String>,

    /// Go into the background, and tell on standard output what came of the start: how `start` calls this.
    #[arg(long, hide = true)]
    pub(crate) background: bool,
}

/// What `--on-crash` says
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum OnCrash {
    /// They live on, and are adopted
    #[default]
    Adopt,
    /// They are told to stop; what they have started is not
    Stop,
}

/// `run --cgroups`
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// Where they can be made.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// `run --output`
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Output {
    /// Each line, after the name of its component
    Prefixed,
    /// Each line as a JSON document
    Json,
    /// Nothing
    #[default]
    Quiet,
}

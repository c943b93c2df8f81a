//! What can go wrong, told so that a person knows what to do.

use std::fmt;

use crate::os;
use serde::{Deserialize, Serialize};

/// Why a component could not be started, and at which step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("cannot {step}{}{reason}", step.joint())]
pub struct SpawnError {
    /// What could not be done.
    pub step: SpawnStep,
    /// To what, and why, in words: `"/opt/ps: no such file"`, `"tomcat: Operation not permitted"`.
    pub reason: String,
    /// The error of the operating system, as `errno` gives it, where there was one.
    pub os_error: Option<i32>,
}

impl SpawnError {
    /// Whether the supervisor or the machine had too little of something: descriptors, processes or memory. That says nothing
    /// about the component, which is tried again until there is enough, and not judged by it.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        self.os_error.is_some_and(os::is_shortage)
    }
}

/// The steps from a component's specification to its running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SpawnStep {
    /// Find out the user and its groups.
    User,
    /// Find out the group.
    Group,
    /// Make the pipes and files of its output.
    Output,
    /// Change into the working directory.
    WorkingDirectory,
    /// Pass on the descriptor by which it says that it is ready.
    Readiness,
    /// Begin in its control group.
    ControlGroup,
    /// Set one of its limits.
    Limit,
    /// Set its niceness.
    Niceness,
    /// Change to the supplementary groups of its user.
    Groups,
    /// Change to its group.
    ChangeGroup,
    /// Change to its user.
    ChangeUser,
    /// Make a process.
    Process,
    /// Run the executable.
    Executable,
}

impl SpawnStep {
    /// What stands between the step and the reason: some reasons begin by going on with the sentence.
    fn joint(self) -> &'static str {
        match self {
            Self::Limit | Self::Niceness | Self::Groups | Self::ChangeGroup | Self::ChangeUser => " ",
            _ => ": ",
        }
    }
}

impl fmt::Display for SpawnStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "look up the user",
            Self::Group => "look up the group",
            Self::Output => "set up the output",
            Self::WorkingDirectory => "change to the working directory",
            Self::Readiness => "pass on the descriptor of its readiness",
            Self::ControlGroup => "begin in a control group",
            Self::Limit => "set the limit",
            Self::Niceness => "set the niceness",
            Self::Groups => "change to the groups",
            Self::ChangeGroup => "change to group",
            Self::ChangeUser => "change to user",
            Self::Process => "make a process",
            Self::Executable => "run",
        })
    }
}

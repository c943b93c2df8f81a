//! How commands end: the exit codes that scripts may rely on, and the messages that go with the bad ones.

use std::fmt;
use std::process::ExitCode;

/// The exit codes. Each number means the same in every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is so.
    Done = 0,
    /// It could not be done. `status`: a component is dead though it is wanted.
    Failed = 1,
    /// The arguments or the registry are wrong.
    Invalid = 2,
    /// `status` only: it is stopped, or there is no supervisor.
    Down = 3,
    /// No permission. `status`: nothing is known, for whatever reason.
    Unknown = 4,
    /// There is no supervisor that could be asked.
    NotRunning = 7,
    /// `run` only: an essential component was given up, and everything was stopped for that.
    GivenUp = 10,
    /// `run` only: a second signal forced the end, or something could not be killed.
    Forced = 11,
    /// `status` only: it is on its way to another state.
    OnItsWay = 150,
    /// Waited in vain; what was asked for may still happen.
    TimedOut = 151,
    /// `plan` only: there are changes.
    Changes = 152,
}

impl Exit {
    /// How bad it is among the answers of `status`; the worst of several components is the answer.
    pub(crate) fn severity(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::OnItsWay => 1,
            Self::Down => 2,
            Self::Failed => 3,
            Self::Unknown => 4,
            Self::Invalid
            | Self::NotRunning
            | Self::GivenUp
            | Self::Forced
            | Self::TimedOut
            | Self::Changes => 5,
        }
    }

    /// The worst of several answers of `status`; of none, that all is well.
    pub(crate) fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        exits.into_iter().max_by_key(|exit| exit.severity()).unwrap_or(Self::Done)
    }

    /// The number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What could not be done, why, and what to do. Several lines where it shows a registry's problems.
    pub(crate) message: String,
}

impl Failure {
    /// What could not be done, and the exit code for it.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// It could not be done.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What a command ends with.
pub(crate) type Ended = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_states_is_the_answer_of_status() {
        let order = [Exit::Unknown, Exit::Failed, Exit::Down, Exit::OnItsWay, Exit::Done];
        for (place, worse) in order.iter().enumerate() {
            for better in &order[place..] {
                assert_eq!(Exit::worst([*worse, *better]), *worse);
                assert_eq!(Exit::worst([*better, *worse]), *worse);
            }
        }
        assert_eq!(Exit::worst([]), Exit::Done);
    }

    #[test]
    fn the_numbers_are_those_that_scripts_rely_on() {
        let codes =
            [(Exit::Done, 0), (Exit::Failed, 1), (Exit::Invalid, 2), (Exit::Down, 3), (Exit::Unknown, 4)];
        assert!(codes.iter().all(|(exit, code)| exit.code() == *code));
        let codes = [
            (Exit::NotRunning, 7),
            (Exit::GivenUp, 10),
            (Exit::Forced, 11),
            (Exit::OnItsWay, 150),
            (Exit::TimedOut, 151),
            (Exit::Changes, 152),
        ];
        assert!(codes.iter().all(|(exit, code)| exit.code() == *code));
    }
}

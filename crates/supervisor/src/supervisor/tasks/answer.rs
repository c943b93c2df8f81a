//! What tasks come to: an answer, a failure, or nothing because we lack something.

use std::io;

use crate::core::{Input, TaskId};
use crate::os;

/// How many characters of an answer are shown.
pub(super) const LONGEST_ANSWER: usize = 200;

/// What was answered, or why that was no success.
pub(in crate::supervisor) type Answer = Result<String, Failure>;

/// Why a task has not succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Failure {
    /// It was done, or can never be.
    Told(String),
    /// It could not be done now, because we lack something.
    Want(String),
}

pub(super) fn finished(task: TaskId, answer: Answer) -> Input {
    match answer {
        Ok(text) => Input::Finished { task, result: Ok(text.into()) },
        Err(Failure::Told(why)) => Input::Finished { task, result: Err(why.into()) },
        Err(Failure::Want(why)) => Input::NotBegun { task, why: why.into() },
    }
}

impl Failure {
    /// What this error of the system means, told so.
    pub(super) fn of(error: &io::Error, told: String) -> Self {
        if os::is_want(error) { Self::Want(told) } else { Self::Told(told) }
    }

    fn with_note(self, note: &str) -> Self {
        match self {
            Self::Told(why) => Self::Told(format!("{why}; {note}")),
            Self::Want(why) => Self::Want(format!("{why}; {note}")),
        }
    }
}

pub(super) fn cannot_run(error: &io::Error) -> Failure {
    Failure::of(error, format!("cannot run: {}", os::in_words(error)))
}

/// What an error comes to, as the end of a sentence.
pub(in crate::supervisor) fn failure_of(error: &io::Error) -> Failure {
    Failure::of(error, os::in_words(error))
}

pub(super) fn connected() -> Answer {
    Ok("connected".to_owned())
}

/// What of a text is shown to people: a bounded part, and nothing that a terminal would obey.
pub(in crate::supervisor) fn shown(text: &str) -> String {
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    text.trim().chars().take(LONGEST_ANSWER).map(printable).collect()
}

pub(super) fn with_note(answer: Answer, note: &str) -> Answer {
    answer.map(|answer| format!("{answer}; {note}")).map_err(|failure| failure.with_note(note))
}

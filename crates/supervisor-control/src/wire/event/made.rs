//! From what the library tells to documents.

use std::sync::Arc;

use supervisor::{End, EventKind, Fault, KillReason, StepOf, Unready, WaitReason};

use super::{FaultDocument, LastExit, What};

/// The most characters of one text that came from outside: an answer of a probe, a line of output, a reason.
const LONGEST: usize = 2_000;

/// The most texts of one event: lines, facts, pids.
const MOST: usize = 100;

impl From<&EventKind> for What {
    fn from(kind: &EventKind) -> Self {
        match kind {
            EventKind::Requested { verb, signal, by } => {
                let signal = signal
                    .map(|signal| signal.name().map_or_else(|| signal.number().to_string(), str::to_owned));
                Self::Requested { verb: clipped(verb), signal, by: clipped(by) }
            }
            EventKind::Spawned { pid, .. } => Self::Spawned { pid: *pid },
            EventKind::Adopted { pid, started, .. } => Self::Adopted { pid: *pid, started: *started },
            EventKind::EndedUnattended { .. } => Self::EndedUnattended,
            EventKind::Started { .. } => Self::Started,
            EventKind::Unready { why, .. } => Self::Unready {
                why: match why {
                    Unready::Reloading => "reloading",
                    Unready::Ending => "ending",
                    _ => "other",
                }
                .to_owned(),
            },
            EventKind::ReadyAgain { .. } => Self::ReadyAgain,
            EventKind::Noted { text, .. } => Self::Noted { note: clipped(text) },
            EventKind::ProbeFailed { failures, limit, answer, .. } => {
                Self::ProbeFailed { failures: *failures, limit: *limit, answer: clipped(answer) }
            }
            EventKind::Unwell { fault, .. } => Self::Unwell { fault: fault.into() },
            EventKind::Well { .. } => Self::Well,
            EventKind::Judged { fault, .. } => Self::Judged { fault: fault.into() },
            EventKind::Facts { facts, .. } => {
                let fact = |(name, fact): &(&str, String)| (clipped(name), clipped(fact));
                Self::Facts { facts: facts.iter().take(MOST).map(fact).collect() }
            }
            EventKind::Step { of, step, result, .. } => Self::step(*of, step, result.as_ref()),
            other => Self::ending(other),
        }
    }
}

impl What {
    fn step(of: StepOf, step: &str, result: Option<&Result<Arc<str>, Arc<str>>>) -> Self {
        let of = match of {
            StepOf::Stop => "stop",
            StepOf::Reload => "reload",
            StepOf::Evidence => "evidence",
            StepOf::Cleanup => "cleanup",
            _ => "other",
        };
        Self::Step {
            of: of.to_owned(),
            step: clipped(step),
            answer: result.and_then(|result| result.as_ref().ok()).map(clipped),
            error: result.and_then(|result| result.as_ref().err()).map(clipped),
        }
    }

    /// How a run ends, and what becomes of the component then.
    fn ending(kind: &EventKind) -> Self {
        match kind {
            EventKind::NotSpawned { error, .. } => {
                Self::NotSpawned { reason: clipped(error), os_error: error.os_error }
            }
            EventKind::Stopping { timeout, .. } => Self::Stopping { timeout: timeout.as_secs_f64() },
            EventKind::Exited { exit, uptime, asked, sent, peak_memory, .. } => Self::Exited {
                exit: LastExit::from(&End::Exited(*exit)),
                uptime: uptime.as_secs_f64(),
                asked: *asked,
                sent: exit.signal().map(|_| *sent),
                peak_memory: *peak_memory,
            },
            EventKind::LastWords { lines, .. } => {
                Self::LastWords { lines: lines.iter().take(MOST).map(clipped).collect() }
            }
            EventKind::Killed { why, .. } => Self::Killed {
                why: match why {
                    KillReason::Timeout => "timeout",
                    KillReason::Leftovers => "leftovers",
                    KillReason::Asked => "asked",
                    _ => "other",
                }
                .to_owned(),
            },
            EventKind::Unkillable { pids, .. } => {
                Self::Unkillable { pids: pids.iter().copied().take(MOST).collect() }
            }
            EventKind::Ruled { rule, .. } => {
                Self::Ruled { exit: rule.exit.to_string(), action: rule.action.to_string() }
            }
            EventKind::Backoff { delay, in_a_row, why } => Self::Backoff {
                delay: delay.as_secs_f64(),
                in_a_row: *in_a_row,
                for_budget: *why == WaitReason::Budget,
                for_want: *why == WaitReason::Want,
            },
            EventKind::Tripped { restarts, within, rest } => {
                Self::Tripped { restarts: *restarts, within: within.as_secs_f64(), rest: rest.as_secs_f64() }
            }
            EventKind::Blocked { on, condition, state } => Self::Blocked {
                on: on.to_string(),
                condition: condition.to_string(),
                state: (*state).to_owned(),
            },
            EventKind::Regrouped { with } => Self::Regrouped { with: with.to_string() },
            EventKind::Reset => Self::Reset,
            EventKind::Stopped => Self::Stopped,
            EventKind::Completed => Self::Completed,
            EventKind::GivenUp { end } => {
                let end = LastExit::from(end);
                Self::GivenUp { end: LastExit { message: clipped(&end.message), ..end } }
            }
            EventKind::Applied { action, fields, by } => Self::Applied {
                action: action.to_string(),
                fields: fields.iter().map(ToString::to_string).collect(),
                by: clipped(by),
            },
            EventKind::Confirmed => Self::Confirmed,
            EventKind::GoneBack { failure } => {
                Self::GoneBack { because_of: failure.component.to_string(), why: clipped(&failure.why) }
            }
            EventKind::PolicyPanicked => Self::PolicyPanicked,
            EventKind::OutputStored { problem } => {
                Self::OutputStored { problem: problem.as_ref().map(clipped) }
            }
            EventKind::AllDone => Self::AllDone,
            EventKind::ShuttingDown { given_up } => {
                Self::ShuttingDown { given_up: given_up.as_ref().map(ToString::to_string) }
            }
            EventKind::Lost { count } => {
                Self::Lost { count: *count, reason: "too much happened at once".to_owned() }
            }
            _ => Self::Other,
        }
    }
}

impl From<&Fault> for FaultDocument {
    fn from(fault: &Fault) -> Self {
        let (kind, answer) = match fault {
            Fault::NotReady { answer, .. } => ("notReady", answer.as_ref()),
            Fault::Unhealthy { answer, .. } => ("unhealthy", Some(answer)),
            Fault::Silent { .. } => ("silent", None),
            Fault::Triggered => ("triggered", None),
            Fault::TooLarge { .. } => ("tooLarge", None),
            _ => ("other", None),
        };
        let (used, max) = match fault {
            Fault::TooLarge { used, max } => (Some(*used), Some(*max)),
            _ => (None, None),
        };
        Self { kind: kind.to_owned(), answer: answer.map(clipped), used, max, message: clipped(fault) }
    }
}

/// The text, and where it is too long, its beginning.
pub(super) fn clipped(text: &(impl ToString + ?Sized)) -> String {
    let mut text = text.to_string();
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

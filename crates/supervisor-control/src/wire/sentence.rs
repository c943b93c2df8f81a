//! Events in words: the sentences of the journal, of `events`, `why` and the supervisor's log.

use std::fmt;

use bytesize::ByteSize;
use supervisor::{EventKind, Exit, KillReason, Short, StepOf, Unready};

/// The signals by which somebody ends a process that has done nothing wrong itself.
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// An event as a sentence without its subject: `crashed: exit code 1 after 5s`.
#[derive(Clone, Copy, Debug)]
pub struct Sentence<'a>(
    /// What happened.
    pub &'a EventKind,
);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            EventKind::Requested { verb, by } => write!(f, "{verb}, asked for by {by}"),
            EventKind::Spawned { pid, .. } => write!(f, "starting, pid {pid}"),
            EventKind::Started { .. } => f.write_str("up"),
            EventKind::Unready { why: Unready::Reloading, .. } => {
                f.write_str("not ready: it says that it reads its configuration again")
            }
            EventKind::Unready { .. } => f.write_str("not ready: it says that it is about to end"),
            EventKind::ReadyAgain { .. } => f.write_str("ready again"),
            EventKind::Noted { text, .. } => write!(f, "it says: {text}"),
            EventKind::ProbeFailed { failures, limit, answer, .. } => {
                write!(f, "health check failed, {failures} of {limit} in a row: {answer}")
            }
            EventKind::Unwell { fault, .. } => write!(f, "not well: {fault}"),
            EventKind::Well { .. } => f.write_str("well again"),
            EventKind::Judged { fault, .. } => write!(f, "its run is ended: {fault}"),
            EventKind::Facts { facts, .. } => {
                f.write_str("the operating system says: ")?;
                for (number, (name, fact)) in facts.iter().enumerate() {
                    let comma = if number == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", fact_in_words(name, fact))?;
                }
                Ok(())
            }
            EventKind::Step { of, step, result, .. } => {
                let of = match of {
                    StepOf::Stop => "to stop it",
                    StepOf::Reload => "to make it read its configuration again",
                    StepOf::Evidence => "for evidence",
                    StepOf::Cleanup => "to clean up",
                    _ => "for it",
                };
                match result {
                    None => write!(f, "{step} {of}"),
                    Some(Ok(answer)) if answer.is_empty() => write!(f, "{step} {of}: done"),
                    Some(Ok(answer)) => write!(f, "{step} {of}: {answer}"),
                    Some(Err(why)) => write!(f, "{step} {of} failed: {why}"),
                }
            }
            other => fmt_ending(other, f),
        }
    }
}

/// What the operating system tells of a run (a name, and what is told) in words for people: `memory 17.8M`.
#[must_use]
pub fn fact_in_words(name: &str, fact: &str) -> String {
    match (name, fact.parse()) {
        ("memory", Ok(bytes)) => format!("{name} {}", ByteSize::b(bytes).display().iec_short()),
        _ => format!("{name} {fact}"),
    }
}

/// How a run ends, and what becomes of the component then.
fn fmt_ending(kind: &EventKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        EventKind::NotSpawned { error, .. } => write!(f, "{error}"),
        EventKind::Stopping { timeout, .. } => write!(f, "stopping, has {}", Short(*timeout)),
        EventKind::Exited { exit, uptime, asked, .. } => {
            let how = match (asked, exit) {
                (true, _) => "ended as told",
                (false, Exit::Code(0) | Exit::Signal { signal: SIGHUP | SIGINT | SIGKILL | SIGTERM, .. }) => {
                    "ended"
                }
                (false, _) => "crashed",
            };
            write!(f, "{how}: {exit} after {}", Short(*uptime))
        }
        EventKind::LastWords { lines, .. } => match lines.last() {
            Some(last) => write!(f, "its last words: {last}"),
            None => f.write_str("no last words"),
        },
        EventKind::Killed { why: KillReason::Timeout, .. } => f.write_str("killed: it did not stop in time"),
        EventKind::Killed { why: KillReason::Leftovers, .. } => f.write_str("killed what it left behind"),
        EventKind::Killed { .. } => f.write_str("killed: somebody did not want to wait"),
        EventKind::Unkillable { pids, .. } => {
            write!(f, "cannot be killed: processes {pids:?} are still there")
        }
        EventKind::Backoff { delay, in_a_row } => {
            write!(f, "next try in {}, restart {in_a_row} in a row", Short(*delay))
        }
        EventKind::Tripped { restarts, within, rest } => {
            let many = if *restarts == 1 { "restart" } else { "restarts" };
            match restarts {
                0 => write!(f, "tripped: the trial run failed")?,
                _ => write!(f, "tripped: {restarts} {many} within {}", Short(*within))?,
            }
            if rest.is_zero() { Ok(()) } else { write!(f, "; next try in {}", Short(*rest)) }
        }
        EventKind::Blocked { on, condition, state } => {
            write!(f, "waiting for {on} to be {condition}: it is {state}")
        }
        EventKind::Regrouped { with } => write!(f, "restarts with {with}, a member of its group"),
        EventKind::Reset => f.write_str("what went wrong before is forgotten"),
        EventKind::Stopped => f.write_str("stopped"),
        EventKind::Completed => f.write_str("completed"),
        EventKind::GivenUp { end } => write!(f, "given up: {end}"),
        EventKind::PolicyPanicked => f.write_str("its restart policy panicked; the default decided"),
        EventKind::OutputStored { problem: Some(problem) } => f.write_str(problem),
        EventKind::OutputStored { problem: None } => f.write_str("its output is stored again"),
        EventKind::ShuttingDown { given_up: None } => f.write_str("stopping all components"),
        EventKind::ShuttingDown { given_up: Some(id) } => {
            write!(f, "stopping all components: {id} is essential and was given up")
        }
        EventKind::Lost { count } => write!(f, "{count} events are missing here: too much happened at once"),
        other => write!(f, "{other:?}"),
    }
}

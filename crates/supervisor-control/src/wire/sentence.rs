//! Events in words: the sentences of the journal, of `events`, `why` and the supervisor's log.

use std::fmt;

use bytesize::ByteSize;
use supervisor::{EventKind, Exit, ExitMatch, KillReason, Short, StepOf, Unready, WaitReason};

/// The signals by which somebody ends a process that has done nothing wrong itself.
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
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
            EventKind::Requested { verb, signal: Some(signal), by } => {
                write!(f, "{verb} {signal}, asked for by {by}")
            }
            EventKind::Requested { verb, signal: None, by } => write!(f, "{verb}, asked for by {by}"),
            EventKind::Spawned { pid, .. } => write!(f, "starting, pid {pid}"),
            EventKind::Adopted { pid, .. } => {
                write!(f, "goes on, pid {pid}: started by an earlier supervisor")
            }
            EventKind::EndedUnattended { .. } => f.write_str("had ended while no supervisor was there"),
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
                    write!(f, "{comma}{name} {}", fact_in_words(name, fact))?;
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

/// How a run ends, and what becomes of the component then.
fn fmt_ending(kind: &EventKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        EventKind::NotSpawned { error, .. } => write!(f, "{error}"),
        EventKind::Stopping { timeout, .. } => write!(f, "stopping, has {}", Short(*timeout)),
        EventKind::Exited { exit, uptime, asked, sent, .. } => {
            let how = match (asked, exit) {
                (true, _) => "ended as told",
                (false, Exit::Code(0) | Exit::Signal { signal: SIGHUP | SIGINT | SIGKILL | SIGTERM, .. }) => {
                    "ended"
                }
                (false, _) => "crashed",
            };
            write!(f, "{how}: {exit} after {}", Short(*uptime))?;
            f.write_str(if *sent { "" } else { by_whom(*exit) })
        }
        EventKind::LastWords { lines, .. } => match lines.last() {
            Some(last) => write!(f, "its last words: {last}"),
            None => f.write_str("no last words"),
        },
        EventKind::Killed { why: KillReason::Timeout, .. } => f.write_str("killed: it did not stop in time"),
        EventKind::Killed { why: KillReason::Leftovers, .. } => f.write_str("killed what it left behind"),
        EventKind::Killed { .. } => f.write_str("killed: somebody did not want to wait any longer"),
        EventKind::Unkillable { pids, .. } => {
            write!(f, "cannot be killed: processes {pids:?} are still there")
        }
        EventKind::Ruled { rule, .. } => {
            let after = match rule.exit {
                ExitMatch::Code(code) => format!("code={code}"),
                exit => format!("signal={exit}"),
            };
            write!(f, "its rule for this end decides: exit {after} action={}", rule.action)
        }
        EventKind::Backoff { delay, why: WaitReason::Want, .. } => {
            write!(f, "next try in {}, no restart: it has not failed, something is lacking", Short(*delay))
        }
        EventKind::Backoff { delay, in_a_row, why: WaitReason::Budget } => write!(
            f,
            "next try in {}, as the restart budget of all components allows, restart {in_a_row} in a row",
            Short(*delay)
        ),
        EventKind::Backoff { delay, in_a_row, .. } => {
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
            let itself = if *state == "waiting" { " itself" } else { "" };
            write!(f, "waiting for {on} to be {condition}: it is {state}{itself}")
        }
        EventKind::Regrouped { with } => write!(f, "restarts with {with}, a member of its group"),
        EventKind::Reset => f.write_str("what went wrong before is forgotten"),
        EventKind::Stopped => f.write_str("stopped"),
        EventKind::Completed => f.write_str("completed"),
        EventKind::GivenUp { end } => write!(f, "given up: {end}"),
        EventKind::Applied { action, fields, by } => {
            let fields = fields.join(", ");
            let colon = if fields.is_empty() { "" } else { ": " };
            write!(f, "{action}, by a changed registry{colon}{fields}; applied by {by}")
        }
        EventKind::Confirmed => f.write_str("the changed registry holds: all that was begun for it is ready"),
        EventKind::GoneBack { failure } => {
            write!(f, "going back to what there was before the changed registry: {failure}")
        }
        EventKind::PolicyPanicked => f.write_str("its restart policy panicked; the default decided"),
        EventKind::OutputStored { problem: Some(problem) } => f.write_str(problem),
        EventKind::OutputStored { problem: None } => f.write_str("its output is stored again"),
        EventKind::AllDone => f.write_str("nothing will run again"),
        EventKind::ShuttingDown { given_up: None } => f.write_str("stopping all components"),
        EventKind::ShuttingDown { given_up: Some(id) } => {
            write!(f, "stopping all components: {id} is essential and was given up")
        }
        EventKind::Lost { count } => write!(f, "{count} events are missing here: too much happened at once"),
        other => write!(f, "{other:?}"),
    }
}

/// Who else may have sent a signal that the supervisor has not. Other signals are what becomes of a program's own faults.
fn by_whom(exit: Exit) -> &'static str {
    match exit {
        Exit::Signal { signal: SIGKILL, .. } => {
            ", not sent by the supervisor: somebody else killed it, or the system did for want of memory"
        }
        Exit::Signal { signal: SIGHUP | SIGINT | SIGQUIT | SIGTERM, .. } => {
            ", not sent by the supervisor but by somebody else"
        }
        _ => "",
    }
}

/// A fact that the operating system tells, as people read it: of memory, the bytes are not counted.
#[must_use]
pub fn fact_in_words(name: &str, fact: &str) -> String {
    let bytes = if name == "memory" { fact.parse().ok() } else { None };
    bytes.map_or_else(|| fact.to_owned(), |bytes| ByteSize::b(bytes).display().iec_short().to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn facts_are_told_in_units_that_people_read() {
        assert_eq!(fact_in_words("memory", "12582912"), "12.0M");
        assert_eq!(fact_in_words("memory", "much"), "much");
        assert_eq!(fact_in_words("threads", "12582912"), "12582912");
    }

    #[test]
    fn who_might_have_sent_a_signal_is_told_only_where_it_was_not_the_supervisor() {
        let mut component = supervisor::ProcessSpec::new("ps", "/bin/true").unwrap();
        component.restart = std::sync::Arc::new(supervisor::Never);
        let mut builder = supervisor::Supervisor::builder().components([component]);
        let events = builder.subscribe();
        let supervisor = builder.start().unwrap();
        let run = events.iter().find_map(|event| event.kind.run()).unwrap();
        supervisor.handle().shutdown().unwrap();
        supervisor.wait().unwrap();
        let told = |signal: i32, sent| {
            let exit = Exit::Signal { signal, core_dumped: false };
            let uptime = Duration::from_millis(1_500);
            let kind = EventKind::Exited { run, exit, uptime, asked: false, sent, peak_memory: None };
            Sentence(&kind).to_string()
        };
        assert_eq!(told(SIGKILL, true), "ended: SIGKILL after 1.5s");
        assert!(told(SIGKILL, false).contains("not sent by the supervisor"));
        assert!(told(SIGTERM, false).contains("somebody else"));
        assert_eq!(told(11, false), "crashed: SIGSEGV after 1.5s");
    }
}

//! The answer in words.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use supervisor::Short;
use supervisor_control::wire::{EventDocument, What, fact_in_words};

use super::Answer;
use super::story::LastRun;
use crate::past::{local_time, time_since};
use crate::say::printable;

/// How many causes are told of whom it waits for.
const OF_OTHERS: usize = 3;

/// The answer for people, in a few lines.
pub(super) fn of(answer: &Answer, now: SystemTime) -> String {
    let mut lines = Lines { now, text: String::new() };
    lines.state(answer);
    lines.causes(answer, usize::MAX, "  ");
    if let Some(other) = &answer.waiting_for {
        lines.add("  ", &format!("{}: {}", other.id, state(other, now)));
        lines.causes(other, OF_OTHERS, "    ");
    }
    if let Some(run) = &answer.last_run {
        lines.last_run(run);
    }
    lines.next(answer);
    lines.text
}

/// Lines for people. What came from outside can neither break one nor order a terminal about.
struct Lines {
    now: SystemTime,
    text: String,
}

impl Lines {
    fn add(&mut self, indent: &str, line: &str) {
        self.text.push_str(indent);
        self.text.push_str(&printable(line));
        self.text.push('\n');
    }

    fn state(&mut self, answer: &Answer) {
        if !answer.supervised {
            let ended = answer.supervisor_ended.as_deref().map(|time| local_time(time, self.now));
            let ended = ended.unwrap_or_else(|| "at some time".to_owned());
            self.add("", &match answer.supervisor_ended_in_order {
                Some(false) => format!(
                    "the supervisor is not running: it was killed, or the machine stopped; last heard of at {ended}"
                ),
                _ => format!("the supervisor is not running: it ended at {ended}"),
            });
        }
        self.add("", &format!("{}: {}", answer.id, state(answer, self.now)));
    }

    fn causes(&mut self, answer: &Answer, most: usize, indent: &str) {
        for (number, cause) in answer.causes.iter().take(most).enumerate() {
            if number + 1 == answer.causes.len() && answer.earlier_ends > 0 {
                let runs = if answer.earlier_ends == 1 { "run" } else { "runs" };
                self.add(indent, &format!("{} more {runs} ended before that, since:", answer.earlier_ends));
            }
            let time = local_time(&cause.time, self.now);
            let other = cause.component.as_ref().filter(|component| **component != answer.id);
            let subject = other.map(|other| format!("{other}: ")).unwrap_or_default();
            self.add(indent, &format!("{time}  {subject}{}", sentence(cause, &answer.causes)));
        }
        if answer.causes.len() > most {
            return;
        }
        if answer.causes.is_empty() {
            self.add(indent, "the journal does not tell why");
        } else if !answer.complete {
            self.add(indent, "the journal does not go back further");
        }
    }

    fn last_run(&mut self, run: &LastRun) {
        let number = run.run;
        if !run.last_lines.is_empty() {
            self.add("", &format!("the last lines of run {number}:"));
            run.last_lines.iter().for_each(|line| self.add("  | ", line));
        }
        if !run.facts.is_empty() {
            let facts = run.facts.iter().map(|(name, fact)| format!("{name} {}", fact_in_words(name, fact)));
            let facts: Vec<_> = facts.collect();
            self.add("", &format!("the operating system said of run {number}: {}", facts.join(", ")));
        }
        if !run.evidence.is_empty() {
            self.add("", &format!("evidence of run {number}:"));
        }
        for evidence in &run.evidence {
            let line = match (&evidence.answer, &evidence.error) {
                (_, Some(error)) => format!("{}: failed: {error}", evidence.step),
                (Some(answer), None) if !answer.is_empty() => format!("{}: {answer}", evidence.step),
                _ => evidence.step.clone(),
            };
            self.add("  ", &line);
        }
    }

    fn next(&mut self, answer: &Answer) {
        let next = &answer.next;
        let is_settled = matches!(answer.state.as_deref(), Some("up" | "completed" | "unhealthy"));
        if answer.supervised && next.what == "none" && is_settled {
            return;
        }
        let after = next.after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.add(
            "",
            &match (after, &next.at) {
                (Some(after), Some(at)) => {
                    format!("next: {} in {}, at {}", next.text, Short(after), local_time(at, self.now))
                }
                _ => format!("next: {}", next.text),
            },
        );
    }
}

/// In a line, what has made it what it is: the newest cause that says more than its state does.
pub(super) fn in_a_line(causes: &[EventDocument], id: &str, now: SystemTime) -> Option<String> {
    let is_judged =
        causes.iter().any(|cause| matches!(cause.what, What::Judged { .. } | What::Regrouped { .. }));
    let says_more = |cause: &&EventDocument| match &cause.what {
        What::Exited { asked, .. } => !asked && !is_judged,
        What::SupervisorStarted { .. } | What::Requested { .. } | What::ShuttingDown { .. } => true,
        What::Judged { .. } | What::Regrouped { .. } | What::NotSpawned { .. } | What::Unready { .. } => true,
        What::Unwell { .. } | What::EndedUnattended | What::Adopted { .. } => true,
        _ => false,
    };
    let cause = causes.iter().find(says_more).or(causes.first())?;
    let other = cause.component.as_ref().filter(|component| *component != id);
    let subject = other.map(|other| format!("{other}: ")).unwrap_or_default();
    Some(printable(format!("{}  {subject}{}", local_time(&cause.time, now), sentence(cause, causes))))
}

/// The state, and since when.
fn state(answer: &Answer, now: SystemTime) -> String {
    let state = match (&answer.detail, &answer.state) {
        (Some(state), _) | (None, Some(state)) => state,
        (None, None) if answer.supervised => {
            return "not in the registry of the running supervisor".to_owned();
        }
        (None, None) => return "never started".to_owned(),
    };
    let wanted = match (answer.wanted, answer.state.as_deref()) {
        (Some(true), Some("stopped" | "failed" | "stopping")) => ", wanted up",
        (
            Some(false),
            Some("up" | "unready" | "unhealthy" | "starting" | "waiting" | "backoff" | "tripped"),
        ) => ", wanted down",
        _ => "",
    };
    let was = if answer.supervised { "" } else { "was " };
    match &answer.since {
        Some(since) => {
            let ago = Short(time_since(since, now));
            format!("{was}{state}{wanted}, since {} ({ago} ago)", local_time(since, now))
        }
        None => format!("{was}{state}{wanted}"),
    }
}

/// A cause, with what else is known of it.
fn sentence(cause: &EventDocument, causes: &[EventDocument]) -> String {
    match &cause.what {
        What::Exited { peak_memory, .. } => {
            let is_judged = |other: &EventDocument| {
                let is_of_that_run = other.run == cause.run && other.component == cause.component;
                is_of_that_run && matches!(other.what, What::Judged { .. } | What::Regrouped { .. })
            };
            // Who is ended for a fault does not crash.
            let text = if causes.iter().any(is_judged) {
                cause.text.replacen("crashed", "ended", 1)
            } else {
                cause.text.clone()
            };
            let memory = peak_memory
                .map(|peak| format!(", at most {} of memory", ByteSize::b(peak).display().iec_short()));
            let run = cause.run.map(|run| format!(" (run {run})")).unwrap_or_default();
            format!("{text}{}{run}", memory.unwrap_or_default())
        }
        What::SupervisorStarted { pid, .. } => format!("the supervisor started, pid {pid}"),
        _ => cause.text.clone(),
    }
}

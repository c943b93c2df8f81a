//! The events of a simulated world in words.

use std::time::Duration;

use supervisor::{EventKind, KillReason, Short, StepOf, Unready};

/// An event in words.
pub(super) struct Sentence {
    /// Which event it is, for programs.
    pub(super) event: &'static str,
    /// What has happened, for people.
    pub(super) words: String,
}

impl Sentence {
    pub(super) fn new(event: &'static str, words: impl Into<String>) -> Self {
        Self { event, words: words.into() }
    }

    /// Whether this is the end of a run.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.event, "exited" | "notSpawned")
    }

    /// Whether this follows from the other at once, and says of it what comes next.
    pub(super) fn continues(&self, other: &Self) -> bool {
        let is_next = matches!(self.event, "backoff" | "tripped" | "givenUp" | "completed" | "stopped");
        is_next && (other.is_end() || other.event == "killed")
    }

    /// Whether this makes the other one needless.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        self.event == "started" && other.event == "spawned"
    }
}

/// What an event says. `None` of what cannot happen here, or is nothing to know.
pub(super) fn of_event(kind: &EventKind) -> Option<Sentence> {
    let (event, words) = match kind {
        EventKind::Requested { verb, .. } => ("requested", format!("{verb} asked for")),
        EventKind::Spawned { run, .. } => ("spawned", format!("starting ({run})")),
        EventKind::Started { run } => ("started", format!("up ({run})")),
        EventKind::Unready { why: Unready::Reloading, .. } => ("unready", "not ready: it reloads".into()),
        EventKind::Unready { .. } => ("unready", "not ready: it is about to end".into()),
        EventKind::ReadyAgain { .. } => ("readyAgain", "ready again".into()),
        EventKind::ProbeFailed { failures, limit, answer, .. } => {
            ("probeFailed", format!("health check failed ({failures} of {limit}): {answer}"))
        }
        EventKind::Unwell { fault, .. } => ("unwell", format!("unhealthy: {fault}")),
        EventKind::Well { .. } => ("well", "well again".into()),
        EventKind::Judged { fault, .. } => ("judged", format!("to be restarted: {fault}")),
        EventKind::Step { of, step, .. } => ("step", format!("{}: {step}", purpose(*of))),
        EventKind::NotSpawned { .. } => ("notSpawned", "failed to start".into()),
        EventKind::Stopping { timeout, .. } => ("stopping", format!("stopping, has {}", precisely(*timeout))),
        EventKind::Exited { exit, uptime, asked, .. } => {
            let asked = if *asked { "ended as told: " } else { "" };
            ("exited", format!("{asked}{exit} after {}", precisely(*uptime)))
        }
        EventKind::Killed { why, .. } => ("killed", kill(*why).into()),
        EventKind::Unkillable { .. } => ("unkillable", "cannot be killed".into()),
        EventKind::Backoff { delay, in_a_row } => {
            ("backoff", format!("next try {}, restart {in_a_row} in a row", after(*delay)))
        }
        EventKind::Tripped { restarts, within, rest } => {
            let (within, rest) = (precisely(*within), after(*rest));
            ("tripped", format!("tripped by {restarts} restarts within {within}; trial run {rest}"))
        }
        EventKind::Blocked { on, condition, state } => {
            ("blocked", format!("waiting for {on} to be {condition}: it is {state}"))
        }
        EventKind::Regrouped { with } => ("regrouped", format!("restarts with {with}, of its group")),
        EventKind::Reset => ("reset", "its past is forgotten".into()),
        EventKind::Stopped => ("stopped", "stopped".into()),
        EventKind::Completed => ("completed", "completed".into()),
        EventKind::GivenUp { end } => ("givenUp", format!("given up: {end}")),
        EventKind::ShuttingDown { given_up: None } => ("shuttingDown", "stopping all components".into()),
        EventKind::ShuttingDown { given_up: Some(id) } => {
            ("shuttingDown", format!("stopping all components, because {id} is given up"))
        }
        _ => return None,
    };
    Some(Sentence { event, words })
}

fn purpose(of: StepOf) -> &'static str {
    match of {
        StepOf::Stop => "to stop it",
        StepOf::Reload => "to reload it",
        StepOf::Evidence => "evidence",
        StepOf::Cleanup => "cleanup",
        _ => "step",
    }
}

fn kill(why: KillReason) -> &'static str {
    match why {
        KillReason::Timeout => "killed: did not stop in time",
        KillReason::Leftovers => "killed what it left behind",
        _ => "killed: somebody did not want to wait",
    }
}

fn after(delay: Duration) -> String {
    if delay.is_zero() { "at once".to_owned() } else { format!("in {}", precisely(delay)) }
}

/// A duration for people, to the millisecond where that is what matters: `0.104s`, `3s`, `4m`.
pub(super) fn precisely(duration: Duration) -> String {
    if duration >= Duration::from_secs(60) {
        return Short(duration).to_string();
    }
    let text = format!("{}.{:03}", duration.as_secs(), duration.subsec_millis());
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_durations_are_told_to_the_millisecond_and_long_ones_in_short() {
        let told = |millis| precisely(Duration::from_millis(millis));
        assert_eq!([0, 104, 3_000, 10_500].map(told), ["0s", "0.104s", "3s", "10.5s"]);
        assert_eq!([60_000, 3_660_000].map(told), ["1m", "1h 1m"]);
    }
}

//! The events of a simulated world in words: those of the journal, where nothing in them is made up or lost.

use std::time::Duration;

use supervisor::{EventKind, Short, WaitReason};
use supervisor_control::wire::Sentence;

/// What an event says. `None` of what says nothing here.
pub(super) fn words(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::Requested { verb, signal: Some(signal), .. } => format!("{verb} {signal} asked for"),
        EventKind::Requested { verb, .. } => format!("{verb} asked for"),
        EventKind::Spawned { run, .. } => format!("starting ({run})"),
        EventKind::Started { run } => format!("up ({run})"),
        EventKind::NotSpawned { run, .. } => format!("failed to start ({run})"),
        EventKind::Exited { exit, uptime, asked, .. } => {
            let asked = if *asked { "ended as told: " } else { "" };
            format!("{asked}{exit} after {}", precisely(*uptime))
        }
        EventKind::Backoff { delay, in_a_row, why } if *why != WaitReason::Want => {
            let budget = if *why == WaitReason::Budget { ", as the restart budget allows" } else { "" };
            format!("next try in {}{budget}, restart {in_a_row} in a row", precisely(*delay))
        }
        // The made-up commands of the world answer nothing.
        EventKind::Step { result: Some(Ok(_)), .. } | EventKind::LastWords { .. } => return None,
        other => Sentence(other).to_string(),
    })
}

/// Whether this is the end of a run.
pub(super) fn is_end(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Exited { .. } | EventKind::NotSpawned { .. })
}

/// Whether `next` says what comes after the end that `kind` tells of.
pub(super) fn continues(next: &EventKind, kind: &EventKind) -> bool {
    let is_next = matches!(
        next,
        EventKind::Backoff { .. }
            | EventKind::Ruled { .. }
            | EventKind::Tripped { .. }
            | EventKind::GivenUp { .. }
            | EventKind::Completed
            | EventKind::Stopped
    );
    is_next && decides(kind)
}

/// Whether this is the end of a run, or what was decided of it: what comes next may follow at once.
pub(super) fn decides(kind: &EventKind) -> bool {
    is_end(kind) || matches!(kind, EventKind::Ruled { .. })
}

/// Whether `next` says all that `kind` does, and more.
pub(super) fn replaces(next: &EventKind, kind: &EventKind) -> bool {
    matches!(
        (next, kind),
        (EventKind::Started { .. }, EventKind::Spawned { .. })
            | (EventKind::Judged { .. } | EventKind::Unwell { .. }, EventKind::ProbeFailed { .. })
    )
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

//! What is true of the components now.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::run::{End, Fault, PastRun, RunId};
use crate::spec::{ComponentId, Condition, ProcessSpec};

/// Every component, in start order, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// How long the supervisor has been running.
    pub uptime: Duration,
    /// Whether the supervisor has been asked to end.
    pub shutting_down: bool,
    /// What is wrong with the supervisor itself, a sentence each: what it cannot write, for instance.
    pub conditions: Vec<String>,
    /// The components asked for, in start order.
    pub components: Vec<ComponentStatus>,
}

impl Status {
    /// The component of this name.
    #[must_use]
    pub fn component(&self, id: &str) -> Option<&ComponentStatus> {
        self.components.iter().find(|component| component.id == *id)
    }
}

/// What is true of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentStatus {
    /// Its name.
    pub id: ComponentId,
    /// The line for people.
    pub description: String,
    /// What it is doing.
    pub state: ComponentState,
    /// Whether it should run.
    pub wanted: bool,
    /// When it came into this state, since the supervisor started.
    pub since: Duration,
    /// Its run, while there is one.
    pub run: Option<RunId>,
    /// The pid of its main process, while that lives.
    pub pid: Option<u32>,
    /// How long its main process has been running, while it lives.
    pub uptime: Option<Duration>,
    /// How often the supervisor has begun it anew by itself.
    pub restarts: u64,
    /// How its last run ended.
    pub last_end: Option<End>,
    /// What it said last, in words, of what it is doing (`STATUS=` of `sd_notify`), while it runs.
    pub note: Option<Arc<str>>,
    /// The rule that it breaks, while it is only told of it.
    pub fault: Option<Fault>,
    /// What its processes use, where it is running and was measured.
    pub usage: Option<Usage>,
}

impl ComponentStatus {
    /// What is true of it after so much time in which nothing happens.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        self.uptime = self.uptime.map(|uptime| uptime.saturating_add(time));
        match &mut self.state {
            ComponentState::Stopping { elapsed, .. } => *elapsed = elapsed.saturating_add(time),
            ComponentState::Backoff { remaining, .. } | ComponentState::Tripped { remaining } => {
                *remaining = remaining.saturating_sub(time);
            }
            ComponentState::Waiting { .. }
            | ComponentState::Starting
            | ComponentState::Up
            | ComponentState::Unready
            | ComponentState::Unhealthy
            | ComponentState::Stopped
            | ComponentState::Failed
            | ComponentState::Completed => {}
        }
        self
    }
}

/// One component from all sides, at one moment: what is true of it, what it is, and with whom it has to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Detail {
    /// How long the supervisor has been running: what other times count from.
    pub uptime: Duration,
    /// What is true of it.
    pub component: ComponentStatus,
    /// What it is.
    pub spec: ProcessSpec,
    /// The last runs that have ended, however they came to, the newest first: no more than [`Detail::PAST_RUNS`].
    pub past_runs: Vec<PastRun>,
    /// Whom it needs, and what must be true of each.
    pub depends_on: Vec<(Condition, ComponentStatus)>,
    /// Who needs it.
    pub dependants: Vec<ComponentStatus>,
    /// The members of its restart group, itself among them, in start order. Empty: it is in none.
    pub group: Vec<ComponentId>,
    /// Its main process, if that lives, and what descends from it; where it runs in a control group of its own, all who are in
    /// there. Each comes after its parent, and there are no more than [`Detail::MOST_PROCESSES`].
    pub processes: Vec<ProcessStatus>,
}

impl Detail {
    /// The most runs that are remembered for this, also over the death of a supervisor.
    pub const PAST_RUNS: usize = 5;

    /// The most processes that are named.
    pub const MOST_PROCESSES: usize = 256;

    /// What is true after so much time in which nothing happens.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        let after = |status: ComponentStatus| status.after(time);
        self.uptime = self.uptime.saturating_add(time);
        self.component = after(self.component);
        self.depends_on = self.depends_on.into_iter().map(|(condition, it)| (condition, after(it))).collect();
        self.dependants = self.dependants.into_iter().map(after).collect();
        self
    }
}

/// A process of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessStatus {
    /// Its pid.
    pub pid: u32,
    /// That of its parent.
    pub parent: u32,
    /// What the operating system calls it: the beginning of its program's name, unless it calls itself otherwise.
    pub name: String,
    /// Its resident memory in bytes.
    pub memory: u64,
    /// The processor time that it has used so far, and its children that have ended.
    pub cpu: Duration,
}

/// What a component's processes use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub memory: u64,
    /// Processor time used so far, of user and system together.
    pub cpu: Duration,
}

/// What a component is doing. Displayed in the words that people see: `backoff 8s (3)`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentState {
    /// Wanted, but others come first.
    Waiting {
        /// A component that it waits for: of several that it needs, that of which there is the least hope; and if that one waits in turn
        /// for another that may never come, that other, and so on.
        for_component: ComponentId,
        /// What that one is doing instead of what is needed of it, where it may never come to that by itself.
        which_is: Option<&'static str>,
    },
    /// Being spawned, or up for less than its start delay.
    Starting,
    /// Its process lives, has started, and is ready where its readiness is declared.
    Up,
    /// It has started, but says that it is not ready now.
    Unready,
    /// It has started, but breaks a rule of which it is only told: its health check fails, or it uses too much memory.
    Unhealthy,
    /// It is to end, or its main process has and the rest is on its way out.
    Stopping {
        /// For how long.
        elapsed: Duration,
        /// After how long what is left is killed.
        timeout: Duration,
        /// What the kill did not end within its grace.
        survivors: Vec<u32>,
    },
    /// Not running, and not wanted.
    Stopped,
    /// It ended; the next try comes by itself.
    Backoff {
        /// Until the next try.
        remaining: Duration,
        /// The how manieth restart in a row that will be; or, where it could not be begun for
        /// [want](crate::WaitReason::Want) of something, how many tries there have been.
        in_a_row: u32,
    },
    /// It restarted too often, and rests.
    Tripped {
        /// Until the trial run.
        remaining: Duration,
    },
    /// Given up.
    Failed,
    /// It ended with success, and its policy wants no more.
    Completed,
}

impl ComponentState {
    /// The state in one word, for programs: `backoff`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Unready => "unready",
            Self::Unhealthy => "unhealthy",
            Self::Stopping { .. } => "stopping",
            Self::Stopped => "stopped",
            Self::Backoff { .. } => "backoff",
            Self::Tripped { .. } => "tripped",
            Self::Failed => "failed",
            Self::Completed => "completed",
        }
    }
}

impl fmt::Display for ComponentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { for_component, which_is: None } => write!(f, "waiting for {for_component}"),
            Self::Waiting { for_component, which_is: Some(state) } => match *state {
                "waiting" => write!(f, "waiting for {for_component}, which waits itself"),
                state => write!(f, "waiting for {for_component}: {state}"),
            },
            Self::Tripped { remaining } => write!(f, "tripped, next try {}", passing(*remaining)),
            Self::Stopping { elapsed, timeout, survivors } if survivors.is_empty() => {
                write!(f, "stopping {}/{}", passing(*elapsed), Short(*timeout))
            }
            Self::Stopping { survivors, .. } => {
                let pids = survivors.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
                let what = if survivors.len() == 1 { "process" } else { "processes" };
                write!(f, "stopping ({} {what} cannot be killed: {pids})", survivors.len())
            }
            Self::Backoff { remaining, in_a_row } => {
                write!(f, "backoff {} ({in_a_row})", passing(*remaining))
            }
            _ => f.write_str(self.word()),
        }
    }
}

/// A time that passes while it is shown: from a second on, whole seconds are enough, and before that tenths.
pub(crate) fn passing(time: Duration) -> Short {
    let tenth = Duration::from_millis(100);
    Short(match time.as_secs() {
        0 if time.is_zero() => time,
        0 => time.max(tenth),
        seconds => Duration::from_secs(seconds),
    })
}

/// A time that somebody has set, as exactly as it was: `30s`, `2m`, `1.5s`, `200ms`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exactly(pub(crate) Duration);

impl fmt::Display for Exactly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_nanos() == 0 { Short(self.0).fmt(f) } else { write!(f, "{:?}", self.0) }
    }
}

/// A duration in one or two units, for people: `40ms`, `0.4s`, `1.5s`, `8s`, `4m`, `1h 5m`, `3d 4h`.
#[derive(Clone, Copy, Debug)]
pub struct Short(
    /// What is shown.
    pub Duration,
);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: Duration = Duration::from_secs(60);
        // Rounded first, so that what is as good as a minute is one.
        let tenths = (self.0.min(MINUTE).as_millis() + 50) / 100;
        let seconds = if tenths == 600 { self.0.max(MINUTE).as_secs() } else { 0 };
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        let text = match (days, hours, minutes) {
            (0, 0, 0) if self.0.is_zero() => "0s".to_owned(),
            (0, 0, 0) if self.0 < Duration::from_millis(95) => format!("{}ms", self.0.as_millis().max(1)),
            (0, 0, 0) if tenths.is_multiple_of(10) => format!("{}s", tenths / 10),
            (0, 0, 0) => format!("{}.{}s", tenths / 10, tenths % 10),
            (0, 0, _) if seconds.is_multiple_of(60) => format!("{minutes}m"),
            (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
            (0, _, 0) => format!("{hours}h"),
            (0, _, _) => format!("{hours}h {minutes}m"),
            (_, 0, _) => format!("{days}d"),
            _ => format!("{days}d {hours}h"),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_as_exactly_as_people_need_it() {
        let told = |millis| Short(Duration::from_millis(millis)).to_string();
        let short = [0, 40, 94, 95, 400, 1_000, 1_500, 1_960, 12_340, 59_949];
        assert_eq!(
            short.map(told),
            ["0s", "40ms", "94ms", "0.1s", "0.4s", "1s", "1.5s", "2s", "12.3s", "59.9s"]
        );
        let long = [59_950, 60_900, 125_000, 3_600_000, 3_900_000, 86_400_000, 100_800_000];
        assert_eq!(long.map(told), ["1m", "1m", "2m 5s", "1h", "1h 5m", "1d", "1d 4h"]);
        assert_eq!(Short(Duration::from_nanos(1)).to_string(), "1ms");
        assert_eq!(Short(Duration::MAX).to_string().split('d').count(), 2);
    }

    #[test]
    fn what_passes_is_shown_in_whole_seconds() {
        let state = ComponentState::Backoff { remaining: Duration::from_millis(7_930), in_a_row: 3 };
        assert_eq!(state.to_string(), "backoff 7s (3)");
        let for_component = ComponentId::new("is").unwrap();
        let waiting = |which_is| ComponentState::Waiting { for_component: for_component.clone(), which_is };
        assert_eq!(waiting(Some("tripped")).to_string(), "waiting for is: tripped");
        assert_eq!(waiting(Some("waiting")).to_string(), "waiting for is, which waits itself");
    }
}

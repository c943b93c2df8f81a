//! The JSON documents that server and client exchange.
//!
//! Durations are seconds, sizes are bytes, times are RFC 3339 in UTC, and what is absent is `null`. Fields are added
//! in later versions and never changed: whoever reads an answer ignores what it does not know. Requests are read
//! strictly, because a misspelt field must not be taken for its default.

mod declared;
mod detail;
mod event;
mod health;
mod line;
mod order;
mod outcome;
mod own_log;
mod plan;
mod sentence;
mod trace_level;
mod upgrade;

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use supervisor::{ComponentState, ComponentStatus, End, Exit, Status};

pub use self::declared::{declared, declared_budget, declared_dependency, variables_in_force};
pub use self::health::HealthDocument;
pub use self::line::LineDocument;
pub use self::order::{SelectionDocument, ShutdownDocument, SignalDocument, StopDocument, WaitDocument};
pub use self::outcome::{ComponentOutcome, OutcomeDocument, OutcomeKind, ProblemDocument};

pub use self::detail::{
    DetailDocument, LogDocument, PastRunDocument, ProcessDocument, RelatedDocument, RestartGroupDocument,
};
pub use self::event::{EventDocument, FaultDocument, What};
pub(crate) use self::event::{Numbering, wall_clock};
pub use self::own_log::{NothingDocument, OwnLogDocument};
pub use self::plan::{
    ApplyDocument, ApplyOrderDocument, ChangedFieldDocument, PlanDocument, PlanOrderDocument, PlannedDocument,
};
pub use self::sentence::{Sentence, fact_in_words};
pub use self::trace_level::TraceLevelDocument;
pub use self::upgrade::{UpgradeDocument, UpgradeOrderDocument};

/// The answer to `GET /v1/status`, and what `status --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDocument {
    /// The supervisor itself.
    pub supervisor: SupervisorDocument,
    /// The components asked for, in start order.
    pub components: Vec<ComponentDocument>,
}

/// What is true of the supervisor itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupervisorDocument {
    /// Its pid.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// How long it has been running.
    pub uptime: f64,
    /// When it began, by the wall clock as it was then. A journal is its own if its newest `supervisorStarted` is of
    /// that time; `None` where it keeps none. A pid does not tell: in a container, each of them has the same.
    #[serde(default)]
    pub began: Option<String>,
    /// The registry that it was started with.
    pub registry: Option<String>,
    /// What is not as it should be, or will not be for long, a sentence each. Empty when all is well.
    pub conditions: Vec<String>,
    /// Whether it has been asked to end.
    pub shutting_down: bool,
    /// Its last upgrade, whether or not it has come to be; `None`: it has had none.
    #[serde(default)]
    pub upgrade: Option<UpgradeDocument>,
}

impl SupervisorDocument {
    /// By what its events are told from those of other supervisors: the first part of their ids, `LIFE-SEQ`. `None` where it keeps
    /// no journal.
    #[must_use]
    pub fn life(&self) -> Option<u64> {
        let began = chrono::DateTime::parse_from_rfc3339(self.began.as_deref()?).ok()?;
        Some(crate::journal::life(began.into()))
    }
}

/// What is true of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDocument {
    /// Its name.
    pub id: String,
    /// The line for people.
    pub description: Option<String>,
    /// What it is doing, in one word: `waiting`, `starting`, `up`, `unready`, `unhealthy`, `stopping`, `stopped`,
    /// `backoff`, `tripped`, `failed` or `completed`. Later versions know more words.
    pub state: String,
    /// The state as people see it (`backoff 8s (3)`), where that says more than the word.
    pub detail: Option<String>,
    /// Whether it should run.
    pub wanted: bool,
    /// The pid of its main process, while that lives.
    pub pid: Option<u32>,
    /// How long its main process has been running.
    pub uptime: Option<f64>,
    /// The resident memory of all its processes.
    pub memory: Option<u64>,
    /// The processor time that its processes have used so far.
    pub cpu: Option<f64>,
    /// How often the supervisor has begun it anew by itself.
    pub restarts: u64,
    /// How its last run ended.
    pub last_exit: Option<LastExit>,
    /// When it came into this state.
    pub since: String,
    /// In `waiting`: the component that it waits for.
    pub waiting_for: Option<String>,
    /// In `waiting`: what that one is doing (`tripped`), where it may never come to what is needed of it by itself.
    #[serde(default)]
    pub waiting_for_state: Option<String>,
    /// In `backoff` and `tripped`: how long it is until the next try.
    pub next_try: Option<f64>,
    /// In `backoff`: the how manieth restart in a row that will be; or, where it could not be begun because something is lacking,
    /// which is a condition then, how many tries there have been.
    pub in_a_row: Option<u32>,
    /// In `stopping`: the pids that are still there though they were killed.
    pub survivors: Option<Vec<u32>>,
    /// What it said last, in words, of what it is doing, while it runs.
    #[serde(default)]
    pub note: Option<String>,
    /// The rule that it breaks, in words, while it is only told of it.
    #[serde(default)]
    pub fault: Option<String>,
}

/// How a run ended. Of `code` and `signal` at most one is there: neither, where it could not be started at all or
/// nobody told how it ended. Of a run that was ended for a fault, they say how it ended then, and `message` the fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastExit {
    /// The exit code, where it ended by itself.
    pub code: Option<i32>,
    /// The name of the signal that ended it, without `SIG`, or its number where it has no name.
    pub signal: Option<String>,
    /// Whether it left a core dump.
    pub core_dumped: bool,
    /// The same for people: `exit code 1`.
    pub message: String,
}

/// A [`StatusDocument`] that is written without ever being whole in memory: of a thousand components, it is large.
#[derive(Serialize)]
pub(crate) struct StatusAnswer<'a> {
    supervisor: SupervisorDocument,
    components: ComponentsAnswer<'a>,
}

impl<'a> StatusAnswer<'a> {
    /// What `status` says. `supervisor` tells what the library does not know; the rest is taken from `status`. `now`
    /// is the wall clock at the moment of `status`.
    pub(crate) fn new(supervisor: SupervisorDocument, status: &'a Status, now: SystemTime) -> Self {
        let mut conditions = status.conditions.clone();
        conditions.extend(supervisor.conditions);
        if status.shutting_down {
            conditions.push("shutting down".to_owned());
        }
        Self {
            supervisor: SupervisorDocument {
                uptime: status.uptime.as_secs_f64(),
                conditions,
                shutting_down: status.shutting_down,
                ..supervisor
            },
            components: ComponentsAnswer { status, now },
        }
    }
}

/// The components of a status, as [`ComponentDocument`]s, likewise.
pub(crate) struct ComponentsAnswer<'a> {
    pub(crate) status: &'a Status,
    /// The wall clock at the moment of `status`.
    pub(crate) now: SystemTime,
}

impl Serialize for ComponentsAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let started = started(self.now, self.status.uptime);
        let components = self.status.components.iter();
        serializer.collect_seq(components.map(|component| ComponentDocument::new(component, started)))
    }
}

/// The wall clock at the start of a supervisor that has been running for so long.
pub(crate) fn started(now: SystemTime, uptime: Duration) -> SystemTime {
    now.checked_sub(uptime).unwrap_or(SystemTime::UNIX_EPOCH)
}

impl ComponentDocument {
    /// What is true of `component`. `started` is the wall clock at the start of the supervisor.
    #[must_use]
    pub fn new(component: &ComponentStatus, started: SystemTime) -> Self {
        let detail = component.state.to_string();
        let mut document = Self {
            id: component.id.to_string(),
            description: Some(component.description.clone()).filter(|text| !text.is_empty()),
            state: component.state.word().to_owned(),
            detail: Some(detail).filter(|detail| detail != component.state.word()),
            wanted: component.wanted,
            pid: component.pid,
            uptime: component.uptime.as_ref().map(Duration::as_secs_f64),
            memory: component.usage.map(|usage| usage.memory),
            cpu: component.usage.map(|usage| usage.cpu.as_secs_f64()),
            restarts: component.restarts,
            last_exit: component.last_end.as_ref().map(LastExit::from),
            since: started.checked_add(component.since).map_or_else(String::new, rfc3339),
            note: component.note.as_deref().map(str::to_owned),
            fault: component.fault.as_ref().map(ToString::to_string),
            ..Self::default()
        };
        match &component.state {
            ComponentState::Waiting { for_component, which_is } => {
                document.waiting_for = Some(for_component.to_string());
                document.waiting_for_state = which_is.map(str::to_owned);
            }
            ComponentState::Backoff { remaining, in_a_row } => {
                document.next_try = Some(remaining.as_secs_f64());
                document.in_a_row = Some(*in_a_row);
            }
            ComponentState::Tripped { remaining } => document.next_try = Some(remaining.as_secs_f64()),
            ComponentState::Stopping { survivors, .. } if !survivors.is_empty() => {
                document.survivors = Some(survivors.clone());
            }
            _ => {}
        }
        document
    }
}

pub(crate) fn rfc3339(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl From<&End> for LastExit {
    fn from(end: &End) -> Self {
        let exit = match end {
            End::Exited(exit) | End::Judged { exit, .. } => *exit,
            _ => Exit::Unknown,
        };
        Self {
            code: if let Exit::Code(code) = exit { Some(code) } else { None },
            signal: exit.signal().map(Into::into),
            core_dumped: matches!(exit, Exit::Signal { core_dumped: true, .. }),
            message: end.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ends_are_told_by_code_by_signal_or_in_words_only() {
        let told = |end: End| serde_json::to_value(LastExit::from(&end)).unwrap();
        assert_eq!(
            told(End::Exited(Exit::Code(1))),
            json!({"code": 1, "signal": null, "coreDumped": false, "message": "exit code 1"})
        );
        assert_eq!(
            told(End::Exited(Exit::Signal { signal: 9, core_dumped: false })),
            json!({"code": null, "signal": "KILL", "coreDumped": false, "message": "SIGKILL"})
        );
        assert_eq!(
            told(End::Exited(Exit::Signal { signal: 64, core_dumped: true })),
            json!({"code": null, "signal": "64", "coreDumped": true, "message": "signal 64 (core dumped)"})
        );
        let fault = supervisor::Fault::Silent { timeout: Duration::from_secs(30) };
        assert_eq!(
            told(End::Judged { fault, exit: Exit::OutOfMemory }),
            json!({"code": null, "signal": "KILL", "coreDumped": false, "message": "no sign of life for 30s"})
        );
        let error = supervisor::SpawnError {
            step: supervisor::SpawnStep::Executable,
            reason: "/x: no such file".into(),
            os_error: Some(2),
        };
        assert_eq!(
            told(End::NotSpawned(error)),
            json!({"code": null, "signal": null, "coreDumped": false, "message": "cannot run: /x: no such file"})
        );
    }
}

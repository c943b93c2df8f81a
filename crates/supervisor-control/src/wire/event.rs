//! What happened, as the journal and `GET /v1/events` tell it: one [`EventDocument`] each.
//!
//! - `made`: how these documents are made of what the library tells
//! - `numbering`: the number and the time of each

mod made;
mod numbering;

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use supervisor::{Event, RunId};

use self::made::clipped;
pub(crate) use self::numbering::{Numbering, wall_clock};
use super::{LastExit, UpgradeDocument, rfc3339};
use crate::wire::sentence::Sentence;

/// Something that happened.
///
/// ```
/// use supervisor_control::wire::{EventDocument, What};
///
/// let line = r#"{"time":"2026-11-22T03:12:04.125Z","seq":17,"component":"redis","run":6,
///     "event":"tripped","restarts":6,"within":60.0,"rest":300.0,"text":"tripped: …"}"#;
/// let document: EventDocument = serde_json::from_str(line)?;
/// assert_eq!(document.what, What::Tripped { restarts: 6, within: 60.0, rest: 300.0 });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventDocument {
    /// When, by the wall clock.
    pub time: String,
    /// The how manieth event since the supervisor started. In the journal, one that is missing was
    /// lost, and a `lost` says so, or is that of a `noted` that was not worth a line.
    pub seq: u64,
    /// To which component; `None` where it concerns the supervisor as a whole.
    pub component: Option<String>,
    /// The how manieth run of the component since the supervisor started, where it is about one.
    pub run: Option<u64>,
    /// What: its name in the field `event`, and what belongs to it in further fields.
    #[serde(flatten)]
    pub what: What,
    /// The same for people, in one sentence.
    pub text: String,
}

/// What happened, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum What {
    /// The supervisor began. In the journal only, as all that is told of the supervisor's own life.
    SupervisorStarted {
        /// Its pid.
        pid: u32,
        /// Its version.
        version: String,
        /// The registry that it was started with.
        registry: Option<String>,
        /// Where it has replaced another one, or was to be replaced and goes on: what happened.
        #[serde(default)]
        upgrade: Option<UpgradeDocument>,
    },
    /// The supervisor is about to be replaced, and nothing more will be told here: ask again, and the next one tells. In
    /// `GET /v1/events` only.
    Upgrading {
        /// The version of the next one.
        version: String,
    },
    /// The supervisor ended in order. Where this is missing, it was killed, or the machine stopped.
    SupervisorEnded {
        /// Its pid.
        pid: u32,
    },
    /// Events are missing here.
    Lost {
        /// How many.
        count: u64,
        /// Why.
        reason: String,
    },
    /// Somebody asked for something, and it was taken up.
    Requested {
        /// What: `stop`.
        verb: String,
        /// Of `signal`: the name of the signal without `SIG`, or its number where it has no name.
        #[serde(default)]
        signal: Option<String>,
        /// Who: `user root (pid 4711)`, `SIGTERM`.
        by: String,
    },
    /// Its process lives.
    Spawned {
        /// Its pid.
        pid: u32,
    },
    /// It was started by an earlier supervisor, and goes on.
    Adopted {
        /// The pid of its main process.
        pid: u32,
        /// Whether it has started, as far as was written down.
        started: bool,
    },
    /// Its main process had ended while no supervisor was there.
    EndedUnattended,
    /// It has been up for its start delay, or is ready where readiness is declared.
    Started,
    /// It said that it is not ready any more.
    Unready {
        /// `reloading`, or `ending`: about to end by itself.
        why: String,
    },
    /// It is ready again.
    ReadyAgain,
    /// It said what it is doing.
    Noted {
        /// In its own words.
        note: String,
    },
    /// A probe of its health failed.
    ProbeFailed {
        /// How often in a row that is now.
        failures: u32,
        /// From how many in a row on it is not well.
        limit: u32,
        /// What the probe answered.
        answer: String,
    },
    /// It breaks a rule, of which it is only told.
    Unwell {
        /// Which rule, and how.
        fault: FaultDocument,
    },
    /// It is well again.
    Well,
    /// It breaks a rule, and its run is ended for that.
    Judged {
        /// Which rule, and how.
        fault: FaultDocument,
    },
    /// What the operating system told of a run that hangs.
    Facts {
        /// By name: `state`, `wchan`, `threads`, …
        facts: BTreeMap<String, String>,
    },
    /// A step of its evidence, stopping, reloading or cleanup was done.
    Step {
        /// Of what: `evidence`, `stop`, `reload`, `cleanup`.
        of: String,
        /// The step: `SIGQUIT`, `jstack 4711`.
        step: String,
        /// What a command answered that has ended well.
        answer: Option<String>,
        /// Why it failed.
        error: Option<String>,
    },
    /// It could not be spawned.
    NotSpawned {
        /// What could not be done, and why.
        reason: String,
        /// The number of the operating system's error.
        os_error: Option<i32>,
    },
    /// It was told to stop.
    Stopping {
        /// How long it is given.
        timeout: f64,
    },
    /// Its main process ended.
    Exited {
        /// How.
        exit: LastExit,
        /// How long the process had been up.
        uptime: f64,
        /// Whether it had been told to stop.
        asked: bool,
        /// Where a signal ended it: whether the supervisor had sent that one to it.
        #[serde(default)]
        sent: Option<bool>,
        /// The most resident memory it has had.
        peak_memory: Option<u64>,
    },
    /// The last lines that a run wrote to its standard error.
    LastWords {
        /// The oldest first.
        lines: Vec<String>,
    },
    /// What was left of a run was killed.
    Killed {
        /// `timeout`: its time to stop was up; `leftovers`: its main process had ended and others were left behind;
        /// `asked`: somebody did not want to wait.
        why: String,
    },
    /// What the kill did not end.
    Unkillable {
        /// The processes that are left.
        pids: Vec<u32>,
    },
    /// A rule of its `<restart>` decides what comes after this end.
    Ruled {
        /// After which end: `exit code 3`, `SIGTERM`.
        exit: String,
        /// What: `restart`, `stop`, `giveUp`.
        action: String,
    },
    /// It will be tried again by itself.
    Backoff {
        /// After this time.
        delay: f64,
        /// The how manieth restart in a row that will be; with `forWant`, how many tries there have been.
        in_a_row: u32,
        /// Whether that is when the restart budget of all components has room for it.
        #[serde(default)]
        for_budget: bool,
        /// Whether its run could not be begun because the supervisor or the machine lacked something: it has not failed.
        #[serde(default)]
        for_want: bool,
    },
    /// It restarted too often, and rests before a trial run.
    Tripped {
        /// How many restarts there were within the window; none if it was a trial run that failed.
        restarts: u32,
        /// How long the window is.
        within: f64,
        /// How long it rests; zero if it is given up for that.
        rest: f64,
    },
    /// Its turn has come, but whom it needs is not there.
    Blocked {
        /// Whom it needs.
        on: String,
        /// What must be true of that: `started`, `ready`, `completed`.
        condition: String,
        /// What is true instead: `tripped`.
        state: String,
    },
    /// It is stopped and started with another member of its group that has ended.
    Regrouped {
        /// That member.
        with: String,
    },
    /// What had gone wrong before was forgotten because somebody asked for that.
    Reset,
    /// Nothing of it is left, and it is not wanted.
    Stopped,
    /// It ended with success, and its policy wants no more.
    Completed,
    /// It is given up.
    GivenUp {
        /// Its last end.
        end: LastExit,
    },
    /// Its restart policy panicked; the default decided instead.
    PolicyPanicked,
    /// A changed registry was applied, by which it is not what it was.
    Applied {
        /// What is done about it: `restart`, `start`, `stop`, `change`, `add`, `remove`.
        action: String,
        /// What of it has changed, by the names of a registry; nothing of one that is new or no more.
        fields: Vec<String>,
        /// Who applied it.
        by: String,
    },
    /// All that was begun because of a changed registry that was to be confirmed is ready: it holds.
    Confirmed,
    /// A changed registry was to be confirmed and was not: everything goes back to what there was before.
    GoneBack {
        /// The component because of which.
        because_of: String,
        /// What became of that: `was not ready within 60s`.
        why: String,
    },
    /// Its output cannot be stored, or can be again.
    OutputStored {
        /// What is wrong; `None`: nothing any more.
        problem: Option<String>,
    },
    /// Nothing will run again by itself, and the supervisor ends for that.
    AllDone,
    /// The supervisor is stopping everything in order to end.
    ShuttingDown {
        /// The essential component that was given up, where that is the reason.
        given_up: Option<String>,
    },
    /// Something that this version does not know; `text` tells it all the same.
    #[serde(other)]
    Other,
}

/// A rule that a component breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultDocument {
    /// `notReady`, `unhealthy`, `silent`, `triggered`, `tooLarge`. Later versions know more.
    pub kind: String,
    /// What the last probe answered, where it was probed.
    pub answer: Option<String>,
    /// Of `tooLarge`: how much memory it used.
    #[serde(default)]
    pub used: Option<u64>,
    /// Of `tooLarge`: how much it may use.
    #[serde(default)]
    pub max: Option<u64>,
    /// The same for people: `health check failed 3 times: connection refused`.
    pub message: String,
}

impl EventDocument {
    /// What `event` tells: the event number `seq`, at `time`. Texts that came from outside are cut to a bearable
    /// length.
    #[must_use]
    pub fn new(event: &Event, seq: u64, time: SystemTime) -> Self {
        Self {
            time: rfc3339(time),
            seq,
            component: event.component.as_ref().map(ToString::to_string),
            run: event.kind.run().map(RunId::number),
            what: What::from(&event.kind),
            text: clipped(&Sentence(&event.kind)),
        }
    }

    /// What the journal tells of the supervisor itself.
    pub(crate) fn of_supervisor(what: What, seq: u64, time: SystemTime, text: String) -> Self {
        Self { time: rfc3339(time), seq, component: None, run: None, what, text }
    }

    /// When, as a number; `None` if its time makes no sense.
    #[must_use]
    pub fn at(&self) -> Option<SystemTime> {
        chrono::DateTime::parse_from_rfc3339(&self.time).ok().map(SystemTime::from)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use supervisor::{EventKind, WaitReason};

    use super::*;

    fn document(kind: EventKind) -> serde_json::Value {
        let event = example(kind);
        serde_json::to_value(EventDocument::new(&event, 7, SystemTime::UNIX_EPOCH)).unwrap()
    }

    /// An event as the library makes them, with another kind.
    fn example(kind: EventKind) -> Event {
        let supervisor = {
            let mut builder = supervisor::Supervisor::builder();
            let events = builder.subscribe();
            drop(builder.start().unwrap());
            events
        };
        let mut event = supervisor.recv().unwrap();
        event.component = Some(supervisor::ComponentId::new("redis").unwrap());
        event.kind = kind;
        event
    }

    #[test]
    fn an_event_is_its_name_and_its_facts_side_by_side() {
        assert_eq!(
            document(EventKind::Backoff {
                delay: Duration::from_millis(2_500),
                in_a_row: 3,
                why: WaitReason::Itself
            }),
            json!({"time": "1970-01-01T00:00:00.000Z", "seq": 7, "component": "redis", "run": null,
                "event": "backoff", "delay": 2.5, "inARow": 3, "forBudget": false, "forWant": false,
                "text": "next try in 2.5s, restart 3 in a row"})
        );
        assert_eq!(document(EventKind::Stopped)["event"], "stopped");
        assert_eq!(document(EventKind::ShuttingDown { given_up: None })["givenUp"], json!(null));
    }

    #[test]
    fn what_it_writes_it_reads_and_of_what_is_newer_it_reads_what_it_knows() {
        let written =
            document(EventKind::Requested { verb: "stop", signal: None, by: "user root (pid 1)".into() });
        let read: EventDocument = serde_json::from_value(written.clone()).unwrap();
        let by = "user root (pid 1)".into();
        assert_eq!(read.what, What::Requested { verb: "stop".into(), signal: None, by });
        assert_eq!(serde_json::to_value(read).unwrap(), written);

        let newer = json!({"time": "x", "seq": 1, "component": null, "run": null, "event": "teleported",
            "to": "Mars", "text": "it is on Mars now"});
        let read: EventDocument = serde_json::from_value(newer).unwrap();
        assert_eq!((read.what, read.text.as_str()), (What::Other, "it is on Mars now"));
    }

    #[test]
    fn no_text_from_outside_makes_a_document_long() {
        let endless = "ä".repeat(1_000_000);
        let written = document(EventKind::Requested { verb: "stop", signal: None, by: endless.into() });
        assert!(serde_json::to_string(&written).unwrap().len() < 20_000);
    }
}

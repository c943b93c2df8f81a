//! What happened, as the journal and `GET /v1/events` tell it: one [`EventDocument`] each.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use supervisor::{End, Event, EventKind, Fault, KillReason, RunId, StepOf, Unready};

use super::{LastExit, rfc3339};
use crate::wire::sentence::Sentence;

/// The most characters of one text that came from outside: an answer of a probe, a line of output, a reason.
const LONGEST: usize = 2_000;

/// The most texts of one event: lines, facts, pids.
const MOST: usize = 100;

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
        /// Who: `user root (pid 4711)`, `SIGTERM`.
        by: String,
    },
    /// Its process lives.
    Spawned {
        /// Its pid.
        pid: u32,
    },
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
    /// It will be tried again by itself.
    Backoff {
        /// After this time.
        delay: f64,
        /// The how manieth restart in a row that will be.
        in_a_row: u32,
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
    /// Its output cannot be stored, or can be again.
    OutputStored {
        /// What is wrong; `None`: nothing any more.
        problem: Option<String>,
    },
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

impl From<&EventKind> for What {
    fn from(kind: &EventKind) -> Self {
        match kind {
            EventKind::Requested { verb, by } => Self::Requested { verb: clipped(verb), by: clipped(by) },
            EventKind::Spawned { pid, .. } => Self::Spawned { pid: *pid },
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
    fn step(
        of: StepOf,
        step: &str,
        result: Option<&Result<std::sync::Arc<str>, std::sync::Arc<str>>>,
    ) -> Self {
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
            EventKind::Exited { exit, uptime, asked, peak_memory, .. } => Self::Exited {
                exit: LastExit::from(&End::Exited(*exit)),
                uptime: uptime.as_secs_f64(),
                asked: *asked,
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
            EventKind::Backoff { delay, in_a_row } => {
                Self::Backoff { delay: delay.as_secs_f64(), in_a_row: *in_a_row }
            }
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
            EventKind::PolicyPanicked => Self::PolicyPanicked,
            EventKind::OutputStored { problem } => {
                Self::OutputStored { problem: problem.as_ref().map(clipped) }
            }
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
        Self { kind: kind.to_owned(), answer: answer.map(clipped), message: clipped(fault) }
    }
}

/// The text, and where it is too long, its beginning.
fn clipped(text: &(impl ToString + ?Sized)) -> String {
    let mut text = text.to_string();
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Numbers the events of one reader, and says when they happened: a number and a time for each.
///
/// Time goes by the wall clock as it is now and not as it was when the supervisor started, because clocks are set
/// right while supervisors run, above all soon after boot.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    /// How many events there have been.
    pub(crate) count: u64,
    /// When the supervisor started, on the clock that never jumps, as far as the events have told: the least late
    /// of them all.
    began: Option<std::time::Instant>,
}

impl Numbering {
    /// The numbering of events after `count` that went before.
    pub(crate) fn after(count: u64) -> Self {
        Self { count, began: None }
    }

    /// The document of the next event.
    pub(crate) fn document(&mut self, event: &Event) -> EventDocument {
        self.count += if let EventKind::Lost { count } = event.kind { count } else { 1 };
        let age = self.age(event.at);
        EventDocument::new(event, self.count, wall_clock().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// How long ago that was, so long after the start of the supervisor.
    fn age(&mut self, at: Duration) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "what is told late did not happen late")]
        let now = std::time::Instant::now();
        let Some(latest) = now.checked_sub(at) else { return Duration::ZERO };
        let began = self.began.map_or(latest, |began| began.min(latest));
        self.began = Some(began);
        latest.saturating_duration_since(began)
    }
}

#[expect(clippy::disallowed_methods, reason = "documents tell people when something happened")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            document(EventKind::Backoff { delay: Duration::from_millis(2_500), in_a_row: 3 }),
            json!({"time": "1970-01-01T00:00:00.000Z", "seq": 7, "component": "redis", "run": null,
                "event": "backoff", "delay": 2.5, "inARow": 3, "text": "next try in 2s, restart 3 in a row"})
        );
        assert_eq!(document(EventKind::Stopped)["event"], "stopped");
        assert_eq!(document(EventKind::ShuttingDown { given_up: None })["givenUp"], json!(null));
    }

    #[test]
    fn what_it_writes_it_reads_and_of_what_is_newer_it_reads_what_it_knows() {
        let written = document(EventKind::Requested { verb: "stop", by: "user root (pid 1)".into() });
        let read: EventDocument = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(read.what, What::Requested { verb: "stop".into(), by: "user root (pid 1)".into() });
        assert_eq!(serde_json::to_value(read).unwrap(), written);

        let newer = json!({"time": "x", "seq": 1, "component": null, "run": null, "event": "teleported",
            "to": "Mars", "text": "it is on Mars now"});
        let read: EventDocument = serde_json::from_value(newer).unwrap();
        assert_eq!((read.what, read.text.as_str()), (What::Other, "it is on Mars now"));
    }

    #[test]
    fn no_text_from_outside_makes_a_document_long() {
        let endless = "ä".repeat(1_000_000);
        let written = document(EventKind::Requested { verb: "stop", by: endless.into() });
        assert!(serde_json::to_string(&written).unwrap().len() < 20_000);
    }

    #[test]
    fn what_is_told_late_did_not_happen_late() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.age(Duration::from_millis(20)), Duration::ZERO);
        // So long after the first one, and told at the same moment: the first one was told late.
        assert!(numbering.age(Duration::from_millis(30)).is_zero());
        let age = numbering.age(Duration::from_millis(20));
        assert!(age >= Duration::from_millis(10) && age < Duration::from_secs(5), "{age:?}");
    }
}

//! From the journal to a story: which events made a component what it is.
//!
//! The journal is read from its end. What stands there of the component is a chain: the event that made its present
//! state, the end of a run before that, what ended the run, and so on, back to whoever or whatever began it: a person, or
//! the start of the supervisor. Of a run that has ended, its last words and the evidence that was taken belong to it.

use std::collections::BTreeMap;

use serde::Serialize;
use supervisor_control::wire::{EventDocument, What};

/// What the journal tells of one component.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Story {
    /// The state that the journal tells of, and since when.
    pub(super) state: Option<(&'static str, String)>,
    /// What led there, the newest first.
    pub(super) causes: Vec<EventDocument>,
    /// Whether they go back to the beginning.
    pub(super) complete: bool,
    /// How many more runs had ended by themselves since that beginning.
    pub(super) earlier_ends: u64,
    /// The last run that has ended.
    pub(super) last_run: Option<LastRun>,
}

/// The last run that has ended, or is being ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LastRun {
    /// Its number.
    pub(super) run: u64,
    /// When it ended.
    pub(super) ended: Option<String>,
    /// How it ended.
    pub(super) exit: Option<String>,
    /// How long it was up, in seconds.
    pub(super) uptime: Option<f64>,
    /// The most memory that it has had, in bytes.
    pub(super) peak_memory: Option<u64>,
    /// What it wrote last, the oldest line first.
    pub(super) last_lines: Vec<String>,
    /// What was done for evidence, the oldest step first.
    pub(super) evidence: Vec<Evidence>,
    /// What the operating system told of it while it hung.
    pub(super) facts: BTreeMap<String, String>,
}

/// A step of evidence, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Evidence {
    /// The step: `SIGQUIT`, `jstack 4711`.
    pub(super) step: String,
    /// What a command answered.
    pub(super) answer: Option<String>,
    /// Why it failed.
    pub(super) error: Option<String>,
}

/// What an event is in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It made a state.
    State(&'static str),
    /// A run ended, or could not begin.
    End,
    /// It ended a run, or changed its course.
    Blow,
    /// A run began.
    Birth,
    /// Somebody asked for something.
    Request,
    /// The supervisor began.
    Dawn,
    /// Events are missing.
    Gap,
    /// It explains nothing.
    Nothing,
}

impl Story {
    /// The story of the component `id`, told by `newest_first`. `state` is its state where somebody knows that better.
    pub(super) fn of(
        id: &str,
        state: Option<&str>,
        newest_first: impl Iterator<Item = EventDocument>,
    ) -> Self {
        let mut reading = Reading { state, ..Reading::default() };
        for document in newest_first {
            if document.component.as_deref().is_none_or(|component| component == id) {
                reading.read(document);
            }
            if reading.is_done() {
                break;
            }
        }
        if let Some(run) = &mut reading.story.last_run {
            run.evidence.reverse();
        }
        reading.story
    }
}

/// The journal, as far as it has been read.
#[derive(Debug, Default)]
struct Reading<'a> {
    state: Option<&'a str>,
    story: Story,
    /// What has been seen last of the component's life, and so happened next.
    next: Option<Part>,
    /// How many runs have been seen to end.
    ends_seen: u64,
    /// Whether nothing more can be told of the last run.
    last_run_is_whole: bool,
}

impl Reading<'_> {
    fn read(&mut self, document: EventDocument) {
        self.read_of_run(&document);
        if self.story.complete {
            return;
        }
        let part = part(&document.what);
        match part {
            Part::State(word) => {
                self.story.state.get_or_insert_with(|| (word, document.time.clone()));
                if self.story.causes.is_empty() && self.next.is_none() {
                    self.story.causes.push(document);
                }
            }
            Part::End => {
                self.ends_seen += 1;
                if self.ends_seen == 1 {
                    self.story.causes.push(document);
                } else if !matches!(document.what, What::Exited { asked: true, .. }) {
                    self.story.earlier_ends += 1;
                }
            }
            Part::Blow if self.ends_seen <= 1 => {
                self.story.complete = matches!(document.what, What::Regrouped { .. });
                self.story.causes.push(document);
            }
            Part::Birth => {
                self.story.state.get_or_insert_with(|| ("starting", document.time.clone()));
                if self.story.causes.is_empty() {
                    self.story.causes.push(document);
                }
            }
            Part::Request if self.counts(&document.what) => {
                // A signal ends a run, but it does not explain why there was one.
                let signal = matches!(&document.what, What::Requested { verb, .. } if verb == "signal");
                self.story.complete = !signal;
                self.story.causes.push(document);
            }
            Part::Dawn => {
                self.story.causes.push(document);
                self.story.complete = true;
            }
            Part::Gap => self.story.causes.push(document),
            Part::Blow | Part::Request | Part::Nothing => {}
        }
        if matches!(part, Part::State(_) | Part::End | Part::Blow | Part::Birth) {
            self.next = Some(part);
        }
    }

    /// Whether what was asked for changed anything: a start of what is up already explains nothing.
    fn counts(&self, what: &What) -> bool {
        let ended = matches!(self.next, Some(Part::End | Part::Blow | Part::State("stopping" | "stopped")));
        let What::Requested { verb, .. } = what else {
            return ended && matches!(what, What::ShuttingDown { given_up: Some(_) });
        };
        let began = match self.next {
            Some(Part::End) => self.could_not_begin(),
            Some(next) => matches!(next, Part::Birth | Part::State("waiting")),
            None => matches!(self.state, Some("waiting" | "starting")),
        };
        match verb.as_str() {
            "start" => began,
            "stop" | "signal" => ended,
            "restart" => began || ended,
            "reset" => self.next == Some(Part::State("stopped")),
            verb => verb.starts_with("shutdown") && ended,
        }
    }

    /// Whether the end that happened next is that of a run that could not begin.
    fn could_not_begin(&self) -> bool {
        self.story.causes.last().is_some_and(|last| matches!(last.what, What::NotSpawned { .. }))
    }

    /// Takes what belongs to the last run that has ended.
    fn read_of_run(&mut self, document: &EventDocument) {
        if matches!(document.what, What::SupervisorStarted { .. }) && self.story.last_run.is_some() {
            self.last_run_is_whole = true;
        }
        let (Some(run), false) = (document.run, self.last_run_is_whole) else { return };
        let belongs = part(&document.what) == Part::End || tells_of_an_end(&document.what);
        match &self.story.last_run {
            None if !belongs => return,
            Some(last) if last.run != run => return,
            _ => {}
        }
        let last = self.story.last_run.get_or_insert_with(|| LastRun { run, ..LastRun::default() });
        match &document.what {
            What::Exited { exit, uptime, peak_memory, .. } => {
                last.ended = Some(document.time.clone());
                last.exit = Some(exit.message.clone());
                last.uptime = Some(*uptime);
                last.peak_memory = *peak_memory;
            }
            What::NotSpawned { reason, .. } => {
                last.ended = Some(document.time.clone());
                last.exit = Some(reason.clone());
                self.last_run_is_whole = true;
            }
            What::LastWords { lines } => last.last_lines.clone_from(lines),
            What::Facts { facts } => last.facts.clone_from(facts),
            What::Step { of, step, answer, error } if of == "evidence" => {
                // A command is told when it begins and when it has ended, which says more.
                let is_beginning = answer.is_none() && error.is_none();
                if is_beginning && last.evidence.last().is_some_and(|next| next.step == *step) {
                    return;
                }
                let evidence = Evidence { step: step.clone(), answer: answer.clone(), error: error.clone() };
                last.evidence.push(evidence);
            }
            What::Spawned { .. } => self.last_run_is_whole = true,
            _ => {}
        }
    }

    fn is_done(&self) -> bool {
        self.story.complete && self.last_run_is_whole
    }
}

fn part(what: &What) -> Part {
    match what {
        What::SupervisorStarted { .. } => Part::Dawn,
        What::Lost { .. } => Part::Gap,
        What::Requested { .. } | What::ShuttingDown { .. } => Part::Request,
        What::Spawned { .. } => Part::Birth,
        What::Exited { .. } | What::NotSpawned { .. } => Part::End,
        What::Judged { .. } | What::Regrouped { .. } => Part::Blow,
        What::Killed { why } if why == "timeout" => Part::Blow,
        What::Started | What::ReadyAgain | What::Well => Part::State("up"),
        What::Unready { .. } => Part::State("unready"),
        What::Unwell { .. } => Part::State("unhealthy"),
        What::Stopping { .. } | What::Unkillable { .. } => Part::State("stopping"),
        What::Backoff { .. } => Part::State("backoff"),
        // Given up for that, which is told next.
        What::Tripped { rest, .. } if *rest <= 0.0 => Part::Blow,
        What::Tripped { .. } => Part::State("tripped"),
        What::Blocked { .. } => Part::State("waiting"),
        What::Reset | What::Stopped => Part::State("stopped"),
        What::Completed => Part::State("completed"),
        What::GivenUp { .. } => Part::State("failed"),
        _ => Part::Nothing,
    }
}

/// Whether this is told only of runs that have ended, or are being ended.
fn tells_of_an_end(what: &What) -> bool {
    match what {
        What::Judged { .. } | What::Facts { .. } | What::LastWords { .. } => true,
        What::Step { of, .. } => of == "evidence",
        _ => false,
    }
}

//! From the journal to a story: which events made a component what it is.
//!
//! The journal is read from its end. What stands there of the component is a chain: the event that made its present
//! state, the end of a run before that, what ended the run, and so on, back to whoever or whatever began it: a person,
//! another member of its group, or the start of the supervisor.
//!
//! - `last_run`: what is left of the last run that has ended: its last words, and the evidence that was taken

mod last_run;

use std::time::{Duration, SystemTime};

use supervisor_control::wire::{EventDocument, What};

pub(super) use self::last_run::LastRun;
use self::last_run::ReadingOfRun;

/// So soon after a signal, an end may be due to it.
const SOON: Duration = Duration::from_secs(60);

/// What the journal tells of one component.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Story {
    /// The state that the journal tells of, and since when.
    pub(super) state: Option<(&'static str, String)>,
    /// What led there, the newest first: of the component, of all, and of a member of its group with which it restarts.
    pub(super) causes: Vec<EventDocument>,
    /// Whether they go back to the beginning.
    pub(super) complete: bool,
    /// How many more runs had ended by themselves since that beginning.
    pub(super) earlier_ends: u64,
    /// The last run that has ended.
    pub(super) last_run: Option<LastRun>,
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
    /// It says more of what came before it.
    Remark,
    /// A run began.
    Birth,
    /// Somebody asked for something.
    Request,
    /// The supervisor began.
    Dawn,
    /// A supervisor ended in order: there was nothing left to go on with.
    Dusk,
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
        let mut of_run = ReadingOfRun::default();
        for document in newest_first {
            let concerns = |id: &str| document.component.as_deref().is_none_or(|component| component == id);
            if concerns(id) {
                of_run.read(&document);
            }
            if !reading.story.complete && concerns(reading.leader.as_deref().unwrap_or(id)) {
                reading.read(document);
            }
            if reading.story.complete && of_run.is_whole() {
                break;
            }
        }
        // Before the first supervisor there was nothing.
        let complete = reading.story.complete || reading.is_after_dawn;
        Self { last_run: of_run.finish(), complete, ..reading.story }
    }
}

/// The journal, as far as it has been read.
#[derive(Debug, Default)]
struct Reading<'a> {
    state: Option<&'a str>,
    story: Story,
    /// The member of its group with which it restarts: from then on, the story is that of its last run.
    leader: Option<String>,
    /// What has been seen last of the component's life, and so happened next.
    next: Option<Part>,
    /// Whether what made the present state has been told.
    state_is_told: bool,
    /// How many runs have been seen to end.
    ends_seen: u64,
    /// Whether the run that ended last had been told to, and that has been seen.
    was_told_to_stop: bool,
    /// Whether somebody has been named who asked for its end. The chain ends there, unless it was being ended already.
    is_explained: bool,
    /// Whether a step of its reloading has been seen: older ones are of no interest.
    has_reloaded: bool,
    /// Whether what was read last is the beginning of a supervisor. If the one before was killed, the life went on.
    is_after_dawn: bool,
}

impl Reading<'_> {
    fn read(&mut self, document: EventDocument) {
        let part = part(&document.what);
        if let Some(word) = state_after(&document.what) {
            self.story.state.get_or_insert_with(|| (word, document.time.clone()));
        }
        if self.is_at_the_beginning(part) {
            self.story.complete = true;
            return;
        }
        let is_told = match part {
            Part::State(_) | Part::Birth => !std::mem::replace(&mut self.state_is_told, true),
            Part::End => self.end(&document.what),
            Part::Blow => self.blow(&document.what),
            Part::Remark => self.remark(&document.what),
            Part::Request => self.request(&document),
            Part::Dawn => {
                // What it has begun itself, it explains. Else that depends on how the one before has ended, which is read next.
                self.story.complete = self.next == Some(Part::Birth);
                self.is_after_dawn = !self.story.complete;
                self.leader.is_none()
            }
            Part::Dusk => {
                self.story.complete = self.is_after_dawn;
                false
            }
            Part::Gap => true,
            Part::Nothing => false,
        };
        if matches!(document.what, What::Stopping { .. }) {
            self.was_told_to_stop = true;
        }
        if part != Part::Dawn {
            self.is_after_dawn = false;
        }
        if is_told {
            self.story.causes.push(document);
        }
        if matches!(part, Part::State(_) | Part::End | Part::Blow | Part::Birth) {
            // What it was before that is over.
            self.state_is_told = true;
            self.next = Some(part);
        }
    }

    /// Whether whoever asked has been named, and this was before anything was done about it.
    fn is_at_the_beginning(&self, part: Part) -> bool {
        let is_before = match part {
            Part::State(word) => word != "stopping",
            Part::Birth => true,
            Part::End => self.ends_seen > 0,
            _ => false,
        };
        let led = self.leader.is_some() && self.ends_seen > 0;
        is_before && (self.is_explained && !self.was_told_to_stop || led)
    }

    fn end(&mut self, what: &What) -> bool {
        self.ends_seen += 1;
        let is_last = self.ends_seen == 1;
        if !is_last && !matches!(what, What::Exited { asked: true, .. }) {
            self.story.earlier_ends += 1;
        }
        is_last
    }

    fn blow(&mut self, what: &What) -> bool {
        if self.ends_seen > 1 {
            return false;
        }
        if let What::Regrouped { with } = what {
            // From here on, it is told what became of that one.
            self.leader = Some(with.clone());
            self.ends_seen = 0;
        }
        true
    }

    fn remark(&mut self, what: &What) -> bool {
        match what {
            What::Ruled { .. } => self.ends_seen == 0,
            What::Adopted { .. } => self.next.is_none(),
            What::EndedUnattended => self.ends_seen == 1,
            What::Step { of, error, .. } if of == "reload" => {
                let is_newest = !std::mem::replace(&mut self.has_reloaded, true);
                is_newest && error.is_some() && self.ends_seen == 0 && self.next != Some(Part::Birth)
            }
            What::Step { of, error: Some(_), .. } if of == "cleanup" => self.ends_seen == 0,
            What::Step { of, error: Some(_), .. } if of == "stop" => self.ends_seen <= 1,
            _ => false,
        }
    }

    /// Whether what was asked for changed anything: a start of what is up already explains nothing.
    fn request(&mut self, document: &EventDocument) -> bool {
        if let What::Applied { action, .. } = &document.what {
            return self.was_applied(action);
        }
        let What::Requested { verb, signal, .. } = &document.what else {
            let is_down = self.was_told_to_stop || self.next == Some(Part::State("stopped"));
            let is_why = is_down && matches!(document.what, What::ShuttingDown { given_up: Some(_) });
            self.story.complete |= is_why;
            return is_why;
        };
        match verb.as_str() {
            // A signal ends a run, and a reload makes it unready, but neither explains why there was one.
            "signal" => return self.was_ended_by(signal.as_deref(), document.at()),
            "reload" => return self.is_about_a_reload(),
            _ if self.leader.is_some() => return false,
            "start" => self.story.complete = self.could_begin(),
            "restart" => self.story.complete = self.could_begin() || self.was_told_to_stop,
            "reset" => self.story.complete = self.next == Some(Part::State("stopped")),
            "stop" | "shutdown" | "shutdown now" => return self.end_was_asked_for(),
            _ => {}
        }
        self.story.complete
    }

    /// Whether a changed registry is why it was begun, or was to end.
    fn was_applied(&mut self, action: &str) -> bool {
        if self.leader.is_some() {
            return false;
        }
        match action {
            "restart" => self.story.complete = self.could_begin() || self.was_told_to_stop,
            "start" => self.story.complete = self.could_begin(),
            "stop" => return self.end_was_asked_for(),
            _ => return false,
        }
        self.story.complete
    }

    /// Whether it had yet to begin when somebody asked.
    fn could_begin(&self) -> bool {
        let last = self.story.causes.last().map(|last| &last.what);
        match self.next {
            Some(Part::End) => match last {
                Some(What::NotSpawned { .. }) => true,
                // Its old run was still ending.
                Some(What::Exited { asked: true, .. }) => !self.is_down(),
                _ => false,
            },
            Some(next) => matches!(next, Part::Birth | Part::State("waiting")),
            None => matches!(self.state, Some("waiting" | "starting")),
        }
    }

    /// Whether a request for its end changed anything.
    fn end_was_asked_for(&mut self) -> bool {
        if self.was_told_to_stop {
            self.story.complete = true;
            return true;
        }
        let last = self.story.causes.last().map(|last| &last.what);
        let counts = match self.next {
            Some(Part::State("stopped")) => true,
            // Somebody who did not want to wait: who asked first is still to come.
            Some(Part::Blow) => matches!(last, Some(What::Killed { why }) if why == "asked"),
            // It was ending for another reason, and would have been begun again.
            Some(Part::End) => self.is_down() && matches!(last, Some(What::Exited { asked: false, .. })),
            _ => false,
        };
        self.is_explained |= counts;
        counts
    }

    fn is_down(&self) -> bool {
        matches!(self.story.state, Some(("stopped" | "stopping", _)))
    }

    /// Whether its last run may have ended by this signal, sent then: of those that it outlived, nobody wants to hear.
    fn was_ended_by(&self, signal: Option<&str>, sent: Option<SystemTime>) -> bool {
        let Some(end) = self.story.causes.last().filter(|_| self.next == Some(Part::End)) else {
            return false;
        };
        let What::Exited { exit, asked: false, .. } = &end.what else { return false };
        if let Some(its) = &exit.signal {
            return signal.is_none_or(|signal| signal == its);
        }
        // Programs that end in order when they are told to have an exit code.
        let ends = matches!(signal, None | Some("TERM" | "INT" | "QUIT" | "HUP"));
        let took = end.at().zip(sent).and_then(|(end, sent)| end.duration_since(sent).ok());
        ends && took.is_some_and(|took| took <= SOON)
    }

    /// Whether somebody who asked for a reload may be why it is not ready, or why a reload has failed.
    fn is_about_a_reload(&self) -> bool {
        let last = self.story.causes.last().map(|last| &last.what);
        if matches!(last, Some(What::Step { of, .. }) if of == "reload") {
            return true;
        }
        match self.next {
            Some(next) => {
                let is_unready = matches!(self.story.state, Some(("unready", _)));
                is_unready && next == Part::State("unready")
            }
            None => last.is_none() && matches!(self.state, Some("unready" | "starting")),
        }
    }
}

fn part(what: &What) -> Part {
    match what {
        What::SupervisorStarted { .. } => Part::Dawn,
        What::SupervisorEnded { .. } => Part::Dusk,
        What::Lost { .. } => Part::Gap,
        What::Requested { .. } | What::Applied { .. } | What::ShuttingDown { .. } => Part::Request,
        What::Spawned { .. } => Part::Birth,
        What::Exited { .. } | What::NotSpawned { .. } => Part::End,
        What::Judged { .. } | What::Regrouped { .. } => Part::Blow,
        What::Killed { why } if why != "leftovers" => Part::Blow,
        // Given up for that, which is told next.
        What::Tripped { rest, .. } if *rest <= 0.0 => Part::Blow,
        What::Step { of, answer: None, error: None, .. } if of == "cleanup" => Part::State("stopping"),
        What::Step { .. } | What::Ruled { .. } | What::Adopted { .. } | What::EndedUnattended => Part::Remark,
        other => state_after(other).map_or(Part::Nothing, Part::State),
    }
}

/// The state that a component is in after this.
fn state_after(what: &What) -> Option<&'static str> {
    Some(match what {
        What::Spawned { .. } => "starting",
        What::Started | What::ReadyAgain | What::Well => "up",
        What::Unready { .. } => "unready",
        What::Unwell { .. } => "unhealthy",
        What::Stopping { .. } | What::Unkillable { .. } => "stopping",
        What::Step { of, answer: None, error: None, .. } if of == "cleanup" => "stopping",
        What::Backoff { .. } => "backoff",
        What::Tripped { rest, .. } if *rest > 0.0 => "tripped",
        What::Blocked { .. } => "waiting",
        What::Reset | What::Stopped => "stopped",
        What::Completed => "completed",
        What::GivenUp { .. } => "failed",
        _ => return None,
    })
}

//! `why`: what made a component what it is, what is left of its last run, and what happens next.
//!
//! - `story`: from the journal to the chain of causes
//! - `prose`: the same in words

mod prose;
mod story;

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde::Serialize;
use supervisor_control::journal::Past;
use supervisor_control::wire::{ComponentDocument, EventDocument, StatusDocument, What};
use supervisor_control::{Client, ClientError};

use self::story::{LastRun, Story};
use crate::arguments::Place;
use crate::control;
use crate::exit::{Ended, Exit, Failure};
use crate::past;
use crate::say;

/// `why`
#[derive(Args, Debug)]
pub(crate) struct Why {
    /// The component
    #[arg(value_name = "ID")]
    id: String,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) const HELP: &str = "\
Tells the state, what led there (the newest cause first), the last lines that
the last run wrote to its standard error, the evidence that was taken, and what
happens next. The causes are read from the journal in the temp folder, so that
they outlive the supervisor.

Exit codes:
  0    told
  2    unknown ID
  7    the supervisor is not running, and there is no journal

Examples:
  s7supervisor why ps
  s7supervisor why ps --json";

/// All that is known of a component, as `--json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Its name.
    id: String,
    /// Whether the supervisor runs.
    supervised: bool,
    /// Where it does not: when it ended, or, of one that was killed, when it was last heard of.
    supervisor_ended: Option<String>,
    /// Whether it ended in order; `None` while it runs.
    supervisor_ended_in_order: Option<bool>,
    /// The state in one word, as in `status`. Where no supervisor runs: the one that the journal tells of.
    state: Option<String>,
    /// The state as people see it, where that says more than the word.
    detail: Option<String>,
    /// Whether it should run; `None` where no supervisor runs.
    wanted: Option<bool>,
    /// Since when it is in that state.
    since: Option<String>,
    /// What led there, the newest first.
    causes: Vec<EventDocument>,
    /// Whether the causes go back to the beginning: whoever asked for it, or the start of the supervisor.
    complete: bool,
    /// How many more runs had ended by themselves since that beginning.
    earlier_ends: u64,
    /// The last run that has ended, or is being ended.
    last_run: Option<LastRun>,
    /// What happens next by itself.
    next: Next,
    /// In `waiting`: the same of whom it waits for, but not whom that waits for.
    waiting_for: Option<Box<Answer>>,
}

/// What happens next by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Next {
    /// `try`: the next run begins; `kill`: what is left is killed; `wait`: it waits for another; `none`: nothing.
    what: &'static str,
    /// In so many seconds, where that is certain.
    after: Option<f64>,
    /// The same as a time.
    at: Option<String>,
    /// The same for people.
    text: String,
}

/// Tells why a component is in its state.
pub(crate) fn why(place: &Place, asked: &Why) -> Ended {
    let temp = place.find_temp()?;
    let client = control::connect_in(&temp)?;
    let names = std::slice::from_ref(&asked.id);
    let ids = past::meant(names, client.as_ref(), &past::read(&temp)?)?;
    let [id] = ids.as_slice() else {
        let message =
            format!("{:?} means {} components: {}; name one of them", asked.id, ids.len(), ids.join(", "));
        return Err(Failure::new(Exit::Invalid, say::printable(&message)));
    };
    // The state first and then the causes: what has just happened is written by then.
    let status = client.as_ref().map(|client| status(client, id)).transpose()?.flatten();
    let (component, began) = match status {
        Some(status) => (status.components.into_iter().next(), status.supervisor.began),
        None => (None, None),
    };
    let now = wall_clock();
    let past = past::read(&temp)?;
    let is_its_own = past::is_of(&past, began.as_deref());
    let asking = Asking { client: client.as_ref(), past, is_its_own, now };
    let answer = asking.about(id, component.as_ref())?;
    if asked.json {
        let text = serde_json::to_string_pretty(&answer)
            .map_err(|error| Failure::failed(format!("cannot write the answer as JSON: {error}")))?;
        say::answer(&text);
    } else {
        say::answer(&prose::of(&answer, now));
    }
    Ok(Exit::Done)
}

/// Where answers come from.
struct Asking<'a> {
    client: Option<&'a Client>,
    past: Past,
    /// Whether the past is that of the supervisor that runs, if one does.
    is_its_own: bool,
    now: SystemTime,
}

impl Asking<'_> {
    /// All that is known of `id`, and of whom it waits for.
    fn about(&self, id: &str, asked: Option<&ComponentDocument>) -> Result<Answer, Failure> {
        let mut answer = self.answer(id, asked);
        if let (Some(client), Some(other)) = (self.client, asked.and_then(|asked| asked.waiting_for.as_ref()))
        {
            let component = status(client, other)?.and_then(|status| status.components.into_iter().next());
            answer.waiting_for = Some(Box::new(self.answer(other, component.as_ref())));
        }
        Ok(answer)
    }

    fn answer(&self, id: &str, component: Option<&ComponentDocument>) -> Answer {
        let documents = || self.past.entries().rev().map(|entry| entry.document);
        let state = component.map(|component| component.state.as_str());
        let story = if self.is_its_own { Story::of(id, state, documents()) } else { Story::default() };
        let mut answer = Answer::new(id, story);
        match (self.client, component) {
            (Some(_), Some(component)) => answer.is_now(component, self.now),
            (Some(_), None) => answer.supervised = true,
            (None, _) => answer.was(documents().next().as_ref()),
        }
        answer
    }
}

/// What the supervisor says of it; `None` if it does not know it, or has ended meanwhile.
fn status(client: &Client, id: &str) -> Result<Option<StatusDocument>, Failure> {
    match client.status(&[id.to_owned()]) {
        Ok(status) => Ok(Some(status)),
        Err(ClientError::Refused { status: 404, .. } | ClientError::Closed { .. }) => Ok(None),
        Err(error) => Err(control::failure(&error)),
    }
}

impl Answer {
    fn new(id: &str, story: Story) -> Self {
        let (state, since) = story.state.map(|(state, since)| (state.to_owned(), since)).unzip();
        Self {
            id: id.to_owned(),
            state,
            since,
            causes: story.causes,
            complete: story.complete,
            earlier_ends: story.earlier_ends,
            last_run: story.last_run,
            next: Next { what: "none", text: "nothing by itself".to_owned(), ..Next::default() },
            ..Self::default()
        }
    }

    /// As the running supervisor says, which knows the present better than the journal.
    fn is_now(&mut self, component: &ComponentDocument, now: SystemTime) {
        self.supervised = true;
        self.state = Some(component.state.clone());
        self.detail.clone_from(&component.detail);
        self.wanted = Some(component.wanted);
        self.since = Some(component.since.clone());
        self.next = Next::of(component, self.causes.first().map(|cause| &cause.what), now);
    }

    /// As it was when the supervisor was last heard of.
    fn was(&mut self, last: Option<&EventDocument>) {
        self.supervisor_ended = last.map(|last| last.time.clone());
        let in_order = last.map(|last| matches!(last.what, What::SupervisorEnded { .. }));
        self.supervisor_ended_in_order = in_order;
        self.next.text = "nothing until the supervisor is started (`s7supervisor start`)".to_owned();
    }
}

impl Next {
    /// `newest` is what made its state, where the journal tells it.
    fn of(component: &ComponentDocument, newest: Option<&What>, now: SystemTime) -> Self {
        let is_about_to_end = matches!(newest, Some(What::Unready { why }) if why == "ending");
        let id = &component.id;
        let (what, text) = match component.state.as_str() {
            "backoff" | "tripped" => ("try", "it is tried again".to_owned()),
            "waiting" => {
                let on = component.waiting_for.as_deref().unwrap_or("others");
                ("wait", format!("it starts when {on} lets it"))
            }
            "starting" => ("wait", "it is up when it is ready, or has run for its start delay".to_owned()),
            "stopping" if component.survivors.is_some() => {
                ("wait", "nothing until what was killed and lives on has ended".to_owned())
            }
            "stopping" => ("kill", "what does not end in time is killed".to_owned()),
            "unready" if is_about_to_end => ("wait", "it said that it is about to end".to_owned()),
            "unready" => ("wait", "it is up again when it says so".to_owned()),
            "failed" => ("none", format!("nothing by itself: `s7supervisor start {id}` tries again")),
            "stopped" => ("none", format!("nothing until somebody starts it: `s7supervisor start {id}`")),
            _ => ("none", "nothing by itself".to_owned()),
        };
        let after = component.next_try.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let at = after
            .and_then(|after| now.checked_add(after))
            .map(|at| DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true));
        Self { what, after: component.next_try, at, text }
    }
}

#[expect(clippy::disallowed_methods, reason = "people are told how long ago something was")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests;

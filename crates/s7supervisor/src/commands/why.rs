//! `why`: what made a component what it is, what is left of its last run, and what happens next.
//!
//! - `story`: from the journal to the chain of causes
//! - `next`: what happens next by itself
//! - `prose`: the same in words

mod next;
mod prose;
mod story;

use std::path::Path;
use std::time::SystemTime;

use clap::Args;
use serde::Serialize;
use supervisor_control::journal::Past;
use supervisor_control::wire::{ComponentDocument, EventDocument, StatusDocument, What};
use supervisor_control::{Client, ClientError};

use self::next::Next;
use self::story::{LastRun, Story};
use crate::arguments::Place;
use crate::completing;
use crate::control;
use crate::exit::{Ended, Exit, Failure};
use crate::past;
use crate::say;

/// `why`
#[derive(Args, Debug)]
pub(crate) struct Why {
    /// The component
    #[arg(value_name = "ID", add = completing::ids())]
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

/// So many are followed from whom one waits for to whom that one waits for.
const MOST_AWAITED: usize = 64;

/// Tells why a component is in its state.
pub(crate) fn why(place: &Place, asked: &Why) -> Ended {
    let temp = place.find_temp()?;
    let client = control::connect_in(&temp)?;
    let names = std::slice::from_ref(&asked.id);
    let ids = past::meant(names, client.as_ref(), &past::read(&temp)?)?;
    let [id] = ids.as_slice() else {
        let message =
            format!("{:?} means {} components: {}; name one of them", asked.id, ids.len(), ids.join(", "));
        return Err(Failure::new(Exit::Invalid, say::printable(message)));
    };
    // The state first and then the causes: what has just happened is written by then.
    let status = client.as_ref().map(|client| status(client, id)).transpose()?.flatten();
    let (component, began) = match status {
        Some(status) => (status.components.into_iter().next(), status.supervisor.began),
        None => (None, None),
    };
    let now = past::wall_clock();
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

/// So much of the end of the journal is read for a line, and so many of its events.
const END: (u64, usize) = (1 << 20, 200);

/// In a line, what has made a component what it is; `None` where the newest part of the journal does not tell. `began`: when
/// the supervisor began.
pub(crate) fn in_a_line(
    temp: &Path,
    component: &ComponentDocument,
    began: Option<&str>,
    now: SystemTime,
) -> Option<String> {
    let (bytes, events) = END;
    let past = past::read_end(temp, bytes).ok()?;
    let documents = past.entries_about(&component.id).rev().map(|entry| entry.document).take(events);
    let documents: Vec<_> = documents.collect();
    let beginning = documents.iter().find(|document| past::is_beginning(document));
    if beginning.zip(began).is_some_and(|(newest, began)| newest.time != began) {
        return None;
    }
    let story = Story::of(&component.id, Some(&component.state), documents.into_iter());
    prose::in_a_line(&story.causes, &component.id, now)
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
        let awaited = self.awaited(asked)?;
        let mut answer = self.answer(id, asked, awaited.last());
        if let Some(other) = awaited.first() {
            answer.waiting_for = Some(Box::new(self.answer(&other.id, Some(other), awaited.last())));
        }
        Ok(answer)
    }

    /// Whom it waits for, whom that one waits for, and so on: the last one waits for nobody.
    fn awaited(&self, asked: Option<&ComponentDocument>) -> Result<Vec<ComponentDocument>, Failure> {
        let mut awaited: Vec<ComponentDocument> = Vec::new();
        while let (Some(client), Some(last)) = (self.client, awaited.last().or(asked)) {
            let Some(next) = last.waiting_for.as_ref().filter(|_| awaited.len() < MOST_AWAITED) else {
                break;
            };
            let status = status(client, next)?;
            let Some(next) = status.and_then(|status| status.components.into_iter().next()) else { break };
            awaited.push(next);
        }
        Ok(awaited)
    }

    /// All that is known of `id`. `root` is the last of those that it waits for.
    fn answer(
        &self,
        id: &str,
        component: Option<&ComponentDocument>,
        root: Option<&ComponentDocument>,
    ) -> Answer {
        let documents = || self.past.entries().rev().map(|entry| entry.document);
        let state = component.map(|component| component.state.as_str());
        let story = if self.is_its_own { Story::of(id, state, documents()) } else { Story::default() };
        let mut answer = Answer::new(id, story);
        match (self.client, component) {
            (Some(_), Some(component)) => answer.is_now(component, root, self.now),
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
            next: Next::nothing(),
            ..Self::default()
        }
    }

    /// As the running supervisor says, which knows the present better than the journal.
    fn is_now(&mut self, component: &ComponentDocument, root: Option<&ComponentDocument>, now: SystemTime) {
        self.supervised = true;
        self.state = Some(component.state.clone());
        self.detail.clone_from(&component.detail);
        self.wanted = Some(component.wanted);
        self.since = Some(component.since.clone());
        let made_its_state = |what: &&What| !matches!(what, What::Requested { .. });
        let newest = self.causes.iter().map(|cause| &cause.what).find(made_its_state);
        self.next = Next::of(component, newest, root, now);
    }

    /// As it was when the supervisor was last heard of.
    fn was(&mut self, last: Option<&EventDocument>) {
        self.supervisor_ended = last.map(|last| last.time.clone());
        let in_order = last.map(|last| matches!(last.what, What::SupervisorEnded { .. }));
        self.supervisor_ended_in_order = in_order;
        self.next.text = "nothing until the supervisor is started (`s7supervisor start`)".to_owned();
    }
}

#[cfg(test)]
mod tests;

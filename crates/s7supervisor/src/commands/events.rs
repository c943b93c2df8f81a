//! `events`: what happened, from the journal, and with `-f` what happens, from the running supervisor.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use chrono::{DateTime, Local};
use clap::Args;
use supervisor_control::journal::{Entry, Past};
use supervisor_control::wire::{EventDocument, What};
use supervisor_control::{Client, Follow};

use crate::arguments::Place;
use crate::completing;
use crate::control;
use crate::exit::{Ended, Exit, Failure};
use crate::{os, past, say};

/// `events`
#[derive(Args, Debug)]
pub(crate) struct Events {
    /// The components: ids, names of several instances, or patterns ('web-*') [default: all]
    #[arg(value_name = "ID", add = completing::ids())]
    ids: Vec<String>,

    /// Go on with what happens, until the supervisor ends or Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// How many of the past to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    lines: usize,

    /// Print one JSON document a line
    #[arg(long)]
    json: bool,
}

pub(crate) const HELP: &str = "\
The past is read from the journal in the temp folder, also while the supervisor
is not running; it holds some tens of thousands of events. See `why ID` for
those that explain the state of a component.

Exit codes:
  0    all was told; with -f: Ctrl-C, or the supervisor has ended
  2    unknown ID
  7    -f: the supervisor is not running; else: and there is no journal either

Examples:
  s7supervisor events
  s7supervisor events ps -f
  s7supervisor events -n 1000 --json";

/// Tells events.
pub(crate) fn events(place: &Place, asked: &Events) -> Ended {
    let temp = place.find_temp()?;
    let client = control::connect_in(&temp)?;
    let past = past::read(&temp)?;
    let ids = match asked.ids.as_slice() {
        [] if client.is_none() && past.is_empty() => return Err(past::nothing_known()),
        [] => None,
        names => Some(past::meant(names, client.as_ref(), &past)?),
    };
    let telling = Telling { ids, json: asked.json };
    if !asked.follow {
        telling.newest(&past, asked.lines);
        return Ok(Exit::Done);
    }
    let client = client.ok_or_else(|| {
        let advice = "start it with `s7supervisor start`";
        Failure::new(Exit::NotRunning, format!("the supervisor is not running: {advice}"))
    })?;
    follow(client, temp, &telling, asked.lines)
}

/// Tells the newest of the past, and then what happens.
fn follow(client: Client, temp: PathBuf, telling: &Telling, lines: usize) -> Ended {
    os::waiting::end_on_signals()?;
    let mut past = past::read(&temp)?;
    let supervisor = client.status(&[]).map_err(|error| control::failure(&error))?.supervisor;
    if !past::is_of(&past, supervisor.began.as_deref()) {
        // It has replaced another one since, or has not written yet.
        past = past::read(&temp)?;
    }
    telling.newest(&past, lines);
    let last = last_of(&past, supervisor.began.as_deref());
    let mut follower = Follower { telling, temp, life: supervisor.life(), began: supervisor.began, last };
    let mut coming = Some(follower.follow(client)?);
    while let Some(mut lines) = coming.take() {
        while let Some(line) = lines.next() {
            let is_replaced =
                follower.heed(&line.map_err(|error| control::failure(&error))?, lines.life())?;
            if say::reader_is_gone() {
                break;
            }
            if is_replaced {
                coming = follower.follow_the_next()?;
                break;
            }
        }
    }
    Ok(Exit::Done)
}

/// The number of the last event that the journal tells of the supervisor that began then, if it tells of it.
fn last_of(past: &Past, began: Option<&str>) -> Option<u64> {
    let last = past.entries().next_back()?.document.seq;
    past::is_of(past, began).then_some(last)
}

/// Somebody who follows.
struct Follower<'a> {
    telling: &'a Telling,
    temp: PathBuf,
    /// By what the supervisor is known whose events are told, and when it began.
    life: Option<u64>,
    began: Option<String>,
    /// The number of the last event that was told.
    last: Option<u64>,
}

impl Follower<'_> {
    /// What happens after the last event that was told. What the journal had not yet, the supervisor tells first.
    fn follow(&self, client: Client) -> Result<Follow, Failure> {
        let coming = match self.life {
            Some(life) => client.follow_after(life, self.last.unwrap_or(0)),
            None => client.follow(),
        };
        coming.map_err(|error| control::failure(&error))
    }

    /// Tells an event of this life, unless it was told already. What is missing before it is in the journal by now. Whether it is
    /// the last of a supervisor that another one replaces.
    fn heed(&mut self, line: &str, life: Option<u64>) -> Result<bool, Failure> {
        let document: EventDocument = serde_json::from_str(line)
            .map_err(|error| Failure::failed(format!("cannot understand the supervisor's event: {error}")))?;
        if matches!(document.what, What::Upgrading { .. }) {
            return Ok(true);
        }
        if self.life.is_some() && life.is_some() && life != self.life {
            // Another supervisor, which counts anew.
            (self.life, self.last) = (life, None);
        }
        if past::is_beginning(&document) {
            self.began = Some(document.time.clone());
        }
        let seq = document.seq;
        let is_gap = matches!(document.what, What::Lost { count: 0, .. });
        if !is_gap && self.last.is_some_and(|last| seq <= last) {
            return Ok(false);
        }
        let lost = matches!(document.what, What::Lost { .. });
        let missing = self.last.map(|last| last + 1..=if lost { seq } else { seq - 1 });
        let filled = match missing.filter(|missing| !missing.is_empty()) {
            Some(missing) => self.fill(&missing)?,
            None => 0,
        };
        if !lost || filled == 0 {
            self.telling.tell(&Entry { line, document });
        }
        self.last = Some(seq);
        Ok(false)
    }

    /// Goes on with the supervisor that has replaced the one before, which tells first what has happened meanwhile.
    fn follow_the_next(&self) -> Result<Option<Follow>, Failure> {
        let Some(client) = control::connect_in(&self.temp)? else { return Ok(None) };
        self.follow(client).map(Some)
    }

    /// Tells these from the journal, and how many they are.
    fn fill(&self, missing: &RangeInclusive<u64>) -> Result<usize, Failure> {
        let past = past::read(&self.temp)?;
        if !past::is_of(&past, self.began.as_deref()) {
            return Ok(0);
        }
        let of_its_life = |entry: &Entry<'_>| !past::is_beginning(&entry.document);
        let mut entries: Vec<_> = past.entries().rev().take_while(of_its_life).collect();
        entries.retain(|entry| missing.contains(&entry.document.seq));
        entries.iter().rev().for_each(|entry| self.telling.tell(entry));
        Ok(entries.len())
    }
}

/// Which events are told, and how.
struct Telling {
    ids: Option<Vec<String>>,
    json: bool,
}

impl Telling {
    /// Tells the newest so many of the past, the oldest of them first.
    fn newest(&self, past: &Past, count: usize) {
        let newest: Vec<_> = past.entries().rev().filter(|entry| self.concerns(entry)).take(count).collect();
        newest.iter().rev().for_each(|entry| self.tell(entry));
    }

    fn tell(&self, entry: &Entry<'_>) {
        if !self.concerns(entry) {
            return;
        }
        if self.json {
            say::answer(entry.line);
        } else {
            say::answer(&line(&entry.document));
        }
    }

    /// Whether it is about one of them; what is missing concerns everybody.
    fn concerns(&self, entry: &Entry<'_>) -> bool {
        let Some(ids) = &self.ids else { return true };
        match &entry.document.component {
            Some(id) => ids.contains(id),
            None => matches!(entry.document.what, What::Lost { .. }),
        }
    }
}

/// An event for people, in one line: `2026-11-22 03:12:04.125 redis: crashed: exit code 1 after 5s (run 3)`.
fn line(document: &EventDocument) -> String {
    let time = DateTime::parse_from_rfc3339(&document.time).map_or_else(
        |_| document.time.clone(),
        |time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
    );
    let subject = document.component.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
    let run = document.run.map(|run| format!(" (run {run})")).unwrap_or_default();
    say::printable(format!("{time} {subject}{}{run}", document.text))
}

//! What has happened in a simulated world, as lines for people and for programs, and what it comes to.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use supervisor::{ComponentId, Event, EventKind, RunId, Status};
use supervisor_control::wire::What;

use super::script::Request;
use super::tally::Tally;
use super::words;
use crate::table::{self, Column};

/// What has happened.
#[derive(Default)]
pub(super) struct Timeline {
    moments: Vec<Moment>,
    /// How many events of the world have been noted.
    noted: usize,
    tallies: HashMap<ComponentId, Tally>,
    /// The components in start order, once everything is over.
    order: Vec<ComponentId>,
    /// When everything was over.
    end: Duration,
    /// Whether there was too much to go on.
    is_cut_off: bool,
}

/// Something that happened at one time to one component, or to all.
struct Moment {
    at: Duration,
    component: Option<ComponentId>,
    what: Happening,
}

/// What happened.
enum Happening {
    /// The supervisor has told of it.
    Told(EventKind),
    /// The script has done it, which the supervisor knows nothing of.
    Done { event: &'static str, text: String },
}

/// A moment for programs: what `events --json` tells, with the virtual time instead of the real one.
#[derive(Serialize)]
struct MomentDocument<'a> {
    at: f64,
    component: Option<&'a str>,
    run: Option<u64>,
    #[serde(flatten)]
    what: WhatDocument,
    text: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WhatDocument {
    Told(What),
    Done { event: &'static str },
}

/// What the moments of one component come to, for programs.
#[derive(Serialize)]
struct SummaryDocument<'a> {
    at: f64,
    component: &'a str,
    event: &'static str,
    runs: usize,
    restarts: u64,
    trips: u64,
    up: f64,
    text: &'a str,
}

impl Timeline {
    /// Notes those of all events that have not been noted yet.
    pub(super) fn note(&mut self, events: &[Event]) {
        for event in events.get(self.noted..).unwrap_or_default() {
            if let Some(id) = &event.component {
                self.tallies.entry(id.clone()).or_default().note(event);
            }
            let what = Happening::Told(event.kind.clone());
            self.moments.push(Moment { at: event.at, component: event.component.clone(), what });
        }
        self.noted = events.len();
    }

    /// Notes that the script kills a component.
    pub(super) fn killed(&mut self, at: Duration, id: &ComponentId) {
        let what = Happening::Done { event: "killedFromOutside", text: "killed from outside".to_owned() };
        self.moments.push(Moment { at, component: Some(id.clone()), what });
    }

    /// Notes that a request is refused.
    pub(super) fn refused(&mut self, at: Duration, request: &Request, why: &str) {
        let verb = request.verb.word();
        let component = match request.ids.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        let what = Happening::Done { event: "refused", text: format!("{verb} refused: {why}") };
        self.moments.push(Moment { at, component, what });
    }

    /// Notes that the rest is left out.
    pub(super) fn cut_off(&mut self) {
        self.is_cut_off = true;
    }

    /// Notes the end of the simulated time, and how everything is then.
    pub(super) fn finish(&mut self, now: Duration, status: &Status, runs: impl Fn(&str) -> usize) {
        self.end = now;
        for component in &status.components {
            let tally = self.tallies.entry(component.id.clone()).or_default();
            tally.finish(now, component, runs(component.id.as_str()));
            self.order.push(component.id.clone());
        }
    }

    /// What became of each component, in start order.
    fn tallies(&self) -> impl Iterator<Item = (&ComponentId, &Tally)> {
        self.order.iter().filter_map(|id| Some((id, self.tallies.get(id)?)))
    }

    /// When it was cut off, if it was.
    pub(super) fn is_cut_off(&self) -> Option<String> {
        self.is_cut_off.then(|| clock(self.end))
    }

    /// A line for each moment, and a table of what they come to.
    pub(super) fn for_people(&self) -> String {
        let lines = self.lines();
        let clocks: Vec<_> = lines.iter().map(|(at, ..)| clock(*at)).collect();
        let clock_width = clocks.iter().map(String::len).max().unwrap_or_default();
        let widths =
            lines.iter().map(|(_, component, _)| component.as_ref().map_or(0, |id| id.as_str().len()));
        let width = widths.max().unwrap_or_default();
        let mut text = String::new();
        for ((_, component, words), clock) in lines.iter().zip(clocks) {
            let component = component.map_or("", ComponentId::as_str);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{clock:>clock_width$}  {component:width$}  {words}");
        }
        text.push('\n');
        text.push_str(&self.table());
        text
    }

    /// A JSON document for each event, then one for each component, each in a line.
    pub(super) fn for_programs(&self) -> serde_json::Result<String> {
        let moments = self.moments.iter().filter_map(Moment::document);
        let mut lines: Vec<_> =
            moments.map(|moment| serde_json::to_string(&moment)).collect::<Result<_, _>>()?;
        for (id, tally) in self.tallies() {
            let (at, up) = (self.end.as_secs_f64(), tally.up.as_secs_f64());
            let Tally { runs, restarts, trips, state: text, .. } = tally;
            let (component, event) = (id.as_str(), "summary");
            let (runs, restarts, trips) = (*runs, *restarts, *trips);
            let summary = SummaryDocument { at, component, event, runs, restarts, trips, up, text };
            lines.push(serde_json::to_string(&summary)?);
        }
        Ok(lines.join("\n"))
    }

    /// The moments for people: what follows from an end at once stands in the line of that end.
    fn lines(&self) -> Vec<(Duration, Option<&ComponentId>, String)> {
        let mut lines: Vec<(Duration, Option<&ComponentId>, String)> = Vec::with_capacity(self.moments.len());
        let mut last: HashMap<&ComponentId, (usize, &Moment)> = HashMap::new();
        for moment in &self.moments {
            let Some(words) = moment.words() else { continue };
            let id = moment.component.as_ref();
            let before = id.and_then(|id| last.get(id)).filter(|(_, before)| before.at == moment.at);
            let before = before.and_then(|(line, before)| Some((*line, before.told()?)));
            let mut line = lines.len();
            match (before, moment.told()) {
                (Some((place, before)), Some(told)) if words::continues(told, before) => {
                    line = place;
                    lines[line].2 = format!("{}; {words}", lines[line].2);
                }
                (Some((place, before)), Some(told)) if words::replaces(told, before) => {
                    line = place;
                    lines[line].2 = words;
                }
                (Some((place, before)), Some(EventKind::Spawned { .. })) if words::decides(before) => {
                    lines[place].2.push_str("; next try at once");
                    lines.push((moment.at, id, words));
                }
                _ => lines.push((moment.at, id, words)),
            }
            if let Some(id) = id {
                last.insert(id, (line, moment));
            }
        }
        lines
    }

    fn table(&self) -> String {
        let headings = ["ID", "RUNS", "RESTARTS", "TRIPS", "UP", "FINALLY"];
        let columns = headings.map(|heading| Column { heading, breaks: heading == "FINALLY" });
        let rows = self.tallies().map(|(id, tally)| {
            vec![
                id.to_string(),
                tally.runs.to_string(),
                tally.restarts.to_string(),
                tally.trips.to_string(),
                self.share(tally.up),
                tally.state.clone(),
            ]
        });
        table::render(&columns, rows)
    }

    /// A part of the simulated time in percent, rounded down: what was not up all the time never has 100 %.
    fn share(&self, part: Duration) -> String {
        let per_mille = (part.as_nanos() * 1_000).checked_div(self.end.as_nanos());
        per_mille.map_or_else(|| "-".to_owned(), |share| format!("{}.{} %", share / 10, share % 10))
    }
}

impl Moment {
    /// What the supervisor has told, if it has.
    fn told(&self) -> Option<&EventKind> {
        match &self.what {
            Happening::Told(kind) => Some(kind),
            Happening::Done { .. } => None,
        }
    }

    fn words(&self) -> Option<String> {
        match &self.what {
            Happening::Told(kind) => words::words(kind),
            Happening::Done { text, .. } => Some(text.clone()),
        }
    }

    /// For programs. `None` of what says nothing.
    fn document(&self) -> Option<MomentDocument<'_>> {
        Some(MomentDocument {
            at: self.at.as_secs_f64(),
            component: self.component.as_ref().map(ComponentId::as_str),
            run: self.told().and_then(EventKind::run).map(RunId::number),
            what: match &self.what {
                Happening::Told(kind) => WhatDocument::Told(What::from(kind)),
                Happening::Done { event, .. } => WhatDocument::Done { event },
            },
            text: self.words()?,
        })
    }
}

/// A time of the simulated world: hours, minutes, seconds and milliseconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}.{:03}", seconds % 60, time.subsec_millis())
}

//! The journal of the `temp` folder, as commands read it: also while no supervisor runs.

use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local};
use supervisor_control::journal::{FILE, Folder, Past};
use supervisor_control::wire::{EventDocument, What};
use supervisor_control::{Client, ClientError};

use crate::control;
use crate::exit::{Exit, Failure};
use crate::say;

/// How much an ID must be like another one to be suggested for it.
const LIKENESS: f64 = 0.7;

/// Reads the journal of this `temp` folder; where there is none, nothing is known.
pub(crate) fn read(temp: &Path) -> Result<Past, Failure> {
    read_end(temp, u64::MAX)
}

/// Likewise, but no more than so many bytes of its end.
pub(crate) fn read_end(temp: &Path, limit: u64) -> Result<Past, Failure> {
    let past = match Folder::open(temp) {
        Ok(folder) => Past::read_end(&folder, limit),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Past::default()),
        Err(error) => Err(error),
    };
    past.map_err(|error| {
        let (exit, advice) = match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                (Exit::Unknown, "use root or the account that runs the supervisor")
            }
            _ => (Exit::Failed, "mend that, or name another folder with --temp"),
        };
        Failure::new(exit, format!("cannot read {}: {error}; {advice}", temp.join(FILE).display()))
    })
}

/// The components that these names mean: by the running supervisor, else those that the journal tells of. Without a
/// supervisor and without a journal, nothing is known at all.
pub(crate) fn meant(names: &[String], client: Option<&Client>, past: &Past) -> Result<Vec<String>, Failure> {
    let Some(client) = client else {
        if past.is_empty() {
            return Err(nothing_known());
        }
        let known = ids(past);
        let meant: Result<Vec<_>, _> = names.iter().map(|name| meant_by(name, &known)).collect();
        return Ok(meant?.concat());
    };
    match client.status(names) {
        Ok(status) => Ok(status.components.into_iter().map(|component| component.id).collect()),
        Err(error @ ClientError::Refused { status: 404, .. }) => {
            // One that the registry has no more may have a past all the same.
            let known = ids(past);
            let old = names.iter().all(|name| known.contains(name));
            if old { Ok(names.to_vec()) } else { Err(control::failure(&error)) }
        }
        Err(error) => Err(control::failure(&error)),
    }
}

/// Whether this is the journal of the supervisor that began then, and not of an older one, if the one that runs cannot
/// write. One that does not go back to any beginning is: it is so full of what the newest one has done.
pub(crate) fn is_of(past: &Past, began: Option<&str>) -> bool {
    let newest = past.entries().rev().map(|entry| entry.document).find(is_beginning);
    match (newest, began) {
        (Some(newest), Some(began)) => newest.time == began,
        _ => true,
    }
}

/// Whether a supervisor began here.
pub(crate) fn is_beginning(document: &EventDocument) -> bool {
    matches!(document.what, What::SupervisorStarted { .. })
}

/// There is no supervisor to ask and no journal to read.
pub(crate) fn nothing_known() -> Failure {
    let advice = "start it with `s7supervisor start`";
    Failure::new(
        Exit::NotRunning,
        format!("the supervisor is not running, and there is no journal of the past; {advice}"),
    )
}

/// All components that the journal tells of.
fn ids(past: &Past) -> Vec<String> {
    let mut ids: Vec<_> = past.entries().filter_map(|entry| entry.document.component).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The components that a name means: an id, a pattern, or the common name of several instances.
fn meant_by(name: &str, known: &[String]) -> Result<Vec<String>, Failure> {
    if known.iter().any(|id| id == name) {
        return Ok(vec![name.to_owned()]);
    }
    let pattern = glob::Pattern::new(name).ok().filter(|_| name.contains(['*', '?', '[']));
    let is_instance = |id: &str| {
        let number = id.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let is_meant = |id: &&String| pattern.as_ref().map_or(is_instance(id), |pattern| pattern.matches(id));
    let meant: Vec<_> = known.iter().filter(is_meant).cloned().collect();
    if meant.is_empty() { Err(unknown(name, known)) } else { Ok(meant) }
}

fn unknown(name: &str, known: &[String]) -> Failure {
    let likeness = |id: &&String| strsim::jaro_winkler(&id.to_ascii_lowercase(), &name.to_ascii_lowercase());
    let most_like = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    let suggestion = match most_like.filter(|id| likeness(id) > LIKENESS) {
        Some(id) => format!("; did you mean {id:?}?"),
        None => String::new(),
    };
    let name = name.chars().take(80).collect::<String>();
    let message = format!("the journal knows no component {name:?}{suggestion}");
    Failure::new(Exit::Invalid, say::printable(message))
}

/// A time of a document for people here: with its date, unless that is today's.
pub(crate) fn local_time(time: &str, now: SystemTime) -> String {
    let Ok(time) = DateTime::parse_from_rfc3339(time) else { return "at some time".to_owned() };
    let (time, now) = (time.with_timezone(&Local), DateTime::<Local>::from(now));
    let format = if time.date_naive() == now.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    time.format(format).to_string()
}

/// The time for people.
#[expect(clippy::disallowed_methods, reason = "people are told how long ago something was")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// How long ago a time of a document was.
pub(crate) fn time_since(time: &str, now: SystemTime) -> Duration {
    // To the second: the two clocks that are compared here are not the same.
    let since = parse(time).and_then(|time| now.duration_since(time).ok()).unwrap_or_default();
    Duration::from_secs(since.as_secs())
}

/// How long it was from one time of a document to another one.
pub(crate) fn time_between(one: &str, other: &str) -> Duration {
    let times = parse(one).zip(parse(other));
    times.and_then(|(one, other)| other.duration_since(one).ok()).unwrap_or_default()
}

fn parse(time: &str) -> Option<SystemTime> {
    DateTime::parse_from_rfc3339(time).ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_journal_tells_of_and_an_unknown_one_is_told_what_it_looks_like() {
        let known = ["is", "web-1", "web-2", "web-admin"].map(str::to_owned);
        let meant = |name: &str| meant_by(name, &known);
        assert_eq!(meant("is").unwrap(), ["is"]);
        assert_eq!(meant("web").unwrap(), ["web-1", "web-2"]);
        assert_eq!(meant("web-*").unwrap(), ["web-1", "web-2", "web-admin"]);
        let failure = meant("wbe-1").unwrap_err();
        assert_eq!(failure.exit, Exit::Invalid);
        assert!(failure.message.contains("did you mean \"web-1\"?"), "{failure}");
        assert!(!meant("zzz").unwrap_err().message.contains("mean"));
    }

    #[test]
    fn a_time_of_today_needs_no_date() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T12:00:00Z").unwrap().into();
        assert_eq!(local_time("2026-11-22T12:00:00.000Z", now).len(), "12:00:00".len());
        assert!(local_time("2026-11-20T12:00:00.000Z", now).starts_with("2026-11-20 "));
        assert_eq!(local_time("soon", now), "at some time");
    }
}

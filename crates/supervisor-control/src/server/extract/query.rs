//! What stands in the query of a question.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use axum::extract::FromRequestParts;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use supervisor::{Targets, Until};

use super::{SECONDS, bad, named, read_query, refuse_if_crowded, wait_of};
use crate::server::problem::Problem;
use crate::server::resume::Position;
use crate::server::{App, journal, logs};

/// So many lines and events are told where nobody says how many.
const USUAL: usize = 100;

/// The header by which whoever was away says what it has.
const LAST_EVENT_ID: &str = "last-event-id";

/// The parameters of a query that are not read yet.
pub(super) struct Pairs(Vec<(String, String)>);

impl Pairs {
    pub(super) fn of(parts: &Parts) -> Result<Self, Problem> {
        read_query(parts).map(Self)
    }

    /// The components that `id=NAME`, any number of times, means.
    pub(super) fn targets(&mut self) -> Result<Option<Targets>, Problem> {
        let names: Vec<_> = self.0.extract_if(.., |(key, _)| key == "id").map(|(_, name)| name).collect();
        if names.is_empty() { Ok(None) } else { named(names).map(Some) }
    }

    /// The value of a parameter that may be there once.
    fn value<T>(
        &mut self,
        key: &str,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let mut values = self.0.extract_if(.., |(its, _)| its == key);
        let (value, another) = (values.next(), values.next());
        drop(values);
        match (value, another) {
            (_, Some(_)) => Err(bad(format!("cannot read the query: {key} stands there twice"))),
            (None, None) => Ok(None),
            (Some((_, value)), None) => match read(&value) {
                Some(value) => Ok(Some(value)),
                None => Err(bad(format!("cannot read the query: {key} must be {what}"))),
            },
        }
    }

    fn lines(&mut self, most: usize) -> Result<usize, Problem> {
        let read = |value: &str| value.parse().ok().filter(|lines| *lines <= most);
        Ok(self.value("lines", &format!("a number from 0 to {most}"), read)?.unwrap_or(USUAL))
    }

    fn timeout(&mut self) -> Result<Option<Duration>, Problem> {
        self.value("timeout", SECONDS, |value| value.parse().ok().and_then(wait_of))
    }

    /// Nothing else may stand there.
    pub(super) fn end(self, known: &[&str]) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => {
                let key: String = key.chars().take(80).collect();
                let known = known.join(", ");
                Err(bad(format!("cannot read the query: unknown parameter {key:?}, expected {known}")))
            }
        }
    }
}

/// Whose state is asked for, and what is waited for before: `?wait=ready`, no longer than `timeout`.
pub(in crate::server) struct Awaited {
    pub(in crate::server) targets: Option<Targets>,
    pub(in crate::server) until: Option<Until>,
    pub(in crate::server) timeout: Option<Duration>,
}

impl FromRequestParts<App> for Awaited {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let mut query = Pairs::of(parts)?;
        let targets = query.targets()?;
        let until = query.value("wait", "ready, started or stopped", |value| match value {
            "ready" => Some(Until::Ready),
            "started" => Some(Until::Started),
            "stopped" => Some(Until::Stopped),
            _ => None,
        })?;
        let timeout = query.timeout()?;
        query.end(&["id", "wait", "timeout"])?;
        if until.is_some() {
            refuse_if_crowded(parts)?;
        }
        Ok(Self { targets, until, timeout })
    }
}

/// Which events of the past are asked for.
pub(in crate::server) struct JournalQuery {
    pub(in crate::server) lines: usize,
    /// `None`: all, and those of the supervisor itself.
    pub(in crate::server) targets: Option<Targets>,
    pub(in crate::server) since: Option<SystemTime>,
}

impl FromRequestParts<App> for JournalQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let mut query = Pairs::of(parts)?;
        let (lines, targets) = (query.lines(journal::MOST)?, query.targets()?);
        let since = query.value("since", "a time as 2026-11-22T13:14:15Z", |value| {
            chrono::DateTime::parse_from_rfc3339(value).ok().map(SystemTime::from)
        })?;
        query.end(&["id", "lines", "since"])?;
        Ok(Self { lines, targets, since })
    }
}

/// Which stream of a component is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Which {
    /// Standard output, with standard error where that joins it.
    Stdout,
    /// Standard error, where that has files of its own.
    Stderr,
}

/// Which lines are asked for.
pub(in crate::server) struct LogQuery {
    pub(in crate::server) lines: usize,
    pub(in crate::server) which: Which,
    /// Whether what is written is told too.
    pub(in crate::server) follow: bool,
    /// Behind which line to go on.
    pub(in crate::server) after: Option<logs::Mark>,
}

impl FromRequestParts<App> for LogQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let mut query = Pairs::of(parts)?;
        let lines = query.lines(logs::MOST)?;
        let which = query.value("stream", "stdout or stderr", |value| match value {
            "stdout" => Some(Which::Stdout),
            "stderr" => Some(Which::Stderr),
            _ => None,
        })?;
        let follow = query.value("follow", "true or false", |value| value.parse().ok())?;
        query.end(&["follow", "lines", "stream"])?;
        let accepted = parts.headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok());
        let wants_events = accepted.is_some_and(|accepted| accepted.trim() == "text/event-stream");
        let follow = follow.unwrap_or(wants_events);
        if follow {
            refuse_if_crowded(parts)?;
        }
        Ok(Self { lines, which: which.unwrap_or(Which::Stdout), follow, after: last_event(parts)? })
    }
}

/// Behind which event somebody wants to go on who was away.
pub(in crate::server) struct LastEvent(pub(in crate::server) Option<Position>);

impl FromRequestParts<App> for LastEvent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Pairs::of(parts)?.end(&["nothing"])?;
        last_event(parts).map(Self)
    }
}

/// What whoever was away has, if it says so.
fn last_event<T: FromStr>(parts: &Parts) -> Result<Option<T>, Problem> {
    let Some(value) = parts.headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let last = value.to_str().ok().and_then(|value| value.parse().ok());
    last.map(Some).ok_or_else(|| bad("cannot go on from there: that Last-Event-ID is none of this server's"))
}

//! What has happened, as it was written down.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use supervisor::ComponentId;

use super::App;
use super::extract::JournalQuery;
use super::problem::Problem;
use crate::journal::Reader;

/// So many events are told at most, and so many bytes of them: the newest.
pub(super) const MOST: usize = 10_000;
const LARGEST: usize = 4 << 20;

/// Which events are told.
pub(super) struct Wanted {
    pub(super) count: usize,
    /// Of these components; `None`: all, and those of the supervisor.
    pub(super) components: Option<HashSet<ComponentId>>,
    pub(super) since: Option<SystemTime>,
}

/// The newest events that are wanted, the oldest first.
pub(super) async fn journal(State(app): State<App>, query: JournalQuery) -> Result<Response, Problem> {
    let Some(reader) = app.journal.clone() else {
        let detail = "this supervisor is part of another program and keeps no journal";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let components = query.targets.map(|targets| app.handle.meant_by(&targets)).transpose()?;
    let components = components.map(|ids| ids.into_iter().collect());
    let wanted = Wanted { count: query.lines, components, since: query.since };
    let list = app.reading.read(move || newest(&reader, &wanted)).await?;
    let kind = HeaderValue::from_static("application/json");
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, kind)], list).into_response())
}

/// They, as a list of documents.
fn newest(reader: &Reader, wanted: &Wanted) -> io::Result<String> {
    let (mut lines, mut held, mut length) = (reader.lines()?, VecDeque::new(), 0);
    while let Some((line, document)) = lines.next()? {
        let is_meant = wanted.components.as_ref().is_none_or(|components| {
            let id = document.component.as_deref().and_then(|id| ComponentId::new(id).ok());
            id.is_some_and(|id| components.contains(&id))
        });
        let is_new = wanted.since.is_none_or(|since| document.at().is_some_and(|at| at >= since));
        if !is_meant || !is_new {
            continue;
        }
        length += line.len();
        held.push_back(line.to_owned());
        while held.len() > wanted.count || length > LARGEST {
            length -= held.pop_front().map_or(length, |line| line.len());
        }
    }
    let held: Vec<_> = held.into();
    Ok(format!("[{}]", held.join(",\n")))
}

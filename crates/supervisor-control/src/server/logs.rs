//! What components have written, as their log files have it, and what they write.
//!
//! Nothing is asked of the supervisor but whose log is meant, and whoever writes notices nothing.
//!
//! - `shelf`: the files of a log, found from the end, and from one to the next
//! - `follow`: what is written, as the kernel tells it

mod follow;
mod shelf;

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use supervisor::{LineForm, LogSettings, Output, ProcessSpec, Stderr};
use tokio::sync::Semaphore;

use self::shelf::Shelf;
use super::App;
use super::extract::{LogQuery, Name, Which};
use super::problem::{Problem, json};
use super::routes::endless;
use crate::os::FileId;
use crate::wire::LineDocument;

/// So many lines are told at most.
pub(super) const MOST: usize = 10_000;

/// A log of a component.
#[derive(Clone, Debug)]
struct Log {
    id: String,
    settings: LogSettings,
    /// What alone comes there, if only one does.
    stream: Option<&'static str>,
}

/// A place in a log: the file, by what it is known whatever its name, and how much of it was told. Written `1f3a-4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    file: FileId,
    offset: u64,
}

/// How many may follow logs. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Semaphore>);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }
}

/// The last lines, and what is written from then on if that is wanted.
pub(super) async fn logs(
    State(app): State<App>,
    Name(name): Name,
    query: LogQuery,
) -> Result<Response, Problem> {
    let log = meant(&app, &name, query.which)?;
    if !query.follow {
        let lines = app.reading.read(move || last_lines(&log, query.lines)).await?;
        return Ok(json(StatusCode::OK, &lines));
    }
    let place = Arc::clone(&app.log_places.0).try_acquire_owned().map_err(|_| {
        let detail = "cannot let more follow logs; try again later";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    let body = follow::begin(log, &query, app.reading.clone(), place).await?;
    let mut answer = Response::new(Body::new(body));
    endless(&mut answer);
    Ok(answer)
}

/// The log of the one component that is meant.
fn meant(app: &App, name: &str, which: Which) -> Result<Log, Problem> {
    let not_found = |detail: String| Problem::new(StatusCode::NOT_FOUND, detail);
    let specs = app.handle.specs(name)?;
    let [spec] = specs.as_slice() else {
        return Err(not_found(format!("{name:?} means {} components; name one of them", specs.len())));
    };
    let id = &spec.id;
    Log::of(spec, which).ok_or_else(|| {
        not_found(match which {
            Which::Stderr => format!("there is no file of standard error alone of {id}"),
            Which::Stdout => format!("there is no log of {id}"),
        })
    })
}

impl Log {
    fn of(spec: &ProcessSpec, which: Which) -> Option<Self> {
        let Output::File { log, stderr } = &spec.output else { return None };
        let (settings, stream) = match (stderr, which) {
            (Stderr::File, Which::Stderr) => (log.of_stderr(), Some("stderr")),
            (_, Which::Stderr) => return None,
            (Stderr::Join, Which::Stdout) => (log.clone(), None),
            (_, Which::Stdout) => (log.clone(), Some("stdout")),
        };
        Some(Self { id: spec.id.to_string(), settings, stream })
    }

    /// What a line of it says.
    fn read(&self, line: &[u8]) -> LineDocument {
        LineDocument::read(line, self.form(), &self.id, self.stream)
    }

    fn form(&self) -> LineForm {
        self.settings.form
    }
}

fn last_lines(log: &Log, count: usize) -> std::io::Result<Vec<LineDocument>> {
    let (_, lines) = Shelf::last(&log.settings, count)?;
    Ok(lines.iter().map(|(_, line)| log.read(line)).collect())
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (file, offset) = text.split_once('-').ok_or(())?;
        let file = FileId::from_str_radix(file, 16).map_err(drop)?;
        Ok(Self { file, offset: offset.parse().map_err(drop)? })
    }
}

//! `logs`: what components have written, and the supervisor's own log; with `-f` also what they write.
//!
//! ```text
//! source ──▶ shelf ──▶ start ──▶ past ──▶ teller
//! (whose)   (files)  (from where) (merged)   ▲
//!                                follow ─────┘ (what comes)
//! ```
//!
//! - `source`: which logs are meant, from the registry alone: the supervisor is never asked
//! - `shelf`: the files of a log, opened so that none is missed while they are renamed and compressed
//! - `text`: lines, forwards and backwards, in bounded memory
//! - `line`, `time`: what a line says, and when
//! - `start`: from where on lines are told, found from the end backwards
//! - `past`: the lines of several logs, merged by time
//! - `follow`: what is written from then on, as the kernel tells it
//! - `teller`: how lines are printed
//! - `echo`: the same for `run --output`, of all that is written while it runs

mod echo;
mod follow;
mod line;
mod past;
mod shelf;
mod source;
mod start;
mod teller;
mod text;
mod time;

use chrono::{DateTime, Utc};
use clap::Args;
use regex::bytes::{Regex, RegexBuilder};
use supervisor_control::wire::LogDocument;

pub(crate) use self::echo::{Also, Echo};
use self::follow::{Following, Until};
use self::line::Told;
use self::shelf::Shelf;
use self::teller::Teller;
use crate::arguments::Place;
use crate::exit::{Ended, Exit, Failure};
use crate::{completing, os, say};

/// So many lines of the past there are, where nobody says how many or since when.
const LINES: u64 = 20;

/// A compiled pattern has no more bytes than this.
const LARGEST_PATTERN: usize = 1 << 20;

/// `logs`
#[derive(Args, Debug)]
pub(crate) struct Logs {
    /// The components: ids, names of several instances, or patterns ('web-*') [default: the supervisor's own log]
    #[arg(value_name = "ID", add = completing::ids())]
    ids: Vec<String>,

    /// Go on with what is written, until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// How many of the last lines [default: 20, or all with --since]
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<u64>,

    /// Only lines since then: a time (2026-11-22T13:14:15+01:00, '2026-11-22 13:14', 2026-11-22), or so long ago (10m)
    #[arg(long, value_name = "TIME", value_parser = time::parse_since)]
    since: Option<DateTime<Utc>>,

    /// Only lines that match this regular expression
    #[arg(long, value_name = "PATTERN", value_parser = parse_pattern)]
    grep: Option<Regex>,

    /// Print one JSON document a line
    #[arg(long)]
    json: bool,

    /// Show standard error, of components that have a file of its own for it
    #[arg(long, requires = "ids")]
    stderr: bool,
}

pub(crate) const HELP: &str = "\
The lines of several components are merged by their times, each with the name of
its component before it. Files that were rotated or compressed are read too, and
the supervisor need not run. With -f, lines come as they are written, whatever
becomes of the files and of the supervisor.

The registry says where the files are: name it as it was named to the
supervisor (--registry, --set).

Exit codes:
  0    all was told; with -f: Ctrl-C
  2    unknown ID, or the registry cannot be read; the message says why
  4    no permission to read the files

Examples:
  s7supervisor logs
  s7supervisor logs ps -f
  s7supervisor logs 'web-*' --since 10m --grep 'ERROR|WARN'
  s7supervisor logs ps --since 2026-11-22 --json";

/// Tells lines.
pub(crate) fn logs(place: &Place, asked: &Logs) -> Ended {
    let sources = source::meant(place, &asked.ids, asked.stderr)?;
    // Of each log a file is open.
    os::raise_descriptor_limit();
    let wanted = Wanted::new(asked);
    let mut teller = Teller::new(&sources, asked.json);
    if asked.follow {
        os::waiting::end_on_signals()?;
        let following = Following::begin(&sources, &wanted)?;
        past::tell(&sources, following.shelves(), &wanted, &mut teller)?;
        following.follow(&mut teller, Until::Unread)?;
        return Ok(Exit::Done);
    }
    let shelves =
        sources.iter().map(|source| Shelf::look(&source.settings)).collect::<Result<Vec<_>, _>>()?;
    for (source, _) in sources.iter().zip(&shelves).filter(|(_, shelf)| shelf.is_empty()) {
        say::tell(&format!(
            "{} has no log yet: {} would be it",
            source.name(),
            source.settings.path.display()
        ));
    }
    past::tell(&sources, shelves.iter(), &wanted, &mut teller)?;
    Ok(Exit::Done)
}

/// Tells the last so many lines of a component's output, if there are any, under a heading that says where they are. The
/// supervisor has said where to look.
pub(crate) fn last_lines(id: &str, log: &LogDocument, count: u64) -> Result<(), Failure> {
    let source = source::told(id, log);
    let shelf = Shelf::look(&source.settings)?;
    let Some(newest) = shelf.volumes.last() else { return Ok(()) };
    let heading = format!("the last lines of its output ({}):", newest.stored.path().display());
    let mut teller = Teller::under(&say::printable(heading), "  | ");
    let wanted = Wanted { count: Some(count), ..Wanted::default() };
    past::tell(&[source], std::iter::once(&shelf), &wanted, &mut teller)
}

/// Which lines are told.
#[derive(Default)]
struct Wanted {
    /// At most so many of the past.
    count: Option<u64>,
    since: Option<DateTime<Utc>>,
    grep: Option<Regex>,
}

impl Wanted {
    fn new(asked: &Logs) -> Self {
        let usual = if asked.since.is_none() { Some(LINES) } else { None };
        Self { count: asked.lines.or(usual), since: asked.since, grep: asked.grep.clone() }
    }

    /// Whether it matches.
    fn concerns(&self, told: &Told<'_>) -> bool {
        self.grep.as_ref().is_none_or(|pattern| pattern.is_match(&told.line))
    }

    /// Whether what was said then is too old.
    fn is_before(&self, time: DateTime<Utc>) -> bool {
        self.since.is_some_and(|since| time < since)
    }
}

fn parse_pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(LARGEST_PATTERN).build().map_err(|error| error.to_string())
}

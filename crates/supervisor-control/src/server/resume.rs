//! Events for those who follow them and were away for a while: first from the journal what they have missed, and then what
//! comes. Nothing is told twice, and what the journal has no more is told to be missing.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::str::FromStr;
use std::task::Poll;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::feed::Message;
use super::queued::Queued;
use super::reading::Reading;
use crate::journal::{Lines, Reader, life_of};
use crate::wire::{EventDocument, What, wall_clock};

/// So much of the past is read at once.
const CHUNK: usize = 64 << 10;

/// So many parts of the past wait for a slow reader.
const QUEUE: usize = 2;

/// How long the journal may be behind.
const BEHIND: Duration = Duration::from_secs(1);

/// Where somebody has come to: the life of the supervisor, and the number of the event. Written `1764413283125-17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) life: u64,
    pub(super) seq: u64,
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (life, seq) = text.split_once('-').ok_or(())?;
        Ok(Self { life: life.parse().map_err(drop)?, seq: seq.parse().map_err(drop)? })
    }
}

/// Goes on after `last` with what the journal has until `from`, and then with `live`, which begins there.
/// Without a journal, nothing of the past can be told.
pub(super) fn after(
    last: Position,
    journal: Option<Reader>,
    reading: Reading,
    from: Position,
    live: Queued,
) -> Queued {
    let (told, body) = mpsc::channel(QUEUE);
    spawn_local(async move {
        let mut telling = pin!(tell(last, journal, reading, from, live, &told));
        let mut gone = pin!(told.closed());
        poll_fn(|context| match telling.as_mut().poll(context) {
            Poll::Pending => gone.as_mut().poll(context),
            Poll::Ready(_) => Poll::Ready(()),
        })
        .await;
    });
    Queued(body)
}

/// Tells it all. `None`: nobody listens any more.
async fn tell(
    last: Position,
    journal: Option<Reader>,
    reading: Reading,
    from: Position,
    mut live: Queued,
    told: &mpsc::Sender<Bytes>,
) -> Option<()> {
    let found = match journal {
        Some(journal) => reading.read(move || Past::after(last, &journal, from)).await,
        None => Ok((None, missing_without_journal(last, from))),
    };
    let (mut next, lost) = match found {
        Ok(found) => found,
        Err(problem) => (None, Some(missing(0, from, problem.detail()))),
    };
    if let Some(lost) = lost {
        told.send(lost).await.ok()?;
    }
    while let Some(mut past) = next.take() {
        let read = reading.read(move || past.read().map(|chunk| (past, chunk))).await;
        match read {
            Ok((_, chunk)) if chunk.is_empty() => {}
            Ok((past, chunk)) => {
                told.send(chunk.into()).await.ok()?;
                next = Some(past);
            }
            Err(problem) => told.send(missing(0, from, problem.detail())).await.ok()?,
        }
    }
    while let Some(bytes) = live.0.recv().await {
        told.send(bytes).await.ok()?;
    }
    Some(())
}

/// What the journal has between two positions.
struct Past {
    lines: Lines,
    /// The first line that is told, counted from the first of all.
    skip: usize,
    from: Position,
    life: u64,
}

impl Past {
    /// What it has after `last`, and what to say first where something is missing.
    fn after(last: Position, journal: &Reader, from: Position) -> io::Result<(Option<Self>, Option<Bytes>)> {
        let is_whole = journal.has_come_to(from.seq, BEHIND);
        let first_life = first_life(&mut journal.lines()?, from.life)?;
        let mut lines = journal.lines()?;
        let (mut life, mut number) = (first_life.unwrap_or(last.life), 0);
        // Behind the last one that was told, and the first one of that life that was not.
        let (mut behind, mut next) = (None, None);
        while let Some((_, document)) = lines.next()? {
            life = life_of(&document).unwrap_or(life);
            number += 1;
            if life == last.life {
                if document.seq <= last.seq {
                    behind = Some(number);
                } else if next.is_none() {
                    next = Some((number - 1, document.seq));
                }
            }
        }
        let lost = match (behind, next) {
            (Some(_), _) => None,
            (None, Some((_, seq))) => Some(seq.saturating_sub(last.seq + 1)).filter(|count| *count > 0),
            (None, None) if last == from => None,
            // Nobody knows how many.
            (None, None) => Some(0),
        };
        let mut marker = lost.map(|count| missing(count, last, "the journal does not go back so far"));
        if !is_whole && marker.is_none() {
            marker = Some(missing(0, last, "the journal cannot be written at present"));
        }
        if last.life == from.life && behind.is_none() && next.is_none() {
            // Of this life it has nothing yet, and what it has of others is older.
            return Ok((None, marker));
        }
        let skip = behind.or(next.map(|(number, _)| number)).unwrap_or(0);
        let mut past = Self { lines: journal.lines()?, skip, from, life: first_life.unwrap_or(last.life) };
        past.skip_told()?;
        Ok((Some(past), marker))
    }

    fn skip_told(&mut self) -> io::Result<()> {
        for _ in 0..self.skip {
            let Some((_, document)) = self.lines.next()? else { break };
            self.life = life_of(&document).unwrap_or(self.life);
        }
        Ok(())
    }

    /// The next part, as it is sent; empty: that was all.
    fn read(&mut self) -> io::Result<String> {
        let mut chunk = String::new();
        while chunk.len() < CHUNK {
            let Some((line, document)) = self.lines.next()? else { break };
            self.life = life_of(&document).unwrap_or(self.life);
            let here = Position { life: self.life, seq: document.seq };
            // From there on it comes by itself.
            if here.life != self.from.life || here.seq <= self.from.seq {
                chunk.push_str(&Message::text(here, line));
            }
        }
        Ok(chunk)
    }
}

/// What to say where nothing of the past is known.
fn missing_without_journal(last: Position, from: Position) -> Option<Bytes> {
    if last == from {
        return None;
    }
    let count = if last.life == from.life { from.seq.saturating_sub(last.seq) } else { 0 };
    Some(missing(count, Position { seq: from.seq - count, ..from }, "there is no journal"))
}

/// The life of which the first lines are: `None`, if a later one begins behind them, for then nobody knows.
fn first_life(lines: &mut Lines, now: u64) -> io::Result<Option<u64>> {
    let mut is_first = true;
    while let Some((_, document)) = lines.next()? {
        if let Some(life) = life_of(&document) {
            return Ok(is_first.then_some(life));
        }
        is_first = false;
    }
    Ok(Some(now))
}

/// Says that events are missing; 0: nobody knows how many.
fn missing(count: u64, at: Position, reason: &str) -> Bytes {
    let text = match count {
        0 => format!("events are missing here: {reason}"),
        count => format!("{count} events are missing here: {reason}"),
    };
    let what = What::Lost { count, reason: reason.to_owned() };
    let lost = EventDocument::of_supervisor(what, at.seq + count, wall_clock(), text);
    let json = serde_json::to_string(&lost).unwrap_or_default();
    Message::text(Position { seq: lost.seq, ..at }, &json).into()
}

//! What is written to a log from now on: the kernel tells, and the files are read beside the control thread.

use std::fmt::Write;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_local;

use super::shelf::{Line, Shelf};
use super::{Log, Mark};
use crate::os::News;
use crate::server::extract::LogQuery;
use crate::server::problem::Problem;
use crate::server::queued::Queued;
use crate::server::reading::Reading;

/// So many parts wait for a slow reader: what comes then stays in the files.
const QUEUE: usize = 2;

/// Somebody who follows.
struct Follower {
    log: Log,
    reading: Reading,
    news: News,
    told: mpsc::Sender<Bytes>,
}

/// The last lines, or what comes behind the last one that somebody has, and then what is written.
pub(super) async fn begin(
    log: Log,
    query: &LogQuery,
    reading: Reading,
    place: OwnedSemaphorePermit,
) -> Result<Queued, Problem> {
    let (settings, count, after) = (log.settings.clone(), query.lines, query.after);
    let begin = move || {
        // First of all, so that nothing is missed that is written meanwhile.
        let news = News::of_folder(settings.path.parent().unwrap_or(Path::new("/")))?;
        let (shelf, lines, is_missing) = match after.map(|mark| Shelf::after(&settings, mark)).transpose()? {
            Some(Some(shelf)) => (shelf, Vec::new(), false),
            gone => {
                let (shelf, lines) = Shelf::last(&settings, count)?;
                (shelf, lines, gone.is_some())
            }
        };
        Ok((news, shelf, lines, is_missing))
    };
    let (news, shelf, lines, is_missing) = reading.read(begin).await?;
    let news = News::new(news)
        .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("cannot follow: {error}")))?;
    let (told, body) = mpsc::channel(QUEUE);
    let follower = Follower { log, reading, news, told: told.clone() };
    spawn_local(async move {
        let _place = place;
        let mut following = pin!(follower.follow(shelf, lines, is_missing));
        let mut gone = pin!(told.closed());
        poll_fn(|context| match following.as_mut().poll(context) {
            Poll::Pending => gone.as_mut().poll(context),
            Poll::Ready(_) => Poll::Ready(()),
        })
        .await;
    });
    Ok(Queued(body))
}

impl Follower {
    /// Tells it all. `None`: nobody listens any more, or nothing can be read any more.
    async fn follow(self, mut shelf: Shelf, lines: Vec<Line>, is_missing: bool) -> Option<()> {
        if is_missing {
            self.tell_missing("the file that was read last is gone or compressed").await?;
        }
        self.tell(&lines).await?;
        self.news.watch(shelf.file());
        loop {
            let read = self.reading.read(move || shelf.read().map(|lines| (shelf, lines))).await;
            let (read, lines) = self.or_end(read).await?;
            shelf = read;
            if !lines.is_empty() {
                self.tell(&lines).await?;
                continue;
            }
            let settings = self.log.settings.clone();
            let advance = move || {
                // Nothing is written to a file once there is a newer one; what was written before that was may be new.
                let next = shelf.next(&settings)?;
                let lines = shelf.read()?;
                let next = next.filter(|_| lines.is_empty());
                let advanced = next.map(|next| shelf.advance(next)).transpose()?;
                Ok((shelf, lines, advanced))
            };
            let (read, lines, advanced) = self.or_end(self.reading.read(advance).await).await?;
            shelf = read;
            if !lines.is_empty() {
                self.tell(&lines).await?;
                continue;
            }
            let Some(advanced) = advanced else {
                self.news.come().await.ok()?;
                continue;
            };
            if let Some(left_behind) = advanced.left_behind {
                self.tell(&[left_behind]).await?;
            }
            if advanced.skipped {
                self.tell_missing("files were ended and compressed faster than they could be read").await?;
            }
            self.news.watch(shelf.file());
        }
    }

    /// What was read; or the end, and why.
    async fn or_end<T>(&self, read: Result<T, Problem>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(problem) => {
                self.tell_missing(problem.detail()).await;
                None
            }
        }
    }

    async fn tell(&self, lines: &[Line]) -> Option<()> {
        let mut text = String::new();
        for (Mark { file, offset }, line) in lines {
            // No line has what JSON cannot say, and writing to a string cannot fail.
            let json = serde_json::to_string(&self.log.read(line)).unwrap_or_default();
            let _ = write!(text, "id: {file:x}-{offset}\ndata: {json}\n\n");
        }
        if text.is_empty() { Some(()) } else { self.told.send(text.into()).await.ok() }
    }

    async fn tell_missing(&self, reason: &str) -> Option<()> {
        let reason = serde_json::json!({ "reason": reason });
        self.told.send(format!("event: lost\ndata: {reason}\n\n").into()).await.ok()
    }
}

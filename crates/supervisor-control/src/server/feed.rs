//! Events for those who follow them: one reader of the supervisor's events tells them on to all.
//!
//! The reader is a thread of its own, `events`, which is there while somebody follows. It waits for nobody: each
//! follower has a queue of its own, and one that is too slow loses news and is told how much.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use axum::body::Bytes;
use axum::http::StatusCode;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use supervisor::{Event, Handle};
use tokio::sync::mpsc;

use super::problem::Problem;
use super::queued::Queued;
use super::resume::Position;
use crate::wire::{EventDocument, Numbering, What, wall_clock};

/// How many events wait for a slow follower before it loses some.
const QUEUE: usize = 1_024;

/// Everybody who follows. Dropping it ends all streams.
#[derive(Debug)]
pub(super) struct Feed {
    handle: Handle,
    most: usize,
    /// By what the life of the supervisor is told from others.
    life: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    followers: Vec<Follower>,
    /// The number of the last event that they were told.
    count: u64,
    /// By what version the supervisor is replaced, once it is: nobody follows any more.
    successor: Option<String>,
    reader: Option<Reader>,
}

/// The thread that reads.
#[derive(Debug)]
struct Reader {
    thread: JoinHandle<()>,
    /// It ends when this is dropped.
    _stop: Sender<Infallible>,
}

/// Somebody who follows.
#[derive(Debug)]
struct Follower {
    queue: mpsc::Sender<Bytes>,
    life: u64,
    lost: u64,
}

impl Feed {
    /// The events of this supervisor, which began its life then, for at most so many followers.
    pub(super) fn new(handle: Handle, most: usize, life: u64) -> Self {
        Self { handle, most, life, state: Arc::default() }
    }

    /// Follows from now on: from after which event.
    pub(super) fn follow(&self) -> Result<(Position, Queued), Problem> {
        let mut state = lock(&self.state);
        if state.successor.is_some() {
            let detail = "the supervisor is being replaced; ask again";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
        }
        state.followers.retain(|follower| !follower.queue.is_closed());
        if state.followers.len() >= self.most {
            let detail = format!("cannot let more than {} follow events; try again later", self.most);
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
        }
        if state.reader.is_none() {
            let (count, reader) = self.read()?;
            (state.count, state.reader) = (count, Some(reader));
        }
        let (sender, queue) = mpsc::channel(QUEUE);
        state.followers.push(Follower { queue: sender, life: self.life, lost: 0 });
        Ok((Position { life: self.life, seq: state.count }, Queued(queue)))
    }

    /// Tells those who follow that the supervisor is replaced by one of this version, and ends all streams.
    pub(super) fn end_for(&self, version: &str) {
        lock(&self.state).successor = Some(version.to_owned());
        self.stop();
    }

    /// Ends the reader, which ends all streams.
    fn stop(&self) {
        let reader = lock(&self.state).reader.take();
        if let Some(Reader { thread, _stop: stop }) = reader {
            drop(stop);
            // A panic in it has been told by the panic hook; there is nothing to add.
            let _ = thread.join();
        }
    }

    /// Begins to read: after how many events.
    fn read(&self) -> Result<(u64, Reader), Problem> {
        let (before, events) = self.handle.subscribe_numbered()?;
        let (stop, stopped) = bounded(0);
        let (state, life) = (Arc::clone(&self.state), self.life);
        #[expect(
            clippy::disallowed_methods,
            reason = "events come by a channel that no runtime can wait for"
        )]
        let thread = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || tell(&events, &stopped, &state, Numbering::after(before), life))
            .map_err(|error| {
                let detail = format!("cannot start a thread for the events: {error}; try again later");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            })?;
        Ok((before, Reader { thread, _stop: stop }))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tells events on until the supervisor ends, the feed is dropped, or nobody follows any more.
fn tell(
    events: &Receiver<Event>,
    stopped: &Receiver<Infallible>,
    state: &Mutex<State>,
    mut numbering: Numbering,
    life: u64,
) {
    loop {
        let event = select! {
            recv(events) -> event => event.ok(),
            recv(stopped) -> _ => None,
        };
        let before = numbering.count;
        let message = event.map(|event| Message::of(&numbering.document(&event), before, life));
        let mut state = lock(state);
        state.count = numbering.count;
        match message {
            Some(message) => state.followers.retain_mut(|follower| follower.tell(&message)),
            None => {
                if let Some(version) = state.successor.clone() {
                    let text = format!("the supervisor is replaced by version {version}");
                    let what = What::Upgrading { version };
                    let last = EventDocument::of_supervisor(what, numbering.count, wall_clock(), text);
                    let message = Message::of(&last, before, life);
                    state.followers.retain_mut(|follower| follower.tell(&message));
                }
                state.followers.clear();
            }
        }
        if state.followers.is_empty() {
            // The next one who follows starts another.
            state.reader = None;
            return;
        }
    }
}

/// An event on its way to the followers.
pub(super) struct Message {
    bytes: Bytes,
    seq: u64,
    /// How many events are lost with it: more than one, if it says itself that some are.
    weight: u64,
}

impl Message {
    fn of(document: &EventDocument, before: u64, life: u64) -> Self {
        // No document has what JSON cannot say.
        let json = serde_json::to_string(document).unwrap_or_default();
        let seq = document.seq;
        Self { bytes: Self::text(Position { life, seq }, &json).into(), seq, weight: seq - before }
    }

    /// As it is sent: a document, and from where whoever has it goes on.
    pub(super) fn text(Position { life, seq }: Position, json: &str) -> String {
        format!("id: {life}-{seq}\ndata: {json}\n\n")
    }
}

impl Follower {
    /// Whether it still follows.
    fn tell(&mut self, message: &Message) -> bool {
        match self.queue.capacity() {
            0 => {
                self.lost += message.weight;
                !self.queue.is_closed()
            }
            // What is lost is told at once, because nothing may follow.
            1 => self.tell_of_losses(message.weight, message.seq),
            _ => {
                (self.lost == 0 || self.tell_of_losses(0, message.seq - message.weight))
                    && self.queue.try_send(message.bytes.clone()).is_ok()
            }
        }
    }

    fn tell_of_losses(&mut self, more: u64, last: u64) -> bool {
        let count = std::mem::take(&mut self.lost) + more;
        let reason = "this reader is too slow".to_owned();
        let text = format!("{count} events are missing here: {reason}");
        let lost = EventDocument::of_supervisor(What::Lost { count, reason }, last, wall_clock(), text);
        self.queue.try_send(Message::of(&lost, last, self.life).bytes).is_ok()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(seq: u64) -> EventDocument {
        EventDocument::of_supervisor(What::Reset, seq, wall_clock(), String::new())
    }

    /// The number of the message, and how many events it says are lost.
    fn read(bytes: &Bytes) -> (u64, u64) {
        let text = std::str::from_utf8(bytes).unwrap();
        let json = text.split_once("data: ").unwrap().1;
        let document: EventDocument = serde_json::from_str(json).unwrap();
        let lost = if let What::Lost { count, .. } = document.what { count } else { 0 };
        (document.seq, lost)
    }

    #[test]
    fn a_follower_that_is_too_slow_loses_the_newest_and_is_told_at_once_and_how_many() {
        let (queue, mut slow) = mpsc::channel(4);
        let mut follower = Follower { queue, life: 7, lost: 0 };
        for seq in 1..=10 {
            assert!(follower.tell(&Message::of(&document(seq), seq - 1, 7)));
        }
        let mut next = || slow.try_recv().ok().map(|bytes| read(&bytes));
        assert_eq!([next(), next(), next()], [Some((1, 0)), Some((2, 0)), Some((3, 0))]);
        assert_eq!([next(), next()], [Some((4, 1)), None]);
        // What was lost and could not be told stands before what comes next.
        assert!(follower.tell(&Message::of(&document(11), 10, 7)));
        let mut next = || slow.try_recv().ok().map(|bytes| read(&bytes));
        assert_eq!([next(), next(), next()], [Some((10, 6)), Some((11, 0)), None]);
        drop(slow);
        assert!(!follower.tell(&Message::of(&document(12), 11, 7)));
    }
}

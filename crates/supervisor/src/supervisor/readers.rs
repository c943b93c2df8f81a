//! Those who read events, each at its own pace.

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::event::{Event, EventKind};

/// How many events wait for a slow reader before it loses some.
const QUEUE: usize = 4_096;

/// All readers.
#[derive(Debug, Default)]
pub(super) struct Readers {
    readers: Vec<Reader>,
    told: u64,
}

#[derive(Debug)]
struct Reader {
    queue: Sender<Event>,
    lost: u64,
}

impl Readers {
    /// Adds a reader and gives it its end.
    pub(super) fn add(&mut self) -> Receiver<Event> {
        // The bound is kept here, where everything is sent: a bounded channel takes its whole memory at once, a megabyte.
        let (queue, receiver) = unbounded();
        self.readers.push(Reader { queue, lost: 0 });
        receiver
    }

    /// How many events have been told so far.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// Tells every reader. Those that have gone are forgotten.
    pub(super) fn tell(&mut self, event: &Event) {
        self.told += 1;
        self.readers.retain_mut(|reader| reader.tell(event));
    }
}

impl Reader {
    /// Says whether the reader is still there. (The queue of one that has gone is empty.)
    fn tell(&mut self, event: &Event) -> bool {
        if self.queue.len() > QUEUE {
            self.lost += 1;
            return true;
        }
        if self.queue.len() == QUEUE {
            // Told at once, beyond the bound, so that a reader learns of it though nothing may follow.
            return self
                .queue
                .send(Event { at: event.at, component: None, kind: EventKind::Lost { count: 1 } })
                .is_ok();
        }
        if self.lost > 0 {
            let count = std::mem::take(&mut self.lost);
            // If it has gone, what follows says so.
            let _ = self.queue.send(Event { at: event.at, component: None, kind: EventKind::Lost { count } });
        }
        self.queue.send(event.clone()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_slow_reader_loses_the_newest_and_is_told_how_many() {
        let event = |number| Event {
            at: Duration::from_secs(number),
            component: None,
            kind: EventKind::ShuttingDown { given_up: None },
        };
        let mut readers = Readers::default();
        let (slow, gone) = (readers.add(), readers.add());
        drop(gone);
        for number in 0..QUEUE as u64 + 7 {
            readers.tell(&event(number));
        }
        let first: Vec<_> = slow.try_iter().collect();
        assert_eq!(first.len(), QUEUE + 1);
        assert_eq!(first[QUEUE].kind, EventKind::Lost { count: 1 }, "it is told at once");
        readers.tell(&event(9_999));
        let rest: Vec<_> = slow.try_iter().collect();
        assert_eq!(rest[0].kind, EventKind::Lost { count: 6 });
        assert_eq!(rest[1..], [event(9_999)]);
        assert_eq!(readers.readers.len(), 1);
    }
}

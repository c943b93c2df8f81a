//! Things done in order: those of one rank together, the next rank when none of the one before remains.

use std::collections::{BTreeMap, BTreeSet};

use super::RequestId;

/// What is done together in one order: all that begin by themselves, or all that one request is about. Waves do not
/// wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wave {
    /// What begins by itself at the beginning.
    Boot,
    /// That of one request.
    Request(RequestId),
    /// That of the n-th restart of a group.
    Group(u64),
    /// What begins by itself later.
    Later,
}

/// Where a component comes in an order: by its rank, and within that by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat {
    pub(super) rank: u32,
    pub(super) place: u32,
    pub(super) key: u32,
}

/// The part that a component takes in a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) wave: Wave,
    pub(super) seat: Seat,
}

/// Components that take their turn by rank, the lowest first. Starting and stopping both go through one of these.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    waves: BTreeMap<Wave, BTreeSet<Seat>>,
    called: BTreeSet<Wave>,
}

impl Sequence {
    /// Lets a component take part. It is its turn as soon as nobody of a lower rank takes part in its wave.
    pub(super) fn join(&mut self, turn: Turn) {
        self.waves.entry(turn.wave).or_default().insert(turn.seat);
    }

    /// The component is through, or no longer takes part.
    pub(super) fn leave(&mut self, Turn { wave, seat }: Turn) {
        let Some(seats) = self.waves.get_mut(&wave) else { return };
        seats.remove(&seat);
        // The last of its rank, while there was none below.
        if seats.first().is_some_and(|first| first.rank > seat.rank) {
            self.called.insert(wave);
        }
        if seats.is_empty() {
            self.waves.remove(&wave);
        }
    }

    /// Those whose turn has come since this was last asked, because somebody left; of each wave in start order.
    pub(super) fn take_called(&mut self) -> Vec<u32> {
        let called = std::mem::take(&mut self.called);
        called.into_iter().flat_map(|wave| self.front(wave)).collect()
    }

    /// Whether nobody of a lower rank takes part in the wave.
    pub(super) fn has_come(&self, turn: Turn) -> bool {
        let first = self.waves.get(&turn.wave).and_then(BTreeSet::first);
        first.is_none_or(|first| first.rank >= turn.seat.rank)
    }

    /// Those of the wave whose turn it is, in start order.
    pub(super) fn front(&self, wave: Wave) -> impl Iterator<Item = u32> + '_ {
        let seats = self.waves.get(&wave);
        let rank = seats.and_then(BTreeSet::first).map(|first| first.rank);
        let seats = seats.into_iter().flatten();
        seats.take_while(move |seat| Some(seat.rank) == rank).map(|seat| seat.key)
    }
}

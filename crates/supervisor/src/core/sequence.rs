//! Things done in order: those of one rank together, the next rank when none of the one before remains.

use std::collections::{BTreeMap, BTreeSet};

use super::RequestId;

/// What is done together in one order: all that begin by themselves, or all that one request is about. Waves do not
/// wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wave(u64);

impl Wave {
    /// What begins by itself at the beginning.
    pub(super) const BOOT: Self = Self(0);
    /// What begins by itself later.
    pub(super) const LATER: Self = Self(u64::MAX);

    /// That of one request.
    pub(super) fn of_request(request: RequestId) -> Self {
        Self(request.0)
    }

    /// That of the n-th restart of a group. There are never so many requests that the two would meet.
    pub(super) fn of_group(number: u64) -> Self {
        Self(u64::MAX / 2 + number)
    }
}

/// Components that take their turn by rank, the lowest first. Starting and stopping both go through one of these.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    ranks: BTreeMap<(Wave, u16), BTreeSet<u32>>,
    called: BTreeSet<Wave>,
}

impl Sequence {
    /// Lets a component take part. It is its turn as soon as nobody of a lower rank takes part in its wave.
    pub(super) fn join(&mut self, wave: Wave, rank: u16, component: u32) {
        self.ranks.entry((wave, rank)).or_default().insert(component);
    }

    /// The component is through, or no longer takes part.
    pub(super) fn leave(&mut self, wave: Wave, rank: u16, component: u32) {
        let Some(members) = self.ranks.get_mut(&(wave, rank)) else { return };
        members.remove(&component);
        if members.is_empty() {
            self.ranks.remove(&(wave, rank));
            if self.is_turn_of(wave, rank) {
                self.called.insert(wave);
            }
        }
    }

    /// Those whose turn has come since this was last asked, because somebody left; of each wave in start order.
    pub(super) fn take_called(&mut self) -> Vec<u32> {
        let called = std::mem::take(&mut self.called);
        called.into_iter().flat_map(|wave| self.front(wave)).collect()
    }

    /// Whether it is the turn of this rank of the wave.
    pub(super) fn is_turn_of(&self, wave: Wave, rank: u16) -> bool {
        self.ranks.range((wave, 0)..(wave, rank)).next().is_none()
    }

    /// Those of the wave whose turn it is, in start order.
    pub(super) fn front(&self, wave: Wave) -> impl Iterator<Item = u32> + '_ {
        let first = self.ranks.range((wave, 0)..=(wave, u16::MAX)).next();
        first.into_iter().flat_map(|(_, members)| members).copied()
    }
}

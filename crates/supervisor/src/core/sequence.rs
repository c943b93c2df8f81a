//! Things done in order: those of one rank together, the next rank when none of the one before remains.

use std::collections::{BTreeMap, BTreeSet};

/// Components that take their turn by rank, the lowest first. Starting and stopping both go through one of these.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    ranks: BTreeMap<u16, BTreeSet<u32>>,
    moved: bool,
}

impl Sequence {
    /// Lets a component take part. It is its turn as soon as nobody of a lower rank takes part.
    pub(super) fn join(&mut self, rank: u16, component: u32) {
        self.ranks.entry(rank).or_default().insert(component);
    }

    /// The component is through, or no longer takes part.
    pub(super) fn leave(&mut self, rank: u16, component: u32) {
        let Some(members) = self.ranks.get_mut(&rank) else { return };
        members.remove(&component);
        if members.is_empty() {
            self.moved |= self.is_turn_of(rank);
            self.ranks.remove(&rank);
        }
    }

    /// Those whose turn has come since this was last asked, because somebody left; in start order.
    pub(super) fn take_called(&mut self) -> Vec<u32> {
        if std::mem::take(&mut self.moved) { self.front().collect() } else { Vec::new() }
    }

    /// Whether it is the turn of this rank.
    pub(super) fn is_turn_of(&self, rank: u16) -> bool {
        self.ranks.keys().next().is_none_or(|first| *first >= rank)
    }

    /// Those whose turn it is, in start order.
    pub(super) fn front(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranks.values().next().into_iter().flatten().copied()
    }
}

//! Who needs whom, and the order that follows from it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use super::sequence::Seat;
use crate::spec::{Condition, ProcessSpec};

/// The dependencies between components, and their start order.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: BTreeMap<u32, Node>,
    /// In start order, without those that are leaving.
    order: Vec<u32>,
}

#[derive(Debug)]
struct Node {
    needs: Vec<(u32, Condition)>,
    needed_by: Vec<u32>,
    /// Among those that start. Its rank is its priority, or that of one that needs it, if that is to start earlier; 0 is left free.
    seat: Seat,
}

impl Graph {
    /// Of these components, by their keys. They start so that whom one needs comes before it, then by ascending priority,
    /// then as given.
    pub(super) fn new(members: &[(u32, &ProcessSpec)]) -> Self {
        let specs: Vec<_> = members.iter().map(|(_, spec)| *spec).collect();
        let needs = edges(&specs);
        let ranks = ranks(&specs, &needs);
        let order = order(&needs, &ranks);
        let key = |index: usize| members[index].0;
        let mut graph = Self::default();
        for (place, index) in (0..).zip(&order) {
            let needs = needs[*index].iter().map(|(needed, condition)| (key(*needed), *condition)).collect();
            let seat = Seat { rank: 1 + u32::from(ranks[*index]), place, key: key(*index) };
            graph.nodes.insert(seat.key, Node { needs, needed_by: Vec::new(), seat });
            graph.order.push(seat.key);
        }
        graph.note_needed_by();
        graph
    }

    /// Adds those that are leaving, of which `before` knows who needs whom. Nobody else waits for one of them, and where all
    /// stop, they stop first.
    pub(super) fn with_leaving(mut self, leaving: &[u32], before: &Self) -> Self {
        for (place, key) in (self.order.len() as u32..).zip(leaving) {
            let needs = before.needs(*key).iter().filter(|(needed, _)| leaving.contains(needed));
            let seat = Seat { rank: u32::MAX, place, key: *key };
            let node = Node { needs: needs.copied().collect(), needed_by: Vec::new(), seat };
            self.nodes.insert(*key, node);
        }
        self.note_needed_by();
        self
    }

    /// One of those that were leaving has left.
    pub(super) fn remove(&mut self, key: u32) {
        let Some(node) = self.nodes.remove(&key) else { return };
        for (needed, _) in node.needs {
            if let Some(node) = self.nodes.get_mut(&needed) {
                node.needed_by.retain(|other| *other != key);
            }
        }
        for other in node.needed_by {
            if let Some(node) = self.nodes.get_mut(&other) {
                node.needs.retain(|(needed, _)| *needed != key);
            }
        }
    }

    /// Every component but those that are leaving, in start order.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Whom a component needs, and what must be true of that.
    pub(super) fn needs(&self, key: u32) -> &[(u32, Condition)] {
        self.nodes.get(&key).map_or(&[], |node| &node.needs)
    }

    /// Who needs a component directly.
    pub(super) fn needed_by(&self, key: u32) -> &[u32] {
        self.nodes.get(&key).map_or(&[], |node| &node.needed_by)
    }

    /// Where it comes among those that start.
    pub(super) fn start_seat(&self, key: u32) -> Seat {
        self.nodes.get(&key).map_or(Seat { rank: u32::MAX, place: u32::MAX, key }, |node| node.seat)
    }

    /// Where it comes among those that stop: in descending rank.
    pub(super) fn stop_seat(&self, key: u32) -> Seat {
        let seat = self.start_seat(key);
        Seat { rank: u32::MAX - seat.rank, ..seat }
    }

    /// Puts components into start order.
    pub(super) fn sort(&self, keys: &mut [u32]) {
        keys.sort_by_cached_key(|key| (self.start_seat(*key).place, *key));
    }

    /// These, and by steps all others to which `next` leads from them; in start order.
    pub(super) fn closure(&self, keys: Vec<u32>, next: impl Fn(u32) -> Vec<u32>) -> Vec<u32> {
        let mut all: BTreeSet<u32> = keys.iter().copied().collect();
        let mut open = keys;
        while let Some(key) = open.pop() {
            open.extend(next(key).into_iter().filter(|other| all.insert(*other)));
        }
        let mut all: Vec<_> = all.into_iter().collect();
        self.sort(&mut all);
        all
    }

    /// In start order, each once.
    fn note_needed_by(&mut self) {
        let mut edges: Vec<_> = Vec::new();
        for node in self.nodes.values() {
            edges.extend(node.needs.iter().map(|(needed, _)| (*needed, node.seat.place, node.seat.key)));
        }
        edges.sort_unstable();
        edges.dedup();
        self.nodes.values_mut().for_each(|node| node.needed_by.clear());
        for (needed, _, key) in edges {
            if let Some(node) = self.nodes.get_mut(&needed) {
                node.needed_by.push(key);
            }
        }
    }
}

/// Puts components into the order in which they start.
pub(super) fn in_start_order(specs: Vec<ProcessSpec>) -> Vec<ProcessSpec> {
    let borrowed: Vec<_> = specs.iter().collect();
    let needs = edges(&borrowed);
    let order = order(&needs, &ranks(&borrowed, &needs));
    let mut specs: Vec<_> = specs.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| specs[index].take()).collect()
}

/// By index: whom each needs. The common name of several instances means all of them; a name that means nobody is left out,
/// because [`Builder::start`](crate::Builder::start) has refused it.
fn edges(specs: &[&ProcessSpec]) -> Vec<Vec<(usize, Condition)>> {
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, spec) in specs.iter().enumerate() {
        for name in std::iter::once(&spec.id).chain(&spec.instance_of) {
            by_name.entry(name.as_str()).or_default().push(index);
        }
    }
    let edges = |spec: &&ProcessSpec| {
        let needed = spec.depends_on.iter().flat_map(|dependency| {
            let named = by_name.get(dependency.on.as_str()).map_or(&[][..], Vec::as_slice);
            named.iter().map(|index| (*index, dependency.condition))
        });
        needed.collect()
    };
    specs.iter().map(edges).collect()
}

/// By index: the priorities, so that nobody comes later than one that needs it.
fn ranks(specs: &[&ProcessSpec], needs: &[Vec<(usize, Condition)>]) -> Vec<u16> {
    let mut ranks: Vec<_> = specs.iter().map(|spec| spec.start_priority).collect();
    let mut open: Vec<_> = (0..specs.len()).collect();
    while let Some(index) = open.pop() {
        for (needed, _) in &needs[index] {
            if ranks[*needed] > ranks[index] {
                ranks[*needed] = ranks[index];
                open.push(*needed);
            }
        }
    }
    ranks
}

/// The indices in start order. Those that need each other in a circle, which is refused elsewhere, come last.
fn order(needs: &[Vec<(usize, Condition)>], ranks: &[u16]) -> Vec<usize> {
    let mut missing: Vec<_> = needs.iter().map(Vec::len).collect();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (index, edges) in needs.iter().enumerate() {
        edges.iter().for_each(|(needed, _)| needed_by[*needed].push(index));
    }
    let ready = (0..needs.len()).filter(|index| missing[*index] == 0);
    let mut next: BinaryHeap<_> = ready.map(|index| Reverse((ranks[index], index))).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse((_, index))) = next.pop() {
        order.push(index);
        for other in &needed_by[index] {
            missing[*other] -= 1;
            if missing[*other] == 0 {
                next.push(Reverse((ranks[*other], *other)));
            }
        }
    }
    let mut circular: Vec<_> = (0..needs.len()).filter(|index| missing[*index] > 0).collect();
    circular.sort_by_key(|index| ranks[*index]);
    order.extend(circular);
    order
}

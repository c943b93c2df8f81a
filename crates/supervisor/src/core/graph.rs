//! Who needs whom, and the order that follows from it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use crate::spec::{Condition, ProcessSpec};

/// The dependencies between components, which are named by their place in the start order.
#[derive(Debug)]
pub(super) struct Graph {
    needs: Vec<Vec<(u32, Condition)>>,
    needed_by: Vec<Vec<u32>>,
    ranks: Vec<u16>,
}

impl Graph {
    /// Puts components into start order: whom one needs comes before it, then by ascending priority, then as given.
    pub(super) fn order(specs: Vec<ProcessSpec>) -> (Vec<ProcessSpec>, Self) {
        let needs = edges(&specs);
        let ranks = ranks(&specs, &needs);
        let order = order(&needs, &ranks);
        let mut places = vec![0; specs.len()];
        for (place, index) in (0..).zip(&order) {
            places[*index] = place;
        }
        let mut graph = Self {
            needs: vec![Vec::new(); specs.len()],
            needed_by: vec![Vec::new(); specs.len()],
            ranks: order.iter().map(|index| ranks[*index]).collect(),
        };
        for (index, edges) in needs.iter().enumerate() {
            let key = places[index];
            for (needed, condition) in edges {
                graph.needs[key as usize].push((places[*needed], *condition));
                graph.needed_by[places[*needed] as usize].push(key);
            }
        }
        for others in &mut graph.needed_by {
            others.sort_unstable();
            others.dedup();
        }
        let mut specs: Vec<_> = specs.into_iter().map(Some).collect();
        (order.into_iter().filter_map(|index| specs[index].take()).collect(), graph)
    }

    /// Whom a component needs, and what must be true of that.
    pub(super) fn needs(&self, key: u32) -> &[(u32, Condition)] {
        &self.needs[key as usize]
    }

    /// Who needs a component directly.
    pub(super) fn needed_by(&self, key: u32) -> &[u32] {
        &self.needed_by[key as usize]
    }

    /// Its priority, or that of one that needs it, if that is to start earlier.
    pub(super) fn rank(&self, key: u32) -> u16 {
        self.ranks[key as usize]
    }

    /// These, and by steps all others to which `next` leads from them; ascending.
    pub(super) fn closure(keys: Vec<u32>, next: impl Fn(u32) -> Vec<u32>) -> Vec<u32> {
        let mut all: BTreeSet<u32> = keys.iter().copied().collect();
        let mut open = keys;
        while let Some(key) = open.pop() {
            open.extend(next(key).into_iter().filter(|other| all.insert(*other)));
        }
        all.into_iter().collect()
    }
}

/// By index: whom each needs. The common name of several instances means all of them; a name that means nobody is left out,
/// because [`Builder::start`](crate::Builder::start) has refused it.
fn edges(specs: &[ProcessSpec]) -> Vec<Vec<(usize, Condition)>> {
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, spec) in specs.iter().enumerate() {
        for name in std::iter::once(&spec.id).chain(&spec.instance_of) {
            by_name.entry(name.as_str()).or_default().push(index);
        }
    }
    let edges = |spec: &ProcessSpec| {
        let needed = spec.depends_on.iter().flat_map(|dependency| {
            let named = by_name.get(dependency.on.as_str()).map_or(&[][..], Vec::as_slice);
            named.iter().map(|index| (*index, dependency.condition))
        });
        needed.collect()
    };
    specs.iter().map(edges).collect()
}

/// By index: the priorities, so that nobody comes later than one that needs it.
fn ranks(specs: &[ProcessSpec], needs: &[Vec<(usize, Condition)>]) -> Vec<u16> {
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

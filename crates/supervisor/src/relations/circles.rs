//! Dependencies that lead back to where they began.
//!
//! A search in depth with a path of its own, so that ten thousand components in a row need no deep stack. The common
//! name of instances is a node too: otherwise, instances that depend on instances would make for millions of edges.

use std::collections::HashMap;

use super::{Relation, RelationProblem, Wrong, is_among};
use crate::names::Names;
use crate::spec::{ComponentId, ProcessSpec};

/// Every circle that has no component in common with one that is told already.
pub(super) fn find(specs: &[ProcessSpec], names: &Names) -> Vec<Wrong> {
    let mut search = Search::new(specs, names);
    for start in 0..specs.len() {
        search.from(start);
    }
    search.found
}

struct Search<'a> {
    specs: &'a [ProcessSpec],
    /// From each node to what it depends on: components first, by their index, then names of several.
    edges: Vec<Vec<Edge>>,
    states: Vec<State>,
    path: Vec<Step>,
    found: Vec<Wrong>,
}

#[derive(Clone, Copy)]
struct Edge {
    to: usize,
    /// Which of the component's dependencies it is.
    dependency: usize,
}

#[derive(Clone, Copy)]
enum State {
    New,
    /// On the path, at this position.
    Open(usize),
    Done,
}

/// A node of the path.
struct Step {
    node: usize,
    /// How many of its edges have been followed.
    followed: usize,
    /// The last position up to here whose node is part of a circle that was told.
    last_told: Option<usize>,
}

impl<'a> Search<'a> {
    fn new(specs: &'a [ProcessSpec], names: &Names) -> Self {
        let mut edges: Vec<Vec<Edge>> = (0..specs.len()).map(|_| Vec::new()).collect();
        let mut common: HashMap<&ComponentId, usize> = HashMap::new();
        for (component, spec) in specs.iter().enumerate() {
            for (dependency, on) in spec.depends_on.iter().map(|dependency| &dependency.on).enumerate() {
                let members = names.named(on).unwrap_or_default();
                // That it depends on itself is told by itself.
                if is_among(component, members) {
                    continue;
                }
                let to = match members {
                    [] => continue,
                    [only] => *only as usize,
                    several => *common.entry(on).or_insert_with(|| {
                        let edge = |to: &u32| Edge { to: *to as usize, dependency: 0 };
                        edges.push(several.iter().map(edge).collect());
                        edges.len() - 1
                    }),
                };
                edges[component].push(Edge { to, dependency });
            }
        }
        let states = vec![State::New; edges.len()];
        Self { specs, edges, states, path: Vec::new(), found: Vec::new() }
    }

    /// Follows everything that a component depends on.
    fn from(&mut self, start: usize) {
        self.enter(start);
        while let Some(step) = self.path.last_mut() {
            let Some(edge) = self.edges[step.node].get(step.followed) else {
                self.states[step.node] = State::Done;
                self.path.pop();
                continue;
            };
            step.followed += 1;
            match self.states[edge.to] {
                State::Open(position) if step.last_told < Some(position) => self.tell(position),
                State::Open(_) => {}
                State::New | State::Done => {
                    let to = edge.to;
                    self.enter(to);
                }
            }
        }
    }

    /// Goes on with a node, if it is new.
    fn enter(&mut self, node: usize) {
        if matches!(self.states[node], State::New) {
            let last_told = self.path.last().and_then(|step| step.last_told);
            self.states[node] = State::Open(self.path.len());
            self.path.push(Step { node, followed: 0, last_told });
        }
    }

    /// Tells the circle that the path closes from this position on.
    fn tell(&mut self, start: usize) {
        let mut circle = Vec::new();
        let mut closing = None;
        for (position, step) in self.path.iter_mut().enumerate().skip(start) {
            // A common name stands between two components and is not shown.
            if let Some(spec) = self.specs.get(step.node) {
                step.last_told = Some(position);
                circle.push(spec.id.clone());
                let edge = step.followed.checked_sub(1).and_then(|last| self.edges[step.node].get(last));
                closing = edge.map(|edge| (step.node, edge.dependency));
            } else {
                step.last_told = position.checked_sub(1).filter(|before| *before >= start).or(step.last_told);
            }
        }
        if let Some((component, dependency)) = closing {
            let problem = RelationProblem::Circle(circle);
            self.found.push(Wrong { component, relation: Relation::Dependency(dependency), problem });
        }
    }
}

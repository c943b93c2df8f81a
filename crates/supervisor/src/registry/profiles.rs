//! Profiles: which bundles a server is made of, in which order.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::problem::{Place, Told, plain, quoted};
use super::reading::Reading;
use super::structure::{Node, Value, similar};
use super::xml::MAX_DEPTH;

/// All profiles and how they refer to each other: never in a circle, and never too deep, once they are collected.
pub(super) struct Profiles<'a> {
    all: Vec<Profile<'a>>,
    by_id: HashMap<Rc<str>, usize>,
}

struct Profile<'a> {
    id: Rc<str>,
    /// Where its id stands.
    place: Place,
    node: &'a Node,
    /// The profiles that it refers to, in order, and where.
    references: Vec<(usize, Place)>,
    state: State,
}

/// How far the search for circles has come with a profile.
#[derive(Clone, Copy)]
enum State {
    New,
    Open,
    /// How many profiles the longest chain of references from here has.
    Done {
        height: usize,
    },
}

impl<'a> Profiles<'a> {
    /// The profiles of these files. Tells those that are defined twice, refer to unknown ones, or to themselves.
    pub(super) fn collect(roots: impl Iterator<Item = &'a Node>, reading: &mut Reading<'_>) -> Self {
        let mut profiles = Self { all: Vec::new(), by_id: HashMap::new() };
        let nodes = roots.flat_map(|root| root.all("profiles")).flat_map(|profiles| profiles.all("profile"));
        for node in nodes {
            let id = node.attribute("id");
            let Some((id, place)) = id.and_then(|id| Some((reading.text(id)?, id.place))) else {
                // Somebody may refer to it by the name that it should have.
                reading.problems.set_incomplete();
                continue;
            };
            if let Some(first) = profiles.by_id.get(&id) {
                let first = reading.problems.position(profiles.all[*first].place);
                reading.problems.add(place, format!("this profile is also defined at {first}"));
                continue;
            }
            profiles.by_id.insert(id.clone(), profiles.all.len());
            profiles.all.push(Profile { id, place, node, references: Vec::new(), state: State::New });
        }
        for index in 0..profiles.all.len() {
            profiles.all[index].references = profiles.references(profiles.all[index].node, reading);
        }
        for index in 0..profiles.all.len() {
            if matches!(profiles.all[index].state, State::New) {
                profiles.search_circles(index, &mut Vec::new(), reading);
            }
        }
        profiles
    }

    /// The bundles that a server is made of, the weakest first: its profiles, each after those that it refers to
    /// itself, and the server last. A profile counts once, where it comes first, however many refer to it.
    ///
    /// # Errors
    /// [`Told`] if a reference cannot be followed, which has been told.
    pub(super) fn layers(&self, server: &'a Node, reading: &mut Reading<'_>) -> Result<Vec<&'a Node>, Told> {
        let mut layers = Vec::new();
        let mut seen = HashSet::new();
        let references = self.references(server, reading);
        let followed_all = references.len() == server.all("profile").count();
        for (index, place) in references {
            self.add_layers(index, place, &mut seen, &mut layers, reading)?;
        }
        layers.push(server);
        if followed_all { Ok(layers) } else { Err(Told) }
    }

    fn add_layers(
        &self,
        index: usize,
        place: Place,
        seen: &mut HashSet<usize>,
        layers: &mut Vec<&'a Node>,
        reading: &mut Reading<'_>,
    ) -> Result<(), Told> {
        const COST_OF_A_LAYER: usize = 64;
        if !seen.insert(index) {
            return Ok(());
        }
        reading.settings.spend(COST_OF_A_LAYER, place, reading.problems)?;
        let profile = &self.all[index];
        for (reference, _) in &profile.references {
            self.add_layers(*reference, place, seen, layers, reading)?;
        }
        layers.push(profile.node);
        Ok(())
    }

    /// The profiles that a server or profile refers to; those that are not known are told.
    fn references(&self, node: &Node, reading: &mut Reading<'_>) -> Vec<(usize, Place)> {
        let references = node.all("profile").filter_map(|profile| profile.attribute("ref"));
        references
            .filter_map(|reference| {
                let id = reading.text(reference)?;
                match self.by_id.get(&id) {
                    Some(index) => Some((*index, reference.place)),
                    None => {
                        self.unknown(&id, reference, reading);
                        None
                    }
                }
            })
            .collect()
    }

    fn unknown(&self, id: &str, reference: &Value, reading: &mut Reading<'_>) {
        const MOST_LISTED: usize = 20;
        const MOST_COMPARED: usize = 1_000;
        if reading.problems.is_incomplete() || reading.problems.is_full() {
            return;
        }
        let known: Vec<&str> = self.all.iter().take(MOST_COMPARED).map(|profile| &*profile.id).collect();
        let mut message = format!("there is no profile {}", quoted(id));
        if let Some(similar) = similar(id, &known) {
            message.push_str(&format!("; did you mean {}?", quoted(similar)));
        } else if !known.is_empty() {
            let list = known.iter().take(MOST_LISTED).map(|id| plain(id)).collect::<Vec<_>>().join(", ");
            let more = if self.all.len() > MOST_LISTED { ", …" } else { "" };
            message.push_str(&format!("; there are {list}{more}"));
        }
        reading.problems.add(reference.place, message);
    }

    /// Tells every reference that closes a circle or goes too deep, and forgets it.
    fn search_circles(&mut self, index: usize, path: &mut Vec<usize>, reading: &mut Reading<'_>) -> usize {
        path.push(index);
        self.all[index].state = State::Open;
        let mut height = 1;
        let references = std::mem::take(&mut self.all[index].references);
        for (reference, place) in references {
            let depth = match self.all[reference].state {
                State::Open => {
                    reading.problems.add(place, self.circle(reference, path));
                    continue;
                }
                State::Done { height } => height,
                State::New if path.len() < MAX_DEPTH => self.search_circles(reference, path, reading),
                State::New => MAX_DEPTH,
            };
            if depth >= MAX_DEPTH {
                let message = format!("profiles refer to each other deeper than {MAX_DEPTH}");
                reading.problems.add(place, message);
                continue;
            }
            height = height.max(depth + 1);
            self.all[index].references.push((reference, place));
        }
        path.pop();
        self.all[index].state = State::Done { height };
        height
    }

    fn circle(&self, closing: usize, path: &[usize]) -> String {
        let start = path.iter().position(|index| *index == closing).unwrap_or(0);
        let names: String =
            path[start..].iter().map(|index| format!("{} -> ", plain(&self.all[*index].id))).collect();
        format!("profiles refer to each other in a circle: {names}{}", plain(&self.all[closing].id))
    }
}

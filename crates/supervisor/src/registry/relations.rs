//! `<dependsOn>` and `<restartGroup>`: what components have to do with each other, and where that is said.

use std::collections::HashMap;

use super::layers::Layers;
use super::problem::{Place, Problems};
use super::reading::Reading;
use crate::relations::{Relation, RelationProblem, check};
use crate::spec::{ComponentId, Condition, Dependency, ProcessSpec, RestartGroup, Strategy};

/// Where the relations of a component stand.
pub(super) struct Places {
    /// Of each dependency.
    dependencies: Vec<Place>,
    group: Option<Place>,
}

/// Reads what a component has to do with others.
pub(super) fn read(spec: &mut ProcessSpec, layers: &Layers<'_>, reading: &mut Reading<'_>) -> Places {
    let (depends_on, dependencies) = dependencies(layers, reading).into_iter().unzip();
    spec.depends_on = depends_on;
    spec.restart_group = restart_group(layers, reading);
    let group = layers.attribute("restartGroup", "name").map(|name| name.place);
    Places { dependencies, group }
}

/// Tells every relation of these components that is wrong. `is_left_out` knows the names of those that could not be made,
/// which has been told.
pub(super) fn tell_wrong(
    components: &[ProcessSpec],
    places: &[Places],
    is_left_out: impl Fn(&ComponentId) -> bool,
    problems: &mut Problems,
) {
    for wrong in check(components) {
        let may_exist = |on| problems.is_incomplete() || is_left_out(on);
        if matches!(&wrong.problem, RelationProblem::Unknown { on, .. } if may_exist(on)) {
            continue;
        }
        let place = match (places.get(wrong.component), wrong.relation) {
            (Some(places), Relation::Dependency(index)) => places.dependencies.get(index).copied(),
            (Some(places), Relation::Group) => places.group,
            (None, _) => None,
        };
        if let Some(place) = place {
            problems.add(place, wrong.problem.to_string());
        }
    }
}

/// Of the same name, what the stronger layer says counts; twice in one layer is told with all else that is wrong.
fn dependencies(layers: &Layers<'_>, reading: &mut Reading<'_>) -> Vec<(Dependency, Place)> {
    let mut found: Vec<(Dependency, Place)> = Vec::new();
    /// Which layer has named a component, and which of those found that is.
    struct Known {
        layer: usize,
        index: usize,
    }
    let mut known: HashMap<ComponentId, Known> = HashMap::new();
    for (layer, node) in layers.0.iter().enumerate() {
        for node in node.all("dependsOn") {
            let condition = node.attribute("condition").and_then(|value| reading.text(value));
            let condition = match condition.as_deref() {
                Some("started") => Condition::Started,
                Some("completed") => Condition::Completed,
                _ => Condition::Ready,
            };
            let Some(written) = node.attribute("ref") else { continue };
            let Some(on) = reading.text(written).and_then(|id| ComponentId::new(&id).ok()) else { continue };
            let entry = (Dependency { on: on.clone(), condition }, written.place);
            match known.get_mut(&on) {
                Some(weaker) if weaker.layer != layer => {
                    weaker.layer = layer;
                    found[weaker.index] = entry;
                }
                _ => {
                    known.insert(on, Known { layer, index: found.len() });
                    found.push(entry);
                }
            }
        }
    }
    found
}

fn restart_group(layers: &Layers<'_>, reading: &mut Reading<'_>) -> Option<RestartGroup> {
    let name = reading.text(layers.attribute("restartGroup", "name")?)?.as_ref().to_owned();
    let strategy = layers.attribute("restartGroup", "strategy").and_then(|value| reading.text(value));
    let strategy = match strategy.as_deref() {
        Some("oneForOne") => Strategy::OneForOne,
        Some("restForOne") => Strategy::RestForOne,
        _ => Strategy::OneForAll,
    };
    Some(RestartGroup { name, strategy })
}

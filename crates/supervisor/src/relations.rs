//! Whether what components have to do with each other makes sense, before anything starts: every dependency is known,
//! none leads back to where it began, and the members of a group agree.
//!
//! The registry and [`Builder::start`](crate::Builder::start) both ask [`check`], so that a host that describes its
//! components itself is told the same.

mod circles;

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::names::Names;
use crate::spec::{ComponentId, ProcessSpec, Strategy};

/// Something that is wrong with what a component has to do with others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("component {component:?} {problem}")]
pub struct RelationError {
    /// Whose relation is wrong.
    pub component: ComponentId,
    /// What is wrong with it.
    pub problem: RelationProblem,
}

/// What is wrong with a component's relation to others. Displayed as the end of a sentence about that component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelationProblem {
    /// Nobody has the name that it depends on.
    #[error("depends on {on:?}, but there is no such component{}", question(.suggestion.as_ref()))]
    Unknown {
        /// The name.
        on: ComponentId,
        /// The id that looks most like it.
        suggestion: Option<ComponentId>,
    },
    /// It depends on itself, or on the common name of instances of which it is one.
    #[error("depends on itself")]
    Itself,
    /// It depends on the same name twice.
    #[error("depends on {0:?} twice")]
    Twice(ComponentId),
    /// With this one, all components together have more than 1,000,000 dependencies, each instance counted that one
    /// depends on.
    #[error("depends on {0:?}, and with that the components have more than 1,000,000 dependencies")]
    TooMany(ComponentId),
    /// Each of these depends on the next, and the last one, which is the component, on the first.
    #[error("closes a circle of dependencies: {}", Chain(.0))]
    Circle(Vec<ComponentId>),
    /// Another member of its group says otherwise who restarts with whom.
    #[error("has the strategy {strategy} in the restart group {group:?}, but {other:?} has {others}")]
    Strategy {
        /// The name of the group.
        group: String,
        /// What it says itself.
        strategy: Strategy,
        /// The first member of the group.
        other: ComponentId,
        /// What that one says.
        others: Strategy,
    },
}

/// A relation that is wrong, and where it stands.
pub(crate) struct Wrong {
    pub(crate) component: usize,
    pub(crate) relation: Relation,
    pub(crate) problem: RelationProblem,
}

/// One of a component's relations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Relation {
    /// A dependency, by its index.
    Dependency(usize),
    /// Its restart group.
    Group,
}

/// Everything that is wrong, but no more than anybody would read.
pub(crate) fn check(specs: &[ProcessSpec]) -> Vec<Wrong> {
    let names = Names::new((0..).zip(specs));
    let mut wrong = check_names(specs, &names);
    wrong.extend(circles::find(specs, &names));
    check_groups(specs, &mut wrong);
    wrong
}

fn check_names(specs: &[ProcessSpec], names: &Names) -> Vec<Wrong> {
    /// To look for what resembles an unknown name takes a while.
    const MOST_TOLD: usize = 1_000;
    /// A few words in a registry could otherwise ask for any number: instances that depend on instances.
    const MOST_DEPENDENCIES: usize = 1_000_000;
    let mut wrong = Vec::new();
    let mut count = 0;
    for (component, spec) in specs.iter().enumerate() {
        let mut seen = HashSet::new();
        for (index, on) in spec.depends_on.iter().map(|dependency| &dependency.on).enumerate() {
            let members = names.named(on);
            count += members.map_or(1, <[u32]>::len);
            let problem = match members {
                _ if count > MOST_DEPENDENCIES => RelationProblem::TooMany(on.clone()),
                None => {
                    let suggestion = names.most_like(on.as_str()).filter(|id| *id != spec.id);
                    RelationProblem::Unknown { on: on.clone(), suggestion }
                }
                Some(members) if is_among(component, members) => RelationProblem::Itself,
                Some(_) if !seen.insert(on) => RelationProblem::Twice(on.clone()),
                Some(_) => continue,
            };
            wrong.push(Wrong { component, relation: Relation::Dependency(index), problem });
            if count > MOST_DEPENDENCIES || wrong.len() > MOST_TOLD {
                return wrong;
            }
        }
    }
    wrong
}

/// Whether the component of this index is one of these, which are in ascending order.
fn is_among(component: usize, members: &[u32]) -> bool {
    u32::try_from(component).is_ok_and(|component| members.binary_search(&component).is_ok())
}

fn check_groups(specs: &[ProcessSpec], wrong: &mut Vec<Wrong>) {
    let mut first_members: HashMap<&str, (&ComponentId, Strategy)> = HashMap::new();
    for (component, spec) in specs.iter().enumerate() {
        let Some(group) = &spec.restart_group else { continue };
        let (other, others) = *first_members.entry(&group.name).or_insert((&spec.id, group.strategy));
        if others != group.strategy {
            let (group, strategy) = (group.name.clone(), group.strategy);
            let problem = RelationProblem::Strategy { group, strategy, other: other.clone(), others };
            wrong.push(Wrong { component, relation: Relation::Group, problem });
        }
    }
}

/// What can be meant so, but hardly is, a sentence each: what starts by itself needs what does not, and will wait for it.
pub(crate) fn doubts(specs: &[ProcessSpec]) -> Vec<String> {
    let names = Names::new((0..).zip(specs));
    let is_off = |key: &u32| specs.get(*key as usize).is_some_and(|spec| !spec.autostart);
    let mut seen = HashSet::new();
    let mut doubts = Vec::new();
    for spec in specs.iter().filter(|spec| spec.autostart) {
        // What is true of one instance is told of all.
        let name = spec.instance_of.as_ref().unwrap_or(&spec.id);
        for on in spec.depends_on.iter().map(|dependency| &dependency.on) {
            let is_hanging = names.named(on).is_some_and(|members| members.iter().any(is_off));
            if is_hanging && seen.insert((name, on)) {
                doubts.push(format!(
                    "{name} starts by itself (autostart) but depends on {on}, which does not: it will wait until somebody starts {on}"
                ));
            }
        }
    }
    doubts
}

fn question(suggestion: Option<&ComponentId>) -> String {
    suggestion.map(|id| format!("; did you mean {id:?}?")).unwrap_or_default()
}

/// `a -> b -> a`, cut in the middle if it is long.
struct Chain<'a>(&'a [ComponentId]);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST_SHOWN: usize = 20;
        for id in self.0.iter().take(MOST_SHOWN) {
            write!(f, "{id} -> ")?;
        }
        if let Some(left_out) = self.0.len().checked_sub(MOST_SHOWN).filter(|count| *count > 0) {
            write!(f, "({left_out} more) -> ")?;
        }
        self.0.first().map_or(Ok(()), |first| write!(f, "{first}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Condition, Dependency, RestartGroup};

    fn component(id: &str, on: &[&str]) -> ProcessSpec {
        let mut spec = ProcessSpec::new(id, "/x").unwrap();
        spec.instance_of = id.split_once('-').map(|(common, _)| ComponentId::new(common).unwrap());
        let on = on.iter().map(|on| ComponentId::new(on).unwrap());
        spec.depends_on = on.map(|on| Dependency { on, condition: Condition::Ready }).collect();
        spec
    }

    /// What is told, as `component.relation: problem`.
    fn told(specs: &[ProcessSpec]) -> Vec<String> {
        let tell = |wrong: Wrong| {
            let place = match wrong.relation {
                Relation::Dependency(index) => index.to_string(),
                Relation::Group => "group".to_owned(),
            };
            format!("{}.{place}: {}", specs[wrong.component].id, wrong.problem)
        };
        check(specs).into_iter().map(tell).collect()
    }

    #[test]
    fn dependencies_are_on_others_that_are_known_and_each_once() {
        let specs = [
            component("is", &["ps", "is"]),
            component("ps", &[]),
            component("web-1", &["pss", "IS", "ps", "ps", "web"]),
            component("web-2", &["web-1"]),
        ];
        let expected = [
            "is.1: depends on itself",
            "web-1.0: depends on \"pss\", but there is no such component; did you mean \"ps\"?",
            "web-1.1: depends on \"IS\", but there is no such component; did you mean \"is\"?",
            "web-1.3: depends on \"ps\" twice",
            "web-1.4: depends on itself",
        ];
        assert_eq!(told(&specs), expected);
    }

    #[test]
    fn members_of_a_group_have_one_strategy() {
        let member = |id, group: &str, strategy| {
            let mut spec = component(id, &[]);
            spec.restart_group = Some(RestartGroup { name: group.into(), strategy });
            spec
        };
        let specs = [
            member("a", "one", Strategy::OneForAll),
            member("b", "two", Strategy::RestForOne),
            member("c", "one", Strategy::OneForOne),
            member("d", "two", Strategy::RestForOne),
        ];
        let expected =
            "c.group: has the strategy oneForOne in the restart group \"one\", but \"a\" has oneForAll";
        assert_eq!(told(&specs), [expected]);
    }

    #[test]
    fn what_starts_by_itself_and_needs_what_does_not_is_doubtful() {
        let off = |mut spec: ProcessSpec| {
            spec.autostart = false;
            spec
        };
        let specs = [
            component("is", &[]),
            off(component("db", &["lock"])),
            off(component("lock", &[])),
            component("web-1", &["db", "is"]),
            component("web-2", &["db", "is"]),
            off(component("svg", &["db"])),
        ];
        let expected = "web starts by itself (autostart) but depends on db, which does not: it will wait until somebody starts db";
        assert_eq!(doubts(&specs), [expected]);
    }

    #[test]
    fn a_long_circle_is_cut() {
        let count = 1_000;
        let specs: Vec<_> =
            (0..count).map(|n| component(&format!("c{n}"), &[&format!("c{}", (n + 1) % count)])).collect();
        let [only] = &told(&specs)[..] else { panic!() };
        assert!(only.starts_with("c999.0: closes a circle of dependencies: c0 -> c1 -> "), "{only}");
        assert!(only.ends_with("-> c19 -> (980 more) -> c0"), "{only}");
    }

    #[test]
    fn circles_are_told_once_each() {
        let specs = [
            component("a", &["b"]),
            component("b", &["c", "d"]),
            component("c", &["a"]),
            component("d", &["b"]),
            component("x", &["y", "a"]),
            component("y", &["x"]),
        ];
        let expected = [
            "c.0: closes a circle of dependencies: a -> b -> c -> a",
            "y.0: closes a circle of dependencies: x -> y -> x",
        ];
        assert_eq!(told(&specs), expected, "d -> b is part of the first: to open that may open it too");
    }

    #[test]
    fn a_circle_through_instances_names_the_instance() {
        let specs = [
            component("a-1", &["b"]),
            component("a-2", &["b"]),
            component("b", &["c"]),
            component("c", &["a"]),
        ];
        assert_eq!(told(&specs), ["c.0: closes a circle of dependencies: a-1 -> b -> c -> a-1"]);
    }

    #[test]
    fn what_depends_on_much_by_many_ways_is_no_circle() {
        let specs = [
            component("a", &["b", "c", "d"]),
            component("b", &["c", "d"]),
            component("c", &["d"]),
            component("d", &[]),
        ];
        assert_eq!(told(&specs), [""; 0]);
    }

    #[test]
    fn dependencies_are_counted_with_all_instances_and_circles_among_them_are_found_at_once() {
        let halves = |half: u32| {
            let first = (0..half).map(|n| component(&format!("a-{n}"), &["b"]));
            let second = (0..half).map(|n| component(&format!("b-{n}"), &["a-0"]));
            first.chain(second).collect::<Vec<_>>()
        };
        let circle = "b-0.0: closes a circle of dependencies: a-0 -> b-0 -> a-0";
        assert_eq!(told(&halves(999)), [circle]);
        let too_many =
            "a-200.0: depends on \"b\", and with that the components have more than 1,000,000 dependencies";
        assert_eq!(told(&halves(5_000)), [too_many, circle]);
    }
}

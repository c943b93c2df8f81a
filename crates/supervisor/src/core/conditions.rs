//! What the supervisor itself cannot do now, in sentences for people.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Core;
use super::component::Component;
use crate::status::passing;

/// How many components are named in a sentence.
const MOST_NAMED: usize = 3;

impl Core {
    /// What the supervisor cannot do now, and for whom, a sentence each.
    pub(super) fn conditions(&self, now: Duration) -> Vec<String> {
        let name = |component: &Component| component.spec.id.to_string();
        let mut unspawned: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut unasked: BTreeMap<&str, (Duration, Vec<String>)> = BTreeMap::new();
        for component in self.components.values() {
            if let Some(why) = component.lacks() {
                unspawned.entry(why).or_default().push(name(component));
            }
            if let Some((why, since)) = component.unasked() {
                let (first, names) = unasked.entry(why).or_insert((since, Vec::new()));
                *first = since.min(*first);
                names.push(name(component));
            }
        }
        let unspawned = unspawned.into_iter().map(|(why, names)| {
            format!("{why}; tried again, and not counted as a failure: {}", named(names.into_iter()))
        });
        let unasked = unasked.into_iter().map(|(why, (since, names))| {
            let (time, names) = (passing(now.saturating_sub(since)), named(names.into_iter()));
            format!("not asked how they are for {time}, and not judged ({why}): {names}")
        });
        let gone_back = self.gone_back.as_ref().map(|why| {
            format!("what was applied last does not hold, all is as it was before: {why}; mend the registry and apply it")
        });
        let waiting = self.probes.conditions(now, |key| self.id(key).to_string());
        gone_back.into_iter().chain(unspawned).chain(unasked).chain(waiting).collect()
    }
}

/// Some of these names, and how many more there are: `a, b, c and 9 more`.
pub(super) fn named(mut names: impl Iterator<Item = String>) -> String {
    let first: Vec<_> = names.by_ref().take(MOST_NAMED).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

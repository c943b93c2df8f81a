//! From the names that people type to the components they mean.

use std::collections::HashMap;

use crate::request::{RequestError, Targets};
use crate::spec::{ComponentId, ProcessSpec};

/// The names of all components.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// In start order.
    ids: Vec<(u32, ComponentId)>,
    /// Those that are about to be no more.
    leaving: Vec<(u32, ComponentId)>,
    /// By key: the place among them.
    places: HashMap<u32, usize>,
    by_name: HashMap<ComponentId, Vec<u32>>,
}

impl Names {
    /// The names of these components, given by their keys and in start order.
    pub(crate) fn new<'a>(specs: impl IntoIterator<Item = (u32, &'a ProcessSpec)>) -> Self {
        let mut names = Self::default();
        for (key, spec) in specs {
            names.places.insert(key, names.ids.len());
            names.ids.push((key, spec.id.clone()));
            names.by_name.entry(spec.id.clone()).or_default().push(key);
            if let Some(common) = &spec.instance_of {
                names.by_name.entry(common.clone()).or_default().push(key);
            }
        }
        names
    }

    /// With those that are about to be no more: they are found by their ids, and not among all or by what they have in common.
    pub(crate) fn with_leaving<'a>(
        mut self,
        specs: impl IntoIterator<Item = (u32, &'a ProcessSpec)>,
    ) -> Self {
        for (place, (key, spec)) in (self.ids.len()..).zip(specs) {
            self.places.insert(key, place);
            self.leaving.push((key, spec.id.clone()));
            self.by_name.entry(spec.id.clone()).or_insert_with(|| vec![key]);
        }
        self
    }

    /// The key of the component of this id.
    pub(crate) fn key(&self, id: &ComponentId) -> Result<u32, RequestError> {
        let named = self.named(id).unwrap_or_default().iter().copied();
        let mut its = named.filter(|key| self.id(*key) == Some(id));
        its.next().ok_or_else(|| RequestError::Unknown {
            name: id.to_string(),
            suggestion: self.most_like(id.as_str()),
        })
    }

    /// The component of this key.
    pub(crate) fn id(&self, key: u32) -> Option<&ComponentId> {
        let (_, id) = self.ids.iter().chain(&self.leaving).nth(*self.places.get(&key)?)?;
        Some(id)
    }

    /// The components that this name means, in start order: one by its id, or instances by what they share.
    pub(crate) fn named(&self, name: &ComponentId) -> Option<&[u32]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// Every key, in start order.
    pub(crate) fn all(&self) -> Vec<u32> {
        self.ids.iter().map(|(key, _)| *key).collect()
    }

    /// The same, and those that are about to be no more.
    pub(crate) fn all_and_leaving(&self) -> Vec<u32> {
        self.ids.iter().chain(&self.leaving).map(|(key, _)| *key).collect()
    }

    /// The components that are meant, each once and in start order.
    pub(crate) fn resolve(&self, targets: &Targets) -> Result<Vec<u32>, RequestError> {
        let Targets::Named(names) = targets else { return Ok(self.all()) };
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            keys.extend(self.meant_by(name)?);
        }
        keys.sort_by_key(|key| self.places.get(key));
        keys.dedup();
        Ok(keys)
    }

    fn meant_by(&self, name: &str) -> Result<Vec<u32>, RequestError> {
        if let Some(keys) = self.by_name.get(name) {
            return Ok(keys.clone());
        }
        // No id contains these, so that a glob cannot be mistaken for one.
        if name.contains(['*', '?', '['])
            && let Ok(pattern) = glob::Pattern::new(name)
        {
            let matching = self.ids.iter().filter(|(_, id)| pattern.matches(id.as_str()));
            let keys: Vec<_> = matching.map(|(key, _)| *key).collect();
            if !keys.is_empty() {
                return Ok(keys);
            }
        }
        Err(RequestError::Unknown { name: name.chars().take(80).collect(), suggestion: self.most_like(name) })
    }

    /// The id that looks most like this name, if one does.
    pub(crate) fn most_like(&self, name: &str) -> Option<ComponentId> {
        if name.len() > ComponentId::MAX_LENGTH {
            return None;
        }
        let likeness = |id: &ComponentId| {
            strsim::jaro_winkler(&id.as_str().to_ascii_lowercase(), &name.to_ascii_lowercase())
        };
        self.ids
            .iter()
            .map(|(_, id)| (likeness(id), id))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, id)| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let specs = ["is", "web-1", "web-2"].map(|id| {
            let mut spec = ProcessSpec::new(id, "/x").unwrap();
            spec.instance_of = id.starts_with("web").then(|| ComponentId::new("web").unwrap());
            spec
        });
        Names::new((0..).zip(&specs))
    }

    #[test]
    fn a_name_means_an_id_or_all_instances_or_what_a_glob_matches_each_once_and_in_order() {
        let resolve = |targets: &[&str]| names().resolve(&Targets::from(targets)).unwrap();
        assert_eq!(resolve(&["web-2"]), [2]);
        assert_eq!(resolve(&["web"]), [1, 2]);
        assert_eq!(resolve(&["web-*", "web", "is"]), [0, 1, 2]);
        assert_eq!(names().resolve(&Targets::All).unwrap(), [0, 1, 2]);
        assert_eq!(resolve(&[]), [0_u32; 0]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_one_it_looks_like() {
        let refusal = |name: &str| names().resolve(&Targets::from(name)).unwrap_err();
        let suggestion = |suggestion: Option<&str>| suggestion.map(|id| ComponentId::new(id).unwrap());
        for (name, expected) in [("wbe-1", Some("web-1")), ("IS", Some("is")), ("zzz", None), ("q*", None)] {
            let wanted = RequestError::Unknown { name: name.into(), suggestion: suggestion(expected) };
            assert_eq!(refusal(name), wanted);
        }
        assert!(
            matches!(refusal(&"x".repeat(1_000)), RequestError::Unknown { name, .. } if name.len() == 80)
        );
    }
}

//! The components that a name means, where a registry is at hand and no supervisor.

use supervisor::ProcessSpec;

use crate::exit::{Exit, Failure};

/// The components that these names mean, in the order of the registry; all if there are no names.
pub(crate) fn choose<'a>(
    components: &'a [ProcessSpec],
    names: &[String],
) -> Result<Vec<&'a ProcessSpec>, Failure> {
    for name in names {
        if !components.iter().any(|spec| means(name, spec)) {
            let ids = components.iter().map(|spec| spec.id.as_str());
            let advice = match most_like(name, ids) {
                Some(id) => format!("did you mean {id:?}?"),
                None => "`s7supervisor check` names all".to_owned(),
            };
            let message = format!("there is no component {name:?}; {advice}");
            return Err(Failure::new(Exit::Invalid, message));
        }
    }
    let chosen = |spec: &&ProcessSpec| names.is_empty() || names.iter().any(|name| means(name, spec));
    Ok(components.iter().filter(chosen).collect())
}

/// Whether this name means the component: by its id, by the common name of several instances, or by a pattern.
pub(crate) fn means(name: &str, spec: &ProcessSpec) -> bool {
    let pattern = glob::Pattern::new(name);
    spec.id == *name
        || spec.instance_of.as_ref().is_some_and(|common| *common == *name)
        || pattern.is_ok_and(|pattern| pattern.matches(spec.id.as_str()))
}

/// The candidate that looks most like this word, if one does.
pub(crate) fn most_like<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Less than this is no likeness.
    const LIKE: f64 = 0.7;
    let word = word.to_ascii_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&candidate.to_ascii_lowercase(), &word);
    let likely = candidates.into_iter().map(|candidate| (likeness(candidate), candidate));
    let likely = likely.filter(|(likeness, _)| *likeness > LIKE);
    likely.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_meant_by_its_id_by_its_common_name_or_by_a_pattern() {
        let mut spec = ProcessSpec::new("web-1", "/bin/web").unwrap();
        spec.instance_of = Some(supervisor::ComponentId::new("web").unwrap());
        for name in ["web-1", "web", "web-*", "*"] {
            assert!(means(name, &spec), "{name}");
        }
        for name in ["web-2", "WEB", "w", "", "[", "ps-*"] {
            assert!(!means(name, &spec), "{name}");
        }
    }

    #[test]
    fn a_misspelt_word_is_like_the_right_one_and_another_word_is_like_none() {
        let words = ["crashes", "completes", "hangs"];
        assert_eq!(most_like("crahses", words), Some("crashes"));
        assert_eq!(most_like("HANGS", words), Some("hangs"));
        assert_eq!(most_like("zzz", words), None);
    }
}

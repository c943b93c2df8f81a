//! What a component's processes find in their environment.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use crate::spec::Environment;

/// The names that begin so are meant for the supervisor itself.
const OURS: [&str; 4] = ["NOTIFY_", "WATCHDOG_", "LISTEN_", "S7_"];

/// What components inherit of the supervisor's environment.
pub(crate) fn inherited() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| !is_ours(name)).collect()
}

fn is_ours(name: &OsStr) -> bool {
    OURS.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// The whole environment of a component: what it inherits, and its own variables on top.
pub(crate) fn of<'a>(
    own: &Environment,
    inherited: &'a [(OsString, OsString)],
) -> Cow<'a, [(OsString, OsString)]> {
    if own.variables.is_empty() && !own.clear {
        return Cow::Borrowed(inherited);
    }
    let mut all = if own.clear { Vec::new() } else { inherited.to_vec() };
    let mut places: HashMap<OsString, usize> =
        (0..).zip(&all).map(|(place, (name, _))| (name.clone(), place)).collect();
    for variable in &own.variables {
        let name = OsString::from(&variable.name);
        let place = *places.entry(name.clone()).or_insert(all.len());
        let pair = (name, variable.value.clone());
        if place < all.len() { all[place] = pair } else { all.push(pair) }
    }
    Cow::Owned(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Variable;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn own(clear: bool, variables: &[(&str, &str)]) -> Environment {
        let variable = |(name, value): &(&str, &str)| Variable {
            name: (*name).into(),
            value: value.into(),
            secret: false,
        };
        Environment { clear, variables: variables.iter().map(variable).collect() }
    }

    #[test]
    fn what_is_meant_for_the_supervisor_is_not_inherited() {
        for (name, ours) in
            [("NOTIFY_SOCKET", true), ("S7_REGISTRY", true), ("LISTEN_FDS", true), ("PATH", false)]
        {
            assert_eq!(is_ours(OsStr::new(name)), ours, "{name}");
        }
    }

    #[test]
    fn own_variables_come_on_top_and_the_last_of_a_name_wins() {
        let inherited = pairs(&[("PATH", "/bin"), ("HOME", "/root")]);
        assert!(matches!(of(&own(false, &[]), &inherited), Cow::Borrowed(_)));
        let with = of(&own(false, &[("HOME", "/a"), ("X", "1"), ("X", "2")]), &inherited);
        assert_eq!(*with, pairs(&[("PATH", "/bin"), ("HOME", "/a"), ("X", "2")]));
        assert_eq!(*of(&own(true, &[("X", "1")]), &inherited), pairs(&[("X", "1")]));
        assert!(of(&own(true, &[]), &inherited).is_empty());
    }
}

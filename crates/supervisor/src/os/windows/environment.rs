//! The environment of a process, as the system takes it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::windows::ffi::OsStrExt;

use super::stopping::STOP_VARIABLE;
use crate::os::{Launch, RUN_VARIABLE, TASK_VARIABLE};

/// What a program needs to find the libraries of the system, and would be missing in an environment that begins empty.
const NEEDED: [&str; 2] = ["SystemRoot", "SystemDrive"];

/// The variables of a launch, the last of each name, whatever its case.
#[derive(Debug, Default)]
pub(super) struct Environment(BTreeMap<OsString, (OsString, OsString)>);

impl Environment {
    /// That of this launch. Processes of the run are asked to stop by the event of that name.
    pub(super) fn of(launch: &Launch<'_>, stop_event: &str) -> Self {
        let mut all = Self::default();
        for (name, value) in NEEDED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))) {
            all.set(OsStr::new(name), value);
        }
        for (name, value) in launch.environment {
            all.set(name, value.clone());
        }
        let of_account =
            launch.account.into_iter().flat_map(|account| account.variables_beside(&launch.spec.environment));
        for (name, value) in of_account {
            all.set(name, value.to_owned());
        }
        for (name, value) in launch.added {
            all.set(name, value.clone());
        }
        all.set(RUN_VARIABLE.as_ref(), launch.token.into());
        all.set(STOP_VARIABLE.as_ref(), stop_event.into());
        if let Some(errand) = launch.errand {
            all.set(TASK_VARIABLE.as_ref(), errand.token.into());
        }
        all
    }

    fn set(&mut self, name: &OsStr, value: OsString) {
        self.0.insert(name.to_ascii_uppercase(), (name.to_owned(), value));
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(&name.to_ascii_uppercase())).map(|(_, value)| value.as_os_str())
    }

    /// Each variable ended by zero, in the order of their names, and another zero at the end. What cannot be a name is left out;
    /// what has a zero in it ends there.
    pub(super) fn block(&self) -> Vec<u16> {
        let mut block = Vec::new();
        let is_name = |name: &OsStr| !name.is_empty() && !name.as_encoded_bytes()[1..].contains(&b'=');
        for (name, value) in self.0.values().filter(|(name, _)| is_name(name)) {
            let pair = name.encode_wide().chain([u16::from(b'=')]).chain(value.encode_wide());
            block.extend(pair.take_while(|unit| *unit != 0));
            block.push(0);
        }
        if block.is_empty() {
            block.push(0);
        }
        block.push(0);
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_variable_of_a_name_counts_whatever_its_case() {
        let mut all = Environment::default();
        for (name, value) in
            [("Path", "a"), ("B", "1"), ("PATH", "b"), ("", "x"), ("A=B", "x"), ("=C:", r"C:\")]
        {
            all.set(OsStr::new(name), value.into());
        }
        assert_eq!(all.get("path"), Some(OsStr::new("b")));
        assert_eq!(String::from_utf16(&all.block()).unwrap(), "=C:=C:\\\0B=1\0PATH=b\0\0");
        assert_eq!(Environment::default().block(), [0, 0]);
    }
}

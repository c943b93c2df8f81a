//! What the tests of this module share.

use std::path::{Path, PathBuf};

use chrono::{Local, NaiveDateTime, TimeZone};

/// Seconds since 1970 of a local time such as `2026-11-22 10:00`.
pub(super) fn at(local: &str) -> i64 {
    let time = NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M").unwrap();
    Local.from_local_datetime(&time).earliest().unwrap().timestamp()
}

pub(super) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all that is in a folder, sorted.
pub(super) fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// All that was written to the log `name` without date: its numbered files in order, then the current one.
pub(super) fn whole_log(folder: &Path, name: &str) -> Vec<Vec<u8>> {
    let number = |path: &Path| path.extension().and_then(|end| end.to_str()?.parse::<u64>().ok());
    let mut ended: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    ended.retain(|path| path.file_stem().is_some_and(|stem| stem == name) && number(path).is_some());
    ended.sort_by_key(|path| number(path));
    ended.push(folder.join(name));
    ended.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

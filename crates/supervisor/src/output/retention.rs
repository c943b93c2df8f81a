//! Which of a log's ended files have to go: by their number, their size together, and the room that is left on the disk.
//! (By their age: `housekeeping`.)

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;

use chrono::NaiveDate;

use super::LogSettings;
use super::folder::Folder;
use super::names::{Form, Found, Names};
use crate::os;

/// The ended files of a log, the oldest first: by the date, if it has one, and the number, which the last file of a day
/// has not. One that is being replaced by its compressed form has two names.
type Ended<'a> = BTreeMap<(Option<NaiveDate>, u64), Vec<&'a OsString>>;

/// Deletes of the `existing` files those that are too many, too large or in the way, but never the `current` one.
pub(super) fn retain(
    folder: &Folder,
    settings: &LogSettings,
    existing: &[OsString],
    current: Option<&OsStr>,
) -> io::Result<()> {
    let LogSettings { keep, max_total, min_free, .. } = *settings;
    if keep.is_none() && max_total.is_none() && min_free.is_none() {
        return Ok(());
    }
    let mut ended = Ended::new();
    for (name, found) in files_of(&settings.names(), existing) {
        // A half compressed one is in the hands of the thread in the background.
        if Some(name.as_os_str()) != current && found.form != Form::Unfinished {
            ended.entry((found.date, found.number.unwrap_or(u64::MAX))).or_default().push(name);
        }
    }
    // What cannot be removed for one reason does not keep the others from being dealt with.
    let kept = keep.map_or(Ok(()), |keep| keep_newest(folder, &mut ended, keep));
    let fits = max_total.map_or(Ok(()), |most| fit(folder, &mut ended, most));
    let is_free = min_free.map_or(Ok(()), |least| keep_free(folder, &mut ended, least));
    kept.and(fits).and(is_free)
}

pub(super) fn files_of<'a>(
    names: &Names,
    existing: &'a [OsString],
) -> impl Iterator<Item = (&'a OsString, Found)> {
    existing.iter().filter_map(|name| Some((name, names.parse(name)?)))
}

/// Of the files that were ended for their size only so many.
fn keep_newest(folder: &Folder, ended: &mut Ended<'_>, keep: u32) -> io::Result<()> {
    let numbered: Vec<_> = ended.keys().filter(|(_, number)| *number != u64::MAX).copied().collect();
    let surplus = numbered.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    let mut done = Ok(());
    for key in &numbered[..surplus] {
        done = done.and(remove(folder, ended.remove(key)));
    }
    done
}

/// Only so many that they take no more than this together.
fn fit(folder: &Folder, ended: &mut Ended<'_>, most: u64) -> io::Result<()> {
    let sizes = ended.values().map(|names| size(folder, names, Metadata::len));
    let mut total: u64 = sizes.sum();
    let mut done = Ok(());
    while total > most
        && let Some((_, names)) = ended.pop_first()
    {
        total = total.saturating_sub(size(folder, &names, Metadata::len));
        done = done.and(remove(folder, Some(names)));
    }
    done
}

/// Only so many that so much of the disk is free.
fn keep_free(folder: &Folder, ended: &mut Ended<'_>, least: u64) -> io::Result<()> {
    let mut free = folder.free()?;
    let mut done = Ok(());
    while free < least
        && let Some((_, names)) = ended.pop_first()
    {
        // Counted, not asked for: what somebody has open is free only when that is closed, and no other file has to
        // go for that.
        free += size(folder, &names, os::size_on_disk);
        done = done.and(remove(folder, Some(names)));
    }
    done
}

fn size(folder: &Folder, names: &[&OsString], of: fn(&Metadata) -> u64) -> u64 {
    names.iter().filter_map(|name| folder.look_at(name)).map(|file| of(&file)).sum()
}

fn remove(folder: &Folder, names: Option<Vec<&OsString>>) -> io::Result<()> {
    let mut done = Ok(());
    for name in names.unwrap_or_default() {
        done = done.and(folder.remove(name));
    }
    done
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testbench::names_in;
    use super::*;

    const FILES: [&str; 8] = [
        "ps-2026-11-20.log.gz",
        "ps-2026-11-21.log",
        "ps-2026-11-21.log.2",
        "ps-2026-11-21.log.10.gz",
        "ps-2026-11-22.log",
        "ps-2026-11-22.log.1",
        "ps-2026-11-22.log.1.gz.tmp",
        "ps-stderr-2026-11-20.log",
    ];

    /// What is deleted of these files of 100 bytes each.
    fn deleted(change: impl FnOnce(&mut LogSettings)) -> Vec<&'static str> {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = LogSettings::new(folder.path().join("ps.log"));
        settings.dated = true;
        change(&mut settings);
        for name in FILES {
            fs::write(folder.path().join(name), [b'x'; 100]).unwrap();
        }
        let opened = Folder::of(&settings.path).unwrap();
        let existing = opened.names().unwrap();
        retain(&opened, &settings, &existing, Some(OsStr::new("ps-2026-11-22.log"))).unwrap();
        let left = names_in(folder.path());
        FILES.into_iter().filter(|name| !left.iter().any(|left| left == name)).collect()
    }

    #[test]
    fn beyond_a_total_size_the_oldest_are_deleted() {
        assert!(deleted(|log| log.max_total = Some(500)).is_empty());
        let oldest = ["ps-2026-11-20.log.gz", "ps-2026-11-21.log.2"];
        assert_eq!(deleted(|log| log.max_total = Some(399)), oldest);
    }

    #[test]
    fn where_more_must_be_free_than_there_is_all_ended_files_are_deleted_and_nothing_else() {
        assert!(deleted(|log| log.min_free = Some(1)).is_empty());
        let ended = [FILES[0], FILES[1], FILES[2], FILES[3], FILES[5]];
        assert_eq!(deleted(|log| log.min_free = Some(u64::MAX)), ended);
    }

    #[test]
    fn a_number_of_files_is_kept_of_those_that_were_ended_for_their_size() {
        assert_eq!(deleted(|log| log.keep = Some(2)), ["ps-2026-11-21.log.2"]);
    }
}

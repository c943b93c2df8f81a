//! What the files of a log are called.
//!
//! ```text
//! ps.log            the current file           ps-2026-11-22.log         the file of a day
//! ps.log.7          ended for its size         ps-2026-11-22.log.7       likewise
//! ps.log.7.gz       compressed                 ps-2026-11-22.log.gz, ps-2026-11-22.log.7.gz
//! *.gz.tmp          being compressed
//! ```
//!
//! What their lines look like: `form`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

/// The pattern of the names of one log's files. What it does not match belongs to somebody else.
#[derive(Clone, Debug)]
pub(super) struct Names {
    stem: OsString,
    /// With its dot, or empty.
    suffix: OsString,
    is_dated: bool,
}

/// What the name of an existing file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The day, if the log is dated.
    pub(super) date: Option<NaiveDate>,
    /// The number, if it was ended for its size.
    pub(super) number: Option<u64>,
    pub(super) form: Form,
}

/// Whether a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Compressed,
    /// Half compressed.
    Unfinished,
}

impl Names {
    pub(super) fn new(path: &Path, is_dated: bool) -> Self {
        let mut suffix = OsString::new();
        if let Some(extension) = path.extension() {
            suffix.push(".");
            suffix.push(extension);
        }
        Self { stem: path.file_stem().unwrap_or_default().into(), suffix, is_dated }
    }

    /// The name of the file that is written to on that day.
    pub(super) fn current(&self, date: NaiveDate) -> OsString {
        let mut name = self.stem.clone();
        if self.is_dated {
            name.push(date.format("-%Y-%m-%d").to_string());
        }
        name.push(&self.suffix);
        name
    }

    /// What a file's name says of it; `None` if it is not one of this log's.
    pub(super) fn parse(&self, name: &OsStr) -> Option<Found> {
        let mut rest = name.as_encoded_bytes().strip_prefix(self.stem.as_encoded_bytes())?;
        let mut date = None;
        if self.is_dated {
            let (text, after) = rest.strip_prefix(b"-")?.split_at_checked("yyyy-mm-dd".len())?;
            date = Some(parse_date(text)?);
            rest = after;
        }
        rest = rest.strip_prefix(self.suffix.as_encoded_bytes())?;
        let mut form = Form::Plain;
        if let Some(before) = rest.strip_suffix(b".gz") {
            (rest, form) = (before, Form::Compressed);
        } else if let Some(before) = rest.strip_suffix(b".gz.tmp") {
            (rest, form) = (before, Form::Unfinished);
        }
        let number = if rest.is_empty() { None } else { Some(parse_number(rest.strip_prefix(b".")?)?) };
        // The current file of a log without dates is never compressed, so `ps.log.gz` is not ours.
        let is_ours = form == Form::Plain || number.is_some() || date.is_some();
        is_ours.then_some(Found { date, number, form })
    }

    /// The highest number among `existing` files that were ended for their size and were then named `current`.
    pub(super) fn highest_number(&self, current: &OsStr, existing: &[OsString]) -> u64 {
        let date = self.parse(current).and_then(|found| found.date);
        let found = existing.iter().filter_map(|name| self.parse(name)).filter(|found| found.date == date);
        found.filter_map(|found| found.number).max().unwrap_or(0)
    }
}

/// The other logs, each by its path and whether the date is put in, that would take the file at this path for theirs:
/// `ps-2030-01-31.log.7` is taken by `ps-2030-01-31.log` for one that was ended for its size, and by the dated `ps.log`
/// for that of a day.
pub(crate) fn owners(path: &Path) -> Vec<(PathBuf, bool)> {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else { return Vec::new() };
    let unpacked = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".gz.tmp")).unwrap_or(name);
    let unnumbered = unpacked.rsplit_once('.').map(|(name, _number)| name);
    let of_size = [unnumbered].into_iter().flatten().map(|name| (name.to_owned(), false));
    let of_day = [Some(name), Some(unpacked), unnumbered].into_iter().flatten().filter_map(without_date);
    let candidates = of_size.chain(of_day.map(|name| (name, true)));
    let mut owners: Vec<_> = candidates
        .filter(|(owner, _)| !owner.is_empty())
        .map(|(owner, is_dated)| (path.with_file_name(owner), is_dated))
        // What is a guess up to here is decided by the pattern itself.
        .filter(|(owner, is_dated)| Names::new(owner, *is_dated).parse(OsStr::new(name)).is_some())
        .collect();
    owners.dedup();
    owners
}

/// What a name would be without the date before its suffix, if there is one: `ps-2030-01-31.log` -> `ps.log`.
fn without_date(name: &str) -> Option<String> {
    let name = Path::new(name);
    let stem = name.file_stem()?.to_str()?;
    let (stem, _date) = stem.split_at_checked(stem.len().checked_sub("-yyyy-mm-dd".len())?)?;
    let suffix = name.extension().and_then(OsStr::to_str).map(|suffix| format!(".{suffix}"));
    (!stem.is_empty()).then(|| format!("{stem}{}", suffix.unwrap_or_default()))
}

/// `name` with something behind it.
pub(super) fn with_end(name: &OsStr, end: &str) -> OsString {
    let mut longer = name.to_os_string();
    longer.push(end);
    longer
}

/// A date exactly as it is written in names, so that nothing else is taken for one.
fn parse_date(text: &[u8]) -> Option<NaiveDate> {
    let text = std::str::from_utf8(text).ok()?;
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (date.format("%Y-%m-%d").to_string() == text).then_some(date)
}

/// A number exactly as it is written in names. More than 15 digits are not ours: so many files there never were.
fn parse_number(text: &[u8]) -> Option<u64> {
    let is_ours =
        matches!(text, [b'1'..=b'9', ..]) && text.len() <= 15 && text.iter().all(u8::is_ascii_digit);
    if is_ours { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_date_stands_before_the_suffix() {
        let name = |path: &str| Names::new(Path::new(path), true).current(day("2026-11-22"));
        assert_eq!(name("logs/ps.log"), "ps-2026-11-22.log");
        assert_eq!(name("ps"), "ps-2026-11-22");
        assert_eq!(name("a.b.log"), "a.b-2026-11-22.log");
        assert_eq!(Names::new(Path::new("ps.log"), false).current(day("2026-11-22")), "ps.log");
    }

    #[test]
    fn names_of_a_log_are_recognised() {
        let found = |path: &str, is_dated, name: &str| {
            let found = Names::new(Path::new(path), is_dated).parse(OsStr::new(name))?;
            Some((found.date.map(|date| date.to_string()), found.number, found.form))
        };
        let date = || Some("2026-11-22".to_owned());
        for (name, expected) in [
            ("ps.log", (None, None, Form::Plain)),
            ("ps.log.7", (None, Some(7), Form::Plain)),
            ("ps.log.7.gz", (None, Some(7), Form::Compressed)),
            ("ps.log.12.gz.tmp", (None, Some(12), Form::Unfinished)),
        ] {
            assert_eq!(found("ps.log", false, name), Some(expected), "{name}");
        }
        for (name, expected) in [
            ("ps-2026-11-22.log", (date(), None, Form::Plain)),
            ("ps-2026-11-22.log.gz", (date(), None, Form::Compressed)),
            ("ps-2026-11-22.log.3", (date(), Some(3), Form::Plain)),
            ("ps-2026-11-22.log.3.gz", (date(), Some(3), Form::Compressed)),
        ] {
            assert_eq!(found("ps.log", true, name), Some(expected), "{name}");
        }
    }

    #[test]
    fn names_of_others_are_not_taken_for_ones_own() {
        let dated = Names::new(Path::new("ps.log"), true);
        let plain = Names::new(Path::new("ps.log"), false);
        for name in [
            "ps-2.log",
            "ps-stderr.log",
            "ps-stderr-2026-11-22.log",
            "ps-2026-11-22x.log",
            "ps-2026-11-22-1.log",
            "ps-2026-13-22.log",
            "ps-2026-1-22.log",
            "ps-+026-11-22.log",
            "ps-2-2026-11-22.log",
            "xps.log",
            "ps.log.gz",
            "ps.log.0",
            "ps.log.01",
            "ps.log.1x",
            "ps.log.+1",
            "ps.log.",
            "ps.log.-1",
            "ps.log.1.gz.old",
            "ps.log.1.tmp",
            "ps.log.9999999999999999",
            "ps.logx",
            "PS.log",
            "ps",
            "",
        ] {
            assert_eq!(dated.parse(OsStr::new(name)), None, "{name} as dated");
            assert_eq!(plain.parse(OsStr::new(name)), None, "{name} as not dated");
        }
        assert_eq!(plain.parse(OsStr::new("ps-2026-11-22.log")), None);
        assert_eq!(dated.parse(OsStr::new("ps.log")), None);
        assert_eq!(dated.parse(OsStr::new("ps.log.1")), None);
    }

    #[test]
    fn numbers_count_per_day() {
        let names = Names::new(Path::new("ps.log"), true);
        let existing =
            ["ps-2026-11-21.log.9", "ps-2026-11-22.log.2.gz", "ps-2026-11-22.log.1"].map(OsString::from);
        assert_eq!(names.highest_number(OsStr::new("ps-2026-11-22.log"), &existing), 2);
        assert_eq!(names.highest_number(OsStr::new("ps-2026-11-23.log"), &existing), 0);
    }

    #[test]
    fn a_file_is_taken_by_the_logs_that_would_give_it_its_name() {
        let owners = |name: &str| {
            let owners = owners(&Path::new("/l").join(name)).into_iter();
            let shown = |path: PathBuf| path.display().to_string().replace('\\', "/");
            owners.map(|(path, is_dated)| format!("{} {is_dated}", shown(path))).collect::<Vec<_>>()
        };
        for (name, expected) in [
            ("ps.log", &[][..]),
            ("ps.log.gz", &[]),
            ("ps.log.07", &[]),
            ("-2030-01-31.log", &[]),
            ("ps.2030-01-31.log", &[]),
            ("ps-2030-13-31.log", &[]),
            ("ps.log.7", &["/l/ps.log false"]),
            ("ps.log.7.gz.tmp", &["/l/ps.log false"]),
            ("ps-2030-01-31.log", &["/l/ps.log true"]),
            ("ps-2030-01-31", &["/l/ps true"]),
            ("ps-2030-01-31.log.gz", &["/l/ps.log true"]),
            ("ps-2030-01-31.log.7", &["/l/ps-2030-01-31.log false", "/l/ps.log true"]),
        ] {
            assert_eq!(owners(name), expected, "{name}");
        }
    }
}

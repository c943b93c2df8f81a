use std::fs::{self, File};
use std::io::Read;
#[cfg(unix)]
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::super::testbench::{at, names_in, text, whole_log};
use super::*;
use crate::os;

const LONG: Duration = Duration::from_secs(60);

/// A log of which the test decides the time.
struct Bench {
    folder: tempfile::TempDir,
    log: LogFile,
    now: i64,
}

impl Bench {
    fn new(change: impl FnOnce(&mut LogSettings)) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), change)
    }

    fn in_folder(folder: tempfile::TempDir, change: impl FnOnce(&mut LogSettings)) -> Self {
        let mut settings = LogSettings::new(folder.path().join("ps.log"));
        change(&mut settings);
        let now = at("2026-11-22 10:00");
        let log = LogFile::open_with(Arc::new(settings), Housekeeper::default(), now).unwrap();
        Self { folder, log, now }
    }

    fn put(&mut self, text: &str) {
        self.log.append_all(text.as_bytes(), self.now).unwrap();
    }

    /// Stores a text that comes out of a pipe, which holds no more than that.
    fn draw(&mut self, text: &[u8]) {
        let (reader, writer) = os::pipe().unwrap();
        File::from(writer).write_all(text).unwrap();
        let mut lens = Lens::new(4096);
        let mut held = text.len();
        while held > 0 {
            held -= self.log.draw(&reader, held, &mut lens, self.now).unwrap();
        }
    }

    fn names(&self) -> Vec<String> {
        names_in(self.folder.path())
    }

    fn text(&self, name: &str) -> String {
        text(&self.folder.path().join(name))
    }

    /// Waits until the old files are dealt with.
    fn settled(&self) -> &Self {
        assert!(self.log.housekeeper.wait_until_idle(LONG));
        self
    }
}

fn folder_with(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        fs::write(folder.path().join(name), format!("this was {name}\n")).unwrap();
    }
    folder
}

fn unzipped(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn each_day_has_a_file_of_its_own() {
    let mut bench = Bench::new(|log| log.dated = true);
    bench.put("sunday\n");
    assert_eq!(bench.log.path(), bench.folder.path().join("ps-2026-11-22.log"));
    bench.now = at("2026-11-22 23:59");
    bench.put("still sunday\n");
    bench.now = at("2026-11-23 00:00");
    bench.put("monday\n");
    assert_eq!(bench.names(), ["ps-2026-11-22.log", "ps-2026-11-23.log"]);
    assert_eq!(bench.text("ps-2026-11-22.log"), "sunday\nstill sunday\n");
    assert_eq!(bench.text("ps-2026-11-23.log"), "monday\n");
    assert_eq!(bench.log.path(), bench.folder.path().join("ps-2026-11-23.log"));
}

#[test]
fn a_clock_that_jumps_loses_nothing() {
    let mut bench = Bench::new(|log| log.dated = true);
    for (now, line) in [("2026-11-22 10:00", "a\n"), ("2031-01-01 00:10", "b\n"), ("2026-11-22 10:01", "c\n")]
    {
        bench.now = at(now);
        bench.put(line);
    }
    assert_eq!(bench.names(), ["ps-2026-11-22.log", "ps-2031-01-01.log"]);
    assert_eq!(bench.text("ps-2026-11-22.log"), "a\nc\n");
    assert_eq!(bench.text("ps-2031-01-01.log"), "b\n");
}

#[test]
fn a_line_begun_before_midnight_is_not_torn() {
    let mut bench = Bench::new(|log| log.dated = true);
    bench.put("whole\nbegun ");
    bench.now = at("2026-11-23 00:00");
    bench.put("and ended\n");
    assert_eq!(bench.text("ps-2026-11-22.log"), "whole\n");
    assert_eq!(bench.text("ps-2026-11-23.log"), "begun and ended\n");
}

#[test]
fn a_file_is_ended_before_the_line_that_would_pass_its_size() {
    let mut bench = Bench::new(|log| log.max_size = Some(10));
    bench.put("1234\n6789\n");
    assert_eq!(bench.names(), ["ps.log"]);
    bench.put("a\nb\nc\nd\ne\nf\ng\n");
    assert_eq!(bench.text("ps.log.1"), "1234\n6789\n");
    assert_eq!(bench.text("ps.log.2"), "a\nb\nc\nd\ne\n");
    assert_eq!(bench.text("ps.log"), "f\ng\n");
    assert_eq!(bench.names().len(), 3);
}

#[test]
fn the_next_number_is_one_more_than_the_highest() {
    let folder = folder_with(&["ps.log.2", "ps.log.9.gz", "ps.log.x", "ps-2.log.30"]);
    let mut bench = Bench::in_folder(folder, |log| log.max_size = Some(4));
    bench.put("new\nnext\n");
    assert_eq!(bench.text("ps.log.10"), "new\n");
    assert_eq!(bench.text("ps.log.2"), "this was ps.log.2\n");
}

#[test]
fn a_planted_highest_number_has_nothing_overwritten() {
    let folder = folder_with(&["ps.log.999999999999999"]);
    let mut bench = Bench::in_folder(folder, |log| log.max_size = Some(4));
    bench.put("one\n");
    let (stored, error) = bench.log.append_all(b"two\n", bench.now).unwrap_err();
    assert!(stored == 0 && error.to_string().contains("no higher number"), "{error}");
    fs::remove_file(bench.folder.path().join("ps.log.999999999999999")).unwrap();
    bench.put("two\n");
    assert_eq!((bench.text("ps.log.1"), bench.text("ps.log")), ("one\n".into(), "two\n".into()));
}

#[test]
fn numbers_begin_anew_each_day() {
    let mut bench = Bench::new(|log| (log.dated, log.max_size) = (true, Some(2)));
    bench.put("a\nb\nc\n");
    bench.now = at("2026-11-23 12:00");
    bench.put("d\ne\n");
    let sunday = ["ps-2026-11-22.log", "ps-2026-11-22.log.1", "ps-2026-11-22.log.2"];
    let monday = ["ps-2026-11-23.log", "ps-2026-11-23.log.1"];
    assert_eq!(bench.names(), [&sunday[..], &monday[..]].concat());
}

#[test]
fn a_line_larger_than_any_file_is_torn_at_the_size_and_not_lost() {
    let mut bench = Bench::new(|log| log.max_size = Some(8));
    bench.put("one\n0123456789abcdefghij\ntwo\n");
    let files = whole_log(bench.folder.path(), "ps.log");
    assert!(files.iter().all(|file| file.len() <= 8));
    assert_eq!(files.concat(), b"one\n0123456789abcdefghij\ntwo\n");
}

#[test]
fn lines_of_megabytes_stay_within_the_size() {
    let max_size = 3 << 20;
    let mut bench = Bench::new(|log| log.max_size = Some(max_size));
    let text = format!("{}\n{}\n{}\n", "a".repeat(1 << 21), "b".repeat(1 << 19), "c".repeat(5 << 20));
    for chunk in text.as_bytes().chunks(64 * 1024) {
        bench.log.append_all(chunk, 0).unwrap();
    }
    let files = whole_log(bench.folder.path(), "ps.log");
    assert!(files.iter().all(|file| file.len() as u64 <= max_size));
    assert_eq!(files.concat(), text.as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_it_is_chunked_nothing_is_lost_torn_or_too_large(
        lines in prop::collection::vec(0..40_usize, 0..60),
        chunks in prop::collection::vec(1..50_usize, 1..40),
        max_size in 1..120_u64,
        ends_with_newline: bool,
        is_from_pipe: bool,
    ) {
        let mut text: Vec<u8> = lines.iter().enumerate()
            .flat_map(|(number, &length)| [vec![b'a' + (number % 26) as u8; length], vec![b'\n']].concat())
            .collect();
        if !ends_with_newline {
            text.pop();
        }
        let mut bench = Bench::new(|log| log.max_size = Some(max_size));
        let mut rest = &text[..];
        for &length in chunks.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at(length.min(rest.len()));
            if is_from_pipe {
                bench.draw(chunk);
            } else {
                bench.log.append_all(chunk, 0).unwrap();
            }
            rest = after;
            let size = bench.log.current.size;
            prop_assert_eq!(fs::metadata(bench.log.path()).unwrap().len(), size);
            prop_assert!(size <= max_size);
        }
        let mut files = whole_log(bench.folder.path(), "ps.log");
        prop_assert_eq!(files.concat(), text);
        prop_assert!(files.iter().all(|file| file.len() as u64 <= max_size));
        // Only a line that fits into no file is torn.
        if lines.iter().all(|&length| (length as u64) < max_size) {
            files.pop();
            prop_assert!(files.iter().all(|file| file.ends_with(b"\n")));
        }
    }
}

#[test]
fn only_the_newest_ended_files_are_kept() {
    let folder =
        folder_with(&["ps.log.3.gz", "ps.log.4", "ps-2.log.1", "ps.log.old", "ps.log.gz", "ps-stderr.log.1"]);
    let mut bench = Bench::in_folder(folder, |log| (log.max_size, log.keep) = (Some(2), Some(2)));
    bench.put("a\nb\n");
    let others = ["ps-2.log.1", "ps-stderr.log.1", "ps.log", "ps.log.gz", "ps.log.old"];
    let expected = |ended: [&'static str; 2]| {
        let mut names = [&others[..], &ended[..]].concat();
        names.sort_unstable();
        names
    };
    assert_eq!(bench.names(), expected(["ps.log.4", "ps.log.5"]));
    bench.put("c\nd\n");
    assert_eq!(bench.names(), expected(["ps.log.6", "ps.log.7"]));
    bench.settled();
}

#[test]
fn with_none_to_keep_only_the_current_file_remains() {
    let mut bench = Bench::new(|log| (log.max_size, log.keep) = (Some(2), Some(0)));
    bench.put("a\nb\nc\n");
    assert_eq!(bench.names(), ["ps.log"]);
    assert_eq!(bench.text("ps.log"), "c\n");
}

#[test]
fn dated_files_are_deleted_by_the_date_in_their_name_and_nothing_else_is() {
    let others = [
        "ps-1999-01-01x.log",
        "ps-2.log",
        "ps-2-1999-01-01.log",
        "ps-stderr-1999-01-01.log",
        "ps-1999-01-01.log.old",
        "ps-1999-1-1.log",
        "ps.log",
        "xps-1999-01-01.log",
    ];
    let kept = ["ps-2026-11-12.log", "ps-2026-11-12.log.1.gz", "ps-2026-11-21.log", "ps-2027-01-01.log"];
    let old = ["ps-1999-01-01.log", "ps-2026-11-11.log", "ps-2026-11-11.log.4", "ps-2026-11-10.log.gz"];
    let folder = folder_with(&[&others[..], &kept[..], &old[..]].concat());
    fs::create_dir(folder.path().join("ps-1999-01-02.log.d")).unwrap();
    let mut bench = Bench::in_folder(folder, |log| (log.dated, log.days) = (true, Some(10)));
    let mut expected = [&others[..], &kept[..], &["ps-2026-11-22.log", "ps-1999-01-02.log.d"]].concat();
    expected.sort_unstable();
    assert_eq!(bench.settled().names(), expected);

    bench.now = at("2026-11-23 00:00");
    bench.put("monday\n");
    assert!(bench.settled().names().iter().all(|name| !name.starts_with("ps-2026-11-12")));
}

#[test]
fn numbered_files_are_deleted_by_the_time_of_their_last_line() {
    let folder = folder_with(&["ps.log", "ps.log.1", "ps.log.2.gz", "ps.log.3", "ps-2.log.1"]);
    let written = |name: &str, local: &str| {
        let seconds = u64::try_from(at(local)).unwrap();
        let file = File::options().write(true).open(folder.path().join(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    for name in ["ps.log", "ps.log.1", "ps.log.2.gz", "ps-2.log.1"] {
        written(name, "2026-11-12 09:00");
    }
    written("ps.log.3", "2026-11-12 11:00");
    let bench = Bench::in_folder(folder, |log| log.days = Some(10));
    assert_eq!(bench.settled().names(), ["ps-2.log.1", "ps.log", "ps.log.3"]);
}

#[test]
fn ended_files_are_compressed() {
    let mut bench = Bench::new(|log| (log.max_size, log.compress) = (Some(6), true));
    bench.put("first\nsecond");
    assert_eq!(bench.settled().names(), ["ps.log", "ps.log.1.gz"]);
    assert_eq!(unzipped(&bench.folder.path().join("ps.log.1.gz")), "first\n");
}

#[test]
fn the_file_of_a_past_day_is_compressed_once() {
    let mut bench = Bench::new(|log| (log.dated, log.compress) = (true, true));
    bench.put("sunday\n");
    bench.now = at("2026-11-23 01:00");
    bench.put("monday\n");
    assert_eq!(bench.settled().names(), ["ps-2026-11-22.log.gz", "ps-2026-11-23.log"]);
    // The clock is set back, and sunday goes on for a while.
    bench.now = at("2026-11-22 23:00");
    bench.put("sunday again\n");
    bench.now = at("2026-11-24 01:00");
    bench.put("tuesday\n");
    bench.settled();
    assert_eq!(unzipped(&bench.folder.path().join("ps-2026-11-22.log.gz")), "sunday\n");
    assert_eq!(bench.text("ps-2026-11-22.log"), "sunday again\n");
}

#[test]
fn a_compression_that_was_interrupted_is_done_after_the_next_opening() {
    let folder = folder_with(&[
        "ps.log.1",
        "ps.log.2",
        "ps.log.2.gz",
        "ps.log.1.gz.tmp",
        "ps.log.7.gz.tmp",
        "ps.log.tmp",
    ]);
    let bench = Bench::in_folder(folder, |log| log.compress = true);
    assert_eq!(bench.settled().names(), ["ps.log", "ps.log.1.gz", "ps.log.2.gz", "ps.log.tmp"]);
    for name in ["ps.log.1", "ps.log.2"] {
        let whole = unzipped(&bench.folder.path().join(format!("{name}.gz")));
        assert_eq!(whole, format!("this was {name}\n"));
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_in_the_place_of_the_log_is_refused() {
    let folder = folder_with(&["secret"]);
    let path = folder.path().join("ps.log");
    for target in ["secret", "nothing"] {
        symlink(folder.path().join(target), &path).unwrap();
        let error = LogFile::open(LogSettings::new(&path)).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("symbolic link"), "{error}");
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(names_in(folder.path()), ["secret"]);
    assert_eq!(text(&folder.path().join("secret")), "this was secret\n");
}

#[cfg(unix)]
#[test]
fn what_is_not_a_regular_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder.log")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("fifo.log"), 0o600.into()).unwrap();
    for name in ["folder.log", "fifo.log", ".."] {
        let error = LogFile::open(LogSettings::new(folder.path().join(name))).unwrap_err().to_string();
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_missing_folder_is_made_but_not_the_one_above() {
    let folder = tempfile::tempdir().unwrap();
    let log = LogFile::open(LogSettings::new(folder.path().join("logs/ps.log"))).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("logs")) & 0o027, 0);
    assert_eq!(mode(&log.path()) & 0o137, 0);
    let error = LogFile::open(LogSettings::new(folder.path().join("no/logs/ps.log"))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_file_that_was_moved_away_is_opened_again_when_asked() {
    let mut bench = Bench::new(|_| ());
    bench.put("one\nhalf a ");
    fs::rename(bench.log.path(), bench.folder.path().join("moved")).unwrap();
    bench.log.reopen().unwrap();
    bench.put("line\n");
    assert_eq!(bench.text("moved"), "one\n");
    assert_eq!(bench.text("ps.log"), "half a line\n");
    bench.log.reopen().unwrap();
    bench.put("same file\n");
    assert_eq!(bench.text("ps.log"), "half a line\nsame file\n");
}

#[cfg_attr(windows, ignore = "Wine keeps the name of a deleted file until nobody has it open")]
#[test]
fn a_file_that_was_deleted_does_not_keep_the_log_from_rolling_over() {
    let mut bench = Bench::new(|log| log.max_size = Some(4));
    bench.put("one\n");
    fs::remove_file(bench.log.path()).unwrap();
    bench.put("two\n");
    assert_eq!(bench.names(), ["ps.log"]);
    assert_eq!(bench.text("ps.log"), "two\n");
}

#[test]
fn the_last_line_of_an_earlier_life_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ps.log");
    fs::write(&path, "cut off").unwrap();
    LogFile::open(LogSettings::new(&path)).unwrap().write_all(b"new\n").unwrap();
    assert_eq!(text(&path), "cut off\nnew\n");
}

#[test]
fn it_is_written_like_any_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut log =
        LogFile::open(LogSettings { max_size: Some(6), ..LogSettings::new(folder.path().join("own.log")) });
    let log = log.as_mut().unwrap();
    log.write_all(b"first\nsecond\n").unwrap();
    writeln!(log, "third").unwrap();
    log.flush().unwrap();
    assert_eq!(whole_log(folder.path(), "own.log").concat(), b"first\nsecond\nthird\n");
}

#[test]
fn what_comes_from_a_pipe_goes_to_the_end_of_the_file_though_somebody_cuts_it() {
    let mut bench = Bench::new(|_| ());
    bench.put("one\n");
    bench.draw(b"two\nthr");
    assert!(!bench.log.is_at_line_start());
    bench.put("ee\n");
    bench.draw(b"four\n");
    assert!(bench.log.is_at_line_start());
    assert_eq!(bench.text("ps.log"), "one\ntwo\nthree\nfour\n");
    let mut last = [0; 5];
    assert!(bench.log.read_back(&mut last) && last == *b"four\n");
    fs::write(bench.log.path(), "").unwrap();
    bench.draw(b"five\n");
    assert_eq!(bench.text("ps.log"), "five\n");
    assert!(!bench.log.read_back(&mut [0; 6]));
}

#[test]
fn where_nothing_can_be_moved_into_a_file_it_is_copied_and_then_taken() {
    let mut bench = Bench::new(|_| ());
    let (reader, writer) = os::pipe().unwrap();
    File::from(writer).write_all(b"one\ntwo\n").unwrap();
    let mut lens = Lens::new(4096);
    assert_eq!(bench.log.current.copy(&reader, 4, &mut lens).unwrap(), 4);
    assert_eq!((bench.text("ps.log").as_str(), os::held_by(&reader)), ("one\n", 4));
}

#[test]
fn a_line_that_was_on_its_way_to_the_next_file_when_we_were_killed_is_in_one_file_again() {
    // What the file that has just been ended holds, what the next one, and what becomes of both.
    for (ended, current, ended_then, current_then) in [
        ("one\nbeginn", "", "one\n", "beginn"),
        ("one\nbeginn", "beg", "one\n", "beginn"),
        ("one\nbeginn", "beginn", "one\n", "beginn"),
        ("one\nbeginn", "beginning\n", "one\n", "beginning\n"),
        ("one\nbeginn", "other\n", "one\nbeginn", "other\n"),
        ("one\n", "", "one\n", ""),
        ("longer than any file", "", "longer than any file", ""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ps.log.1"), ended).unwrap();
        fs::write(folder.path().join("ps.log"), current).unwrap();
        let bench = Bench::in_folder(folder, |log| log.max_size = Some(20));
        assert_eq!((&*bench.text("ps.log.1"), &*bench.text("ps.log")), (ended_then, current_then));
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ps.log.1"), "one\nbeginn").unwrap();
    let bench = Bench::in_folder(folder, |_| ());
    let holds = (bench.text("ps.log.1"), bench.text("ps.log"));
    assert_eq!(
        holds,
        ("one\n".to_owned(), "beginn".to_owned()),
        "a file that was ended because somebody asked"
    );
}

#[test]
fn a_file_that_somebody_has_replaced_is_not_ended_for_its_size() {
    let mut bench = Bench::new(|log| log.max_size = Some(4));
    bench.put("one\n");
    let folder = bench.folder.path().to_owned();
    fs::rename(folder.join("ps.log"), folder.join("moved")).unwrap();
    fs::write(folder.join("ps.log"), "").unwrap();
    bench.put("two\nnew\n");
    assert_eq!(bench.names(), ["moved", "ps.log", "ps.log.1"]);
    assert_eq!(
        [bench.text("moved"), bench.text("ps.log.1"), bench.text("ps.log")],
        ["one\n", "two\n", "new\n"]
    );
}

#[test]
fn a_file_ends_when_somebody_asks_for_it_and_a_line_that_was_begun_moves_on() {
    let mut bench = Bench::new(|log| log.compress = true);
    assert!(!bench.log.rotate_at(bench.now).unwrap(), "there is nothing in it");
    bench.draw(b"one\ntwo\nbeg");
    assert!(bench.log.rotate_at(bench.now).unwrap());
    assert!(!bench.log.rotate_at(bench.now).unwrap(), "there is no whole line in it");
    bench.draw(b"inning\n");
    assert_eq!(bench.text("ps.log"), "beginning\n");
    assert!(bench.log.rotate_at(bench.now).unwrap());
    assert_eq!(bench.settled().names(), ["ps.log", "ps.log.1.gz", "ps.log.2.gz"]);
    assert_eq!(unzipped(&bench.folder.path().join("ps.log.1.gz")), "one\ntwo\n");
    assert_eq!(unzipped(&bench.folder.path().join("ps.log.2.gz")), "beginning\n");
}

#[test]
fn of_a_dated_log_the_day_of_which_is_over_that_file_has_ended() {
    let mut bench = Bench::new(|log| log.dated = true);
    bench.put("yesterday\n");
    bench.now = at("2026-11-23 10:00");
    assert!(bench.log.rotate_at(bench.now).unwrap());
    assert_eq!(bench.names(), ["ps-2026-11-22.log", "ps-2026-11-23.log"]);
    bench.put("today\n");
    assert!(bench.log.rotate_at(bench.now).unwrap());
    assert_eq!(bench.names(), ["ps-2026-11-22.log", "ps-2026-11-23.log", "ps-2026-11-23.log.1"]);
}

#[test]
fn a_file_that_somebody_has_cut_or_moved_away_is_not_ended_as_what_it_was() {
    let mut bench = Bench::new(|_| ());
    let folder = bench.folder.path().to_owned();
    bench.put("one\n");
    File::options().write(true).open(folder.join("ps.log")).unwrap().set_len(0).unwrap();
    assert!(!bench.log.rotate_at(bench.now).unwrap(), "it is empty");
    bench.put("two\n");
    fs::rename(folder.join("ps.log"), folder.join("moved")).unwrap();
    assert!(bench.log.rotate_at(bench.now).unwrap());
    bench.put("three\n");
    assert_eq!(bench.names(), ["moved", "ps.log"]);
    assert_eq!((bench.text("moved"), bench.text("ps.log")), ("two\n".to_owned(), "three\n".to_owned()));
}

#[test]
fn a_file_that_cannot_end_goes_on() {
    let mut bench = Bench::new(|_| ());
    bench.put("one\n");
    // The highest number that there is.
    fs::write(bench.folder.path().join(format!("ps.log.{}", "9".repeat(15))), "").unwrap();
    let error = bench.log.rotate_at(bench.now).unwrap_err().to_string();
    assert!(error.contains("ps.log: no higher number is left"), "{error}");
    bench.put("two\n");
    assert_eq!(bench.text("ps.log"), "one\ntwo\n");
}

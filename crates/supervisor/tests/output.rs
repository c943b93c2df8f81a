//! What a component writes is stored, line for line, over a thousand files and over a disk that is full.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test, which fails where something is not as it should be")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use supervisor::{
    Achieved, Builder, EventKind, Handle, LineForm, LogSettings, Never, Output, ProcessSpec, Stderr,
    Supervisor, WhenFull,
};

/// Longer than anything here should take.
const LONG: Duration = Duration::from_secs(120);
/// Numbers of seven digits, so that every line has eight bytes.
const FIRST: usize = 1_000_000;
const LINE: usize = 8;

/// A supervisor of one component that writes so many numbers, as fast as it can, and ends.
fn counting(folder: &Path, count: usize, log: LogSettings) -> Builder {
    let mut counts = ProcessSpec::new("counts", "seq").unwrap();
    counts.arguments = vec![FIRST.to_string().into(), (FIRST + count - 1).to_string().into()];
    counts.restart = Arc::new(Never);
    counts.output = Output::File { log, stderr: Stderr::Join };
    Supervisor::builder().state_dir(folder.join("state")).components([counts])
}

fn expected(numbers: Range<usize>) -> String {
    numbers.map(|number| format!("{}\n", FIRST + number)).collect()
}

/// The files of the log `counts.log`, the oldest first.
fn files(folder: &Path) -> Vec<String> {
    let number = |path: &PathBuf| path.extension().unwrap().to_str().unwrap().parse().unwrap_or(usize::MAX);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("counts.log"))
        .collect();
    paths.sort_by_key(number);
    let text = |path: &PathBuf| match fs::read_to_string(path) {
        // One that is just being renamed is nowhere for a moment.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        text => Some(text.unwrap()),
    };
    paths.iter().filter_map(text).collect()
}

/// Gives the other threads the processor until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "a deadline that only a broken supervisor reaches")]
    let now = Instant::now;
    let deadline = now() + LONG;
    while !is_so() {
        assert!(now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn no_line_is_missing_doubled_or_torn_over_a_thousand_files() {
    for form in [LineForm::Raw, LineForm::Timestamps, LineForm::Json] {
        let folder = tempfile::tempdir().unwrap();
        let prefix = match form {
            LineForm::Raw => 0,
            LineForm::Timestamps => "2026-11-29T08:30:00.123+01:00 ".len(),
            _ => r#"{"time":"2026-11-29T08:30:00.123+01:00","component":"counts","run":1,"stream":"stdout","line":""#.len(),
        };
        // No whole number of lines.
        let max_size = 128 * (prefix + LINE) as u64 + 3;
        let count = 140_000;
        let log = LogSettings {
            max_size: Some(max_size),
            form,
            ..LogSettings::new(folder.path().join("counts.log"))
        };
        let mut builder = counting(folder.path(), count, log);
        let events = builder.subscribe();
        let supervisor = builder.start().unwrap();
        assert!(events.iter().any(|event| matches!(event.kind, EventKind::Exited { .. })));
        // A supervisor that ends waits for what is still in a pipe, but not for ever.
        let (log, last) = (folder.path().join("counts.log"), (FIRST + count - 1).to_string());
        until("the last line is stored", || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains(&last) && text.ends_with('\n'))
        });
        supervisor.handle().shutdown().unwrap();
        supervisor.wait().unwrap();
        let files = files(folder.path());
        assert!(files.len() > 1_000);
        assert!(files.iter().all(|file| file.len() as u64 <= max_size && file.ends_with('\n')));
        let numbers: String = files
            .iter()
            .flat_map(|file| file.lines())
            .map(|line| format!("{}\n", &line[prefix..prefix + LINE - 1]))
            .collect();
        assert!(numbers == expected(0..count), "{form:?}");
    }
}

#[test]
fn no_line_is_missing_doubled_or_torn_over_a_hundred_files_that_end_because_somebody_asks() {
    // Each line comes in two pieces, so that many a file ends in the middle of one.
    let script = format!(
        "i={FIRST}; while :; do printf %s $((i / 1000)); printf '%03d\\n' $((i % 1000)); i=$((i + 1)); done"
    );
    for (form, end) in
        [(LineForm::Raw, "".len()), (LineForm::Timestamps, "".len()), (LineForm::Json, "\"}".len())]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut counts = ProcessSpec::new("counts", "/bin/sh").unwrap();
        counts.arguments = vec!["-c".into(), script.clone().into()];
        let log = LogSettings { form, ..LogSettings::new(folder.path().join("counts.log")) };
        counts.output = Output::File { log, stderr: Stderr::Join };
        let builder = Supervisor::builder().state_dir(folder.path().join("state")).components([counts]);
        let supervisor = builder.start().unwrap();
        let mut ended = 0;
        while ended < 100 {
            let outcome = supervisor.handle().rotate("counts").unwrap().wait().unwrap();
            match &outcome.components[0].1 {
                Achieved::Done => ended += 1,
                Achieved::AlreadySo => {}
                other => panic!("{other:?}"),
            }
        }
        supervisor.handle().shutdown().unwrap();
        supervisor.wait().unwrap();
        let files = files(folder.path());
        assert_eq!(files.len(), 101);
        assert!(files[..100].iter().all(|file| file.ends_with('\n')), "{form:?}");
        let number = |line: &str| line[line.len() - end - (LINE - 1)..line.len() - end].to_owned() + "\n";
        let whole: String = files.concat();
        // It was ended in the middle of its last line, perhaps.
        let whole = &whole[..whole.rfind('\n').unwrap()];
        let numbers: String = whole.lines().take(whole.lines().count() - 1).map(number).collect();
        assert!(numbers == expected(0..numbers.len() / LINE), "{form:?}");
    }
}

/// A file system of 48 MB, of which 46 are taken.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where it may not be mounted.
    #[expect(clippy::disallowed_methods, reason = "the test needs a disk that can be filled")]
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(&at).output();
        if !mount.is_ok_and(|mount| mount.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "no file system can be mounted");
            println!("skipped: no file system may be mounted here");
            return None;
        }
        fs::write(at.join("filler"), vec![0; 46 << 20]).unwrap();
        Some(Self(at))
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    #[expect(clippy::disallowed_methods, reason = "the test needs a disk that can be filled")]
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Waits until the disk is found full, and then for as long as a full disk lasts here.
fn stay_full(handle: &Handle) {
    until("the full disk is told", || !handle.status().unwrap().conditions.is_empty());
    // Nothing is waited for: this is how long it is full.
    std::thread::park_timeout(Duration::from_secs(5));
}

#[test]
fn who_waits_for_ever_for_a_full_disk_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk")) else { return };
    let count = 1_000_000;
    let when_full = WhenFull::Block { at_most: None };
    let log =
        LogSettings { when_full, max_size: Some(1 << 20), ..LogSettings::new(disk.0.join("counts.log")) };
    let supervisor = counting(folder.path(), count, log).start().unwrap();
    stay_full(&supervisor.handle());
    disk.empty();
    until("all is stored", || files(&disk.0).iter().map(String::len).sum::<usize>() == count * LINE);
    until("all is well", || supervisor.handle().status().unwrap().conditions.is_empty());
    assert!(files(&disk.0).concat() == expected(0..count));
    supervisor.handle().shutdown().unwrap();
    supervisor.wait().unwrap();
}

#[test]
fn who_does_not_wait_for_a_full_disk_loses_exactly_what_the_log_says() {
    for form in [LineForm::Raw, LineForm::Timestamps] {
        let folder = tempfile::tempdir().unwrap();
        let Some(disk) = SmallDisk::mount(folder.path().join("disk")) else { return };
        let count = 1_000_000;
        let log = LogSettings {
            when_full: WhenFull::Drop,
            max_size: Some(1 << 20),
            form,
            ..LogSettings::new(disk.0.join("counts.log"))
        };
        let mut builder = counting(folder.path(), count, log);
        let events = builder.subscribe();
        let supervisor = builder.start().unwrap();
        // It ends though nobody makes room.
        assert!(events.iter().any(|event| matches!(event.kind, EventKind::Exited { .. })));
        stay_full(&supervisor.handle());
        disk.empty();
        let last = (FIRST + count - 1).to_string();
        until("the newest is stored", || {
            files(&disk.0).last().is_some_and(|file| file.trim_end().ends_with(&last))
        });
        supervisor.handle().shutdown().unwrap();
        supervisor.wait().unwrap();
        let (mut next, mut lost, mut lost_bytes) = (FIRST, 0, 0);
        for line in files(&disk.0).iter().flat_map(|file| file.lines()) {
            let line =
                if form == LineForm::Raw { line } else { &line["2026-11-29T08:30:00.123+01:00 ".len()..] };
            if let Some(told) = line.strip_prefix("supervisor: ") {
                let mut words = told.split([' ', '(']).filter_map(|word| word.parse::<usize>().ok());
                lost += words.next().unwrap();
                lost_bytes += words.next().unwrap();
            } else {
                let number: usize = line.parse().unwrap();
                assert!(number >= next, "{number} comes after {next}");
                next = number + 1;
                lost_bytes += LINE;
                lost += 1;
            }
        }
        assert_eq!((lost, lost_bytes), (count, count * LINE), "{form:?}");
    }
}

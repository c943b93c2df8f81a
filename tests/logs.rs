//! `logs` and `tracelevel`: what was written is shown, whatever has become of its files and of the supervisor.
//!
//! Where a test is about files alone, it writes them itself; the others have real supervisors. As in `command_line.rs`,
//! nothing waits by sleeping.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
#[expect(dead_code, reason = "the other tests of the command line need more of it")]
mod house;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use house::{House, PROGRAM, code, kill, server, stand_in, stderr, stdout};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Long enough for a busy machine; nothing waits this long unless it is broken.
const DEADLINE: Duration = Duration::from_secs(60);

/// A component with a log of this name, without a date, that nobody starts.
fn quiet(id: &str, output: &str) -> String {
    server(id, "exit", &format!("<output file=\"logs/{id}.log\" {output}/><autostart>false</autostart>"))
}

/// A component that writes numbers, about one each millisecond.
fn counts(id: &str, output: &str) -> String {
    let script =
        format!("echo {id} $$ &gt; BELL; i=0; while :; do i=$((i+1)); echo number $i; sleep 0.001; done");
    server(id, &script, &format!("<output file=\"logs/{id}.log\" {output}/>"))
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn append(path: &Path, text: &str) {
    File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A command that goes on, and what it prints.
struct Follower {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Follower {
    /// `logs -f`
    fn new(house: &House, arguments: &[&str]) -> Self {
        Self::of(house.command(PROGRAM).arg("logs").arg("-f").args(arguments))
    }

    /// `run --output`
    fn run(house: &House, form: &str) -> Self {
        Self::of(house.command(PROGRAM).args(["run", "--output", form]).stderr(Stdio::null()))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// All lines until one is this.
    fn lines_until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != last) {
            lines.push(self.line());
        }
        lines
    }

    /// All that comes until it ends, which must be by itself and well.
    fn rest(mut self) -> Vec<String> {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        rest.lines().map(str::to_owned).collect()
    }

    /// The next line, which comes in time.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            if self.output.buffer().is_empty() {
                let deadline = Timespec::try_from(DEADLINE).unwrap();
                let mut polled = [PollFd::new(self.output.get_ref(), PollFlags::IN)];
                assert_eq!(poll(&mut polled, Some(&deadline)).unwrap(), 1, "no line comes");
            }
            let held = self.output.fill_buf().unwrap();
            assert!(!held.is_empty(), "it has ended");
            let end = held.iter().position(|&byte| byte == b'\n').map_or(held.len(), |newline| newline + 1);
            line.extend_from_slice(&held[..end]);
            self.output.consume(end);
        }
        String::from_utf8(line).unwrap().trim_end_matches('\n').to_owned()
    }

    /// The number at the end of the next line.
    fn number(&mut self) -> u64 {
        let line = self.line();
        line.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("a torn line: {line:?}"))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(house: &House, arguments: &[&str]) -> Vec<String> {
    let output = house.s7(arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    stdout(&output).lines().map(str::to_owned).collect()
}

fn documents(house: &House, arguments: &[&str]) -> Vec<Value> {
    lines(house, arguments).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn lines_of_several_components_are_merged_by_time_and_each_has_a_name() {
    let house = House::with(&(quiet("ps", "") + &quiet("web-1", "") + &quiet("web-2", "")));
    fs::create_dir(house.path("logs")).unwrap();
    let time = |second: u32| format!("2026-11-29T08:00:{second:02}Z");
    let written = |id: &str, text: &str| fs::write(house.path(&format!("logs/{id}.log")), text).unwrap();
    written("ps", &format!("{} a\n{} d\n  of d\n", time(1), time(4)));
    written("web-1", &format!("{} b\n{} e\n", time(2), time(5)));
    written("web-2", &format!("2026-11-29 08:00:03,5+00:00 c\n{} f\n", time(6)));

    let all = lines(&house, &["logs", "*"]);
    let texts: Vec<_> =
        all.iter().map(|line| (line.split(' ').next().unwrap(), line.rsplit(' ').next().unwrap())).collect();
    let expected = [
        ("ps", "a"),
        ("web-1", "b"),
        ("web-2", "c"),
        ("ps", "d"),
        ("ps", "d"),
        ("web-1", "e"),
        ("web-2", "f"),
    ];
    assert_eq!(texts, expected);
    assert!(all.iter().all(|line| line.find(" | ") == Some(5)), "{all:?}");

    assert_eq!(lines(&house, &["logs", "*", "-n", "3"]), all[4..]);
    assert_eq!(lines(&house, &["logs", "web-?", "-n", "1"]), [format!("web-2 | {} f", time(6))]);
    assert_eq!(lines(&house, &["logs", "ps", "-n", "1"]), ["  of d"]);
    assert_eq!(lines(&house, &["logs", "*", "--since", &time(5)]), all[5..]);
    assert_eq!(
        lines(&house, &["logs", "*", "--grep", "[af]$", "-n", "9"]),
        [&all[0], &all[6]].map(Clone::clone)
    );
    let document = &documents(&house, &["logs", "ps", "-n", "1", "--json"])[0];
    let expected = json!({"time": time(4), "component": "ps", "run": null, "stream": null, "line": "  of d"});
    assert_eq!(document, &expected);
}

#[test]
fn files_that_were_rotated_and_compressed_are_read_too() {
    let house = House::with(&quiet("ps", "compress=\"true\""));
    fs::create_dir(house.path("logs")).unwrap();
    let numbers = |range: std::ops::Range<u32>| range.map(|number| format!("{number}\n")).collect::<String>();
    fs::write(house.path("logs/ps.log.1.gz"), compressed(&numbers(0..1000))).unwrap();
    fs::write(house.path("logs/ps.log.2.gz"), compressed(&numbers(1000..2000))).unwrap();
    fs::write(house.path("logs/ps.log.3"), numbers(2000..3000)).unwrap();
    fs::write(house.path("logs/ps.log.4.gz.tmp"), "half").unwrap();
    fs::write(house.path("logs/ps.log"), numbers(3000..3010) + "the last has no end").unwrap();

    let last = |count: usize| lines(&house, &["logs", "ps", "-n", &count.to_string()]);
    for count in [1, 11, 12, 1011, 1500, 2011, 2500, 3011] {
        let lines = last(count);
        assert_eq!(lines.len(), count);
        assert_eq!(lines.last().unwrap(), "the last has no end");
        let numbers: Vec<u32> = lines[..count - 1].iter().map(|line| line.parse().unwrap()).collect();
        let first = 3011 - u32::try_from(count).unwrap();
        assert!(numbers.into_iter().eq(first..3010), "the last {count}");
    }
    assert_eq!(last(100_000).len(), 3011);
    assert_eq!(lines(&house, &["logs", "ps"]).len(), 20);
    assert_eq!(lines(&house, &["logs", "ps", "--grep", "^.?5$", "-n", "2"]), ["85", "95"]);
    assert_eq!(lines(&house, &["logs", "ps", "--since", "1h"]).len(), 3011);
    assert!(lines(&house, &["logs", "ps", "--since", "2100-01-01"]).is_empty());
}

#[test]
fn what_a_component_has_written_goes_into_a_pipe_as_it_is() {
    let house = House::with(&quiet("ps", ""));
    fs::create_dir(house.path("logs")).unwrap();
    let bytes = b"\x1b[2J\x1b[31mred\xff\x07\ttab\r\n";
    fs::write(house.path("logs/ps.log"), bytes).unwrap();
    assert_eq!(house.s7(&["logs", "ps"]).stdout, bytes);
    let document = &documents(&house, &["logs", "ps", "--json"])[0];
    assert_eq!(document["line"], "\u{1b}[2J\u{1b}[31mred\u{fffd}\u{7}\ttab\r");
    assert_eq!(document["time"], Value::Null);
}

#[test]
fn an_unknown_id_is_told_what_it_looks_like_and_a_wrong_pattern_or_time_what_is_wrong() {
    let house = House::with(&(quiet("ps", "") + &quiet("own", "stderr=\"file\"")));
    let unknown = house.s7(&["logs", "ow"]);
    assert_eq!(code(&unknown), 2);
    assert!(stderr(&unknown).contains("did you mean \"own\"?"), "{}", stderr(&unknown));
    for wrong in [["--grep", "("], ["--since", "never"], ["-n", "-1"]] {
        assert_eq!(code(&house.s7(&[&["logs", "ps"], &wrong[..]].concat())), 2, "{wrong:?}");
    }
    assert_eq!(code(&house.s7(&["logs", "--stderr"])), 2);
    assert_eq!(code(&house.s7(&["logs", "ps", "--stderr"])), 1, "it has no file of its own");

    fs::create_dir(house.path("logs")).unwrap();
    fs::write(house.path("logs/own.log"), "out\n").unwrap();
    fs::write(house.path("logs/own-stderr.log"), "error\n").unwrap();
    assert_eq!(lines(&house, &["logs", "own"]), ["out"]);
    assert_eq!(lines(&house, &["logs", "own", "ps", "--stderr"]), ["error"]);
    let streams = [&[][..], &["--stderr"]]
        .map(|more| documents(&house, &[&["logs", "own", "--json"], more].concat())[0]["stream"].clone());
    assert_eq!(streams, ["stdout", "stderr"]);
}

#[test]
fn logs_are_shown_while_the_supervisor_runs_and_when_it_does_not() {
    let says = |id: &str| {
        stand_in(id, &format!("--print 'I am {id}'"), "<instances>2</instances>")
            .replace("--name FOLDER/web", "--name FOLDER/SV::id")
            .replace("FOLDER/web.ready", "FOLDER/SV::id.ready")
    };
    let house = House::with(&(says("web") + &stand_in("ps", "--print 'I am ps'", "")));
    house.start();
    let all = ["web-1 | I am web", "web-2 | I am web", "ps    | I am ps"];
    let sorted = |arguments: &[&str]| {
        let mut lines = lines(&house, arguments);
        lines.sort();
        lines
    };
    let shown = |names: &[&str]| sorted(&[&["logs"], names].concat());
    // What a component writes is stored a moment after it was written.
    house.until(|| shown(&["*"]).len() == 3);
    for _ in 0..2 {
        assert_eq!(shown(&["web"]), all[..2]);
        assert_eq!(shown(&["web", "ps", "ps"]), [all[2], all[0], all[1]]);
        assert_eq!(shown(&["web-2"]), ["I am web"]);
        assert!(lines(&house, &["logs", "-n", "1000"]).iter().any(|line| line.contains(" 1 ps: up, pid ")));
        house.s7(&["stop"]);
    }
    fs::write(house.registry(), "<supervisor><broken/></supervisor>").unwrap();
    let refused = house.s7(&["logs", "ps"]);
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("broken"), "{}", stderr(&refused));
    assert!(!lines(&house, &["logs"]).is_empty(), "the own log is shown all the same");
}

#[test]
fn both_forms_of_the_own_log_are_shown_alike() {
    let house = House::with("");
    for format in ["text", "json"] {
        house.write_registry_with(&format!("<logFormat>{format}</logFormat>"), &stand_in("ps", "", ""));
        house.start();
        house.s7(&["stop"]);
        let last: Vec<Value> = documents(&house, &["logs", "--json", "-n", "2"]);
        assert_eq!(last[1]["line"], "1 ended with exit code 0", "{last:?}");
        assert!(last[1]["time"].is_string() && last[1]["component"].is_null());
        assert!(
            lines(&house, &["logs"]).last().unwrap().ends_with("Z 1 ended with exit code 0") || cfg!(unix)
        );
        let own = fs::read_to_string(house.own_log()).unwrap();
        assert_eq!(own.lines().last().unwrap().starts_with('{'), format == "json");
        let up = lines(&house, &["logs", "-n", "100", "--grep", "^1 ps: up, pid"]);
        assert_eq!(up.len(), if format == "text" { 1 } else { 2 }, "{up:?}");
    }
}

#[test]
fn whoever_follows_misses_no_line_over_rotation_and_the_death_of_the_supervisor() {
    let house = House::with(&counts("ps", "maxSize=\"1k\" compress=\"true\""));
    house.start();
    let mut follower = Follower::new(&house, &["ps", "-n", "1"]);
    let first = follower.number();
    let mut next = first + 1;
    let mut hear = |count| {
        for _ in 0..count {
            assert_eq!(follower.number(), next);
            next += 1;
        }
    };
    hear(400);
    kill(house.supervisor_pid(), Signal::KILL);
    house.start();
    hear(400);
    assert_eq!(code(&house.s7(&["upgrade"])), 0);
    hear(400);
    let rotated = fs::read_dir(house.path("logs")).unwrap().flatten();
    assert!(rotated.filter(|entry| entry.file_name().to_str().unwrap().starts_with("ps.log.")).count() > 5);
}

#[test]
fn whoever_follows_goes_on_in_new_files_whatever_becomes_of_the_old_ones() {
    let house = House::with(&quiet("ps", "").replace("file=\"logs/ps.log\" ", ""));
    fs::create_dir(house.path("logs")).unwrap();
    let path = |name: &str| house.path(&format!("logs/ps-{name}"));
    append(&path("2026-11-27.log"), "a\n");
    append(&path("2026-11-28.log"), "b\nbegun");
    let mut follower = Follower::new(&house, &["ps", "-n", "2"]);
    assert_eq!([follower.line(), follower.line()], ["a", "b"]);
    append(&path("2026-11-28.log"), ", ended\n");
    assert_eq!(follower.line(), "begun, ended");

    // Ended for its size, with a line that is taken along; deleted before anybody has looked.
    append(&path("2026-11-28.log"), "c\nta");
    assert_eq!(follower.line(), "c");
    fs::rename(path("2026-11-28.log"), path("2026-11-28.log.1")).unwrap();
    append(&path("2026-11-28.log"), "ta");
    File::options().write(true).open(path("2026-11-28.log.1")).unwrap().set_len(17).unwrap();
    append(&path("2026-11-28.log"), "ken\n");
    assert_eq!(follower.line(), "taken");
    fs::remove_file(path("2026-11-28.log.1")).unwrap();

    // Another day; and the one before is compressed.
    append(&path("2026-11-29.log"), "d\n");
    assert_eq!(follower.line(), "d");
    fs::write(path("2026-11-28.log.gz"), compressed("c\ntaken\n")).unwrap();
    fs::remove_file(path("2026-11-28.log")).unwrap();
    append(&path("2026-11-29.log"), "e\n");
    assert_eq!(follower.line(), "e");

    // Cut by somebody.
    File::options().write(true).open(path("2026-11-29.log")).unwrap().set_len(0).unwrap();
    append(&path("2026-11-29.log"), "f\n");
    assert_eq!(follower.line(), "f");
}

#[test]
fn whoever_follows_what_is_not_there_yet_is_told_when_it_comes_and_hears_only_what_matches() {
    let house = House::with(&(quiet("ps", "") + &quiet("is", "")));
    assert_eq!(code(&house.s7(&["logs", "ps", "-f"])), 1, "there is no folder");
    fs::create_dir(house.path("logs")).unwrap();
    fs::write(house.path("logs/is.log"), "yes, one\nno\n").unwrap();
    let mut follower = Follower::new(&house, &["*", "--grep", "yes", "--json"]);
    assert!(follower.line().contains("yes, one"));
    append(&house.path("logs/other.log"), "yes, but of another\n");
    append(&house.path("logs/ps.log"), "no\nyes, two\n");
    let document: Value = serde_json::from_str(&follower.line()).unwrap();
    assert_eq!((&document["component"], &document["line"]), (&json!("ps"), &json!("yes, two")));
}

#[test]
fn whoever_follows_ends_when_nobody_reads_and_by_ctrl_c() {
    let house = House::with(&quiet("ps", ""));
    fs::create_dir(house.path("logs")).unwrap();
    append(&house.path("logs/ps.log"), "one\n");
    let follower = || {
        let mut command = house.command(PROGRAM);
        let mut child = command.args(["logs", "ps", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        (child, output)
    };
    let (mut child, output) = follower();
    drop(output);
    assert_eq!(house.wait(&mut child), Some(0), "though nothing more is written");
    let (mut child, _output) = follower();
    kill(child.id(), Signal::INT);
    assert_eq!(house.wait(&mut child), Some(0));
}

#[test]
fn the_trace_level_is_changed_while_the_supervisor_runs() {
    let house = House::with(&stand_in("ps", "", ""));
    assert_eq!(code(&house.s7(&["tracelevel"])), 7);
    house.start();
    assert_eq!(lines(&house, &["tracelevel"]), ["trace level 4"]);
    assert_eq!(lines(&house, &["tracelevel", "1"]), ["trace level 1"]);
    let told = |line: &str| line.split(' ').nth(1).unwrap().parse::<u8>().unwrap();
    let after = |house: &House| {
        let all = lines(house, &["logs", "-n", "100000"]);
        // What was changed is logged a moment later.
        let change = all.iter().rposition(|line| line.contains(" trace level "));
        change.map_or(Vec::new(), |change| all[change..].to_vec())
    };
    house.s7(&["restart", "ps"]);
    house.until(|| after(&house).iter().any(|line| line.contains("ps: up, ")));
    assert!(after(&house).iter().all(|line| told(line) == 1), "{:?}", after(&house));
    house.s7(&["tracelevel", "3"]);
    house.s7(&["restart", "ps"]);
    house.until(|| after(&house).iter().any(|line| told(line) == 3));
    assert!(after(&house).iter().all(|line| told(line) <= 3));
    for wrong in ["0", "5", "x"] {
        assert_eq!(code(&house.s7(&["tracelevel", wrong])), 2);
    }
    assert_eq!(house.json(&["tracelevel", "--json"]), json!({"level": 3}));
    house.s7(&["stop"]);
    house.start();
    assert_eq!(lines(&house, &["tracelevel"]), ["trace level 4"], "as the registry says");
}

/// A component that writes that many numbers to files of 4 KiB, and then a line without an end.
fn writes_numbers(id: &str, count: u32) -> String {
    let script = format!(
        "i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo number $i; done; printf over; exec sleep 10000"
    );
    server(id, &script, &format!("<output file=\"logs/{id}.log\" maxSize=\"4k\"/>"))
}

#[test]
fn run_passes_on_every_line_with_the_name_of_its_component() {
    let complains = server(
        "complains",
        "echo out; echo err &gt;&amp;2; exec sleep 10000",
        "<output file=\"new/complains.log\" stderr=\"file\"/>",
    );
    let house = House::with(&(writes_numbers("writes", 3000) + &complains));
    let mut run = Follower::run(&house, "prefixed");
    let line = |id: &str, text: &str| format!("{id:14} | {text}");
    let mut lines = run.lines_until(&line("writes", "number 3000"));
    assert_eq!(code(&house.s7(&["wait", "writes", "complains"])), 0);
    assert_eq!(code(&house.s7(&["stop"])), 0);
    lines.extend(run.rest());
    let of = |id: &str| {
        let start = line(id, "");
        lines.iter().filter_map(|line| line.strip_prefix(&start).map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut expected: Vec<_> = (1..=3000).map(|number| format!("number {number}")).collect();
    expected.push("over".to_owned());
    let written = of("writes");
    let wrong = written.iter().zip(&expected).position(|(is, ought)| is != ought);
    let around = wrong.map(|at| &written[at.saturating_sub(2)..written.len().min(at + 3)]);
    assert_eq!(written, expected, "{} lines, {around:?}", written.len());
    let mut complaints = of("complains");
    complaints.sort();
    assert_eq!(complaints, ["err", "out"]);
    let own = of("the supervisor");
    assert!(own.last().unwrap().ends_with("ended with exit code 0"), "{own:?}");
    assert_eq!(lines.len(), 3001 + 2 + own.len());
}

#[test]
fn run_passes_on_json_and_an_upgrade_loses_and_doubles_no_line() {
    let house = House::with(&counts("counts", ""));
    let mut run = Follower::run(&house, "json");
    house.bell("counts");
    let mut next = 1;
    let mut number = |run: &mut Follower| {
        let document: Value = serde_json::from_str(&run.line()).unwrap();
        if document["component"].is_null() {
            return;
        }
        assert_eq!(document["component"], "counts");
        assert_eq!(document["line"], format!("number {next}"));
        next += 1;
    };
    for _ in 0..5 {
        (0..100).for_each(|_| number(&mut run));
        assert_eq!(code(&house.s7(&["upgrade", PROGRAM])), 0);
    }
    (0..1000).for_each(|_| number(&mut run));
    assert_eq!(code(&house.s7(&["stop"])), 0);
    run.rest();
}

#[test]
fn run_passes_on_what_an_applied_registry_adds_and_moves_and_nothing_twice() {
    let says = |id: &str, text: &str, output: &str| {
        server(id, &format!("echo {text}; exec sleep 10000"), &format!("<output {output}/>"))
    };
    let house = House::with(
        &(says("stays", "stays", "file=\"logs/stays.log\"")
            + &says("changes", "before", "file=\"logs/changes.log\"")
            + &says("dated", "before", "keep=\"5\"")
            + &says("moves", "before", "file=\"old/moves.log\"")),
    );
    let mut run = Follower::run(&house, "json");
    let told = |line: &str| {
        let document: Value = serde_json::from_str(line).unwrap();
        let text = document["line"].as_str().unwrap().to_owned();
        document["component"].as_str().map(|id| (id.to_owned(), text))
    };
    let next = |run: &mut Follower, count: usize| {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(told(&run.line()));
        }
        all.sort();
        all
    };
    let expected = |all: &[(&str, &str)]| -> Vec<_> {
        all.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect()
    };
    let before = [("changes", "before"), ("dated", "before"), ("moves", "before"), ("stays", "stays")];
    assert_eq!(next(&mut run, 4), expected(&before));
    house.write_registry(
        &(says("stays", "stays", "file=\"logs/stays.log\"")
            + &says("changes", "after", "file=\"logs/changes.log\" keep=\"3\"")
            + &says("dated", "after", "file=\"logs/dated.log\"")
            + &says("moves", "after", "file=\"new/moved.log\"")
            + &says("added", "here", "file=\"newer/added.log\"")),
    );
    assert_eq!(code(&house.s7(&["apply"])), 0);
    let after = [("added", "here"), ("changes", "after"), ("dated", "after"), ("moves", "after")];
    assert_eq!(next(&mut run, 4), expected(&after));
    // Nothing is in it any more, and what is passed on of others is not the less for it.
    fs::remove_dir_all(house.path("old")).unwrap();
    assert_eq!(code(&house.s7(&["restart", "added"])), 0);
    assert_eq!(next(&mut run, 1), expected(&[("added", "here")]));
    assert_eq!(code(&house.s7(&["stop"])), 0);
    let more: Vec<_> = run.rest().iter().filter_map(|line| told(line)).collect();
    assert_eq!(more, [], "twice, or of nobody");
}

#[test]
fn whoever_reads_slowly_or_no_more_holds_up_nothing() {
    for is_gone in [false, true] {
        let house = House::with(&(writes_numbers("floods", 100_000) + &stand_in("other", "", "")));
        let mut run = Follower::run(&house, "prefixed");
        let other = house.bell("other");
        let Follower { child, output } = &mut run;
        if is_gone {
            // All that it writes from now on is refused.
            *output = BufReader::new(ChildStdout::from(OwnedFd::from(File::open("/dev/null").unwrap())));
        }
        kill(other, Signal::KILL);
        assert_ne!(house.bell("other"), other);
        // While a file is ended, there is none of that name.
        let stored = || fs::read_to_string(house.path("logs/floods.log")).unwrap_or_default();
        house.until(|| stored().ends_with("over"));
        let stop = house.s7(&["stop"]);
        assert_eq!(code(&stop), 0, "{is_gone}: {}", stderr(&stop));
        assert_eq!(house.wait(child), Some(0), "{is_gone}");
    }
}

#[test]
fn files_end_when_somebody_asks_and_the_own_log_too_where_nobody_is_named() {
    let says = |id: &str, elements: &str| {
        server(id, &format!("echo {id} speaks; echo {id} $$ &gt; BELL; exec sleep 3600"), elements)
    };
    let house = House::with(
        &(says("a-1", "<output file=\"logs/a-1.log\"/>")
            + &says("a-2", "<output file=\"logs/a-2.log\" stderr=\"file\" compress=\"true\"/>")
            + &quiet("off", "")),
    );
    let text = |name: &str| fs::read_to_string(house.path(&format!("logs/{name}"))).unwrap_or_default();
    append_to_new(&house, "off.log", "from an earlier life\n");
    assert_eq!(code(&house.s7(&["rotate"])), 7);
    house.start();
    house.bell("a-1");
    house.bell("a-2");

    let rotated = house.s7(&["rotate", "a-*", "off"]);
    assert_eq!(code(&rotated), 0, "{}", stderr(&rotated));
    assert_eq!(stdout(&rotated), "a-1: rotated\na-2: rotated\noff: rotated\n");
    assert_eq!((text("a-1.log.1").as_str(), text("a-1.log").as_str()), ("a-1 speaks\n", ""));
    assert_eq!((text("off.log.1").as_str(), text("off.log").as_str()), ("from an earlier life\n", ""));
    let again = house.s7(&["rotate", "a-1"]);
    assert_eq!((code(&again), stdout(&again).as_str()), (0, "a-1: there is nothing in it\n"));
    let lines = stdout(&house.s7(&["logs", "a-1", "a-2"]));
    assert!(lines.contains("a-1 speaks") && lines.contains("a-2 speaks"), "{lines}");

    assert_eq!(code(&house.s7(&["rotate", "a-3"])), 2);
    fs::write(house.path(&format!("logs/off.log.{}", "9".repeat(15))), "").unwrap();
    append_to_new(&house, "off.log", "more\n");
    let refused = house.s7(&["rotate", "off"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("off: not rotated: cannot rename"), "{}", stderr(&refused));
    assert_eq!(text("off.log"), "more\n");
    fs::remove_file(house.path("logs/off.log")).unwrap();

    let everything = house.json(&["rotate", "--json"]);
    assert_eq!(everything["ownLog"], json!({"result": "done", "message": null}));
    assert_eq!(everything["components"].as_array().unwrap().len(), 3);
    assert_eq!(everything["finished"], true);
    let ended = |path: &Path| path.extension().is_some_and(|end| end == "1");
    let own: Vec<_> = fs::read_dir(house.path("logs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let own = own
        .iter()
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("Supervisor-") && ended(path));
    assert!(fs::read_to_string(own.unwrap()).unwrap().contains("a-1: up"));
    assert!(stdout(&house.s7(&["rotate"])).ends_with("the supervisor's own log: rotated\n"));
}

fn append_to_new(house: &House, name: &str, text: &str) {
    fs::create_dir_all(house.path("logs")).unwrap();
    append(&house.path(&format!("logs/{name}")), text);
}

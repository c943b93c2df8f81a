//! What holds for every command: JSON, names, closed outputs, colours; the page of a single component; and what a terminal is
//! shown while a command waits.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
#[expect(dead_code, reason = "the other tests of the command line need more of it")]
mod house;

use std::io::Write;
use std::process::{Output, Stdio};

use house::{House, PROGRAM, code, kill, server, stand_in, stderr, stdout};
use rustix::process::Signal;
use serde_json::Value;

/// A component with children and a reload that does nothing, and one that needs it.
fn two() -> House {
    let script = "trap '' HUP; echo first; echo second; sleep 3600 &amp; echo is $$ &gt; BELL; \
        while :; do wait; done";
    let reload = "<description>Image Server</description><reload><signal name=\"HUP\"/></reload>";
    House::with(&(server("is", script, reload) + &stand_in("ps", "", "<dependsOn ref=\"is\"/>")))
}

/// Every command that answers, where all is well and a supervisor runs: in this order, so that each can do what it says.
const ANSWERS: [&[&str]; 20] = [
    &["check"],
    &["show"],
    &["start"],
    &["start", "ps"],
    &["restart", "ps"],
    &["reset", "ps"],
    &["reload", "is"],
    &["signal", "HUP", "is"],
    &["wait", "ps"],
    &["status"],
    &["status", "ps"],
    &["logs", "is"],
    &["rotate"],
    &["rotate", "is"],
    &["events"],
    &["why", "ps"],
    &["tracelevel"],
    &["plan"],
    &["apply"],
    &["stop", "ps"],
];

#[test]
fn every_command_that_answers_has_an_answer_in_json_and_nothing_else_on_standard_output() {
    let house = two();
    house.start();
    house.bell("is");
    let script = house.path("script");
    std::fs::write(&script, "ps crashes once after 1s\n").unwrap();
    let simulate = ["simulate", "--script", script.to_str().unwrap()];
    let upgrade = ["upgrade", PROGRAM];
    for command in ANSWERS.iter().copied().chain([&simulate[..], &upgrade, &["stop"]]) {
        let answer = house.s7(&[command, &["--json"]].concat());
        assert_eq!(code(&answer), 0, "{command:?}: {}", stderr(&answer));
        let lines = ["logs", "events", "simulate"].contains(&command[0]);
        let text = stdout(&answer);
        let documents: Vec<&str> = if lines { text.lines().collect() } else { vec![&text] };
        assert!(!documents.is_empty(), "{command:?}");
        for document in documents {
            let document: Value =
                serde_json::from_str(document).unwrap_or_else(|why| panic!("{command:?}: {why}: {text}"));
            assert!(document.is_object(), "{command:?}: {document}");
        }
    }
}

#[test]
fn without_a_supervisor_a_document_says_so_too() {
    let house = two();
    assert_eq!(house.json(&["status", "--json"])["supervisor"], Value::Null);
    let stop = house.s7(&["stop", "--json"]);
    assert_eq!((code(&stop), stdout(&stop).contains("\"finished\": true")), (0, true));
}

#[test]
fn nobody_is_shown_colours_or_a_line_that_is_redrawn_where_there_is_no_terminal() {
    let house = two();
    house.start();
    for command in
        ANSWERS.iter().copied().chain([&["status", "nobody"][..], &["check", "nowhere.xml"], &["stop"]])
    {
        let answer = house.s7(command);
        let both = stdout(&answer) + &stderr(&answer);
        assert!(!both.contains('\u{1b}') && !both.contains('\r'), "{command:?}: {both:?}");
        assert!(!both.contains(['│', '┌', '|', '+']) || command[0] == "status", "{command:?}: {both}");
    }
}

#[test]
fn whoever_stops_reading_makes_no_command_panic() {
    let house = two();
    house.start();
    let more = [
        &["--help"][..],
        &["start", "--help"],
        &["man"],
        &["completions", "bash"],
        &["--version"],
        &["stop"],
    ];
    for command in ANSWERS.iter().copied().chain(more) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut closed = house.command(PROGRAM);
        let closed = closed.args(command).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert!(closed.status.code().is_some_and(|code| code < 10), "{command:?}: {:?}", closed.status);
        assert!(!stderr(&closed).contains("panic"), "{command:?}: {}", stderr(&closed));
    }
}

#[test]
fn names_may_be_patterns_wherever_an_id_may_stand() {
    let house = two();
    house.start();
    for command in [
        &["start", "?s"][..],
        &["restart", "?s"],
        &["reset", "?s"],
        &["reload", "i*"],
        &["signal", "HUP", "[i]s"],
        &["wait", "?s"],
        &["status", "?s"],
        &["logs", "?s"],
        &["rotate", "?s"],
        &["events", "?s"],
        &["why", "p*"],
        &["show", "?s"],
        &["stop", "?s"],
    ] {
        let answer = house.s7(command);
        assert_eq!(code(&answer), 0, "{command:?}: {}", stderr(&answer));
        let none: Vec<_> =
            command.iter().map(|word| if word.contains(['?', '*', '[']) { "x*" } else { word }).collect();
        let refused = house.s7(&none);
        let expected = if command[0] == "status" { 4 } else { 2 };
        assert_eq!(code(&refused), expected, "{none:?}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("\"x*\""), "{none:?}: {}", stderr(&refused));
    }
    let several = house.s7(&["why", "?s"]);
    assert_eq!(code(&several), 2);
    assert!(stderr(&several).contains("is, ps"), "{}", stderr(&several));
}

#[test]
fn an_id_that_looks_like_another_is_answered_with_that_by_every_command() {
    let house = two();
    house.start();
    for command in [
        &["start"][..],
        &["stop"],
        &["restart"],
        &["reset"],
        &["reload"],
        &["signal", "HUP"],
        &["wait"],
        &["status"],
        &["logs"],
        &["rotate"],
        &["events"],
        &["why"],
        &["show"],
    ] {
        let refused = house.s7(&[command, &["pss"]].concat());
        assert!(stderr(&refused).contains("did you mean \"ps\"?"), "{command:?}: {}", stderr(&refused));
        assert_eq!(stdout(&refused), "", "{command:?}");
    }
}

/// The rows of a page: what stands after the name of each.
fn row<'a>(page: &'a str, name: &str) -> &'a str {
    let row = page.lines().find_map(|line| line.strip_prefix("  ")?.strip_prefix(name));
    row.unwrap_or_else(|| panic!("{name} in\n{page}")).trim()
}

/// The page of a component, once it is so: what has happened is in the journal a moment later, what was written in its file, and
/// a child that was just forked has another name yet.
fn page_once(house: &House, id: &str, is_so: impl Fn(&str) -> bool) -> String {
    let mut page = String::new();
    house.until(|| {
        page = stdout(&house.s7(&["status", id]));
        is_so(&page)
    });
    page
}

#[test]
fn a_single_component_is_shown_from_all_sides() {
    let house = two();
    house.start();
    let pid = house.bell("is");
    let page = page_once(&house, "is", |page| {
        ["the supervisor started", "    sleep\n", "  | second\n"].iter().all(|told| page.contains(told))
    });
    assert!(page.starts_with("is: up, since ") && page.contains("\n  Image Server\n"), "{page}");
    assert!(row(&page, "command").starts_with("/bin/sh -c 'trap "), "{page}");
    assert!(row(&page, "pid").starts_with(&format!("{pid}, for ")), "{page}");
    assert_eq!(row(&page, "restarts"), "0");
    assert_eq!(row(&page, "dependants"), "ps: up");
    assert!(row(&page, "why").contains("the supervisor started"), "{page}");
    let tree: Vec<_> = page.lines().skip_while(|line| *line != "processes:").skip(1).take(2).collect();
    assert!(tree[0].trim().starts_with(&pid.to_string()) && tree[0].ends_with("  sh"), "{page}");
    assert!(tree[1].ends_with("    sleep"), "the child is set in under its parent: {page}");
    assert!(page.ends_with(".log):\n  | first\n  | second\n"), "{page}");
    assert_eq!(row(&stdout(&house.s7(&["status", "ps"])), "depends on"), "is (ready): up");

    kill(pid, Signal::KILL);
    house.bell("is");
    let is_told = |page: &str| page.contains("(run 1)") && row(page, "why").contains("SIGKILL");
    let page = page_once(&house, "is", is_told);
    assert!(page.contains("last exits:\n") && page.contains("  SIGKILL after "), "{page}");
    assert!(row(&page, "why").contains("SIGKILL"), "{page}");
    assert!(
        house.s7(&["status", "is", "ps"]).stdout.starts_with(b"ID  STATE"),
        "of several there is a table"
    );
    let document = house.json(&["status", "is", "--json"]);
    assert_eq!(document["components"].as_array().map(Vec::len), Some(1), "{document}");
    assert_eq!(code(&house.s7(&["stop", "?s"])), 0);
    let page = page_once(&house, "is", |page| row(page, "why").contains("stop, asked for by"));
    assert!(page.starts_with("is: stopped, since ") && !page.contains("processes:"), "{page}");
    assert!(row(&page, "why").contains("stop, asked for by"), "{page}");
}

#[test]
fn what_has_failed_says_so_on_its_page_and_no_secret_is_shown() {
    let secret = "<environment><variable name=\"TOKEN\" secret=\"true\">hunter22</variable></environment>";
    let elements = format!("<startDelay>60</startDelay><restart policy=\"never\"/>{secret}");
    let house = House::with(&server("bad", "echo oops &gt;&amp;2; exit 3", &elements));
    assert_eq!(code(&house.s7(&["start"])), 1);
    let page = page_once(&house, "bad", |page| page.contains("exit code 3") && page.contains("  | oops\n"));
    assert_eq!(code(&house.s7(&["status", "bad"])), 1);
    assert!(page.starts_with("bad: failed, wanted up, since "), "{page}");
    assert!(row(&page, "why").contains("exit code 3"), "{page}");
    assert!(page.ends_with("  | oops\n") && !page.contains("hunter22"), "{page}");
}

/// What a terminal is shown by this command, which ends by itself.
fn on_a_terminal(house: &House, command: &str) -> Option<String> {
    let script = || house.command("script");
    if script().arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "there is no `script` (package bsdutils)");
        // Straight to the descriptor: what a passing test prints is not shown.
        writeln!(std::io::stderr(), "skipped: there is no `script` (package bsdutils)")
            .expect("stderr is open");
        return None;
    }
    let mut script = script();
    let script = script.args(["--quiet", "--return", "--command", command, "/dev/null"]).env("TERM", "xterm");
    let output: Output = script.output().unwrap();
    Some(stdout(&output))
}

#[test]
fn a_terminal_is_shown_how_long_a_command_waits_and_of_how_long_and_nothing_of_that_stays() {
    let slow = stand_in("slow", "", "<startDelay>3600</startDelay>");
    let house = House::with(&(slow + &stand_in("ps", "--ignore-stop", "<stopTimeout>4</stopTimeout>")));
    assert_eq!(code(&house.s7(&["start", "--no-wait"])), 0);
    house.until(|| code(&house.s7(&["status", "ps"])) == 0);
    house.until_exists("ps.ready");
    let waited = format!("{PROGRAM} wait slow --timeout 3.5");
    let Some(shown) = on_a_terminal(&house, &waited) else { return };
    let frames: Vec<_> = shown.split("\r\u{1b}[K").skip(1).collect();
    let [first, seconds @ .., last] = frames.as_slice() else { panic!("{shown:?}") };
    assert_eq!(*first, "waiting for slow to be ready", "{shown:?}");
    // Who gets no processor for a second does not draw it.
    let all = [1, 2, 3].map(|second| format!("waiting for slow to be ready … {second}s of 3.5s"));
    let mut left = all.iter();
    assert!(seconds.iter().all(|drawn| left.any(|text| text == drawn)), "once a second, in order: {shown:?}");
    assert!(!seconds.is_empty(), "{shown:?}");
    assert!(last.starts_with("waited in vain for slow to be ready"), "cleared before the end: {shown:?}");

    // Without a time limit of whoever waits, that of the component is told.
    let shown = on_a_terminal(&house, &format!("{PROGRAM} stop ps")).unwrap();
    let told = |second: u32| shown.contains(&format!("waiting for ps to stop … {second}s of 4s"));
    assert!((1..4).any(told), "{shown:?}");
    assert!(shown.ends_with("\r\u{1b}[Kps: stopped\r\n"), "{shown:?}");
    let shown = on_a_terminal(&house, &format!("TERM=dumb {PROGRAM} wait slow --timeout 0.1")).unwrap();
    assert!(shown.starts_with("waiting for slow to be ready\r\n") && !shown.contains('\u{1b}'), "{shown:?}");
}

//! `simulate`: what it answers, and that the examples of the manuals are true.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::str::{contains, is_empty};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a registry and a script.
struct Study(TempDir);

impl Study {
    /// The registry is these servers, or all of this if it has a root.
    fn of(registry: &str, script: &str) -> Self {
        let study = Self(tempfile::tempdir().unwrap());
        let whole = match registry.trim_start().starts_with("<supervisor") {
            true => registry.to_owned(),
            false => format!("<supervisor><servers>{registry}</servers></supervisor>"),
        };
        fs::write(study.0.path().join("registry.xml"), whole).unwrap();
        fs::write(study.0.path().join("script"), script).unwrap();
        study
    }

    fn simulate(&self, arguments: &[&str]) -> assert_cmd::assert::Assert {
        let mut command = Command::cargo_bin("s7supervisor").unwrap();
        command.env_clear().current_dir(self.0.path()).args([
            "simulate",
            "registry.xml",
            "--script",
            "script",
        ]);
        command.args(arguments).assert()
    }

    fn answer(&self, arguments: &[&str]) -> String {
        let assert = self.simulate(arguments).success().stderr(is_empty());
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    }
}

const SERVER: &str = "<server id=\"is\"><executable>/bin/is</executable></server>";

#[test]
fn a_crash_that_is_asked_about_is_told_and_counted() {
    let study = Study::of(SERVER, "is crashes once after 3s\nfor 10s\n");
    assert_eq!(
        study.answer(&[]),
        "0:00:00.000  is  up (run 1)\n\
         0:00:03.000  is  exit code 1 after 3s; next try at once\n\
         0:00:03.000  is  up (run 2)\n\
         \n\
         ID  RUNS  RESTARTS  TRIPS  UP       FINALLY\n\
         is  2     1         0      100.0 %  up\n"
    );
}

#[test]
fn for_programs_each_event_is_a_document_and_then_each_component() {
    let other = "<server id=\"ps\"><executable>/bin/ps</executable><autostart>false</autostart></server>";
    let study = Study::of(&format!("{SERVER}{other}"), "is crashes once after 3s\nat 5s stop is\nfor 10s\n");
    let answer = study.answer(&["--json"]);
    let documents: Vec<Value> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = documents.iter().map(|it| (it["at"].as_f64(), it["event"].as_str())).collect();
    let expected = [
        (0.0, "spawned"),
        (0.0, "started"),
        (3.0, "exited"),
        (3.0, "spawned"),
        (3.0, "started"),
        (5.0, "requested"),
        (5.0, "stopping"),
        (5.0, "exited"),
        (5.0, "stopped"),
        (10.0, "summary"),
        (10.0, "summary"),
    ];
    assert_eq!(events, expected.map(|(at, event)| (Some(at), Some(event))));
    assert_eq!(documents[2]["exit"]["code"], 1, "{}", documents[2]);
    let summary = &documents[documents.len() - 2];
    let counts = ["runs", "restarts", "trips"].map(|name| summary[name].as_u64());
    assert_eq!((counts, summary["up"].as_f64()), ([Some(2), Some(1), Some(0)], Some(5.0)));
    let (ps, is) = documents.split_last().unwrap();
    assert!(ps["component"] == "ps" && is.iter().all(|it| it["component"] == "is"));
}

#[test]
fn nothing_is_started_and_no_file_is_made() {
    let study = Study::of(
        "<server id=\"is\"><executable>/bin/touch</executable><arguments><argument>made</argument></arguments></server>",
        "",
    );
    study.answer(&[]);
    let mut names: Vec<_> =
        fs::read_dir(study.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["registry.xml", "script"]);
}

#[test]
fn a_broken_script_is_told_with_its_places_and_nothing_is_answered() {
    let study = Study::of(SERVER, "is crahses every 3s\n\nat 3s stop iss\n");
    let told = study.simulate(&[]).code(2).stdout(is_empty());
    told.stderr(contains("script:1:4: ").count(1)).stderr(contains("script:3:12: ").count(1));
}

#[test]
fn what_is_no_script_at_all_is_refused() {
    let study = Study::of(SERVER, "");
    fs::write(study.0.path().join("script"), [0xff, 0xfe]).unwrap();
    study.simulate(&[]).code(2).stdout(is_empty()).stderr(contains("UTF-8"));
    fs::write(study.0.path().join("script"), "#".repeat(1024 * 1024 + 1)).unwrap();
    study.simulate(&[]).code(2).stdout(is_empty()).stderr(contains("1 MiB"));
    fs::remove_file(study.0.path().join("script")).unwrap();
    study.simulate(&[]).code(2).stdout(is_empty()).stderr(contains("cannot read the script"));
}

#[test]
fn what_never_ends_is_cut_off_and_says_so() {
    let study = Study::of(
        "<server id=\"is\"><executable>/bin/is</executable><restart maxDelay=\"0\"/></server>",
        "is crashes every 0s\nfor 365d\n".replace("365d", "8760h").as_str(),
    );
    study.simulate(&[]).code(1).stdout(contains("FINALLY")).stderr(contains("ended at 0:00:"));
}

#[test]
fn a_secret_shows_nowhere() {
    let study = Study::of(
        "<server id=\"is\"><executable>/bin/is</executable><environment><variable name=\"TOKEN\" \
         secret=\"true\">hunter2</variable></environment></server>",
        "is fails to start once\n",
    );
    assert!(!study.answer(&[]).contains("hunter2") && !study.answer(&["--json"]).contains("hunter2"));
}

#[test]
fn the_examples_of_the_manuals_are_true() {
    for (manual, least) in [("restarts.md", 9), ("health.md", 3)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(manual);
        let told = fs::read_to_string(&path).unwrap();
        let (happens, examples) = with_true_answers(&told);
        assert!(examples >= least, "{manual} has {examples} examples");
        if std::env::var_os("S7_REWRITE_EXAMPLES").is_some() {
            fs::write(&path, happens).unwrap();
        } else {
            let differs = |(_, (told, happens)): &(usize, (&str, &str))| told != happens;
            let first = (1..).zip(told.lines().zip(happens.lines())).find(differs);
            let advice = "run this test with S7_REWRITE_EXAMPLES=1, and read the difference";
            assert!(told == happens, "{manual} is not true any more: {advice}. It begins here: {first:#?}");
        }
    }
}

/// The manual with what `simulate` really answers to each script for the registry above it, and how many there are.
fn with_true_answers(manual: &str) -> (String, usize) {
    let (mut registry, mut script, mut text, mut examples) = (String::new(), String::new(), String::new(), 0);
    let mut lines = manual.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(text, "{line}");
        let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else { continue };
        let block: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        let command = block.lines().next().unwrap_or_default();
        match kind {
            "console" if command.starts_with("$ s7supervisor simulate") => {
                examples += 1;
                let answer = Study::of(&registry, &script).answer(&[]);
                let _ = writeln!(text, "{command}\n{answer}```");
                continue;
            }
            "xml" => registry.clone_from(&block),
            "script" => script.clone_from(&block),
            _ => {}
        }
        let _ = writeln!(text, "{block}```");
    }
    (text, examples)
}

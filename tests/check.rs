//! `check` on broken registries: every problem with its place, exit code 2, and nothing on standard output.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, is_empty};
use serde_json::{Value, json};

/// The registries with which the library's loader is tested, each with the problems that must be told beside it.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../supervisor/tests/registry/broken");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

fn s7supervisor() -> Command {
    let mut command = Command::cargo_bin("s7supervisor").unwrap();
    command.env_clear().env("NO_COLOR", "1");
    command
}

/// A copy that nobody but its owner can write, whatever the checkout lets others do.
fn copy(from: &Path, to: &Path) {
    fs::DirBuilder::new().mode(0o755).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}

fn registries(folder: &Path) -> Vec<PathBuf> {
    let groups = fs::read_dir(folder).unwrap().map(|group| group.unwrap().path());
    let files = groups.flat_map(|group| fs::read_dir(group).unwrap().map(|file| file.unwrap().path()));
    files.filter(|file| file.with_extension("expected").exists()).collect()
}

#[test]
fn every_problem_of_every_broken_registry_is_told_with_its_place() {
    let house = tempfile::tempdir().unwrap();
    let corpus = house.path().join("broken");
    copy(Path::new(CORPUS), &corpus);
    let broken: Vec<_> = registries(&corpus)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|it| it == "xml"))
        .collect();
    assert!(broken.len() >= 40, "{} registries", broken.len());
    for registry in broken {
        let expected = fs::read_to_string(registry.with_extension("expected")).unwrap();
        let check = s7supervisor()
            // As the library's tests load them.
            .env("S7_SV_nothing", "")
            .args(["--install-folder", "/srv", "check"])
            .arg(&registry)
            .assert()
            .code(2)
            .stdout(is_empty());
        let told = String::from_utf8(check.get_output().stderr.clone()).unwrap();
        let told = told.replace(&format!("{}/", corpus.display()), "");
        // A setting that only the command line knows.
        let told = told.replace(" SV::supervisorExecutable,", "");
        assert_eq!(told.trim_end(), expected.trim_end(), "{}", registry.display());
    }
}

#[test]
fn a_good_registry_is_summarized() {
    for example in ["image-serving", "tomcat"] {
        let house = tempfile::tempdir().unwrap();
        let folder = house.path().join(example);
        copy(&Path::new(EXAMPLES).join(example).join("conf"), &folder);
        let check = s7supervisor().arg("check").arg(folder.join("SupervisorRegistry.xml")).assert();
        check
            .code(0)
            .stdout(contains("is").and(contains("svg")).and(contains("ps")))
            .stderr(contains("3 components"));
    }
}

/// A copy of the registry that says all that can be said about restarts, checks and steps.
fn restart_engine(house: &Path) -> PathBuf {
    let registry = house.join("registry.xml");
    fs::copy(Path::new(CORPUS).join("../good/restart_engine.xml"), &registry).unwrap();
    fs::set_permissions(&registry, fs::Permissions::from_mode(0o644)).unwrap();
    registry
}

fn answer(command: &str, registry: &Path, more: &[&str]) -> String {
    let mut asked = s7supervisor();
    asked.args(["--install-folder", "/srv", command]).arg(registry).args(more);
    String::from_utf8(asked.assert().code(0).get_output().stdout.clone()).unwrap()
}

#[test]
fn the_summary_of_a_good_registry_says_what_each_component_waits_for() {
    let house = tempfile::tempdir().unwrap();
    let registry = restart_engine(house.path());
    let summary = answer("check", &registry, &[]);
    let web = "web-2 (priority 1, after database ready, migration started, cache-2 ready): x";
    assert!(summary.lines().any(|line| line == web), "{summary}");
    let summary: Value = serde_json::from_str(&answer("check", &registry, &["--json"])).unwrap();
    let migration = &summary["components"][1];
    assert_eq!(migration["dependsOn"], json!([{"ref": "database", "condition": "started"}]));
}

#[test]
fn what_starts_by_itself_and_needs_what_does_not_is_warned_of() {
    let house = tempfile::tempdir().unwrap();
    let registry = house.path().join("registry.xml");
    let server =
        |id: &str, more: &str| format!("<server id=\"{id}\"><executable>x</executable>{more}</server>");
    let (db, web) = (server("db", "<autostart>false</autostart>"), server("web", "<dependsOn ref=\"db\"/>"));
    fs::write(&registry, format!("<supervisor><servers>{db}{web}</servers></supervisor>")).unwrap();
    fs::set_permissions(&registry, fs::Permissions::from_mode(0o644)).unwrap();
    let warning = "web starts by itself (autostart) but depends on db, which does not: it will wait until somebody starts db";
    let check = s7supervisor().arg("check").arg(&registry).assert().code(0);
    check.stderr(contains(format!("warning: {warning}\n")).and(contains("is valid")));
    let told: Value = serde_json::from_str(&answer("check", &registry, &["--json"])).unwrap();
    assert_eq!((&told["valid"], &told["warnings"]), (&json!(true), &json!([warning])));
}

#[test]
fn what_a_registry_says_of_restarts_checks_and_steps_is_shown_in_its_own_words() {
    let house = tempfile::tempdir().unwrap();
    let registry = restart_engine(house.path());
    let shown: Value = serde_json::from_str(&answer("show", &registry, &["--json"])).unwrap();
    assert_eq!(shown["registry"]["restartBudget"], json!({"max": 20, "within": 10.0}));
    assert_eq!(shown["registry"]["onGiveUp"], "shutdown");
    let components = shown["components"].as_array().unwrap();
    let component = |id: &str| components.iter().find(|it| it["id"] == id).unwrap();
    let (web, cache, database) = (component("web-1"), component("cache-1"), component("database"));
    let expected =
        json!({"http": {"url": "http://localhost:8080/ready", "status": "204-204"}, "timeout": 90.0});
    assert_eq!(web["readiness"], expected);
    assert_eq!(web["memory"], json!({"max": 2_147_483_648_u64, "action": "report"}));
    let expected = json!([
        {"signal": "TERM", "wait": 30.0, "to": "main"},
        {"exec": ["/srv/bin/stop", "now"], "timeout": 20.0},
        {"signal": "TERM", "wait": 10.0, "to": "group"},
    ]);
    assert_eq!(web["stop"], expected);
    assert_eq!(web["restartGroup"], json!({"name": "web", "strategy": "restForOne"}));
    let exits = json!([{"signal": "SEGV", "action": "giveUp"}, {"code": 78, "action": "stop"}]);
    assert_eq!(web["restart"]["exits"], exits);
    assert_eq!(web["cleanup"], json!({"exec": ["rm", "-f"], "timeout": 3.0}));
    assert_eq!(cache["restart"]["max"], 3);
    assert_eq!(cache["watchdog"], 30.0);
    assert_eq!((&database["essential"], &cache["essential"]), (&json!(true), &json!(false)));

    let people = answer("show", &registry, &["web-1"]);
    for row in [
        "depends on      migration, started",
        "ready           when http://localhost:8080/ready answers 204, within 1m 30s",
        "stop            `/srv/bin/stop now`, at most 20s",
        "restart         onFailure, delay 0s, maxDelay 60s, factor 2, jitter 0.1, stable after 1s",
        "restart         after exit code 78: stop",
    ] {
        assert!(people.lines().any(|line| line.trim_start() == row), "{row} is missing:\n{people}");
    }
}

#[test]
fn both_examples_are_about_the_documented_registry_byte_for_byte() {
    let registry =
        |example| fs::read(Path::new(EXAMPLES).join(example).join("conf/SupervisorRegistry.xml")).unwrap();
    assert_eq!(registry("image-serving"), registry("tomcat"));
}

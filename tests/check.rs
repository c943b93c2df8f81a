//! `check` on broken registries: every problem with its place, exit code 2, and nothing on standard output.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, is_empty};

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

#[test]
fn both_examples_are_about_the_documented_registry_byte_for_byte() {
    let registry =
        |example| fs::read(Path::new(EXAMPLES).join(example).join("conf/SupervisorRegistry.xml")).unwrap();
    assert_eq!(registry("image-serving"), registry("tomcat"));
}

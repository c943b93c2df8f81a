//! The supervisor as a service: under a real systemd, as a script of SysV, and as a Debian package.
//!
//! Each test is a script in `tests/service/`, which runs on a machine of its own: `boot.sh`. That takes root, and a kernel with
//! overlay and namespaces.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::geteuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_s7supervisor");

/// With what `container.sh` ends where the engine makes no container here.
const NO_CONTAINER: i32 = 77;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A command on a machine of its own, where process 1 is systemd, or nothing of use: `bare`.
fn machine(kind: &str, command: &[&str]) -> Output {
    let mut boot = Command::new(top().join("tests/service/boot.sh"));
    boot.arg(kind).args(command).env("BOOT_PROGRAM", PROGRAM).env("BOOT_SHARED", top());
    boot.output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether there can be such a machine. Where not, says why.
fn can_boot(test: &str) -> bool {
    let why = if !geteuid().is_root() {
        "it takes root".to_owned()
    } else if let Some(missing) = ["/lib/systemd/systemd", "/usr/bin/dpkg-deb", "/usr/bin/unshare"]
        .into_iter()
        .find(|path| !Path::new(path).exists())
    {
        format!("there is no {missing}")
    } else {
        let booted = machine("bare", &["true"]);
        if booted.status.success() {
            return true;
        }
        format!("no machine of its own can be made: {}", told(&booted).trim())
    };
    cannot_run(test, &why);
    false
}

/// Says why; under CI, that is a failure.
fn cannot_run(test: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "cannot run {test}: {why}");
    // Straight to the descriptor: what a passing test prints is not shown.
    writeln!(std::io::stderr(), "skipped: {test} cannot run here: {why}").expect("stderr is open");
}

fn run(kind: &str, script: &str) {
    if can_boot(script) {
        let output = machine(kind, &[&format!("/machine/tests/service/{script}")]);
        assert!(output.status.success(), "{}", told(&output));
    }
}

#[test]
fn systemd_starts_watches_and_stops_the_supervisor_and_no_component_notices_its_death() {
    run("systemd", "systemd.sh");
}

#[test]
fn systemd_waits_for_slow_components_and_is_told_of_those_that_do_not_start() {
    run("systemd", "stopping.sh");
}

#[test]
fn without_systemd_a_script_does_the_same() {
    run("bare", "sysv.sh");
}

#[test]
fn of_a_script_systemd_makes_a_unit_and_both_know_what_runs() {
    run("systemd", "generated.sh");
}

#[test]
fn a_package_is_installed_upgraded_and_purged_and_an_upgrade_stops_nothing() {
    if can_boot("package.sh") {
        // What it is built from takes long enough: it is not made small as well.
        let mut all = Command::new(top().join("packaging/debian/try"));
        all.args(["--binary", PROGRAM]).env("PACKAGE_COMPRESSION", "gzip");
        let output = all.output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    }
}

#[test]
#[ignore = "takes a static program, in S7_STATIC_PROGRAM: .ci/run builds it"]
fn a_static_program_is_all_that_a_container_needs() {
    contain("unshare");
}

#[test]
#[ignore = "takes a static program, in S7_STATIC_PROGRAM: .ci/run builds it"]
fn a_static_program_is_all_that_a_container_of_an_engine_needs() {
    contain("runc");
}

/// Runs the static program as process 1 of a container that this engine makes.
fn contain(engine: &str) {
    let program = std::env::var_os("S7_STATIC_PROGRAM").expect("S7_STATIC_PROGRAM names it");
    if can_boot("container.sh") {
        let script = top().join("tests/service/container.sh");
        let output = Command::new(script).arg(engine).arg(top().join(program)).output().unwrap();
        if output.status.code() == Some(NO_CONTAINER) {
            return cannot_run(engine, &format!("it makes no container: {}", told(&output).trim()));
        }
        assert!(output.status.success(), "{}", told(&output));
    }
}

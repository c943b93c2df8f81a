//! `docs/openapi.json` and the server say the same: schemathesis asks it what the document promises, and what it forbids.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::house::{server, stand_in};

/// Where `.ci/run` puts it; else it is looked for in `PATH`.
fn schemathesis() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/schemathesis/bin/schemathesis");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|folder| folder.join("schemathesis"));
    [own].into_iter().chain(places).find(|place| place.is_file())
}

#[test]
fn the_document_is_true() {
    let Some(schemathesis) = schemathesis() else {
        return skip("the test of docs/openapi.json", "schemathesis is not installed (.ci/run does that)");
    };
    let secret = r#"<environment><variable name="TOKEN" secret="true">hunter2</variable></environment>"#;
    let writes = server("writes", "while :; do echo a line; sleep 1; done", secret);
    let served = Served::with(&(stand_in("ps", "", "") + &writes));
    served.house.start();
    served.until_listening();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(schemathesis);
    command
        .arg("run")
        .arg(here.join("docs/openapi.json"))
        .args(["--url", &format!("http://127.0.0.1:{}", served.port)])
        .args(["--header", &format!("Authorization: Bearer {}", served.token())])
        // These two end what is asked.
        .args(["--exclude-operation-id", "shutdown", "--exclude-operation-id", "upgrade"])
        .args(["--exclude-operation-id", "events", "--request-timeout", "60"])
        .args(["--checks", "all"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "1"])
        .args(["--no-color", "--workers", "1", "--suppress-health-check", "all"])
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", here.join("tests/api"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(served.house.path(""));
    let output = command.output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    let status = served.house.json(&["status", "--json"]);
    assert_eq!(status["components"].as_array().unwrap().len(), 2, "the supervisor answers as before");
}

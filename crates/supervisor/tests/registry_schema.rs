//! The XSD against the loader's verdicts, by `xmllint` (Debian: `apt-get install libxml2-utils`).
//!
//! Without `xmllint` these tests say that they are skipped; where `CI` is set, they fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::path::{Path, PathBuf};
use std::process::Output;

const SCHEMA: &str = "../../docs/SupervisorRegistry.xsd";

/// What xmllint says of a file; `None` if there is no xmllint.
fn validate(file: &Path) -> Option<Output> {
    #[expect(clippy::disallowed_methods, reason = "a test may start programs")]
    let mut xmllint = std::process::Command::new("xmllint");
    match xmllint.args(["--noout", "--nonet", "--schema", SCHEMA]).arg(file).output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "xmllint cannot be run: {error}");
            println!("skipped: xmllint cannot be run: {error}");
            None
        }
    }
}

fn assert_taken(file: &Path) {
    if let Some(output) = validate(file) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the XSD refuses {}: {said}", file.display());
    }
}

fn assert_refused(file: &Path) {
    if let Some(output) = validate(file) {
        // 3: the file does not follow the schema. Anything else is a fault of file or schema themselves.
        assert!([Some(3), Some(4)].contains(&output.status.code()), "{}: {output:?}", file.display());
    }
}

fn xml_files(folder: &str) -> Vec<PathBuf> {
    let entries = Path::new(folder).read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "xml")).collect();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

#[test]
fn the_xsd_takes_what_the_loader_takes() {
    for folder in ["tests/registry/good", "../../examples/image-serving/conf"] {
        xml_files(folder).iter().for_each(|file| assert_taken(file));
    }
}

#[test]
fn the_xsd_leaves_to_check_what_only_that_can_find() {
    xml_files("tests/registry/broken/meaning").iter().for_each(|file| assert_taken(file));
}

#[test]
fn the_xsd_refuses_unknown_names_a_wrong_root_missing_attributes_and_malformed_values() {
    xml_files("tests/registry/broken/structure").iter().for_each(|file| assert_refused(file));
}

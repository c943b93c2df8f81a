//! The list of promises names tests that are there.

use std::fs;
use std::iter;
use std::path::PathBuf;

fn project(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// The names of the functions in this file of tests, and nothing where there is none.
fn functions(file: &str) -> Vec<String> {
    let text = fs::read_to_string(project(file)).unwrap_or_default();
    let names = text.lines().filter_map(|line| line.strip_prefix("fn ")?.split(['(', '<']).next());
    names.map(ToOwned::to_owned).collect()
}

/// What stands in this column of the tables, row by row.
fn column(list: &str, number: usize) -> impl Iterator<Item = &str> {
    let rows = list.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promised |"));
    rows.map(move |row| row.split(" | ").nth(number).unwrap_or_else(|| panic!("no row: {row}")))
}

/// Where tests are that are named in this part of a cell: where it links to, if it does.
fn file_of(part: &str) -> Option<&str> {
    part.split_once("](../")?.1.split(')').next()
}

/// Where a name ends or begins with "…", it goes on; one that begins so is in the file of the one before.
#[test]
fn every_test_that_the_list_of_promises_names_is_there() {
    let list = fs::read_to_string(project("docs/promises.md")).unwrap();
    let mut names = 0;
    for cell in column(&list, 1) {
        let mut file = "tests/upgrade.rs".to_owned();
        assert!(cell.contains('`') || cell == "the same", "nothing proves it: {cell}");
        for (name, part) in
            cell.split("; ").flat_map(|part| part.split('`').skip(1).step_by(2).zip(iter::repeat(part)))
        {
            if let Some(linked) = file_of(part) {
                file = linked.to_owned();
            }
            if name.contains('/') {
                assert!(project(name).exists(), "no file {name}");
                continue;
            }
            let name = match name.split_once("::") {
                Some((module, name)) => {
                    file = format!("tests/faults/{module}.rs");
                    name
                }
                None => name,
            };
            let part = name.trim_matches('…');
            let is_meant = |function: &String| match (name.starts_with('…'), name.ends_with('…')) {
                (true, _) => function.contains(part),
                (false, true) => function.starts_with(part),
                (false, false) => function == part,
            };
            assert!(functions(&file).iter().any(is_meant), "{file} has no test {name}");
            names += 1;
        }
    }
    assert!(names > 30, "only {names} names: the list looks otherwise than expected");
}

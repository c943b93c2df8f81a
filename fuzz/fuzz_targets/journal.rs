//! Any bytes as the file of a journal, which whoever asks `why` reads line by line.

#![no_main]

use std::fs;
use std::mem::discriminant;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use supervisor_control::journal::{Entry, FILE, Folder, Past};
use supervisor_control::wire::EventDocument;
use tempfile::TempDir;

/// One folder for all inputs: a process of the fuzzer has one thread.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is room for a folder"));

fuzz_target!(|file: &[u8]| {
    fs::write(FOLDER.path().join(FILE), file).expect("there is room for a file");
    let folder = Folder::open(FOLDER.path()).expect("the folder is there");
    let past = Past::read(&folder).expect("a file can be read, whatever is in it");
    let mut lines: Vec<&str> = past.entries().map(|entry| entry.line).collect();
    assert!(lines.len() <= file.split(|byte| *byte == b'\n').count());
    assert_eq!(past.is_empty(), lines.is_empty());
    past.entries().for_each(|entry| check(&entry));
    lines.reverse();
    assert!(past.entries().rev().map(|entry| entry.line).eq(lines), "the newest first is the oldest last");
});

/// What was understood can be written and read again, and is then the same; but for the last digit of a number, which
/// the crate `serde_json` does not promise.
fn check(entry: &Entry<'_>) {
    let document = &entry.document;
    let written = serde_json::to_string(document).expect("what was read can be written");
    let read: EventDocument = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(discriminant(&read.what), discriminant(&document.what), "{written}");
    let rest = |of: &EventDocument| (of.time.clone(), of.seq, of.component.clone(), of.run, of.text.clone());
    assert_eq!(rest(&read), rest(document), "{written}");
}

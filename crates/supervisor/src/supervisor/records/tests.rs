use std::fs;

use tempfile::TempDir;

use super::*;

/// As a core might remember something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) runs: u64,
    pub(super) words: Vec<String>,
}

pub(super) fn id(name: &str) -> ComponentId {
    ComponentId::new(name).unwrap()
}

pub(super) fn record(runs: u64) -> Record<Memory> {
    let memory = Memory { runs, words: vec!["wanted".into(), "\"\\\u{1F980}".into()] };
    Record { memory, process: None, digest: "00ff".into() }
}

/// Has these stored in a folder, as a supervisor leaves them that is killed.
fn leave(place: &TempDir, records: &[(&str, Record<Memory>)]) {
    let recorder = Records::open(place.path()).unwrap().recorder(|| ()).unwrap();
    for (name, record) in records {
        recorder.remember(&id(name), record);
    }
    assert!(is_stored(&recorder));
}

/// Waits until all is stored: it may take longer than anybody else would wait, where the machine is busy.
pub(super) fn is_stored(recorder: &Recorder) -> bool {
    (0..90).any(|_| recorder.wait())
}

fn read(place: &TempDir) -> Contents<Memory> {
    Records::open(place.path()).unwrap().read()
}

#[test]
fn what_was_written_down_is_read_by_the_next() {
    let place = tempfile::tempdir().unwrap();
    leave(&place, &[("ps", record(3)), ("key", record(1)), ("a.new", record(2))]);
    let mut contents = read(&place);
    contents.records.sort_unstable_by_key(|(_, record)| record.memory.runs);
    assert_eq!(contents.records, [(id("key"), record(1)), (id("a.new"), record(2)), (id("ps"), record(3))]);
    assert_eq!(contents.void, [""; 0]);
}

#[test]
fn tokens_are_the_same_after_a_crash_and_others_after_an_orderly_end_or_another_boot() {
    let place = tempfile::tempdir().unwrap();
    let token = || Records::open(place.path()).unwrap().tokens().of(&id("ps"), 1);
    let first = token();
    assert_eq!(token(), first);
    Records::open(place.path()).unwrap().recorder(|| ()).unwrap().end();
    let second = token();
    assert_ne!(second, first);

    let key = place.path().join("runs/key");
    let boot = Place::here().unwrap().boot;
    let text = fs::read_to_string(&key).unwrap();
    fs::write(&key, text.replace(&boot, &"0".repeat(36))).unwrap();
    let third = token();
    assert_ne!(third, second);
    for garbage in [&b""[..], b"\xff", b"{}", b"{\"version\":1,\"boot\":\"\",\"key\":\"0\"}"] {
        fs::write(&key, garbage).unwrap();
        assert_ne!(token(), third);
    }
    assert_eq!(token(), token());
}

#[test]
fn time_goes_on_after_a_crash_and_begins_anew_after_an_orderly_end() {
    let place = tempfile::tempdir().unwrap();
    let open = || Records::open(place.path()).unwrap();
    let first = open();
    let (began, age) = (first.began, first.age());
    drop(first);
    let second = open();
    assert!(second.began == began && second.age() >= age);
    second.recorder(|| ()).unwrap().end();
    assert!(open().began >= began + age);
}

#[test]
fn what_was_written_elsewhere_or_in_another_time_is_told_and_not_used() {
    let here = Place::here().unwrap();
    for (name, good, bad, why) in [
        ("boot", here.boot.clone(), "0".repeat(36), "begun anew"),
        ("namespace", here.namespace.to_string(), "7".to_owned(), "container"),
        ("version", "\"version\":1".to_owned(), "\"version\":2,\"new\":[]".to_owned(), "of version 2"),
    ] {
        // Windows has but one.
        if cfg!(windows) && name == "namespace" {
            continue;
        }
        let place = tempfile::tempdir().unwrap();
        leave(&place, &[("ps", record(1)), ("is", record(2))]);
        let file = place.path().join("runs/ps.run");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(&good), "{name}: {text}");
        fs::write(&file, text.replace(&good, &bad)).unwrap();
        let contents = read(&place);
        assert_eq!(contents.records, [(id("is"), record(2))], "{name}");
        assert!(contents.void.len() == 1 && contents.void[0].contains(why), "{:?}", contents.void);
    }
}

#[test]
fn a_record_that_is_cut_off_or_damaged_anywhere_is_void_and_one_that_was_being_written_is_the_old_one() {
    let place = tempfile::tempdir().unwrap();
    leave(&place, &[("ps", record(3))]);
    let file = place.path().join("runs/ps.run");
    let whole = fs::read(&file).unwrap();
    let records = Records::open(place.path()).unwrap();
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let contents: Contents<Memory> = records.read();
        assert!(contents.records.is_empty() && contents.void.len() == 1, "{length}");
    }
    for place in 0..whole.len() {
        for damage in [0, b'7', b'"', b'}', b'\n', 0xff] {
            let mut damaged = whole.clone();
            damaged[place] = damage;
            fs::write(&file, &damaged).unwrap();
            let contents: Contents<Memory> = records.read();
            let is_void = contents.records.is_empty() && contents.void.len() == 1;
            assert_eq!(is_void, damaged != whole, "{damage} at {place}");
        }
    }
    fs::write(file.with_file_name("is.run"), &whole).unwrap();
    assert_eq!(records.read::<Memory>().records, [], "another's is nobody's");
    fs::remove_file(file.with_file_name("is.run")).unwrap();
    // What was being written when the supervisor was killed is not looked at, and is no hindrance.
    fs::write(&file, &whole).unwrap();
    for length in [0, 1, whole.len() / 2] {
        fs::write(place.path().join("runs/.new"), &whole[..length]).unwrap();
        assert_eq!(records.read().records, [(id("ps"), record(3))]);
        records.folder.replace("ps.run", &whole).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn whatever_else_lies_there_is_left_alone_and_what_cannot_be_read_is_told() {
    let place = tempfile::tempdir().unwrap();
    leave(&place, &[("ps", record(1))]);
    let runs = place.path().join("runs");
    for name in ["notes.txt", "-x.run", "con.run", ".run"] {
        fs::write(runs.join(name), "{}").unwrap();
    }
    fs::create_dir(runs.join("folder.run")).unwrap();
    std::os::unix::fs::symlink("ps.run", runs.join("link.run")).unwrap();
    let contents = read(&place);
    assert_eq!(contents.records, [(id("ps"), record(1))]);
    let void = contents.void.join("\n");
    assert!(contents.void.len() == 2, "{void}");
    assert!(void.contains("of folder") && void.contains("of link") && void.contains("symbolic"), "{void}");
    Records::open(place.path()).unwrap().recorder(|| ()).unwrap().end();
    assert!(runs.join("notes.txt").exists() && !runs.join("ps.run").exists() && !runs.join("key").exists());
}

//! Output that cannot be stored, because the disk is full.

use super::*;

/// A small file system of its own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where it may not be mounted.
    #[expect(clippy::disallowed_methods, reason = "the test needs a disk that can be filled")]
    fn mount(at: &Path, size: &str) -> Option<Self> {
        let mut mount = Program::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(at).output().ok()?;
        mount.status.success().then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    #[expect(clippy::disallowed_methods, reason = "the test needs a disk that can be filled")]
    fn drop(&mut self) {
        let _ = Program::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_holds_output_until_there_is_room_and_nothing_is_lost() {
    let bench = Bench::new();
    let path = bench.folder.path().join("disk");
    fs::create_dir(&path).unwrap();
    let Some(disk) = SmallDisk::mount(&path, "size=256k") else {
        assert!(std::env::var_os("CI").is_none(), "no file system may be mounted here");
        println!("skipped: no file system may be mounted here");
        return;
    };
    fs::write(path.join("filler"), vec![0; 128 * 1024]).unwrap();
    // What an earlier run left behind writes as well: then both pipes are ready when the disk is found full.
    let left_behind = bench.run(0, LogSettings::new(path.join("ps.log")), Stderr::Join);
    let component = bench.run(0, LogSettings::new(path.join("ps.log")), Stderr::Join);
    let other = bench.run(1, bench.log("is.log"), Stderr::Join);
    let lines = |word: &str| -> String { (0..7_000).map(|number| format!("{word} {number:9}\n")).collect() };
    let (said, muttered) = (lines("line"), lines("mumb"));
    std::thread::scope(|scope| {
        scope.spawn(|| said.lines().for_each(|line| component.say(&format!("{line}\n"))));
        scope.spawn(|| muttered.lines().for_each(|line| left_behind.say(&format!("{line}\n"))));
        until("the full disk is told", || !bench.pump.conditions().is_empty());
        let told = bench.pump.conditions();
        let log = path.join("ps.log");
        assert!(told[0].starts_with(&format!("cannot write {}: No space left", log.display())), "{told:?}");
        other.say("prompt\n");
        until("the other is stored", || holds(&bench.folder.path().join("is.log"), "prompt\n"));
        fs::remove_file(path.join("filler")).unwrap();
        until("all is stored", || text(&log).len() == said.len() + muttered.len());
        let (of_one, of_other): (Vec<_>, Vec<_>) =
            text(&log).lines().map(str::to_owned).partition(|line| line.starts_with("line"));
        assert!(of_one.join("\n") == said.trim_end() && of_other.join("\n") == muttered.trim_end());
        until("all is well", || bench.pump.conditions().is_empty());
    });
    let _folder = bench.finish();
    drop(disk);
}

/// The numbers of the lines of a log, and of how many lines the markers in it say that they were lost.
fn numbers_and_lost(log: &str) -> (Vec<usize>, usize, usize) {
    let (mut numbers, mut lines, mut bytes) = (Vec::new(), 0, 0);
    for line in log.lines() {
        match line.strip_prefix("supervisor: ") {
            Some(marker) => {
                let lost: Vec<usize> = marker
                    .split(|character: char| !character.is_ascii_digit())
                    .filter_map(|word| word.parse().ok())
                    .collect();
                lines += lost[0];
                bytes += lost[1];
            }
            None => numbers.push(line.strip_prefix("line ").unwrap().trim().parse().unwrap()),
        }
    }
    (numbers, lines, bytes)
}

#[test]
fn who_does_not_wait_loses_exactly_what_is_told_and_the_newest_are_kept() {
    let bench = Bench::new();
    let path = bench.folder.path().join("disk");
    fs::create_dir(&path).unwrap();
    let Some(disk) = SmallDisk::mount(&path, "size=4m") else {
        assert!(std::env::var_os("CI").is_none(), "no file system may be mounted here");
        println!("skipped: no file system may be mounted here");
        return;
    };
    fs::write(path.join("filler"), vec![0; 3900 << 10]).unwrap();
    let log = LogSettings { when_full: WhenFull::Drop, ..LogSettings::new(path.join("ps.log")) };
    let component = bench.run(0, log, Stderr::Join);
    let line = |number: usize| format!("line {number:9}\n");
    let length = line(0).len();
    let count = 200_000;
    // Far more than disk and pipe hold together. It returns though nobody makes room.
    (0..count).for_each(|number| component.say(&line(number)));
    assert!(bench.pump.conditions()[0].ends_with("the oldest output is dropped"));
    fs::remove_file(path.join("filler")).unwrap();
    let log = path.join("ps.log");
    until("the newest is stored", || text(&log).ends_with(&line(count - 1)));
    until("all is well", || bench.pump.conditions().is_empty());
    let (numbers, lines, bytes) = numbers_and_lost(&text(&log));
    assert!(numbers.is_sorted_by(|one, next| one < next), "none is doubled or out of order");
    assert_eq!(numbers.len() + lines, count);
    assert_eq!(numbers.len() * length + bytes, count * length);
    let _folder = bench.finish();
    drop(disk);
}

#[test]
fn a_line_that_is_dropped_is_dropped_as_a_whole() {
    let bench = Bench::new();
    let missing = bench.folder.path().join("missing");
    let log = LogSettings { when_full: WhenFull::Drop, ..LogSettings::new(missing.join("logs/ps.log")) };
    let component = bench.run(0, log, Stderr::Join);
    until("the failure is told", || bench.pump.conditions().len() == 1);
    // More than any pipe holds, and its end comes when it can be stored again.
    component.say(&"x".repeat(3 << 20));
    fs::create_dir(&missing).unwrap();
    until("all is well", || bench.pump.conditions().is_empty());
    component.say("the end\nnext\n");
    let log = missing.join("logs/ps.log");
    until("the next is stored", || text(&log).ends_with("\nnext\n"));
    let told = text(&log);
    let lost: usize = told
        .lines()
        .filter_map(|line| line.split_once(" lines ("))
        .map(|(_, rest)| rest.split_once(' ').unwrap().0.parse::<usize>().unwrap())
        .sum();
    assert_eq!(lost, (3 << 20) + "the end\n".len(), "{told}");
    assert!(!told.contains("xxxx") && !told.contains("the end"));
    bench.finish();
}

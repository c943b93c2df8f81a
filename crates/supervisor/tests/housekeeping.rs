//! What becomes of old logs when the process has no descriptors left. Alone in its binary, because that limit is the whole
//! process's.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use supervisor::{LogFile, LogSettings};

#[test]
fn a_folder_that_could_not_be_listed_for_want_of_descriptors_is_looked_through_when_there_are_some() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("ps-2020-01-01.log");
    fs::write(&old, "old\n").unwrap();
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, folder.path(), inotify::WatchFlags::DELETE).unwrap();
    let is_gone_within = |time: Duration| {
        let mut polled = [PollFd::new(&watch, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::try_from(time).unwrap())).unwrap() > 0
    };
    let mut settings = LogSettings::new(folder.path().join("ps.log"));
    settings.dated = true;
    settings.days = Some(1);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) }).unwrap();
    let mut all: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // As many as it takes to open the log, which is one too few to list a folder.
    let log = std::iter::from_fn(|| {
        all.pop().unwrap();
        Some(LogFile::open(settings.clone()))
    });
    let log = log.flatten().next().unwrap();
    assert!(!is_gone_within(Duration::from_millis(1_500)), "the folder could be listed");
    drop(all);
    assert!(is_gone_within(Duration::from_secs(90)), "it was not tried again");
    assert!(!old.exists());
    drop(log);
}

//! Spawning, as far as the Unix systems share it.
//!
//! What a child needs is made ready here, before there is one: the image that it becomes, and the attributes that it takes
//! on. And here it is told in words what it could not do.
//!
//! On all roads the component begins in a process group of its own, with an empty signal mask and every signal as the system has
//! it. No descriptor but its three is open in it, except that before Linux 5.11 what whoever started the supervisor left
//! open for everybody stays open.

mod account;
mod attributes;
mod child;
mod connecting;
mod diagnosis;
mod executable;
mod files;
mod folder;
mod image;
mod mapping;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

pub(crate) use account::Account;
pub(super) use attributes::{Attributes, Bounds, explain};
pub(super) use child::{Failure, Step};
pub(crate) use connecting::Connecting;
pub(super) use diagnosis::{Clues, explain_process};
pub(crate) use diagnosis::{in_words, is_shortage, is_want, words};
pub(crate) use files::{
    append, is_same, monotonic, nowhere, our_output, read_exact_at, set_appending, size_on_disk,
};
pub(crate) use folder::{Folder, is_link};
pub(super) use image::Image;
pub(super) use mapping::Mapping;

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, Resource, getrlimit};

use super::Launch;
use crate::error::{SpawnError, SpawnStep};

/// What a poller can watch.
pub(crate) use std::os::fd::AsFd as Watchable;

/// What a process can write to: its end of a pipe, mostly.
pub(crate) type WriteEnd = OwnedFd;

/// What the child needs for this launch, made ready.
pub(super) fn prepare(launch: &Launch<'_>) -> Result<(Image, Attributes), SpawnError> {
    launch.ready.map_or(Ok(()), |(number, _)| check_number(number))?;
    diagnosis::check(launch)?;
    if Account::is_needed(launch.spec) && launch.account.is_none() {
        // Otherwise it would run as we do.
        let reason = "it is still being looked up".to_owned();
        return Err(SpawnError { step: SpawnStep::User, reason, os_error: None });
    }
    Ok((Image::of(launch, launch.account), Attributes::of(launch, launch.account)))
}

/// Starts a child by the standard library, with its input and output, that does `run` before anything else.
///
/// # Safety
/// In the child of a fork only async-signal-safe calls may be made, for another thread may have held any lock: `run` makes
/// system calls and nothing else, and returns only with an error, which holds no allocation.
pub(super) unsafe fn fork(
    launch: &Launch<'_>,
    run: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> Result<Pid, SpawnError> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts processes")]
    let mut command = Command::new(launch.program());
    command.stdin(no_input()?).stdout(output(launch.stdout)?).stderr(output(launch.stderr)?);
    // SAFETY: the caller says so.
    unsafe { command.pre_exec(run) };
    match command.spawn() {
        Ok(child) => Ok(Pid::from_child(&child)),
        Err(error) => Err(explain_process(Errno::from_io_error(&error).unwrap_or(Errno::INVAL))),
    }
}

/// What a component may find its descriptor of readiness as.
fn check_number(number: RawFd) -> Result<(), SpawnError> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let why = match u64::try_from(number) {
        Ok(3..) if (number as u64) < limit => return Ok(()),
        Ok(3..) => format!("is beyond the limit nofile, which is {limit}"),
        _ => "is not above 2, the standard error".to_owned(),
    };
    let reason = format!("{number}: {why}");
    Err(SpawnError { step: SpawnStep::Readiness, reason, os_error: None })
}

/// A copy of this descriptor that has this number, if that is free, or else a higher one.
///
/// If it were free in the child, the standard library could use it for the pipe by which it learns of failures. And
/// what has it already cannot be that.
pub(super) fn reserve((number, writer): (RawFd, &WriteEnd)) -> Result<(RawFd, OwnedFd), SpawnError> {
    let copy = fcntl_dupfd_cloexec(writer, number);
    copy.map(|copy| (number, copy)).map_err(|errno| output_error("", &errno.into()))
}

/// Opened here rather than by the standard library, whose error would not say that it was this file.
fn no_input() -> Result<Stdio, SpawnError> {
    let opened = File::open("/dev/null");
    opened.map(Stdio::from).map_err(|error| output_error("/dev/null: ", &error))
}

fn output(descriptor: &WriteEnd) -> Result<Stdio, SpawnError> {
    let copy = descriptor.try_clone();
    copy.map(Stdio::from).map_err(|error| output_error("", &error))
}

fn output_error(what: &str, error: &io::Error) -> SpawnError {
    let reason = format!("{what}{}", words(error));
    SpawnError { step: SpawnStep::Output, reason, os_error: error.raw_os_error() }
}

/// The value of a variable in the component's own environment: the last of its name, as with the standard library.
fn variable<'a>(launch: &Launch<'a>, name: &str) -> Option<&'a OsStr> {
    let mut backwards = launch.environment.iter().rev();
    backwards.find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_os_str())
}

/// Throws away what has been written to a descriptor that is readable, or a good part of it. Says whether more may
/// come.
pub(crate) fn drain(source: &impl AsFd) -> bool {
    match rustix::io::read(source, &mut [0; 512]) {
        Ok(length) => length > 0,
        Err(errno) => matches!(errno, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
    }
}

/// A pipe: the end to read, which never blocks, and the one to write. Neither is inherited by accident.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader.into(), writer.into()))
}

/// Reads what is there from a descriptor that does not wait: `None` if that is nothing now, nothing at all once its end
/// is reached.
pub(crate) fn read_some<'a>(source: &impl AsFd, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    match rustix::io::retry_on_intr(|| rustix::io::read(source, &mut *buffer)) {
        Ok(length) => Some(&buffer[..length]),
        Err(rustix::io::Errno::AGAIN) => None,
        // Nothing more will come of it.
        Err(_) => Some(&[]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::fs;

    use crate::os::fixture::{Component, ROADS, file};

    fn sleeper() -> Component {
        Component::shell("echo ready; exec sleep 1000")
    }

    #[test]
    fn the_environment_is_the_given_one_with_what_is_added_and_the_token() {
        for road in ROADS {
            let mut component = Component::new("/usr/bin/env", &[]);
            component.road = road;
            component.environment = Vec::new();
            component.set("A", "1");
            component.set("B", "x=y");
            component.set("A", "2");
            component.set("C", "inherited");
            component.added = vec![("C".into(), "added".into())];
            let expected = BTreeSet::from([
                "A=2".into(),
                "B=x=y".into(),
                "C=added".into(),
                format!("S7_RUN={}", component.token),
            ]);
            let told: BTreeSet<String> = component.output().lines().map(str::to_owned).collect();
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn no_descriptor_of_ours_gets_into_a_component() {
        let clean: BTreeSet<OsString> = ["0", "1", "2"].map(OsString::from).into();
        let with_ready = clean.iter().cloned().chain(["9".into()]).collect();
        for (road, ready) in ROADS.into_iter().flat_map(|road| [(road, None), (road, Some(9))]) {
            // A shell that stops: a program that is just beginning has its libraries open.
            let mut component = Component::shell("echo; kill -STOP $$");
            component.road = road;
            component.ready = ready;
            let expected = match ready {
                Some(_) => &with_ready,
                None => &clean,
            };
            let mut started = component.start();
            started.line();
            let folder = format!("/proc/{}/fd", started.pid());
            let open: BTreeSet<_> =
                fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(open, *expected);
            assert_eq!(fs::read_link(format!("{folder}/0")).unwrap().to_str(), Some("/dev/null"));
        }
    }

    #[test]
    fn a_component_finds_its_descriptor_of_readiness_under_its_number() {
        // Low numbers are those that a launch pad has reserved, or that the standard library would take.
        for number in (3..24).chain([1000]) {
            for road in ROADS {
                // A shell that stops: a program that is just beginning has its libraries open.
                let mut component = Component::shell("echo; kill -STOP $$");
                component.road = road;
                component.ready = Some(number);
                let mut started = component.start();
                started.line();
                let link = |number| fs::read_link(format!("/proc/{}/fd/{number}", started.pid())).unwrap();
                assert_eq!(link(number), link(1), "{number}");
            }
        }
        for (number, rule) in [(-1, "above 2"), (2, "above 2"), (i32::MAX, "nofile")] {
            let mut component = sleeper();
            component.ready = Some(number);
            let refused = component.try_start().err().unwrap();
            assert!(
                refused.step == crate::SpawnStep::Readiness && refused.reason.contains(rule),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_failure_is_told_though_the_number_of_readiness_is_one_that_we_use() {
        for number in 3..40 {
            for road in ROADS {
                let mut component = Component::new("/does/not/exist", &[]);
                component.road = road;
                component.ready = Some(number);
                let refused = component.try_start().err().unwrap();
                assert_eq!(refused.step, crate::SpawnStep::Executable, "{number}: {refused}");
            }
        }
    }

    #[test]
    fn a_component_begins_with_no_signal_blocked_and_with_a_pipe_signal_that_kills() {
        for road in ROADS {
            let mut started = std::thread::scope(|scope| {
                let start = || {
                    // SAFETY: a set of signals that is filled before it is used, blocked for this thread only.
                    unsafe {
                        let mut set = std::mem::zeroed();
                        libc::sigfillset(&raw mut set);
                        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
                    }
                    let mut component = sleeper();
                    component.road = road;
                    component.start()
                };
                scope.spawn(start).join().unwrap()
            });
            started.line();
            let status = fs::read_to_string(format!("/proc/{}/status", started.pid())).unwrap();
            let mask = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                u64::from_str_radix(line.trim(), 16).unwrap()
            };
            assert_eq!(mask("SigBlk:"), 0);
            assert_eq!(mask("SigIgn:") & (1 << (libc::SIGPIPE - 1)), 0);
        }
    }

    #[test]
    fn it_leads_a_group_of_its_own() {
        for road in ROADS {
            let mut component = Component::shell("read -r a b c d group rest < /proc/self/stat; echo $group");
            component.road = road;
            let mut started = component.start();
            assert_eq!(started.line(), started.pid().to_string());
        }
    }

    #[test]
    fn a_bare_name_is_looked_up_in_the_components_own_path() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (place, mode) in [("not-executable", 0o644), ("bin", 0o755)] {
            fs::create_dir(folder.join(place)).unwrap();
            file(&folder.join(place), "the-program", mode, b"#!/bin/sh\necho \"$0\"\n");
        }
        fs::create_dir_all(folder.join("folder/the-program")).unwrap();
        for road in ROADS {
            let mut component = Component::new("the-program", &[]);
            component.road = road;
            component.spec.working_directory = Some(folder.to_owned());
            let first = folder.join("folder").display().to_string();
            // The last entry is relative to the component's working directory.
            component.set("PATH", &format!("{first}::not-executable:bin"));
            assert_eq!(component.output().trim_end(), "bin/the-program");
        }
    }

    #[test]
    fn a_relative_path_begins_at_the_working_directory() {
        for road in ROADS {
            let mut component = Component::new("bin/../bin/sh", &["-c", "pwd; echo $0"]);
            component.road = road;
            component.spec.working_directory = Some("/usr".into());
            assert_eq!(component.output(), "/usr\nbin/../bin/sh\n");
        }
    }
}

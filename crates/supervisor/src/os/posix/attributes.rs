//! What a component has besides its program: folder, limits, niceness, umask and ids; and what it means when the child
//! could not take one of them on.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::getrlimit;

use super::account::{Account, Change};
use super::{Clues, Failure, Step, diagnosis, words};
use crate::error::{SpawnError, SpawnStep};
use crate::os::Launch;
use crate::signal::Signal;
use crate::spec::{ProcessSpec, Resource};

/// A limit; `None` is none.
#[derive(Clone, Copy, Debug)]
pub(in crate::os) struct Bounds {
    pub(in crate::os) soft: Option<u64>,
    pub(in crate::os) hard: Option<u64>,
}

/// Everything that the child takes on, made ready beforehand.
#[derive(Debug)]
pub(in crate::os) struct Attributes {
    pub(in crate::os) folder: Option<CString>,
    pub(in crate::os) open_files: Option<Bounds>,
    /// Each with the number of its resource.
    pub(in crate::os) limits: Vec<(usize, Bounds)>,
    pub(in crate::os) nice: Option<i32>,
    pub(in crate::os) umask: Option<u32>,
    pub(in crate::os) change: Option<Change>,
    /// The signal that it gets when its parent, the process of this pid, dies.
    pub(in crate::os) last_signal: Option<(i32, u32)>,
}

impl Attributes {
    /// What the launch asks for, as this account.
    pub(super) fn of(launch: &Launch<'_>, account: Option<&Account>) -> Self {
        let spec = launch.spec;
        let limit = |limit: &crate::spec::ResourceLimit| {
            (number(limit.resource), Bounds { soft: limit.soft, hard: limit.hard })
        };
        let sets_open_files = spec.limits.iter().any(|limit| limit.resource == Resource::OpenFiles);
        Self {
            // Whoever asks has seen to it that it contains no NUL byte.
            folder: spec
                .working_directory
                .as_deref()
                .map(Path::as_os_str)
                .map(|folder| CString::new(folder.as_bytes()).unwrap_or_default()),
            open_files: launch.terms.open_files.filter(|_| !sets_open_files).map(own_open_files),
            limits: spec.limits.iter().map(limit).collect(),
            nice: spec.nice,
            umask: spec.umask,
            change: account.and_then(Account::change),
            last_signal: launch.terms.ends_with_us.then(|| (stop_signal(spec).number(), std::process::id())),
        }
    }
}

/// The signal by which the component begins to stop.
fn stop_signal(spec: &ProcessSpec) -> Signal {
    match spec.stop.first() {
        Some(crate::spec::Step::Signal { signal, .. }) => *signal,
        Some(crate::spec::Step::Run { .. }) | None => Signal::TERM,
    }
}

/// Our own limit of open descriptors, but for the soft one.
fn own_open_files(soft: u64) -> Bounds {
    let hard = getrlimit(rustix::process::Resource::Nofile).maximum;
    Bounds { soft: Some(hard.map_or(soft, |hard| soft.min(hard))), hard }
}

/// Says what the child could not do, and why. It looks at the files that are named, which may take long.
pub(in crate::os) fn explain(clues: &Clues, Failure { step, errno }: Failure) -> SpawnError {
    let spec = &clues.spec;
    let told = |step, what: &str| {
        let advice = if errno == Errno::PERM { " (it takes root)" } else { "" };
        let reason = format!("{what}: {}{advice}", words(&errno.into()));
        SpawnError { step, reason, os_error: Some(errno.raw_os_error()) }
    };
    let user = spec.user.as_deref().unwrap_or_default();
    match step {
        Step::Table => told(SpawnStep::Process, "its own table of descriptors"),
        Step::Descriptor(0) => told(SpawnStep::Output, "standard input"),
        Step::Descriptor(1) => told(SpawnStep::Output, "standard output"),
        Step::Descriptor(2) => told(SpawnStep::Output, "standard error"),
        Step::Descriptor(number) => told(SpawnStep::Readiness, &number.to_string()),
        Step::ControlGroup => told(SpawnStep::ControlGroup, "of its own"),
        Step::ProcessGroup => told(SpawnStep::Process, "a group of its own"),
        Step::Folder => diagnosis::explain_folder(clues, errno),
        Step::OpenFiles => told(SpawnStep::Limit, "nofile to what it was before it was raised"),
        Step::Limit(place) => told(SpawnStep::Limit, &spec.limits.get(place).map_or_else(String::new, limit)),
        Step::Niceness => told(SpawnStep::Niceness, &format!("to {}", spec.nice.unwrap_or_default())),
        Step::Groups if spec.user.is_some() => told(SpawnStep::Groups, &format!("of user {user}")),
        Step::Groups => told(SpawnStep::Groups, &group(spec)),
        Step::Group => told(SpawnStep::ChangeGroup, &group(spec)),
        Step::User => told(SpawnStep::ChangeUser, user),
        Step::LastSignal => told(SpawnStep::Process, "that ends with the supervisor"),
        Step::Program => diagnosis::explain(clues, errno),
    }
}

fn group(spec: &ProcessSpec) -> String {
    match (&spec.group, &spec.user) {
        (Some(group), _) => group.clone(),
        (None, user) => format!("that of user {}", user.as_deref().unwrap_or_default()),
    }
}

fn limit(limit: &crate::spec::ResourceLimit) -> String {
    let bound = |bound: Option<u64>| bound.map_or_else(|| "unlimited".to_owned(), |bound| bound.to_string());
    format!("{} to soft {} hard {}", limit.resource.name(), bound(limit.soft), bound(limit.hard))
}

fn number(resource: Resource) -> usize {
    // The C libraries differ in the types of these numbers.
    let number = match resource {
        Resource::AddressSpace => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::FileSize => libc::RLIMIT_FSIZE,
        Resource::LockedMemory => libc::RLIMIT_MEMLOCK,
        Resource::OpenFiles => libc::RLIMIT_NOFILE,
        Resource::Processes => libc::RLIMIT_NPROC,
        Resource::Stack => libc::RLIMIT_STACK,
    };
    number as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::{Component, ROADS};
    use crate::spec::ResourceLimit;

    fn open_files(soft: u64, hard: u64) -> ResourceLimit {
        ResourceLimit { resource: Resource::OpenFiles, soft: Some(soft), hard: Some(hard) }
    }

    #[test]
    fn limits_umask_and_niceness_hold_in_the_component() {
        for road in ROADS {
            let mut component = Component::shell("ulimit -Sn; ulimit -Hn; ulimit -Sc; umask; nice");
            component.road = road;
            let no_core = ResourceLimit { resource: Resource::Core, soft: Some(0), hard: Some(0) };
            component.spec.limits = vec![open_files(100, 200), no_core];
            component.spec.umask = Some(0o027);
            component.spec.nice = Some(7);
            assert_eq!(component.output(), "100\n200\n0\n0027\n7\n");
        }
    }

    #[test]
    fn the_limit_of_descriptors_that_is_given_holds_unless_the_component_has_its_own() {
        let hard = getrlimit(rustix::process::Resource::Nofile).maximum;
        let hard = hard.map_or_else(|| "unlimited".to_owned(), |hard| hard.to_string());
        for road in ROADS {
            let limits = |own: Vec<ResourceLimit>| {
                let mut component = Component::shell("ulimit -Sn; ulimit -Hn");
                component.road = road;
                component.terms.open_files = Some(123);
                component.spec.limits = own;
                component.output()
            };
            assert_eq!(limits(Vec::new()), format!("123\n{hard}\n"));
            assert_eq!(limits(vec![open_files(100, 200)]), "100\n200\n");
        }
    }

    #[test]
    fn a_limit_that_cannot_be_is_named() {
        for road in ROADS {
            let mut component = Component::new("/bin/true", &[]);
            component.road = road;
            let no_core = ResourceLimit { resource: Resource::Core, soft: Some(0), hard: None };
            component.spec.limits = vec![no_core, open_files(200, 100)];
            let error = component.try_start().err().unwrap();
            let expected = "cannot set the limit nofile to soft 200 hard 100: Invalid argument";
            assert_eq!(error.to_string(), expected);
            assert_eq!((error.step, error.os_error), (SpawnStep::Limit, Some(libc::EINVAL)));
        }
    }

    #[test]
    fn who_may_not_change_is_told_what_and_that_it_takes_root() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: it takes root to give up its rights");
            return;
        }
        let failure = |road, change: fn(&mut Component)| {
            let unprivileged = move || {
                let nobody = rustix::process::Uid::from_raw(65_534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
                let mut component = Component::new("/bin/true", &[]);
                component.road = road;
                change(&mut component);
                component.try_start().err().map(|error| error.to_string())
            };
            // Only this thread gives up its rights.
            std::thread::scope(|scope| scope.spawn(unprivileged).join().unwrap()).unwrap()
        };
        for road in ROADS {
            let user = failure(road, |component| component.spec.user = Some("daemon".to_owned()));
            let refused = "Operation not permitted (it takes root)";
            assert_eq!(user, format!("cannot change to the groups of user daemon: {refused}"));
            let nice = failure(road, |component| component.spec.nice = Some(-5));
            assert_eq!(nice, "cannot set the niceness to -5: Permission denied");
        }
    }
}

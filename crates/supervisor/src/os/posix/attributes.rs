//! What happens in the child between the fork and the exec, where a component has attributes.

use std::ffi::{CString, NulError, OsStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::{io, ptr};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{self, Resource as Number, Rlimit};

use super::account::Change;
use super::words;
use crate::error::{SpawnError, SpawnStep};
use crate::os::linux::{close_others_on_exec, pass_on, reset_signals, set_group, set_groups, set_user};
use crate::spec::{ProcessSpec, Resource};

/// Everything that the child does to itself, made ready beforehand.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    limits: Vec<(Number, Rlimit)>,
    nice: Option<i32>,
    umask: Option<Mode>,
    change: Option<Change>,
    /// Whether the calling thread has signals blocked, which the child would inherit.
    unblock: bool,
}

/// The program, its arguments and its environment in the form that the system takes.
///
/// The standard library would execute it too, but through `execvp`, which hands a file without a first line to a
/// shell. `posix_spawn` does not; and a component must not behave differently because it was given a niceness.
pub(in crate::os) struct Image {
    program: CString,
    arguments: Strings,
    environment: Strings,
}

/// Texts, and the list of pointers to them that ends with null.
struct Strings {
    pointers: Vec<*const c_char>,
    _texts: Vec<CString>,
}

// SAFETY: the pointers lead to the texts beside them, which are never changed and live on the heap for as long.
unsafe impl Send for Strings {}
// SAFETY: as above; they are only read.
unsafe impl Sync for Strings {}

/// The steps in the child. The child can hand back one number: the step in its upper bits, `errno` in the lower
/// twelve, which no `errno` exceeds.
const NICE: i32 = 1;
const GROUPS: i32 = 2;
const GROUP: i32 = 3;
const USER: i32 = 4;
const EXECUTE: i32 = 5;
const READY: i32 = 6;
const FIRST_LIMIT: i32 = 16;
const ERRNO_BITS: u32 = 12;

/// No system here has a signal above it.
const HIGHEST_SIGNAL: c_int = 64;

fn failed(step: i32) -> impl Fn(Errno) -> io::Error {
    move |errno| io::Error::from_raw_os_error(step << ERRNO_BITS | errno.raw_os_error())
}

impl Attributes {
    /// What the specification asks for; `None` if there is nothing to do.
    pub(super) fn of(spec: &ProcessSpec, change: Option<Change>) -> Option<Self> {
        let limit = |limit: &crate::spec::ResourceLimit| {
            (number(limit.resource), Rlimit { current: limit.soft, maximum: limit.hard })
        };
        let attributes = Self {
            limits: spec.limits.iter().map(limit).collect(),
            nice: spec.nice,
            umask: spec.umask.map(Mode::from_bits_truncate),
            change,
            unblock: are_signals_blocked(),
        };
        let asked_for = !attributes.limits.is_empty()
            || attributes.nice.is_some()
            || attributes.umask.is_some()
            || attributes.change.is_some()
            || attributes.unblock;
        asked_for.then_some(attributes)
    }

    /// Applies them to the calling process: first what may need rights, then the ids, which give the rights away.
    pub(super) fn apply(&self) -> io::Result<()> {
        close_others_on_exec();
        reset_signals();
        for (step, (resource, limit)) in (FIRST_LIMIT..).zip(&self.limits) {
            process::setrlimit(*resource, *limit).map_err(failed(step))?;
        }
        if let Some(nice) = self.nice {
            process::setpriority_process(None, nice).map_err(failed(NICE))?;
        }
        if let Some(umask) = self.umask {
            process::umask(umask);
        }
        if let Some(change) = &self.change {
            set_groups(&change.groups).map_err(failed(GROUPS))?;
            set_group(change.group).map_err(failed(GROUP))?;
            if let Some(user) = change.user {
                set_user(user).map_err(failed(USER))?;
            }
        }
        if self.unblock {
            unblock_signals();
        }
        Ok(())
    }

    /// Has the program find this descriptor under this number.
    ///
    /// # Safety
    /// Whatever this process has open under this number is closed by it.
    pub(super) unsafe fn pass_on(descriptor: RawFd, number: RawFd) -> io::Result<()> {
        // SAFETY: the caller knows what is closed.
        unsafe { pass_on(descriptor, number) }.map_err(failed(READY))
    }

    /// What an error of the spawn means if it came from a step in the child: the failure, or (as an error) that of
    /// the exec itself. `None` if it came from elsewhere.
    pub(super) fn explain(
        &self,
        spec: &ProcessSpec,
        error: &io::Error,
    ) -> Option<Result<SpawnError, io::Error>> {
        let told = error.raw_os_error()?;
        let (step, errno) = (told >> ERRNO_BITS, told & ((1 << ERRNO_BITS) - 1));
        let what = match step {
            NICE => format!("niceness {}", self.nice.unwrap_or_default()),
            GROUPS => format!("supplementary groups{}", of_user(spec)),
            GROUP => format!("group {}", name(spec.group.as_deref().or(spec.user.as_deref()))),
            USER => format!("user {}", name(spec.user.as_deref())),
            EXECUTE => return Some(Err(io::Error::from_raw_os_error(errno))),
            READY => "the descriptor of its readiness".to_owned(),
            limit => {
                let limit = spec.limits.get(usize::try_from(limit - FIRST_LIMIT).ok()?)?;
                format!(
                    "limit {} soft {} hard {}",
                    limit.resource.name(),
                    bound(limit.soft),
                    bound(limit.hard)
                )
            }
        };
        let advice = if errno == Errno::PERM.raw_os_error() { " (it takes root)" } else { "" };
        let reason = format!("{what}: {}{advice}", words(&io::Error::from_raw_os_error(errno)));
        Some(Ok(SpawnError { step: SpawnStep::Attributes, reason, os_error: Some(errno) }))
    }
}

impl Image {
    /// What `command` would execute, under the name `name`.
    pub(super) fn of(command: &Command, name: &OsStr) -> Result<Self, NulError> {
        let text = |text: &OsStr| CString::new(text.as_bytes());
        let arguments = std::iter::once(name).chain(command.get_args());
        let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let assignment = |(name, value): (&OsStr, &OsStr)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())
        };
        Ok(Self {
            program: text(command.get_program())?,
            arguments: Strings::new(arguments.map(text).collect::<Result<_, _>>()?),
            environment: Strings::new(environment.map(assignment).collect::<Result<_, _>>()?),
        })
    }

    /// Becomes the program; returns only if that fails, in the form of the steps here.
    pub(super) fn execute(&self) -> io::Result<()> {
        Err(failed(EXECUTE)(self.become_it()))
    }

    /// Becomes the program; returns only if that fails, and why.
    pub(in crate::os) fn become_it(&self) -> Errno {
        let (arguments, environment) = (self.arguments.pointers.as_ptr(), self.environment.pointers.as_ptr());
        // SAFETY: a text that ends with null, and two lists of such texts that end with null, all alive during the
        // call. Execve is async-signal-safe, and so is reading errno.
        unsafe {
            libc::execve(self.program.as_ptr(), arguments, environment);
            Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
        }
    }
}

impl Strings {
    fn new(texts: Vec<CString>) -> Self {
        let pointers = texts.iter().map(|text| text.as_ptr()).chain(std::iter::once(ptr::null())).collect();
        Self { pointers, _texts: texts }
    }
}

fn are_signals_blocked() -> bool {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: without a new mask the call only writes the present one, and it cannot fail.
    let mask = unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr());
        mask.assume_init()
    };
    // SAFETY: a mask that has been filled in; a number that is no signal gives an error, which is not 1.
    (1..=HIGHEST_SIGNAL).any(|signal| unsafe { libc::sigismember(&raw const mask, signal) == 1 })
}

/// Async-signal-safe.
fn unblock_signals() {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the mask is filled in before it is used, and the calling thread may set its own mask.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

fn number(resource: Resource) -> Number {
    match resource {
        Resource::AddressSpace => Number::As,
        Resource::Core => Number::Core,
        Resource::Cpu => Number::Cpu,
        Resource::Data => Number::Data,
        Resource::FileSize => Number::Fsize,
        Resource::LockedMemory => Number::Memlock,
        Resource::OpenFiles => Number::Nofile,
        Resource::Processes => Number::Nproc,
        Resource::Stack => Number::Stack,
    }
}

fn name(name: Option<&str>) -> String {
    format!("{:?}", name.unwrap_or_default())
}

fn of_user(spec: &ProcessSpec) -> String {
    spec.user.as_ref().map(|user| format!(" of user {user:?}")).unwrap_or_default()
}

fn bound(bound: Option<u64>) -> String {
    bound.map_or_else(|| "unlimited".to_owned(), |bound| bound.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;
    use crate::spec::ResourceLimit;

    #[test]
    fn limits_umask_and_niceness_hold_in_the_component() {
        let mut component = Component::shell("ulimit -Sn; ulimit -Hn; ulimit -Sc; umask; nice");
        component.spec.limits = vec![
            ResourceLimit { resource: Resource::OpenFiles, soft: Some(100), hard: Some(200) },
            ResourceLimit { resource: Resource::Core, soft: Some(0), hard: Some(0) },
        ];
        component.spec.umask = Some(0o027);
        component.spec.nice = Some(7);
        assert_eq!(component.output(), "100\n200\n0\n0027\n7\n");
    }

    #[test]
    fn a_limit_that_cannot_be_is_named() {
        let mut component = Component::new("/bin/true", &[]);
        component.spec.limits = vec![
            ResourceLimit { resource: Resource::Core, soft: Some(0), hard: None },
            ResourceLimit { resource: Resource::OpenFiles, soft: Some(200), hard: Some(100) },
        ];
        let error = component.try_start().err().unwrap();
        let expected = "limit nofile soft 200 hard 100: Invalid argument";
        assert_eq!((error.step, error.reason.as_str()), (SpawnStep::Attributes, expected));
        assert_eq!(error.os_error, Some(libc::EINVAL));
    }

    #[test]
    fn who_may_not_change_is_told_what_and_that_it_takes_root() {
        if !process::geteuid().is_root() {
            eprintln!("skipped: it takes root to give up its rights");
            return;
        }
        let failure = |change: fn(&mut ProcessSpec)| {
            let unprivileged = move || {
                let nobody = process::Uid::from_raw(65_534);
                set_user(nobody).unwrap();
                let mut component = Component::new("/bin/true", &[]);
                change(&mut component.spec);
                component.try_start().err().map(|error| error.to_string())
            };
            // Only this thread gives up its rights.
            std::thread::scope(|scope| scope.spawn(unprivileged).join().unwrap())
        };
        let user = failure(|spec| spec.user = Some("daemon".to_owned())).unwrap();
        let expected =
            "cannot apply the attributes: supplementary groups of user \"daemon\": Operation not permitted";
        assert_eq!(user, format!("{expected} (it takes root)"));
        let nice = failure(|spec| spec.nice = Some(-5)).unwrap();
        assert!(nice.starts_with("cannot apply the attributes: niceness -5: Permission denied"), "{nice}");
    }
}

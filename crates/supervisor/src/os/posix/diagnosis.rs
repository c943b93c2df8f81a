//! Why a spawn failed.
//!
//! The system gives one number for it, and "no such file" may mean the working directory, the program, its
//! interpreter or its loader. So the paths are looked at, but only after the failure.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;

use super::executable::{self, seen_from_here};
use crate::error::{SpawnError, SpawnStep};
use crate::os::Launch;
use crate::spec::ProcessSpec;

/// What is known of a launch that has failed, to find out why: its own copy, because that may take long where the files are
/// on a slow file system, and need not be done by whoever has launched.
#[derive(Clone, Debug)]
pub(in crate::os) struct Clues {
    pub(super) spec: ProcessSpec,
    /// A path, or a bare name.
    pub(super) program: OsString,
    /// Where a bare name is looked for.
    pub(super) path: OsString,
}

impl Clues {
    pub(in crate::os) fn of(launch: &Launch<'_>) -> Self {
        let [program, path] = [launch.program(), executable::path(launch)].map(OsStr::to_owned);
        Self { spec: launch.spec.clone(), program, path }
    }
}

/// Says why the program could not be run.
pub(super) fn explain(clues: &Clues, errno: Errno) -> SpawnError {
    if shortage(errno).is_some() {
        return explain_process(errno);
    }
    let told = |program: &Path| {
        executable_problem(&seen_from_here(clues, program), clues.spec.user.as_deref(), errno)
    };
    let reason = match executable::find(clues) {
        Ok(program) => told(&program),
        Err(none) => return none,
    };
    SpawnError { step: SpawnStep::Executable, reason, os_error: Some(errno.raw_os_error()) }
}

/// Says why there could be no process.
pub(in crate::os) fn explain_process(errno: Errno) -> SpawnError {
    let advice = shortage(errno).map_or_else(String::new, |advice| format!(" ({advice})"));
    let reason = format!("{}{advice}", words(&errno.into()));
    SpawnError { step: SpawnStep::Process, reason, os_error: Some(errno.raw_os_error()) }
}

/// Says why the working directory could not be changed to.
pub(super) fn explain_folder(clues: &Clues, errno: Errno) -> SpawnError {
    let folder = clues.spec.working_directory.as_deref().unwrap_or(Path::new(""));
    let reason =
        folder_problem(folder).unwrap_or_else(|| format!("{}: {}", folder.display(), words(&errno.into())));
    SpawnError { step: SpawnStep::WorkingDirectory, reason, os_error: Some(errno.raw_os_error()) }
}

/// Says what of the launch the system cannot take at all, if anything.
pub(super) fn check(launch: &Launch<'_>) -> Result<(), SpawnError> {
    let refused = |step, reason| Err(SpawnError { step, reason, os_error: None });
    if launch.program().is_empty() {
        return refused(SpawnStep::Executable, "the name of the executable is empty".to_owned());
    }
    match with_nul(launch) {
        Some(what) => refused(SpawnStep::Process, format!("{what} contains a NUL byte")),
        None => Ok(()),
    }
}

/// The system's words for an error, without its number.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// An error as the end of a sentence, with what to do where something is short: "connection refused".
pub(crate) fn in_words(error: &io::Error) -> String {
    let words = words(error);
    let mut letters = words.chars();
    let words: String =
        letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect());
    match Errno::from_io_error(error).and_then(shortage) {
        Some(advice) => format!("{words} ({advice})"),
        None => words,
    }
}

/// Whether this error, as `errno` gives it, means that the system or the process has run short of something.
pub(crate) fn is_shortage(errno: i32) -> bool {
    shortage(Errno::from_raw_os_error(errno)).is_some()
}

/// Whether this error means that.
pub(crate) fn is_want(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(is_shortage)
}

/// What to do where the system has run short of something.
fn shortage(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::AGAIN => {
            Some("a limit on processes is reached: nproc of its user, or pids.max of the control group")
        }
        Errno::NOMEM | Errno::NOBUFS => Some("the system has no memory left for it"),
        Errno::MFILE => Some("raise the limit nofile of the supervisor"),
        Errno::NFILE => Some("raise fs.file-max of the system"),
        _ => None,
    }
}

fn folder_problem(folder: &Path) -> Option<String> {
    let shown = folder.display();
    match fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!("{shown}: no such folder")),
        Err(error) => Some(format!("{shown}: {}", words(&error))),
        Ok(found) if !found.is_dir() => Some(format!("{shown}: is not a folder")),
        Ok(_) => {
            let error = rustix::fs::access(folder, Access::EXEC_OK).err()?;
            Some(format!("{shown}: {}", words(&error.into())))
        }
    }
}

fn executable_problem(program: &Path, user: Option<&str>, errno: Errno) -> String {
    let shown = program.display();
    let system = words(&errno.into());
    let found = match fs::metadata(program) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return format!("{shown}: no such file"),
        Err(error) => return format!("{shown}: {}", words(&error)),
    };
    if found.is_dir() {
        return format!("{shown}: is a folder");
    }
    if !found.is_file() {
        return format!("{shown}: is not a regular file");
    }
    let executable_by_somebody = found.permissions().mode() & 0o111 != 0;
    if errno == Errno::ACCESS && !executable_by_somebody {
        return format!("{shown}: is not executable (chmod +x makes it so)");
    }
    match read_head(program) {
        Head::Script(interpreter) if matches!(errno, Errno::NOENT | Errno::ACCESS | Errno::NOTDIR) => {
            if let Some(problem) = interpreter_problem(&interpreter) {
                return format!("{shown}: its interpreter {problem}");
            }
        }
        Head::Elf if errno == Errno::NOENT => {
            return format!(
                "{shown}: the loader that it asks for does not exist (is it made for another system?)"
            );
        }
        Head::Elf if errno == Errno::NOEXEC => {
            return format!("{shown}: is made for another kind of machine, or damaged");
        }
        Head::Other if errno == Errno::NOEXEC => {
            return format!("{shown}: is neither a program nor a script that begins with #!");
        }
        _ => {}
    }
    if errno != Errno::ACCESS {
        return format!("{shown}: {system}");
    }
    if is_mounted_noexec(program) {
        return format!("{shown}: {system} (its file system is mounted noexec)");
    }
    match user {
        Some(user) => format!(
            "{shown}: {system} (user {user:?} must be allowed to execute it and to pass the folders above it)"
        ),
        None => format!("{shown}: {system}"),
    }
}

#[cfg(target_os = "linux")]
fn is_mounted_noexec(program: &Path) -> bool {
    let no_exec = rustix::fs::StatVfsMountFlags::NOEXEC;
    rustix::fs::statvfs(program).is_ok_and(|mount| mount.f_flag.contains(no_exec))
}

/// POSIX has no such question.
#[cfg(not(target_os = "linux"))]
fn is_mounted_noexec(_program: &Path) -> bool {
    false
}

fn interpreter_problem(interpreter: &Path) -> Option<String> {
    let shown = interpreter.display();
    match fs::metadata(interpreter) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let windows = interpreter.as_os_str().as_bytes().ends_with(b"\r");
            let advice = if windows { " (its first line ends like those of Windows, with a CR)" } else { "" };
            Some(format!("{}: no such file{advice}", shown.to_string().trim_end_matches('\r')))
        }
        Err(error) => Some(format!("{shown}: {}", words(&error))),
        Ok(found) if found.is_dir() => Some(format!("{shown}: is a folder")),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Some(format!("{shown}: is not executable")),
        Ok(_) => None,
    }
}

/// What a file is, by its first bytes.
enum Head {
    Script(PathBuf),
    Elf,
    Other,
    Unreadable,
}

fn read_head(program: &Path) -> Head {
    // As much as the kernel itself looks at.
    let mut head = Vec::new();
    if File::open(program).and_then(|file| file.take(256).read_to_end(&mut head)).is_err() {
        return Head::Unreadable;
    }
    if head.starts_with(b"\x7fELF") {
        return Head::Elf;
    }
    let Some(line) = head.strip_prefix(b"#!") else { return Head::Other };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    match line.split(blank).find(|word| !word.is_empty()) {
        Some(interpreter) => Head::Script(PathBuf::from(std::ffi::OsStr::from_bytes(interpreter))),
        None => Head::Other,
    }
}

/// What of the launch contains a NUL byte, which the system cannot take.
fn with_nul(launch: &Launch<'_>) -> Option<String> {
    let has_nul = |text: &OsStr| text.as_bytes().contains(&0);
    if has_nul(launch.program()) {
        return Some("the path of the executable".to_owned());
    }
    if let Some(place) = launch.arguments().iter().position(|argument| has_nul(argument)) {
        return Some(format!("argument {}", place + 1));
    }
    if launch.spec.working_directory.as_ref().is_some_and(|folder| has_nul(folder.as_os_str())) {
        return Some("the path of the working directory".to_owned());
    }
    let mut variables = launch.environment.iter().chain(launch.added);
    let variable = variables.find(|(name, value)| has_nul(name) || has_nul(value));
    variable.map(|(name, _)| format!("the environment variable {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::{Component, ROADS, file};

    /// The failure of a component, which must be the same on all roads.
    fn failure(component: impl Fn() -> Component) -> SpawnError {
        let failures = ROADS.map(|road| {
            let mut component = component();
            component.road = road;
            component.try_start().err().unwrap()
        });
        assert!(failures.iter().all(|failure| *failure == failures[0]), "{failures:?}");
        failures.into_iter().next().unwrap()
    }

    /// A program whose loader has another name.
    fn without_loader() -> Vec<u8> {
        let mut program = fs::read("/bin/true").unwrap();
        let loader = program.windows(4).position(|window| window == b"/lib").unwrap();
        program[loader..loader + 4].copy_from_slice(b"/bil");
        program
    }

    #[test]
    fn what_is_wrong_with_an_executable_is_said_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let foreign = {
            let mut program = fs::read("/bin/true").unwrap();
            program[18] ^= 0x55;
            program
        };
        for (executable, expected) in [
            (path("none"), ": no such file"),
            (path(""), ": is a folder"),
            ("/dev/null".to_owned(), ": is not a regular file"),
            (file(folder, "data", 0o644, b"#!/bin/sh\n"), ": is not executable"),
            (file(folder, "text", 0o755, b"echo hello\n"), ": is neither a program nor a script"),
            (file(folder, "empty", 0o755, b""), ": is neither a program nor a script"),
            (
                file(folder, "script", 0o755, b"#! /no/such/sh -e\n"),
                ": its interpreter /no/such/sh: no such file",
            ),
            (
                file(folder, "data-script", 0o755, b"#!/etc/passwd\n"),
                ": its interpreter /etc/passwd: is not exec",
            ),
            (
                file(folder, "windows", 0o755, b"#!/bin/sh\r\n"),
                "/bin/sh: no such file (its first line ends like",
            ),
            (
                file(folder, "loader", 0o755, &without_loader()),
                ": the loader that it asks for does not exist",
            ),
            (file(folder, "foreign", 0o755, &foreign), ": is made for another kind of machine"),
            (file(folder, "below", 0o755, b"") + "/x", ": Not a directory"),
        ] {
            let error = failure(|| Component::new(&executable, &[]));
            assert_eq!(error.step, SpawnStep::Executable, "{error}");
            assert!(error.reason.starts_with(&executable) && error.reason.contains(expected), "{error}");
            assert!(error.os_error.is_some());
        }
    }

    #[test]
    fn what_is_in_no_folder_of_path_is_said_with_the_path() {
        let error = failure(|| Component::new("no-such-program", &[]));
        let expected = "no-such-program: no such program in PATH (/usr/local/bin:/usr/bin:/bin)";
        assert_eq!((error.step, error.reason.as_str()), (SpawnStep::Executable, expected));
        let error = failure(|| Component::new("", &[]));
        assert_eq!((error.step, error.os_error), (SpawnStep::Executable, None));
    }

    #[test]
    fn a_working_directory_that_cannot_be_is_told_from_an_executable_that_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), "file", 0o644, b"");
        for (directory, expected) in
            [("/no/such/folder", ": no such folder"), (file.as_str(), ": is not a folder")]
        {
            // The executable cannot be either, but the folder comes first.
            for executable in ["/bin/true", "/no/such/executable"] {
                let error = failure(|| {
                    let mut component = Component::new(executable, &[]);
                    component.spec.working_directory = Some(directory.into());
                    component
                });
                let reason = format!("{directory}{expected}");
                assert_eq!((error.step, error.reason), (SpawnStep::WorkingDirectory, reason));
            }
        }
    }

    #[test]
    fn a_nul_byte_is_named_by_where_it_is() {
        let step = |error: SpawnError| (error.step, error.reason);
        let expected = |what: &str| (SpawnStep::Process, format!("{what} contains a NUL byte"));
        assert_eq!(step(failure(|| Component::new("/bin/true", &["a", "b\0"]))), expected("argument 2"));
        let with_variable = || {
            let mut component = Component::new("/bin/true", &[]);
            component.set("SECRET", "hunter\0");
            component
        };
        assert_eq!(step(failure(with_variable)), expected("the environment variable \"SECRET\""));
    }

    #[test]
    fn a_user_that_may_not_execute_it_is_named() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: it takes root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = file(folder.path(), "program", 0o700, b"#!/bin/sh\n");
        let mut component = Component::new(&program, &[]);
        component.spec.user = Some("nobody".to_owned());
        component.spec.working_directory = Some("/".into());
        let error = component.try_start().err().unwrap();
        assert_eq!(error.step, SpawnStep::Executable);
        assert!(error.reason.starts_with(&program) && error.reason.contains("\"nobody\""), "{error}");
    }

    #[test]
    fn a_limit_on_processes_is_told_as_such() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: it takes root");
            return;
        }
        let as_somebody = |mut component: Component| {
            component.spec.user = Some("4200000002".to_owned());
            component.spec.group = Some("4200000002".to_owned());
            component
        };
        let first = as_somebody(Component::new("/bin/sleep", &["1000"])).start();
        let mut second = as_somebody(Component::new("/bin/true", &[]));
        let none =
            crate::ResourceLimit { resource: crate::Resource::Processes, soft: Some(0), hard: Some(0) };
        second.spec.limits = vec![none];
        let error = second.try_start().err().unwrap();
        drop(first);
        assert_eq!((error.step, error.os_error), (SpawnStep::Process, Some(libc::EAGAIN)));
        assert!(error.reason.contains("nproc"), "{error}");
    }
}

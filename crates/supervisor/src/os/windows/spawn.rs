//! Starting a program: in a job of its own from its first instruction on, with its three handles and no others.

use std::io;
use std::mem;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{
    DUPLICATE_SAME_ACCESS, DuplicateHandle, ERROR_BAD_EXE_FORMAT, ERROR_DIRECTORY, ERROR_FILE_NOT_FOUND,
    ERROR_PATH_NOT_FOUND, ERROR_PRIVILEGE_NOT_HELD,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_SHARE_READ, FILE_SHARE_WRITE, OPEN_EXISTING,
};
use windows_sys::Win32::System::Pipes::CreatePipe;
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_UNICODE_ENVIRONMENT, CreateProcessAsUserW,
    CreateProcessW, EXTENDED_STARTUPINFO_PRESENT, GetCurrentProcess, PROCESS_INFORMATION,
    STARTF_USESTDHANDLES, STARTUPINFOEXW,
};

use super::account::{self, Account};
use super::attributes::Attributes;
use super::command_line::CommandLine;
use super::environment::Environment;
use super::handle::{done, owned, wide};
use super::job::Job;
use super::process::Process;
use super::words::{in_words, is_want, words};
use super::{ReadEnd, stopping};
use crate::error::{SpawnError, SpawnStep};
use crate::os::{Fledgling, Launch};

/// What starting programs takes: nothing that could be made ready before.
#[derive(Debug)]
pub(crate) struct LaunchPad;

impl LaunchPad {
    /// One.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }
}

/// A process that has been started.
#[derive(Debug)]
pub(crate) enum Spawned {
    /// It runs its program.
    Running(Process),
    /// It has not come to that yet: here it always has.
    #[expect(dead_code, reason = "every system has the same names; what cannot be never is")]
    OnItsWay { fledgling: Fledgling, over: ReadEnd },
}

impl Spawned {
    /// The process.
    pub(crate) fn into_process(self, _pad: &mut LaunchPad) -> Process {
        match self {
            Self::Running(process) => process,
            Self::OnItsWay { fledgling, .. } => match fledgling {},
        }
    }
}

/// Starts the component, or what is run for it.
///
/// # Errors
/// [`SpawnError`] names the step that failed and why; then nothing of the component runs.
pub(crate) fn spawn(launch: &Launch<'_>, _pad: &mut LaunchPad) -> Result<Spawned, SpawnError> {
    let no_process = |error: io::Error| failed(SpawnStep::Process, &error, "");
    let event_name = stopping::event_name(launch.token);
    let environment = Environment::of(launch, &event_name);
    let command_line = CommandLine::of(launch, environment.get("PATH"))?;
    let is_run = launch.errand.is_none();
    let other = launch.account.and_then(Account::other_sid);
    let stop = is_run.then(|| stopping::make_event(&event_name, other)).transpose().map_err(no_process)?;
    let (input, ours) = if is_run { kept_input() } else { no_input() }
        .map_err(|error| failed(SpawnStep::Output, &error, "standard input: "))?;
    let no_output = |error: io::Error| failed(SpawnStep::Output, &error, "");
    let [input, output, error] =
        [&input, launch.stdout, launch.stderr].map(|end| inheritable(end.as_handle()));
    let ends = Ends {
        input: input.map_err(no_output)?,
        output: output.map_err(no_output)?,
        error: error.map_err(no_output)?,
    };
    let job = Job::new().map_err(no_process)?;
    let started =
        create(launch, command_line, &environment, &ends, &job).map_err(|error| explain(launch, &error))?;
    Ok(Spawned::Running(Process::new(started, job, stop, ours)))
}

/// What it finds as its input and output, each inheritable.
struct Ends {
    input: OwnedHandle,
    output: OwnedHandle,
    error: OwnedHandle,
}

fn create(
    launch: &Launch<'_>,
    mut command_line: CommandLine,
    environment: &Environment,
    ends: &Ends,
    job: &Job,
) -> io::Result<(u32, OwnedHandle)> {
    let [input, output, error] = [&ends.input, &ends.output, &ends.error].map(AsRawHandle::as_raw_handle);
    let mut attributes = Attributes::new(job, Box::new([input, output, error]))?;
    // SAFETY: structs of numbers and pointers, for which zeros mean that nothing is said.
    let (mut startup, mut created): (STARTUPINFOEXW, PROCESS_INFORMATION) = unsafe { mem::zeroed() };
    startup.StartupInfo.cb = mem::size_of::<STARTUPINFOEXW>() as u32;
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    (startup.StartupInfo.hStdInput, startup.StartupInfo.hStdOutput, startup.StartupInfo.hStdError) =
        (input, output, error);
    startup.lpAttributeList = attributes.list();
    let block = environment.block();
    let folder = launch.spec.working_directory.as_deref().map(wide);
    let token = launch.account.and_then(Account::token);
    // Somebody else may not use our desktop. Of no name, the system finds or makes one that they may use.
    let mut no_desktop = [0];
    if token.is_some() {
        startup.StartupInfo.lpDesktop = no_desktop.as_mut_ptr();
    }
    let console = if stopping::has_console() { 0 } else { CREATE_NO_WINDOW };
    let flags =
        EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT | CREATE_NEW_PROCESS_GROUP | console;
    let (program, text) = (command_line.program.as_ptr(), command_line.text.as_mut_ptr());
    let (block, folder) = (block.as_ptr().cast(), folder.as_ref().map_or(ptr::null(), Vec::as_ptr));
    let (none, startup, created_ptr) = (ptr::null(), (&raw const startup).cast(), &raw mut created);
    // SAFETY: all texts end with zero, the block with two, and all that is pointed to outlives the call.
    done(unsafe {
        match token.map(|token| token.as_raw_handle()) {
            None => CreateProcessW(program, text, none, none, 1, flags, block, folder, startup, created_ptr),
            Some(token) => CreateProcessAsUserW(
                token,
                program,
                text,
                none,
                none,
                1,
                flags,
                block,
                folder,
                startup,
                created_ptr,
            ),
        }
    })?;
    // SAFETY: both handles are new, and ours.
    unsafe {
        drop(owned(created.hThread));
        Ok((created.dwProcessId, owned(created.hProcess)?))
    }
}

/// The same once more, to be inherited: for one launch only, because whoever else starts a process at this moment, and names no
/// handles, passes it on too.
fn inheritable(handle: BorrowedHandle<'_>) -> io::Result<OwnedHandle> {
    let mut copy = ptr::null_mut();
    // SAFETY: the handle is open; the copy is new.
    unsafe {
        let ours = GetCurrentProcess();
        let flags = DUPLICATE_SAME_ACCESS;
        done(DuplicateHandle(ours, handle.as_raw_handle(), ours, &raw mut copy, 0, 1, flags))?;
        owned(copy)
    }
}

/// An input in which nothing comes, and that ends when the run is to stop.
fn kept_input() -> io::Result<(OwnedHandle, Option<OwnedHandle>)> {
    let (mut reader, mut writer) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: both handles are new.
    unsafe {
        done(CreatePipe(&raw mut reader, &raw mut writer, ptr::null(), 0))?;
        Ok((owned(reader)?, Some(owned(writer)?)))
    }
}

/// An input that is at its end.
fn no_input() -> io::Result<(OwnedHandle, Option<OwnedHandle>)> {
    let name = wide("NUL");
    let share = FILE_SHARE_READ | FILE_SHARE_WRITE;
    let read = windows_sys::Win32::Foundation::GENERIC_READ;
    // SAFETY: the name ends with zero; the handle is new.
    let opened = unsafe {
        owned(CreateFileW(name.as_ptr(), read, share, ptr::null(), OPEN_EXISTING, 0, ptr::null_mut()))
    };
    Ok((opened?, None))
}

/// Says why a program could not be run.
fn explain(launch: &Launch<'_>, error: &io::Error) -> SpawnError {
    if is_want(error) {
        return failed(SpawnStep::Process, error, "");
    }
    let folder = launch.spec.working_directory.as_deref();
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let why = if folder.exists() { "is not a folder" } else { "no such folder" };
        let reason = format!("{}: {why}", folder.display());
        return SpawnError { step: SpawnStep::WorkingDirectory, reason, os_error: error.raw_os_error() };
    }
    if let Some(user) = launch.spec.user.as_deref()
        && error.raw_os_error() == Some(ERROR_PRIVILEGE_NOT_HELD.cast_signed())
    {
        return account::cannot(user, error);
    }
    let program = launch.program().display();
    let code = error.raw_os_error().map(i32::cast_unsigned);
    let why = match code {
        Some(ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND) => "no such file".to_owned(),
        Some(ERROR_BAD_EXE_FORMAT) => "is not a program for this system".to_owned(),
        Some(ERROR_DIRECTORY) => return failed(SpawnStep::WorkingDirectory, error, ""),
        _ => words(error),
    };
    SpawnError {
        step: SpawnStep::Executable,
        reason: format!("{program}: {why}"),
        os_error: error.raw_os_error(),
    }
}

fn failed(step: SpawnStep, error: &io::Error, what: &str) -> SpawnError {
    SpawnError { step, reason: format!("{what}{}", in_words(error)), os_error: error.raw_os_error() }
}

//! Real processes for the tests of this folder. None of them outlives its test.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::event::{PollFd, PollFlags, poll};

#[cfg(all(target_os = "linux", not(s7_posix)))]
pub(crate) use self::of_linux::end_of;
#[cfg(all(target_os = "linux", not(s7_posix)))]
pub(super) use self::of_linux::{GroupHandle, ROADS, Road};
#[cfg(any(not(target_os = "linux"), s7_posix))]
pub(crate) use self::of_unix::end_of;
#[cfg(any(not(target_os = "linux"), s7_posix))]
pub(super) use self::of_unix::{GroupHandle, ROADS, Road};
use super::Terms;
use super::{Account, Identity, Launch, LaunchPad, Process, Run, Spawned, leftovers, spawn};
use crate::{Exit, ProcessSpec, SpawnError};

/// A component to be tried.
pub(super) struct Component {
    pub(super) spec: ProcessSpec,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) added: Vec<(OsString, OsString)>,
    pub(super) token: String,
    /// By what it is started.
    pub(super) road: Road,
    pub(super) terms: Terms,
    pub(super) cgroup: Option<GroupHandle>,
    /// The number under which it finds its output once more.
    pub(super) ready: Option<i32>,
}

impl Component {
    pub(super) fn new(executable: &str, arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut spec = ProcessSpec::new("test", executable).unwrap();
        spec.arguments = arguments.iter().map(OsString::from).collect();
        let token = format!("test/{}-{}-", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let environment = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
        Self {
            spec,
            environment,
            added: Vec::new(),
            token,
            road: ROADS[0],
            terms: Terms::default(),
            cgroup: None,
            ready: None,
        }
    }

    pub(super) fn shell(script: &str) -> Self {
        Self::new("/bin/sh", &["-c", script])
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    pub(super) fn try_start(self) -> Result<Started, SpawnError> {
        let mut pad = LaunchPad::on_road(self.road);
        self.try_start_from(&mut pad)
    }

    pub(super) fn try_start_from(self, pad: &mut LaunchPad) -> Result<Started, SpawnError> {
        let (spawned, output) = self.spawn_from(pad)?;
        let process = match spawned {
            Spawned::Running(process) => process,
            Spawned::OnItsWay { fledgling, over } => {
                readable(over.as_fd());
                fledgling.outcome().map_err(|fall| fall.explain())?
            }
        };
        Ok(Started { process: Some(process), token: self.token, output: BufReader::new(output) })
    }

    /// It, and its output.
    pub(super) fn spawn_from(&self, pad: &mut LaunchPad) -> Result<(Spawned, File), SpawnError> {
        let (output, input) = std::io::pipe().unwrap();
        let input = OwnedFd::from(input);
        let account = Account::find(self.spec.user.as_deref(), self.spec.group.as_deref())?;
        let launch = Launch {
            spec: &self.spec,
            account: account.as_ref(),
            terms: self.terms,
            cgroup: self.cgroup.as_ref().map(GroupHandle::folder),
            environment: &self.environment,
            added: &self.added,
            token: &self.token,
            errand: None,
            stdout: &input,
            stderr: &input,
            ready: self.ready.map(|number| (number, &input)),
        };
        Ok((spawn(&launch, pad)?, File::from(OwnedFd::from(output))))
    }

    pub(super) fn start(self) -> Started {
        self.try_start().unwrap()
    }

    /// Runs it to its end; returns all that it said.
    pub(super) fn output(self) -> String {
        let mut text = String::new();
        self.start().output.read_to_string(&mut text).unwrap();
        text
    }
}

/// A component that runs. Dropping it ends all of it.
pub(super) struct Started {
    process: Option<Process>,
    token: String,
    output: BufReader<File>,
}

impl Started {
    pub(super) fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    #[cfg(all(target_os = "linux", not(s7_posix)))]
    pub(super) fn into_process(mut self) -> Process {
        self.process.take().unwrap()
    }

    pub(super) fn pid(&self) -> u32 {
        self.process().pid()
    }

    #[cfg(all(target_os = "linux", not(s7_posix)))]
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn run(&self) -> Run<'_> {
        Run { process: self.process(), token: &self.token }
    }

    /// The next line that it says.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for its main process to end.
    pub(super) fn wait(&self) -> Exit {
        readable(self.process().as_fd());
        self.process().exit().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        // Its descendants first: some are known by their parents only.
        loop {
            let run = Run { process: &process, token: &self.token };
            let left = leftovers(&[run], |pid| pid == process.pid(), false).held;
            for (_, leftover) in &left {
                leftover.kill();
                readable(leftover.as_fd());
            }
            if left.is_empty() {
                break;
            }
        }
        process.kill();
        readable(process.as_fd());
        process.reap();
    }
}

/// A process that leads a group, bears a token and is not our child, for whoever started it has died. Dropping it ends all
/// that bears the token.
pub(crate) struct Orphan {
    pid: u32,
    #[cfg_attr(any(not(target_os = "linux"), s7_posix), expect(dead_code, reason = "its group is enough"))]
    token: String,
    output: BufReader<File>,
}

impl Orphan {
    /// Runs a script in such a process, and waits for its first line.
    pub(crate) fn start(token: &str, script: &str) -> Self {
        let (output, input) = std::io::pipe().unwrap();
        let input = OwnedFd::from(input);
        // The pid comes by the standard error, which nobody has open any more when the one who starts it has ended.
        let starter = "setsid sh -c \"$0\" 2>/dev/null & echo $! >&2";
        #[expect(clippy::disallowed_methods, reason = "the one who dies")]
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", starter, script]).env(super::RUN_VARIABLE, token).stdout(input);
        let told = command.stderr(std::process::Stdio::piped()).output().unwrap().stderr;
        let pid = String::from_utf8(told).unwrap().trim().parse().unwrap();
        let output = BufReader::new(File::from(std::os::fd::OwnedFd::from(output)));
        let mut started = Self { pid, token: token.to_owned(), output };
        started.line();
        started
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What makes it that very process.
    pub(crate) fn identity(&self) -> Identity {
        self.identify()
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        self.end_all();
    }
}

/// With what only Linux has.
#[cfg(all(target_os = "linux", not(s7_posix)))]
mod of_linux {
    use std::fs::File;
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::{Orphan, readable};
    pub(in crate::os) use crate::os::linux::Road;
    use crate::os::{GroupFolder, Identity, bearers, families};

    /// All by which components are started.
    pub(in crate::os) const ROADS: [Road; 3] = [Road::Clone3, Road::Clone, Road::Std];

    /// The folder of a control group.
    pub(in crate::os) struct GroupHandle(pub(in crate::os) File);

    impl GroupHandle {
        pub(super) fn folder(&self) -> GroupFolder<'_> {
            self.0.as_fd()
        }
    }

    impl Orphan {
        pub(super) fn identify(&self) -> Identity {
            Identity::of(self.pid, held(self.pid).unwrap().as_fd()).unwrap()
        }

        /// All that bears its token, and what descends from that.
        pub(super) fn end_all(&self) {
            loop {
                let mut found = Vec::new();
                bearers(|bearer| {
                    if bearer.token == self.token.as_bytes() {
                        found.push(bearer.process);
                    }
                });
                if found.is_empty() {
                    return;
                }
                for process in families(found, |_| false) {
                    process.kill();
                    readable(process.as_fd());
                }
            }
        }
    }

    fn held(pid: u32) -> rustix::io::Result<OwnedFd> {
        pidfd_open(Pid::from_raw(pid.try_into().unwrap()).unwrap(), PidfdFlags::empty())
    }

    /// Waits for the end of a process that is not our child.
    pub(crate) fn end_of(pid: u32) {
        if let Ok(pidfd) = held(pid) {
            readable(pidfd.as_fd());
        }
    }
}

/// With what every Unix system has.
#[cfg(any(not(target_os = "linux"), s7_posix))]
mod of_unix {
    use std::os::fd::AsFd;

    use rustix::process::{Pid, Signal, kill_process_group};

    use super::{Orphan, readable};
    pub(in crate::os) use crate::os::unix::Road;
    use crate::os::unix::Watch;
    use crate::os::{ControlGroup, GroupFolder, Identity};

    /// All by which components are started.
    pub(in crate::os) const ROADS: [Road; 1] = [Road::Std];

    /// The folder of a control group, of which there are none.
    pub(in crate::os) struct GroupHandle(ControlGroup);

    impl GroupHandle {
        pub(super) fn folder(&self) -> GroupFolder<'_> {
            &self.0
        }
    }

    impl Orphan {
        pub(super) fn identify(&self) -> Identity {
            Identity::of_living(self.pid).unwrap()
        }

        /// All of its group.
        pub(super) fn end_all(&self) {
            let _ = kill_process_group(pid_of(self.pid), Signal::KILL);
            end_of(self.pid);
        }
    }

    fn pid_of(pid: u32) -> Pid {
        Pid::from_raw(pid.try_into().unwrap()).unwrap()
    }

    /// Waits for the end of a process that is not our child.
    pub(crate) fn end_of(pid: u32) {
        if let Ok(watch) = Watch::of(pid_of(pid)) {
            readable(watch.as_fd());
        }
    }
}

/// A file with these permissions, to be executed.
///
/// Another process writes it: the system refuses to execute what anybody has open for writing, and each child that
/// another test is about to start would have it open until its own program runs.
pub(super) fn file(folder: &Path, name: &str, mode: u32, content: &[u8]) -> String {
    let path = folder.join(name);
    let source = folder.join(format!("{name}.source"));
    fs::write(&source, content).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test needs a file that this process never had open")]
    let copied = std::process::Command::new("cp").arg(&source).arg(&path).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Waits until there is something to read, or a process has ended.
pub(crate) fn readable(descriptor: BorrowedFd<'_>) {
    let mut waiting = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut waiting, None)).unwrap();
}

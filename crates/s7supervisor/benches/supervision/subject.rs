//! What is measured: `s7supervisor run`, or the bare loop, each with the same components.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

use crate::{Failure, bare, proc};

/// How long anything may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who supervises.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// Nothing but pidfd, epoll and spawn.
    Bare,
    /// `s7supervisor run`, each component with the default settings.
    Ours,
    /// `s7supervisor run`, each component with these elements beside.
    OursWith(&'a dyn Fn(usize) -> String),
}

/// The elements of a component that is restarted at once whatever happens.
pub(crate) const AT_ONCE: &str = r#"<restart delay="0s" maxDelay="0s" resetAfter="0s"/>"#;

/// A running supervisor, bare or ours, and what its components have told.
pub(crate) struct Subject {
    process: Child,
    folder: PathBuf,
    fifo: File,
    /// By component: the pid that told last that it began to run.
    pids: Vec<u32>,
    /// The components that crash again and again beside the others.
    looping: BTreeSet<usize>,
    /// How many runs have begun.
    pub(crate) runs: usize,
}

/// What a component tells as its first act.
struct Report {
    /// When it began to run, by the monotonic clock.
    began: Duration,
    pid: u32,
    component: usize,
}

impl Subject {
    /// Starts it with so many components in a new folder, and says how long it took until the last of them ran.
    pub(crate) fn start(
        kind: Kind<'_>,
        folder: &Path,
        program: &Path,
        count: usize,
    ) -> Result<(Self, Duration), Failure> {
        fs::create_dir_all(crashing_in(folder))?;
        // A copy of its own, so that its components can be told from those of others.
        fs::copy(program, program_in(folder))?;
        let fifo = folder.join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        // Open for writing too, it does not end when no component has it open.
        let reader = OpenOptions::new().read(true).write(true).open(&fifo)?;
        let mut command = command(kind, folder, count)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(folder.join("stderr"))?);
        let before = now();
        let process = command.spawn()?;
        let folder = folder.to_owned();
        let mut subject =
            Self { process, folder, fifo: reader, pids: vec![0; count], looping: BTreeSet::new(), runs: 0 };
        let mut last = before;
        for _ in 0..count {
            last = last.max(subject.report()?.began);
        }
        Ok((subject, last.saturating_sub(before)))
    }

    /// Kills a component, and says how long it took until the replacement ran.
    pub(crate) fn kill(&mut self, component: usize) -> Result<Duration, Failure> {
        let before = self.send_kill(component)?;
        let mut report = self.report()?;
        while self.looping.contains(&report.component) {
            report = self.report()?;
        }
        if report.component != component {
            return Err(format!("component {} began a run that nobody waited for", report.component).into());
        }
        Ok(report.began.saturating_sub(before))
    }

    /// Kills a component, and says when.
    pub(crate) fn send_kill(&self, component: usize) -> Result<Duration, Failure> {
        let pid = i32::try_from(self.pids[component]).ok().and_then(Pid::from_raw).ok_or("no such pid")?;
        let before = now();
        kill_process(pid, Signal::KILL)?;
        Ok(before)
    }

    /// Takes note of the next run that begins.
    pub(crate) fn await_run(&mut self) -> Result<(), Failure> {
        self.report().map(drop)
    }

    /// Waits until just the components' last runs are there, and no zombie, and no other run begins.
    ///
    /// # Errors
    /// It says what else is there.
    pub(crate) fn settle(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while self.is_told_within(Duration::from_millis(100))? {
                self.await_run()?;
            }
            let children = proc::children(self.pid())?;
            let expected =
                proc::Children { living: self.pids.iter().copied().collect(), ..Default::default() };
            if children == expected && proc::executing(&program_in(&self.folder))? == expected.living {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("there should be {expected:?}, but there are {children:?}").into());
            }
        }
    }

    /// Has the components crash, or stay up, from their next runs on.
    pub(crate) fn set_crashing(&self, crashing: bool) -> Result<(), Failure> {
        (0..self.components()).try_for_each(|component| self.set_crashing_of(component, crashing))
    }

    /// Has one component crash again and again from now on.
    pub(crate) fn start_loop(&mut self, component: usize) -> Result<(), Failure> {
        self.set_crashing_of(component, true)?;
        self.looping.insert(component);
        self.send_kill(component).map(drop)
    }

    fn set_crashing_of(&self, component: usize, crashing: bool) -> Result<(), Failure> {
        let file = crashing_in(&self.folder).join(component.to_string());
        Ok(if crashing { fs::write(file, "") } else { fs::remove_file(file) }?)
    }

    /// How many components it has.
    pub(crate) fn components(&self) -> usize {
        self.pids.len()
    }

    /// The supervisor's own pid.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks ours for the status as a person would, and returns what it printed, or nothing if not all are up.
    pub(crate) fn status(&self, arguments: &[&str]) -> Result<Option<String>, Failure> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s7supervisor"));
        let answer = command.arg("status").args(arguments).current_dir(&self.folder).output()?;
        Ok(if answer.status.success() { Some(String::from_utf8(answer.stdout)?) } else { None })
    }

    /// Waits until ours says that all are up.
    pub(crate) fn await_up(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while self.status(&[])?.is_none() {
            if Instant::now() > deadline {
                return Err("the components are not all up".into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Stops ours in order, and sees that nothing is left.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM)?;
        let status = self.process.wait()?;
        let left = proc::executing(&program_in(&self.folder))?;
        if !status.success() || !left.is_empty() {
            return Err(format!("it ended with {status} and left {left:?}").into());
        }
        Ok(())
    }

    fn report(&mut self) -> Result<Report, Failure> {
        if !self.is_told_within(PATIENCE)? {
            let said = fs::read_to_string(self.folder.join("stderr"))?;
            return Err(format!("no component has begun to run for {PATIENCE:?}; it said: {said}").into());
        }
        let mut bytes = [0; 16];
        self.fifo.read_exact(&mut bytes)?;
        let (began, who) = bytes.split_at(8);
        let (pid, component) = who.split_at(4);
        let report = Report {
            began: Duration::from_nanos(u64::from_ne_bytes(began.try_into()?)),
            pid: u32::from_ne_bytes(pid.try_into()?),
            component: usize::try_from(u32::from_ne_bytes(component.try_into()?))?,
        };
        *self.pids.get_mut(report.component).ok_or("an unknown component reports")? = report.pid;
        self.runs += 1;
        Ok(report)
    }

    fn is_told_within(&self, limit: Duration) -> Result<bool, Failure> {
        let limit = Timespec::try_from(limit)?;
        Ok(poll(&mut [PollFd::new(&self.fifo, PollFlags::IN)], Some(&limit))? > 0)
    }
}

impl Drop for Subject {
    /// Whatever went wrong, nothing stays behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for pid in proc::executing(&program_in(&self.folder)).unwrap_or_default() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// Now, by the clock that the components look at.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    // The monotonic clock is never below zero.
    now.try_into().unwrap_or_default()
}

fn program_in(folder: &Path) -> PathBuf {
    folder.join("component")
}

fn crashing_in(folder: &Path) -> PathBuf {
    folder.join("crashing")
}

fn command(kind: Kind<'_>, folder: &Path, count: usize) -> Result<Command, Failure> {
    let (program, fifo, crashing) = (program_in(folder), folder.join("fifo"), crashing_in(folder));
    if let Kind::Bare = kind {
        let [fifo, crashing, program] = [fifo, crashing, program].map(OsString::from);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(bare::arguments(&fifo, &crashing, &program, count));
        return Ok(command);
    }
    let mut servers = String::new();
    for number in 0..count {
        let elements = if let Kind::OursWith(elements) = kind { elements(number) } else { String::new() };
        writeln!(
            servers,
            "<server id=\"component-{number}\"><executable>{}</executable><arguments><argument>{}</argument>\
             <argument>{number}</argument><argument>{}</argument></arguments>{elements}</server>",
            program.display(),
            fifo.display(),
            crashing.display(),
        )?;
    }
    let registry = folder.join("SupervisorRegistry.xml");
    let config = "<config><tracestatsinterval>0</tracestatsinterval></config>";
    fs::write(&registry, format!("<supervisor>{config}<servers>\n{servers}</servers></supervisor>\n"))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_s7supervisor"));
    command.arg("run").arg(registry);
    Ok(command)
}

/// Compiles the component; a static program starts soonest, so that it adds the least to what is measured.
pub(crate) fn compile(folder: &Path) -> Result<PathBuf, Failure> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/supervision/component.c");
    let program = folder.join("component");
    for options in [&["-O2", "-static"][..], &["-O2"]] {
        let mut compiler = Command::new("cc");
        if compiler.args(options).arg("-o").arg(&program).arg(&source).output()?.status.success() {
            return Ok(program);
        }
    }
    Err(format!("cc cannot compile {}", source.display()).into())
}

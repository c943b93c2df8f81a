//! `stand-in`: a component for trying things out and for tests.
//!
//! It has no runtime, reads no registry, and waits in one place for being told to stop, a connection, room in its output, and
//! the next thing it was told to do (`unix`, `windows`).

mod children;
mod ending;
mod flood;
#[cfg(unix)]
mod unix;
mod web;
#[cfg(windows)]
mod windows;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::ending::Ending;
use self::flood::Flood;
#[cfg(unix)]
use self::unix as system;
#[cfg(windows)]
use self::windows as system;
use crate::duration::parse_duration;
use crate::exit::{Ended, Exit, Failure};
use crate::{say, waiting};

/// What the stand-in is told to do.
#[derive(clap::Args, Debug)]
pub(crate) struct StandIn {
    /// The name by which it answers and writes
    #[arg(long, value_name = "NAME", default_value = "stand-in")]
    name: String,

    /// Listen on this TCP port of 127.0.0.1 and answer each HTTP request with a line that names it
    #[arg(long, value_name = "PORT")]
    listen: Option<u16>,

    /// Write this line to standard output at the start; may be given several times
    #[arg(long, value_name = "LINE")]
    print: Vec<String>,

    /// Write the pid to this file, replacing it as a whole, once everything is set up
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,

    /// End after this time, with the exit code 0 or that of --exit-code
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "crash_after")]
    exit_after: Option<Duration>,

    /// End after this time as something that crashes, with the exit code 1 or that of --exit-code, or by --signal
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    crash_after: Option<Duration>,

    /// The exit code to end with
    #[arg(long, value_name = "CODE", conflicts_with = "signal")]
    exit_code: Option<u8>,

    /// The signal to die of with --crash-after: a name (SEGV) or a number
    #[arg(long, value_name = "SIGNAL", value_parser = system::parse_signal, requires = "crash_after")]
    signal: Option<i32>,

    /// Ignore SIGTERM and SIGINT
    #[arg(long)]
    ignore_stop: bool,

    /// Take this time to end after SIGTERM or SIGINT
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "ignore_stop")]
    slow_stop: Option<Duration>,

    /// Write lines to standard output, as fast as they are taken
    #[arg(long)]
    flood: bool,

    /// Write only this many lines a second
    #[arg(long, value_name = "LINES", requires = "flood", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Start this many processes that stay until they are stopped
    #[arg(long, value_name = "N", default_value_t = 0)]
    fork_children: u16,

    /// Let each of them slip away into a session of its own, as daemons do
    #[arg(long, requires = "fork_children")]
    new_session: bool,

    /// Leave the session that it was started in (what --new-session tells those in between)
    #[arg(long, hide = true)]
    own_session: bool,

    /// Arguments of the program that it stands in for: taken and ignored
    #[arg(last = true, value_name = "IGNORED")]
    ignored: Vec<std::ffi::OsString>,
}

pub(crate) const HELP: &str = "\
It stays until SIGTERM or SIGINT, and then ends with exit code 0, unless told
otherwise. What follows -- is ignored, so that it can take the place of a
program with arguments of its own.

Examples:
  s7supervisor stand-in --name ps --listen 8080
  s7supervisor stand-in --print 'here I am' --crash-after 5s --signal SEGV
  s7supervisor stand-in --fork-children 2 --new-session --ignore-stop
  s7supervisor stand-in --flood --rate 1000
  s7supervisor stand-in --listen 8080 -- -Xmx512m org.example.Main";

/// Lives as it was told.
pub(crate) fn run(told: &StandIn) -> Ended {
    if told.own_session {
        system::leave_session()?;
    }
    let stops = system::Stops::listen().map_err(|error| cannot("wait for being told to stop", error))?;
    let listener = told.listen.map(listen).transpose()?;
    for line in &told.print {
        say::answer(line);
    }
    children::start(told)?;
    if let Some(file) = &told.ready_file {
        write_ready_file(file)?;
    }
    let span = Span { told, born: waiting::now(), stopped: None };
    system::live(span, &stops, listener.as_ref(), Flood::new(told))
}

/// How long it lives.
struct Span<'a> {
    told: &'a StandIn,
    born: Instant,
    /// When it was told to stop for the first time, and heeded that.
    stopped: Option<Instant>,
}

impl Span<'_> {
    /// Somebody has told it to stop.
    fn stop(&mut self) {
        if !self.told.ignore_stop && self.stopped.is_none() {
            self.stopped = Some(waiting::now());
        }
    }

    /// How it ends, if the time has come.
    fn due(&self, now: Instant) -> Option<Ending> {
        self.deadlines().find(|(at, _)| *at <= now).map(|(_, ending)| ending)
    }

    /// When and how it would end, if nothing else comes before.
    fn deadlines(&self) -> impl Iterator<Item = (Instant, Ending)> {
        let told = self.told;
        let stop = self.stopped.and_then(|at| at.checked_add(told.slow_stop.unwrap_or_default()));
        let exit = told.exit_after.and_then(|after| self.born.checked_add(after));
        let crash = told.crash_after.and_then(|after| self.born.checked_add(after));
        let crash_ending = told.signal.map_or(Ending::Code(told.exit_code.unwrap_or(1)), Ending::Signal);
        [
            (stop, Ending::Code(told.exit_code.unwrap_or(0))),
            (exit, Ending::Code(told.exit_code.unwrap_or(0))),
            (crash, crash_ending),
        ]
        .into_iter()
        .filter_map(|(at, ending)| Some((at?, ending)))
    }
}

fn listen(port: u16) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| cannot(&format!("listen on port {port} of 127.0.0.1"), error))
}

/// A reader sees the whole pid or the file before.
fn write_ready_file(path: &std::path::Path) -> Result<(), Failure> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    std::fs::write(&new, format!("{}\n", std::process::id()))
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(|error| cannot(&format!("write the ready file {}", path.display()), error))
}

fn cannot(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("cannot {what}: {why}"))
}

//! `stand-in`: a component for trying things out and for tests.
//!
//! It has no thread and no runtime, reads no registry, and waits in one place for a signal, a connection, room in its
//! output, and the next thing it was told to do.

mod children;
mod ending;
mod flood;
mod web;

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

use self::ending::Ending;
use self::flood::Flood;
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
    #[arg(long, value_name = "SIGNAL", value_parser = ending::parse_signal, requires = "crash_after")]
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
        rustix::process::setsid().map_err(|error| cannot("leave the session", error))?;
    }
    let signals = signal_pipe().map_err(|error| cannot("wait for signals", error))?;
    let listener = told.listen.map(listen).transpose()?;
    for line in &told.print {
        say::answer(line);
    }
    children::start(told)?;
    if let Some(file) = &told.ready_file {
        write_ready_file(file)?;
    }
    Life { told, signals, listener, born: waiting::now(), stopped: None, flood: Flood::new(told) }.live()
}

struct Life<'a> {
    told: &'a StandIn,
    signals: UnixStream,
    listener: Option<TcpListener>,
    born: Instant,
    /// When the first stop signal came that it heeds.
    stopped: Option<Instant>,
    flood: Option<Flood>,
}

impl Life<'_> {
    fn live(mut self) -> Ended {
        loop {
            let now = waiting::now();
            if let Some(ending) = self.due(now) {
                return ending.end();
            }
            let news = self.wait(now).map_err(|error| cannot("wait", error))?;
            if news.signal {
                drain(&self.signals);
                if !self.told.ignore_stop && self.stopped.is_none() {
                    self.stopped = Some(waiting::now());
                }
            }
            if let (true, Some(listener)) = (news.connection, &self.listener) {
                web::answer_one(listener, &self.told.name);
            }
            if let (true, Some(flood)) = (news.room, &mut self.flood)
                && !flood.write_some(self.born.elapsed())
            {
                // Whoever read the output is gone.
                self.flood = None;
            }
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

    fn wait(&self, now: Instant) -> rustix::io::Result<News> {
        let stdout = std::io::stdout();
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if let Some(listener) = &self.listener {
            polled.push(PollFd::new(listener, PollFlags::IN));
        }
        let flood_pause = self.flood.as_ref().map(|flood| flood.pause(self.born.elapsed()));
        if flood_pause == Some(Duration::ZERO) {
            polled.push(PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::OUT));
        }
        let next_line = flood_pause.filter(|pause| !pause.is_zero());
        let end = self.deadlines().map(|(at, _)| at.saturating_duration_since(now)).min();
        let timeout = end.into_iter().chain(next_line).min();
        // What is too far away for the kernel's clock is as good as never.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let ready = |index: usize| polled.get(index).is_some_and(|one| !one.revents().is_empty());
        let room = 1 + usize::from(self.listener.is_some());
        Ok(News { signal: ready(0), connection: self.listener.is_some() && ready(1), room: ready(room) })
    }
}

/// What it was woken for.
struct News {
    signal: bool,
    connection: bool,
    room: bool,
}

/// Becomes readable with each SIGTERM or SIGINT.
fn signal_pipe() -> std::io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGTERM, writer.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGINT, writer)?;
    Ok(reader)
}

fn drain(mut signals: &UnixStream) {
    let mut buffer = [0; 64];
    while matches!(std::io::Read::read(&mut signals, &mut buffer), Ok(1..)) {}
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

//! The life of a stand-in where there are signals: without a thread, in one `poll`.

use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, Signal};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::flood::Flood;
use super::{Span, cannot, web};
use crate::exit::{Ended, Exit, Failure};
use crate::waiting;

/// Lives until the end.
pub(super) fn live(
    span: Span<'_>,
    stops: &Stops,
    listener: Option<&TcpListener>,
    flood: Option<Flood>,
) -> Ended {
    Life { span, stops, listener, flood }.live()
}

struct Life<'a> {
    span: Span<'a>,
    stops: &'a Stops,
    listener: Option<&'a TcpListener>,
    flood: Option<Flood>,
}

impl Life<'_> {
    fn live(mut self) -> Ended {
        loop {
            let now = waiting::now();
            if let Some(ending) = self.span.due(now) {
                return ending.end();
            }
            let news = self.wait(now).map_err(|error| cannot("wait", error))?;
            if news.signal {
                self.stops.take();
                self.span.stop();
            }
            if let (true, Some(listener)) = (news.connection, self.listener) {
                web::answer_one(listener, &self.span.told.name);
            }
            if let (true, Some(flood)) = (news.room, &mut self.flood)
                && !flood.write_some(self.span.born.elapsed())
            {
                // Whoever read the output is gone.
                self.flood = None;
            }
        }
    }

    fn wait(&self, now: Instant) -> rustix::io::Result<News> {
        let stdout = std::io::stdout();
        let mut polled = vec![PollFd::new(&self.stops.0, PollFlags::IN)];
        if let Some(listener) = self.listener {
            polled.push(PollFd::new(listener, PollFlags::IN));
        }
        let flood_pause = self.flood.as_ref().map(|flood| flood.pause(self.span.born.elapsed()));
        if flood_pause == Some(Duration::ZERO) {
            polled.push(PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::OUT));
        }
        let next_line = flood_pause.filter(|pause| !pause.is_zero());
        let end = self.span.deadlines().map(|(at, _)| at.saturating_duration_since(now)).min();
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
pub(super) struct Stops(UnixStream);

impl Stops {
    pub(super) fn listen() -> std::io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGTERM, writer.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGINT, writer)?;
        Ok(Self(reader))
    }

    fn take(&self) {
        let mut buffer = [0; 64];
        while matches!((&self.0).read(&mut buffer), Ok(1..)) {}
    }
}

/// Leaves the session that it was started in.
pub(super) fn leave_session() -> Result<(), Failure> {
    rustix::process::setsid().map(drop).map_err(|error| cannot("leave the session", error))
}

/// Dies of a signal as a program does that has no handler for it, but leaves no core dump.
pub(super) fn die_of(signal: i32) -> Ended {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).map_err(|error| cannot("forgo a core dump", error))?;
    // For what has a handler, this resets it first; the others are left to the plain way below.
    let _refused = signal_hook::low_level::emulate_default_handler(signal);
    if let Some(named) = Signal::from_named_raw(signal) {
        rustix::process::kill_process(rustix::process::getpid(), named)
            .map_err(|error| cannot("die of a signal", error))?;
    }
    Ok(Exit::Failed)
}

/// A signal by name, with or without `SIG`, or by number.
pub(super) fn parse_signal(text: &str) -> Result<i32, String> {
    const NAMES: [(&str, Signal); 13] = [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("ILL", Signal::ILL),
        ("TRAP", Signal::TRAP),
        ("ABRT", Signal::ABORT),
        ("BUS", Signal::BUS),
        ("FPE", Signal::FPE),
        ("KILL", Signal::KILL),
        ("SEGV", Signal::SEGV),
        ("PIPE", Signal::PIPE),
        ("ALRM", Signal::ALARM),
        ("TERM", Signal::TERM),
    ];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| signal.as_raw());
    let number = || text.parse().ok().filter(|number| NAMES.iter().any(|(_, s)| s.as_raw() == *number));
    named.or_else(number).ok_or_else(|| {
        let known = NAMES.map(|(name, _)| name).join(", ");
        format!("{text:?} is no signal to die of: those are {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_name_and_by_number() {
        for text in ["TERM", "sigterm", "15"] {
            assert_eq!(parse_signal(text), Ok(15), "{text}");
        }
        for text in ["", "SIG", "TERMS", "0", "-9", "64", "CONT"] {
            assert!(parse_signal(text).is_err(), "{text}");
        }
    }
}

//! The life of a stand-in where the console, or an event with a name, says that it is to stop: a thread for each that only
//! passes it on.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use super::flood::Flood;
use super::{Span, web};
use crate::exit::{Ended, Failure};
use crate::os::console;
use crate::os::stop_event::StopEvent;
use crate::waiting;

/// Hears that it is to stop.
pub(super) struct Stops(Receiver<()>);

impl Stops {
    pub(super) fn listen() -> io::Result<Self> {
        let (sender, stops) = bounded(1);
        if let Some(event) = StopEvent::find() {
            let sender = sender.clone();
            in_a_thread("event", move || {
                if event.wait().is_ok() {
                    tell(&sender);
                }
            })?;
        }
        let told = console::listen()?;
        in_a_thread("console", move || told.iter().for_each(|_| tell(&sender)))?;
        Ok(Self(stops))
    }
}

fn tell(sender: &Sender<()>) {
    // Full: it has been told, and will see to it.
    let _ = sender.try_send(());
}

/// Answers who comes, for as long as the process lives.
fn answer_all(listener: &TcpListener, name: &str) -> io::Result<()> {
    let (listener, name) = (listener.try_clone()?, name.to_owned());
    listener.set_nonblocking(false)?;
    in_a_thread("web", move || {
        loop {
            web::answer_one(&listener, &name);
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "what is of different kinds cannot be waited for at once")]
fn in_a_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Lives until the end.
pub(super) fn live(
    mut span: Span<'_>,
    stops: &Stops,
    listener: Option<&TcpListener>,
    mut flood: Option<Flood>,
) -> Ended {
    if let Some(listener) = listener {
        answer_all(listener, &span.told.name).map_err(|error| super::cannot("answer", error))?;
    }
    let mut stops = stops.0.clone();
    loop {
        let now = waiting::now();
        if let Some(ending) = span.due(now) {
            return ending.end();
        }
        let next_line = flood.as_ref().map(|flood| flood.pause(span.born.elapsed()));
        let end = span.deadlines().map(|(at, _)| at.saturating_duration_since(now)).min();
        let next = end.into_iter().chain(next_line).min().map_or_else(never, after);
        select! {
            recv(stops) -> told => match told {
                Ok(()) => span.stop(),
                Err(_) => stops = never(),
            },
            recv(next) -> _ => {}
        }
        if next_line == Some(Duration::ZERO)
            && let Some(writing) = &mut flood
            && !writing.write_some(span.born.elapsed())
        {
            // Whoever read the output is gone.
            flood = None;
        }
    }
}

/// There are no sessions as on Unix: it stays.
pub(super) fn leave_session() -> Result<(), Failure> {
    Ok(())
}

/// Ends as a program does that such a signal would have ended elsewhere: with the code that Windows has for that.
#[expect(clippy::disallowed_methods, reason = "any exit code may be asked for, also those that mean nothing")]
pub(super) fn die_of(code: i32) -> Ended {
    std::process::exit(code)
}

/// What a program ends with that does such a thing, by the name of the signal, with or without `SIG`.
pub(super) fn parse_signal(text: &str) -> Result<i32, String> {
    /// An access to what is not there, an instruction that is none, a division by zero, Ctrl-C, `abort`, the end by another.
    const CODES: [(&str, u32); 7] = [
        ("SEGV", 0xC000_0005),
        ("ILL", 0xC000_001D),
        ("FPE", 0xC000_0094),
        ("INT", 0xC000_013A),
        ("ABRT", 3),
        ("KILL", 1),
        ("TERM", 1),
    ];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let found = CODES.iter().find(|(known, _)| *known == name);
    found.map(|(_, code)| code.cast_signed()).ok_or_else(|| {
        let known = CODES.map(|(name, _)| name).join(", ");
        format!("{text:?} is nothing to die of here: write one of {known}")
    })
}

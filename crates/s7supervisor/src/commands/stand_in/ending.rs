//! How the stand-in ends.

use rustix::process::{Resource, Rlimit, Signal};

use super::cannot;
use crate::exit::{Ended, Exit};

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

impl Ending {
    /// Ends. Returns only when that failed.
    #[expect(
        clippy::disallowed_methods,
        reason = "any exit code may be asked for, also those that mean nothing"
    )]
    pub(super) fn end(self) -> Ended {
        match self {
            Self::Code(code) => std::process::exit(i32::from(code)),
            Self::Signal(signal) => die_of(signal),
        }
    }
}

/// Dies of a signal as a program does that has no handler for it, but leaves no core dump.
fn die_of(signal: i32) -> Ended {
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

//! Signals, by number and by name.

use std::fmt;

/// A signal of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(i32);

impl Signal {
    /// Hangs up; many a server reads its configuration again.
    pub const HUP: Self = Self(1);
    /// Quits; a Java machine tells what its threads do instead.
    pub const QUIT: Self = Self(3);
    /// Kills; cannot be ignored.
    pub const KILL: Self = Self(9);
    /// Asks to end.
    pub const TERM: Self = Self(15);

    /// The signal of this name, with or without `SIG`, in any case, or of this number: `TERM`, `SIGHUP`, `10`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let bare = name.to_ascii_uppercase();
        let bare = bare.strip_prefix("SIG").unwrap_or(&bare);
        let by_name = (1..=NAMES.len()).filter_map(|number| Self::from_number(i32::try_from(number).ok()?));
        let by_number = || name.parse().ok().and_then(Self::from_number);
        by_name.into_iter().find(|signal| signal.name() == Some(bare)).or_else(by_number)
    }

    /// The signal of this number, if it can be one: 1 to 64.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=64).contains(&number).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// Its name without `SIG`, if it has one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let same_everywhere = self.0 < 16 && !matches!(self.0, 7 | 10 | 12);
        let index = usize::try_from(self.0).ok()?.checked_sub(1)?;
        if cfg!(unix) || same_everywhere { NAMES.get(index).copied() } else { None }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// The names as Linux numbers them; the numbers below 16 are the same everywhere but for 7, 10 and 12, which are left out on Windows.
#[cfg(any(target_os = "linux", not(unix)))]
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The names as macOS and all BSDs number them.
#[cfg(all(unix, not(target_os = "linux")))]
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "EMT", "FPE", "KILL", "BUS", "SEGV", "SYS", "PIPE", "ALRM",
    "TERM", "URG", "STOP", "TSTP", "CONT", "CHLD", "TTIN", "TTOU", "IO", "XCPU", "XFSZ", "VTALRM", "PROF",
    "WINCH", "INFO", "USR1", "USR2",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_found_by_its_name_or_its_number() {
        for name in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(Signal::from_name(name), Some(Signal::TERM), "{name}");
        }
        for name in ["", "SIG", "0", "65", "-9", "TERMINATE", "SIGSIGTERM"] {
            assert_eq!(Signal::from_name(name), None, "{name}");
        }
        assert_eq!(Signal::from_name("40").map(|signal| signal.to_string()), Some("signal 40".to_owned()));
        assert_eq!(Signal::KILL.to_string(), "SIGKILL");
    }
}

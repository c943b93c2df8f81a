//! What a datagram of `sd_notify` says. <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>
//!
//! It is lines of `NAME=value`. What is not known, or has no sense, is passed over, as the interface has it: a program
//! that speaks to a newer supervisor must not be punished for it.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Said;

/// How many characters of a `STATUS=` are kept.
const LONGEST_STATUS: usize = 256;

/// Reads a datagram, whatever is in it. Of a line that comes twice the last counts.
///
/// Whether the process of `MAINPID=` belongs to the run is not known here.
pub(crate) fn parse(datagram: &[u8]) -> Said {
    let mut said = Said::default();
    for line in datagram.split(|byte| *byte == b'\n') {
        let Some(equals) = line.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (&line[..equals], &line[equals + 1..]);
        match (name, value) {
            (b"READY", b"1") => said.ready = true,
            (b"RELOADING", b"1") => said.reloading = true,
            (b"STOPPING", b"1") => said.stopping = true,
            (b"WATCHDOG", b"1") => said.alive = true,
            (b"WATCHDOG", b"trigger") => said.hangs = true,
            (b"STATUS", text) => said.status = Some(status(text)),
            (b"WATCHDOG_USEC", number) => said.watchdog = duration(number).or(said.watchdog),
            (b"EXTEND_TIMEOUT_USEC", number) => said.extend = duration(number).or(said.extend),
            (b"MAINPID", number) => said.main_pid = pid(number).or(said.main_pid),
            _ => {}
        }
    }
    said
}

fn status(text: &[u8]) -> Arc<str> {
    // No character takes more than four bytes.
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * LONGEST_STATUS)]);
    text.chars().filter(|character| !character.is_control()).take(LONGEST_STATUS).collect::<String>().into()
}

/// A time in microseconds. Zero and the highest number stand for "no limit", which nobody may ask for here.
fn duration(text: &[u8]) -> Option<Duration> {
    number(text).filter(|micros| !matches!(*micros, 0 | u64::MAX)).map(Duration::from_micros)
}

fn pid(text: &[u8]) -> Option<u32> {
    i32::try_from(number(text)?).ok().filter(|pid| *pid > 0).map(i32::unsigned_abs)
}

fn number(text: &[u8]) -> Option<u64> {
    // The standard library would take a sign.
    let digits = text.first().is_some_and(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_line_says_one_thing() {
        let text = b"READY=1\nRELOADING=1\nSTOPPING=1\nWATCHDOG=1\nSTATUS=99 % done\nWATCHDOG_USEC=3000000\n\
            EXTEND_TIMEOUT_USEC=1500000\nMAINPID=4711\nMONOTONIC_USEC=123\nX_MINE=1\nERRNO=2\n";
        let expected = Said {
            ready: true,
            reloading: true,
            stopping: true,
            status: Some("99 % done".into()),
            alive: true,
            hangs: false,
            watchdog: Some(Duration::from_secs(3)),
            extend: Some(Duration::from_millis(1500)),
            main_pid: Some(4711),
        };
        assert_eq!(parse(text), expected);
        assert!(parse(b"WATCHDOG=trigger").hangs);
    }

    #[test]
    fn what_makes_no_sense_says_nothing() {
        for text in [
            "",
            "\n\n",
            "=",
            "READY",
            "READY=0",
            "READY=1 ",
            " READY=1",
            "ready=1",
            "WATCHDOG=2",
            "WATCHDOG_USEC=0",
            "WATCHDOG_USEC=18446744073709551615",
            "WATCHDOG_USEC=18446744073709551616",
            "WATCHDOG_USEC=-1",
            "EXTEND_TIMEOUT_USEC=+5",
            "EXTEND_TIMEOUT_USEC=1s",
            "MAINPID=0",
            "MAINPID=-1",
            "MAINPID=4294967297",
            "BARRIER=1",
        ] {
            assert_eq!(parse(text.as_bytes()), Said::default(), "{text:?}");
        }
    }

    #[test]
    fn of_two_the_last_that_makes_sense_counts() {
        let said = parse(b"STATUS=one\nMAINPID=7\nWATCHDOG_USEC=5\nSTATUS=two\nMAINPID=x\nWATCHDOG_USEC=");
        assert_eq!(said.status.as_deref(), Some("two"));
        assert_eq!((said.main_pid, said.watchdog), (Some(7), Some(Duration::from_micros(5))));
    }

    #[test]
    fn a_status_is_short_and_can_be_shown() {
        let said = parse(b"STATUS=\x1b[31mred\x07\xff=\ttail\r");
        assert_eq!(said.status.as_deref(), Some("[31mred\u{fffd}=tail"));
        let long = format!("STATUS={}", "ä".repeat(1000));
        assert_eq!(parse(long.as_bytes()).status.as_deref(), Some(&*"ä".repeat(256)));
        assert_eq!(parse(b"STATUS=").status.as_deref(), Some(""), "nothing to say any more");
    }

    proptest! {
        #[test]
        fn any_datagram_is_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            parse(&bytes);
        }

        #[test]
        fn whatever_is_said_is_bounded(
            lines in prop::collection::vec(("[A-Z_]{1,9}|READY|STATUS|MAINPID|WATCHDOG_USEC", any::<Vec<u8>>()), 0..9),
        ) {
            let text = lines.iter().flat_map(|(name, value)| [name.as_bytes(), b"=", value, b"\n"].concat());
            let said = parse(&text.collect::<Vec<_>>());
            if let Some(status) = said.status {
                prop_assert!(status.chars().count() <= LONGEST_STATUS && !status.contains(char::is_control));
            }
            prop_assert!(said.main_pid.is_none_or(|pid| i32::try_from(pid).is_ok()));
        }
    }
}

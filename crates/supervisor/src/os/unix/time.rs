//! When processes began, as the clock on the wall has it: that is all that every system tells of it.

use chrono::NaiveDateTime;
use rustix::time::{ClockId, clock_gettime};

/// How far the times of one process may lie apart, in seconds: that at which we have started it, and that which the system tells.
const TOLERANCE: i64 = 2;

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    clock_gettime(ClockId::Realtime).tv_sec
}

/// Whether these two may be the same moment.
pub(super) fn is_same(one: i64, other: i64) -> bool {
    one.abs_diff(other) <= TOLERANCE.unsigned_abs()
}

/// What `ps` tells in the language that all speak, of a clock without a zone: `Sun Nov 29 16:51:33 2026`.
pub(super) fn parse(text: &str) -> Option<i64> {
    let words: Vec<_> = text.split_whitespace().collect();
    let text = words.join(" ");
    Some(NaiveDateTime::parse_from_str(&text, "%a %b %d %H:%M:%S %Y").ok()?.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_told() {
        assert_eq!(parse("Thu Jan  1 00:01:02 1970\n"), Some(62));
        assert_eq!(parse("Sun Nov 29 16:51:33 2026"), Some(1_795_971_093));
        for nonsense in ["", "yesterday", "Sun Nov 31 16:51:33 2026"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}

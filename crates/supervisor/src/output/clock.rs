//! The wall clock, for the names of log files, their retention and the times in their lines. Nothing is decided by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local, NaiveDate, SecondsFormat};

/// The date by local time, which costs little to ask for again and again.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    /// The quarter of an hour since 1970 that was asked for last, and its date.
    last: Option<(i64, NaiveDate)>,
}

impl Calendar {
    pub(super) fn date(&mut self, now: i64) -> NaiveDate {
        // Every time zone's midnight is on a quarter of an hour of universal time, so a date holds for all of one. Set
        // the clock or the time zone as you like: it is noticed with the next quarter.
        let quarter = now.div_euclid(15 * 60);
        match self.last {
            Some((last, date)) if last == quarter => date,
            _ => {
                let date = local_date(now);
                self.last = Some((quarter, date));
                date
            }
        }
    }
}

/// The time as it stands in lines, `2026-11-29T08:30:00.123+01:00`, which costs little to ask for again and again.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    /// The second since 1970 that was asked for last.
    second: Option<u64>,
    text: String,
}

impl Stamp {
    pub(super) fn now(&mut self) -> &str {
        self.at(since_1970())
    }

    fn at(&mut self, since: Duration) -> &str {
        if self.second != Some(since.as_secs()) {
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default().with_timezone(&Local);
            self.text = time.to_rfc3339_opts(SecondsFormat::Millis, false);
            self.second = Some(since.as_secs());
        }
        // The milliseconds stand before the distance from universal time.
        let end = self.text.len() - "+01:00".len();
        self.text.replace_range(end - 3..end, &format!("{:03}", since.subsec_millis()));
        &self.text
    }
}

/// The date by local time.
pub(super) fn local_date(now: i64) -> NaiveDate {
    DateTime::from_timestamp(now, 0).unwrap_or_default().with_timezone(&Local).date_naive()
}

/// Seconds since 1970.
pub(super) fn unix_now() -> i64 {
    i64::try_from(since_1970().as_secs()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the names of log files, their retention and the times in lines follow the wall clock"
)]
fn since_1970() -> Duration {
    // A clock that stands before 1970 was not set: then the day does not matter.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_milliseconds_and_says_how_far_it_is_from_universal_time() {
        let mut stamp = Stamp::default();
        for milliseconds in [1_795_941_000_123, 1_795_941_000_009, 1_795_941_001_000, 0] {
            let text = stamp.at(Duration::from_millis(milliseconds));
            assert_eq!(text.len(), "2026-11-29T08:30:00.123+01:00".len());
            let time = DateTime::parse_from_rfc3339(text).unwrap();
            assert_eq!(time.timestamp_millis(), i64::try_from(milliseconds).unwrap(), "{text}");
            assert_eq!(time.with_timezone(&Local).naive_local(), time.naive_local());
        }
    }
}

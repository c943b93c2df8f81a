//! Times as lines begin with them, and as people type them.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::duration::parse_duration;

/// The longest time that a line may begin with: `2026-11-29T08:30:00.123456789+01:00`.
const LONGEST: usize = 35;

/// The time that a line begins with, and how long it is: RFC 3339, or `2026-11-29 08:30:00,123` by local time.
pub(super) fn leading(line: &[u8]) -> Option<(DateTime<Utc>, usize)> {
    // Nearly every line that has none is told by this, and at no cost.
    if !matches!(line, [b'0'..=b'9', _, _, _, b'-', _, _, b'-', _, _, b'T' | b't' | b' ', _, _, b':', ..]) {
        return None;
    }
    let is_of_time = |byte: &u8| byte.is_ascii_digit() || b"-:.,+TtZz".contains(byte);
    let after_date = "yyyy-mm-dd ".len();
    let rest = &line[after_date..line.len().min(LONGEST + 1)];
    let length = after_date + rest.iter().position(|byte| !is_of_time(byte)).unwrap_or(rest.len());
    let text = std::str::from_utf8(line.get(..length)?).ok()?.trim_end_matches([':', ',', '.', '-']);
    if text.len() < "yyyy-mm-dd hh:mm:ss".len() {
        return None;
    }
    let with_point = text.replace(',', ".");
    let time = rfc3339(&with_point).or_else(|| local(&with_point.replace(['T', 't'], " ")))?;
    Some((time, text.len()))
}

pub(super) fn rfc3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// A time without an offset; one that the clock shows twice, at the end of summer time, is the first.
fn local(text: &str) -> Option<DateTime<Utc>> {
    let time = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    Some(time.and_local_timezone(Local).earliest()?.to_utc())
}

/// Reads what people type for a time: one of RFC 3339, one by local time, a date, or how long ago it is.
pub(super) fn parse_since(text: &str) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_local_timezone(Local).earliest();
    if let Some(time) = rfc3339(text).or_else(|| local(&text.replace(['T', 't'], " "))) {
        return Ok(time);
    }
    if let Some(time) = text.parse().ok().and_then(midnight) {
        return Ok(time.to_utc());
    }
    let ago = parse_duration(text).ok().and_then(|ago| chrono::TimeDelta::from_std(ago).ok());
    ago.and_then(|ago| Utc::now().checked_sub_signed(ago)).ok_or_else(|| {
        format!(
            "{text:?} is no time: write one (2026-11-22T13:14:15+01:00, 2026-11-22 13:14, 2026-11-22), or how long \
             ago it is (10m)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_begin_with_its_time() {
        fn time(line: &str) -> Option<(DateTime<Utc>, &str)> {
            leading(line.as_bytes()).map(|(time, length)| (time, &line[..length]))
        }
        let at = |text: &str| rfc3339(text).unwrap();
        for (line, text) in [
            ("2026-11-29T08:30:00.123+01:00 text", "2026-11-29T08:30:00.123+01:00"),
            ("2026-11-29T08:30:00Z", "2026-11-29T08:30:00Z"),
            ("2026-11-29 08:30:00.5+00:00: x", "2026-11-29 08:30:00.5+00:00"),
        ] {
            assert_eq!(time(line), Some((at(&text.replace("9 ", "9T")), text)), "{line}");
        }
        let naive = local("2026-11-29 08:30:00.123").unwrap();
        for line in
            ["2026-11-29 08:30:00,123 INFO", "2026-11-29T08:30:00.123 x", "2026-11-29 08:30:00.123: x"]
        {
            assert_eq!(time(line).unwrap().0, naive, "{line}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_taken_for_one() {
        for line in
            ["", "2026", "2026-11-29", "2026-11-29 is a day", "2026-13-29 08:30:00 x", "1234-56-78 90:12"]
        {
            assert_eq!(leading(line.as_bytes()), None, "{line}");
        }
        assert_eq!(leading(b"2026-11-29 08:30:0\xff"), None);
        assert!(leading("9".repeat(100).as_bytes()).is_none());
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_line_begins_with_its_time_is_no_longer_than_the_line(
            line in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}.{0,30}",
            bytes: Vec<u8>,
        ) {
            for line in [line.as_bytes(), &bytes] {
                if let Some((_, length)) = leading(line) {
                    proptest::prop_assert!(length <= line.len());
                }
            }
        }
    }

    #[test]
    fn people_type_times_dates_and_how_long_ago() {
        assert_eq!(parse_since("2026-11-29T08:30:00+01:00"), Ok(rfc3339("2026-11-29T07:30:00Z").unwrap()));
        assert_eq!(parse_since("2026-11-29 08:30"), Ok(local("2026-11-29 08:30:00").unwrap()));
        assert_eq!(parse_since("2026-11-29"), Ok(local("2026-11-29 00:00:00").unwrap()));
        let ago = Utc::now() - parse_since("10m").unwrap();
        assert!((599..660).contains(&ago.num_seconds()), "{ago}");
        for text in ["", "yesterday", "-5", "2026-11-99"] {
            assert!(parse_since(text).is_err(), "{text}");
        }
    }
}

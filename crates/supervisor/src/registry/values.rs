//! What a value may be, and text -> value. Each rule says in its error what is allowed.
//!
//! - `measures`: times and sizes, with their units

mod measures;

use std::ops::RangeInclusive;

use self::measures::positive_duration;
pub(super) use self::measures::{amount, duration, interval, size};
use super::problem::{plain, quoted};
use crate::signal::Signal;
use crate::spec::log_pattern;

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text; it may be empty once its settings are put in.
    Text,
    /// A path: any text but none at all.
    Path,
    /// The path of a file that is written.
    File,
    /// A name of something outside the registry, or of a profile: any text but none at all.
    Name,
    /// The id of a component.
    Id,
    /// `SV::Name`, or `TC::maxDays`; never expanded.
    SettingName,
    /// The name of an environment variable.
    VariableName,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Number { min: i64, max: i64 },
    /// A whole number in octal, up to 777.
    Octal,
    /// A number with decimals.
    Decimal { min: u32, max: u32 },
    /// A time from nothing to 365 days.
    Duration,
    /// A time of more than nothing, up to 365 days.
    PositiveDuration,
    /// Nothing, or a time from 5 seconds to a day.
    Interval,
    /// A number of bytes, at least 1.
    Size,
    /// `unlimited`, or a number that may be a size.
    Amount,
    /// The name or number of a signal.
    Signal,
    /// An `http://` URL.
    HttpUrl,
    /// A status of HTTP, or a range of them.
    HttpStatus,
    /// A regular expression.
    Pattern,
    /// One of these words, of which some do not work yet.
    Choice { values: &'static [&'static str], later: &'static [&'static str] },
}

impl Kind {
    /// Checks a value whose settings are put in.
    ///
    /// # Errors
    /// The end of a sentence that begins with the name of the value: `must be true or false, not "yes"`.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Text | Self::SettingName => Ok(()),
            Self::Path | Self::Name => {
                if text.is_empty() {
                    return Err("is empty once its settings are put in".into());
                }
                Ok(())
            }
            Self::File => {
                let name = text.rsplit(std::path::is_separator).next().unwrap_or_default();
                if matches!(name, "" | "." | "..") {
                    return Err(wrong("end with the name of a file", text));
                }
                Ok(())
            }
            Self::Id => match crate::ComponentId::new(text) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{}, not {}", error.rule, quoted(text))),
            },
            Self::VariableName => variable_name(text),
            Self::Boolean => boolean(text).map(drop),
            Self::Number { min, max } => number(text, min, max).map(drop),
            Self::Octal => octal(text).map(drop),
            Self::Decimal { min, max } => decimal(text, min, max).map(drop),
            Self::Duration => duration(text).map(drop),
            Self::PositiveDuration => positive_duration(text),
            Self::Interval => interval(text).map(drop),
            Self::Size => size(text).map(drop),
            Self::Amount => amount(text).map(drop),
            Self::Signal => signal(text).map(drop),
            Self::HttpUrl => http_url(text),
            Self::HttpStatus => http_status(text).map(drop),
            Self::Pattern => match log_pattern(text) {
                Ok(_) => Ok(()),
                Err(why) => Err(format!("{}: {}", wrong("be a regular expression", text), plain(&why))),
            },
            Self::Choice { values, later } => {
                if later.contains(&text) {
                    return Err(format!("{text} is not supported yet"));
                }
                if !values.contains(&text) {
                    return Err(wrong(&format!("be {}", one_of(values)), text));
                }
                Ok(())
            }
        }
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong("be true or false", text)),
    }
}

pub(super) fn number(text: &str, min: i64, max: i64) -> Result<i64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let number = if is_digits(digits) { text.parse().ok() } else { None };
    number
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| wrong(&format!("be a whole number from {min} to {max}"), text))
}

pub(super) fn octal(text: &str) -> Result<u32, String> {
    let is_octal = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    let number = if is_octal { u32::from_str_radix(text, 8).ok() } else { None };
    number
        .filter(|&bits| bits <= 0o777)
        .ok_or_else(|| wrong("be permission bits in octal, from 000 to 777", text))
}

pub(super) fn decimal(text: &str, min: u32, max: u32) -> Result<f64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let number = if is_digits(whole) && is_digits(fraction) { text.parse::<f64>().ok() } else { None };
    number
        .filter(|number| (f64::from(min)..=f64::from(max)).contains(number))
        .ok_or_else(|| wrong(&format!("be a number from {min} to {max}"), text))
}

pub(super) fn signal(text: &str) -> Result<Signal, String> {
    Signal::from_name(text)
        .ok_or_else(|| wrong("be the name of a signal, or its number from 1 to 64 (TERM, SIGHUP, 10)", text))
}

/// What a prober can ask: no user, which would be a secret in the open, and nothing that could end the line of a
/// request.
fn http_url(text: &str) -> Result<(), String> {
    const RULE: &str = "be a URL with a host (http://127.0.0.1:8080/health)";
    if text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
        return Err(format!("{}; https is refused: ask for http on this machine", wrong(RULE, text)));
    }
    let rest = text.strip_prefix("http://").filter(|rest| rest.bytes().all(|byte| byte.is_ascii_graphic()));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let is_url = authority.is_some_and(is_host_and_port) && !text.contains('#');
    if is_url { Ok(()) } else { Err(wrong(RULE, text)) }
}

/// `localhost`, `localhost:8080`, `[::1]:8080`
fn is_host_and_port(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (address, port),
        Some(_) => return false,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = |port: &str| is_digits(port) && port.parse::<u16>().is_ok_and(|port| port > 0);
    !host.is_empty()
        && !authority.contains('@')
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// `200` or `200-399`
pub(super) fn http_status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 3 && is_digits(text));
    let range = status(first).zip(status(last)).map(|(first, last)| first..=last);
    range
        .filter(|range| !range.is_empty() && *range.start() >= 100 && *range.end() <= 599)
        .ok_or_else(|| wrong("be a status from 100 to 599, or a range of them (204, 200-399)", text))
}

/// What no system can hold in a name, and what people would not find again.
pub(super) fn variable_name(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control()) {
        return Err(wrong("be the name of a variable, without \"=\" and blanks", text));
    }
    Ok(())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn wrong(rule: &str, text: &str) -> String {
    format!("must {rule}, not {}", quoted(text))
}

/// `a, b or c`
pub(super) fn one_of(values: &[&str]) -> String {
    match values {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_duration_is_seconds_or_has_a_unit() {
        let milliseconds = |text| duration(text).map(|duration| duration.as_millis());
        for (text, expected) in [
            ("0", 0),
            ("5", 5_000),
            ("0.5", 500),
            ("250ms", 250),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1.5h", 5_400_000),
            ("31536000", 31_536_000_000),
        ] {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        assert_eq!(duration("0.000000001"), Ok(Duration::from_nanos(1)));
        for text in [
            "", "five", "-1", "+1", "1e3", ".5", "5.", "5 s", "5d", "5S", "inf", "1.2.3", "31536001", "s",
            "٥",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration(&"9".repeat(60_000)).is_err_and(|error| error.len() < 300));
    }

    #[test]
    fn an_interval_is_off_or_from_5_seconds_to_a_day() {
        for text in ["0", "5", "86400", "24h"] {
            assert!(interval(text).is_ok(), "{text}");
        }
        for text in ["4", "4.999", "86401", "x"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_bytes_or_has_a_unit() {
        for (text, expected) in [("1", 1), ("64k", 65_536), ("64m", 67_108_864), ("2g", 2_147_483_648)] {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "-1", "64mb", "1.5g", "k", "99999999999999999999", "18446744073709551615g"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(amount("unlimited"), Ok(None));
        assert_eq!(amount("0"), Ok(Some(0)));
    }

    #[test]
    fn numbers_keep_their_range_and_form() {
        assert_eq!(number("-20", -20, 19), Ok(-20));
        for text in ["", "20", "-21", "+1", "0x10", "1.0", "1 000", "99999999999999999999"] {
            assert!(number(text, -20, 19).is_err(), "{text}");
        }
        assert_eq!(octal("022"), Ok(0o22));
        for text in ["", "8", "1000", "00022", "-1"] {
            assert!(octal(text).is_err(), "{text}");
        }
        assert_eq!(decimal("0.1", 0, 1), Ok(0.1));
        for text in ["", "1.1", "-0.1", "NaN", "inf", "1e-1", ".5", "1."] {
            assert!(decimal(text, 0, 1).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_is_http_with_a_host_and_can_do_no_harm_in_a_request() {
        for url in [
            "http://a",
            "http://127.0.0.1:8080/health?full=1&x=%20",
            "http://[::1]:65535/",
            "http://localhost?ready",
        ] {
            assert_eq!(Kind::HttpUrl.check(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "a/b",
            "http://",
            "http:///x",
            "http://:80/",
            "http://a:",
            "http://a:0",
            "http://a:65536",
            "http://a:+1",
            "http://a:1:2",
            "http://[::1",
            "http://[::g]/",
            "http://[::1]80",
            "http://user:password@a/",
            "http://a/b c",
            "http://a/\r\nHost: b",
            "http://ä/",
            "http://a/#top",
            "HTTP://a",
            "ftp://a",
        ] {
            assert!(Kind::HttpUrl.check(url).is_err(), "{url}");
        }
        for url in ["https://a", "HTTPS://a/b"] {
            assert!(Kind::HttpUrl.check(url).unwrap_err().contains("https is refused"), "{url}");
        }
    }

    #[test]
    fn a_status_is_one_number_or_a_range() {
        assert_eq!(http_status("204"), Ok(204..=204));
        assert_eq!(http_status("200-399"), Ok(200..=399));
        for text in ["", "99", "600", "399-200", "200-", "-399", "200-300-399", "+200", "0200", "2xx"] {
            assert!(http_status(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_bounded_and_its_error_has_one_line() {
        for pattern in ["^Ready", r"Server startup in \[?\d+", "(?i)READY|Started"] {
            assert_eq!(Kind::Pattern.check(pattern), Ok(()), "{pattern}");
        }
        let nested = format!("{}a{}", "(".repeat(1_000), ")".repeat(1_000));
        for pattern in ["(", "a{2,1}", "((a{100}){100}){100}", "\\p{Nonsense}", &nested, "(?=a)"] {
            let error = Kind::Pattern.check(pattern).unwrap_err();
            assert!(!error.contains('\n') && error.len() < 300, "{error}");
        }
    }

    #[test]
    fn a_file_that_is_written_has_a_name() {
        for text in ["ps.log", "/var/log/ps", "../.log", "..."] {
            assert_eq!(Kind::File.check(text), Ok(()), "{text}");
        }
        for text in ["", "/", ".", "..", "logs/", "logs/.", "logs/.."] {
            assert!(Kind::File.check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_rule_and_the_value() {
        assert_eq!(Kind::Boolean.check("yes").unwrap_err(), "must be true or false, not \"yes\"");
        let choice = Kind::Choice { values: &["a", "b", "c"], later: &["c"] };
        assert_eq!(choice.check("d").unwrap_err(), "must be a, b or c, not \"d\"");
        assert_eq!(choice.check("c").unwrap_err(), "c is not supported yet");
    }
}

//! Times and sizes, with their units.

use std::time::Duration;

use super::{is_digits, wrong};

/// The longest duration: what is longer is a mistake, and sums of such still fit everywhere.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// `5`, `0.5`, `250ms`, `5s`, `2m`, `1h`.
pub(in super::super) fn duration(text: &str) -> Result<Duration, String> {
    exact_duration(text).filter(|duration| *duration <= LONGEST).ok_or_else(|| {
        wrong("be a time of at most 365 days, in seconds or with a unit (5, 0.5, 250ms, 5s, 2m, 1h)", text)
    })
}

pub(super) fn positive_duration(text: &str) -> Result<(), String> {
    match duration(text)? {
        Duration::ZERO => Err(wrong("be longer than nothing", text)),
        _ => Ok(()),
    }
}

pub(in super::super) fn interval(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(86_400);
    exact_duration(text)
        .filter(|interval| interval.is_zero() || (Duration::from_secs(5)..=DAY).contains(interval))
        .ok_or_else(|| wrong("be 0, or a time from 5 to 86400 seconds", text))
}

fn exact_duration(text: &str) -> Option<Duration> {
    let unit_start = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_start);
    let nanoseconds_per_unit: u128 = match unit {
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // As many digits as the longest duration has in milliseconds, and as few as nanoseconds can tell apart.
    if !is_digits(whole) || !is_digits(fraction) || whole.len() > 12 || fraction.len() > 9 {
        return None;
    }
    let billionths: u128 = format!("{fraction:0<9}").parse().ok()?;
    let units_in_billionths = whole.parse::<u128>().ok()? * 1_000_000_000 + billionths;
    let nanoseconds = units_in_billionths * nanoseconds_per_unit / 1_000_000_000;
    Some(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
}

pub(in super::super) fn size(text: &str) -> Result<u64, String> {
    exact_size(text)
        .filter(|&size| size > 0)
        .ok_or_else(|| wrong("be a number of bytes, at least 1, or one with k, m or g (4096, 64m)", text))
}

/// `unlimited` is `None`.
pub(in super::super) fn amount(text: &str) -> Result<Option<u64>, String> {
    if text == "unlimited" {
        return Ok(None);
    }
    exact_size(text)
        .map(Some)
        .ok_or_else(|| wrong("be unlimited, or a number, also with k, m or g (4096, 64m)", text))
}

fn exact_size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    if !is_digits(digits) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

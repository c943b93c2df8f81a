//! Durations as people type them.

use std::time::Duration;

/// Reads seconds, whole or decimal (`5`, `0.5`), or a number with a unit (`250ms`, `5s`, `2m`, `1h 30m`).
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write seconds (5, 0.5) or a unit (250ms, 5s, 2m, 1h)");
    match text.trim().parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| wrong()),
        Err(_) => humantime::parse_duration(text).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_units_are_read_and_anything_else_is_refused() {
        for (text, milliseconds) in
            [("5", 5000), ("0.5", 500), ("250ms", 250), ("5s", 5000), ("2m", 120_000), ("1h 1s", 3_601_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "-1", "five", "5 parsecs", "inf", "nan", "1e400"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}

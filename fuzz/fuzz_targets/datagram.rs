//! Any bytes as a datagram of `sd_notify`.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use supervisor::fuzzing::{Heard, hear};

fuzz_target!(|datagram: &[u8]| {
    let heard = hear(datagram);
    if let Some(status) = &heard.status {
        assert!(status.chars().count() <= 256 && !status.contains(char::is_control), "{status:?}");
    }
    assert!(heard.main_pid.is_none_or(|pid| pid > 0 && i32::try_from(pid).is_ok()));
    assert!(heard.watchdog != Some(Duration::ZERO) && heard.extend != Some(Duration::ZERO));
    assert_eq!(hear(said(&heard).as_bytes()), heard, "said again, it means the same");
});

/// A datagram that says just that.
fn said(heard: &Heard) -> String {
    let Heard { words, status, watchdog, extend, main_pid } = heard;
    let mut lines: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    lines.extend(status.as_ref().map(|status| format!("STATUS={status}")));
    lines.extend(watchdog.map(|time| format!("WATCHDOG_USEC={}", time.as_micros())));
    lines.extend(extend.map(|time| format!("EXTEND_TIMEOUT_USEC={}", time.as_micros())));
    lines.extend(main_pid.map(|pid| format!("MAINPID={pid}")));
    lines.join("\n")
}

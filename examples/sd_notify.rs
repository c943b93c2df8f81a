//! A component that speaks systemd's protocol, by the crate `sd-notify`: it says what it does and when it is ready, and
//! gives a sign of life for as long as it is well.
//!
//! `sd_notify CONFIGURATION`, under a registry that says `<readiness><notify/></readiness>` and
//! `<watchdog timeout="10s"/>`. It is the same program under systemd, and runs as well where nobody listens.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::time::Duration;

use sd_notify::NotifyState;

fn main() -> io::Result<()> {
    let configuration =
        std::env::args_os().nth(1).ok_or_else(|| io::Error::other("no configuration given"))?;
    sd_notify::notify(&[NotifyState::Status("reads its configuration")])?;
    let mut name = String::new();
    // A FIFO will do too: then it is ready when somebody has written a line.
    BufReader::new(File::open(configuration)?).read_line(&mut name)?;
    sd_notify::notify(&[NotifyState::Status(&format!("serves {}", name.trim())), NotifyState::Ready])?;

    // Where a watchdog waits, WATCHDOG_USEC says for how long. Half of that, so that one sign may be late.
    let pause = sd_notify::watchdog_enabled().map_or(Duration::from_secs(60), |timeout| timeout / 2);
    loop {
        sd_notify::notify(&[NotifyState::Watchdog])?;
        #[expect(clippy::disallowed_methods, reason = "an example has nothing else to do")]
        std::thread::sleep(pause);
    }
}

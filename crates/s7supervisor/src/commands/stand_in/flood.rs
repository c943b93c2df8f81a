//! The stand-in's flood of lines.

use std::io::Write;
use std::time::Duration;

use super::StandIn;

/// What a pipe that has room takes without blocking: `PIPE_BUF`.
const CHUNK: usize = 4096;
/// The length of a line, its end included.
const LINE: usize = 64;

/// Lines to standard output, numbered from 1.
pub(super) struct Flood {
    name: String,
    rate: Option<u32>,
    written: u64,
}

impl Flood {
    /// The flood that was asked for, if one was.
    pub(super) fn new(told: &StandIn) -> Option<Self> {
        told.flood.then(|| Self { name: told.name.clone(), rate: told.rate, written: 0 })
    }

    /// How long it is until the next line is due, `age` after the beginning.
    pub(super) fn pause(&self, age: Duration) -> Duration {
        match self.rate {
            None => Duration::ZERO,
            Some(rate) => {
                let due = Duration::from_secs_f64((self.written + 1) as f64 / f64::from(rate));
                due.saturating_sub(age)
            }
        }
    }

    /// Writes the lines that are due, but not more than one chunk. `false`: nobody reads any more.
    pub(super) fn write_some(&mut self, age: Duration) -> bool {
        let mut chunk = Vec::with_capacity(CHUNK);
        while chunk.len() + LINE <= CHUNK && self.pause(age).is_zero() {
            self.written += 1;
            let text = format!("{}: line {} ", self.name, self.written);
            chunk.extend(text.bytes().chain(std::iter::repeat(b'.')).take(LINE - 1));
            chunk.push(b'\n');
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&chunk).and_then(|()| stdout.flush()).is_ok()
    }
}

//! What makes a process that very process, and what has become of one that is known of from before.

use std::io;
use std::os::windows::io::{AsHandle, BorrowedHandle};
use std::ptr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use windows_sys::Wdk::System::SystemInformation::{NtQuerySystemInformation, SystemTimeOfDayInformation};
use windows_sys::Win32::System::WindowsProgramming::QueryUnbiasedInterruptTime;

use super::figures::times;
use super::leftovers::Leftover;
use super::process::Process;
use crate::run::Exit;

/// How long what is known of from before may take to be gone: it ends with its supervisor.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// Where pids and times of beginning mean what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// When the machine began, as it says.
    pub(crate) boot: String,
    /// There is but one.
    pub(crate) namespace: u64,
}

/// One process, in one [`Place`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// When it began, in units of 100 ns.
    started: u64,
}

impl Place {
    /// Where we are. (Whoever sets the clock of the machine has it begin at another time, and what is written down is of no use.)
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn here() -> io::Result<Self> {
        /// The first of several numbers is when the machine began.
        const NUMBERS: usize = 6;
        let mut told = [0_i64; NUMBERS];
        let size = size_of_val(&told) as u32;
        // SAFETY: so many bytes may be written.
        let status = unsafe {
            NtQuerySystemInformation(
                SystemTimeOfDayInformation,
                told.as_mut_ptr().cast(),
                size,
                ptr::null_mut(),
            )
        };
        if status < 0 {
            return Err(io::Error::other(format!("the system does not say when it began ({status:#x})")));
        }
        Ok(Self { boot: told[0].to_string(), namespace: 0 })
    }
}

impl Identity {
    pub(super) fn of(pid: u32, process: BorrowedHandle<'_>) -> Option<Self> {
        times(process).map(|(started, _)| Self { pid, started })
    }
}

/// What has become of a process that is known of from before.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It lives: never here, because it ends with the supervisor that has started it.
    #[expect(dead_code, reason = "every system has the same names; what cannot be never is")]
    Lives(Process),
    /// It has ended: so, if that is known.
    Ended(Option<Exit>),
}

impl Process {
    /// Looks for a process that another supervisor has started, and waits for its end, which has come or is near.
    ///
    /// # Errors
    /// It does not end.
    pub(crate) fn find(identity: &Identity) -> io::Result<Fate> {
        let process = Leftover::hold(identity.pid).ok().flatten();
        let is_it = |process: &Leftover| {
            Identity::of(identity.pid, process.handle().as_handle()).as_ref() == Some(identity)
        };
        let Some(process) = process.filter(is_it) else { return Ok(Fate::Ended(None)) };
        process.kill();
        if process.ends_within(LAST_MOMENT) {
            return Ok(Fate::Ended(process.exit()));
        }
        Err(io::Error::other(format!("process {} of an earlier supervisor does not end", identity.pid)))
    }

    /// Nothing is adopted.
    pub(crate) fn adopt(_process: Leftover) -> Option<Self> {
        None
    }
}

/// The time since the machine began, without that in which it slept.
pub(crate) fn monotonic() -> Duration {
    let mut time = 0;
    // SAFETY: the number is written.
    unsafe { QueryUnbiasedInterruptTime(&raw mut time) };
    Duration::from_nanos(time.saturating_mul(100))
}

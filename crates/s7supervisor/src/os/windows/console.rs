//! What the console tells: Ctrl-C, Ctrl-Break, that its window is closed, that somebody logs off or the system ends.
#![expect(
    unsafe_code,
    reason = "no safe library tells which of them it was, or waits with the end of the process"
)]

use std::fmt;
use std::io;
use std::sync::OnceLock;

use crossbeam_channel::{Receiver, Sender, bounded, never};
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT,
    SetConsoleCtrlHandler,
};

/// What was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Interrupt,
    Break,
    /// The window is closed: the process is ended when the time is over that the system gives it, 5 s as a rule.
    Close,
    /// Likewise, everything ends.
    Shutdown,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "Ctrl-C",
            Self::Break => "Ctrl-Break",
            Self::Close => "the closing of the console",
            Self::Shutdown => "the end of the system",
        })
    }
}

static HEARD: OnceLock<Sender<Told>> = OnceLock::new();

/// Listens from now on, once in a process.
pub(crate) fn listen() -> io::Result<Receiver<Told>> {
    // A person presses Ctrl-C more often than needed, but not without end.
    let (sender, receiver) = bounded(16);
    HEARD.set(sender).map_err(|_| io::ErrorKind::AlreadyExists)?;
    // SAFETY: the function has the signature that is asked for, does not unwind, and needs nothing but a channel that stays.
    if unsafe { SetConsoleCtrlHandler(Some(hear), 1) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(receiver)
}

/// Runs in a thread that the system makes for this.
unsafe extern "system" fn hear(event: u32) -> i32 {
    let told = match event {
        CTRL_C_EVENT => Told::Interrupt,
        CTRL_BREAK_EVENT => Told::Break,
        CTRL_CLOSE_EVENT => Told::Close,
        CTRL_LOGOFF_EVENT | CTRL_SHUTDOWN_EVENT => Told::Shutdown,
        _ => return 0,
    };
    if let Some(heard) = HEARD.get() {
        // Full: enough was told.
        let _ = heard.try_send(told);
    }
    if matches!(told, Told::Close | Told::Shutdown) {
        // The process is ended as soon as this returns: until it has ended by itself, it must not.
        let _never = never::<()>().recv();
    }
    1
}

/// Ends the process with 0 when something is told.
pub(crate) fn end_on_events() -> io::Result<()> {
    // SAFETY: as above; it needs nothing at all.
    if unsafe { SetConsoleCtrlHandler(Some(end), 1) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "whoever follows has nothing to clean up")]
unsafe extern "system" fn end(_: u32) -> i32 {
    std::process::exit(0);
}

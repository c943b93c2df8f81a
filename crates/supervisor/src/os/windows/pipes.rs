//! Pipes of which nobody has to wait for what they hold.
//!
//! No handle is signalled when a pipe holds something. But a read of no bytes at all ends just then: one is always under way
//! while a pipe is empty, and rings a bell. What has come is taken out of the pipe at once, up to so much, and held here until
//! somebody wants it: so it can be told what is new. Beyond that it stays in the pipe, and whoever writes waits.

use std::fs::File;
use std::io;
use std::mem;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::Foundation::{GENERIC_WRITE, HANDLE, STATUS_PENDING};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, OPEN_EXISTING, PIPE_ACCESS_INBOUND,
    ReadFile,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::{
    CreateNamedPipeW, PIPE_READMODE_BYTE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE, PIPE_WAIT,
    PeekNamedPipe,
};
use windows_sys::Win32::System::Threading::SetEvent;

use super::handle::{bell, done, owned, wide};
use super::{Watchable, WriteEnd};

/// How much is taken out of a pipe before somebody wants it.
const ROOM: usize = 256 << 10;

/// How much a pipe holds itself.
const PIPE_SIZE: u32 = 64 << 10;

/// Above this, an emptied buffer is given back.
const SMALL: usize = 4 << 10;

/// The end of a pipe that is read.
#[derive(Debug)]
pub(crate) struct ReadEnd {
    pipe: OwnedHandle,
    /// Signalled when there is something new, or something that was to be reported again.
    bell: OwnedHandle,
    state: Mutex<State>,
}

struct State {
    /// Of the read of no bytes. It must stay where it is while that is under way.
    overlapped: Box<OVERLAPPED>,
    is_under_way: bool,
    /// Nothing more will come.
    is_at_end: bool,
    /// What is held is reported until it is wanted.
    reports_all: bool,
    held: Vec<u8>,
}

// SAFETY: the pointers in `OVERLAPPED` are handles, or are used by the system alone.
unsafe impl Send for State {}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("held", &self.held.len()).field("is_at_end", &self.is_at_end).finish()
    }
}

/// A pipe: the end to read, of which nobody waits, and the one to write. Neither is inherited by accident.
pub(crate) fn pipe() -> io::Result<(ReadEnd, WriteEnd)> {
    let name = wide(format!(r"\\.\pipe\s7-{:016x}{:016x}", random()?, random()?));
    let open_mode = PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE;
    let pipe_mode = PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS;
    // SAFETY: the name ends with zero; the handles are new.
    let (pipe, writer) = unsafe {
        let pipe = CreateNamedPipeW(name.as_ptr(), open_mode, pipe_mode, 1, 0, PIPE_SIZE, 0, ptr::null());
        let pipe = owned(pipe)?;
        let writer =
            CreateFileW(name.as_ptr(), GENERIC_WRITE, 0, ptr::null(), OPEN_EXISTING, 0, ptr::null_mut());
        (pipe, owned(writer)?)
    };
    let bell = bell()?;
    let mut overlapped = no_overlapped();
    overlapped.hEvent = bell.as_raw_handle();
    let state =
        State { overlapped, is_under_way: false, is_at_end: false, reports_all: true, held: Vec::new() };
    Ok((ReadEnd { pipe, bell, state: Mutex::new(state) }, writer))
}

fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::other)
}

fn no_overlapped() -> Box<OVERLAPPED> {
    // SAFETY: a struct of numbers and pointers, for which zeros are a value.
    Box::new(unsafe { mem::zeroed() })
}

impl ReadEnd {
    /// Only what has a name could be kept open, and nothing has.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What is held, after taking in what has come.
    fn look(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.fill(&mut state);
        state
    }

    fn raw(&self) -> HANDLE {
        self.pipe.as_raw_handle()
    }

    fn fill(&self, state: &mut State) {
        if state.is_under_way && !state.has_arrived() {
            return self.remind(state);
        }
        state.is_under_way = false;
        while !state.is_at_end && state.held.len() < ROOM {
            match self.available() {
                Ok(0) => {
                    self.await_more(state);
                    if state.is_under_way {
                        break;
                    }
                }
                Ok(available) => self.take(state, available),
                Err(_) => state.is_at_end = true,
            }
        }
        self.remind(state);
    }

    /// Rings for what is held, if that is to be reported.
    fn remind(&self, state: &State) {
        if state.reports_all && (!state.held.is_empty() || state.is_at_end) {
            // SAFETY: the handle is open.
            unsafe { SetEvent(self.bell.as_raw_handle()) };
        }
    }

    /// How much the pipe holds. An error is its end.
    fn available(&self) -> io::Result<usize> {
        let mut available = 0;
        let nothing = ptr::null_mut();
        // SAFETY: the handle is open; the one number is written.
        done(unsafe {
            PeekNamedPipe(self.raw(), nothing, 0, ptr::null_mut(), &raw mut available, ptr::null_mut())
        })?;
        Ok(available as usize)
    }

    /// Begins a read of no bytes, unless something has come just now.
    fn await_more(&self, state: &mut State) {
        let nothing = ptr::null_mut();
        // SAFETY: no byte is written; `overlapped` stays where it is until the read has ended (see `drop`).
        let is_over =
            unsafe { ReadFile(self.raw(), nothing, 0, nothing.cast(), &raw mut *state.overlapped) } != 0;
        let error = io::Error::last_os_error().raw_os_error();
        let pending = i32::try_from(windows_sys::Win32::Foundation::ERROR_IO_PENDING).ok();
        match (is_over, error == pending) {
            (true, _) => {}
            (false, true) => state.is_under_way = true,
            (false, false) => state.is_at_end = true,
        }
    }

    /// Takes out of the pipe what it holds, as far as there is room.
    fn take(&self, state: &mut State, available: usize) {
        let from = state.held.len();
        let wanted = available.min(ROOM - from);
        state.held.resize(from + wanted, 0);
        let mut overlapped = no_overlapped();
        let mut length = 0;
        // SAFETY: the buffer has so much room, and the second call waits until the first has ended: that is at once.
        let read = unsafe {
            // At most `ROOM`.
            let begun = ReadFile(
                self.raw(),
                state.held[from..].as_mut_ptr(),
                wanted as u32,
                ptr::null_mut(),
                &raw mut *overlapped,
            );
            let is_pending = io::Error::last_os_error().raw_os_error()
                == i32::try_from(windows_sys::Win32::Foundation::ERROR_IO_PENDING).ok();
            if begun != 0 || is_pending {
                done(GetOverlappedResult(self.raw(), &raw const *overlapped, &raw mut length, 1))
            } else {
                Err(io::Error::last_os_error())
            }
        };
        state.held.truncate(from + length as usize);
        state.is_at_end |= read.is_err();
    }

    fn discard(&self, length: usize) {
        let mut state = self.look();
        let length = length.min(state.held.len());
        state.held.drain(..length);
        if state.held.is_empty() && state.held.capacity() > SMALL {
            state.held = Vec::new();
        }
        self.fill(&mut state);
    }
}

impl State {
    /// Whether the read of no bytes has ended.
    fn has_arrived(&self) -> bool {
        let status = &raw const self.overlapped.Internal;
        // SAFETY: the system writes it, whole, when the read ends.
        unsafe { status.read_volatile() != STATUS_PENDING as usize }
    }
}

impl Watchable for ReadEnd {
    const HAPPENS_ONCE: bool = false;

    fn waitable(&self) -> BorrowedHandle<'_> {
        self.bell.as_handle()
    }

    fn report_all(&self, yes: bool) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).reports_all = yes;
        drop(self.look());
    }
}

impl Drop for ReadEnd {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.is_under_way && !state.has_arrived() {
            let (pipe, overlapped) = (self.pipe.as_raw_handle(), &raw const *state.overlapped);
            // SAFETY: the read is ours. Once the second call has returned the system does not use `overlapped` any more.
            unsafe {
                CancelIoEx(pipe, overlapped);
                GetOverlappedResult(pipe, overlapped, &mut 0, 1);
            }
        }
    }
}

/// Throws away what has come. Says whether more may come.
pub(crate) fn drain(source: &ReadEnd) -> bool {
    read_some(source, &mut [0; 512]) != Some(&[])
}

/// Reads what is there: `None` if that is nothing now, nothing at all once its end is reached.
pub(crate) fn read_some<'a>(source: &ReadEnd, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let state = source.look();
    let length = state.held.len().min(buffer.len());
    if length == 0 {
        return state.is_at_end.then_some(&[]);
    }
    buffer[..length].copy_from_slice(&state.held[..length]);
    drop(state);
    source.discard(length);
    Some(&buffer[..length])
}

/// How many bytes a pipe holds, as far as they can be looked at.
pub(crate) fn held_by(pipe: &ReadEnd) -> usize {
    pipe.look().held.len()
}

/// Whether nothing is in a pipe, nor ever will be, because nobody has its other end.
pub(crate) fn is_at_end(pipe: &ReadEnd) -> bool {
    let state = pipe.look();
    state.is_at_end && state.held.is_empty()
}

/// Whether something of a pipe is held here, of which the poller knows nothing: it is told of that again and again.
pub(crate) fn is_silent(_pipe: &ReadEnd) -> bool {
    false
}

/// Whether nobody has a pipe's other end. What it holds then is all that there will ever be.
pub(crate) fn has_hung_up(pipe: &ReadEnd) -> bool {
    pipe.look().is_at_end
}

/// The half of what is held of a pipe at most. Whoever writes to one of which more is held may soon have to wait.
pub(crate) fn half_of(_pipe: &ReadEnd) -> usize {
    ROOM / 2
}

/// Nothing can be moved past us.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`], always: then it is read and written.
pub(crate) fn move_to_file(_pipe: &ReadEnd, _file: &File, _at: u64, _most: usize) -> io::Result<usize> {
    Err(io::ErrorKind::InvalidInput.into())
}

/// None can be enlarged.
pub(crate) fn most_large_pipes(_pipes: usize) -> usize {
    0
}

/// None can be.
pub(crate) fn enlarge(_pipe: &ReadEnd) -> bool {
    false
}

/// Looks at what pipes hold without taking it out.
#[derive(Debug)]
pub(crate) struct Lens {
    /// Room for what is looked at; also for other uses in between.
    pub(crate) buffer: Vec<u8>,
}

impl Lens {
    /// Room for so many bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self { buffer: vec![0; size] }
    }

    /// The first bytes that a pipe holds, up to so many.
    pub(crate) fn look(&mut self, pipe: &ReadEnd, most: usize) -> io::Result<&[u8]> {
        let state = pipe.look();
        let length = state.held.len().min(most).min(self.buffer.len());
        self.buffer[..length].copy_from_slice(&state.held[..length]);
        Ok(&self.buffer[..length])
    }

    /// Throws away the first bytes that a pipe holds.
    pub(crate) fn discard(&mut self, pipe: &ReadEnd, length: usize) -> io::Result<()> {
        pipe.discard(length);
        Ok(())
    }
}

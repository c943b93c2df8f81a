//! Something with a handle for which the system waits, and that cannot be closed while it does.
//!
//! The threads of the system wait for the handles, of any number, and post what has happened to the poller. (The poller could have
//! that done too, but only once for each time that it is asked: here a bell may ring again and again.)

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::io;
use std::ops::Deref;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polling::os::iocp::{CompletionPacket, PollerIocpExt};
use polling::{Event, Poller};
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Threading::{
    INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEDEFAULT, WT_EXECUTEONLYONCE,
};

use super::handle::done;

/// What can be waited for.
pub(crate) trait Watchable {
    /// Whether what is waited for happens once and lasts, as the end of a process does. Otherwise the handle is a bell, which whoever
    /// waits for it stops.
    const HAPPENS_ONCE: bool;

    /// What is signalled.
    fn waitable(&self) -> BorrowedHandle<'_>;

    /// What is reported from now on: all that is there, for as long as it is, or only what comes.
    fn report_all(&self, _yes: bool) {}
}

impl<W: Watchable> Watchable for Arc<W> {
    const HAPPENS_ONCE: bool = W::HAPPENS_ONCE;

    fn waitable(&self) -> BorrowedHandle<'_> {
        W::waitable(self)
    }

    fn report_all(&self, yes: bool) {
        W::report_all(self, yes);
    }
}

/// Something of which a poller reports that there is something new.
#[derive(Debug)]
pub(crate) struct Watched<D: Watchable> {
    source: D,
    poller: Arc<Poller>,
    key: usize,
    wait: Option<Wait>,
}

impl<D: Watchable> Watched<D> {
    /// Has `source` watched; its events bear `key`.
    pub(crate) fn new(source: D, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        let mut watched = Self { source, poller: Arc::clone(poller), key, wait: None };
        watched.resume()?;
        Ok(watched)
    }

    /// The same: what is reported of a source depends on what it is.
    pub(crate) fn for_writing(source: D, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        Self::new(source, poller, key)
    }

    /// The same.
    pub(crate) fn for_priority(source: D, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        Self::new(source, poller, key)
    }

    /// The key that its events bear.
    pub(crate) fn key(&self) -> usize {
        self.key
    }

    /// Has it watched again, after [`Watched::pause`] or for [more](Self::await_more).
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.watch(true)
    }

    /// Has nothing reported of what is there now, after once more; but, once each time, of more that comes, and of the end.
    pub(crate) fn await_more(&mut self) -> io::Result<()> {
        self.watch(false)
    }

    fn watch(&mut self, all: bool) -> io::Result<()> {
        if self.wait.is_none() {
            self.wait = Some(Wait::begin(&self.source, &self.poller, self.key)?);
        }
        self.source.report_all(all);
        Ok(())
    }

    /// Has nothing reported of it any more.
    pub(crate) fn pause(&mut self) {
        self.wait = None;
    }
}

impl<D: Watchable> Deref for Watched<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.source
    }
}

impl<D: Watchable> Drop for Watched<D> {
    fn drop(&mut self) {
        // Before the source is closed.
        self.pause();
    }
}

/// The system waits for a handle.
#[derive(Debug)]
struct Wait {
    registration: HANDLE,
    id: usize,
}

// SAFETY: any thread may end the registration.
unsafe impl Send for Wait {}

/// Who is told that a handle is signalled: by number, so that a call which comes too late finds nobody. (Wine makes such calls, after
/// it has said that none will come any more.)
static WAITING: Mutex<BTreeMap<usize, Post>> = Mutex::new(BTreeMap::new());

/// What is told, and to whom.
struct Post {
    poller: Arc<Poller>,
    key: usize,
}

fn waiting() -> MutexGuard<'static, BTreeMap<usize, Post>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wait {
    fn begin<D: Watchable>(source: &D, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        waiting().insert(id, Post { poller: Arc::clone(poller), key });
        let how = if D::HAPPENS_ONCE { WT_EXECUTEONLYONCE } else { WT_EXECUTEDEFAULT };
        let mut registration = ptr::null_mut();
        // SAFETY: the handle is open until the registration is ended, see `Watched`; what is passed on is a number.
        let answer = unsafe {
            let handle = source.waitable().as_raw_handle();
            RegisterWaitForSingleObject(
                &raw mut registration,
                handle,
                Some(ring),
                ptr::without_provenance(id),
                INFINITE,
                how,
            )
        };
        done(answer).map(|()| Self { registration, id }).inspect_err(|_| {
            waiting().remove(&id);
        })
    }
}

/// The handle is signalled. On a thread of the system, so it does next to nothing. It is not the one that waits, whose own calls Wine
/// loses count of where another thread ends the wait.
unsafe extern "system" fn ring(id: *mut c_void, _has_timed_out: bool) {
    if let Some(Post { poller, key }) = waiting().get(&id.addr()) {
        // It fails only where memory is short; whoever waits for this looks again when anything else comes.
        let _ = poller.post(CompletionPacket::new(Event::readable(*key)));
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // SAFETY: the registration is ours, and is ended once. The call waits until `ring` has returned, so that nobody looks at a
        // handle that is closed then.
        unsafe { UnregisterWaitEx(self.registration, INVALID_HANDLE_VALUE) };
        waiting().remove(&self.id);
    }
}

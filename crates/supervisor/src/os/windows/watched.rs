//! Something with a handle for which the system waits, and that cannot be closed while it does.
//!
//! The threads of the system wait for the handles, of any number, and post what has happened to the poller. (The poller could have
//! that done too, but only once for each time that it is asked: here a bell may ring again and again.)

use std::ffi::c_void;
use std::io;
use std::ops::Deref;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::ptr;
use std::sync::Arc;

use polling::os::iocp::{CompletionPacket, PollerIocpExt};
use polling::{Event, Poller};
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Threading::{
    INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD, WT_EXECUTEONLYONCE,
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
    post: *mut Post,
}

// SAFETY: the registration may be ended by any thread, and what is pointed to is only freed then.
unsafe impl Send for Wait {}

/// What is done about it.
#[derive(Debug)]
struct Post {
    poller: Arc<Poller>,
    key: usize,
}

impl Wait {
    fn begin<D: Watchable>(source: &D, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        let once = if D::HAPPENS_ONCE { WT_EXECUTEONLYONCE } else { 0 };
        let post = Box::into_raw(Box::new(Post { poller: Arc::clone(poller), key }));
        let mut registration = ptr::null_mut();
        // SAFETY: the handle is open until the registration is ended, which frees what is passed on; see `Watched`.
        let answer = unsafe {
            RegisterWaitForSingleObject(
                &raw mut registration,
                source.waitable().as_raw_handle(),
                Some(ring),
                post.cast(),
                INFINITE,
                WT_EXECUTEINWAITTHREAD | once,
            )
        };
        done(answer).map(|()| Self { registration, post }).inspect_err(|_| {
            // SAFETY: it was not passed on.
            drop(unsafe { Box::from_raw(post) });
        })
    }
}

/// The handle is signalled. On a thread of the system: so it does next to nothing, and cannot panic.
unsafe extern "system" fn ring(post: *mut c_void, _has_timed_out: bool) {
    // SAFETY: it is freed only after this has returned.
    let post = unsafe { &*post.cast::<Post>() };
    // It fails only when the poller is gone, and everybody who could be told.
    let _ = post.poller.post(CompletionPacket::new(Event::readable(post.key)));
}

impl Drop for Wait {
    fn drop(&mut self) {
        // SAFETY: the registration is ours, and is ended once. The call waits until `ring` has returned, so that nobody uses what is
        // freed then.
        unsafe {
            UnregisterWaitEx(self.registration, INVALID_HANDLE_VALUE);
            drop(Box::from_raw(self.post));
        }
    }
}

//! A descriptor that a poller watches, and that cannot be closed while it does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use polling::{Event, PollMode, Poller};

/// A descriptor whose readability a poller reports, again and again until it is read empty.
///
/// A descriptor that is closed while it is watched leaves its entry behind for as long as any copy of it lives, in a
/// child that was just forked for example. So this one leaves the poller first, in every case.
#[derive(Debug)]
pub(crate) struct Watched {
    descriptor: OwnedFd,
    poller: Arc<Poller>,
    key: usize,
    is_watched: bool,
}

impl Watched {
    /// Has `descriptor` watched; its events bear `key`.
    pub(crate) fn new(descriptor: OwnedFd, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        let mut watched = Self { descriptor, poller: Arc::clone(poller), key, is_watched: false };
        watched.resume()?;
        Ok(watched)
    }

    /// Has it watched again after [`Watched::pause`].
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        if !self.is_watched {
            let readable = Event::readable(self.key);
            // SAFETY: the descriptor is owned by `self`, never handed out to be closed, and `pause`, which `drop`
            // calls before the fields are dropped, takes it out of the poller.
            unsafe { self.poller.add_with_mode(&self.descriptor, readable, PollMode::Level)? };
            self.is_watched = true;
        }
        Ok(())
    }

    /// Takes it out of the poller, which then reports nothing of it, not even that its other end was closed.
    pub(crate) fn pause(&mut self) {
        if self.is_watched {
            // It fails only for what is not in the poller, and then there is nothing left to do.
            let _ = self.poller.delete(&self.descriptor);
            self.is_watched = false;
        }
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.pause();
    }
}

//! Something with a descriptor that a poller watches, and that cannot be closed while it does.

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::sync::Arc;

use polling::{Event, PollMode, Poller};

/// Something whose readability a poller reports, again and again for as long as it lasts.
///
/// A descriptor that is closed while it is watched leaves its entry behind for as long as any copy of it lives, in a
/// child that was just forked for example. So this one leaves the poller first, in every case.
#[derive(Debug)]
pub(crate) struct Watched<D: AsFd> {
    source: D,
    poller: Arc<Poller>,
    key: usize,
    is_watched: bool,
}

impl<D: AsFd> Watched<D> {
    /// Has `source` watched; its events bear `key`.
    pub(crate) fn new(source: D, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        let mut watched = Self { source, poller: Arc::clone(poller), key, is_watched: false };
        watched.resume()?;
        Ok(watched)
    }

    /// The key that its events bear.
    pub(crate) fn key(&self) -> usize {
        self.key
    }

    /// Has it watched again after [`Watched::pause`].
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        if !self.is_watched {
            let readable = Event::readable(self.key);
            // SAFETY: the source is owned by `self` and only lent out by reference, and `pause`, which `drop` calls
            // before the fields are dropped, takes it out of the poller.
            unsafe { self.poller.add_with_mode(&self.source.as_fd(), readable, PollMode::Level)? };
            self.is_watched = true;
        }
        Ok(())
    }

    /// Takes it out of the poller, which then reports nothing of it, not even that its other end was closed.
    pub(crate) fn pause(&mut self) {
        if self.is_watched {
            // It fails only for what is not in the poller, and then there is nothing left to do.
            let _ = self.poller.delete(self.source.as_fd());
            self.is_watched = false;
        }
    }
}

impl<D: AsFd> Deref for Watched<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.source
    }
}

impl<D: AsFd> Drop for Watched<D> {
    fn drop(&mut self) {
        self.pause();
    }
}

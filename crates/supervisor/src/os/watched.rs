//! Something with a descriptor that a poller watches, and that cannot be closed while it does.

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::sync::Arc;

use polling::{Event, PollMode, Poller};

/// Something of which a poller reports that it can be read, or written to, again and again for as long as that lasts.
///
/// A descriptor that is closed while it is watched leaves its entry behind for as long as any copy of it lives, in a
/// child that was just forked for example. So this one leaves the poller first, in every case.
#[derive(Debug)]
pub(crate) struct Watched<D: AsFd> {
    source: D,
    poller: Arc<Poller>,
    interest: Event,
    /// How it is watched, if it is.
    mode: Option<PollMode>,
}

impl<D: AsFd> Watched<D> {
    /// Has `source` watched for something to read; its events bear `key`.
    pub(crate) fn new(source: D, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        Self::with(source, poller, Event::readable(key))
    }

    /// Has `source` watched for room to write, which a socket also has once it is connected, or cannot be.
    pub(crate) fn for_writing(source: D, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        Self::with(source, poller, Event::writable(key))
    }

    /// Has `source` watched for what is out of the ordinary: a file of the kernel that has changed since it was read.
    pub(crate) fn for_priority(source: D, poller: &Arc<Poller>, key: usize) -> io::Result<Self> {
        Self::with(source, poller, Event::none(key).with_priority())
    }

    fn with(source: D, poller: &Arc<Poller>, interest: Event) -> io::Result<Self> {
        let mut watched = Self { source, poller: Arc::clone(poller), interest, mode: None };
        watched.resume()?;
        Ok(watched)
    }

    /// The key that its events bear.
    pub(crate) fn key(&self) -> usize {
        self.interest.key
    }

    /// Has it watched again, after [`Watched::pause`] or for [more](Self::await_more).
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.watch(PollMode::Level)
    }

    /// Has nothing reported of what is there now, after once more; but, once each time, of more that comes, and of the end.
    pub(crate) fn await_more(&mut self) -> io::Result<()> {
        self.watch(PollMode::Edge)
    }

    fn watch(&mut self, mode: PollMode) -> io::Result<()> {
        match self.mode {
            Some(present) if present == mode => return Ok(()),
            Some(_) => self.poller.modify_with_mode(self.source.as_fd(), self.interest, mode)?,
            // SAFETY: the source is owned by `self` and only lent out by reference, and `pause`, which `drop` calls
            // before the fields are dropped, takes it out of the poller.
            None => unsafe { self.poller.add_with_mode(&self.source.as_fd(), self.interest, mode)? },
        }
        self.mode = Some(mode);
        Ok(())
    }

    /// Takes it out of the poller, which then reports nothing of it, not even that its other end was closed.
    pub(crate) fn pause(&mut self) {
        if self.mode.take().is_some() {
            // It fails only for what is not in the poller, and then there is nothing left to do.
            let _ = self.poller.delete(self.source.as_fd());
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

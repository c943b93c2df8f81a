//! Descriptors in the poller, and the one that only wakes it.

use std::io;
use std::os::fd::AsFd;

use polling::{Event, Poller};

/// Has the poller say once, under this key, that the source is readable. Whoever watches a source takes it out with
/// [`unwatch`] before closing it: the kernel may tell of a descriptor after that otherwise.
pub(crate) fn watch(poller: &Poller, source: &impl AsFd, key: usize) -> io::Result<()> {
    // SAFETY: every caller in the crate keeps the source open until it has called `unwatch`, or drops the poller
    // together with it.
    unsafe { poller.add(&source.as_fd(), Event::readable(key)) }
}

/// Has the poller say once more that the source is readable.
pub(crate) fn watch_again(poller: &Poller, source: &impl AsFd, key: usize) -> io::Result<()> {
    poller.modify(source.as_fd(), Event::readable(key))
}

/// Takes the source out of the poller.
pub(crate) fn unwatch(poller: &Poller, source: &impl AsFd) {
    // It fails only for what is not watched, in which case there is nothing to take out.
    let _ = poller.delete(source.as_fd());
}

/// Throws away what has been written to a descriptor that is readable. What is left wakes the poller again.
pub(crate) fn drain(source: &impl AsFd) {
    // An error leaves nothing to throw away.
    let _ = rustix::io::read(source, &mut [0; 512]);
}

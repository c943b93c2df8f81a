//! Pipes into which nobody can look: what is looked at is taken out, and held here until somebody wants it.
//!
//! So what was looked at and is not stored yet goes with us, where on Linux it would stay in the pipe.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};

use crate::os::WriteEnd;
use crate::os::posix;

/// What a pipe surely holds by itself on each of these systems, in bytes: the least that any of them gives it.
const PIPE_SIZE: usize = 16 << 10;

/// Above this, an emptied buffer is given back.
const SMALL: usize = 4 << 10;

/// The end of a pipe that is read.
#[derive(Debug)]
pub(crate) struct ReadEnd {
    pipe: OwnedFd,
    /// What has been taken out of it, and is still to be wanted.
    held: Mutex<Vec<u8>>,
}

/// A pipe: the end to read, which never blocks, and the one to write. Neither is inherited by accident.
pub(crate) fn pipe() -> io::Result<(ReadEnd, WriteEnd)> {
    let (reader, writer) = posix::pipe()?;
    Ok((read_end(reader), writer))
}

impl ReadEnd {
    /// What is held belongs to one of them only: so there is no other.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn held(&self) -> MutexGuard<'_, Vec<u8>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the pipe itself holds.
    fn waiting(&self) -> usize {
        let waiting = rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0);
        usize::try_from(waiting).unwrap_or(usize::MAX)
    }

    fn has_hung_up(&self) -> bool {
        let mut asked = [PollFd::new(&self.pipe, PollFlags::IN)];
        poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
            && asked[0].revents().contains(PollFlags::HUP)
    }
}

/// The end of a pipe that somebody else has made.
pub(crate) fn read_end(pipe: OwnedFd) -> ReadEnd {
    ReadEnd { pipe, held: Mutex::default() }
}

impl AsFd for ReadEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Reads what is there: `None` if that is nothing now, nothing at all once its end is reached.
pub(crate) fn read_some<'a>(source: &ReadEnd, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut held = source.held();
    if held.is_empty() {
        return posix::read_some(&source.pipe, buffer);
    }
    let length = held.len().min(buffer.len());
    buffer[..length].copy_from_slice(&held[..length]);
    forget(&mut held, length);
    Some(&buffer[..length])
}

fn forget(held: &mut Vec<u8>, length: usize) {
    held.drain(..length);
    if held.is_empty() && held.capacity() > SMALL {
        *held = Vec::new();
    }
}

/// How many bytes a pipe holds, and we of it.
pub(crate) fn held_by(pipe: &ReadEnd) -> usize {
    pipe.held().len().saturating_add(pipe.waiting())
}

/// Whether we hold something of it, of which the poller knows nothing.
pub(crate) fn is_silent(pipe: &ReadEnd) -> bool {
    !pipe.held().is_empty()
}

/// Whether nothing is in a pipe, nor ever will be, because nobody has its other end.
pub(crate) fn is_at_end(pipe: &ReadEnd) -> bool {
    // In this order: what comes before the end is seen after that.
    has_hung_up(pipe) && held_by(pipe) == 0
}

/// Whether nobody has a pipe's other end. What it holds then is all that there will ever be.
pub(crate) fn has_hung_up(pipe: &ReadEnd) -> bool {
    pipe.has_hung_up()
}

/// The half of what can be held of it now. Whoever writes to one of which more is held may soon have to wait.
pub(crate) fn half_of(pipe: &ReadEnd) -> usize {
    (pipe.held().len() + PIPE_SIZE) / 2
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

/// Looks at what pipes hold without losing it.
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
        let most = most.min(self.buffer.len());
        let mut held = pipe.held();
        let mut known = held.len().min(most);
        self.buffer[..known].copy_from_slice(&held[..known]);
        while known < most {
            match retry_on_intr(|| rustix::io::read(&pipe.pipe, &mut self.buffer[known..most])) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(length) => {
                    held.extend_from_slice(&self.buffer[known..known + length]);
                    known += length;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(&self.buffer[..known])
    }

    /// Throws away the first bytes that a pipe holds.
    pub(crate) fn discard(&mut self, pipe: &ReadEnd, length: usize) -> io::Result<()> {
        let mut held = pipe.held();
        let known = held.len().min(length);
        forget(&mut held, known);
        drop(held);
        let mut left = length - known;
        while left > 0 {
            let mut nowhere = [0; 4096];
            let room = left.min(nowhere.len());
            match retry_on_intr(|| rustix::io::read(&pipe.pipe, &mut nowhere[..room])) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(thrown) => left -= thrown,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_looked_at_is_held_and_comes_first() {
        let (reader, writer) = pipe().unwrap();
        let mut writer = File::from(writer);
        writer.write_all(b"one two").unwrap();
        let mut lens = Lens::new(100);
        assert_eq!(lens.look(&reader, 3).unwrap(), b"one");
        assert_eq!(lens.look(&reader, 3).unwrap(), b"one");
        assert_eq!((held_by(&reader), reader.waiting()), (7, 4));
        writer.write_all(b" three").unwrap();
        lens.discard(&reader, 4).unwrap();
        assert_eq!(lens.look(&reader, 100).unwrap(), b"two three");
        assert_eq!(read_some(&reader, &mut [0; 4]), Some(&b"two "[..]));
        assert_eq!(read_some(&reader, &mut [0; 100]), Some(&b"three"[..]));
        assert_eq!(read_some(&reader, &mut [0; 100]), None);
    }

    #[test]
    fn the_end_is_known_once_all_is_wanted() {
        let (reader, writer) = pipe().unwrap();
        File::from(writer.try_clone().unwrap()).write_all(b"last").unwrap();
        assert!(!has_hung_up(&reader) && !is_at_end(&reader));
        let mut lens = Lens::new(2);
        lens.look(&reader, 2).unwrap();
        drop(writer);
        // A process that another test is just starting may have the other end open until its own program runs.
        while !has_hung_up(&reader) {
            std::thread::yield_now();
        }
        assert!(!is_at_end(&reader));
        lens.discard(&reader, 4).unwrap();
        assert!(is_at_end(&reader) && held_by(&reader) == 0);
        assert_eq!(read_some(&reader, &mut [0; 2]), Some(&[][..]));
    }

    #[test]
    fn a_full_pipe_is_always_more_than_half_full() {
        let (reader, writer) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let mut writer = File::from(writer);
        let mut lens = Lens::new(1 << 20);
        for most in [0, 100, 100_000] {
            while writer.write(&[b'x'; 1000]).is_ok() {}
            assert!(held_by(&reader) > half_of(&reader), "{most}");
            lens.look(&reader, most).unwrap();
        }
    }
}

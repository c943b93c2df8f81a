//! Pipes that have a name, and moving what a pipe holds into a file so that it is never in between.
//!
//! A component opens its end of a named pipe for reading and writing: then it needs nobody at the other end to live on. It
//! gets neither SIGPIPE nor an error when we have gone; it only waits when the pipe is full, until somebody reads again.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, mknodat, openat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice, tee};
use rustix::process::Uid;

/// The size of a pipe that was enlarged: the most that everybody may have.
const LARGE: usize = 1 << 20;

/// The size that a pipe has by itself.
const PIPE_SIZE: usize = 64 << 10;

const PAGE: usize = 4096;

/// Makes a pipe of this name in a folder, which only its owner can open. The name must be free.
pub(crate) fn make_fifo(folder: &impl AsFd, name: &str) -> io::Result<()> {
    Ok(mknodat(folder, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?)
}

/// Opens a named pipe: the end to read, which never blocks, and the end of a component. Nothing else than a pipe is opened.
///
/// The other one is opened first, so that the reader is told when the last that could write has gone.
pub(crate) fn open_fifo(folder: &impl AsFd, name: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let writer = openat(folder, name, OFlags::RDWR | flags, Mode::empty())?;
    let reader = openat(folder, name, OFlags::RDONLY | flags, Mode::empty())?;
    let (of_writer, of_reader) = (fstat(&writer)?, fstat(&reader)?);
    let is_same = (of_writer.st_dev, of_writer.st_ino) == (of_reader.st_dev, of_reader.st_ino);
    if !is_same || FileType::from_raw_mode(of_reader.st_mode) != FileType::Fifo {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a pipe"));
    }
    // What a component finds open waits, as everybody expects.
    rustix::io::ioctl_fionbio(&writer, false)?;
    Ok((reader, writer))
}

/// Gives what is open to this user, who may then open it by himself: `/dev/stdout` is opened so.
pub(crate) fn give_to(user: u32, descriptor: &impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fchown(descriptor, Some(Uid::from_raw(user)), None)?)
}

/// How many bytes a pipe holds.
pub(crate) fn held_by(pipe: &impl AsFd) -> usize {
    let held = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
    usize::try_from(held).unwrap_or(usize::MAX)
}

/// Whether nothing is in a pipe, nor ever will be, because nobody has its other end.
pub(crate) fn is_at_end(pipe: &impl AsFd) -> bool {
    let mut asked = [PollFd::new(pipe, PollFlags::IN)];
    poll(&mut asked, Some(&Timespec::default())).is_ok()
        && asked[0].revents().contains(PollFlags::HUP)
        && !asked[0].revents().contains(PollFlags::IN)
}

/// Whether nobody has a pipe's other end. What it holds then is all that there will ever be.
pub(crate) fn has_hung_up(pipe: &impl AsFd) -> bool {
    let mut asked = [PollFd::new(pipe, PollFlags::IN)];
    poll(&mut asked, Some(&Timespec::default())).is_ok() && asked[0].revents().contains(PollFlags::HUP)
}

/// The half of what a pipe can hold. Whoever writes to one that holds more may have to wait: what is written does not share a
/// page with what was written before if it does not fit into that as a whole. Where there is only one page, anything is more.
pub(crate) fn half_of(pipe: &impl AsFd) -> usize {
    let size = fcntl_getpipe_size(pipe).unwrap_or(PIPE_SIZE);
    if size <= PAGE { 0 } else { size / 2 }
}

/// Moves up to so many bytes of what a pipe holds to this place of a file, which must not be open for appending. They leave
/// the pipe by the same call by which they get into the file: whoever is killed, and when, none is lost or doubled.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] where the file system knows no such thing; `WouldBlock` if the pipe holds nothing.
pub(crate) fn move_to_file(pipe: &impl AsFd, file: &File, at: u64, most: usize) -> io::Result<usize> {
    let mut at = at;
    Ok(splice(pipe, None, file, Some(&mut at), most, SpliceFlags::NONBLOCK)?)
}

/// How many pipes may be enlarged beside this number of pipes, so that no more than half of what the system grants a user
/// is used up: beyond that, new pipes would hold next to nothing.
pub(crate) fn most_large_pipes(pipes: usize) -> usize {
    let granted = std::fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft");
    let granted = granted.ok().and_then(|pages| pages.trim().parse().ok()).unwrap_or(16_384_usize);
    // Zero is no limit, which is none of ours.
    let granted = if granted == 0 { 16_384 } else { granted };
    (granted / 2).saturating_sub(pipes * PIPE_SIZE / PAGE) / ((LARGE - PIPE_SIZE) / PAGE)
}

/// Has a pipe hold more. Refused where the system grants no more.
pub(crate) fn enlarge(pipe: &impl AsFd) -> bool {
    fcntl_setpipe_size(pipe, LARGE).is_ok()
}

/// Looks at what pipes hold without taking it out.
///
/// Bytes are copied, by reference, into a pipe of its own, which is made when it is needed first.
#[derive(Debug)]
pub(crate) struct Lens {
    pipe: Option<(OwnedFd, OwnedFd)>,
    /// Where bytes go that nobody needs any more.
    nowhere: Option<File>,
    /// Room for what is looked at; also for other uses in between.
    pub(crate) buffer: Vec<u8>,
}

impl Lens {
    /// Room for so many bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self { pipe: None, nowhere: None, buffer: vec![0; size] }
    }

    /// The first bytes that a pipe holds, up to so many: fewer if it holds fewer, or holds them in many small pieces.
    pub(crate) fn look(&mut self, pipe: &impl AsFd, most: usize) -> io::Result<&[u8]> {
        let (reader, writer) = match self.pipe.take() {
            Some(own) => self.pipe.insert(own),
            None => {
                let own = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
                // Where that is refused, less is seen at a time.
                let _ = fcntl_setpipe_size(&own.0, self.buffer.len());
                self.pipe.insert(own)
            }
        };
        let most = most.min(self.buffer.len());
        let length = match tee(pipe, writer, most, SpliceFlags::NONBLOCK) {
            Err(Errno::AGAIN) => 0,
            length => length?,
        };
        let mut read = 0;
        while read < length {
            match rustix::io::read(&*reader, &mut self.buffer[read..length]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(Errno::INTR) => {}
                Err(error) => {
                    // What is left in it must not be taken for that of another.
                    self.pipe = None;
                    return Err(error.into());
                }
            }
        }
        Ok(&self.buffer[..read])
    }

    /// Throws away the first bytes that a pipe holds.
    pub(crate) fn discard(&mut self, pipe: &impl AsFd, length: usize) -> io::Result<()> {
        let nowhere = match self.nowhere.take() {
            Some(nowhere) => self.nowhere.insert(nowhere),
            None => self.nowhere.insert(File::options().write(true).open("/dev/null")?),
        };
        let mut left = length;
        while left > 0 {
            match splice(pipe, None, &*nowhere, None, left, SpliceFlags::NONBLOCK) {
                Ok(0) => return Ok(()),
                Ok(thrown) => left -= thrown,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::os::pipe;

    #[test]
    fn whoever_has_a_named_pipe_needs_nobody_at_the_other_end() {
        let folder = tempfile::tempdir().unwrap();
        let handle = File::open(folder.path()).unwrap();
        make_fifo(&handle, "ps").unwrap();
        let (reader, writer) = open_fifo(&handle, "ps").unwrap();
        let mut writer = File::from(writer);
        writer.write_all(b"one").unwrap();
        drop(reader);
        writer.write_all(b"two").unwrap();
        let (again, other) = open_fifo(&handle, "ps").unwrap();
        drop(other);
        let mut text = [0; 6];
        File::from(again.try_clone().unwrap()).read_exact(&mut text).unwrap();
        assert_eq!((&text, is_at_end(&again)), (b"onetwo", false));
        drop(writer);
        // A process that another test is just starting may have the other end open until its own program runs.
        while !is_at_end(&again) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_no_pipe_is_not_opened_nor_is_one_made_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let handle = File::open(folder.path()).unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        make_fifo(&handle, "pipe").unwrap();
        std::os::unix::fs::symlink("pipe", folder.path().join("link")).unwrap();
        for name in ["file", "link", "missing"] {
            assert!(open_fifo(&handle, name).is_err(), "{name}");
        }
        for name in ["file", "link", "pipe"] {
            let refused = make_fifo(&handle, name).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
    }

    #[test]
    fn a_look_takes_nothing() {
        let (reader, writer) = pipe().unwrap();
        let mut lens = Lens::new(8);
        assert_eq!(lens.look(&reader, 8).unwrap(), b"");
        File::from(writer).write_all(b"0123456789").unwrap();
        for most in [3, 8, 100] {
            assert_eq!(lens.look(&reader, most).unwrap(), &b"01234567"[..most.min(8)]);
        }
        lens.discard(&reader, 4).unwrap();
        assert_eq!((held_by(&reader), lens.look(&reader, 8).unwrap()), (6, &b"456789"[..]));
    }

    #[test]
    fn what_is_moved_into_a_file_leaves_the_pipe() {
        let (reader, writer) = pipe().unwrap();
        File::from(writer).write_all(b"0123456789").unwrap();
        let file = tempfile::tempfile().unwrap();
        assert_eq!(move_to_file(&reader, &file, 2, 7).unwrap(), 7);
        assert_eq!((held_by(&reader), file.metadata().unwrap().len()), (3, 9));
        assert_eq!(move_to_file(&reader, &file, 9, 7).unwrap(), 3);
        while !is_at_end(&reader) {
            // As above.
            std::thread::yield_now();
        }
        assert_eq!(move_to_file(&reader, &file, 12, 7).unwrap(), 0, "it has ended");
    }

    #[test]
    fn a_full_pipe_can_be_enlarged_but_not_all_of_many() {
        let (reader, writer) = pipe().unwrap();
        assert!(enlarge(&reader));
        File::from(writer).write_all(&vec![0; LARGE]).unwrap();
        assert_eq!(held_by(&reader), LARGE);
        assert!(most_large_pipes(0) >= most_large_pipes(100));
        assert_eq!(most_large_pipes(usize::MAX >> 20), 0);
    }
}

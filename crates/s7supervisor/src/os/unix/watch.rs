//! What the kernel tells of folders and files: so that nobody has to look again and again.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify;
use rustix::fs::inotify::ReadFlags;
use rustix::fs::inotify::WatchFlags;
use rustix::io::Errno;

use super::waiting;

/// What there may be news of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kinds {
    /// What is written to a file.
    Written,
    /// What is made in a folder, and what somebody says by the times of a file there.
    Appeared,
}

/// News of what a descriptor stands for, from now on.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

impl Watch {
    /// News of these kinds.
    pub(crate) fn of(watched: BorrowedFd<'_>, kinds: Kinds) -> io::Result<Self> {
        let kinds = match kinds {
            Kinds::Written => WatchFlags::MODIFY,
            Kinds::Appeared => WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB,
        };
        let news = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&news, format!("/proc/self/fd/{}", watched.as_raw_fd()), kinds)?;
        Ok(Self(news))
    }

    /// Waits for news, or until one of the descriptors is readable: `false` if neither comes within `limit`.
    pub(crate) fn comes(&self, beside: &[BorrowedFd<'_>], limit: Option<Duration>) -> io::Result<bool> {
        let all: Vec<_> = beside.iter().copied().chain([self.0.as_fd()]).collect();
        waiting::any_readable(&all, limit)
    }

    /// Takes all the news there is. Whether there is some of the file `name` in a folder; of a file, any is.
    pub(crate) fn take(&self, name: Option<&str>) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut is_meant = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    let its = event.file_name().map(std::ffi::CStr::to_bytes);
                    is_meant |= name.is_none_or(|name| its == Some(name.as_bytes()));
                }
                Err(Errno::AGAIN) => return Ok(is_meant),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// News of what is written and made in several folders, from when each is added.
#[derive(Debug)]
pub(crate) struct Folders(OwnedFd);

/// What happened in a folder.
#[derive(Debug)]
pub(crate) enum News<'a> {
    /// A file of this name was written to.
    Written(i32, &'a OsStr),
    /// A file has this name from now on.
    Appeared(i32, &'a OsStr),
    /// Anything: there was more than the kernel can tell.
    Unknown,
    /// The folder is gone.
    Gone(i32),
}

impl Folders {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?))
    }

    /// Adds a folder, if it is not there yet; the number by which its news come.
    pub(crate) fn add(&self, folder: &Path) -> io::Result<i32> {
        let kinds = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        Ok(inotify::add_watch(&self.0, folder, kinds)?)
    }

    /// Takes all the news there is.
    pub(crate) fn take(&self, mut heed: impl FnMut(News<'_>)) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let (kinds, folder) = (event.events(), event.wd());
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    heed(match name {
                        Some(name) if kinds.contains(ReadFlags::MODIFY) => News::Written(folder, name),
                        Some(name) => News::Appeared(folder, name),
                        None if kinds.contains(ReadFlags::IGNORED) => News::Gone(folder),
                        None => News::Unknown,
                    });
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Folders {
    /// Waits for news: `false` if whoever reads our standard output has gone away, or the end is told.
    pub(crate) fn wait(&self, end: Option<&End>) -> io::Result<bool> {
        let Some(End(end)) = end else { return waiting::readable_while_read(&self.0) };
        waiting::any_readable(&[self.0.as_fd(), end.as_fd()], None)?;
        Ok(!waiting::readable(end, Some(Duration::ZERO))?)
    }
}

/// Tells somebody who waits for news that it is to end.
#[derive(Debug)]
pub(crate) struct Ender(UnixStream);

/// Where that is heard.
#[derive(Debug)]
pub(crate) struct End(UnixStream);

impl Ender {
    pub(crate) fn new() -> io::Result<(Self, End)> {
        let (ender, end) = UnixStream::pair()?;
        Ok((Self(ender), End(end)))
    }

    /// `nothing_comes`: nothing will be written any more.
    pub(crate) fn end(mut self, nothing_comes: bool) {
        if nothing_comes {
            // Refused only if nobody waits any more.
            let _ = self.0.write_all(b".");
        }
    }
}

impl End {
    /// Whether nothing will be written any more, once the end is told.
    pub(crate) fn nothing_comes(&self) -> bool {
        (&self.0).read(&mut [0]).is_ok_and(|length| length > 0)
    }
}

//! What the kernel tells of a folder or a file: so that nobody has to look again and again.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::inotify;
pub(crate) use rustix::fs::inotify::WatchFlags;
use rustix::io::Errno;

/// News of what a descriptor stands for, from now on.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

impl Watch {
    /// News of these kinds.
    pub(crate) fn of(watched: BorrowedFd<'_>, kinds: WatchFlags) -> io::Result<Self> {
        let news = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&news, format!("/proc/self/fd/{}", watched.as_raw_fd()), kinds)?;
        Ok(Self(news))
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

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

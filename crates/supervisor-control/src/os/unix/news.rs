//! News of what is written to a log.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What the kernel tells of a file and of its folder.
pub(crate) struct News(AsyncFd<OwnedFd>);

impl News {
    /// News of files that appear in this folder.
    pub(crate) fn of_folder(folder: &Path) -> io::Result<OwnedFd> {
        let news = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let kinds = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&news, folder, kinds)
            .map_err(|error| io::Error::other(format!("{}: {error}", folder.display())))?;
        Ok(news)
    }

    /// Only within the runtime.
    pub(crate) fn new(news: OwnedFd) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "sound for what owns its descriptor, as here; what replaces it is unsafe"
        )]
        AsyncFd::with_interest(news, Interest::READABLE).map(Self)
    }

    /// From now on, news of what is written to this file too.
    pub(crate) fn watch(&self, file: Option<&File>) {
        if let Some(file) = file {
            // If that fails, what is written is told when the next file begins.
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let _ = inotify::add_watch(self.0.get_ref(), path, WatchFlags::MODIFY);
        }
    }

    /// Waits for news, and takes all that there are.
    pub(crate) async fn come(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.0.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

//! The supervisor that holds a `temp` folder, whether or not it listens already.
#![expect(unsafe_code, reason = "no safe library tells of changes of a folder beside the end of a process")]

use std::io;
use std::os::windows::io::RawHandle;
use std::path::{Path, PathBuf};
use std::time::Duration;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_NOTIFY_CHANGE_FILE_NAME, FILE_NOTIFY_CHANGE_LAST_WRITE, FindCloseChangeNotification,
    FindFirstChangeNotificationW, FindNextChangeNotification,
};

use super::lock::Lock;
use super::process::{Process, wait_for_any};
use super::temp_folder::LOCK;
use super::{door, wide};
use crate::exit::{Exit, Failure};

/// A supervisor that is there.
#[derive(Debug)]
pub(crate) struct Presence {
    process: Process,
    /// News of the folder since it was found: whoever asks after that misses nothing.
    news: News,
    temp: PathBuf,
}

impl Presence {
    /// The supervisor that holds this `temp` folder now, if one does.
    pub(crate) fn find(temp: &Path) -> Result<Option<Self>, Failure> {
        let cannot = |error| cannot_watch(temp, &error);
        let Some(process) = Lock::living_holder(temp, LOCK).map_err(cannot)? else { return Ok(None) };
        let news = News::of_folder(temp).map_err(cannot)?;
        Ok(Some(Self { process, news, temp: temp.to_owned() }))
    }

    /// Waits until it may listen, or has ended; `false` if neither comes in time.
    pub(crate) fn changes(&self, limit: Option<Duration>) -> Result<bool, Failure> {
        let woken = wait_for_any(&[self.process.handle(), self.news.0], limit)
            .and_then(|woken| self.news.take().map(|()| woken));
        woken.map(|woken| woken.is_some()).map_err(|error| cannot_watch(&self.temp, &error))
    }

    /// It is there, but nobody can ask it.
    pub(crate) fn unheard(&self) -> Failure {
        let (pid, place) = (self.process.pid, self.temp.join(door::NAME));
        Failure::new(
            Exit::Failed,
            format!(
                "cannot ask the supervisor: it is running, pid {pid}, but {} does not say where it listens; if \
                 somebody has removed that file, end the process {pid} and start it again",
                place.display()
            ),
        )
    }
}

/// Is signalled when a file of a folder is made, renamed or written.
#[derive(Debug)]
struct News(RawHandle);

impl News {
    fn of_folder(folder: &Path) -> io::Result<Self> {
        let kinds = FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_LAST_WRITE;
        let folder = wide(folder);
        // SAFETY: the path is a text with its end, and outlives the call.
        let handle = unsafe { FindFirstChangeNotificationW(folder.as_ptr(), 0, kinds) };
        if handle == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(handle))
    }

    /// Takes what there is: it is signalled again by what comes next.
    fn take(&self) -> io::Result<()> {
        while wait_for_any(&[self.0], Some(Duration::ZERO))?.is_some() {
            // SAFETY: the handle is open.
            if unsafe { FindNextChangeNotification(self.0) } == 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

impl Drop for News {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody uses it any more.
        unsafe { FindCloseChangeNotification(self.0) };
    }
}

fn cannot_watch(temp: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "cannot wait for the supervisor of {}: {error}; see `s7supervisor status`",
        temp.display()
    ))
}

//! A folder, and what is in it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use windows_sys::Win32::Foundation::ERROR_SHARING_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_DELETE_ON_CLOSE, FILE_FLAG_OPEN_REPARSE_POINT, GetDiskFreeSpaceExW,
    GetFileInformationByHandle,
};

use super::handle::{done, wide};
use super::security;

/// The file that nobody else has open. It is gone when we are.
const LOCK: &str = ".lock";

/// A folder, by its path.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: Option<File>,
}

impl Folder {
    /// Opens a folder that is there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path: path.to_owned(), lock: None })
    }

    /// Makes a folder, with the rights of that above it, unless there is one.
    pub(crate) fn make(path: &Path) -> io::Result<()> {
        made(fs::create_dir(path))
    }

    /// Opens the folder of this name in the other, after making, for nobody but its owner and the administrators, what is missing
    /// of both. A link in its place is not followed.
    pub(crate) fn open_private(above: &Path, name: &str) -> io::Result<Self> {
        made(security::create_folder(above))?;
        let path = above.join(name);
        made(security::create_folder(&path))?;
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Self::open(&path)
    }

    /// Who else could have a hand in it, if anybody: the end of a sentence.
    pub(crate) fn strangers(&self) -> io::Result<Option<String>> {
        let is_ours = security::is_ours(&self.path)?;
        Ok((!is_ours).then(|| "it belongs to another user".to_owned()))
    }

    /// Lets nobody else in any more.
    pub(crate) fn close_to_others(&self) -> io::Result<()> {
        security::close_to_others(&self.path)
    }

    /// Locks it for as long as it is open. Says whether nobody else has.
    pub(crate) fn lock(&mut self) -> io::Result<bool> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).share_mode(0).custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
        match options.open(self.path.join(LOCK)) {
            Ok(lock) => {
                self.lock = Some(lock);
                Ok(true)
            }
            Err(error) if error.raw_os_error() == i32::try_from(ERROR_SHARING_VIOLATION).ok() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether somebody has removed it.
    pub(crate) fn is_removed(&self) -> bool {
        fs::metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// When something in it was made, renamed or deleted for the last time, in seconds and nanoseconds since 1970.
    pub(crate) fn changed(&self) -> Option<(i64, i64)> {
        let changed = fs::metadata(&self.path).and_then(|folder| folder.modified()).ok()?;
        let since = changed.duration_since(UNIX_EPOCH).ok()?;
        Some((i64::try_from(since.as_secs()).ok()?, since.subsec_nanos().into()))
    }

    /// The names of all that is in it.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    /// Opens a file for appending, and for reading its own end; makes it if it is missing. It may be anything: a link is not
    /// followed.
    pub(crate) fn append(&self, name: &OsStr) -> io::Result<File> {
        self.file(name, OpenOptions::new().read(true).write(true).create(true))
    }

    /// Opens a file for reading. It may be anything: a link is not followed.
    pub(crate) fn read(&self, name: &OsStr) -> io::Result<File> {
        self.file(name, OpenOptions::new().read(true))
    }

    /// Makes a file that was not there.
    pub(crate) fn create(&self, name: &OsStr) -> io::Result<File> {
        self.file(name, OpenOptions::new().write(true).create_new(true))
    }

    /// The same: it has the rights of its folder.
    pub(crate) fn create_private(&self, name: &OsStr) -> io::Result<File> {
        self.create(name)
    }

    /// Gives a file another name, though somebody has it open; what has that name is replaced.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Whether that open file has this name.
    pub(crate) fn has(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        let ours = number_of(file)?;
        Ok(self.read(name).and_then(|there| number_of(&there)).is_ok_and(|there| there == ours))
    }

    /// How many bytes are free on its disk, for us.
    pub(crate) fn free(&self) -> io::Result<u64> {
        let path = wide(&self.path);
        let mut free = 0;
        // SAFETY: the path ends with zero; the one number is written.
        done(unsafe {
            GetDiskFreeSpaceExW(path.as_ptr(), &raw mut free, std::ptr::null_mut(), std::ptr::null_mut())
        })?;
        Ok(free)
    }

    /// Everybody may read, write, rename and remove it meanwhile, which is what the standard library asks for.
    fn file(&self, name: &OsStr, options: &mut OpenOptions) -> io::Result<File> {
        options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(self.path.join(name))
    }
}

/// Whether an error of [`Folder`] means that there is a link where none is followed: a link is opened itself, and is no regular file.
pub(crate) fn is_link(_error: &io::Error) -> bool {
    false
}

fn made(made: io::Result<()>) -> io::Result<()> {
    made.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

/// What a file is known by, as long as it is open: its disk, and its number there.
fn number_of(file: &File) -> io::Result<(u32, u32, u32)> {
    // SAFETY: a struct of numbers, which is written.
    let mut told: BY_HANDLE_FILE_INFORMATION = unsafe { mem::zeroed() };
    // SAFETY: the handle is open.
    done(unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut told) })?;
    Ok((told.dwVolumeSerialNumber, told.nFileIndexHigh, told.nFileIndexLow))
}

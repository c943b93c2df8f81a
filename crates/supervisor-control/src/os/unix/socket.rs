//! The Unix socket as a file: made privately, reached whatever the length of its path, removed only if it is ours.
//!
//! The address of a Unix socket holds 107 bytes of path. A longer one is reached through a descriptor of its folder,
//! as `/proc/self/fd/N/name`, where the operating system has that.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use rustix::process::Gid;

/// The longest path that fits everywhere we go but for the BSDs, which take 103 and refuse longer ones by themselves.
const LONGEST_PATH: usize = 107;

/// How many connections may wait to be accepted: a burst of clients, not a crowd.
const BACKLOG: i32 = 128;

/// Where a socket is, or will be.
pub(crate) struct Place {
    folder: OwnedFd,
    name: OsString,
    /// The path by which it was named; `None` if it was named by a descriptor and must be reached by that.
    path: Option<PathBuf>,
}

impl Place {
    /// The place that `path` names. Its folder must exist.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| invalid("the path of a socket must end with its name"))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = rustix::fs::open(parent, FOLDER, Mode::empty())?;
        Ok(Self { folder, name: name.to_owned(), path: Some(path.to_owned()) })
    }

    /// The place called `name` in the folder that the descriptor stands for.
    pub(crate) fn within(folder: OwnedFd, name: &OsStr) -> io::Result<Self> {
        if name.is_empty() || name.as_bytes().contains(&b'/') || name == ".." || name == "." {
            return Err(invalid("the name of a socket within a folder must be a plain file name"));
        }
        Ok(Self { folder, name: name.to_owned(), path: None })
    }

    /// Removes what is left of a server that has ended without cleaning up. Only for those who know that it has.
    pub(crate) fn clear(&self) -> io::Result<()> {
        match self.inode() {
            Ok(Inode { is_socket: true, .. }) => {
                Ok(rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty())?)
            }
            Ok(_) => {
                Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something that is not a socket"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a socket here that only this user, and the group if there is one, can connect to, and listens.
    pub(crate) fn bind(self, group: Option<Gid>) -> io::Result<(UnixListener, BoundSocket)> {
        let socket = new_socket()?;
        rustix::net::bind(&socket, &self.address()?)?;
        let bound = BoundSocket { inode: self.inode()?, place: self };
        // The umask has decided on the permissions so far. Nobody can connect before `listen`, so that it makes no
        // difference what they were until now.
        let private = Mode::RUSR | Mode::WUSR;
        let (folder, name) = (&bound.place.folder, &bound.place.name);
        rustix::fs::chmodat(folder, name, private, AtFlags::empty())?;
        if let Some(group) = group {
            rustix::fs::chownat(folder, name, None, Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::chmodat(folder, name, private | Mode::RGRP | Mode::WGRP, AtFlags::empty())?;
        }
        rustix::net::listen(&socket, BACKLOG)?;
        bound.tell();
        Ok((UnixListener::from(socket), bound))
    }

    /// The socket that is here already, and that we have been given; or this place again, if there is none.
    pub(crate) fn resume(self) -> Result<BoundSocket, Self> {
        match self.inode() {
            Ok(inode) if inode.is_socket => {
                let bound = BoundSocket { inode, place: self };
                bound.tell();
                Ok(bound)
            }
            _ => Err(self),
        }
    }

    /// Connects to who listens here, and waits no longer than `patience` until there is room in its queue.
    pub(crate) fn connect(&self, patience: Duration) -> io::Result<UnixStream> {
        let socket = new_socket()?;
        set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
        rustix::net::connect(&socket, &self.address()?)?;
        Ok(UnixStream::from(socket))
    }

    fn address(&self) -> io::Result<SocketAddrUnix> {
        if let Some(path) = self.path.as_ref().filter(|path| path.as_os_str().len() <= LONGEST_PATH) {
            return Ok(SocketAddrUnix::new(path)?);
        }
        if !cfg!(target_os = "linux") {
            return Err(invalid("the path of a socket may have at most 107 bytes on this system"));
        }
        let folder = rustix::fd::AsRawFd::as_raw_fd(&self.folder.as_fd());
        let mut path = PathBuf::from(format!("/proc/self/fd/{folder}"));
        path.push(&self.name);
        Ok(SocketAddrUnix::new(path)?)
    }

    /// Which file is here now, following no link.
    fn inode(&self) -> io::Result<Inode> {
        let stat = rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Inode {
            device: stat.st_dev,
            number: stat.st_ino,
            is_socket: FileType::from_raw_mode(stat.st_mode) == FileType::Socket,
        })
    }
}

/// A folder is opened only to find names in it.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

#[derive(PartialEq, Eq)]
struct Inode {
    device: rustix::fs::Dev,
    number: u64,
    is_socket: bool,
}

/// A socket that we have made. Dropping this removes it, unless another one stands there by now.
pub(crate) struct BoundSocket {
    place: Place,
    inode: Inode,
}

impl BoundSocket {
    /// Lets it stand for another server.
    pub(crate) fn leave(self) {
        // One that is not ours any more is not removed.
        let mut left = self;
        left.inode.is_socket = false;
    }

    /// Tells whoever watches the folder that somebody listens here now: by the time of the file, which means nothing else.
    fn tell(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        // Whoever is not told finds out when it asks again.
        let _ =
            rustix::fs::utimensat(&self.place.folder, &self.place.name, &times, AtFlags::SYMLINK_NOFOLLOW);
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if self.place.inode().is_ok_and(|inode| inode == self.inode) {
            // What cannot be removed stays behind as a stale socket, which the next server replaces.
            let _ = rustix::fs::unlinkat(&self.place.folder, &self.place.name, AtFlags::empty());
        }
    }
}

#[cfg(not(target_vendor = "apple"))]
fn new_socket() -> io::Result<OwnedFd> {
    use rustix::net::{SocketFlags, socket_with};

    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// In two steps: whoever starts a process in between passes it on.
#[cfg(target_vendor = "apple")]
fn new_socket() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_socket_is_private_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let (listener, bound) = Place::at(&path).unwrap().bind(None).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let connection = Place::at(&path).unwrap().connect(Duration::from_secs(5)).unwrap();
        drop((listener, connection, bound));
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_is_made_and_found_however_long_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(120)).join("y".repeat(120));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("s.sock");
        let (_listener, _bound) = Place::at(&path).unwrap().bind(None).unwrap();
        assert!(path.exists());
        Place::at(&path).unwrap().connect(Duration::from_secs(5)).unwrap();

        let by_descriptor = || std::fs::File::open(&deep).unwrap().into();
        let place = Place::within(by_descriptor(), OsStr::new("t.sock")).unwrap();
        let (_listener, _bound) = place.bind(None).unwrap();
        assert!(deep.join("t.sock").exists());
        assert!(Place::within(by_descriptor(), OsStr::new("../t.sock")).is_err());
    }

    #[test]
    fn only_a_socket_is_replaced_and_only_our_own_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let (_first_listener, first) = Place::at(&path).unwrap().bind(None).unwrap();
        let error = Place::at(&path).unwrap().bind(None).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);

        Place::at(&path).unwrap().clear().unwrap();
        let (_second_listener, second) = Place::at(&path).unwrap().bind(None).unwrap();
        let number = path.metadata().unwrap().ino();
        drop(first);
        assert_eq!(path.metadata().unwrap().ino(), number, "the second one's socket must stay");
        drop(second);

        std::fs::write(&path, "precious").unwrap();
        assert!(Place::at(&path).unwrap().clear().is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}

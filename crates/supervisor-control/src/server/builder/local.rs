//! A server at a local socket.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::process::Gid;

use super::Builder;
use crate::os::Local;
use crate::os::socket::{BoundSocket, Place};
use crate::server::Server;

impl Builder {
    /// Whether to replace a socket that stands there already, without asking whether somebody listens. Only for
    /// those who hold a lock that says that nobody does. Default: no.
    #[must_use]
    pub fn replace_socket(mut self, replace: bool) -> Self {
        self.local.replace = replace;
        self
    }

    /// The id of a group whose members may read everything and change nothing: the socket gets that group and the mode
    /// 0660. Default: none.
    #[must_use]
    pub fn readers(mut self, group: u32) -> Self {
        self.local.readers = Some(Gid::from_raw(group));
        self
    }

    /// Listens at `path`, whose folder must exist and should be private, however long it is.
    ///
    /// # Errors
    /// There is something already, the folder cannot be written, or the system has no descriptors or threads left.
    pub fn bind(self, path: &Path) -> io::Result<Server> {
        self.bind_at(Place::at(path)?)
    }

    /// Listens at `name` in the folder that the descriptor stands for, wherever that may be by now.
    ///
    /// # Errors
    /// As [`Builder::bind`]; and elsewhere than on Linux, where a socket can be bound by a path only.
    pub fn bind_in(self, folder: OwnedFd, name: impl AsRef<OsStr>) -> io::Result<Server> {
        self.bind_at(Place::within(folder, name.as_ref())?)
    }

    /// Goes on with a socket that another server has [handed over](Server::hand_over), which is called `name` in the folder
    /// that the descriptor stands for. If somebody has removed it, another one is made.
    ///
    /// # Errors
    /// As [`Builder::bind_in`].
    pub fn resume_in(
        self,
        folder: OwnedFd,
        name: impl AsRef<OsStr>,
        listener: UnixListener,
    ) -> io::Result<Server> {
        let place = Place::within(folder, name.as_ref())?;
        match place.resume() {
            Ok(bound) => self.start_at(listener, Some(bound)),
            Err(place) => self.bind_at(place),
        }
    }

    /// Listens on a socket that somebody else has bound and will remove.
    ///
    /// # Errors
    /// The system has no descriptors or threads left.
    pub fn serve(self, listener: UnixListener) -> io::Result<Server> {
        self.start_at(listener, None)
    }

    fn bind_at(self, place: Place) -> io::Result<Server> {
        if self.local.replace {
            place.clear()?;
        }
        let (listener, bound) = place.bind(self.local.readers)?;
        self.start_at(listener, Some(bound))
    }

    fn start_at(self, listener: UnixListener, bound: Option<BoundSocket>) -> io::Result<Server> {
        self.start(|choices| Local::new(listener, bound, choices.readers).map(Some))
    }
}

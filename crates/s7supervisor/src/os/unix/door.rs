//! How the supervisor of a `temp` folder is reached: by the socket in it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use supervisor_control::{Builder, Client, ClientError, LocalListener, Server};

use super::temp_folder::{SOCKET, TempFolder};

/// Without a `tcpport` nobody comes by TCP.
pub(crate) const PORT: Option<u16> = None;

/// What people are told to look at where nobody is reached.
pub(crate) const NAME: &str = SOCKET;

/// Connects to the supervisor that listens in this folder.
pub(crate) fn connect(temp: &Path) -> Result<Client, ClientError> {
    Client::connect(&temp.join(SOCKET))
}

/// Nothing is listened on before the socket is: a port that is taken is tried again.
pub(crate) fn listen_first(addresses: Vec<SocketAddr>) -> io::Result<(Vec<SocketAddr>, Vec<TcpListener>)> {
    Ok((addresses, Vec::new()))
}

/// Serves at the socket in this folder, or goes on with that one.
pub(crate) fn open(
    builder: Builder,
    temp: &TempFolder,
    listener: Option<LocalListener>,
    _: Option<SocketAddr>,
) -> io::Result<Server> {
    let folder = temp.folder().try_clone_to_owned()?;
    let builder = builder.replace_socket(true);
    match listener {
        Some(listener) => builder.resume_in(folder, SOCKET, listener),
        None => builder.bind_in(folder, SOCKET),
    }
}

/// Whether whoever wants to come finds the way.
pub(crate) fn is_open(temp: &TempFolder) -> bool {
    temp.has(SOCKET)
}

//! The accounts that may connect to the local socket.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;

use rustix::process::{Gid, Uid, geteuid};
use tokio::net::UnixStream;

use super::Stream;
use super::groups::groups_of_peer;
use crate::server::{Access, Peer};

/// The accounts that may connect to the socket: root, the one that the server itself runs as, and a group if one was named.
///
/// Their names are looked up once, in `/etc/passwd`, because a name service may take its time or hang.
pub(crate) struct Accounts {
    root: String,
    own: (Uid, String),
    readers: Option<Gid>,
}

impl Accounts {
    /// Root and whoever runs this process; and this group, whose members may read.
    pub(crate) fn allowed(readers: Option<Gid>) -> Self {
        let own = geteuid();
        Self { root: name_of(Uid::ROOT), own: (own, name_of(own)), readers }
    }

    /// Who is at the other end of `stream`, and what they may do.
    ///
    /// # Errors
    /// It is none of the allowed accounts, or the operating system does not tell.
    pub(crate) fn admit(&self, stream: &Stream) -> io::Result<(Peer, Access)> {
        let Stream::Unix(stream) = stream else { return Err(io::ErrorKind::Unsupported.into()) };
        let credentials = stream.peer_cred()?;
        let uid = Uid::from_raw(credentials.uid());
        let (name, access) = if uid == self.own.0 {
            (self.own.1.clone(), Access::Owner)
        } else if uid.is_root() {
            (self.root.clone(), Access::Owner)
        } else if self.is_reader(stream, Gid::from_raw(credentials.gid()))? {
            // Not by its name, which would have to be looked up.
            (format!("with uid {}", uid.as_raw()), Access::Reader)
        } else {
            return Err(self.refusal(uid));
        };
        let peer = match credentials.pid() {
            Some(pid) => format!("user {name} (pid {pid})"),
            None => format!("user {name}"),
        };
        Ok((Peer(peer.into()), access))
    }

    /// Whether that process, with this group first of all, is in the group of those who may read.
    fn is_reader(&self, stream: &UnixStream, first: Gid) -> io::Result<bool> {
        let Some(readers) = self.readers else { return Ok(false) };
        Ok(first == readers || groups_of_peer(stream.as_fd())?.contains(&readers.as_raw()))
    }

    fn refusal(&self, uid: Uid) -> io::Error {
        let (uid, own) = (uid.as_raw(), &self.own.1);
        let why = match self.readers {
            None => format!("no permission: uid {uid} is neither root nor {own}"),
            Some(group) => {
                let group = group.as_raw();
                format!("no permission: uid {uid} is neither root nor {own}, nor in the group {group}")
            }
        };
        io::Error::new(io::ErrorKind::PermissionDenied, why)
    }
}

/// The account's name, or its number where it has none.
fn name_of(uid: Uid) -> String {
    let number = uid.as_raw().to_string();
    let name = File::open("/etc/passwd").ok().and_then(|file| {
        BufReader::new(file).lines().map_while(Result::ok).find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == number).then(|| name.to_owned())
        })
    });
    name.unwrap_or_else(|| format!("with uid {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_its_name_and_an_unknown_account_its_number() {
        assert_eq!(name_of(Uid::ROOT), "root");
        assert_eq!(name_of(Uid::from_raw(4_000_000_001)), "with uid 4000000001");
    }
}

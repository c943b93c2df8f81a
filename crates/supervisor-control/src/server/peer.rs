//! Who is at the other end of a connection, and whether it may be there.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::sync::Arc;

use rustix::process::{Uid, geteuid};
use tokio::net::UnixStream;

/// Who is at the other end, as events and the log name it: `user root (pid 4711)`.
#[derive(Clone, Debug)]
pub(super) struct Peer(pub(super) Arc<str>);

/// The accounts that may connect: root, and the one that the server itself runs as.
///
/// Their names are looked up once, in `/etc/passwd`, because a name service may take its time or hang.
pub(super) struct Accounts {
    root: String,
    own: (Uid, String),
}

impl Accounts {
    /// Root and whoever runs this process.
    pub(super) fn allowed() -> Self {
        let own = geteuid();
        Self { root: name_of(Uid::ROOT), own: (own, name_of(own)) }
    }

    /// Who is at the other end of `stream`.
    ///
    /// # Errors
    /// It is none of the allowed accounts, or the operating system does not tell.
    pub(super) fn admit(&self, stream: &UnixStream) -> io::Result<Peer> {
        let credentials = stream.peer_cred()?;
        let uid = Uid::from_raw(credentials.uid());
        let name = if uid == self.own.0 {
            &self.own.1
        } else if uid.is_root() {
            &self.root
        } else {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("no permission: uid {} is neither root nor {}", uid.as_raw(), self.own.1),
            ));
        };
        Ok(Peer(match credentials.pid() {
            Some(pid) => format!("user {name} (pid {pid})").into(),
            None => format!("user {name}").into(),
        }))
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

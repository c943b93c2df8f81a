//! How the supervisor of a `temp` folder is reached: by TCP, with the token in it, at the port that stands there.
//!
//! The token is shown to nobody but the process that holds the lock: it has written down where it listens after it listened, and
//! nobody can have that port as long as it lives.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use supervisor_control::{Address, Builder, Client, ClientError, LocalListener, Server, Token};

use super::lock::Lock;
use super::temp_folder::{LOCK, PORT_FILE, TOKEN_FILE, TempFolder, read};

/// Without a `tcpport` it is any that is free.
pub(crate) const PORT: Option<u16> = Some(0);

/// What people are told to look at where nobody is reached.
pub(crate) const NAME: &str = PORT_FILE;

/// Connects to the supervisor that listens for this folder.
pub(crate) fn connect(temp: &Path) -> Result<Client, ClientError> {
    let at = Address::Socket(temp.join(PORT_FILE));
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => ClientError::NotRunning { at: at.clone() },
        ErrorKind::PermissionDenied => ClientError::PermissionDenied { at: at.clone() },
        _ => ClientError::Unreachable { at: at.clone(), reason: error },
    };
    let holder = Lock::living_holder(temp, LOCK).map_err(failed)?;
    let holder = holder.ok_or_else(|| failed(ErrorKind::NotFound.into()))?;
    let text = read(temp, PORT_FILE).map_err(failed)?;
    let (address, pid) = parse(&text).ok_or_else(|| failed(ErrorKind::InvalidData.into()))?;
    if pid != holder.pid {
        // It is that of one that was killed: the next one has not come so far.
        return Err(failed(ErrorKind::NotFound.into()));
    }
    let token = Token::parse(&read(temp, TOKEN_FILE).map_err(failed)?);
    Client::connect_tcp(address, token.ok_or_else(|| failed(ErrorKind::InvalidData.into()))?)
}

/// Listens at the first of these, and knows which port all have, where any would do.
pub(crate) fn listen_first(
    mut addresses: Vec<SocketAddr>,
) -> io::Result<(Vec<SocketAddr>, Vec<TcpListener>)> {
    let Some(first) = addresses.first().copied() else { return Ok((addresses, Vec::new())) };
    let listener = TcpListener::bind(first)
        .map_err(|error| io::Error::new(error.kind(), format!("{first}: {error}")))?;
    let port = listener.local_addr()?.port();
    addresses.iter_mut().for_each(|address| address.set_port(port));
    Ok((addresses, vec![listener]))
}

/// Serves by TCP, and writes down where.
pub(crate) fn open(
    builder: Builder,
    temp: &TempFolder,
    _: Option<LocalListener>,
    address: Option<SocketAddr>,
) -> io::Result<Server> {
    let address = address.ok_or(ErrorKind::AddrNotAvailable)?;
    let server = builder.serve_tcp()?;
    let text = format!("{}\n{}\n", reachable(address), std::process::id());
    temp.replace(PORT_FILE, &text, 0o600).map_err(|failure| io::Error::other(failure.message))?;
    Ok(server)
}

/// The address by which somebody on this machine reaches what listens there.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn parse(text: &str) -> Option<(SocketAddr, u32)> {
    let (address, pid) = text.split_once('\n')?;
    Some((address.trim().parse().ok()?, pid.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_reached_on_this_machine() {
        assert_eq!(reachable("0.0.0.0:9910".parse().unwrap()), "127.0.0.1:9910".parse().unwrap());
        assert_eq!(reachable("192.0.2.7:9910".parse().unwrap()), "192.0.2.7:9910".parse().unwrap());
        assert_eq!(parse("127.0.0.1:9910\n47\n"), Some(("127.0.0.1:9910".parse().unwrap(), 47)));
        assert_eq!(parse("127.0.0.1:9910"), None);
    }
}

//! Whom the supervisor answers beside root and its own user: a group, and who comes by TCP with the token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use supervisor::registry::Config;
use supervisor_control::{Builder, Token};
use tracing::warn;

use super::cannot;
use crate::arguments::Serving;
use crate::exit::{Exit, Failure};
use crate::os::temp_folder::{TOKEN_FILE, TempFolder};
use crate::os::{self, door};

/// Who may come, and how.
#[derive(Debug)]
pub(super) struct Reach {
    /// Its members may read.
    group: Option<u32>,
    /// Where, and what must be presented there.
    tcp: Option<(Vec<SocketAddr>, Token)>,
    /// What is listened on already.
    open: Vec<TcpListener>,
}

impl Reach {
    /// Lets the group into the `temp` folder, and writes down the token there. `goes_on`: for another supervisor in the same
    /// process, whose token stays.
    pub(super) fn open(
        temp: &TempFolder,
        config: &Config,
        serving: &Serving,
        goes_on: bool,
    ) -> Result<Self, Failure> {
        let group = serving.group.as_deref().map(group_id).transpose()?;
        if let Some(group) = group {
            temp.let_in(group)?;
        }
        let Some(port) = config.tcp_port.or(door::PORT) else {
            temp.remove(TOKEN_FILE)?;
            if serving.bind.is_empty() {
                return Ok(Self { group, tcp: None, open: Vec::new() });
            }
            let why = "cannot listen where --bind says: the registry has no `tcpport`; give it one";
            return Err(Failure::new(Exit::Invalid, why));
        };
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let addresses = if serving.bind.is_empty() { &loopback[..] } else { &serving.bind };
        if addresses.iter().any(|address| !address.is_loopback()) {
            warn!("the control port can be reached from elsewhere, and what is sent there is not encrypted");
        }
        let kept =
            if goes_on { temp.read_own(TOKEN_FILE).and_then(|text| Token::parse(&text)) } else { None };
        let token = match kept {
            Some(token) => token,
            None => {
                let token = Token::random().map_err(|error| cannot("make a token", &error))?;
                temp.replace(TOKEN_FILE, &format!("{}\n", token.as_str()), 0o600)?;
                token
            }
        };
        let addresses = addresses.iter().map(|address| SocketAddr::new(*address, port)).collect();
        let (addresses, open) =
            door::listen_first(addresses).map_err(|error| cannot("listen on the control port", &error))?;
        Ok(Self { group, tcp: Some((addresses, token)), open })
    }

    /// A server that such people reach. `open`: ports that are listened on already.
    pub(super) fn extend(&self, mut builder: Builder, open: Vec<TcpListener>) -> Builder {
        builder = os::let_read(builder, self.group);
        let ours = self.open.iter().filter_map(|open| open.try_clone().ok());
        let open: Vec<_> = open.into_iter().chain(ours).collect();
        if let Some((addresses, token)) = &self.tcp {
            let is_open =
                |address: &SocketAddr, open: &TcpListener| open.local_addr().is_ok_and(|its| its == *address);
            let missing = addresses.iter().filter(|address| !open.iter().any(|open| is_open(address, open)));
            builder = builder.tcp(missing.copied(), token.clone());
            for open in open.into_iter().filter(|open| addresses.iter().any(|address| is_open(address, open)))
            {
                builder = builder.tcp_listener(open, token.clone());
            }
        }
        builder
    }
}

impl Reach {
    /// Where it is listened first of all by TCP, if it is.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|(addresses, _)| addresses.first().copied())
    }
}

fn group_id(name: &str) -> Result<u32, Failure> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let why = match os::group_id(name) {
        Ok(Some(group)) => return Ok(group),
        Ok(None) => "there is no such group".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::new(Exit::Invalid, format!("cannot let the group {name:?} read: {why}")))
}

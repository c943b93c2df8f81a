//! TCP ports: listened on as soon as they are free, and what stands in the way until then.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connections::Connections;
use crate::os::{Incoming, Listener};

/// How long to wait before a port that could not be had is tried again, the first time and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A place to listen by TCP.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    /// To be bound, and tried again while that fails.
    Address(SocketAddr),
    /// Bound by somebody else.
    Listener(Arc<TcpListener>),
}

/// The ports that are listened on.
#[derive(Default)]
pub(super) struct Open(RefCell<Vec<Rc<Incoming>>>);

impl Open {
    /// They, for another server, once nobody is taken in any more.
    pub(super) fn into_listeners(self) -> Vec<TcpListener> {
        let open = self.0.into_inner().into_iter();
        open.filter_map(|open| Rc::into_inner(open)?.into_tcp()).collect()
    }
}

/// Why a port cannot be listened on, while that is so. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    /// As a sentence.
    pub(super) fn now(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl Endpoint {
    /// Takes in who comes here, from when that can be on.
    pub(super) async fn serve(self, trouble: Trouble, connections: &Connections, open: &Open) -> Infallible {
        let Some(listener) = self.listen(&trouble).await else { return std::future::pending().await };
        let listener = Rc::new(listener);
        open.0.borrow_mut().push(Rc::clone(&listener));
        connections.accept(&listener).await
    }

    /// `None`: the machine has no such address, and nobody misses it.
    async fn listen(self, trouble: &Trouble) -> Option<Incoming> {
        let mut pause = PAUSE.0;
        let (address, mut result) = match self {
            Self::Listener(listener) => {
                let address = listener.local_addr().ok();
                (address, listener.try_clone().and_then(|listener| Incoming::new(Listener::Tcp(listener))))
            }
            Self::Address(address) => (Some(address), bind(address)),
        };
        loop {
            let (error, address) = match (result, address) {
                (Ok(listener), _) => {
                    trouble.set(None);
                    return Some(listener);
                }
                (Err(_), None) => return None,
                (Err(error), Some(address)) => (error, address),
            };
            let is_missing = error.kind() == ErrorKind::AddrNotAvailable
                || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
            if is_missing && address.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST) {
                tracing::debug!(target: "control", "no control at {address}: this machine has no such address");
                return None;
            }
            let reason = error.to_string();
            let reason = reason.split(" (os error").next().unwrap_or_default();
            if trouble.now().is_none() {
                tracing::warn!(target: "control", "cannot listen on {address}: {reason}; trying again");
            }
            trouble.set(Some(format!("cannot be controlled at {address}: {reason}; it is tried again")));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
            result = bind(address);
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<Incoming> {
    Incoming::new(Listener::Tcp(TcpListener::bind(address)?))
}

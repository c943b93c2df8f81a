//! Connecting without waiting.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::windows::io::{
    AsHandle, AsRawHandle, AsRawSocket, BorrowedHandle, FromRawSocket, OwnedHandle, OwnedSocket,
};
use std::ptr;
use std::sync::{Mutex, Once};

use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, FD_CONNECT, FD_CONNECT_BIT, IN_ADDR, IN_ADDR_0, IN6_ADDR, IN6_ADDR_0, INVALID_SOCKET,
    IPPROTO_TCP, SOCK_STREAM, SOCKADDR_IN, SOCKADDR_IN6, SOCKADDR_IN6_0, SOCKET, WSA_FLAG_NO_HANDLE_INHERIT,
    WSA_FLAG_OVERLAPPED, WSADATA, WSAEWOULDBLOCK, WSAEnumNetworkEvents, WSAEventSelect, WSAGetLastError,
    WSASocketW, WSAStartup, connect,
};

use super::handle::bell;
use super::watched::Watchable;

/// A TCP connection that is being made. Once its bell has rung, if not before, its [`outcome`](Self::outcome) is known.
#[derive(Debug)]
pub(crate) struct Connecting {
    socket: OwnedSocket,
    bell: OwnedHandle,
    /// The code of the outcome, which the system tells once.
    told: Mutex<Option<i32>>,
}

impl Connecting {
    /// Begins to connect.
    ///
    /// # Errors
    /// What is known at once: there is no way to such an address, or no handle is left.
    pub(crate) fn begin(address: SocketAddr) -> io::Result<Self> {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            // SAFETY: a struct of numbers, which is written. What the library does not start fails below.
            unsafe { WSAStartup(0x0202, &mut mem::zeroed::<WSADATA>()) };
        });
        let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        let flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
        // SAFETY: no pointer is given; the socket is new.
        let socket = unsafe {
            let socket = WSASocketW(i32::from(family), SOCK_STREAM, IPPROTO_TCP, ptr::null(), 0, flags);
            if socket == INVALID_SOCKET {
                return Err(last_error());
            }
            OwnedSocket::from_raw_socket(socket as u64)
        };
        let connecting = Self { socket, bell: bell()?, told: Mutex::new(None) };
        // SAFETY: socket and event are open. From here on no call on the socket waits.
        if unsafe {
            WSAEventSelect(connecting.raw(), connecting.bell.as_raw_handle() as isize, FD_CONNECT as i32)
        } != 0
        {
            return Err(last_error());
        }
        match connecting.connect(address) {
            Err(error) if error.raw_os_error() != Some(WSAEWOULDBLOCK) => Err(error),
            _ => Ok(connecting),
        }
    }

    fn connect(&self, address: SocketAddr) -> io::Result<()> {
        let port = address.port().to_be();
        let begun = match address {
            SocketAddr::V4(address) => {
                let addr = IN_ADDR { S_un: IN_ADDR_0 { S_addr: u32::from_ne_bytes(address.ip().octets()) } };
                let address =
                    SOCKADDR_IN { sin_family: AF_INET, sin_port: port, sin_addr: addr, sin_zero: [0; 8] };
                // SAFETY: the address is read, and has that size.
                unsafe { connect(self.raw(), (&raw const address).cast(), mem::size_of_val(&address) as i32) }
            }
            SocketAddr::V6(address) => {
                let addr = IN6_ADDR { u: IN6_ADDR_0 { Byte: address.ip().octets() } };
                let address = SOCKADDR_IN6 {
                    sin6_family: AF_INET6,
                    sin6_port: port,
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: addr,
                    Anonymous: SOCKADDR_IN6_0 { sin6_scope_id: address.scope_id() },
                };
                // SAFETY: as above.
                unsafe { connect(self.raw(), (&raw const address).cast(), mem::size_of_val(&address) as i32) }
            }
        };
        if begun == 0 { Ok(()) } else { Err(last_error()) }
    }

    /// What has come of it: `None` while that is open, an error if there is no connection.
    pub(crate) fn outcome(&self) -> Option<io::Result<()>> {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.is_none() {
            // SAFETY: a struct of numbers, which is written.
            let mut events = unsafe { mem::zeroed() };
            // SAFETY: the socket is open. Without an event to be reset.
            if unsafe { WSAEnumNetworkEvents(self.raw(), 0, &raw mut events) } != 0 {
                return Some(Err(last_error()));
            }
            let has_come = events.lNetworkEvents & FD_CONNECT as i32 != 0;
            *told = has_come.then_some(events.iErrorCode[FD_CONNECT_BIT as usize]);
        }
        told.map(|code| if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) })
    }

    fn raw(&self) -> SOCKET {
        self.socket.as_raw_socket() as SOCKET
    }
}

impl Watchable for Connecting {
    const HAPPENS_ONCE: bool = false;

    fn waitable(&self) -> BorrowedHandle<'_> {
        self.bell.as_handle()
    }
}

fn last_error() -> io::Error {
    // SAFETY: reads a number of the thread.
    io::Error::from_raw_os_error(unsafe { WSAGetLastError() })
}

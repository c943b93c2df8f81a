//! The control interface of a real supervisor: what its document says, what strangers can do, and what it bears.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
#[expect(dead_code, reason = "the other tests of the command line need more of it")]
mod house;

#[path = "api/hostile.rs"]
mod hostile;
#[path = "api/port.rs"]
mod port;
#[path = "api/schema.rs"]
mod schema;
#[path = "api/strangers.rs"]
mod strangers;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use house::House;

/// How long anything may take before a test gives up.
const SOON: Duration = Duration::from_secs(60);

/// A house whose supervisor can be controlled at a port.
struct Served {
    house: House,
    port: u16,
}

impl Served {
    /// Nothing runs yet.
    fn with(servers: &str) -> Self {
        let house = House::with("");
        let port = free_port();
        house.write_registry_with(&format!("<tcpport>{port}</tcpport>"), servers);
        Self { house, port }
    }

    fn token(&self) -> String {
        fs::read_to_string(self.house.path("temp/control-token")).unwrap().trim().to_owned()
    }

    fn tcp(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(SOON)).unwrap();
        Some(stream)
    }

    fn unix(&self) -> UnixStream {
        let stream = UnixStream::connect(self.house.path("temp/s7supervisor.sock")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    /// The status of the answer to this request by TCP, with a token; `None`: there is none.
    fn by_tcp(&self, request: &str, token: &str) -> Option<u16> {
        ask(self.tcp()?, request, &format!("Authorization: Bearer {token}\r\n")).map(|(status, _)| status)
    }

    /// Waits until the port is listened on.
    fn until_listening(&self) {
        self.house.until(|| self.tcp().is_some());
    }
}

/// The status and the rest of the answer to a request without a body; `None`: the connection was closed.
fn ask(mut stream: impl Read + Write, request: &str, headers: &str) -> Option<(u16, String)> {
    let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    let _end = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// A port that was free a moment ago, and that nobody is given by chance meanwhile: neither another test of this process, nor
/// a connection, which gets one from 32768 on.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = 10_000..32_000;
    let first = std::process::id().wrapping_mul(32);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (ports.start + number % ports.len() as u32) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Says that a test cannot run here, and why; where all must run, it fails.
fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "cannot run {test}: {why}");
    // Straight to the descriptor: what a passing test prints is not shown.
    writeln!(std::io::stderr(), "skipped: {test} cannot run here: {why}").expect("stderr is open");
}

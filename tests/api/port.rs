//! The control port and its token over the life of a supervisor.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::house::{code, stand_in, stderr};

#[test]
fn the_port_of_the_registry_is_listened_on_with_a_token_that_lives_as_long_as_the_supervisor() {
    let served = Served::with(&stand_in("ps", "", ""));
    served.house.start();
    served.until_listening();
    let token = served.token();
    assert_eq!(served.by_tcp("GET /v1/status", &token), Some(200));
    assert_eq!(served.by_tcp("POST /v1/components/ps/restart", &token), Some(200));
    assert_eq!(ask(served.tcp().unwrap(), "GET /readyz", "").unwrap().0, 200);
    let mode = fs::metadata(served.house.path("temp/control-token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);

    let before = listener(served.port);
    let upgrade = served.house.s7(&["upgrade"]);
    assert_eq!(code(&upgrade), 0, "{}", stderr(&upgrade));
    served.until_listening();
    assert_eq!(served.token(), token, "whoever has it goes on");
    assert_eq!(
        listener(served.port),
        before,
        "the port was open all the while, so that nobody else could take it"
    );
    assert_eq!(served.by_tcp("GET /v1/status", &token), Some(200));

    assert_eq!(code(&served.house.s7(&["restart"])), 0);
    served.until_listening();
    assert_ne!(served.token(), token, "each supervisor has its own");
    assert_eq!(served.by_tcp("GET /v1/status", &token), Some(401));
    assert_eq!(code(&served.house.s7(&["stop"])), 0);
    assert!(!served.house.path("temp/control-token").exists());
}

/// The inode of the socket that listens there.
fn listener(port: u16) -> String {
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let is_it = |line: &&str| line.contains(&format!(" 0100007F:{port:04X} 00000000:0000 0A "));
    sockets.lines().find(is_it).unwrap().split_whitespace().nth(9).unwrap().to_owned()
}

#[test]
fn a_port_that_is_taken_keeps_nobody_from_starting_and_is_told() {
    let served = Served::with(&stand_in("ps", "", ""));
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, served.port)).unwrap();
    served.house.start();
    let conditions = || served.house.json(&["status", "--json"])["supervisor"]["conditions"].to_string();
    let place = format!("127.0.0.1:{}", served.port);
    served.house.until(|| conditions().contains(&place));
    drop(taken);
    served.house.until(|| conditions() == "[]");
    assert_eq!(served.by_tcp("GET /v1/status", &served.token()), Some(200));
}

#[test]
fn another_address_is_listened_on_only_where_that_was_asked_for() {
    let served = Served::with(&stand_in("ps", "", ""));
    let started = served.house.s7(&["start", "--bind", "127.0.0.3"]);
    assert_eq!(code(&started), 0, "{}", stderr(&started));
    served.house.until(|| std::net::TcpStream::connect(("127.0.0.3", served.port)).is_ok());
    assert!(served.tcp().is_none(), "instead of 127.0.0.1");

    let without = House::with(&stand_in("ps", "", ""));
    let refused = without.s7(&["run", "--bind", "127.0.0.3"]);
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("tcpport"), "{}", stderr(&refused));
    assert_eq!(code(&without.s7(&["run", "--group", "no-such-group-anywhere"])), 2);
}

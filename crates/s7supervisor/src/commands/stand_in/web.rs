//! The stand-in's idea of a web server: one connection at a time, one answer each.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// How long a client may take for its request and to take the answer, in each step.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most of a request that is read.
const REQUEST: u64 = 16 * 1024;

/// Takes a connection, if there still is one, and answers it. What goes wrong concerns only the client.
pub(super) fn answer_one(listener: &TcpListener, name: &str) {
    if let Ok((stream, _)) = listener.accept() {
        let _clients_own_business = answer(stream, name);
    }
}

fn answer(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    read_head(&stream)?;
    let line = format!("{name} is up, pid {}\n", std::process::id());
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{line}",
        line.len()
    )
}

/// Reads up to the empty line: a connection that is closed with something unread takes the answer with it.
fn read_head(stream: &TcpStream) -> std::io::Result<()> {
    let mut limited = stream.take(REQUEST);
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match limited.read(&mut buffer)? {
            0 => break,
            length => head.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(())
}

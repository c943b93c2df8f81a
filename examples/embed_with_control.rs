//! A server that keeps a helper running and lets operators control it, on a socket and by TCP:
//! `cargo run -p supervisor-control --example embed_with_control`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::{Ipv4Addr, TcpListener};

use supervisor::{ProcessSpec, Supervisor, Until};
use supervisor_control::{Action, Client, Server, Token, Wait};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut helper = ProcessSpec::new("helper", "sleep")?;
    helper.arguments = vec!["1000".into()];
    let supervisor = Supervisor::builder().components([helper]).start()?;

    // A folder that nobody else can enter: here one that goes with the program.
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("control.sock");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let token = Token::random()?;
    // `Server::new(supervisor.handle(), &socket)` is all that it takes without TCP.
    let _server = Server::builder(supervisor.handle()).tcp_listener(listener, token.clone()).bind(&socket)?;
    println!("curl --unix-socket {} http://localhost/v1/status", socket.display());
    println!("curl --header 'Authorization: Bearer {}' http://{address}/v1/status", token.as_str());

    // What an operator does from another process, this one does itself.
    let client = Client::connect(&socket)?;
    client.act(Action::WaitFor(Until::Ready), None, Wait::Forever)?;
    let before = client.status(&[])?.components[0].pid;
    client.act(Action::Restart, Some(&["helper".to_owned()]), Wait::Forever)?;
    let after = client.status(&[])?.components[0].pid;
    println!("restarted: pid {before:?}, then {after:?}");
    assert_ne!(before, after);
    Ok(()) // Dropping the server closes what it listens on, and the supervisor stops the helper.
}

//! Who may come by TCP, with what, and what becomes of ports that are taken.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use rustix::net::{AddressFamily, SocketType};
use supervisor_control::{Action, Address, Client, ClientError, Limits, Server, Token, Wait};

use crate::common::{Answer, Connection, Running, SOON, get, steady};

/// A supervisor that can be controlled by TCP too.
pub(crate) struct ByTcp {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) token: Token,
    pub(crate) _server: Server,
}

impl ByTcp {
    pub(crate) fn with(running: Running, limits: Limits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let token = Token::random().unwrap();
        let server = Server::builder(running.supervisor.as_ref().unwrap().handle())
            .limits(limits)
            .tcp_listener(listener, token.clone())
            .bind(&running.folder.path().join("tcp.sock"))
            .unwrap();
        Self { running, address, token, _server: server }
    }

    pub(crate) fn connect(&self) -> Connection<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Connection::on(stream)
    }

    pub(crate) fn ask(&self, method_and_path: &str, headers: &str) -> Answer {
        let mut connection = self.connect();
        connection.send(format!("{method_and_path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"));
        connection.answer().expect("the connection was closed without an answer")
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token.as_str())
    }
}

fn steady_by_tcp() -> ByTcp {
    ByTcp::with(Running::with([steady("ps")]), Limits::default())
}

#[test]
fn with_the_token_everything_can_be_done_by_tcp_and_without_it_nothing() {
    let control = steady_by_tcp();
    let bearer = control.bearer();
    let answer = control.ask("POST /v1/components/ps/restart", &bearer);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(control.ask("GET /v1/status", &bearer).body["components"][0]["state"], "up");

    let before = control.running.client().status(&[]).unwrap().components[0].pid;
    let other = format!("Authorization: Bearer {}\r\n", Token::random().unwrap().as_str());
    for headers in ["", "Authorization: Basic cm9vdDo=\r\n", "Authorization: Bearer\r\n", &other] {
        for request in
            ["GET /v1/status", "POST /v1/stop", "POST /v1/shutdown", "GET /v1/openapi.json", "GET /nothing"]
        {
            let mut connection = control.connect();
            connection.send(format!("{request} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"));
            let answer = connection.answer().unwrap();
            answer.problem(401);
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"), "{answer:?}");
            connection.assert_closed();
        }
    }
    assert_eq!(control.running.client().status(&[]).unwrap().components[0].pid, before);
}

#[test]
fn the_client_does_by_tcp_what_it_does_on_the_socket() {
    let control = steady_by_tcp();
    let client = Client::connect_tcp(control.address, control.token.clone()).unwrap();
    assert_eq!(client.address(), &Address::Tcp(control.address));
    assert_eq!(client.supervisor_pid(), None, "nothing but the answer says who it is");
    let mut followed = client.connect_again().unwrap().follow().unwrap();
    let outcome = client.act(Action::Restart, Some(&["ps".to_owned()]), Wait::Forever).unwrap();
    assert!(outcome.is_success());
    assert!(followed.next().unwrap().unwrap().contains("restart"), "what has happened is followed");
    assert_eq!(client.status(&[]).unwrap().components[0].state, "up");
    let unknown = client.act(Action::Stop, Some(&["psi".to_owned()]), Wait::Forever).unwrap_err();
    assert!(matches!(unknown, ClientError::Refused { status: 404, .. }), "{unknown:?}");
}

#[test]
fn the_client_is_told_by_tcp_that_its_token_is_wrong_and_that_nobody_listens() {
    let control = steady_by_tcp();
    let stranger = Client::connect_tcp(control.address, Token::random().unwrap()).unwrap();
    let error = stranger.status(&[]).unwrap_err();
    assert!(matches!(&error, ClientError::Refused { status: 401, .. }), "{error:?}");
    assert!(!format!("{stranger:?} {error:?}").contains(control.token.as_str()));

    // A port that is taken by one who does not listen.
    let deaf = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&deaf, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&deaf).unwrap()).unwrap();
    let error = Client::connect_tcp(address, Token::random().unwrap()).unwrap_err();
    assert!(
        matches!(&error, ClientError::NotRunning { at: Address::Tcp(at) } if *at == address),
        "{error:?}"
    );
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn the_client_waits_by_tcp_no_longer_than_it_is_told() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = Client::connect_tcp(silent.local_addr().unwrap(), Token::random().unwrap()).unwrap();
    let began = Instant::now();
    let error = client.status_within(&[], std::time::Duration::ZERO).unwrap_err();
    assert!(matches!(error, ClientError::NoAnswer { .. }), "{error:?}");
    assert!(began.elapsed() < SOON / 2);
}

#[test]
fn who_guesses_waits_and_who_has_the_token_does_not() {
    let control = steady_by_tcp();
    let other = format!("Authorization: Bearer {}\r\n", Token::random().unwrap().as_str());
    let began = Instant::now();
    let mut guessing: Vec<_> = (0..200).map(|_| control.connect()).collect();
    for connection in &mut guessing {
        connection.send(format!("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n{other}\r\n"));
    }
    assert_eq!(control.ask("GET /v1/status", &control.bearer()).status, 200);
    let mut answered = 0;
    for connection in &mut guessing {
        if let Some(answer) = connection.answer() {
            answer.problem(401);
            answered += 1;
        }
    }
    let times = began.elapsed().as_millis() / 250;
    assert!(times >= 1);
    // Those for whom there was no place any more have no answer. Of a place somebody else may have the next 250 ms.
    assert!((1..=64 * times).contains(&answered), "{answered}");
}

#[test]
fn without_the_token_health_is_told_and_it_means_the_components() {
    let mut dead = crate::common::shell("dead", "exit 3");
    dead.restart = std::sync::Arc::new(supervisor::Never);
    dead.autostart = false;
    let control = ByTcp::with(Running::with([steady("ps"), dead]), Limits::default());
    let client = control.running.client();
    client
        .act(
            supervisor_control::Action::WaitFor(supervisor::Until::Ready),
            Some(&["ps".to_owned()]),
            supervisor_control::Wait::Forever,
        )
        .unwrap();
    // An answer may be given again for a second.
    let until = |path: &str, status: u16| {
        let deadline = Instant::now() + SOON;
        loop {
            let answer = control.ask(&format!("GET {path}"), "");
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < deadline, "{answer:?}");
        }
    };
    assert_eq!(until("/livez", 200).body, serde_json::json!({"ok": true, "wanted": 1}));
    assert_eq!(until("/readyz", 200).body["wanted"], 1);
    client
        .act(supervisor_control::Action::Start, Some(&["dead".to_owned()]), supervisor_control::Wait::Forever)
        .unwrap();
    for path in ["/livez", "/readyz"] {
        let answer = until(path, 503);
        let detail = answer.problem(503);
        assert!(detail.contains("of the 2 components that should run, 1"), "{detail}");
        assert!(!detail.contains("dead "), "no names: {detail}");
    }
}

#[test]
fn pages_of_others_and_names_that_may_be_anybodys_are_refused() {
    let control = steady_by_tcp();
    let bearer = control.bearer();
    let mut connection = control.connect();
    connection.send(format!(
        "GET /v1/status HTTP/1.1\r\nHost: rebound.example:{}\r\n{bearer}\r\n",
        control.address.port()
    ));
    connection.answer().unwrap().problem(421);
    connection.assert_closed();
    for origin in ["http://evil.example", "null"] {
        let answer = control.ask("POST /v1/stop", &format!("{bearer}Origin: {origin}\r\n"));
        answer.problem(403);
        // On the socket too, where a proxy may stand in front.
        let request = get("/v1/status").replace("Host: x", &format!("Host: localhost\r\nOrigin: {origin}"));
        control.running.ask(&request).problem(403);
    }
    let own = format!("{bearer}Origin: http://localhost\r\n");
    assert_eq!(control.ask("GET /v1/status", &own).status, 200);
    assert!(control.running.client().status(&[]).unwrap().components[0].wanted);
}

#[test]
fn a_port_that_is_taken_is_a_condition_and_is_listened_on_when_it_is_free() {
    let running = Running::with([steady("ps")]);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let token = Token::random().unwrap();
    let socket = running.folder.path().join("tcp.sock");
    let _server = Server::builder(running.supervisor.as_ref().unwrap().handle())
        .tcp([address, (Ipv6Addr::LOCALHOST, 0).into()], token.clone())
        .bind(&socket)
        .unwrap();
    let client = supervisor_control::Client::connect(&socket).unwrap();
    let conditions = || client.status(&[]).unwrap().supervisor.conditions;
    let deadline = Instant::now() + SOON;
    let found = loop {
        // The port is tried first of all, and the first question may come sooner.
        if let [only] = conditions().as_slice() {
            break only.clone();
        }
        assert!(Instant::now() < deadline);
    };
    assert!(found.contains(&address.to_string()) && found.contains("in use"), "{found}");

    drop(taken);
    let ask = || {
        let mut connection = Connection::on(TcpStream::connect(address).ok()?);
        connection.send(format!(
            "GET /v1/components HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\r\n",
            token.as_str()
        ));
        connection.answer()
    };
    let answer = loop {
        if let Some(answer) = ask() {
            break answer;
        }
        assert!(Instant::now() < deadline, "nobody listens there");
    };
    assert_eq!(answer.status, 200);
    assert_eq!(conditions(), [""; 0]);
}

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use supervisor::{Fault, GuardAction, Health, Probe, ProcessSpec, Supervisor};

use super::*;

/// A server for one connection, which gets the head of the request.
fn serve<T: Send + 'static>(
    answer: impl FnOnce(Vec<String>, TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a server to be asked")]
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        answer(head, stream)
    });
    (address, thread)
}

/// A server that says just this.
fn says(text: &str) -> SocketAddr {
    let text = text.to_owned();
    serve(move |_, mut stream| stream.write_all(text.as_bytes()).unwrap()).0
}

fn ask_with(prober: &HttpProber, url: &str) -> Result<String, String> {
    let (told, heard) = mpsc::channel();
    let answer = ProbeAnswer::new(move |answer| told.send(answer).unwrap());
    prober.probe(HttpQuestion::new(url, 200..=299), answer);
    heard.recv_timeout(Duration::from_secs(60)).unwrap()
}

fn ask(url: &str) -> Result<String, String> {
    ask_with(&HttpProber::new(), url)
}

#[test]
fn who_answers_well_is_well() {
    let (address, server) = serve(|head, mut stream| {
        stream.write_all(b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok").unwrap();
        head
    });
    let port = address.port();
    let url = format!("http://user:secret@localhost:{port}/is/image?req=ping");
    assert_eq!(ask(&url).as_deref(), Ok("200 OK"));
    let mut head = server.join().unwrap();
    assert_eq!(head.remove(0), "GET /is/image?req=ping HTTP/1.1");
    let host = format!("host: localhost:{port}");
    assert!(head.contains(&host) && head.contains(&"connection: close".to_owned()), "{head:?}");
    assert!(!head.iter().any(|line| line.contains("secret")), "{head:?}");
}

#[test]
fn one_thread_asks_again_and_again() {
    let prober = HttpProber::new();
    for status in ["200 OK", "204 No Content", "299"] {
        let address = says(&format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n"));
        assert_eq!(ask_with(&prober, &format!("http://{address}")).as_deref(), Ok(status));
    }
}

#[test]
fn any_other_status_is_a_failure_and_no_redirection_is_followed() {
    for status in ["302 Found", "404 Not Found", "503 Service Unavailable"] {
        let location = "Location: http://127.0.0.1:1/";
        let address = says(&format!("HTTP/1.1 {status}\r\n{location}\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(ask(&format!("http://{address}/")), Err(status.to_owned()));
    }
}

#[test]
fn who_does_not_answer_at_all_fails_with_the_reason() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(ask(&format!("http://{nobody}/")), Err("connection refused".to_owned()));
    let closed = Err("it closed the connection before it had answered".to_owned());
    assert_eq!(ask(&format!("http://{}/", says(""))), closed);
    assert_eq!(ask(&format!("http://{}/", says("HTTP/1.1 200 OK\r\nContent-"))), closed);
    let address = says("SSH-2.0-OpenSSH_9.2\r\n");
    assert_eq!(ask(&format!("http://{address}/")), Err("what it answers is not HTTP".to_owned()));
    let endless = "x-y: z\r\n".repeat(20_000);
    let why = ask(&format!("http://{}/", says(&format!("HTTP/1.1 200 OK\r\n{endless}")))).unwrap_err();
    assert_eq!(why, "the head of its answer is larger than 64 KiB");
}

#[test]
fn what_is_no_url_to_be_asked_is_refused() {
    for url in ["https://localhost/", "localhost:80", "/is", "http://", "", "http://local host/"] {
        assert!(ask(url).unwrap_err().starts_with("the URL "), "{url}");
    }
}

#[test]
fn a_body_without_end_is_not_read_to_its_end() {
    let (address, server) = serve(|_, mut stream| {
        let mut sent = 0;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&[b'x'; 4096]).is_ok() {
            sent += 4096;
        }
        sent
    });
    let prober = HttpProber::new();
    assert_eq!(ask_with(&prober, &format!("http://{address}/")).as_deref(), Ok("200 OK"));
    assert!(server.join().unwrap() >= BODY_SIZE);
}

#[test]
fn the_status_is_the_answer_whatever_becomes_of_the_body() {
    let address = says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    assert_eq!(ask(&format!("http://{address}/")).as_deref(), Ok("200 OK"));
    // One that never comes to its end holds the connection only for a while: then there is an end for the other side.
    let (address, server) = serve(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n").unwrap();
        stream.read(&mut [0; 1]).unwrap()
    });
    let prober = HttpProber::new();
    let told = ask_with(&prober, &format!("http://{address}/"));
    assert_eq!(told, Err("503 Service Unavailable".to_owned()));
    assert_eq!(server.join().unwrap(), 0, "the connection is closed");
}

#[test]
fn a_question_whose_answer_is_not_wanted_any_more_lets_go_of_its_connection() {
    // It says nothing, and waits until the other end is gone.
    let (address, server) = serve(|_, mut stream| stream.read(&mut [0; 1]).unwrap());
    let mut spec = ProcessSpec::new("ps", "sleep").unwrap();
    spec.arguments = vec!["1000".into()];
    spec.health = Some(Health {
        probe: Probe::Http { url: format!("http://{address}/"), status: 200..=399 },
        interval: Duration::from_millis(10),
        timeout: Duration::from_millis(50),
        failures: 1,
        start_after: Duration::ZERO,
        action: GuardAction::Restart,
    });
    let mut builder = Supervisor::builder().components([spec]).prober(Arc::new(HttpProber::new()));
    let events = builder.subscribe();
    let supervisor = builder.start().unwrap();
    let fault = events.iter().find_map(|event| match event.kind {
        supervisor::EventKind::Judged { fault, .. } => Some(fault),
        _ => None,
    });
    assert!(matches!(fault, Some(Fault::Unhealthy { failures: 1, .. })), "{fault:?}");
    assert_eq!(server.join().unwrap(), 0, "the connection is closed");
    drop(supervisor);
}

#[test]
fn lookups_that_hang_hold_up_others_only_until_these_are_not_wanted_any_more() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(MAX_LOOKED_UP).build().unwrap();
    runtime.block_on(async {
        let lookups = Lookups::new();
        let (begun, beginnings) = mpsc::channel();
        let mut ends = Vec::new();
        for _ in 0..MAX_LOOKED_UP {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let (lookups, begun) = (lookups.clone(), begun.clone());
            let hanging = async move {
                lookups.look_up(move || (begun.send("one that hangs"), ended.recv())).await.unwrap()
            };
            // Nobody waits for it any more as soon as it has begun.
            let mut hanging = Box::pin(hanging);
            poll_fn(|context| Poll::Ready(hanging.as_mut().poll(context).is_pending())).await;
        }
        for _ in 0..1_000 {
            let begun = begun.clone();
            let mut waiting = Box::pin(lookups.look_up(move || begun.send("one that is not wanted")));
            assert!(poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await);
        }
        drop(ends);
        assert_eq!(lookups.look_up(|| "found").await.unwrap(), "found");
        drop(begun);
        assert!(beginnings.iter().eq(["one that hangs"; MAX_LOOKED_UP]));
    });
}

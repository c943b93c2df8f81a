//! Whom health checks ask: one thread that answers for every component, and writes down when each was asked.
//!
//! Components with an even number are asked by TCP, each on a port of its own; the others by HTTP, each by a path of its
//! own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::Failure;

/// The largest request that is read.
const LONGEST: usize = 4_096;

/// Answers until the program ends.
pub(crate) struct Answerer {
    tcp_ports: Vec<u16>,
    http_port: u16,
    asked: Arc<Mutex<Vec<Vec<Instant>>>>,
}

impl Answerer {
    /// Starts to answer for so many components.
    pub(crate) fn start(components: usize) -> Result<Self, Failure> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let tcp = (0..components.div_ceil(2)).map(|_| listen()).collect::<io::Result<Vec<_>>>()?;
        let http = listen()?;
        let ports = tcp.iter().map(|listener| Ok(listener.local_addr()?.port()));
        let tcp_ports = ports.collect::<io::Result<_>>()?;
        let http_port = http.local_addr()?.port();
        let asked = Arc::new(Mutex::new(vec![Vec::new(); components]));
        let desk = Desk::new(tcp, http, Arc::clone(&asked))?;
        thread::spawn(move || {
            let Err(error) = desk.answer();
            eprintln!("health checks are no longer answered: {error}");
        });
        Ok(Self { tcp_ports, http_port, asked })
    }

    /// How a component is asked, as an element of a registry.
    pub(crate) fn question(&self, component: usize) -> String {
        if component.is_multiple_of(2) {
            format!(r#"<tcp port="{}"/>"#, self.tcp_ports[component / 2])
        } else {
            format!(r#"<http url="http://127.0.0.1:{}/{component}"/>"#, self.http_port)
        }
    }

    /// A port where a connection is a question.
    pub(crate) fn tcp_port(&self) -> u16 {
        self.tcp_ports[0]
    }

    /// The port where a request is a question.
    pub(crate) fn http_port(&self) -> u16 {
        self.http_port
    }

    /// When each component was asked so far.
    pub(crate) fn asked(&self) -> Vec<Vec<Instant>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where the questions come in. In the poller a listener of a component is known by its place, the one of HTTP by their
/// count, and a connection by a greater number.
struct Desk {
    poller: OwnedFd,
    tcp: Vec<TcpListener>,
    http: TcpListener,
    connections: HashMap<u64, (TcpStream, Vec<u8>)>,
    next: u64,
    asked: Arc<Mutex<Vec<Vec<Instant>>>>,
}

impl Desk {
    fn new(
        tcp: Vec<TcpListener>,
        http: TcpListener,
        asked: Arc<Mutex<Vec<Vec<Instant>>>>,
    ) -> io::Result<Self> {
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, listener) in (0..).zip(tcp.iter().chain([&http])) {
            listener.set_nonblocking(true)?;
            epoll::add(&poller, listener, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        }
        let next = tcp.len() as u64 + 1;
        Ok(Self { poller, tcp, http, connections: HashMap::new(), next, asked })
    }

    fn answer(mut self) -> io::Result<Infallible> {
        let mut events = Vec::with_capacity(1_024);
        loop {
            events.clear();
            epoll::wait(&self.poller, spare_capacity(&mut events), None)?;
            for event in &events {
                let number = event.data.u64();
                let place = usize::try_from(number).map_err(io::Error::other)?;
                if let Some(listener) = self.tcp.get(place) {
                    while listener.accept().is_ok() {
                        self.note(2 * place);
                    }
                } else if place == self.tcp.len() {
                    self.accept()?;
                } else if self.read(number).is_none() {
                    self.connections.remove(&number);
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((connection, _)) = self.http.accept() {
            connection.set_nonblocking(true)?;
            let known_as = epoll::EventData::new_u64(self.next);
            epoll::add(&self.poller, &connection, known_as, epoll::EventFlags::IN)?;
            self.connections.insert(self.next, (connection, Vec::new()));
            self.next += 1;
        }
        Ok(())
    }

    /// Reads what there is; `None` once the connection has had its answer, or deserves none.
    fn read(&mut self, number: u64) -> Option<()> {
        let (connection, request) = self.connections.get_mut(&number)?;
        let mut buffer = [0; LONGEST];
        let length = connection.read(&mut buffer).ok().filter(|&length| length > 0)?;
        request.extend(&buffer[..length]);
        let text = String::from_utf8_lossy(request).into_owned();
        if !text.contains("\r\n\r\n") {
            return (request.len() < LONGEST).then_some(());
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
        connection.write_all(answer).ok()?;
        let component = text.strip_prefix("GET /")?.split(' ').next()?.parse().ok()?;
        self.note(component);
        None
    }

    fn note(&self, component: usize) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = asked.get_mut(component) {
            times.push(Instant::now());
        }
    }
}

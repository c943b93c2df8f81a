//! What the control interface bears: connections that idle or never end their requests, floods, garbage. It goes on
//! answering at once, takes no memory and hardly any time.

use std::io::ErrorKind;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::house::stand_in;

/// So many are there at the same time, on the socket and by TCP together.
const CONNECTIONS: usize = 1_050;

/// How long somebody who asks may have to wait.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How much memory all of it may take, in bytes.
const MEMORY: u64 = 10 << 20;

/// An attacker's connection.
trait Attacker: Read + Write {
    fn set_nonblocking(&self);
}

impl Attacker for TcpStream {
    fn set_nonblocking(&self) {
        Self::set_nonblocking(self, true).unwrap();
    }
}

impl Attacker for UnixStream {
    fn set_nonblocking(&self) {
        Self::set_nonblocking(self, true).unwrap();
    }
}

impl Served {
    /// The one half on the socket, the other by TCP.
    fn attacker(&self, number: usize) -> Box<dyn Attacker> {
        let attacker: Box<dyn Attacker> =
            if number.is_multiple_of(2) { Box::new(self.unix()) } else { Box::new(self.tcp().unwrap()) };
        attacker.set_nonblocking();
        attacker
    }

    /// How long an answer takes, on the socket and by TCP: the best of five, because other tests run at the same time.
    fn answers_at_once(&self, token: &str) {
        let tries = [(); 5].map(|()| {
            let began = Instant::now();
            let (status, _) = ask(self.unix(), "GET /v1/components/ps", "").unwrap();
            let on_socket = began.elapsed();
            assert_eq!((status, self.by_tcp("GET /v1/components/ps", token)), (200, Some(200)));
            on_socket.max(began.elapsed() - on_socket)
        });
        assert!(tries.iter().any(|taken| *taken < AT_ONCE), "{tries:?}");
    }

    /// The resident memory of the supervisor.
    fn memory(&self) -> u64 {
        let pid = self.house.supervisor_pid();
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// The processor time that the supervisor has used.
    fn processor_time(&self) -> Duration {
        let pid = self.house.supervisor_pid();
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields = text.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
    }
}

/// Lets time pass: nothing is ever to be read there.
fn pause(time: Duration) {
    let (silent, _other) = UnixStream::pair().unwrap();
    let time = Timespec::try_from(time).unwrap();
    poll(&mut [PollFd::new(&silent, PollFlags::IN)], Some(&time)).unwrap();
}

/// Sends what is taken; whether the connection is still there.
fn send(attacker: &mut Box<dyn Attacker>, bytes: &[u8]) -> bool {
    let taken = match attacker.write(bytes) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    // What was answered is thrown away.
    let is_open = match attacker.read(&mut [0; 4096]) {
        Ok(length) => length > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    taken && is_open
}

#[test]
fn a_thousand_hostile_connections_keep_nobody_waiting_and_take_next_to_nothing() {
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let more = rustix::process::Rlimit { current: limits.maximum, maximum: limits.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, more).unwrap();
    let served = Served::with(&stand_in("ps", "", ""));
    served.house.start();
    served.until_listening();
    let [before_pid] = served.house.pids_of(["ps"]);
    let token = served.token();
    served.answers_at_once(&token);
    let memory = served.memory();

    // Idle and half-open ones, which drip: as fast as a slowloris does. Who is closed comes again.
    let beginnings: [&[u8]; 4] = [
        b"",
        b"G",
        b"GET /v1/status HTTP/1.1\r\nX-",
        b"POST /v1/stop HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
    ];
    let mut attackers: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let mut attacker = served.attacker(number);
            send(&mut attacker, beginnings[number / 2 % 4]);
            attacker
        })
        .collect();
    let (since, before) = (Instant::now(), served.processor_time());
    let mut next = 0;
    while since.elapsed() < Duration::from_secs(6) {
        for (number, attacker) in attackers.iter_mut().enumerate().skip(next % 10).step_by(10) {
            // One in a hundred of those that were closed comes again, each time.
            if !send(attacker, b"a") && (number + next).is_multiple_of(100) {
                *attacker = served.attacker(number);
            }
        }
        next += 1;
        served.answers_at_once(&token);
        pause(Duration::from_millis(500));
    }
    let share = (served.processor_time() - before).as_secs_f64() / since.elapsed().as_secs_f64();
    assert!(share < 0.05, "{share:.3} of a processor");
    let grown = served.memory().saturating_sub(memory);
    assert!(grown < MEMORY, "{grown} bytes more");
    drop(attackers);

    flood(&served, &token);
    served.answers_at_once(&token);
    let grown = served.memory().saturating_sub(memory);
    assert!(grown < MEMORY, "{grown} bytes more after the floods");
    let left = || fs::read_dir(format!("/proc/{}/fd", served.house.supervisor_pid())).unwrap().count();
    served.house.until(|| left() < 64);
    assert_eq!(served.house.pids_of(["ps"]), [before_pid], "and nothing has happened to the component");
}

/// What is more than is taken: bodies of 64 MB, heads without end, thousands of headers, and no HTTP at all.
fn flood(served: &Served, token: &str) {
    let large = vec![b'x'; 64 << 20];
    let announced = format!(
        "POST /v1/stop HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        large.len()
    );
    let chunked = announced
        .replace(&format!("Content-Length: {}", large.len()), "Transfer-Encoding: chunked")
        + "4000000\r\n";
    let headers = "GET /v1/status HTTP/1.1\r\n".to_owned() + &"X: y\r\n".repeat(100_000);
    let endless = "GET /v1/status HTTP/1.1\r\nX: ".to_owned();
    let garbage: Vec<u8> =
        (0..1 << 20).map(|number: u32| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let attacks: [(&[u8], &[u8]); 5] = [
        (announced.as_bytes(), &large),
        (chunked.as_bytes(), &large),
        (headers.as_bytes(), b""),
        (endless.as_bytes(), &large),
        (&garbage, &garbage),
    ];
    let (socket, port) = (served.house.path("temp/s7supervisor.sock"), served.port);
    let socket = &socket;
    std::thread::scope(|scope| {
        // One attacker each: more would only take the processor from whoever measures.
        scope.spawn(|| {
            for (head, rest) in attacks.iter().cycle().take(3 * attacks.len()) {
                attack(UnixStream::connect(socket).unwrap(), head, rest);
            }
        });
        scope.spawn(|| {
            for (head, rest) in attacks.iter().cycle().take(3 * attacks.len()) {
                attack(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap(), head, rest);
            }
        });
        for _ in 0..5 {
            served.answers_at_once(token);
        }
    });
}

/// Sends all of it, until the connection is closed; no answer says that anything was done.
fn attack(mut stream: impl Read + Write, head: &[u8], rest: &[u8]) {
    let _closed = stream.write_all(head).and_then(|()| stream.write_all(rest));
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_ok() {
        assert!(answer[9] == b'4', "{}", String::from_utf8_lossy(&answer));
    }
}

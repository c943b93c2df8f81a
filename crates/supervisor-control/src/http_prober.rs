//! HTTP probes: asks components whether they are ready or well.
//!
//! One thread asks all of them, each on a connection of its own that is closed after the answer, as a health check should
//! see what a new client sees. It begins with the first question and sleeps without a timer while none is open: how long
//! an answer may take is watched by the supervisor, which says when it is not wanted any more.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use supervisor::{HttpQuestion, ProbeAnswer, Prober};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;

/// How many questions may wait to be asked.
const MAX_WAITING: usize = 4_096;

/// How many are asked at the same time; each takes a descriptor.
const MAX_ASKED: usize = 256;

/// How many names are looked up at the same time; each takes a thread of its own meanwhile.
const MAX_LOOKED_UP: usize = 2;

/// How much of the body of an answer is read once the answer is known, in bytes, and for how long: so that whoever
/// answers need not see its connection fail.
const BODY_SIZE: usize = 64 * 1024;
const BODY_TIME: Duration = Duration::from_secs(1);

/// How large the head of an answer may be, in bytes.
const HEAD_SIZE: usize = 64 * 1024;

/// Asks by HTTP/1.1, in a thread of its own named `probes`: a [`Prober`] for
/// [`supervisor::Builder::prober`].
///
/// The status is the answer: what comes after the head does not count, and is read for courtesy only. A redirection is an
/// answer like any other, and not followed. Dropping it ends the thread.
///
/// ```
/// use std::sync::Arc;
/// use supervisor_control::HttpProber;
///
/// let supervisor = supervisor::Supervisor::builder().prober(Arc::new(HttpProber::new())).start()?;
/// # drop(supervisor);
/// # Ok::<(), supervisor::StartError>(())
/// ```
#[derive(Default)]
pub struct HttpProber {
    thread: Mutex<Option<Thread>>,
}

struct Thread {
    questions: mpsc::Sender<(HttpQuestion, ProbeAnswer)>,
    handle: JoinHandle<()>,
}

impl HttpProber {
    /// One that has asked nobody yet, and has no thread.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Prober for HttpProber {
    fn probe(&self, question: HttpQuestion, answer: ProbeAnswer) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let started = match thread.take() {
            Some(started) => Ok(started),
            None => Thread::start(),
        };
        match started {
            Ok(started) => {
                let sent = started.questions.try_send((question, answer));
                *thread = Some(started);
                if let Err(refused) = sent {
                    let (_, answer) = refused.into_inner();
                    answer.cannot_ask("too many probes wait to be asked");
                }
            }
            Err(error) => answer.fail(&error),
        }
    }
}

impl Drop for HttpProber {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Thread { questions, handle }) = thread.take() {
            drop(questions);
            // A panic in it has been told by the panic hook.
            let _ = handle.join();
        }
    }
}

impl fmt::Debug for HttpProber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProber").finish_non_exhaustive()
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(MAX_LOOKED_UP)
            .build()?;
        let (questions, asked) = mpsc::channel(MAX_WAITING);
        #[expect(clippy::disallowed_methods, reason = "the supervisor's thread must not wait for answers")]
        let handle =
            std::thread::Builder::new().name("probes".to_owned()).spawn(move || run(runtime, asked))?;
        Ok(Self { questions, handle })
    }
}

/// Asks until nobody can have questions any more. What is open then is dropped.
fn run(runtime: Runtime, mut questions: mpsc::Receiver<(HttpQuestion, ProbeAnswer)>) {
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let room = Arc::new(Semaphore::new(MAX_ASKED));
        let lookups = Lookups::new();
        // It is never closed.
        while let Ok(place) = Arc::clone(&room).acquire_owned().await {
            let Some((question, answer)) = questions.recv().await else { break };
            let lookups = lookups.clone();
            tokio::task::spawn_local(async move {
                probe(&question, answer, &lookups).await;
                drop(place);
            });
        }
    });
    drop(tasks);
    // A name service that hangs is not waited for.
    runtime.shutdown_background();
}

/// Asks and gives the answer, unless that is not wanted any more.
async fn probe(question: &HttpQuestion, answer: ProbeAnswer, lookups: &Lookups) {
    let (wake, mut abandoned) = oneshot::channel::<()>();
    // Dropped when it is called, which wakes the other end.
    answer.when_abandoned(move || drop(wake));
    let mut asking = pin!(ask(question, lookups));
    let told = poll_fn(|context| {
        if Pin::new(&mut abandoned).poll(context).is_ready() {
            return Poll::Ready(None);
        }
        asking.as_mut().poll(context).map(Some)
    });
    match told.await {
        Some(Ok(Told { status, rest })) => {
            let is_good = question.status.contains(&status.as_u16());
            let told = match status.canonical_reason() {
                Some(reason) => format!("{} {reason}", status.as_u16()),
                None => status.as_u16().to_string(),
            };
            answer.give(if is_good { Ok(told) } else { Err(told) });
            // What has not come by then is of no interest.
            let _ = tokio::time::timeout(BODY_TIME, rest.read()).await;
        }
        Some(Err(Failure::System(error))) => answer.fail(&error),
        Some(Err(Failure::Told(why))) => answer.give(Err(why)),
        None => {}
    }
}

/// Why there is no status.
enum Failure {
    System(io::Error),
    Told(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        if let Some(number) = cause.and_then(io::Error::raw_os_error) {
            return Self::System(io::Error::from_raw_os_error(number));
        }
        Self::Told(if error.is_parse_too_large() {
            format!("the head of its answer is larger than {} KiB", HEAD_SIZE / 1024)
        } else if error.is_parse() {
            "what it answers is not HTTP".to_owned()
        } else if error.is_incomplete_message() {
            "it closed the connection before it had answered".to_owned()
        } else {
            format!("the connection failed: {error}")
        })
    }
}

async fn ask(question: &HttpQuestion, lookups: &Lookups) -> Result<Told, Failure> {
    let wrong = |what: &str| Failure::Told(format!("the URL {what}"));
    let url: Uri = question.url.parse().map_err(|_| wrong("is malformed"))?;
    let (Some("http"), Some(host)) = (url.scheme_str(), url.host()) else {
        return Err(wrong("does not begin with http:// and a host"));
    };
    let port = url.port_u16().unwrap_or(80);
    let stream = connect(host, port, lookups).await?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, if port == 80 { host.to_owned() } else { format!("{host}:{port}") })
        .header(USER_AGENT, concat!("s7supervisor/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(String::new())
        .map_err(|error| wrong(&format!("cannot be asked for: {error}")))?;
    Ok(exchange(stream, request).await?)
}

/// What is an address is not looked up, and `localhost` is what it is meant to be.
async fn connect(host: &str, port: u16, lookups: &Lookups) -> io::Result<TcpStream> {
    if host.eq_ignore_ascii_case("localhost") {
        let addresses = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return TcpStream::connect(&addresses.map(|address| SocketAddr::new(address, port))[..]).await;
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return TcpStream::connect((address, port)).await;
    }
    let name = bare.to_owned();
    let addresses = lookups.look_up(move || (name, port).to_socket_addrs()).await??;
    TcpStream::connect(&addresses.collect::<Vec<_>>()[..]).await
}

/// Looks names up, a few at a time. One that has begun cannot be called back, but one that waits for its turn goes with
/// its question: so where the name service hangs, nothing piles up.
#[derive(Clone)]
struct Lookups(Arc<Semaphore>);

impl Lookups {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_LOOKED_UP)))
    }

    async fn look_up<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let turn = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
        let looked_up = tokio::task::spawn_blocking(move || {
            let found = work();
            // Only now is there room for the next, whether or not anybody still waits for this one.
            drop(turn);
            found
        });
        looked_up.await.map_err(io::Error::other)
    }
}

/// An answer of which the head has come.
struct Told {
    status: StatusCode,
    rest: Rest,
}

/// What comes after the head of an answer.
struct Rest {
    body: Incoming,
    connection: Connection,
}

/// It works only while it is polled, and comes to nothing: what goes wrong with it is told to whoever waits for what it
/// brings.
struct Connection(Option<Pin<Box<Work>>>);

type Work = http1::Connection<TokioIo<TcpStream>, String>;

impl Connection {
    fn work(&mut self, context: &mut Context<'_>) {
        // It must not be polled again once it has ended.
        self.0.take_if(|connection| connection.as_mut().poll(context).is_ready());
    }
}

/// Sends the request, and reads the head of the answer.
async fn exchange(stream: TcpStream, request: Request<String>) -> hyper::Result<Told> {
    let mut client = http1::Builder::new();
    client.max_buf_size(HEAD_SIZE);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await?;
    let mut connection = Connection(Some(Box::pin(connection)));
    let mut answered = pin!(sender.send_request(request));
    let answer = poll_fn(|context| {
        connection.work(context);
        answered.as_mut().poll(context)
    });
    let (head, body) = answer.await?.into_parts();
    Ok(Told { status: head.status, rest: Rest { body, connection } })
}

impl Rest {
    /// Reads to the end, or as far as we read.
    async fn read(mut self) {
        let mut length = 0;
        while length < BODY_SIZE {
            let part = poll_fn(|context| {
                self.connection.work(context);
                Pin::new(&mut self.body).poll_frame(context)
            });
            let Some(Ok(frame)) = part.await else { break };
            length += frame.data_ref().map_or(0, hyper::body::Bytes::len);
        }
    }
}

#[cfg(test)]
mod tests;

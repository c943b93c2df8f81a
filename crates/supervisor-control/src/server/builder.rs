//! How a server is made; `local`: at a local socket.

#[cfg(unix)]
mod local;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use supervisor::Handle;
use tokio::sync::oneshot;

use super::change::{ChangeRequest, Changer};
use super::feed::Feed;
use super::health::Health;
use super::own_log::OwnLog;
use super::reading::{self, Reading};
use super::registry::About;
use super::tcp::{Endpoint, Trouble};
use super::trace_level::TraceLevel;
use super::upgrade::{UpgradeRequest, Upgrader};
use super::{App, Conditions, Limits, Places, Server, logs, run};
use crate::Token;
use crate::journal::{Reader, life};
use crate::os::{Local, LocalChoices};
use crate::wire::{UpgradeDocument, wall_clock};

/// How to make a [`Server`].
#[derive(Clone, Debug)]
pub struct Builder {
    app: App,
    local: LocalChoices,
    tcp: Vec<Endpoint>,
    token: Option<Token>,
}

impl Builder {
    pub(super) fn new(handle: Handle) -> Self {
        let limits = Limits::default();
        let app = App {
            feed: Arc::new(Feed::new(handle.clone(), limits.streams, 0)),
            health: Health::new(handle.clone()),
            handle,
            registry: None,
            version: env!("CARGO_PKG_VERSION").into(),
            began: None,
            journal: None,
            about: About::default(),
            reading: Reading::default(),
            log_places: logs::Places::new(limits.streams),
            conditions: Conditions::default(),
            limits,
            changer: Changer::default(),
            upgrader: Upgrader::default(),
            upgrade: None,
            trace_level: TraceLevel::default(),
            own_log: OwnLog::default(),
        };
        Self { app, local: LocalChoices::default(), tcp: Vec::new(), token: None }
    }

    /// The registry that the supervisor was started with, to be shown. Default: none.
    #[must_use]
    pub fn registry(mut self, registry: &Path) -> Self {
        self.app.registry = Some(registry.to_string_lossy().into());
        self
    }

    /// What is declared beside the components, an object: for `GET /v1/registry`. Asked at each such request; it must answer
    /// at once. Default: nothing.
    #[must_use]
    pub fn about(mut self, about: impl Fn() -> serde_json::Value + Send + Sync + 'static) -> Self {
        self.app.about = About(Some(Arc::new(about)));
        self
    }

    /// The version of the supervisor, to be shown. Default: that of this crate.
    #[must_use]
    pub fn supervisor_version(mut self, version: &str) -> Self {
        self.app.version = version.into();
        self
    }

    /// When the supervisor's journal began, if it keeps one: see [`crate::journal::Journal::began`]. By that, those who
    /// read the journal tell it from that of an older supervisor. Default: it keeps none.
    #[must_use]
    pub fn journal_began(mut self, began: SystemTime) -> Self {
        self.app.began = Some(began);
        self
    }

    /// The journal, for those who ask what has happened, and for those who follow events and were away for a while.
    /// Default: the past is not known.
    #[must_use]
    pub fn journal(mut self, journal: Reader) -> Self {
        self.app.began = Some(journal.began());
        self.app.journal = Some(journal);
        self
    }

    /// Something of the host's that may not be as it should be: asked at each status, it says what is wrong, as a
    /// sentence, if anything is, and must answer at once. Default: nothing.
    #[must_use]
    pub fn condition(mut self, condition: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.app.conditions.0.push(Arc::new(condition));
        self
    }

    /// What is done when somebody wants to know what a registry would change, or wants it applied. It must return at once, and
    /// [answer](ChangeRequest::answer) later. Default: such requests are refused.
    #[must_use]
    pub fn changer(mut self, begin: impl Fn(ChangeRequest) + Send + Sync + 'static) -> Self {
        self.app.changer = Changer(Some(Arc::new(begin)));
        self
    }

    /// What is done when somebody asks for the supervisor to be replaced by another executable. It must return at once, and
    /// [answer](UpgradeRequest::answer) later. Default: such requests are refused.
    #[must_use]
    pub fn upgrader(mut self, begin: impl Fn(UpgradeRequest) + Send + Sync + 'static) -> Self {
        self.app.upgrader = Upgrader(Some(Arc::new(begin)));
        self
    }

    /// The last upgrade, to be shown. Default: none.
    #[must_use]
    pub fn upgrade(mut self, upgrade: Option<UpgradeDocument>) -> Self {
        self.app.upgrade = upgrade.map(Arc::new);
        self
    }

    /// How much the host tells in its own log, from 1 to 4: given a level, which is to hold from now on, and who asks, it
    /// says which holds. It must answer at once. Default: such requests are refused.
    #[must_use]
    pub fn trace_level(mut self, ask: impl Fn(Option<u8>, &str) -> u8 + Send + Sync + 'static) -> Self {
        self.app.trace_level = TraceLevel(Some(Arc::new(ask)));
        self
    }

    /// Ends the file of the host's own log where somebody asks for that, and says whether there was anything to end:
    /// [`LogFile::rotate`](supervisor::LogFile::rotate) does. It must answer at once. Default: such requests are refused.
    #[must_use]
    pub fn own_log(mut self, rotate: impl Fn() -> io::Result<bool> + Send + Sync + 'static) -> Self {
        self.app.own_log = OwnLog(Some(Arc::new(rotate)));
        self
    }

    /// What the server bears. Default: [`Limits::default`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.app.limits = limits;
        self
    }

    /// Listens by TCP too, on these addresses, for whoever presents the token. One that is taken is tried again, after 1 s
    /// and then ever more seldom, up to every 30 s; until then it is a condition in the status. Default: on none.
    ///
    /// What is sent can be read on its way, the token too: so give other addresses than those of the loopback interface
    /// only where nobody reads on the way.
    #[must_use]
    pub fn tcp(mut self, addresses: impl IntoIterator<Item = SocketAddr>, token: Token) -> Self {
        self.tcp.extend(addresses.into_iter().map(Endpoint::Address));
        self.token = Some(token);
        self
    }

    /// Likewise on a listener of the host's.
    #[must_use]
    pub fn tcp_listener(mut self, listener: TcpListener, token: Token) -> Self {
        self.tcp.push(Endpoint::Listener(Arc::new(listener)));
        self.token = Some(token);
        self
    }

    /// Listens on no socket, but only [by TCP](Builder::tcp).
    ///
    /// # Errors
    /// The system has no descriptors or threads left.
    pub fn serve_tcp(self) -> io::Result<Server> {
        self.start(|_| Ok(None))
    }

    /// `local`: makes the local socket, within the runtime.
    fn start(mut self, local: impl FnOnce(LocalChoices) -> io::Result<Option<Local>>) -> io::Result<Server> {
        let runtime = reading::runtime()?;
        let local = {
            let _context = runtime.enter();
            local(self.local)?
        };
        let life = life(self.app.began.unwrap_or_else(wall_clock));
        let streams = self.app.limits.streams;
        self.app.feed = Arc::new(Feed::new(self.app.handle.clone(), streams, life));
        self.app.log_places = logs::Places::new(streams);
        let mut tcp = Vec::new();
        for endpoint in self.tcp {
            let trouble = Trouble::default();
            tcp.push((endpoint, trouble.clone()));
            self.app.conditions.0.push(Arc::new(move || trouble.now()));
        }
        let tcp = self.token.map(|token| (tcp, token));
        let places = Places { local, tcp };
        let app = self.app;
        let (stop, stopped) = oneshot::channel();
        #[expect(clippy::disallowed_methods, reason = "the control thread must not hold up the host")]
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || run(runtime, places, stopped, app))?;
        Ok(Server { stop: Some(stop), thread: Some(thread) })
    }
}

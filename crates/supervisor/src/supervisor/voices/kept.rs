//! What is kept open where one supervisor leaves and another goes on in the same process, so that nothing is refused or lost that
//! runs say meanwhile.
//!
//! A socket whose descriptor is open keeps what it is told, though nobody reads: so many datagrams as the system says
//! (`net.unix.max_dgram_qlen`), and then whoever speaks waits. The next supervisor knows each socket by its address, which
//! follows from the token of its run. A pipe is kept because what is in it would go with a component that closes its end;
//! it is found by its name all the same.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::{Voice, Voices, abstract_name, file_name, has_socket, number_of};
#[cfg(unix)]
use crate::os::read_end;
use crate::os::{NotifySocket, ReadEnd};
use crate::output::{Fifo, Purpose};
use crate::run::RunId;
use crate::spec::ProcessSpec;

/// What a supervisor that [leaves](crate::Handle::leave) keeps open for the next one in the same process: where its components are heard
/// that speak `sd_notify`, or say on a descriptor that they are ready, and the pipes that they write to. At most four descriptors
/// for each component; they are close-on-exec.
///
/// While it is there, the kernel keeps what components say and write, also if they end; when all clones of it are dropped, what was said and
/// nobody has heard is lost, what is said is refused, and what was written goes with a component that ends.
#[derive(Clone, Debug, Default)]
pub struct KeptOpen(Vec<Arc<ReadEnd>>);

impl KeptOpen {
    /// Whether nothing was kept, because nobody had anything to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The descriptors, in no order: for whoever passes them on to another program that this process becomes.
    #[cfg(unix)]
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd)
    }
}

impl KeptOpen {
    /// These too.
    pub(in crate::supervisor) fn and(mut self, pipes: Vec<ReadEnd>) -> Self {
        self.0.extend(pipes.into_iter().map(Arc::new));
        self
    }
}

#[cfg(unix)]
impl FromIterator<OwnedFd> for KeptOpen {
    /// The same again, from the descriptors. What is none of a supervisor's is of no use and does no harm.
    fn from_iter<I: IntoIterator<Item = OwnedFd>>(descriptors: I) -> Self {
        Self(descriptors.into_iter().map(read_end).map(Arc::new).collect())
    }
}

/// What was kept open, for the runs that are adopted.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    /// By what is in `NOTIFY_SOCKET`.
    sockets: HashMap<OsString, NotifySocket>,
    /// Open for what is in them: pipes.
    _others: Vec<Arc<ReadEnd>>,
}

impl Resumed {
    fn of(kept: KeptOpen) -> Self {
        let mut resumed = Self::default();
        for descriptor in kept.0 {
            match NotifySocket::resume(Arc::clone(&descriptor)) {
                Some(socket) => drop(resumed.sockets.insert(socket.address(), socket)),
                None => resumed._others.push(descriptor),
            }
        }
        resumed
    }
}

impl Voices {
    /// Goes on with what a supervisor before us has kept open, before anything is adopted.
    pub(in crate::supervisor) fn resume(&mut self, kept: KeptOpen) {
        self.resumed = Resumed::of(kept);
    }

    /// Hears no more, and keeps all open for the next supervisor.
    pub(in crate::supervisor) fn keep(&mut self) -> KeptOpen {
        self.by_key.clear();
        let mut kept = Vec::new();
        for (_, voice) in self.by_component.drain() {
            if let Some(socket) = &voice.socket {
                socket.stay(true);
                kept.push(socket.descriptor());
            }
            // Nobody would find one without a name.
            kept.extend(voice.ready.as_ref().filter(|_| voice.name.is_some()).map(|pipe| Arc::clone(pipe)));
        }
        KeptOpen(kept)
    }

    /// Supervision begins, and nobody will go back to what was before: what was kept open and is nobody's is let go.
    pub(in crate::supervisor) fn settle(&mut self) {
        let Resumed { sockets, .. } = std::mem::take(&mut self.resumed);
        let ours = self.by_component.values().filter_map(|voice| voice.socket.as_deref());
        sockets.values().chain(ours).for_each(|socket| socket.stay(false));
    }

    /// Goes on hearing a run that was begun by an earlier supervisor, under the addresses that it was given. What it has
    /// said on its socket meanwhile is heard if that was [kept open](Self::keep), and was refused if not; what it has said on its
    /// descriptor is heard, unless nobody had that open any more.
    ///
    /// `is_ready`: nothing is expected on its descriptor any more.
    ///
    /// # Errors
    /// When there are no descriptors left, or somebody else has taken the abstract address. All else is heard then.
    pub(in crate::supervisor) fn adopt(
        &mut self,
        run: RunId,
        token: &str,
        spec: &ProcessSpec,
        is_ready: bool,
    ) -> io::Result<()> {
        self.close(run.component);
        let mut voice = Voice { run, socket: None, ready: None, name: None };
        let found = match &self.fifos {
            Some(fifos) if number_of(spec).is_some() => fifos.find((&spec.id, run.number), Purpose::Ready),
            _ => Ok(None),
        };
        let mut adopted = Ok(());
        match found {
            Ok(Some(Fifo { name, .. })) if is_ready => self.remove(Some(&name)),
            Ok(Some(Fifo { reader, name })) => match self.watch(Arc::new(reader)) {
                Ok(reader) => (voice.ready, voice.name) = (Some(reader), Some(name)),
                Err(error) => adopted = Err(error),
            },
            Ok(None) => {}
            Err(error) => adopted = Err(error),
        }
        if has_socket(spec) {
            match self.socket_again(token).and_then(|socket| self.watch(socket)) {
                Ok(socket) => voice.socket = Some(socket),
                Err(error) => adopted = Err(error),
            }
        }
        self.listen_to(voice);
        adopted
    }

    /// The socket of a run that was begun by an earlier supervisor: that one's if it was kept, else another with its address.
    fn socket_again(&mut self, token: &str) -> io::Result<NotifySocket> {
        let file = self.folder.as_ref().map(|folder| folder.join(file_name(token)).into_os_string());
        let addresses = file.into_iter().chain([format!("@{}", abstract_name(token)).into()]);
        let kept = addresses.filter_map(|address| self.resumed.sockets.remove(&address)).next();
        kept.map_or_else(|| self.socket(token), Ok)
    }
}

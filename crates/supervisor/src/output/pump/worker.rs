//! The thread of the pump: one loop around one poller.
//!
//! In each round every pipe that has something is read once, so that a flood keeps nobody from being heard. What it holds is
//! moved into the log by the operating system, so that none of it is lost or stored twice when we are killed; where
//! something wants to know what it was, that is read in the log. All pipes share one buffer. Nothing happens by time, but for
//! the retries of what failed, and that lines which come one by one gather for a moment.

mod hearing;
mod retrying;
mod rotating;
mod runs;
mod shedding;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use polling::{Events, Poller};
use regex::bytes::Regex;

use super::super::fifos::Fifos;
use super::super::form::Former;
use super::super::housekeeping::Housekeeper;
use super::stream::{Pipe, Stream, StreamId};
use super::{Command, Conditions, Notice, now};
use crate::os::{self, Lens, ReadEnd};
use crate::run::RunId;

/// The most that is taken of a pipe at a time where all of it is looked at.
pub(super) const CHUNK: usize = 256 << 10;
/// The most that is moved at a time: all that a pipe can hold, so that we are in its writer's way as seldom as can be.
pub(super) const MOVED: usize = 1 << 20;
/// How many pipes are read in a round.
const ROUND: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// Lines that are not waited for longer than that come soon after each other.
const SOON: Duration = Duration::from_millis(2);
/// How much longer than a round lines may gather after it: so what trickles takes a twentieth of a processor, however much it
/// is. At most for so long; and for less while a line is looked for by which somebody is ready.
const RESTS_PER_ROUND: u32 = 20;
const LONGEST_REST: Duration = Duration::from_millis(100);
const LONGEST_WAIT_FOR_READY: Duration = Duration::from_millis(5);
/// How long they do not gather after a pipe was found half full.
const BUSY: Duration = Duration::from_millis(100);
/// How many pipes of ended runs a component may have beside that of its run. Whatever a run left behind may hold its pipe
/// for ever; beyond this number the oldest is closed.
const MAX_OLD_PIPES: usize = 4;

/// What the thread knows.
pub(super) struct Worker {
    poller: Arc<Poller>,
    commands: Receiver<Command>,
    conditions: Conditions,
    notice: Notice,
    housekeeper: Housekeeper,
    /// Where pipes are that have names.
    fifos: Option<Arc<Fifos>>,
    /// Boxed, because a tree keeps room for almost as many again.
    streams: BTreeMap<StreamId, Box<Stream>>,
    /// By the key of their events, which is never used again.
    pipes: BTreeMap<usize, Box<Pipe>>,
    next_key: usize,
    /// The streams that have something to try again.
    failing: BTreeSet<StreamId>,
    /// What is looked for in the pipes of these runs, by component.
    sought: BTreeMap<u32, (RunId, Regex)>,
    lens: Lens,
    former: Former,
    /// When a pipe was found half full.
    busy: Option<Instant>,
    /// How many pipes were enlarged and are still there.
    large_pipes: usize,
}

impl Worker {
    pub(super) fn new(
        poller: Arc<Poller>,
        commands: Receiver<Command>,
        (conditions, notice): (Conditions, Notice),
        housekeeper: Housekeeper,
        fifos: Option<Arc<Fifos>>,
    ) -> Self {
        Self {
            poller,
            commands,
            conditions,
            notice,
            housekeeper,
            fifos,
            streams: BTreeMap::new(),
            pipes: BTreeMap::new(),
            next_key: 0,
            failing: BTreeSet::new(),
            sought: BTreeMap::new(),
            lens: Lens::new(CHUNK),
            former: Former::default(),
            busy: None,
            large_pipes: 0,
        }
    }

    /// Works until it is told to finish; see [`finish`](Self::finish) for what it gives.
    pub(super) fn work(mut self) -> Vec<ReadEnd> {
        let mut events = Events::with_capacity(ROUND);
        loop {
            events.clear();
            let since = now();
            let waited = self.poller.wait(&mut events, self.until_retry());
            if let Err(error) = waited {
                if error.kind() == std::io::ErrorKind::Interrupted {
                    continue;
                }
                // The poller is broken: better to end the components' output than to turn in circles.
                return Vec::new();
            }
            let began = now();
            for event in events.iter() {
                self.heed(event.key);
            }
            let mut gathered = if began < since + SOON { self.gather(began) } else { None };
            while let Some(command) = gathered.take().or_else(|| self.commands.try_recv().ok()) {
                match command {
                    Command::Attach(run) => self.attach(*run),
                    Command::Ended(run) => self.ended(run),
                    Command::Forget(component) => self.dismiss(component),
                    Command::Reopen => self.reopen(),
                    Command::Rotate(rotation) => self.rotate(*rotation),
                    Command::Finish(limit) => return self.finish(limit),
                }
            }
            self.retry_what_is_due();
        }
    }

    /// Lets lines gather that come one by one and soon after each other, so that not each of them wakes us: in proportion to what the round has cost
    /// that began then, unless a pipe is filling up or something is to be tried again. A command ends it.
    fn gather(&mut self, began: Instant) -> Option<Command> {
        let now = now();
        let is_busy = self.busy.is_some_and(|busy| now < busy + BUSY);
        if is_busy || !self.failing.is_empty() {
            return None;
        }
        let longest = if self.sought.is_empty() { LONGEST_REST } else { LONGEST_WAIT_FOR_READY };
        let rest = now.saturating_duration_since(began) * RESTS_PER_ROUND;
        self.commands.recv_timeout(rest.min(longest)).ok()
    }

    /// Reads a pipe of which something was reported: once, or, where the poller would not report the rest, as long as something comes of it.
    fn heed(&mut self, key: usize) {
        while self.read(key) > 0 && self.pipes.get(&key).is_some_and(|pipe| os::is_silent(&pipe.reader)) {}
    }

    /// Reads a pipe once, unless its log has to wait; says how much was in it. It may be an event of the same round that
    /// found that the log has to wait.
    fn read(&mut self, key: usize) -> usize {
        let Some(pipe) = self.pipes.get(&key) else { return 0 };
        let is_holding = self.streams.get(&pipe.stream).is_some_and(|stream| stream.sink.is_holding());
        if is_holding { 0 } else { self.take(key) }
    }

    /// Reads a pipe once and stores what was in it, or takes note that it is lost; says how much that was. The end of a
    /// pipe closes it.
    fn take(&mut self, key: usize) -> usize {
        let Some(pipe) = self.pipes.get(&key) else { return 0 };
        let (id, held) = (pipe.stream, os::held_by(&*pipe.reader).min(pipe.most()));
        if held == 0 {
            if os::is_at_end(&*pipe.reader) {
                self.seek(key, None);
                self.end_shedding(key, id);
                self.close(key);
            }
            return 0;
        }
        if held > pipe.half.min(CHUNK / 2) {
            self.busy = Some(now());
            self.enlarge(key);
        }
        let cut = self.streams.get(&id).and_then(|stream| stream.cut).filter(|cut| *cut != key);
        if let Some(cut) = cut {
            self.take(cut);
            if self.streams.get(&id).is_some_and(|stream| stream.cut.is_some()) {
                return 0;
            }
        }
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        if stream.sink.is_dropping() {
            return self.shed(key);
        }
        let shed = self.shed_begun(key);
        if shed > 0 {
            return shed;
        }
        let Some(pipe) = self.pipes.get_mut(&key) else { return 0 };
        let Some(stream) = self.streams.get_mut(&id) else { return 0 };
        let length = if stream.sink.can_store() {
            let tools = (&mut self.lens, &mut self.former);
            let is_formed = pipe.shape.is_some();
            let length = stream.sink.store(|log, at| pipe.draw(log, held, tools, at), now());
            // What is left of what was made into lines is whole lines, or waits for its end.
            stream.note_stored(key, length, if is_formed { length } else { held });
            self.hear_stored(key, length);
            length
        } else {
            let room = &mut self.lens.buffer[..held.min(CHUNK)];
            let length = os::read_some(&*pipe.reader, room).map_or(0, <[u8]>::len);
            stream.sink.lose(&self.lens.buffer[..length]);
            stream.note_stored(key, length, length);
            self.hear(key, 0, length);
            length
        };
        self.settle(id);
        length
    }

    /// Has a pipe that is found half full hold more, once, and as long as there are not too many of them.
    fn enlarge(&mut self, key: usize) {
        let pipes = self.pipes.len();
        let Some(pipe) = self.pipes.get_mut(&key).filter(|pipe| !pipe.was_full) else { return };
        pipe.was_full = true;
        pipe.is_large = self.large_pipes < os::most_large_pipes(pipes) && os::enlarge(&*pipe.reader);
        pipe.half = os::half_of(&*pipe.reader);
        self.large_pipes += usize::from(pipe.is_large);
    }

    /// Reads of a pipe what it holds by now.
    fn drain(&mut self, key: usize, deadline: Option<Instant>, read: fn(&mut Self, usize) -> usize) {
        let Some(pipe) = self.pipes.get(&key) else { return };
        let mut left = os::held_by(&*pipe.reader);
        while left > 0 && deadline.is_none_or(|deadline| now() < deadline) {
            let length = read(self, key);
            left = if length == 0 { 0 } else { left.saturating_sub(length) };
        }
    }

    fn reopen(&mut self) {
        let ids: Vec<_> = self.streams.keys().copied().collect();
        for id in ids {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.sink.reopen(now());
            }
            self.settle(id);
        }
    }

    /// Stores what the pipes hold by now. The pipes in which more may come, as far as they have names and there are descriptors: while
    /// one is open, what is in it does not go with the component.
    fn finish(mut self, limit: Duration) -> Vec<ReadEnd> {
        let deadline = now() + limit;
        // What could not be written has its last chance.
        for id in self.failing.clone() {
            self.retry(id, now());
        }
        let keys: Vec<_> = self.pipes.keys().copied().collect();
        for key in keys {
            // What has no name ends with us. What has one may hold the beginning of a line for the next supervisor.
            if self.pipes.get(&key).is_some_and(|pipe| pipe.name.is_none()) {
                self.end_line(key);
            }
            self.drain(key, Some(deadline), Self::read);
            // Removes it if nobody has it any more. Another supervisor may go on with the others.
            self.read(key);
        }
        let named = self.pipes.values().filter(|pipe| pipe.name.is_some());
        named.filter_map(|pipe| pipe.reader.try_clone().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir};
    use std::io::Write;

    use super::super::super::LogSettings;
    use super::super::super::testbench::text;
    use super::super::{Rotation, Run, Source, pipe};
    use super::*;
    use crate::core::RequestId;
    use crate::spec::ComponentId;

    /// A worker that nobody wakes, with a run whose output goes to this log; the other end of its pipe.
    fn worker(log: LogSettings) -> (Worker, File) {
        let (_, commands) = crossbeam_channel::unbounded();
        let poller = Arc::new(Poller::new().unwrap());
        let told = (Conditions::default(), Arc::new(|_| {}) as Notice);
        let mut worker = Worker::new(poller, commands, told, Housekeeper::default(), None);
        let (reader, writer) = pipe().unwrap();
        let stdout = Source { reader, name: None, log: Some(log), has_last_words: true, problem: None };
        let (id, name) = (RunId { component: 0, number: 1 }, ComponentId::new("ps").unwrap());
        worker.attach(Run { id, name, stdout: Some(stdout), stderr: None, ready: None, is_new: true });
        (worker, File::from(writer))
    }

    #[test]
    fn a_pipe_that_was_ready_when_its_log_began_to_fail_is_read_later() {
        let folder = tempfile::tempdir().unwrap();
        let (mut worker, mut writer) = worker(LogSettings::new(folder.path().join("missing/logs/ps.log")));
        writer.write_all(b"patience\n").unwrap();
        drop(writer);

        let key = *worker.pipes.keys().next().unwrap();
        assert_eq!(worker.read(key), 0);
        create_dir(folder.path().join("missing")).unwrap();
        worker.retry(StreamId { component: 0, is_stderr: false }, now());
        assert_eq!(text(&folder.path().join("missing/logs/ps.log")), "patience\n");
    }

    #[test]
    fn a_line_that_nobody_can_end_any_more_does_not_go_on_in_the_next_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ps.log");
        let (mut worker, mut writer) = worker(LogSettings::new(&path));
        writer.write_all(b"one\nlast words").unwrap();
        drop(writer);
        // A process that another test is just starting may have the other end open until its own program runs.
        while !worker.pipes.values().all(|pipe| os::has_hung_up(&*pipe.reader)) {
            std::thread::yield_now();
        }

        let stdout = LogSettings::new(&path);
        worker.rotate(Rotation { request: RequestId(1), component: 0, stdout, stderr: None });
        assert_eq!(text(&path), "");
        assert_eq!(text(&folder.path().join("ps.log.1")), "one\nlast words\n");
    }
}

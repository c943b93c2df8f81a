//! What components do and what people ask for, as a script says it.

use std::collections::BTreeMap;
use std::time::Duration;

use supervisor::{ComponentId, Dependants, Exit};

/// What happens in a simulated world.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Script {
    /// What chance follows from.
    pub(super) seed: u64,
    /// How long it goes on.
    pub(super) length: Duration,
    /// What is asked for, in the order of time.
    pub(super) requests: Vec<Request>,
    /// What components do; those that are not mentioned do nothing remarkable.
    pub(super) lives: BTreeMap<ComponentId, Life>,
}

/// Something that somebody asks for, or does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// When.
    pub(super) at: Duration,
    /// What.
    pub(super) verb: Verb,
    /// Of whom.
    pub(super) ids: Vec<ComponentId>,
}

/// What is asked for, or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop(Dependants),
    Restart,
    Reset,
    Reload,
    /// Its main process is killed, as if from outside.
    Kill,
    Shutdown,
}

impl Verb {
    /// As people type it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop(_) => "stop",
            Self::Restart => "restart",
            Self::Reset => "reset",
            Self::Reload => "reload",
            Self::Kill => "kill",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What the runs of one component do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Life {
    /// How they come to an end, or to nothing.
    pub(super) fates: Sequence<Fate>,
    /// When they are ready; `None`: never.
    pub(super) ready: Sequence<Option<Duration>>,
    /// How long they take to stop when told to; `None`: they do not.
    pub(super) stop: Sequence<Option<Duration>>,
    /// How much memory they use, in bytes.
    pub(super) memory: Sequence<u64>,
}

/// What becomes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It ends by itself after this time, and so.
    Ends(Duration, Exit),
    /// It cannot be spawned.
    FailsToStart,
    /// It lives, but answers nobody from then on.
    Hangs(Duration),
}

/// What holds for so many runs, and then for so many; `None`: for all that come.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sequence<T>(Vec<(Option<u64>, T)>);

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> Sequence<T> {
    /// What holds for this run, counted from 1, if anything does.
    pub(super) fn of(&self, run: u64) -> Option<T> {
        let mut before = 0_u64;
        for (count, what) in &self.0 {
            before = before.saturating_add(count.unwrap_or(u64::MAX));
            if run <= before {
                return Some(*what);
            }
        }
        None
    }

    /// Adds what holds next. False if something holds for ever already.
    pub(super) fn add(&mut self, count: Option<u64>, what: T) -> bool {
        let is_open = self.0.iter().all(|(count, _)| count.is_some());
        if is_open {
            self.0.push((count, what));
        }
        is_open
    }
}

//! Who may be probed now: so many at once by each way of asking, and the others when it is their turn.
//!
//! Each way has places of its own, so that commands that hang hold up nobody who is asked by TCP or HTTP.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::conditions::named;
use crate::spec::Probe;
use crate::status::passing;

/// How many probes may be under way at once by each way; the others wait until one of them ends.
const PLACES: usize = 256;

/// How long somebody has to wait for a place before it is told.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// By what a component is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Tcp,
    Http,
    Exec,
}

/// How far the probe of a component has come, as far as others are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// It waits for a place since this time.
    Waits(Way, Duration),
    UnderWay(Way),
}

/// All probes that are under way, or wait for that.
#[derive(Debug)]
pub(super) struct Probes {
    desks: [Desk; 3],
}

/// The probes of one way.
#[derive(Debug)]
struct Desk {
    way: Way,
    under_way: usize,
    /// Those that wait, by since when.
    waiting: BTreeSet<(Duration, u32)>,
}

impl Way {
    pub(super) fn of(probe: &Probe) -> Self {
        match probe {
            Probe::Tcp { .. } => Self::Tcp,
            Probe::Http { .. } => Self::Http,
            Probe::Exec(_) => Self::Exec,
        }
    }
}

impl Probes {
    pub(super) fn new() -> Self {
        let desk = |way| Desk { way, under_way: 0, waiting: BTreeSet::new() };
        Self { desks: [Way::Tcp, Way::Http, Way::Exec].map(desk) }
    }

    /// A component is about to change: what was true of its probe is forgotten.
    pub(super) fn forget(&mut self, key: u32, asking: Option<Asking>) {
        match asking {
            Some(Asking::Waits(way, since)) => drop(self.desk(way).waiting.remove(&(since, key))),
            Some(Asking::UnderWay(way)) => self.desk(way).under_way -= 1,
            None => {}
        }
    }

    /// A component has changed: this is true of its probe.
    pub(super) fn note(&mut self, key: u32, asking: Option<Asking>) {
        match asking {
            Some(Asking::Waits(way, since)) => drop(self.desk(way).waiting.insert((since, key))),
            Some(Asking::UnderWay(way)) => self.desk(way).under_way += 1,
            None => {}
        }
    }

    /// The next to be asked, if there is a place for one: the one that has waited longest.
    pub(super) fn next(&self) -> Option<u32> {
        let free = self.desks.iter().filter(|desk| desk.under_way < PLACES);
        free.filter_map(|desk| desk.waiting.first()).next().map(|(_, key)| *key)
    }

    /// Who has to wait for a place, a sentence for each way. `name` gives their names.
    pub(super) fn conditions(&self, now: Duration, name: impl Fn(u32) -> String) -> Vec<String> {
        self.desks.iter().filter_map(|desk| desk.condition(now, &name)).collect()
    }

    fn desk(&mut self, way: Way) -> &mut Desk {
        &mut self.desks[way as usize]
    }
}

impl Desk {
    fn condition(&self, now: Duration, name: impl Fn(u32) -> String) -> Option<String> {
        let (since, _) = self.waiting.first()?;
        let waited = Some(now.saturating_sub(*since)).filter(|waited| *waited >= WORTH_TELLING)?;
        let who = named(self.waiting.iter().map(|(_, key)| name(*key)));
        let (way, waited) = (self.way, passing(waited));
        Some(format!(
            "{PLACES} are being asked by {way} how they are; others wait, up to {waited} so far: {who}"
        ))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Http => "HTTP",
            Self::Exec => "commands",
        })
    }
}

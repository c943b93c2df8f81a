//! How a supervisor begins where another was killed: what that one has left is found, and handed to the core and to those
//! that look after processes, their output and what they say.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::records::{Found, Main, Record, Records, Sought, find};
use crate::core::{Core, Memory};
use crate::os::{ControlGroup, ControlGroups, Leftover};
use crate::policy::Never;
use crate::spec::{ComponentId, ProcessSpec};
use crate::tokens::Tokens;

/// How long what is left of runs whose main processes have ended may take to be gone when it is killed.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// What an earlier supervisor has written down.
#[derive(Debug)]
pub(super) struct Past {
    records: Records,
    by_id: HashMap<ComponentId, Record<Memory>>,
    /// What is of no use of it: a sentence each.
    void: Vec<String>,
}

/// What is to be gone on with.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    /// In the order of their keys.
    pub(super) left: Vec<Left>,
    /// What people should know: a sentence each.
    pub(super) conditions: Vec<String>,
    /// Where the control groups are in which components run, where these can be had.
    pub(super) groups: Option<ControlGroups>,
}

/// What is left of one component.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) key: u32,
    pub(super) memory: Memory,
    /// Its last run, if there is one.
    pub(super) run: Option<(u64, Main)>,
    /// Whether that was begun with another specification than the present one.
    pub(super) is_outdated: bool,
    /// With what it was begun, in so many bits, if that is known.
    pub(super) digest: Option<String>,
}

impl Past {
    /// Reads what is in the folder.
    ///
    /// # Errors
    /// A sentence: why there are no records. Nothing can be gone on with then, and nothing will be.
    pub(super) fn read(state: &Path) -> Result<Self, String> {
        let records = Records::open(state)?;
        let contents = records.read();
        Ok(Self { by_id: contents.records.into_iter().collect(), void: contents.void, records })
    }

    /// Components that are written down and not among these: what runs of them is to be stopped.
    pub(super) fn strangers(&self, specs: &[ProcessSpec]) -> Vec<ProcessSpec> {
        let is_stranger =
            |id: &&ComponentId| specs.iter().all(|spec| !spec.id.as_str().eq_ignore_ascii_case(id.as_str()));
        let stopped = |id: &ComponentId| {
            let mut spec = ProcessSpec::new(id.as_str(), "").ok()?;
            spec.description = "no longer in the registry".to_owned();
            spec.autostart = false;
            spec.restart = std::sync::Arc::new(Never);
            Some(spec)
        };
        let mut strangers: Vec<_> = self.by_id.keys().filter(is_stranger).filter_map(stopped).collect();
        strangers.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        strangers
    }

    /// What the core's time is: it goes on over the death of supervisors.
    pub(super) fn age(&self) -> Duration {
        self.records.age()
    }

    /// Whether there was a supervisor before that came to no orderly end.
    pub(super) fn has_predecessor(&self) -> bool {
        self.records.has_predecessor()
    }

    pub(super) fn tokens(&self) -> Tokens {
        self.records.tokens()
    }

    /// Looks for what still runs. What nobody supervises any more is killed.
    ///
    /// # Errors
    /// If it cannot be told of a process whether it lives: to start another beside it would be wrong.
    pub(super) fn into_legacy(
        mut self,
        core: &Core,
        groups: Option<ControlGroups>,
    ) -> io::Result<(Records, Legacy)> {
        let keys: Vec<_> = core.specs().chain(core.leaving()).collect();
        let sought = keys.iter().map(|(_, spec)| {
            let record = self.by_id.get(&spec.id);
            Sought {
                id: &spec.id,
                runs: record.map_or(0, |record| record.memory.runs()),
                run: record.and_then(|record| record.memory.run()).map(|(number, _)| number),
                process: record.and_then(|record| record.process.as_ref()),
            }
        });
        let sought: Vec<Sought<'_>> = sought.collect();
        let (found, unread) = find(&sought, self.records.tokens())?;
        let mut found: HashMap<_, _> = found.into_iter().map(|found| (found.index, found)).collect();
        let mut legacy = Legacy { conditions: std::mem::take(&mut self.void), ..Legacy::default() };
        // What was lost with the machine is no news.
        legacy.conditions.retain(|void| !void.contains("begun anew"));
        if unread > 0 {
            legacy.conditions.push(format!(
                "cannot tell whose {unread} processes are (they wait for a disk?): what an earlier supervisor has left may be \
                 among them"
            ));
        }
        let mut leftovers = Vec::new();
        let is_alive = |found: &Found| matches!(found.main, Main::Lives(_));
        let alive =
            found.values().filter(|found| is_alive(found)).map(|found| sought[found.index].id.as_str());
        let alive: HashSet<_> = alive.collect();
        for group in groups.iter().flat_map(|groups| over(groups, &alive)) {
            leftovers.extend(group.members(0).held);
            group.kill();
        }
        legacy.groups = groups;
        for (index, (key, spec)) in keys.into_iter().enumerate() {
            let found = found.remove(&index);
            let record = self.by_id.remove(&spec.id);
            if record.is_none() && found.is_none() {
                continue;
            }
            let present = self.records.digest(spec);
            let is_outdated = record.as_ref().is_some_and(|record| record.digest != present);
            let (memory, digest) = record
                .map_or_else(|| (Memory::of_nobody(), None), |record| (record.memory, Some(record.digest)));
            let memory = if is_stranger(spec) { memory.unwanted() } else { memory };
            let run = found.map(|Found { run, main, leftovers: its, .. }| {
                leftovers.extend(its);
                (run, main)
            });
            legacy.left.push(Left { key, memory, run, is_outdated, digest });
        }
        legacy.conditions.extend(end_all(&leftovers));
        Ok((self.records, legacy))
    }
}

/// Whether this stands for a component that was one of an earlier registry: there is nothing to start.
pub(super) fn is_stranger(spec: &ProcessSpec) -> bool {
    spec.executable.as_os_str().is_empty()
}

/// The control groups of components of which no main process lives: what is in them is left over, whatever it says of itself.
fn over(groups: &ControlGroups, alive: &HashSet<&str>) -> Vec<ControlGroup> {
    let names = groups.names().into_iter().filter(|name| !alive.contains(name.as_str()));
    names.filter_map(|name| groups.existing(&name)).collect()
}

/// Kills what is left of runs that are over, and says what withstands that.
fn end_all(leftovers: &[Leftover]) -> Option<String> {
    leftovers.iter().for_each(Leftover::kill);
    #[expect(clippy::disallowed_methods, reason = "nothing is decided by this time: it bounds a wait")]
    let began = Instant::now();
    let lives = |leftover: &&Leftover| !leftover.ends_within(LAST_MOMENT.saturating_sub(began.elapsed()));
    // One may have been found in two ways.
    let pids: BTreeSet<_> = leftovers.iter().filter(lives).map(Leftover::pid).collect();
    let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
    (!pids.is_empty()).then(|| {
        format!("what an earlier supervisor has left cannot be killed: processes {}", pids.join(", "))
    })
}

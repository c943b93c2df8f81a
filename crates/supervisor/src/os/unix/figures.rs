//! What processes use, and how they descend from each other, as `ps` tells it.

use std::sync::Arc;

use super::table::{Entry, Table};
use crate::os::ControlGroup;
use crate::status::{Detail, ProcessStatus, Usage};

/// The most processes that are measured for one component.
const MOST: usize = 1_000;

/// Measures processes.
#[derive(Debug, Default)]
pub(crate) struct Meter {}

impl Meter {
    /// Resident memory and processor time of each of these processes, with its descendants; `None` where it is gone, or that cannot be
    /// told.
    ///
    /// Memory that several of them share counts for each. The time of descendants that have ended does not count.
    pub(crate) fn usages(&mut self, pids: &[u32]) -> Vec<Option<Usage>> {
        let Some(table) = table_for(pids) else { return vec![None; pids.len()] };
        pids.iter().map(|pid| sum(&table.family(*pid, MOST))).collect()
    }
}

/// Nobody is asked about nobody.
fn table_for(pids: &[u32]) -> Option<Arc<Table>> {
    if pids.is_empty() { None } else { Table::take() }
}

/// What the main process of a run uses with what descends from it, if it lives, as a [`Meter`] would have it; and all of these,
/// each after its parent, but no more than the first [`Detail::MOST_PROCESSES`].
pub(crate) fn processes(main: u32, _group: Option<&ControlGroup>) -> (Option<Usage>, Vec<ProcessStatus>) {
    let Some(table) = Table::take() else { return (None, Vec::new()) };
    let family = table.family(main, MOST);
    let statuses = family.iter().take(Detail::MOST_PROCESSES).map(|entry| status(entry)).collect();
    (sum(&family), statuses)
}

fn status(entry: &Entry) -> ProcessStatus {
    let Entry { pid, parent, memory, cpu, ref name, .. } = *entry;
    ProcessStatus { pid, parent, name: name.clone(), memory, cpu }
}

/// `None` of none.
fn sum(family: &[&Entry]) -> Option<Usage> {
    let usages = family.iter().map(|entry| Usage { memory: entry.memory, cpu: entry.cpu });
    usages.reduce(|one, other| Usage {
        memory: one.memory.saturating_add(other.memory),
        cpu: one.cpu.saturating_add(other.cpu),
    })
}

/// The memory, in bytes, that this process and its descendants have resident: files that are mapped count, and what is shared counts
/// for each. Nothing where that cannot be told.
pub(crate) fn memory(pid: u32, _token: &str, _orphans_come_to_us: bool) -> u64 {
    Table::take().and_then(|table| sum(&table.family(pid, MOST))).map_or(0, |usage| usage.memory)
}

/// What is known of a process that hangs: each a name and what is told. Memory is resident memory in bytes. Nothing for a process
/// that has ended.
pub(crate) fn facts(pid: u32) -> Vec<(&'static str, String)> {
    // What was told a moment ago may have been told before the process began.
    let known = Table::recent().filter(|table| table.living(pid).is_some());
    let Some(table) = known.or_else(Table::take) else { return Vec::new() };
    let Some(entry) = table.living(pid) else { return Vec::new() };
    let processes = table.family(pid, MOST).len();
    vec![
        ("state", entry.state.clone()),
        ("memory", entry.memory.to_string()),
        ("processes", processes.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;

    #[test]
    fn descendants_count_with_their_process_and_are_told_after_it() {
        let mut started = Component::shell("sh -c 'echo; exec sleep 1000' & wait").start();
        started.line();
        let (usage, processes) = loop {
            let told = processes(started.pid(), None);
            if told.1.iter().map(|process| process.name.as_str()).eq(["sh", "sleep"]) {
                break told;
            }
        };
        assert_eq!((processes[0].pid, processes[1].parent), (started.pid(), started.pid()));
        assert_eq!(usage.unwrap().memory, processes[0].memory + processes[1].memory);
        assert!(processes.iter().all(|process| process.memory > 0), "{processes:?}");
        assert!(Meter::default().usages(&[started.pid()])[0].is_some());
        assert!(memory(started.pid(), "", false) > 0);
    }

    #[test]
    fn of_what_is_gone_there_is_nothing_to_say() {
        let started = Component::new("/bin/true", &[]).start();
        started.wait();
        let pid = started.pid();
        assert_eq!(Meter::default().usages(&[pid]), [None]);
        assert_eq!(processes(pid, None), (None, Vec::new()));
        assert_eq!((memory(pid, "", false), facts(pid)), (0, Vec::new()));
    }
}

//! What processes use, and how they descend from each other.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::time::Duration;

use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{
    GetProcessHandleCount, GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION,
};

use super::handle::owned;
use crate::os::ControlGroup;
use crate::status::{Detail, ProcessStatus, Usage};

/// The most processes that are measured for one component.
const MOST: usize = 1_000;

/// Measures processes.
#[derive(Debug, Default)]
pub(crate) struct Meter {}

impl Meter {
    /// Resident memory and processor time of each of these processes, with its descendants; `None` where it is gone.
    ///
    /// Memory that several of them share counts for each. The time of descendants that have ended does not count.
    pub(crate) fn usages(&mut self, pids: &[u32]) -> Vec<Option<Usage>> {
        let Some(snapshot) = Snapshot::take().filter(|_| !pids.is_empty()) else {
            return vec![None; pids.len()];
        };
        pids.iter().map(|pid| sum(seen(&snapshot, *pid).map(|(_, usage)| usage))).collect()
    }
}

/// What the main process of a run uses with what descends from it, if it lives, as a [`Meter`] would have it; and all of these,
/// each after its parent, but no more than the first [`Detail::MOST_PROCESSES`].
pub(crate) fn processes(main: u32, _group: Option<&ControlGroup>) -> (Option<Usage>, Vec<ProcessStatus>) {
    let Some(snapshot) = Snapshot::take() else { return (None, Vec::new()) };
    let family: Vec<_> = seen(&snapshot, main).collect();
    let status = |(entry, Usage { memory, cpu }): &(&Entry, Usage)| ProcessStatus {
        pid: entry.pid,
        parent: entry.parent,
        name: entry.name.clone(),
        memory: *memory,
        cpu: *cpu,
    };
    let statuses = family.iter().take(Detail::MOST_PROCESSES).map(status).collect();
    (sum(family.into_iter().map(|(_, usage)| usage)), statuses)
}

/// A process and its descendants, and what each of them uses.
fn seen(snapshot: &Snapshot, pid: u32) -> impl Iterator<Item = (&Entry, Usage)> {
    let family = snapshot.family(pid, MOST).into_iter();
    family.filter_map(|entry| Some((entry, Seen::of(entry.pid)?.usage())))
}

/// `None` of none.
fn sum(usages: impl Iterator<Item = Usage>) -> Option<Usage> {
    usages.reduce(|one, other| Usage { memory: one.memory + other.memory, cpu: one.cpu + other.cpu })
}

/// The memory, in bytes, that this process and its descendants have for themselves, be it resident or not.
pub(crate) fn memory(pid: u32, _token: &str, _orphans_come_to_us: bool) -> u64 {
    let Some(snapshot) = Snapshot::take() else { return 0 };
    let family = snapshot.family(pid, MOST).into_iter();
    family.filter_map(|entry| Seen::of(entry.pid)).map(|seen| seen.counters.PagefileUsage as u64).sum()
}

/// The most memory, in bytes, that a process has had resident.
pub(super) fn peak_memory(process: BorrowedHandle<'_>) -> Option<u64> {
    counters(process).map(|counters| counters.PeakWorkingSetSize as u64).filter(|peak| *peak > 0)
}

/// What is known of a process that hangs: each a name and what is told. Memory is resident memory in bytes.
pub(crate) fn facts(pid: u32) -> Vec<(&'static str, String)> {
    let Some(snapshot) = Snapshot::take() else { return Vec::new() };
    let (Some(entry), Some(seen)) = (snapshot.entries.get(&pid), Seen::of(pid)) else { return Vec::new() };
    let mut facts = vec![("threads", entry.threads.to_string())];
    facts.extend(seen.handles().map(|count| ("handles", count.to_string())));
    facts.push(("memory", seen.usage().memory.to_string()));
    facts.push(("processes", snapshot.family(pid, MOST).len().to_string()));
    facts
}

/// When a process began, in units of 100 ns, and how much processor time it has used.
pub(super) fn times(process: BorrowedHandle<'_>) -> Option<(u64, Duration)> {
    let [mut created, mut exited, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: the handle is open; the four numbers are written.
    let asked = unsafe {
        GetProcessTimes(
            process.as_raw_handle(),
            &raw mut created,
            &raw mut exited,
            &raw mut kernel,
            &raw mut user,
        )
    };
    let cpu = Duration::from_nanos((number(kernel) + number(user)).saturating_mul(100));
    (asked != 0).then(|| (number(created), cpu))
}

fn number(time: FILETIME) -> u64 {
    u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime)
}

fn counters(process: BorrowedHandle<'_>) -> Option<PROCESS_MEMORY_COUNTERS> {
    // SAFETY: a struct of numbers.
    let mut counters: PROCESS_MEMORY_COUNTERS = unsafe { mem::zeroed() };
    counters.cb = mem::size_of_val(&counters) as u32;
    // SAFETY: the handle is open; the struct is written, and has that size.
    let asked = unsafe { K32GetProcessMemoryInfo(process.as_raw_handle(), &raw mut counters, counters.cb) };
    (asked != 0).then_some(counters)
}

/// A process that was looked at.
struct Seen {
    handle: OwnedHandle,
    counters: PROCESS_MEMORY_COUNTERS,
    cpu: Duration,
}

impl Seen {
    fn of(pid: u32) -> Option<Self> {
        // SAFETY: the handle is new.
        let handle = unsafe { owned(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid)) }.ok()?;
        let (_, cpu) = times(handle.as_handle())?;
        Some(Self { counters: counters(handle.as_handle())?, cpu, handle })
    }

    fn usage(&self) -> Usage {
        Usage { memory: self.counters.WorkingSetSize as u64, cpu: self.cpu }
    }

    fn handles(&self) -> Option<u32> {
        let mut count = 0;
        // SAFETY: the handle is open; the number is written.
        let asked = unsafe { GetProcessHandleCount(self.handle.as_raw_handle(), &raw mut count) };
        (asked != 0).then_some(count)
    }
}

/// All processes of the machine at one moment.
struct Snapshot {
    entries: HashMap<u32, Entry>,
    children: HashMap<u32, Vec<u32>>,
}

struct Entry {
    pid: u32,
    parent: u32,
    threads: u32,
    name: String,
}

impl Snapshot {
    fn take() -> Option<Self> {
        // SAFETY: the handle is new.
        let snapshot = unsafe { owned(CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0)) }.ok()?;
        // SAFETY: a struct of numbers.
        let mut entry: PROCESSENTRY32W = unsafe { mem::zeroed() };
        entry.dwSize = mem::size_of_val(&entry) as u32;
        let mut taken = Self { entries: HashMap::new(), children: HashMap::new() };
        // SAFETY: the handle is open; the struct is written, and says how large it is.
        let mut has_more = unsafe { Process32FirstW(snapshot.as_raw_handle(), &raw mut entry) };
        while has_more != 0 {
            let name = entry.szExeFile.split(|unit| *unit == 0).next().unwrap_or_default();
            let (pid, parent) = (entry.th32ProcessID, entry.th32ParentProcessID);
            taken.children.entry(parent).or_default().push(pid);
            let name = String::from_utf16_lossy(name);
            taken.entries.insert(pid, Entry { pid, parent, threads: entry.cntThreads, name });
            // SAFETY: as above.
            has_more = unsafe { Process32NextW(snapshot.as_raw_handle(), &raw mut entry) };
        }
        Some(taken)
    }

    /// This process and its descendants, each after its parent: at most so many. A pid may have changed hands since a parent has
    /// ended: what is older than that is no child of it.
    fn family(&self, pid: u32, most: usize) -> Vec<&Entry> {
        let mut family = Vec::new();
        let mut seen = HashSet::new();
        let mut open = vec![pid];
        while let Some(pid) = open.pop() {
            let Some(entry) = self.entries.get(&pid).filter(|_| family.len() < most && seen.insert(pid))
            else {
                continue;
            };
            family.push(entry);
            let began = began(pid);
            let mut children: Vec<u32> = self.children.get(&pid).into_iter().flatten().copied().collect();
            children.retain(|child| self::began(*child) >= began);
            children.sort_unstable_by(|one, other| other.cmp(one));
            open.extend(children);
        }
        family
    }
}

fn began(pid: u32) -> Option<u64> {
    // SAFETY: the handle is new.
    let process = unsafe { owned(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid)) }.ok()?;
    times(process.as_handle()).map(|(began, _)| began)
}

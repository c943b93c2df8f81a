//! What the kernel knows of a process that hangs.

use std::fs;

use super::proc::Reader;

/// The most descriptors, and the most processes, that are counted one by one.
const MOST: usize = 10_000;

/// What is known of this process: each a name and what is told. Memory is resident memory in bytes; descriptors and
/// processes are counted up to 10,000. Nothing for a process that has ended.
///
/// It never waits, not even for a process that waits for ever: no lock on its memory is taken for any of these.
pub(crate) fn facts(pid: u32) -> Vec<(&'static str, String)> {
    let mut reader = Reader::default();
    let Some(status) = reader.read(&format!("/proc/{pid}/status")) else { return Vec::new() };
    let status = String::from_utf8_lossy(status).into_owned();
    let line = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    };
    let Some(memory) = line("VmRSS") else { return Vec::new() };
    let bytes = memory.strip_suffix(" kB").and_then(|kilobytes| kilobytes.parse::<u64>().ok());
    let facts = [
        ("state", line("State")),
        ("wchan", waits_in(&mut reader, pid)),
        ("threads", line("Threads")),
        ("descriptors", descriptors(pid).map(|count| count.to_string())),
        ("memory", bytes.map(|kilobytes| kilobytes.saturating_mul(1024).to_string())),
        ("processes", Some(reader.tree(pid, MOST).len().to_string())),
    ];
    facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))).collect()
}

/// The function of the kernel in which its first thread waits, if it waits and we may know.
fn waits_in(reader: &mut Reader, pid: u32) -> Option<String> {
    let name = reader.read(&format!("/proc/{pid}/wchan"))?;
    let name = str::from_utf8(name).ok()?.trim();
    (!name.is_empty() && name != "0").then(|| name.to_owned())
}

fn descriptors(pid: u32) -> Option<u64> {
    let folder = format!("/proc/{pid}/fd");
    // From Linux 6.2 on, the size of the folder is their number.
    let told = fs::metadata(&folder).ok()?.len();
    if told > 0 {
        return Some(told);
    }
    Some(fs::read_dir(folder).ok()?.take(MOST).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;

    #[test]
    fn what_hangs_is_described() {
        let mut started = Component::shell("sleep 1000 & exec 7</dev/null; echo; kill -STOP $$").start();
        started.line();
        // The shell speaks before it stops: the kernel says when it has.
        let stopped = rustix::process::WaitIdOptions::STOPPED | rustix::process::WaitIdOptions::NOWAIT;
        let pid = rustix::process::Pid::from_raw(started.pid().try_into().unwrap()).unwrap();
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), stopped).unwrap();
        let facts = facts(started.pid());
        let fact = |name| facts.iter().find(|(its, _)| *its == name).map(|(_, fact)| fact.as_str());
        assert_eq!(fact("state"), Some("T (stopped)"));
        assert_eq!(fact("threads"), Some("1"));
        assert_eq!(fact("descriptors"), Some("4"));
        assert_eq!(fact("processes"), Some("2"));
        assert!(fact("memory").unwrap().parse::<u64>().unwrap() > 100_000);
    }

    #[test]
    fn of_what_has_ended_there_is_nothing_to_say() {
        let started = Component::new("/bin/true", &[]).start();
        started.wait();
        assert_eq!(facts(started.pid()), []);
    }
}

//! What `/proc` says of processes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::Failure;

/// The proportional set size of a process, in bytes.
pub(crate) fn proportional_size(pid: u32) -> Result<u64, Failure> {
    let text = read(&format!("/proc/{pid}/smaps_rollup"))?;
    Ok(number_after(&text, "Pss:")? * 1024)
}

/// The resident set size of a process, in bytes.
pub(crate) fn resident_size(pid: u32) -> Result<u64, Failure> {
    let text = read(&format!("/proc/{pid}/status"))?;
    Ok(number_after(&text, "VmRSS:")? * 1024)
}

/// How often the threads of a process, all together, have been given or taken a processor.
pub(crate) fn context_switches(pid: u32) -> Result<u64, Failure> {
    let mut all = 0;
    for thread in numbers_in(&format!("/proc/{pid}/task"))? {
        let text = read(&format!("/proc/{pid}/task/{thread}/status"))?;
        for name in ["\nvoluntary_ctxt_switches:", "\nnonvoluntary_ctxt_switches:"] {
            all += number_after(&text, name)?;
        }
    }
    Ok(all)
}

/// How much processor time a process has used, of user and system together, of all threads that it has had.
pub(crate) fn processor_time(pid: u32) -> Result<Duration, Failure> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    // Behind the name, which may hold anything, the fields are numbered from 3; utime is 14, stime 15.
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    let ticks =
        fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second()))
}

/// How many descriptors a process has open.
pub(crate) fn descriptors(pid: u32) -> Result<usize, Failure> {
    Ok(numbers_in(&format!("/proc/{pid}/fd"))?.len())
}

/// The children of a process, those that have ended but were not reaped apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Children {
    pub(crate) living: BTreeSet<u32>,
    pub(crate) zombies: BTreeSet<u32>,
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Result<Children, Failure> {
    let mut children = Children::default();
    for thread in numbers_in(&format!("/proc/{pid}/task"))? {
        let pids = read(&format!("/proc/{pid}/task/{thread}/children"))?;
        for child in pids.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
            let Ok(stat) = read(&format!("/proc/{child}/stat")) else { continue };
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            let of_its_kind = if state == Some('Z') { &mut children.zombies } else { &mut children.living };
            of_its_kind.insert(child);
        }
    }
    Ok(children)
}

/// Every process that executes this file.
pub(crate) fn executing(program: &Path) -> Result<BTreeSet<u32>, Failure> {
    let wanted = fs::metadata(program)?;
    let is_it = |pid: &u32| {
        fs::metadata(format!("/proc/{pid}/exe"))
            .is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
    };
    Ok(numbers_in("/proc")?.into_iter().filter(is_it).collect())
}

fn numbers_in(folder: &str) -> Result<BTreeSet<u32>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {folder}: {error}"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn read(path: &str) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}").into())
}

fn number_after(text: &str, name: &str) -> Result<u64, Failure> {
    let rest = text.split_once(name).map(|(_, rest)| rest);
    let number =
        rest.and_then(|rest| rest.split_ascii_whitespace().next()).and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("the kernel does not tell {}", name.trim()).into())
}

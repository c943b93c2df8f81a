//! Everything that bears a token of a run, whoever's: what a supervisor that was killed has left, and never wrote down.
//!
//! The environment of a process is in its memory, and who reads it waits for whoever changes the layout of that memory or
//! brings it from a disk or a network: it may take for ever. So several threads share the processes among them. One that
//! hangs is left to itself, and another takes its place.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{bounded, unbounded};

use super::environment::{Executing, awaited};
use super::leftovers::{Leftover, our_pid};
use super::proc::Reader;
use crate::os::{RUN_VARIABLE, TASK_VARIABLE};

/// How long nothing at all may come before a thread is taken to hang.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many may hang.
const MOST_THREADS: usize = 8;

/// How many may wait to be taken, for each holds a descriptor.
const MOST_WAITING: usize = 64;

/// The largest family that is looked at, for the same reason.
const MOST_RELATIVES: usize = 256;

/// A living process that bears the token of a run.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) process: Leftover,
    pub(crate) token: Vec<u8>,
    /// Whether it is, or descends from, a command that was run for the component.
    pub(crate) is_errand: bool,
    /// When it began, in ticks since the machine did.
    pub(crate) started: u64,
}

/// What was seen of one process.
enum Seen {
    Bearer(Bearer),
    Nothing,
    /// Descriptors or memory were wanting.
    Unread,
}

/// Looks at every process but ourselves, and tells of those that bear a token. Returns how many could not be looked at, or
/// hang. Takes no more than four seconds beyond what is read.
pub(crate) fn bearers(mut each: impl FnMut(Bearer)) -> usize {
    let own = our_pid();
    let mut known = HashSet::from([own]);
    let mut unread = 0;
    // Twice, because one may start another meanwhile, and end before it is looked at.
    for _ in 0..2 {
        let processes = Reader::default().all_processes().filter(|pid| !known.contains(pid)).collect();
        unread = share(processes, seen_of, |bearer| {
            known.insert(bearer.process.pid());
            each(bearer);
        });
    }
    unread
}

fn share(
    processes: Vec<u32>,
    seen_of: impl Fn(u32) -> Seen + Copy + Send + 'static,
    mut each: impl FnMut(Bearer),
) -> usize {
    let (mut expected, mut unread) = (processes.len(), 0);
    let (work, queue) = unbounded();
    for pid in processes {
        // It has no bound, and we are there to take it.
        let _ = work.send(pid);
    }
    drop(work);
    let (results, seen) = bounded(MOST_WAITING);
    for _ in 0..MOST_THREADS {
        let (queue, results) = (queue.clone(), results.clone());
        let look = move || queue.iter().all(|pid| results.send(seen_of(pid)).is_ok());
        #[expect(clippy::disallowed_methods, reason = "threads that may hang, so that nobody else does")]
        let started = thread::Builder::new().name("finding".into()).spawn(look);
        if started.is_err() {
            break;
        }
        // Until this one hangs as well.
        while expected > 0
            && let Ok(seen) = seen.recv_timeout(PATIENCE)
        {
            expected -= 1;
            match seen {
                Seen::Bearer(bearer) => each(bearer),
                Seen::Nothing => {}
                Seen::Unread => unread += 1,
            }
        }
        if expected == 0 {
            break;
        }
    }
    unread + expected
}

fn seen_of(pid: u32) -> Seen {
    let mut reader = Reader::default();
    match (bearer(&mut reader, pid), reader.is_starved) {
        (Some(bearer), _) => Seen::Bearer(bearer),
        (None, true) => Seen::Unread,
        (None, false) => Seen::Nothing,
    }
}

fn bearer(reader: &mut Reader, pid: u32) -> Option<Bearer> {
    // Most have none, and are not worth a descriptor.
    if let Ok(None) = marks(reader, pid) {
        return None;
    }
    let (process, stat) = Leftover::hold(reader, pid)?;
    let (token, is_errand) = awaited(&process, || marks(reader, pid))??;
    // Else what was read is another's.
    process.has_its_pid().then_some(Bearer { process, token, is_errand, started: stat.started })
}

/// The token of a process, if it has one, and whether it is an errand.
fn marks(reader: &mut Reader, pid: u32) -> Result<Option<(Vec<u8>, bool)>, Executing> {
    let [token, errand] = reader.variables_unless_executing(pid, [RUN_VARIABLE, TASK_VARIABLE])?;
    Ok(token.map(|token| (token.to_vec(), errand.is_some())))
}

/// These processes and all that descends from them, but not what is known to be another's.
pub(crate) fn families(processes: Vec<Leftover>, is_anothers: impl Fn(u32) -> bool) -> Vec<Leftover> {
    let mut reader = Reader::default();
    let mut all = processes;
    let mut next = 0;
    while let Some(pid) = all.get(next).map(Leftover::pid) {
        let threads = reader.stat(pid).map_or(1, |stat| stat.threads);
        for child in reader.children(pid, threads) {
            let is_known = all.iter().any(|known| known.pid() == child);
            if is_known || is_anothers(child) || all.len() >= MOST_RELATIVES {
                continue;
            }
            all.extend(Leftover::child_of(&mut reader, child, pid, all[next].as_fd()));
        }
        next += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::{Component, Started};

    /// Starts a script that prints the pid of a process beside it.
    fn start(script: &str) -> (Started, u32) {
        let mut started = Component::shell(script).start();
        let pid = started.line().parse().unwrap();
        (started, pid)
    }

    fn bearers_of(started: &Started) -> Vec<Bearer> {
        let mut found = Vec::new();
        // Others run tests at the same time, and what they start may end while it is looked at.
        bearers(|bearer| {
            if bearer.token == started.token().as_bytes() {
                found.push(bearer);
            }
        });
        found.sort_unstable_by_key(|bearer| (bearer.started, bearer.process.pid()));
        found
    }

    #[test]
    fn what_bears_a_token_is_found_wherever_it_has_gone() {
        let (main, daemon) = start("(setsid sh -c 'echo $$; kill -STOP $$' & ); exec sleep 1000");
        // The shell between the two ends a moment later.
        let found = loop {
            let found = bearers_of(&main);
            if found.len() == 2 {
                break found;
            }
        };
        let pids: Vec<_> = found.iter().map(|bearer| bearer.process.pid()).collect();
        assert!(pids.contains(&main.pid()) && pids.contains(&daemon), "{pids:?}");
        assert!(found.iter().all(|bearer| bearer.process.leads_a_group() && !bearer.is_errand));
    }

    #[test]
    fn one_that_does_nothing_but_execute_programs_is_found() {
        let again = r#"'exec sh -c "$0" "$0"'"#;
        let (main, _) = start(&format!("echo $$; exec sh -c {again} {again}"));
        for _ in 0..100 {
            assert!(bearer(&mut Reader::default(), main.pid()).is_some());
        }
    }

    #[test]
    fn a_command_that_was_run_for_a_component_is_told_apart() {
        // It executes nothing more, for while it did it would have no environment.
        let (main, errand) = start("S7_TASK=x sh -c 'echo $$; kill -STOP $$' & wait");
        let is_errand = |pid| bearers_of(&main).iter().find(|it| it.process.pid() == pid).unwrap().is_errand;
        assert!(is_errand(errand) && !is_errand(main.pid()));
    }

    #[test]
    fn descendants_that_have_forgotten_their_token_are_found_with_their_parents() {
        let (main, grandchild) =
            start("setsid env -i sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" & wait' & wait");
        let hold = || vec![Leftover::hold(&mut Reader::default(), main.pid()).unwrap().0];
        let pids = |found: Vec<Leftover>| found.iter().map(Leftover::pid).collect::<Vec<_>>();
        let all = pids(families(hold(), |_| false));
        assert!(all.len() == 3 && all.contains(&grandchild), "{grandchild} in {all:?}");
        assert_eq!(pids(families(hold(), |pid| pid == all[1])), [main.pid()]);
    }

    #[test]
    fn reading_that_hangs_holds_nobody_up_for_long() {
        let (never, hangs) = bounded::<()>(0);
        let never = Box::leak(Box::new(never));
        let hangs: &'static _ = Box::leak(Box::new(hangs));
        let look = move |pid| {
            if pid % 10 == 0 {
                let _ = hangs.recv();
            }
            Seen::Nothing
        };
        assert_eq!(share((1..40).collect(), look, drop), 3, "10, 20 and 30");
        assert!(share(vec![10; 20], look, drop) == 20, "not all can be given a thread");
        let _ = never;
    }
}

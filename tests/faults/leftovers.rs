//! Nothing is left of what was stopped, however its processes have slipped away.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use crate::ground::{Supervisor, family, few_or_all, plain};
use crate::house::{House, code, stderr};
use crate::place::place;

/// With control groups, where whatever a component has started is in its own.
const BY_GROUPS: &str = "auto";

/// Without, where it is known by its environment and its ancestors.
const BY_TRACES: &str = "off";

/// How long each is given to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(4);

/// Components with five daemons each, of which every other one ignores SIGTERM, and so do its daemons.
fn forking(count: u32) -> (String, Vec<String>) {
    let ids: Vec<_> = (1..=count).map(|number| format!("forks{number}")).collect();
    let servers = ids.iter().enumerate().map(|(index, id)| {
        let deaf = if index % 2 == 0 { "--ignore-stop" } else { "" };
        let timeout = format!("<stopTimeout>{}</stopTimeout>", STOP_TIMEOUT.as_secs());
        plain(id, &format!("--fork-children 5 --new-session --ready-file FOLDER/{id}.ready {deaf}"), &timeout)
    });
    (servers.collect(), ids)
}

fn all_have_forked(house: &House, ids: &[String]) -> bool {
    ids.iter().all(|id| house.path(&format!("{id}.ready")).exists())
}

/// Whether these processes are in the control group of their component, and nowhere else.
fn are_in_the_group_of(id: &str, pids: &[u32]) -> bool {
    let group = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    pids.iter().all(|pid| group(pid).lines().any(|line| line.ends_with(&format!("/s7-{id}"))))
}

fn begin<'a>(house: &'a House, ids: &[String], cgroups: &str) -> Supervisor<'a> {
    let supervisor = Supervisor::run_with(house, &["--cgroups", cgroups]);
    supervisor.until(|house| all_have_forked(house, ids));
    let is_grouped = are_in_the_group_of(&ids[0], &family(house, &ids[0]));
    assert_eq!(is_grouped, cgroups == BY_GROUPS);
    supervisor
}

fn all_are_gone_in_bounded_time(cgroups: &str) {
    let (servers, ids) = forking(few_or_all(12, 100));
    let house = House::with(&servers);
    let supervisor = begin(&house, &ids, cgroups);
    assert_eq!(house.alive(), ids.len() * 6);
    let since = Instant::now();
    supervisor.stop();
    let taken = since.elapsed();
    house.assert_nothing_lives();
    assert!(taken >= STOP_TIMEOUT, "half of them are deaf: {taken:?}");
    assert!(taken <= STOP_TIMEOUT + Duration::from_secs(1), "{taken:?}");
}

fn each_ends_its_own(cgroups: &str) {
    let (servers, ids) = forking(4);
    let house = House::with(&servers);
    let mut supervisor = begin(&house, &ids, cgroups);
    let before: Vec<_> = ids.iter().map(|id| family(&house, id)).collect();
    assert!(before.iter().all(|pids| pids.len() == 6), "{before:?}");
    for (index, id) in ids.iter().enumerate() {
        if index == 2 {
            supervisor.kill();
            supervisor = begin(&house, &ids[index..], cgroups);
        }
        let since = Instant::now();
        let stopped = house.s7(&["stop", id]);
        assert_eq!(code(&stopped), 0, "{}", stderr(&stopped));
        assert!(since.elapsed() <= STOP_TIMEOUT + Duration::from_secs(1), "{:?}", since.elapsed());
        let alive: BTreeSet<u32> = house.inhabitants().into_iter().map(|(pid, _)| pid).collect();
        assert_eq!(alive, before[index + 1..].iter().flatten().copied().collect(), "after the stop of {id}");
    }
    supervisor.stop();
}

#[test]
fn daemons_that_forked_twice_and_ignore_sigterm_are_gone_after_the_stop_in_bounded_time() {
    all_are_gone_in_bounded_time(BY_TRACES);
}

#[test]
fn daemons_that_forked_twice_and_ignore_sigterm_are_gone_by_their_control_groups_too() {
    if place().is_some() {
        all_are_gone_in_bounded_time(BY_GROUPS);
    }
}

#[test]
fn a_stop_ends_all_of_one_component_and_none_of_another_also_after_the_supervisor_was_killed() {
    each_ends_its_own(BY_TRACES);
}

#[test]
fn by_control_groups_too_a_stop_ends_all_of_one_component_also_after_the_supervisor_was_killed() {
    if place().is_some() {
        each_ends_its_own(BY_GROUPS);
    }
}

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use polling::{Events, Poller};

use super::*;
use crate::os::Watched;
use crate::os::fixture::{Component, GroupHandle, Started, end_of};

/// Opens a supervisor's folder. One test after the other, because each removes what nobody holds: also what another one has made to be
/// removed.
fn open(name: &str, is_successor: bool) -> Result<ControlGroups, String> {
    let _turn = turn();
    ControlGroups::open(name, is_successor)
}

/// While this is held, no other test removes anything.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A supervisor's folder, or why there can be none: that is no excuse where all is tested.
fn groups(name: &str) -> Option<ControlGroups> {
    match open(&format!("{name}-{}", std::process::id()), false) {
        Ok(groups) => Some(groups),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "no control groups: {why}");
            eprintln!("skipped: no control group of version 2 can be made here: {why}");
            None
        }
    }
}

fn start_in(group: &ControlGroup, script: &str) -> Started {
    let mut component = Component::shell(script);
    component.cgroup = Some(GroupHandle(File::from(group.folder.try_clone().unwrap())));
    component.start()
}

fn pids(members: &[Leftover]) -> HashSet<u32> {
    members.iter().map(Leftover::pid).collect()
}

/// A process with a session of its own and no environment, whose parents have ended; its pid is said.
const HIDES: &str = "(env -i setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 1000' &); exec sleep 1000";

#[test]
fn what_hides_whose_it_is_belongs_to_the_group_that_it_was_started_in_and_to_no_other() {
    let Some(mut groups) = groups("members") else { return };
    let (one, other) = (groups.group("one").unwrap().unwrap(), groups.group("other").unwrap().unwrap());
    let mut main = start_in(&one, HIDES);
    let hidden: u32 = main.line().parse().unwrap();
    assert_eq!(pids(&one.members(main.pid()).held), HashSet::from([hidden]));
    assert!(one.members(0).is_whole && one.has(main.process()) && !other.has(main.process()));
    assert_eq!(one.member(hidden).map(|member| member.pid()), Some(hidden));
    for nobodys in [std::process::id(), 1, 0, u32::MAX] {
        assert!(one.member(nobodys).is_none(), "{nobodys}");
    }
    assert!(other.member(hidden).is_none() && other.members(0).held.is_empty());
    one.kill();
    main.wait();
    end_of(hidden);
}

#[test]
fn all_are_killed_by_the_kernel_or_one_after_the_other_and_nobody_in_another_group() {
    let Some(mut groups) = groups("kill") else { return };
    let (one, other) = (groups.group("one").unwrap().unwrap(), groups.group("other").unwrap().unwrap());
    let bystander = start_in(&other, "exec sleep 1000");
    for kill in [ControlGroup::kill_each, ControlGroup::kill] {
        let mut main = start_in(&one, HIDES);
        let hidden: u32 = main.line().parse().unwrap();
        kill(&one);
        main.wait();
        end_of(hidden);
    }
    assert_eq!(bystander.process().exit(), None);
    other.kill();
    bystander.wait();
}

#[test]
fn a_group_in_which_was_killed_is_replaced_by_a_new_one_once_nobody_lives_in_it() {
    let Some(mut groups) = groups("spent") else { return };
    let group = groups.group("one").unwrap().unwrap();
    let main = start_in(&group, "exec sleep 1000");
    assert!(!group.is_spent() && groups.group("one").unwrap().is_none(), "somebody lives in it");
    group.kill();
    main.wait();
    assert!(group.is_spent());
    let anew = groups.group("one").unwrap().unwrap();
    assert_eq!(start_in(&anew, "exit 7").wait(), crate::Exit::Code(7));
}

#[test]
fn the_poller_is_told_when_the_last_has_gone_even_from_a_group_within() {
    let Some(mut groups) = groups("population") else { return };
    let group = groups.group("one").unwrap().unwrap();
    assert!(!group.population().unwrap().is_any().unwrap());
    let main = start_in(&group, "exec sleep 1000");
    let within = group.path().join("within");
    fs::create_dir(&within).unwrap();
    fs::write(within.join("cgroup.procs"), main.pid().to_string()).unwrap();
    assert_eq!(pids(&group.members(0).held), HashSet::from([main.pid()]));

    let population = group.population().unwrap();
    assert!(population.is_any().unwrap());
    let poller = Arc::new(Poller::new().unwrap());
    let population = Watched::for_priority(population, &poller, 7).unwrap();
    let mut events = Events::new();
    poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty(), "nothing has changed");
    group.kill();
    poller.wait(&mut events, None).unwrap();
    assert_eq!(events.iter().map(|event| event.key).collect::<Vec<_>>(), [7]);
    assert!(!population.is_any().unwrap());
    main.wait();
}

#[test]
fn what_is_empty_is_removed_with_what_was_made_in_it_and_what_lives_is_left_to_a_successor() {
    let Some(mut before) = groups("remove") else { return };
    let (one, _other) = (before.group("one").unwrap().unwrap(), before.group("other").unwrap().unwrap());
    fs::create_dir(one.path().join("within")).unwrap();
    let main = start_in(&one, "exec sleep 1000");
    let folder = before.path().to_owned();
    drop(before);
    assert!(one.has(main.process()));
    let after = open(&format!("remove-{}", std::process::id()), true).unwrap();
    assert_eq!((after.path(), after.names()), (&*folder, vec!["one".to_owned()]));
    after.existing("one").unwrap().kill();
    main.wait();
    assert!(after.existing("other").is_none());
    drop(after);
    assert!(!folder.exists());
}

#[test]
fn a_folder_is_found_by_a_successor_in_whatever_group_that_runs() {
    let Some(mut before) = groups("elsewhere") else { return };
    // As if we had run in that group when we made it.
    let within = before.group("within").unwrap().unwrap();
    let name = format!("moved-{}", std::process::id());
    let folder = within.path().join(format!("s7supervisor-{name}"));
    fs::create_dir(&folder).unwrap();
    assert_eq!(open(&name, true).unwrap().path(), folder);
    assert!(!folder.exists(), "it was empty when it was let go");
    let anew = open(&name, false).unwrap();
    assert_ne!(anew.path(), folder);
}

#[test]
fn a_folder_that_somebody_removes_is_made_again() {
    let Some(mut groups) = groups("removed") else { return };
    let group = groups.group("one").unwrap().unwrap();
    group.remove().unwrap();
    fs::remove_dir(groups.path()).unwrap();
    let group = groups.group("one").unwrap().unwrap();
    let main = start_in(&group, "exec sleep 1000");
    assert!(group.has(main.process()));
    group.kill();
    main.wait();
}

#[test]
fn what_a_dead_supervisor_has_left_empty_is_removed_and_what_another_holds_is_not() {
    let Some(held) = groups("held") else { return };
    let left = held.path().with_file_name(format!("s7supervisor-left-{}", std::process::id()));
    let turn = turn();
    fs::create_dir(&left).unwrap();
    fs::create_dir(left.join("s7-ps")).unwrap();
    drop(turn);
    let Some(other) = groups("other") else { return };
    assert!(!left.exists() && held.path().exists() && other.path().exists());
}

#[test]
fn supervisors_that_begin_at_once_take_nothing_from_each_other() {
    let Some(_groups) = groups("at-once") else { return };
    let _turn = turn();
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                for round in 0..50 {
                    // Half of them are called as one that has just ended.
                    let name = format!("at-once-{number}-{}-{}", round / 2, std::process::id());
                    let mut groups = ControlGroups::open(&name, false).unwrap();
                    assert!(groups.lock.is_some(), "{name} is not held");
                    groups.group("one").unwrap().unwrap().remove().unwrap();
                    assert!(groups.path().exists());
                }
            });
        }
    });
}

#[test]
fn a_folder_that_is_no_control_group_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ControlGroup::open(folder.path().to_owned()).is_err());
}

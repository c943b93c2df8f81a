use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::*;
use crate::os::fixture::{Component, Started, end_of};
use crate::os::linux::{descendants, reap_orphans};

/// The pids that a look finds for each of the components.
fn look(components: &[&Started], orphans_come_to_us: bool) -> Vec<(usize, u32)> {
    let runs: Vec<_> = components.iter().map(|component| component.run()).collect();
    let is_main = |pid| components.iter().any(|component| component.pid() == pid);
    let mut found: Vec<_> = leftovers(&runs, is_main, orphans_come_to_us)
        .held
        .iter()
        .map(|(run, leftover)| (*run, leftover.pid()))
        .collect();
    found.sort_unstable();
    found
}

/// Starts a script that prints the pid of a process which outlives it or stays beside it.
fn start(script: &str) -> (Started, u32) {
    let mut started = Component::shell(script).start();
    let pid = started.line().parse().unwrap();
    (started, pid)
}

#[test]
fn a_child_in_the_background_is_left_when_its_parent_ends() {
    let (main, child) = start("env -i sleep 1000 & echo $!");
    main.wait();
    assert_eq!(look(&[&main], false), [(0, child)]);
}

#[test]
fn a_child_in_a_session_of_its_own_is_known_by_its_token() {
    let (main, child) = start("setsid sh -c 'echo $$; exec sleep 1000' & wait");
    assert_eq!(look(&[&main], false), [(0, child)]);
}

#[test]
fn a_daemon_that_forked_twice_is_known_by_its_token() {
    let (main, daemon) = start("(setsid sh -c 'echo $$; kill -STOP $$' & )");
    main.wait();
    assert_eq!(look(&[&main], false), [(0, daemon)]);
}

#[test]
fn a_daemon_that_does_nothing_but_execute_programs_is_known_by_its_token() {
    // While it executes one it has no environment, so that a single look at that misses it now and then.
    let again = r#"'exec sh -c "$0" "$0"'"#;
    let (main, daemon) = start(&format!("(setsid sh -c 'echo $$; exec sh -c \"$0\" \"$0\"' {again} & )"));
    main.wait();
    for _ in 0..100 {
        assert_eq!(look(&[&main], false), [(0, daemon)]);
    }
}

#[test]
fn a_descendant_without_group_and_token_is_known_by_its_parents() {
    let (main, grandchild) =
        start("setsid env -i sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" & wait' & wait");
    let found = look(&[&main], false);
    assert!(found.contains(&(0, grandchild)), "{grandchild} in {found:?}");
    assert_eq!(found.len(), 2, "its parent as well: {found:?}");
}

#[test]
fn what_can_be_told_at_once_is_told_without_reading_an_environment() {
    let at_once = |main: &Started| {
        let runs = [main.run()];
        let found = leftovers_at_once(&runs, |pid| pid == main.pid(), false);
        assert!(found.is_whole);
        let pids: Vec<_> = found.held.iter().map(|(_, leftover)| leftover.pid()).collect();
        assert!(found.has_strangers || !pids.is_empty(), "it says so if it cannot tell");
        pids
    };
    let (main, child) = start("env -i sleep 1000 & echo $!");
    main.wait();
    assert_eq!(at_once(&main), [child], "by its group");
    let (main, child) = start("setsid env -i sh -c 'echo $$; exec sleep 1000' & wait");
    assert_eq!(at_once(&main), [child], "by its parent");
    let (main, daemon) = start("(setsid sh -c 'echo $$; kill -STOP $$' & )");
    main.wait();
    assert_eq!((at_once(&main), look(&[&main], false)), (vec![], vec![(0, daemon)]), "by its token alone");
}

#[test]
fn what_descends_from_a_process_is_found_whatever_it_hides_and_a_main_process_is_no_part_of_it() {
    let (main, grandchild) =
        start("setsid env -i sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" & wait' & wait");
    let found = |is_main: &dyn Fn(u32) -> bool| {
        let found = descendants(&[(main.pid(), main.process().as_fd())], is_main);
        found.iter().map(Leftover::pid).collect::<Vec<_>>()
    };
    let all = found(&|_| false);
    assert!(all.len() == 2 && all.contains(&grandchild), "{all:?}");
    assert!(!found(&|pid| pid == grandchild).contains(&grandchild));
}

#[test]
fn each_leftover_belongs_to_its_own_run_only() {
    let (one, child_of_one) = start("sleep 1000 & echo $!; wait");
    let (two, child_of_two) = start("setsid sh -c 'echo $$; exec sleep 1000' & wait");
    let (other, _) = start("sleep 1000 & echo $!; wait");
    assert_eq!(look(&[&one], false), [(0, child_of_one)]);
    assert_eq!(look(&[&two, &one], false), [(0, child_of_two), (1, child_of_one)]);
    drop(other);
}

#[test]
fn a_run_of_which_much_is_left_hides_no_other() {
    let much = format!("for i in $(seq {}); do sleep 1000 & done; echo $$", MOST + 20);
    let ((one, _), (other, child)) = (start(&much), start("sleep 1000 & echo $!"));
    one.wait();
    other.wait();
    let found = look(&[&one, &other], false);
    assert!(found.contains(&(1, child)), "{found:?}");
    let of_one = found.len() - 1;
    assert!((1..=MOST).contains(&of_one), "{of_one}");
}

#[test]
fn a_token_that_only_begins_alike_is_another_run() {
    let mut component = Component::shell("setsid sh -c 'echo $$; exec sleep 1000' & wait");
    component.token.push('0');
    let mut longer = component.start();
    longer.line();
    let token = longer.token().strip_suffix('0').unwrap().to_owned();
    let shorter = Component::shell("exec sleep 1000").start();
    let run = Run { process: shorter.process(), token: &token };
    assert!(leftovers(&[run], |pid| pid == shorter.pid() || pid == longer.pid(), false).held.is_empty());
}

#[test]
fn the_dead_are_not_left() {
    // The child becomes a zombie of a program that waits for nobody, and that speaks once it has taken over.
    let script = "sleep 1000 & echo $!; exec tail -f /proc/sys/kernel/ostype";
    let (mut main, child) = start(script);
    assert_eq!(main.line(), "Linux");
    assert_eq!(look(&[&main], false), [(0, child)]);
    let held = pidfd_open(pid_of(child).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&held, Signal::KILL).unwrap();
    end_of(child);
    assert_eq!(Reader::default().stat(child).map(|stat| stat.is_dead()), Some(true));
    assert_eq!(look(&[&main], false), []);
}

#[test]
fn a_group_whose_main_process_somebody_else_has_reaped_is_not_trusted() {
    let (main, child) = start("env -i sh -c 'echo $$; exec sleep 1000' &");
    main.wait();
    let held = pidfd_open(pid_of(child).unwrap(), PidfdFlags::empty()).unwrap();
    waitid(WaitId::Pid(pid_of(main.pid()).unwrap()), WaitIdOptions::EXITED).unwrap();
    assert_eq!(look(&[&main], false), []);
    pidfd_send_signal(held, Signal::KILL).unwrap();
}

#[test]
fn a_leftover_is_stopped_and_killed_by_its_descriptor() {
    let (main, _) = start("setsid sh -c 'trap \"\" TERM; echo $$; sleep 1000; sleep 1000' & wait");
    let find = || {
        let runs = [main.run()];
        leftovers(&runs, |pid| pid == main.pid(), false).held
    };
    // TERM ends the sleep, which has not inherited a handler but ignores it as the shell does: only KILL ends both.
    let found = find();
    assert!(!found.is_empty());
    for (_, leftover) in &found {
        leftover.signal(crate::Signal::TERM);
        assert!(!has_ended(leftover.as_fd()));
    }
    let mut found = found;
    while !found.is_empty() {
        for (_, leftover) in &found {
            leftover.kill();
            end_of(leftover.pid());
        }
        found = find();
    }
}

/// A subreaper is a whole process: so the scenario runs in one of its own.
#[test]
fn orphans_come_to_the_main_thread_where_they_are_found_and_reaped() {
    const NAME: &str =
        "os::linux::leftovers::tests::orphans_come_to_the_main_thread_where_they_are_found_and_reaped";
    if std::env::var_os("TEST_AS_SUBREAPER").is_some() {
        return orphans_in_a_subreaper();
    }
    #[expect(clippy::disallowed_methods, reason = "a test runs itself in a process of its own")]
    let mut scenario = std::process::Command::new(std::env::current_exe().unwrap());
    scenario.args(["--exact", NAME, "--test-threads=2"]).env("TEST_AS_SUBREAPER", "1");
    let output = scenario.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn orphans_in_a_subreaper() {
    rustix::process::set_child_subreaper(Some(getpid())).unwrap();
    let own = our_pid();
    assert_ne!(rustix::thread::gettid(), getpid(), "the driver is not the main thread");
    let orphans = || Reader::default().children_of_thread(own, own).unwrap();

    let (main, daemon) = start("(setsid sh -c 'echo $$; kill -STOP $$' & ); env -i sleep 1000 &");
    let (nested, grandchild) =
        start("(setsid sh -c 'env -i setsid sh -c \"echo \\$\\$; exec sleep 1000\" & wait' & )");
    main.wait();
    nested.wait();
    assert!(orphans().contains(&daemon), "the kernel gives them to the main thread");
    assert!(!orphans().contains(&main.pid()), "runs are children of the thread that spawned them");

    let found = look(&[&main, &nested], true);
    assert!(found.contains(&(0, daemon)) && found.contains(&(1, grandchild)), "{found:?}");
    assert_eq!(found.len(), 4, "the other child, and the parent of the grandchild: {found:?}");
    assert_eq!(found, look(&[&main, &nested], false), "a walk over everything finds the same");

    let runs = [main.run(), nested.run()];
    for (_, leftover) in leftovers(&runs, |_| false, true).held {
        leftover.kill();
        end_of(leftover.pid());
    }
    assert!(orphans().contains(&daemon), "dead, but not reaped");
    reap_orphans(|pid| pid == main.pid() || pid == nested.pid());
    // The grandchild may have come to us only now.
    reap_orphans(|pid| pid == main.pid() || pid == nested.pid());
    assert_eq!(orphans(), [0; 0]);
    assert_eq!(main.process().exit(), Some(crate::Exit::Code(0)), "runs are left to the driver");
}

//! The command line from end to end: real supervisors, real components, real signals.
//!
//! Nothing here waits by sleeping. Commands return when what they were asked for has happened; where no command waits,
//! a component rings a bell (it writes a line into a FIFO), or the kernel tells (inotify, the end of a process).
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
mod house;

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use house::{House, PROGRAM, code, kill, server, stand_in, stderr, stdout};
use rustix::process::Signal;

/// Three stand-ins, each up at once.
fn three() -> String {
    ["is", "svg", "ps"].map(|id| stand_in(id, "", "")).concat()
}

#[test]
fn three_components_run_are_shown_restart_and_stop() {
    let house = House::with(&three());
    let mut run = house.run();
    let first = house.pids_of(["is", "svg", "ps"]);

    let status = house.s7(&["status"]);
    assert_eq!(code(&status), 0);
    let text = stdout(&status);
    let ids: Vec<_> = text.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(ids, ["is", "svg", "ps"]);
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");

    assert_eq!(code(&house.s7(&["restart", "ps"])), 0);
    let second = house.pids_of(["is", "svg", "ps"]);
    assert_eq!(second[..2], first[..2]);
    assert_ne!(second[2], first[2]);

    assert_eq!(code(&house.s7(&["stop"])), 0);
    assert_eq!(house.wait(&mut run), Some(0));
    house.assert_nothing_lives();
    assert!(!house.path("temp/s7supervisor.pid").exists());
    assert!(!house.path("temp/s7supervisor.sock").exists());
}

#[test]
fn the_supervisor_takes_all_descriptors_that_it_may_and_its_components_have_what_was_before() {
    let tell = |id: &str| {
        format!(
            "echo {id}-soft $(ulimit -Sn) &gt; BELL; echo {id}-hard $(ulimit -Hn) &gt; BELL; exec sleep 1000"
        )
    };
    let own = r#"<limits><limit name="nofile" soft="70" hard="80"/></limits>"#;
    let house = House::with(
        &[("plain", ""), ("own", own)].map(|(id, limits)| server(id, &tell(id), limits)).concat(),
    );
    let script = "ulimit -Sn 200; ulimit -Hn 600; exec \"$0\" start";
    let started = house.command("/bin/sh").args(["-c", script, PROGRAM]).output().unwrap();
    assert_eq!(code(&started), 0, "{}", stderr(&started));
    let told = ["plain-soft", "plain-hard", "own-soft", "own-hard"].map(|name| house.bell(name));
    assert_eq!(told, [200, 600, 70, 80]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", house.supervisor_pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>()[3..5], ["600", "600"]);
}

#[test]
fn a_stopped_component_stays_down_until_it_is_started() {
    let house = House::with(&three());
    house.start();
    assert_eq!(code(&house.s7(&["stop", "ps"])), 0);
    assert_eq!(code(&house.s7(&["status", "ps"])), 3);
    assert_eq!(code(&house.s7(&["status"])), 0, "what is not wanted does not count");
    assert_eq!(code(&house.s7(&["stop", "ps"])), 0, "it is so already");
    assert_eq!(code(&house.s7(&["start", "ps"])), 0);
    assert_eq!(code(&house.s7(&["status", "ps"])), 0);
}

#[test]
fn what_crashes_comes_back() {
    let house = House::with(&stand_in("ps", "", "<restart delay=\"0\" resetAfter=\"0\"/>"));
    house.start();
    let first = house.bell("ps");
    house::kill(first, Signal::KILL);
    let second = house.bell("ps");
    assert_ne!(first, second);
    assert_eq!(code(&house.s7(&["start", "ps"])), 0);
    let status = house.json(&["status", "ps", "--json"]);
    let component = &status["components"][0];
    assert_eq!(component["pid"], second);
    assert_eq!(component["restarts"], 1);
    assert_eq!(component["lastExit"]["signal"], "KILL");
}

#[test]
fn a_second_supervisor_is_refused_and_told_of_the_first() {
    let house = House::with(&three());
    house.start();
    let pid = house.supervisor_pid();
    let second = house.s7(&["run"]);
    assert_eq!(code(&second), 1);
    assert!(stderr(&second).contains(&format!("pid {pid}")), "{}", stderr(&second));
    assert!(stderr(&second).contains(house.registry().to_str().unwrap()));

    // Another temp folder, but the same log.
    let third = house.s7(&["run", "--temp", house.path("other").to_str().unwrap()]);
    assert_eq!(code(&third), 1);
    assert!(stderr(&third).contains(".Supervisor.log.lock"), "{}", stderr(&third));
    assert_eq!(house.supervisor_pid(), pid);
    assert_eq!(code(&house.s7(&["status"])), 0);
}

/// Stops the supervisor with SIGTERM; it must end in order, soon, and leave nothing.
fn stops_in_order(house: &House, mut run: std::process::Child) {
    let since = Instant::now();
    house::kill(run.id(), Signal::TERM);
    assert_eq!(house.wait(&mut run), Some(0));
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    house.assert_nothing_lives();
}

#[test]
fn a_stop_while_a_component_is_starting_leaves_nothing() {
    let house = House::with(&stand_in("slow", "", "<startDelay>3600</startDelay>"));
    let run = house.run();
    house.bell("slow");
    assert_eq!(code(&house.s7(&["status"])), 150);
    stops_in_order(&house, run);
}

#[test]
fn a_stop_while_a_component_backs_off_leaves_nothing() {
    let elements = "<startDelay>60</startDelay><restart delay=\"3600\" maxDelay=\"3600\"/>";
    let house = House::with(&stand_in("bad", "--crash-after 0", elements));
    let run = house.run();
    house.bell("bad");
    // It may have failed before, or fails now; either way it backs off once this has failed.
    assert_eq!(code(&house.s7(&["start", "bad"])), 1);
    house.until(|| stdout(&house.s7(&["status"])).contains("backoff"));
    assert_eq!(code(&house.s7(&["status"])), 150);
    stops_in_order(&house, run);
}

#[test]
fn what_ignores_the_stop_signal_is_killed_after_its_timeout() {
    let house = House::with(&stand_in("deaf", "--ignore-stop", "<stopTimeout>0.5</stopTimeout>"));
    let run = house.run();
    house.bell("deaf");
    stops_in_order(&house, run);
}

#[test]
fn what_hides_whose_it_is_ends_with_the_supervisor_at_the_latest() {
    // Of a session of its own, with an empty environment, and its parents have ended.
    let hides = r#"(env -i setsid sh -c 'echo hidden $$ >>BELL; exec sleep 10000' &amp;); exec sleep 10000"#;
    let house = House::with(&house::server("a", hides, ""));
    let mut run = house.run();
    let hidden = house.bell("hidden");
    let descriptor = rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(hidden.cast_signed()).unwrap(),
        rustix::process::PidfdFlags::empty(),
    );
    assert_eq!(code(&house.s7(&["stop"])), 0);
    assert_eq!(house.wait(&mut run), Some(0));
    // It was the supervisor's own child, which has reaped it.
    let gone = rustix::process::pidfd_send_signal(descriptor.unwrap(), Signal::KILL);
    assert_eq!(gone, Err(rustix::io::Errno::SRCH));
}

#[test]
fn children_that_slip_away_into_sessions_of_their_own_are_ended_too() {
    let arguments = "--fork-children 2 --new-session --ignore-stop";
    let house = House::with(&stand_in("daemon", arguments, "<stopTimeout>0.5</stopTimeout>"));
    let run = house.run();
    house.bell("daemon");
    // Its ready file comes after the children.
    house.until_exists("daemon.ready");
    assert_eq!(house.alive(), 3);
    stops_in_order(&house, run);
}

#[test]
fn a_second_signal_kills_what_is_left_and_the_exit_code_says_so() {
    let deaf = stand_in("deaf", "--ignore-stop", "<stopTimeout>3600</stopTimeout>");
    let house = House::with(&(deaf + &house::tells_its_end("herald")));
    let mut run = house.run();
    let (_, _) = (house.bell("deaf"), house.bell("herald"));
    house.until_exists("deaf.ready");
    house::kill(run.id(), Signal::INT);
    // The herald stops before the deaf one: the first signal has been heard.
    house.bell("herald-ends");
    house::kill(run.id(), Signal::INT);
    assert_eq!(house.wait(&mut run), Some(11));
    house.assert_nothing_lives();
}

#[test]
fn a_hang_up_without_a_terminal_is_ignored_and_usr1_brings_back_socket_and_log() {
    let house = House::with(&three());
    let mut run = house.run();
    house.pids_of(["is", "svg", "ps"]);
    house::kill(run.id(), Signal::HUP);

    let log = house.own_log();
    std::fs::rename(&log, house.path("moved")).unwrap();
    std::fs::remove_file(house.path("temp/s7supervisor.sock")).unwrap();
    assert_eq!(code(&house.s7(&["status"])), 4);
    house::kill(run.id(), Signal::USR1);
    house.until_exists("temp/s7supervisor.sock");
    house.until(|| code(&house.s7(&["status"])) == 0);
    house.until(|| log.exists());
    assert_eq!(code(&house.s7(&["stop"])), 0);
    assert_eq!(house.wait(&mut run), Some(0));
}

#[test]
fn the_supervisor_in_the_background_is_on_its_own() {
    let house = House::with(&three());
    let start = house.s7(&["start"]);
    assert_eq!(code(&start), 0, "{}", stderr(&start));
    let pid = house.supervisor_pid();
    assert_eq!(house::session_of(pid), pid);
    for number in 0..3 {
        let target = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
        assert_eq!(target.to_str(), Some("/dev/null"), "descriptor {number}");
    }
    let again = house.s7(&["start"]);
    assert_eq!(code(&again), 0);
    assert!(stderr(&again).contains("already running"));
    assert_eq!(house.supervisor_pid(), pid);

    let stop = house.s7(&["stop"]);
    assert_eq!(code(&stop), 0);
    assert!(stdout(&stop).contains("stopped"));
    // Whoever became its parent may not have reaped it yet; then it has no command line any more.
    let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    assert!(command_line.is_empty(), "stop waits for the process");
    house.assert_nothing_lives();
    let again = house.s7(&["stop"]);
    assert_eq!(code(&again), 0);
    assert!(stderr(&again).contains("not running"));
}

#[test]
fn the_background_keeps_none_of_the_descriptors_of_whoever_started_it() {
    let house = House::with(&three());
    let secret = house.path("descriptor");
    let script = format!("exec 7>{}; exec {PROGRAM} start", secret.display());
    let mut shell = house.command("/bin/sh");
    assert_eq!(code(&shell.args(["-c", &script]).output().unwrap()), 0);
    for pid in house.pids_of(["is", "svg", "ps"]).into_iter().chain([house.supervisor_pid()]) {
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
            let target = std::fs::read_link(entry.unwrap().path()).unwrap_or_default();
            assert_ne!(target, secret, "process {pid}");
        }
    }
}

#[test]
fn start_tells_which_component_did_not_start_and_why_and_the_supervisor_goes_on() {
    let missing = "<server id=\"bad\"><executable>/no/such/program</executable></server>";
    let house = House::with(&(three() + missing));
    let start = house.s7(&["start"]);
    assert_eq!(code(&start), 1);
    let told = stderr(&start);
    assert!(told.contains("bad did not start") && told.contains("/no/such/program"), "{told}");
    assert_eq!(code(&house.s7(&["status", "is"])), 0);
    assert_eq!(code(&house.s7(&["status", "bad"])), 150);
    let again = house.s7(&["start", "bad"]);
    assert_eq!(code(&again), 1);
}

#[test]
fn waiting_has_a_limit_where_one_is_given() {
    let house = House::with(&stand_in("slow", "", "<startDelay>3600</startDelay>"));
    let start = house.s7(&["start", "--timeout", "0.2"]);
    assert_eq!(code(&start), 151, "{}", stderr(&start));
    // Nobody has waited until it listens.
    house.until_it_answers();
    assert_eq!(code(&house.s7(&["start", "slow", "--timeout", "100ms"])), 151);
    assert_eq!(code(&house.s7(&["start", "slow", "--no-wait"])), 0);
    assert_eq!(code(&house.s7(&["status"])), 150);
    assert_eq!(code(&house.s7(&["stop"])), 0);
    assert_eq!(code(&house.s7(&["start", "--no-wait"])), 0);
    assert_eq!(code(&house.s7(&["status"])), 150);
}

#[test]
fn a_supervisor_that_does_not_answer_is_waited_for_no_longer_than_was_asked_for() {
    let house = House::with(&three());
    house.start();
    house::kill(house.supervisor_pid(), Signal::STOP);
    for arguments in [&["stop", "is", "--timeout", "0.2"][..], &["stop", "--timeout", "0.2"]] {
        let since = Instant::now();
        assert_eq!(code(&house.s7(arguments)), 151, "{arguments:?}");
        // Without a time limit, it is 10 s.
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    }
    house::kill(house.supervisor_pid(), Signal::CONT);
}

#[test]
fn of_many_starts_at_once_one_makes_the_supervisor_and_all_succeed() {
    let house = House::with(&three());
    for verb in ["start", "start", "restart"] {
        let spawn = || {
            let mut command = house.command(PROGRAM);
            command.arg(verb).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let all: Vec<_> = (0..if verb == "start" { 8 } else { 1 }).map(|_| spawn()).collect();
        for one in all {
            let one = one.wait_with_output().unwrap();
            assert_eq!(code(&one), 0, "{verb}: {}", stderr(&one));
        }
        assert_eq!(code(&house.s7(&["status"])), 0);
        assert_eq!(house.alive(), 3);
        if verb == "start" {
            assert_eq!(code(&house.s7(&["stop"])), 0);
        }
    }
}

#[test]
fn start_and_restart_without_id_leave_alone_what_nobody_wants() {
    let house = House::with(&(three() + &stand_in("spare", "", "<autostart>false</autostart>")));
    let run = house.run();
    let before = house.pids_of(["is", "svg", "ps"]);
    assert_eq!(code(&house.s7(&["stop", "ps"])), 0);
    assert_eq!(code(&house.s7(&["restart"])), 0);
    let state = |id: &str| house.json(&["status", id, "--json"])["components"][0]["state"].clone();
    assert_eq!((state("is"), state("ps"), state("spare")), ("up".into(), "stopped".into(), "stopped".into()));
    let start = house.json(&["start", "--json"]);
    let results: Vec<_> = start["components"].as_array().unwrap().iter().map(|it| &it["result"]).collect();
    assert_eq!(results, ["already", "already", "done"], "{start}");
    assert_eq!((state("ps"), state("spare")), ("up".into(), "stopped".into()));
    assert!(house.pids_of(["is"]).iter().all(|pid| !before.contains(pid)));
    stops_in_order(&house, run);
}

#[test]
fn with_json_start_stop_and_restart_answer_with_one_document() {
    let house = House::with(&three());
    for arguments in [&["start"][..], &["restart", "ps"], &["restart"], &["stop", "is"], &["stop"], &["stop"]]
    {
        let document = house.json(&[arguments, &["--json"]].concat());
        assert_eq!(document["finished"], true, "{arguments:?}: {document}");
        assert!(document["components"].is_array(), "{arguments:?}: {document}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let house = House::with(&three());
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let show = house.command(PROGRAM).arg("show").stdout(full).output().unwrap();
    assert_eq!(code(&show), 1);
    assert!(stderr(&show).contains("cannot write"), "{}", stderr(&show));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let house = House::with(&three());
    let mut check = house.command(PROGRAM);
    check.arg("check").envs([("S7_REGISTRY", ""), ("S7_TEMP", ""), ("S7_INSTALL_FOLDER", "")]);
    let check = check.output().unwrap();
    assert_eq!(code(&check), 0, "{}", stderr(&check));
}

#[test]
fn a_stop_that_takes_longer_than_anybody_waits_goes_on_all_the_same() {
    // Each of a supervisor of its own: a stop that is asked for again after a second waits no longer.
    for stop in [&["stop", "deaf"][..], &["stop"]] {
        let house = House::with(&stand_in("deaf", "--ignore-stop", "<stopTimeout>2</stopTimeout>"));
        let mut run = house.run();
        house.until_exists("deaf.ready");
        assert_eq!(code(&house.s7(&[stop, &["--timeout", "0.1"]].concat())), 151, "{stop:?}");
        house.until(|| house.alive() == 0);
        house.s7(&["stop"]);
        assert_eq!(house.wait(&mut run), Some(0), "{stop:?}");
    }
}

#[test]
fn restart_replaces_a_supervisor_in_the_background_and_takes_up_the_changed_registry() {
    let house = House::with(&three());
    assert_eq!(code(&house.s7(&["restart"])), 0, "not running: it starts");
    let first = house.supervisor_pid();
    house.write_registry(&stand_in("other", "", ""));
    assert_eq!(code(&house.s7(&["restart"])), 0);
    assert_ne!(house.supervisor_pid(), first);
    let status = house.json(&["status", "--json"]);
    assert_eq!(status["components"].as_array().unwrap().len(), 1);
    assert_eq!(status["components"][0]["id"], "other");
}

#[test]
fn restart_leaves_a_supervisor_in_the_foreground_where_it_is() {
    let house = House::with(&three());
    let run = house.run();
    let before = house.pids_of(["is", "svg", "ps"]);
    assert_eq!(code(&house.s7(&["restart"])), 0);
    assert_eq!(house.supervisor_pid(), run.id());
    let after = house.pids_of(["is", "svg", "ps"]);
    assert!(before.iter().all(|pid| !after.contains(pid)));
    stops_in_order(&house, run);
}

#[test]
fn a_registry_that_an_edit_has_broken_disables_neither_status_nor_stop_and_touches_nothing() {
    let house = House::with(&three());
    house.start();
    let pid = house.supervisor_pid();
    house.write_registry("<server id=\"is\"><startDelay>five</startDelay></server><nonsense>");
    assert_eq!(code(&house.s7(&["check"])), 2);
    let restart = house.s7(&["restart"]);
    assert_eq!(code(&restart), 2);
    assert_eq!(house.supervisor_pid(), pid);
    assert_eq!(code(&house.s7(&["status"])), 0);
    assert_eq!(code(&house.s7(&["restart", "ps"])), 0);
    assert_eq!(code(&house.s7(&["stop"])), 0);
    house.assert_nothing_lives();
    assert_eq!(code(&house.s7(&["start"])), 2);
    assert_eq!(code(&house.s7(&["run"])), 2);
}

#[test]
fn an_unknown_id_fails_before_anything_is_touched() {
    let house = House::with(&three());
    house.start();
    let before = house.pids_of(["is", "svg", "ps"]);
    for verb in ["start", "stop", "restart"] {
        let asked = house.s7(&[verb, "svg", "iss"]);
        assert_eq!(code(&asked), 2, "{verb}");
        assert!(stderr(&asked).contains("\"is\""), "{verb}: {}", stderr(&asked));
        assert_eq!(
            (stdout(&asked).as_str(), stderr(&asked).lines().count()),
            ("", 1),
            "it is all that is said"
        );
    }
    assert_eq!(code(&house.s7(&["status", "iss"])), 4);
    assert_eq!(house.pids_of(["is", "svg", "ps"]), before);
}

#[test]
fn without_a_supervisor_commands_say_so_by_their_exit_codes() {
    let house = House::with(&three());
    for (arguments, expected) in [
        (&["status"][..], 3),
        (&["start", "ps"], 7),
        (&["stop", "ps"], 7),
        (&["restart", "ps"], 7),
        (&["stop"], 0),
    ] {
        assert_eq!(code(&house.s7(arguments)), expected, "{arguments:?}");
    }
    let status = house.json(&["status", "--json"]);
    assert_eq!(status, serde_json::json!({"supervisor": null, "components": []}));
}

#[test]
fn wrong_arguments_and_commands_that_do_not_exist_end_with_2() {
    let house = House::with(&three());
    for arguments in [
        &["frobnicate"][..],
        &["run", "--nonsense"],
        &["upgrade", "a", "b"],
        &["start", "--timeout", "x"],
        &[],
    ] {
        assert_eq!(code(&house.s7(arguments)), 2, "{arguments:?}");
    }
    let nowhere = house.path("nowhere");
    std::fs::create_dir(&nowhere).unwrap();
    let lost = house.command(PROGRAM).arg("check").current_dir(nowhere).output().unwrap();
    assert_eq!(code(&lost), 2);
    assert!(stderr(&lost).contains("S7_REGISTRY"));
}

#[test]
fn check_and_show_tell_what_will_be_run_and_keep_secrets() {
    let secret = "<environment><variable name=\"TOKEN\" secret=\"true\">hunter2</variable></environment>";
    let house = House::with(&stand_in("ps", "", secret));
    let check = house.s7(&["check"]);
    assert_eq!(code(&check), 0);
    assert!(stdout(&check).contains("ps (priority 1): /bin/sh -c"), "{}", stdout(&check));
    let check = house.json(&["check", "--json"]);
    assert_eq!(check["valid"], true);

    for arguments in [&["show"][..], &["show", "ps"], &["show", "--json"]] {
        let show = house.s7(arguments);
        assert_eq!(code(&show), 0);
        assert!(stdout(&show).contains("TOKEN"));
        assert!(!stdout(&show).contains("hunter2"), "{}", stdout(&show));
    }
    assert_eq!(code(&house.s7(&["show", "nobody"])), 2);

    house.write_registry("<server id=\"ps\"><startDelay>five</startDelay></server>");
    let check = house.json(&["check", "--json"]);
    assert_eq!(check["valid"], false);
    assert!(check["problems"].as_array().unwrap().iter().all(|problem| problem["line"].is_u64()));
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_what_to_do() {
    let house = House::with(&three());
    let shared = house.path("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    for (temp, fact) in [(shared, "--temp"), (house.path("no/such/temp"), "--temp")] {
        for verb in ["run", "start"] {
            let refused = house.s7(&[verb, "--temp", temp.to_str().unwrap()]);
            assert_eq!(code(&refused), 1, "{verb}");
            assert!(stderr(&refused).contains(fact) && stderr(&refused).contains(temp.to_str().unwrap()));
        }
    }
    house.assert_nothing_lives();
}

#[test]
fn another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can become another user.
    }
    let house = House::with(&three());
    house.start();
    house.open_to_everybody();
    let program = house.write_executable("s7supervisor", &std::fs::read(PROGRAM).unwrap());
    let refuses = || {
        for arguments in [&["status"][..], &["stop"], &["restart"], &["start"], &["stop", "ps"]] {
            let mut command = house.command(&program);
            let refused = command.args(arguments).uid(65534).gid(65534).output().unwrap();
            assert_eq!(code(&refused), 4, "{arguments:?}: {}", stderr(&refused));
            assert!(stderr(&refused).contains("no permission"), "{arguments:?}: {}", stderr(&refused));
        }
    };
    refuses();
    // The supervisor itself refuses those whom no file permission keeps out.
    for (name, mode) in [("temp", 0o755), ("temp/s7supervisor.sock", 0o666)] {
        std::fs::set_permissions(house.path(name), std::os::unix::fs::PermissionsExt::from_mode(mode))
            .unwrap();
    }
    refuses();
    assert_eq!(code(&house.s7(&["status"])), 0);
}

#[test]
fn the_documented_registry_is_valid_as_it_stands() {
    let registry =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/image-serving/conf/SupervisorRegistry.xml");
    let check = Command::new(PROGRAM).args(["check", registry]).output().unwrap();
    assert_eq!(code(&check), 0, "{}", stderr(&check));
    let show = Command::new(PROGRAM).args(["show", registry, "--json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
    let listens = ["27345", "27346", "8080"];
    for (component, port) in document["components"].as_array().unwrap().iter().zip(listens) {
        let arguments = component["arguments"].as_array().unwrap();
        assert!(arguments.iter().any(|argument| argument == port), "{component}");
    }
}

#[test]
fn a_supervisor_whose_socket_was_removed_is_said_to_run_and_to_be_unheard() {
    let house = House::with(&stand_in("ps", "", ""));
    house.start();
    let pid = house.supervisor_pid();
    let socket = house.path("temp/s7supervisor.sock");
    std::fs::remove_file(&socket).unwrap();
    for (arguments, expected) in
        [(&["status"][..], 4), (&["stop"], 1), (&["stop", "ps"], 1), (&["restart"], 1), (&["why", "ps"], 1)]
    {
        let asked = house.s7(arguments);
        assert_eq!(code(&asked), expected, "{arguments:?}: {}", stderr(&asked));
        assert!(stderr(&asked).contains(&format!("kill -USR1 {pid}")), "{arguments:?}: {}", stderr(&asked));
    }
    kill(pid, Signal::USR1);
    house.until_exists("temp/s7supervisor.sock");
    assert_eq!(code(&house.s7(&["status"])), 0);
    assert_eq!(code(&house.s7(&["stop"])), 0);
    assert_eq!(code(&house.s7(&["status"])), 3);
}

#[test]
fn a_start_finds_a_supervisor_that_begins_or_ends_meanwhile_without_looking_again_and_again() {
    let house = House::with(&stand_in("ps", "--slow-stop 0.3", ""));
    house.start();
    let first = house.supervisor_pid();
    assert_eq!(code(&house.s7(&["stop", "--no-wait"])), 0);
    // It is still ending: another one takes its place as soon as it has.
    let started = house.s7(&["start"]);
    assert_eq!(code(&started), 0, "{}", stderr(&started));
    assert_ne!(house.supervisor_pid(), first);
    assert_eq!(code(&house.s7(&["stop"])), 0);

    let start = || {
        let mut command = house.command(PROGRAM);
        let command = command.arg("start").stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let mut racing: Vec<_> = (0..4).map(|_| start()).collect();
    for one in &mut racing {
        assert_eq!(house.wait(one), Some(0));
    }
    assert_eq!(house.alive(), 1);
}

#[test]
fn with_exit_when_done_it_ends_when_nothing_will_run_again_and_says_whether_all_succeeded() {
    let job = |id: &str, script: &str| server(id, script, "<restart policy=\"never\"/>");
    for (script, expected) in [("exit 0", 0), ("exit 3", 10)] {
        let house = House::with(&(job("a", "exit 0") + &job("b", script)));
        let run =
            house.command(PROGRAM).args(["run", "--exit-when-done"]).arg(house.registry()).output().unwrap();
        assert_eq!(code(&run), expected, "{}", stderr(&run));
        assert_eq!(stderr(&run).contains("not done their work: b"), expected == 10, "{}", stderr(&run));
    }
}

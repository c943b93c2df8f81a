//! What single components are asked for, from end to end: reset, reload, signal, wait, and stopping and starting with
//! whom they need.
//!
//! As in `command_line.rs`, nothing waits by sleeping.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
#[expect(dead_code, reason = "the other tests of the command line need more of it")]
mod house;

use std::process::{Command, Stdio};

use house::{House, PROGRAM, code, server, stand_in, stderr, stdout};
use serde_json::Value;

/// A component that rings the bell with `ID-SIGNAL` for each of these signals, and with its id once it will do so.
fn hears(id: &str, signals: &[&str], elements: &str) -> String {
    let traps = signals.iter().map(|signal| format!("trap 'echo {id}-{signal} $$ &gt; BELL' {signal}; "));
    let traps: String = traps.collect();
    server(id, &format!("{traps}echo {id} $$ &gt; BELL; while :; do sleep 3600 &amp; wait; done"), elements)
}

/// A component that fails at each start until the file `ID.mended` is there, and is given up at once. It says itself that it
/// is ready: to run for some time is no sign of that, where a shell may take longer to fail.
fn fails_until_mended(id: &str, elements: &str) -> String {
    let script = format!(
        "[ -e FOLDER/{id}.mended ] || exit 3; echo &gt;&amp;9; \
         exec \"$0\" stand-in --name FOLDER/{id} --ready-file FOLDER/{id}.ready"
    );
    let ready = "<readiness timeout=\"60s\"><notifyFd>9</notifyFd></readiness>";
    server(id, &script, &format!("{ready}<restart policy=\"never\"/>{elements}"))
}

fn depends_on(id: &str) -> String {
    format!("<dependsOn ref=\"{id}\"/>")
}

/// Two, the second of which needs the first.
fn a_pair() -> String {
    stand_in("is", "", "") + &stand_in("ps", "", &depends_on("is"))
}

fn component(house: &House, id: &str) -> Value {
    house.json(&["status", id, "--json"])["components"][0].clone()
}

/// Starts the supervisor, whatever comes of its components.
fn start_anyhow(house: &House) {
    let started = house.s7(&["start", "--no-wait"]);
    assert_eq!(code(&started), 0, "{}", stderr(&started));
}

#[test]
fn a_signal_reaches_the_main_process_and_each_of_several() {
    let house = House::with(&(hears("a", &["USR1", "HUP"], "") + &hears("b", &["USR1"], "")));
    house.start();
    let (a, b) = (house.bell("a"), house.bell("b"));
    let sent = house.s7(&["signal", "usr1", "?"]);
    assert_eq!(code(&sent), 0, "{}", stderr(&sent));
    assert_eq!(stdout(&sent), "a: sent SIGUSR1\nb: sent SIGUSR1\n");
    assert_eq!((house.bell("a-USR1"), house.bell("b-USR1")), (a, b));

    assert_eq!(code(&house.s7(&["signal", "1", "a"])), 0);
    assert_eq!(house.bell("a-HUP"), a);
}

#[test]
fn a_signal_that_does_not_exist_or_finds_nobody_is_refused_and_says_so() {
    let house = House::with(&(stand_in("ps", "", "") + &stand_in("off", "", "<autostart>false</autostart>")));
    house.start();
    let unknown = house.s7(&["signal", "FOO", "ps"]);
    assert_eq!(code(&unknown), 2);
    assert!(stderr(&unknown).contains("FOO"), "{}", stderr(&unknown));
    assert_eq!(code(&house.s7(&["signal", "HUP", "pss"])), 2);
    assert_eq!(code(&house.s7(&["signal", "HUP"])), 2);
    let nobody = house.s7(&["signal", "HUP", "off"]);
    assert_eq!(code(&nobody), 1);
    assert!(stderr(&nobody).contains("off: ") && stdout(&nobody).is_empty(), "{}", stderr(&nobody));
    assert_eq!(house.json(&["signal", "HUP", "off", "--json"])["components"][0]["result"], "notRunning");
}

#[test]
fn a_reload_does_what_the_component_says() {
    let by_signal = hears("a", &["HUP"], "<reload><signal name=\"HUP\"/></reload>");
    let script = "echo b-reloads $S7_PID &gt; BELL";
    let exec = format!("<argument>/bin/sh</argument><argument>-c</argument><argument>{script}</argument>");
    let by_command = hears("b", &[], &format!("<reload><exec timeout=\"60s\">{exec}</exec></reload>"));
    let house = House::with(&(by_signal + &by_command));
    house.start();
    let (a, b) = (house.bell("a"), house.bell("b"));
    let reloaded = house.s7(&["reload", "a", "b"]);
    assert_eq!(code(&reloaded), 0, "{}", stderr(&reloaded));
    assert_eq!(stdout(&reloaded), "a: reloaded\nb: reloaded\n");
    assert_eq!((house.bell("a-HUP"), house.bell("b-reloads")), (a, b));
}

#[test]
fn a_reload_that_fails_or_cannot_be_is_told_with_its_reason() {
    let exec = "<argument>/bin/sh</argument><argument>-c</argument><argument>exit 5</argument>";
    let fails = stand_in("bad", "", &format!("<reload><exec timeout=\"60s\">{exec}</exec></reload>"));
    let house = House::with(&(fails + &stand_in("ps", "", "")));
    house.start();
    let failed = house.s7(&["reload", "bad"]);
    assert_eq!(code(&failed), 1);
    assert!(stderr(&failed).contains("exit code 5"), "{}", stderr(&failed));
    let none = house.s7(&["reload", "ps"]);
    assert_eq!(code(&none), 1);
    assert!(stderr(&none).contains("ps has no <reload>"), "{}", stderr(&none));
    assert_eq!(code(&house.s7(&["stop", "bad"])), 0);
    assert_eq!(code(&house.s7(&["reload", "bad"])), 1, "nobody is there to be told");
}

#[test]
fn a_reset_forgets_a_failure_and_starts_nothing() {
    let house = House::with(&fails_until_mended("bad", ""));
    start_anyhow(&house);
    house.until(|| code(&house.s7(&["status", "bad"])) == 1);
    let reset = house.s7(&["reset", "bad"]);
    assert_eq!((code(&reset), stdout(&reset).as_str()), (0, "bad: reset\n"), "{}", stderr(&reset));
    assert_eq!(component(&house, "bad")["state"], "stopped");
    let again = house.s7(&["reset", "bad"]);
    assert_eq!((code(&again), stdout(&again).as_str()), (0, "bad: there was nothing to forget\n"));

    std::fs::write(house.path("bad.mended"), "").unwrap();
    assert_eq!(code(&house.s7(&["start", "bad"])), 0);
}

#[test]
fn wait_returns_when_it_is_so_and_says_what_it_waits_for() {
    let script = "echo a $$ &gt; BELL; until [ -e FOLDER/a.mended ]; do sleep 0.05; done; exec sleep 3600";
    let probe =
        "<argument>/usr/bin/test</argument><argument>-e</argument><argument>FOLDER/a.mended</argument>";
    let ready = format!("<readiness timeout=\"60s\"><exec>{probe}</exec></readiness>");
    let house = House::with(&server("a", script, &ready));
    start_anyhow(&house);
    house.bell("a");
    let in_vain = house.s7(&["wait", "a", "--timeout", "0.2"]);
    assert_eq!(code(&in_vain), 151);
    assert!(stderr(&in_vain).contains("waiting for a to be ready"), "{}", stderr(&in_vain));

    let mut wait = house.command(PROGRAM);
    let wait = wait
        .args(["wait", "a", "--timeout", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::fs::write(house.path("a.mended"), "").unwrap();
    let waited = wait.wait_with_output().unwrap();
    assert_eq!((code(&waited), stdout(&waited).as_str()), (0, "a: ready\n"), "{}", stderr(&waited));
    assert_eq!(component(&house, "a")["state"], "up");
    assert_eq!(code(&house.s7(&["wait", "a", "--for", "started"])), 0, "it is so already");
}

#[test]
fn wait_for_stopped_returns_when_nothing_is_left() {
    let house = House::with(&stand_in("ps", "--slow-stop 0.3", ""));
    house.start();
    assert_eq!(code(&house.s7(&["wait", "ps", "--for", "stopped", "--timeout", "0.1"])), 151);
    let mut wait = house.command(PROGRAM);
    let wait = wait.args(["wait", "ps", "--for", "stopped", "--timeout", "60", "--json"]);
    let wait = wait.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(code(&house.s7(&["stop", "ps", "--no-wait"])), 0);
    let waited = wait.wait_with_output().unwrap();
    assert_eq!(code(&waited), 0, "{}", stderr(&waited));
    let document: Value = serde_json::from_slice(&waited.stdout).unwrap();
    assert_eq!((&document["finished"], &document["components"][0]["id"]), (&true.into(), &"ps".into()));
    assert_eq!(house.alive(), 0);
}

#[test]
fn wait_waits_also_for_what_was_given_up_because_somebody_may_start_it() {
    let house = House::with(&fails_until_mended("bad", ""));
    start_anyhow(&house);
    house.until(|| code(&house.s7(&["status", "bad"])) == 1);
    assert_eq!(code(&house.s7(&["wait", "bad", "--timeout", "0.2"])), 151);
    let mut wait = house.command(PROGRAM);
    let wait = wait
        .args(["wait", "bad", "--timeout", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::fs::write(house.path("bad.mended"), "").unwrap();
    assert_eq!(code(&house.s7(&["start", "bad"])), 0);
    let waited = wait.wait_with_output().unwrap();
    assert_eq!((code(&waited), stdout(&waited).as_str()), (0, "bad: ready\n"), "{}", stderr(&waited));
}

#[test]
fn those_who_go_away_while_they_wait_leave_no_request_behind() {
    let house = House::with(&stand_in("slow", "", "<startDelay>3600</startDelay>"));
    start_anyhow(&house);
    // More than may be open at once, were they to stay open; eight at a time.
    for _ in 0..140 {
        let wait = || {
            let mut command = house.command(PROGRAM);
            let command = command.args(["wait", "slow", "--timeout", "0.01"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        for mut one in (0..8).map(|_| wait()).collect::<Vec<_>>() {
            assert_eq!(house.wait(&mut one), Some(151));
        }
    }
    assert_eq!(code(&house.s7(&["stop", "slow"])), 0);
}

#[test]
fn a_stop_is_refused_with_the_names_of_running_dependants() {
    let house = House::with(&a_pair());
    house.start();
    let before = house.pids_of(["is", "ps"]);
    let refused = house.s7(&["stop", "is"]);
    assert_eq!(code(&refused), 1);
    let told = stderr(&refused);
    for fact in ["ps runs and depends on is", "--with-dependants", "--only"] {
        assert!(told.contains(fact), "{fact} in {told}");
    }
    assert_eq!(house.pids_of(["is", "ps"]), before);

    assert_eq!(code(&house.s7(&["stop", "ps"])), 0);
    assert_eq!(code(&house.s7(&["stop", "is"])), 0, "nobody needs it any more");
}

#[test]
fn a_stop_takes_its_dependants_with_it_where_told_so() {
    let house = House::with(&a_pair());
    house.start();
    let stopped = house.s7(&["stop", "is", "--with-dependants"]);
    assert_eq!(code(&stopped), 0, "{}", stderr(&stopped));
    let told = stdout(&stopped);
    assert!(told.contains("is: stopped\n") && told.contains("ps: stopped too"), "{told}");
    assert_eq!(house.alive(), 0);
    assert_eq!(component(&house, "ps")["wanted"], false);
}

#[test]
fn a_stop_leaves_its_dependants_alone_where_told_so() {
    let house = House::with(&a_pair());
    house.start();
    let before = house.pids_of(["ps"]);
    let stopped = house.s7(&["stop", "is", "--only"]);
    assert_eq!((code(&stopped), stdout(&stopped).as_str()), (0, "is: stopped\n"), "{}", stderr(&stopped));
    assert_eq!((component(&house, "is")["state"].clone(), house.alive()), ("stopped".into(), 1));
    assert_eq!(component(&house, "ps")["pid"], before[0]);
}

#[test]
fn a_start_says_whom_else_it_started() {
    let house = House::with(&a_pair());
    house.start();
    assert_eq!(code(&house.s7(&["stop", "is", "ps"])), 0);
    let started = house.s7(&["start", "ps"]);
    assert_eq!(code(&started), 0, "{}", stderr(&started));
    let told = stdout(&started);
    assert!(told.contains("is: started too") && told.contains("ps: started\n"), "{told}");
    assert_eq!(house.alive(), 2);
    let again = house.s7(&["start", "ps"]);
    assert_eq!(stdout(&again), "ps: already up\n");
}

#[test]
fn a_start_ends_with_1_at_the_first_that_fails_and_says_that_the_others_go_on() {
    let slow = stand_in("slow", "", "<autostart>false</autostart><startDelay>3600</startDelay>");
    let house = House::with(&(fails_until_mended("bad", "<autostart>false</autostart>") + &slow));
    house.start();
    let started = house.s7(&["start", "bad", "slow"]);
    assert_eq!(code(&started), 1);
    let told = stderr(&started);
    assert!(
        told.contains("bad: did not start: exit code 3") && told.contains("slow: its start goes on"),
        "{told}"
    );
    assert_eq!(component(&house, "slow")["state"], "starting");
}

#[test]
fn what_is_blocked_says_by_whom_and_why() {
    let house = House::with(&(fails_until_mended("is", "") + &stand_in("ps", "", &depends_on("is"))));
    start_anyhow(&house);
    house.until(|| code(&house.s7(&["status", "is"])) == 1);
    house.until(|| component(&house, "ps")["waitingForState"] == "failed");
    let ps = component(&house, "ps");
    assert_eq!((&ps["state"], &ps["waitingFor"]), (&"waiting".into(), &"is".into()), "{ps}");
    assert_eq!(ps["detail"], "waiting for is: failed");
    assert_eq!(code(&house.s7(&["status", "ps"])), 150);

    // Asked again, `is` is tried again; it fails again.
    let started = house.s7(&["start", "ps"]);
    assert_eq!(code(&started), 1);
    let told = stderr(&started);
    assert!(told.contains("ps waits for is: ") && told.contains("is: did not start: exit code 3"), "{told}");

    std::fs::write(house.path("is.mended"), "").unwrap();
    assert_eq!(code(&house.s7(&["start", "ps"])), 0);
}

#[test]
fn what_trips_is_shown_with_its_next_try_and_counts_as_dead() {
    let script = "echo bad $$ &gt; BELL; exit 3";
    let elements = "<restart delay=\"0\" maxDelay=\"0.01s\" max=\"2\" within=\"60s\" retryAfter=\"1h\"/>";
    let house = House::with(&server("bad", script, elements));
    start_anyhow(&house);
    house.until(|| component(&house, "bad")["state"] == "tripped");
    let bad = component(&house, "bad");
    assert!(bad["detail"].as_str().unwrap().starts_with("tripped, next try "), "{bad}");
    assert!(bad["nextTry"].as_f64().unwrap() > 3000.0, "{bad}");
    assert_eq!(code(&house.s7(&["status"])), 1);
    assert_eq!(code(&house.s7(&["reset", "bad"])), 0);
    assert_ne!(component(&house, "bad")["state"], "tripped");
}

#[test]
fn an_essential_component_that_is_given_up_ends_everything_and_is_named() {
    let house = House::with("");
    let essential = "<startDelay>60</startDelay><restart policy=\"never\"/><essential>true</essential>";
    let servers = stand_in("ps", "", "") + &server("heart", "exit 3", essential);
    house.write_registry_with("<onGiveUp>shutdown</onGiveUp>", &servers);
    let run = house.command(PROGRAM).arg("run").output().unwrap();
    assert_eq!(code(&run), 10, "{}", stderr(&run));
    assert!(stderr(&run).contains("heart"), "{}", stderr(&run));
    house.assert_nothing_lives();

    // In the background `start` says so.
    let start = house.s7(&["start"]);
    assert_eq!(code(&start), 1);
    assert!(stderr(&start).contains("heart"), "{}", stderr(&start));
}

#[test]
fn a_stop_that_is_asked_for_again_does_not_wait_for_the_timeout() {
    let house = House::with(&stand_in("deaf", "--ignore-stop", "<stopTimeout>3600</stopTimeout>"));
    for stop in [&["stop", "deaf"][..], &["stop"]] {
        assert_eq!(code(&house.s7(&["start"])), 0);
        house.until_exists("deaf.ready");
        assert_eq!(code(&house.s7(&[stop, &["--timeout", "1.2"]].concat())), 151, "{stop:?}");
        let again = house.s7(&[stop, &["--timeout", "60"]].concat());
        assert_eq!(code(&again), 0, "{stop:?}: {}", stderr(&again));
        house.assert_nothing_lives();
        std::fs::remove_file(house.path("deaf.ready")).unwrap();
    }
}

#[test]
fn without_a_supervisor_there_is_nobody_to_ask() {
    let house = House::with(&stand_in("ps", "", ""));
    for arguments in [&["reset", "ps"][..], &["reload", "ps"], &["signal", "HUP", "ps"], &["wait", "ps"]] {
        assert_eq!(code(&house.s7(arguments)), 7, "{arguments:?}");
    }
    for arguments in [&["reset"][..], &["wait"], &["stop", "--only"], &["wait", "ps", "--for", "happy"]] {
        assert_eq!(code(&house.s7(arguments)), 2, "{arguments:?}");
    }
}

#[test]
fn an_unknown_id_is_refused_by_every_verb() {
    let house = House::with(&stand_in("image-server", "", ""));
    house.start();
    for verb in [&["reset"][..], &["reload"], &["signal", "KILL"], &["wait"]] {
        let asked = Command::output(house.command(PROGRAM).args(verb).args(["image-server", "image-sever"]));
        let asked = asked.unwrap();
        assert_eq!(code(&asked), 2, "{verb:?}");
        assert!(stderr(&asked).contains("\"image-server\""), "{verb:?}: {}", stderr(&asked));
        assert_eq!(stderr(&asked).lines().count(), 1, "{verb:?}: {}", stderr(&asked));
    }
    assert_eq!(component(&house, "image-server")["restarts"], 0);
}

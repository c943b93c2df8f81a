//! Stories of who or what had a hand in it: rules, budgets, signals, people, groups and cleanups.

use super::*;

/// So much of a story: when, which event, and of whom if not of redis.
fn story(journal: &[EventDocument], component: &ComponentDocument) -> Vec<String> {
    let answer = answer(journal, Some(component));
    assert!(answer.complete, "{answer:?}");
    let told = |cause: &EventDocument| {
        let whose = cause.component.as_deref().filter(|id| *id != "redis");
        let whose = whose.map(|id| format!("{id}: ")).unwrap_or_default();
        let name = serde_json::to_value(&cause.what).unwrap()["event"].as_str().unwrap().to_owned();
        format!("{} {whose}{name}", cause.seq)
    };
    answer.causes.iter().map(told).collect()
}

/// It came up with the supervisor.
fn up_with_the_supervisor() -> Vec<EventDocument> {
    vec![started(60), spawned(61, 1), up(62, 1)]
}

fn stopping(second: u64, run: u64) -> EventDocument {
    redis(second, run, json!({"event": "stopping", "timeout": 60.0}))
}

fn stopped(second: u64) -> EventDocument {
    event(second, Some("redis"), None, json!({"event": "stopped"}))
}

fn killed(second: u64, run: u64, why: &str) -> EventDocument {
    redis(second, run, json!({"event": "killed", "why": why}))
}

fn signal(second: u64, name: &str) -> EventDocument {
    event(
        second,
        Some("redis"),
        None,
        json!({"event": "requested", "verb": "signal", "signal": name, "by": "user root (pid 4711)"}),
    )
}

/// It ended by this signal, which the supervisor had sent or not.
fn ended_by(second: u64, run: u64, signal: &str, sent: bool, asked: bool) -> EventDocument {
    let exit =
        json!({"code": null, "signal": signal, "coreDumped": false, "message": format!("SIG{signal}")});
    redis(
        second,
        run,
        json!({"event": "exited", "exit": exit, "uptime": 9.0, "asked": asked, "sent": sent, "peakMemory": null}),
    )
}

fn step(second: u64, run: u64, of: &str, error: Option<&str>) -> EventDocument {
    redis(second, run, json!({"event": "step", "of": of, "step": "sh", "answer": null, "error": error}))
}

#[test]
fn the_rule_that_decided_stands_between_the_end_and_what_came_of_it() {
    let ruled =
        |action: &str| redis(70, 1, json!({"event": "ruled", "exit": "exit code 1", "action": action}));
    let mut journal = up_with_the_supervisor();
    journal.extend([crashed(70, 1), ruled("stop"), stopped(70)]);
    let chain = ["70 stopped", "70 ruled", "70 exited", "60 supervisorStarted"];
    assert_eq!(story(&journal, &component("stopped", "stopped", 70)), chain);

    // A run after that has nothing to do with it any more, but the end that it follows has.
    journal.extend([requested(80, Some("redis"), "start"), spawned(81, 2), up(82, 2)]);
    assert_eq!(story(&journal, &component("up", "up", 82)), ["82 started", "80 requested"]);
}

#[test]
fn a_restart_that_waits_for_the_budget_says_so() {
    let mut journal = up_with_the_supervisor();
    journal.extend([crashed(70, 1), backoff(70, 1)]);
    journal.push(event(
        71,
        Some("redis"),
        None,
        json!({"event": "backoff", "delay": 150.0, "inARow": 1, "forBudget": true}),
    ));
    let mut component = component("backoff", "backoff 2m 30s (1)", 71);
    component.next_try = Some(21.0);
    let chain = ["71 backoff", "70 exited", "60 supervisorStarted"];
    assert_eq!(story(&journal, &component), chain);
    let text = prose(&answer(&journal, Some(&component)));
    assert!(
        text.contains("when the restart budget of all components allows it, in 21s, at 12:03:41"),
        "{text}"
    );
}

#[test]
fn what_could_not_be_begun_for_want_of_something_is_tried_again_until_that_is_there() {
    let mut journal = up_with_the_supervisor();
    let lacks =
        json!({"event": "notSpawned", "reason": "too many open files", "text": "too many open files"});
    journal.push(redis(70, 2, lacks));
    let text = "next try in 10s, no restart: it has not failed, something is lacking";
    journal.push(event(
        70,
        Some("redis"),
        None,
        json!({"event": "backoff", "delay": 10.0, "inARow": 9, "forWant": true, "text": text}),
    ));
    let mut component = component("backoff", "backoff 10s (9)", 70);
    component.next_try = Some(10.0);
    let told = prose(&answer(&journal, Some(&component)));
    assert!(told.contains("it is tried again, until what is lacking is there, in 10s"), "{told}");
    assert!(!told.contains("in a row"), "{told}");
}

#[test]
fn what_it_was_before_its_end_is_no_cause_of_that() {
    let mut journal = up_with_the_supervisor();
    journal.extend([crashed(70, 1), killed(70, 1, "leftovers")]);
    let chain = ["70 exited", "60 supervisorStarted"];
    assert_eq!(story(&journal, &component("stopping", "stopping 0s/5s", 70)), chain);
}

#[test]
fn a_signal_that_somebody_sent_is_told_only_where_it_may_have_ended_the_run() {
    let mut journal = up_with_the_supervisor();
    journal.extend([signal(63, "USR1"), signal(64, "TERM"), signal(70, "KILL")]);
    journal.extend([ended_by(71, 1, "KILL", true, false), backoff(71, 1)]);
    let backing_off = component("backoff", "backoff 1s (1)", 71);
    let chain = ["71 backoff", "71 exited", "70 requested", "60 supervisorStarted"];
    assert_eq!(story(&journal, &backing_off), chain);

    // It ended in order soon after it was told to, or long after a signal that did nothing to it.
    for (second, is_told) in [(100, true), (200, false)] {
        let mut journal = up_with_the_supervisor();
        journal.extend([signal(70, "TERM"), signal(71, "USR2"), crashed(second, 1), backoff(second, 1)]);
        let told = story(&journal, &backing_off).contains(&"70 requested".to_owned());
        assert_eq!(told, is_told, "{second}");
    }
}

#[test]
fn a_second_stop_that_killed_is_told_with_who_asked_and_so_is_the_first() {
    let mut journal = up_with_the_supervisor();
    journal.extend([requested(70, Some("redis"), "stop"), stopping(70, 1)]);
    journal.extend([requested(80, Some("redis"), "stop"), killed(80, 1, "asked")]);
    // A third changes nothing.
    journal.extend([requested(81, Some("redis"), "stop"), ended_by(82, 1, "KILL", true, true), stopped(82)]);
    let stopped_component = component("stopped", "stopped", 82);
    let chain = ["82 stopped", "82 exited", "80 killed", "80 requested", "70 requested"];
    assert_eq!(story(&journal, &stopped_component), chain);

    // Where nobody had asked before, the chain ends with the one who killed.
    let mut journal = up_with_the_supervisor();
    journal.extend([requested(80, None, "shutdown now"), killed(80, 1, "asked")]);
    journal.extend([ended_by(82, 1, "KILL", true, true), stopped(82)]);
    let chain = ["82 stopped", "82 exited", "80 killed", "80 requested"];
    assert_eq!(story(&journal, &stopped_component), chain);
}

#[test]
fn a_stop_repeated_in_vain_does_not_hide_who_asked_first() {
    let mut journal = up_with_the_supervisor();
    journal.extend([requested(70, Some("redis"), "stop"), stopping(70, 1)]);
    journal.extend([requested(71, Some("redis"), "stop"), told_to_end(72, 1), stopped(72)]);
    let chain = ["72 stopped", "72 exited", "70 requested"];
    assert_eq!(story(&journal, &component("stopped", "stopped", 72)), chain);
}

#[test]
fn a_stop_of_what_was_ending_for_its_health_tells_both() {
    let mut journal = up_with_the_supervisor();
    journal.extend([judged(70, 1), requested(71, Some("redis"), "stop"), crashed(72, 1), stopped(72)]);
    let chain = ["72 stopped", "72 exited", "71 requested", "70 judged"];
    assert_eq!(story(&journal, &component("stopped", "stopped", 72)), chain);
}

#[test]
fn a_start_of_what_was_still_stopping_is_why_it_runs() {
    let mut journal = up_with_the_supervisor();
    journal.extend([requested(70, Some("redis"), "stop"), stopping(70, 1)]);
    journal.extend([requested(71, Some("redis"), "start"), told_to_end(72, 1), stopped(72)]);
    journal.extend([spawned(72, 2), up(72, 2)]);
    assert_eq!(story(&journal, &component("up", "up", 72)), ["72 started", "72 exited", "71 requested"]);
}

#[test]
fn a_restart_of_a_group_tells_why_its_leader_ended() {
    let web = |second, run, what| event(second, Some("web"), Some(run), what);
    let exit = json!({"code": 7, "signal": null, "coreDumped": false, "message": "exit code 7"});
    let mut journal = up_with_the_supervisor();
    journal.extend([
        web(61, 1, json!({"event": "spawned", "pid": 6001})),
        web(62, 1, json!({"event": "started"})),
    ]);
    journal.push(web(
        70,
        1,
        json!({"event": "exited", "exit": exit, "uptime": 8.0, "asked": false, "peakMemory": null,
            "text": "crashed: exit code 7 after 8s"}),
    ));
    journal.push(event(70, Some("web"), None, json!({"event": "backoff", "delay": 1.0, "inARow": 1})));
    journal.push(event(
        70,
        Some("redis"),
        None,
        json!({"event": "regrouped", "with": "web", "text": "restarts with web, a member of its group"}),
    ));
    journal.extend([stopping(70, 1), told_to_end(71, 1), stopped(71), spawned(72, 2), up(72, 2)]);
    let component = component("up", "up", 72);
    assert_eq!(story(&journal, &component), ["72 started", "71 exited", "70 regrouped", "70 web: exited"]);
    let answer = answer(&journal, Some(&component));
    assert_eq!(answer.last_run.as_ref().map(|run| run.exit.as_deref()), Some(Some("exit code 0")), "its own");
    let text = prose(&answer);
    assert!(text.contains("12:01:10  web: crashed: exit code 7 after 8s (run 1)\n"), "{text}");
}

#[test]
fn a_cleanup_that_runs_is_what_is_waited_for_and_one_that_failed_is_told() {
    let mut journal = up_with_the_supervisor();
    journal.extend([requested(70, Some("redis"), "stop"), stopping(70, 1), told_to_end(71, 1)]);
    journal.push(step(71, 1, "cleanup", None));
    let running = component("stopping", "stopping 1s/10s", 70);
    assert_eq!(story(&journal, &running), ["71 step", "71 exited", "70 requested"]);
    assert_eq!(answer(&journal, Some(&running)).next.what, "wait");
    assert_eq!(answer(&journal, None).state.as_deref(), Some("stopping"));

    let after = |mut journal: Vec<EventDocument>, error| {
        journal.extend([step(73, 1, "cleanup", error), stopped(73)]);
        story(&journal, &component("stopped", "stopped", 73))
    };
    let chain = ["73 stopped", "73 step", "71 exited", "70 requested"];
    assert_eq!(after(journal.clone(), Some("exit code 5")), chain);
    let mut done = step(73, 1, "cleanup", None);
    done.what =
        What::Step { of: "cleanup".into(), step: "sh".into(), answer: Some(String::new()), error: None };
    journal.extend([done, stopped(73)]);
    let chain = ["73 stopped", "71 exited", "70 requested"];
    assert_eq!(story(&journal, &component("stopped", "stopped", 73)), chain);
}

#[test]
fn who_asked_for_a_reload_is_why_it_is_not_ready_and_who_asked_meanwhile_is_told_too() {
    let mut journal = up_with_the_supervisor();
    journal.extend([requested(70, Some("redis"), "reload"), step(70, 1, "reload", None)]);
    journal.push(redis(71, 1, json!({"event": "unready", "why": "reloading"})));
    journal.push(requested(72, Some("redis"), "reload"));
    let unready = component("unready", "unready", 71);
    let chain = ["72 requested", "71 unready", "70 requested", "60 supervisorStarted"];
    assert_eq!(story(&journal, &unready), chain);
    assert_eq!(answer(&journal, Some(&unready)).next.text, "it is up again when it says so");

    // Before it was ready at all, nobody could tell it.
    let starting = [started(60), spawned(61, 1), requested(62, Some("redis"), "reload")];
    let chain = ["62 requested", "61 spawned", "60 supervisorStarted"];
    assert_eq!(story(&starting, &component("starting", "starting", 61)), chain);

    // Once it is ready again, nothing of this is of interest.
    journal.push(redis(73, 1, json!({"event": "readyAgain"})));
    assert_eq!(story(&journal, &component("up", "up", 73)), ["73 readyAgain", "60 supervisorStarted"]);
}

#[test]
fn the_newest_reload_is_told_with_who_asked_if_it_failed() {
    let mut journal = up_with_the_supervisor();
    let reload = |second, error| {
        [
            requested(second, Some("redis"), "reload"),
            step(second, 1, "reload", None),
            step(second + 1, 1, "reload", error),
        ]
    };
    journal.extend(reload(70, Some("exit code 5")));
    let up = component("up", "up", 62);
    let chain = ["71 step", "70 requested", "62 started", "60 supervisorStarted"];
    assert_eq!(story(&journal, &up), chain);
    journal.extend(reload(80, None));
    assert_eq!(story(&journal, &up), ["62 started", "60 supervisorStarted"]);
}

#[test]
fn whoever_waits_is_told_what_helps_whom_it_waits_for_in_the_end() {
    let waits = |root: Option<(&str, &str, bool, Option<f64>)>| {
        let waiting = ComponentDocument { waiting_for: Some("is".into()), ..component("waiting", "", 63) };
        let root = root.map(|(id, state, wanted, next_try)| ComponentDocument {
            id: id.into(),
            wanted,
            next_try,
            ..component(state, "", 63)
        });
        Next::of(&waiting, None, root.as_ref(), noon_and(63)).text
    };
    assert_eq!(waits(None), "it starts after is");
    assert_eq!(waits(Some(("is", "starting", true, None))), "it starts after is, which is starting");
    let stopped = waits(Some(("is", "stopped", false, None)));
    assert_eq!(stopped, "it starts after is, which is stopped: start is with `s7supervisor start is`");
    let tripped = waits(Some(("is", "tripped", true, Some(90.0))));
    assert!(tripped.contains("is tried again in 1m 30s: `s7supervisor start is` tries at once"), "{tripped}");
    let failed = waits(Some(("db", "failed", true, None)));
    assert!(failed.starts_with("it starts after is, which waits for db, which was given up: "), "{failed}");
    assert!(
        failed.contains("`s7supervisor why db`") && failed.contains("`s7supervisor start db`"),
        "{failed}"
    );
}

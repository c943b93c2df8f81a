//! Journals, and what `why` makes of them.
//!
//! - `deciders`: who or what had a hand in it

use chrono::DateTime;
use serde_json::json;

use super::*;
use crate::past::local_time;

mod deciders;

/// What happened so many seconds after noon to a component, and in which run.
fn event(second: u64, component: Option<&str>, run: Option<u64>, what: serde_json::Value) -> EventDocument {
    let mut document = what;
    document["time"] = time(second).into();
    document["seq"] = second.into();
    document["component"] = component.into();
    document["run"] = run.into();
    if document.get("text").is_none() {
        document["text"] = document["event"].clone();
    }
    serde_json::from_value(document).unwrap()
}

fn time(second: u64) -> String {
    format!("2026-11-22T12:{:02}:{:02}.000Z", second / 60, second % 60)
}

fn noon_and(second: u64) -> SystemTime {
    DateTime::parse_from_rfc3339(&time(second)).unwrap().into()
}

fn started(second: u64) -> EventDocument {
    event(
        second,
        None,
        None,
        json!({"event": "supervisorStarted", "pid": 100, "version": "1", "registry": null}),
    )
}

fn requested(second: u64, component: Option<&str>, verb: &str) -> EventDocument {
    let text = format!("{verb}, asked for by user root (pid 4711)");
    event(
        second,
        component,
        None,
        json!({"event": "requested", "verb": verb, "by": "user root (pid 4711)", "text": text}),
    )
}

fn redis(second: u64, run: u64, what: serde_json::Value) -> EventDocument {
    event(second, Some("redis"), Some(run), what)
}

fn spawned(second: u64, run: u64) -> EventDocument {
    redis(second, run, json!({"event": "spawned", "pid": 5000 + run}))
}

fn crashed(second: u64, run: u64) -> EventDocument {
    let exit = json!({"code": 1, "signal": null, "coreDumped": false, "message": "exit code 1"});
    redis(
        second,
        run,
        json!({"event": "exited", "exit": exit, "uptime": 0.4, "asked": false, "peakMemory": 12_582_912,
        "text": "crashed: exit code 1 after 0.4s"}),
    )
}

fn told_to_end(second: u64, run: u64) -> EventDocument {
    let exit = json!({"code": 0, "signal": null, "coreDumped": false, "message": "exit code 0"});
    redis(
        second,
        run,
        json!({"event": "exited", "exit": exit, "uptime": 9.0, "asked": true, "peakMemory": null,
        "text": "ended as told: exit code 0 after 9s"}),
    )
}

fn backoff(second: u64, in_a_row: u32) -> EventDocument {
    let text = format!("next try in 1s, restart {in_a_row} in a row");
    event(
        second,
        Some("redis"),
        None,
        json!({"event": "backoff", "delay": 1.0, "inARow": in_a_row, "text": text}),
    )
}

fn up(second: u64, run: u64) -> EventDocument {
    redis(second, run, json!({"event": "started", "text": "up"}))
}

fn judged(second: u64, run: u64) -> EventDocument {
    let message = "health check failed 3 times: connection refused";
    let fault = json!({"kind": "unhealthy", "answer": "connection refused", "message": message});
    redis(
        second,
        run,
        json!({"event": "judged", "fault": fault, "text": format!("its run is ended: {message}")}),
    )
}

fn component(state: &str, detail: &str, since: u64) -> ComponentDocument {
    ComponentDocument {
        id: "redis".into(),
        state: state.into(),
        detail: Some(detail.into()).filter(|_| detail != state),
        wanted: true,
        since: time(since),
        ..ComponentDocument::default()
    }
}

fn answer(journal: &[EventDocument], component: Option<&ComponentDocument>) -> Answer {
    let newest_first = || journal.iter().rev().cloned();
    let state = component.map(|component| component.state.as_str());
    let mut answer = Answer::new("redis", Story::of("redis", state, newest_first()));
    match component {
        Some(component) => answer.is_now(component, None, noon_and(200)),
        None => answer.was(journal.last()),
    }
    answer
}

/// The prose, with the times of this place put back into those of the journal.
fn prose(answer: &Answer) -> String {
    let mut text = prose::of(answer, noon_and(200));
    for second in 60..600 {
        let utc = &time(second)["2026-11-22T".len()..][..8];
        text = text.replace(&local_time(&time(second), noon_and(200)), utc);
    }
    text
}

/// A life in which redis hangs, is ended, and crashes until it trips.
fn tripped() -> Vec<EventDocument> {
    let mut journal =
        vec![started(60), requested(70, Some("redis"), "start"), spawned(71, 1), up(72, 1), judged(80, 1)];
    journal.extend([redis(
        80,
        1,
        json!({"event": "facts", "facts": {"state": "T (stopped)", "threads": "5"}}),
    )]);
    journal.extend([
        redis(
            81,
            1,
            json!({"event": "step", "of": "evidence", "step": "SIGQUIT", "answer": null, "error": null}),
        ),
        redis(
            81,
            1,
            json!({"event": "step", "of": "evidence", "step": "jstack", "answer": null, "error": null}),
        ),
        redis(
            82,
            1,
            json!({"event": "step", "of": "evidence", "step": "jstack", "answer": "/e/1.txt", "error": null}),
        ),
    ]);
    journal.extend([crashed(83, 1), backoff(83, 1), spawned(84, 2), up(84, 2), crashed(85, 2)]);
    journal.push(redis(
        85,
        2,
        json!({"event": "lastWords", "lines": ["loading", "fatal: \u{1b}[2Jno luck"]}),
    ));
    journal.push(event(
        85,
        Some("redis"),
        None,
        json!({"event": "tripped", "restarts": 6, "within": 60.0, "rest": 300.0,
            "text": "tripped: 6 restarts within 1m; next try in 5m"}),
    ));
    journal
}

#[test]
fn a_tripped_component_tells_its_chain_its_last_words_and_when_it_is_tried_again() {
    let mut component = component("tripped", "tripped, next try 3m 5s", 85);
    component.next_try = Some(185.0);
    let answer = answer(&tripped(), Some(&component));
    assert!(answer.complete);
    assert_eq!(
        prose(&answer),
        "redis: tripped, next try 3m 5s, since 12:01:25 (1m 55s ago)\n\
         \x20 12:01:25  tripped: 6 restarts within 1m; next try in 5m\n\
         \x20 12:01:25  crashed: exit code 1 after 0.4s, at most 12.0M of memory (run 2)\n\
         \x20 1 more run ended before that, since:\n\
         \x20 12:01:10  start, asked for by user root (pid 4711)\n\
         the last lines of run 2:\n\
         \x20 | loading\n\
         \x20 | fatal: \\u{1b}[2Jno luck\n\
         next: it is tried again in 3m 5s, at 12:06:25\n"
    );
}

#[test]
fn a_run_that_was_ended_for_its_health_tells_the_probe_and_its_evidence() {
    let mut journal = tripped();
    journal.truncate(11);
    let mut component = component("backoff", "backoff 1s (1)", 83);
    component.next_try = Some(1.0);
    let answer = answer(&journal, Some(&component));
    assert_eq!(
        prose(&answer),
        "redis: backoff 1s (1), since 12:01:23 (1m 57s ago)\n\
         \x20 12:01:23  next try in 1s, restart 1 in a row\n\
         \x20 12:01:23  ended: exit code 1 after 0.4s, at most 12.0M of memory (run 1)\n\
         \x20 12:01:20  its run is ended: health check failed 3 times: connection refused\n\
         \x20 12:01:10  start, asked for by user root (pid 4711)\n\
         the operating system said of run 1: state T (stopped), threads 5\n\
         evidence of run 1:\n\
         \x20 SIGQUIT\n\
         \x20 jstack: /e/1.txt\n\
         next: it is tried again in 1s, at 12:03:21\n"
    );
}

/// What the causes are, the newest first.
fn causes(journal: &[EventDocument], state: &str) -> Vec<(u64, String)> {
    let answer = answer(journal, Some(&component(state, state, 60)));
    assert!(answer.complete, "{answer:?}");
    let name =
        |cause: &EventDocument| serde_json::to_value(cause).unwrap()["event"].as_str().unwrap().to_owned();
    answer.causes.iter().map(|cause| (cause.seq, name(cause))).collect()
}

fn expected(causes: &[(u64, &str)]) -> Vec<(u64, String)> {
    causes.iter().map(|(seq, name)| (*seq, (*name).to_owned())).collect()
}

#[test]
fn the_chain_ends_with_whoever_began_it() {
    let with_the_supervisor = [started(60), spawned(61, 1), up(62, 1)];
    assert_eq!(causes(&with_the_supervisor, "up"), expected(&[(62, "started"), (60, "supervisorStarted")]));

    let stop = |second| redis(second, 1, json!({"event": "stopping", "timeout": 60.0}));
    let stopped = event(73, Some("redis"), None, json!({"event": "stopped"}));
    let mut by_somebody = with_the_supervisor.to_vec();
    by_somebody.extend([requested(70, Some("redis"), "stop"), stop(71), told_to_end(72, 1), stopped]);
    let chain = expected(&[(73, "stopped"), (72, "exited"), (70, "requested")]);
    assert_eq!(causes(&by_somebody, "stopped"), chain);

    // Who asked for all of them asked for it.
    let mut anew = by_somebody;
    anew.extend([requested(80, None, "start"), spawned(81, 2), up(82, 2)]);
    assert_eq!(causes(&anew, "up"), expected(&[(82, "started"), (80, "requested")]));

    // What concerns others or nothing explains nothing.
    anew.extend([requested(90, Some("redis"), "start"), requested(91, Some("other"), "stop")]);
    anew.extend([
        requested(92, Some("redis"), "wait"),
        event(93, Some("other"), Some(1), json!({"event": "started"})),
    ]);
    assert_eq!(causes(&anew, "up"), expected(&[(82, "started"), (80, "requested")]));
}

#[test]
fn a_component_that_waits_tells_one_level_of_whom_it_waits_for() {
    let blocked = json!({"event": "blocked", "on": "redis", "condition": "ready", "state": "tripped",
        "text": "waiting for redis to be ready: it is tripped"});
    let mut journal = tripped();
    journal.push(event(90, Some("web"), None, blocked));
    let waiting = ComponentDocument {
        id: "web".into(),
        waiting_for: Some("redis".into()),
        ..component("waiting", "waiting for redis: tripped", 90)
    };
    let newest_first = || journal.iter().rev().cloned();
    let mut web = Answer::new("web", Story::of("web", Some("waiting"), newest_first()));
    let mut redis = component("tripped", "tripped, next try 4m", 85);
    redis.next_try = Some(240.0);
    web.is_now(&waiting, Some(&redis), noon_and(200));
    web.waiting_for = Some(Box::new(answer(&journal, Some(&redis))));
    assert_eq!(
        prose(&web),
        "web: waiting for redis: tripped, since 12:01:30 (1m 50s ago)\n\
         \x20 12:01:30  waiting for redis to be ready: it is tripped\n\
         \x20 12:01:00  the supervisor started, pid 100\n\
         \x20 redis: tripped, next try 4m, since 12:01:25 (1m 55s ago)\n\
         \x20   12:01:25  tripped: 6 restarts within 1m; next try in 5m\n\
         \x20   12:01:25  crashed: exit code 1 after 0.4s, at most 12.0M of memory (run 2)\n\
         \x20   1 more run ended before that, since:\n\
         \x20   12:01:10  start, asked for by user root (pid 4711)\n\
         next: it starts after redis, which has restarted too often and is tried again in 4m: \
         `s7supervisor start redis` tries at once\n"
    );
}

#[test]
fn without_a_supervisor_the_journal_tells_the_last_state_and_how_the_supervisor_ended() {
    let mut journal = vec![started(60), spawned(61, 1), up(62, 1)];
    assert_eq!(
        prose(&answer(&journal, None)),
        "the supervisor is not running: it was killed, or the machine stopped; last heard of at 12:01:02\n\
         redis: was up, since 12:01:02 (2m 18s ago)\n\
         \x20 12:01:02  up\n\
         \x20 12:01:00  the supervisor started, pid 100\n\
         next: nothing until the supervisor is started (`s7supervisor start`)\n"
    );
    journal.extend([
        requested(70, None, "shutdown"),
        event(70, None, None, json!({"event": "shuttingDown", "givenUp": null})),
    ]);
    journal.push(redis(71, 1, json!({"event": "stopping", "timeout": 60.0})));
    journal.extend([told_to_end(72, 1), event(72, Some("redis"), None, json!({"event": "stopped"}))]);
    journal.push(event(73, None, None, json!({"event": "supervisorEnded", "pid": 100})));
    assert_eq!(
        prose(&answer(&journal, None)),
        "the supervisor is not running: it ended at 12:01:13\n\
         redis: was stopped, since 12:01:12 (2m 8s ago)\n\
         \x20 12:01:12  stopped\n\
         \x20 12:01:12  ended as told: exit code 0 after 9s (run 1)\n\
         \x20 12:01:10  shutdown, asked for by user root (pid 4711)\n\
         next: nothing until the supervisor is started (`s7supervisor start`)\n"
    );
}

#[test]
fn what_happens_next_is_no_more_than_what_is_certain() {
    let next = |component: &ComponentDocument, why: &str| {
        let unready = redis(63, 1, json!({"event": "unready", "why": why}));
        answer(&[started(60), spawned(61, 1), up(62, 1), unready], Some(component)).next
    };
    let unready = component("unready", "unready", 63);
    assert_eq!(next(&unready, "reloading").text, "it is up again when it says so");
    assert_eq!(next(&unready, "ending").text, "it said that it is about to end");

    let stopping = component("stopping", "stopping 1s/1m", 63);
    assert_eq!(next(&stopping, "reloading").what, "kill");
    let in_vain = ComponentDocument { survivors: Some(vec![4711]), ..stopping };
    assert_eq!(next(&in_vain, "reloading").what, "wait", "it was killed already");
}

#[test]
fn the_last_words_of_a_life_before_are_told_and_not_those_of_a_run_of_the_same_number() {
    let mut journal = tripped();
    journal.extend([started(100), spawned(101, 2), up(101, 2)]);
    let answer = answer(&journal, Some(&component("up", "up", 101)));
    assert_eq!(answer.causes.len(), 2);
    let last = answer.last_run.unwrap();
    assert_eq!((last.run, last.last_lines.len(), last.ended), (2, 2, Some(time(85))));
}

#[test]
fn what_is_missing_is_said_to_be_missing() {
    let lost = event(
        80,
        None,
        None,
        json!({"event": "lost", "count": 7, "reason": "disk", "text": "7 events are missing"}),
    );
    let journal = [started(60), spawned(61, 1), lost, crashed(82, 1), backoff(83, 1)];
    let chain = expected(&[(83, "backoff"), (82, "exited"), (80, "lost"), (60, "supervisorStarted")]);
    assert_eq!(causes(&journal, "backoff"), chain);

    let answer = answer(&journal[3..], Some(&component("backoff", "backoff", 83)));
    assert!(!answer.complete);
    assert!(prose(&answer).contains("the journal does not go back further"));
    let nothing = self::answer(&[], Some(&component("up", "up", 83)));
    assert!(prose(&nothing).contains("the journal does not tell why"));
}

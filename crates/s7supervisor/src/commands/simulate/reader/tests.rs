use super::*;
use proptest::prelude::*;
use std::sync::Arc;
use supervisor::{Readiness, ReadyWhen};

fn components() -> Vec<ProcessSpec> {
    let mut components = ["is", "ps", "at", "web-1", "web-2"].map(|id| ProcessSpec::new(id, "/x").unwrap());
    components[1].watchdog = Some(Duration::from_secs(30));
    components[1].readiness = Some(Readiness { when: ReadyWhen::Notified, timeout: Duration::from_secs(60) });
    components[1].restart = Arc::new(supervisor::Never);
    components.to_vec()
}

fn read(text: &str) -> Script {
    Script::read(text, &components()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn problems(text: &str) -> Vec<(usize, usize, String)> {
    let problems = Script::read(text, &components()).unwrap_err();
    problems.into_iter().map(|problem| (problem.line, problem.column, problem.message)).collect()
}

fn life(script: &Script, id: &str) -> Life {
    script.lives[&ComponentId::new(id).unwrap()].clone()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn statements_about_one_component_hold_one_after_the_other() {
    let script = read(
        "ps crashes 2 times after 3s with code 78\nps completes once after 0s # in no time\n\
         ps hangs once after 1m\nps fails to start 2 times\nps crashes every 2s with signal SEGV",
    );
    let fates = life(&script, "ps").fates;
    let crash = Fate::Ends(SECOND * 3, Exit::Code(78));
    let fault = Exit::Signal { signal: 11, core_dumped: false };
    let expected = [
        (1, crash),
        (2, crash),
        (3, Fate::Ends(SHORTEST_LIFE, Exit::Code(0))),
        (4, Fate::Hangs(SECOND * 60)),
        (5, Fate::FailsToStart),
        (6, Fate::FailsToStart),
        (7, Fate::Ends(SECOND * 2, fault)),
        (1_000_000, Fate::Ends(SECOND * 2, fault)),
    ];
    for (run, fate) in expected {
        assert_eq!(fates.of(run), Some(fate), "run {run}");
    }
    let once = life(&read("is crashes once after 1s"), "is");
    assert_eq!(once.fates.of(2), None);
}

#[test]
fn readiness_and_stopping_are_said_apart_from_what_becomes_of_a_run() {
    let script = read(
        "ps never ready once\nps is ready 2 times after 4s\nps ignores the stop once\nps stops after 5s\nis stops after 0",
    );
    let ps = life(&script, "ps");
    let ready = [Some(None), Some(Some(SECOND * 4)), Some(Some(SECOND * 4)), None];
    assert_eq!([1, 2, 3, 4].map(|run| ps.ready.of(run)), ready);
    assert_eq!(
        [1, 2, 9].map(|run| ps.stop.of(run)),
        [Some(None), Some(Some(SECOND * 5)), Some(Some(SECOND * 5))]
    );
    assert_eq!(ps.fates.of(1), None);
    assert_eq!(life(&script, "is").stop.of(1), Some(Some(Duration::ZERO)));
}

#[test]
fn requests_come_in_the_order_of_their_time_and_the_usual_length_counts_from_the_last() {
    let script = read("seed 42\nat 5m shutdown\nat 10s stop web-* is\nat 10s kill web-2");
    let told: Vec<_> = script.requests.iter().map(|request| (request.at.as_secs(), request.verb)).collect();
    assert_eq!(told, [(10, Verb::Stop(Dependants::Refuse)), (10, Verb::Kill), (300, Verb::Shutdown)]);
    let ids: Vec<_> = script.requests[0].ids.iter().map(ComponentId::as_str).collect();
    assert_eq!(ids, ["web-1", "web-2", "is"]);
    assert_eq!((script.seed, script.length), (42, SECOND * 900));
    assert_eq!(read("").length, SECOND * 600);
    assert_eq!(read("\u{feff}for 1h").length, SECOND * 3_600);
}

#[test]
fn a_stop_says_what_happens_to_dependants_as_on_the_command_line() {
    let script = read("at 1s stop is --with-dependants\nat 2s stop is --only ps");
    let verbs: Vec<_> = script.requests.iter().map(|request| (request.verb, request.ids.len())).collect();
    assert_eq!(verbs, [(Verb::Stop(Dependants::Stop), 1), (Verb::Stop(Dependants::Leave), 2)]);
    assert_eq!(problems("at 1s start is --only")[0].1, 16);
}

#[test]
fn a_component_may_have_the_name_of_a_keyword() {
    let script = read("at crashes every 3s\nat 3s stop at");
    assert!(life(&script, "at").fates.of(1).is_some());
    assert_eq!(script.requests[0].ids[0], "at");
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let cases = [
        ("sed 42", 1, "there is no component \"sed\"; did you mean \"seed\"?"),
        ("at 1s stop pss", 12, "there is no component \"pss\"; did you mean \"ps\"?"),
        ("is crashes 3s", 12, "here may stand \"after\" or \"every\", not \"3s\""),
        ("is crashes 5", 13, "\"times\" is missing"),
        ("is crashes 0 times after 3s", 12, "how often is a number from 1 to 1000000, not \"0\""),
        ("is crashes every", 17, "a time (5, 0.5, 250ms, 5s, 2m, 1h) is missing"),
        (
            "is crashes after 1s with code 0",
            31,
            "the exit code of a crash is a number from 1 to 255, not \"0\"",
        ),
        ("is hangs after 3s", 4, "nobody would notice when is hangs: it has neither <health> nor <watchdog>"),
        ("is is never ready", 7, "nobody would notice when is is ready: it has no <readiness>"),
        ("for 1s 2s", 8, "\"2s\" is too much: the statement is complete before it"),
        ("at 1s shutdown now", 16, "\"now\" is too much: the statement is complete before it"),
    ];
    for (text, column, message) in cases {
        assert_eq!(problems(text), [(1, column, message.to_owned())], "{text}");
    }
    let several = problems("for 3s\nfor 4s\nat 5s stop is\nzzz\nis crashes every 3s\nis crashes every 4s");
    let places: Vec<_> = several.iter().map(|(line, column, _)| (*line, *column)).collect();
    assert_eq!(places, [(2, 1), (3, 4), (4, 1), (6, 4)]);
}

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "is", "ps", "at", "web", "*", "crashes", "every", "after", "once", "3", "times", "3s", "0", "1e999",
        "with", "code", "signal", "SEGV", "ready", "never", "hangs", "fails", "to", "start", "for", "seed",
        "stop", "kill", "#", "\n", "ä",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_a_script_or_has_problems_at_places_in_it(text in prop_oneof![any::<String>(), words()]) {
        match Script::read(&text, &components()) {
            Ok(script) => {
                prop_assert!(script.requests.iter().all(|request| request.at <= script.length));
                prop_assert!(script.requests.is_sorted_by_key(|request| request.at));
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for Problem { line, column, message } in problems {
                    let text = text.trim_start_matches('\u{feff}').lines().nth(line - 1);
                    prop_assert!(text.is_some_and(|text| column <= text.chars().count() + 1));
                    prop_assert!(message.len() < 400 && !message.contains(char::is_control), "{}", message);
                }
            }
        }
    }
}

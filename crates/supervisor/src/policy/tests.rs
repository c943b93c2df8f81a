use super::*;
use crate::run::{End, Exit, PastRun, RunId};

/// One of somebody's own, which says nothing about itself.
#[derive(Debug)]
struct Own;

impl RestartPolicy for Own {
    fn decide(&self, _: &History, _: Jitter) -> Decision {
        Decision::GiveUp
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The history of a component that has failed so often in a row.
fn failures(count: u64) -> History {
    let mut history = History::default();
    for number in 1..=count {
        let run = RunId { component: 0, number };
        let end = End::Exited(Exit::Code(1));
        let time = Duration::from_secs(number);
        history.record(
            PastRun { run, restart: number > 1, began: time, ended: time, end, stable: false },
            usize::MAX,
        );
    }
    history
}

fn wait(policy: &Backoff, in_a_row: u64, jitter: Jitter) -> Duration {
    match policy.decide(&failures(in_a_row), jitter) {
        Decision::Restart { after } => after,
        decision => panic!("{decision:?}"),
    }
}

#[test]
fn jitter_lies_within_its_part_of_the_wait_and_comes_from_seed_name_and_run() {
    let draws: Vec<_> = (0..1_000).map(|run| Jitter::draw(1, "ps", run)).collect();
    assert!(draws.iter().all(|draw| (0.0..1.0).contains(&draw.unit())));
    let mean = draws.iter().map(|draw| draw.unit()).sum::<f64>() / 1_000.0;
    assert!((0.45..0.55).contains(&mean), "evenly spread: {mean}");
    let spread: Vec<_> = draws.iter().map(|draw| draw.spread(millis(1_000), 0.1)).collect();
    assert!(spread.iter().all(|wait| (millis(900)..=millis(1_100)).contains(wait)));
    assert!(spread.iter().any(|wait| *wait < millis(920)) && spread.iter().any(|wait| *wait > millis(1_080)));
    assert_eq!(Jitter::NONE.spread(millis(1_000), 0.5), millis(1_000));
    assert_eq!(Jitter(0.0).spread(millis(1_000), 0.5), millis(500), "the least draw gives the shortest");
    let unit = |seed, name, run| Jitter::draw(seed, name, run).unit().to_bits();
    assert_eq!(unit(1, "ps", 2), unit(1, "ps", 2));
    for other in [unit(2, "ps", 2), unit(1, "is", 2), unit(1, "ps", 3)] {
        assert_ne!(other, unit(1, "ps", 2));
    }
}

#[test]
fn backoff_keeps_its_bounds_whatever_the_numbers() {
    let plain = Backoff { jitter: 0.0, ..Backoff::default() };
    assert_eq!(wait(&plain, 1, Jitter::NONE), Duration::ZERO);
    assert_eq!(wait(&plain, 2, Jitter::NONE), millis(100));
    assert_eq!(wait(&plain, 4, Jitter::NONE), millis(400));
    assert_eq!(wait(&plain, 5_000, Jitter::NONE), Duration::from_secs(60));
    let delayed = Backoff { delay: millis(250), ..plain };
    assert_eq!([1, 2, 3, 4].map(|n| wait(&delayed, n, Jitter::NONE)), [250, 250, 250, 400].map(millis));
    let never_waits = Backoff { delay: millis(250), max_delay: Duration::ZERO, ..plain };
    assert_eq!([1, 9].map(|n| wait(&never_waits, n, Jitter::NONE)), [Duration::ZERO; 2]);
    let shrinking = Backoff { factor: 0.1, ..plain };
    assert_eq!(wait(&shrinking, 9, Jitter::NONE), millis(100), "no wait is shorter than the one before");
    let wild = Backoff { jitter: 1.0, ..Backoff::default() };
    for draw in [0, 1, 2, 3].map(|run| Jitter::draw(7, "ps", run)) {
        assert!(wait(&wild, 40, draw) <= Duration::from_secs(60), "jitter does not pass the longest wait");
    }
}

#[test]
fn a_limit_counts_only_restarts_and_only_those_within_its_window() {
    let decide = |max, within: u64, ends| {
        let limit = Limit { max, within: Duration::from_secs(within), policy: Fixed(Duration::ZERO) };
        limit.decide(&failures(ends), Jitter::NONE)
    };
    let restart = Decision::Restart { after: Duration::ZERO };
    // The runs are a second apart, and the first is no restart.
    assert_eq!(decide(3, 100, 3), restart);
    assert_eq!(decide(3, 100, 4), Decision::GiveUp);
    assert_eq!(decide(3, 3, 100), Decision::GiveUp, "three of the last three seconds");
    assert_eq!(decide(3, 2, 100), restart);
    assert_eq!(decide(1, 0, 100), restart, "nothing is within no time");
}

#[test]
fn each_policy_is_shown_as_many_past_runs_as_it_needs() {
    assert_eq!(Own.memory(), 8);
    let limit = |max| Limit { max, within: Duration::ZERO, policy: Own };
    assert_eq!((limit(3).memory(), limit(20).memory(), OnFailure(limit(20)).memory()), (8, 21, 21));
    assert_eq!([Never.memory(), Fixed::default().memory(), Backoff::default().memory()], [1; 3]);
}

#[test]
fn a_policy_says_what_it_does_in_the_words_of_the_registry() {
    let backoff = Backoff { delay: millis(250), ..Backoff::default() };
    let limit = Limit { max: 5, within: Duration::from_secs(60), policy: OnFailure(Fixed(millis(1_500))) };
    for (policy, description, restarts) in [
        (&Own as &dyn RestartPolicy, "Own", true),
        (&Never, "never", false),
        (&Fixed(Duration::ZERO), "always, delay 0s, maxDelay 0s", true),
        (&backoff, "always, delay 250ms, maxDelay 60s, factor 2, jitter 0.1", true),
        (&OnFailure(backoff), "onFailure, delay 250ms, maxDelay 60s, factor 2, jitter 0.1", true),
        (&OnFailure(Never), "onFailure, never", false),
        (&Limit { max: 5, within: millis(50), policy: Never }, "never, max 5 within 50ms", false),
        (&limit, "onFailure, delay 1.5s, maxDelay 1.5s, max 5 within 60s", true),
    ] {
        assert_eq!((policy.describe().as_str(), policy.restarts()), (description, restarts));
    }
}

#[test]
fn a_history_is_bounded_and_forgets_the_oldest() {
    let mut history = failures(3);
    assert_eq!((history.newest_first().count(), history.in_a_row()), (3, 3));
    let mut last = history.last().cloned().expect("three");
    last.run.number = 4;
    last.stable = true;
    history.record(last, 2);
    let numbers: Vec<_> = history.newest_first().map(|run| run.run.number()).collect();
    assert_eq!((numbers, history.in_a_row()), (vec![4, 3], 1));
    assert_eq!(History::default().in_a_row(), 1);
}

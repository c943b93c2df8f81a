//! The journal, `why` and `events` from end to end: components that really crash.
//!
//! As in `command_line.rs`, nothing waits by sleeping.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
#[expect(dead_code, reason = "the other tests of the command line need more of it")]
mod house;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use house::{House, PROGRAM, code, kill, server, stand_in, stderr, stdout};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::Value;

/// A component that says why and fails, and is then left alone for an hour.
fn fails() -> String {
    let script = "echo loading; echo no luck today &gt;&amp;2; exit 3";
    server("bad", script, "<startDelay>60</startDelay><restart delay=\"3600\" maxDelay=\"3600\"/>")
}

/// What `why ID --json` answers, once the journal tells of these events: it is written in the background.
fn why(house: &House, id: &str, events: &[&str]) -> Value {
    let mut answer = Value::Null;
    house.until(|| {
        answer = house.json(&["why", id, "--json"]);
        let causes = causes(&answer);
        events.iter().all(|event| causes.contains(event))
    });
    answer
}

/// The events among the causes, the newest first.
fn causes(answer: &Value) -> Vec<&str> {
    answer["causes"].as_array().unwrap().iter().map(|cause| cause["event"].as_str().unwrap()).collect()
}

/// Every line of the journal.
fn journal(house: &House) -> Vec<Value> {
    let text = std::fs::read_to_string(house.path("temp/journal.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_component_that_crashed_tells_how_who_wanted_it_and_when_it_is_tried_again() {
    let house = House::with(&fails());
    assert_eq!(code(&house.s7(&["start"])), 1);
    // Whoever asks for it now is why there is a second run.
    assert_eq!(code(&house.s7(&["start", "bad"])), 1);
    let answer = why(&house, "bad", &["backoff", "requested"]);
    assert_eq!(answer["state"], "backoff");
    assert_eq!(causes(&answer), ["backoff", "exited", "requested"]);
    assert_eq!(answer["complete"], true);
    let by = answer["causes"][2]["by"].as_str().unwrap();
    assert!(by.starts_with("user ") && by.contains("(pid "), "{by}");
    assert_eq!(answer["causes"][1]["exit"]["code"], 3);
    assert_eq!(answer["lastRun"]["run"], 2);
    assert_eq!(answer["lastRun"]["exit"], "exit code 3");
    // Its two outputs go to one file, and so are told as one.
    assert_eq!(answer["lastRun"]["lastLines"], serde_json::json!(["loading", "no luck today"]));
    assert_eq!(answer["next"]["what"], "try");
    assert!(answer["next"]["after"].as_f64().unwrap() > 3_000.0);

    let prose = house.s7(&["why", "bad"]);
    assert_eq!(code(&prose), 0);
    let text = stdout(&prose);
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("bad: backoff 59m") || first.starts_with("bad: backoff 1h"), "{text}");
    assert!(text.contains("crashed: exit code 3"), "{text}");
    assert!(text.contains(by), "{text}");
    assert!(text.lines().last().unwrap().starts_with("next: it is tried again in "), "{text}");
    assert_eq!(stderr(&prose), "");

    let journal = house.path("temp/journal.jsonl");
    assert_eq!(journal.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_component_that_was_judged_unhealthy_tells_the_check_the_evidence_and_what_it_used() {
    // A child that it has waited for holds a hundred megabytes, which is more than we ever have.
    let script = "head -c 100000000 /dev/zero | tail -c 100000000 &gt; /dev/null; echo sick $$ &gt; BELL; \
        while :; do sleep 3600 &amp; wait; done";
    let elements = "<health interval=\"200ms\" timeout=\"60s\" failures=\"1\"><exec><argument>test</argument>\
        <argument>!</argument><argument>-e</argument><argument>FOLDER/ill</argument></exec></health>\
        <evidence><exec timeout=\"60s\"><argument>echo</argument><argument>pale and hot</argument></exec></evidence>\
        <restart delay=\"3600\" maxDelay=\"3600\"/>";
    let house = House::with(&server("sick", script, elements));
    house.start();
    let pid = house.bell("sick");
    std::fs::write(house.path("ill"), "").unwrap();
    house.until(|| house.json(&["why", "sick", "--json"])["state"] == "backoff");
    let answer = why(&house, "sick", &["backoff"]);
    assert_eq!(answer["state"], "backoff");
    assert_eq!(causes(&answer), ["backoff", "exited", "judged", "supervisorStarted"]);
    assert_eq!(answer["complete"], true);
    assert_eq!(answer["causes"][1]["exit"]["signal"], "TERM");
    assert_eq!(answer["causes"][2]["fault"]["kind"], "unhealthy");
    assert_eq!(answer["causes"][2]["run"], 1);
    let [evidence] = answer["lastRun"]["evidence"].as_array().unwrap().as_slice() else {
        panic!("{}", answer["lastRun"]);
    };
    assert_eq!((&evidence["step"], &evidence["error"]), (&"echo".into(), &Value::Null));
    let (gist, file) = evidence["answer"].as_str().unwrap().split_once("; all of it is in ").unwrap();
    assert_eq!(gist, "pale and hot");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "pale and hot\n");
    assert_eq!(answer["lastRun"]["facts"]["threads"], "1");
    assert!(answer["lastRun"]["peakMemory"].as_u64().unwrap() > 100_000_000, "{}", answer["lastRun"]);
    assert_eq!(answer["next"]["what"], "try");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it has ended before it is tried again");
}

#[test]
fn an_unknown_component_is_refused_with_a_suggestion_and_without_any_journal_nothing_is_known() {
    let house = House::with(&stand_in("redis", "", ""));
    for command in [&["why", "redis"][..], &["events"], &["events", "-f"]] {
        assert_eq!(code(&house.s7(command)), 7, "{command:?}");
    }
    house.start();
    for command in [["why", "rediss"], ["events", "rediss"]] {
        let refused = house.s7(&command);
        assert_eq!(code(&refused), 2);
        assert!(stderr(&refused).contains("did you mean \"redis\"?"), "{}", stderr(&refused));
    }
    assert_eq!(code(&house.s7(&["stop"])), 0);
    let refused = house.s7(&["why", "rediss"]);
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("did you mean \"redis\"?"), "{}", stderr(&refused));
    assert_eq!(code(&house.s7(&["events", "-f"])), 7);
}

#[test]
fn the_past_outlives_the_supervisor_and_tells_an_orderly_end_from_a_kill() {
    let house = House::with(&(fails() + &stand_in("ps", "", "")));
    assert_eq!(code(&house.s7(&["start"])), 1);
    why(&house, "bad", &["backoff"]);
    let supervisor = house.supervisor_pid();
    let [ps] = house.pids_of(["ps"]);
    kill(supervisor, Signal::KILL);
    house.until(|| code(&house.s7(&["status"])) == 3);
    kill(ps, Signal::KILL);

    let answer = house.json(&["why", "bad", "--json"]);
    assert_eq!(answer["supervised"], false);
    assert_eq!(answer["supervisorEndedInOrder"], false);
    assert_eq!(answer["state"], "backoff");
    assert_eq!(causes(&answer), ["backoff", "exited", "supervisorStarted"]);

    assert_eq!(code(&house.s7(&["start"])), 1);
    why(&house, "bad", &["backoff"]);
    assert_eq!(code(&house.s7(&["stop"])), 0);
    let answer = house.json(&["why", "ps", "--json"]);
    assert_eq!(answer["supervisorEndedInOrder"], true);
    assert_eq!(answer["state"], "stopped");
    assert_eq!(causes(&answer), ["stopped", "exited", "requested"]);
    let text = stdout(&house.s7(&["why", "ps"]));
    assert!(text.starts_with("the supervisor is not running: it ended at "), "{text}");
    let began = journal(&house).iter().filter(|line| line["event"] == "supervisorStarted").count();
    assert_eq!(began, 2, "one journal tells of both");
}

/// Puts another journal in the place of the one that is there; the supervisor goes on with it.
fn rewrite_journal(house: &House, lines: &[Value]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(house.path("temp/journal.new"), text).unwrap();
    std::fs::rename(house.path("temp/journal.new"), house.path("temp/journal.jsonl")).unwrap();
}

#[test]
fn a_journal_that_has_lost_its_beginning_is_told_once_and_one_of_an_older_supervisor_explains_nothing() {
    let house = House::with(&(fails() + &stand_in("ps", "", "")));
    assert_eq!(code(&house.s7(&["start"])), 1);
    why(&house, "bad", &["backoff"]);
    why(&house, "ps", &["started"]);
    let whole = journal(&house);

    // In a container, an older supervisor had the same pid.
    let mut of_another = whole.clone();
    of_another[0]["time"] = "2026-01-01T00:00:00.000Z".into();
    rewrite_journal(&house, &of_another);
    let answer = house.json(&["why", "bad", "--json"]);
    assert_eq!(answer["state"], "backoff");
    assert_eq!(causes(&answer), [""; 0]);

    rewrite_journal(&house, &whole[1..]);
    let answer = house.json(&["why", "bad", "--json"]);
    assert_eq!(causes(&answer), ["backoff", "exited"]);
    assert_eq!(answer["complete"], false);
    let mut all = Following::begin(&house, &["-n", "1000"]);
    all.until("spawned");
    assert_eq!(code(&house.s7(&["restart", "ps"])), 0);
    assert_eq!(code(&house.s7(&["stop"])), 0);
    let rest = all.lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let numbers: Vec<_> = rest.map(|document| document["seq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
    assert_eq!(house.wait(&mut all.child), Some(0));
}

/// `events -f`, and what it tells.
struct Following {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Following {
    fn begin(house: &House, arguments: &[&str]) -> Self {
        let mut command = house.command(PROGRAM);
        command.args(["events", "-f", "--json"]).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until this has happened.
    fn until(&mut self, event: &str) -> Value {
        self.lines
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .find(|document| document["event"] == event)
            .unwrap()
    }
}

#[test]
fn whoever_follows_is_told_the_past_and_what_comes_without_a_gap_until_the_supervisor_ends() {
    let house = House::with(&["is", "ps"].map(|id| stand_in(id, "", "")).concat());
    house.start();
    let mut all = Following::begin(&house, &["-n", "1000"]);
    assert_eq!(all.lines.next().map(|line| line.unwrap().contains("supervisorStarted")), Some(true));
    let mut one = Following::begin(&house, &["ps", "-n", "1000"]);
    assert_eq!(one.until("started")["component"], "ps");
    assert_eq!(code(&house.s7(&["restart", "is"])), 0);
    assert_eq!(code(&house.s7(&["restart", "ps"])), 0);
    assert_eq!(code(&house.s7(&["stop"])), 0);

    let rest: Vec<Value> =
        all.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let numbers: Vec<_> = rest.iter().map(|document| document["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<_>>());
    assert_eq!(house.wait(&mut all.child), Some(0));
    // The journal tells the same in the same words, but for how precisely it knows the time.
    let written = journal(&house);
    for (told, written) in rest.iter().zip(&written[1..]) {
        let without_time = |document: &Value| {
            let mut document = document.clone();
            document["time"] = Value::Null;
            document
        };
        assert_eq!(without_time(told), without_time(written));
    }
    assert_eq!(written.len(), rest.len() + 2, "and the end of the supervisor, which nobody is left to tell");

    let of_ps: Vec<Value> =
        one.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(of_ps.iter().all(|document| document["component"] == "ps"), "{of_ps:?}");
    assert!(of_ps.iter().any(|document| document["event"] == "exited"));
    assert_eq!(house.wait(&mut one.child), Some(0));
}

#[test]
fn following_ends_well_with_ctrl_c_and_when_nobody_reads_any_more() {
    let house = House::with(&stand_in("ps", "", ""));
    house.start();
    let mut interrupted = Following::begin(&house, &[]);
    interrupted.until("started");
    kill(interrupted.child.id(), Signal::INT);
    assert_eq!(house.wait(&mut interrupted.child), Some(0));

    let mut alone = Following::begin(&house, &[]);
    alone.until("started");
    drop(alone.lines);
    assert_eq!(code(&house.s7(&["restart", "ps"])), 0);
    assert_eq!(house.wait(&mut alone.child), Some(0));
}

#[test]
fn a_full_disk_neither_stops_anything_nor_loses_anything_in_silence_and_heals_by_itself() {
    let house = House::with(&stand_in("ps", "", ""));
    std::fs::create_dir(house.path("temp")).unwrap();
    std::fs::set_permissions(house.path("temp"), PermissionsExt::from_mode(0o700)).unwrap();
    // A file that may grow no further fails as a full disk does, in the middle of a line.
    let script = "trap '' XFSZ; ulimit -S -f 8; exec \"$0\" run";
    let mut run =
        house.command("/bin/sh").args(["-c", script, PROGRAM]).stderr(Stdio::null()).spawn().unwrap();
    house.until_exists("temp/s7supervisor.sock");
    house.until(|| code(&house.s7(&["status"])) == 0);
    let conditions = || house.json(&["status", "--json"])["supervisor"]["conditions"].to_string();
    let mut condition = String::new();
    house.until(|| {
        assert_eq!(code(&house.s7(&["restart", "ps"])), 0, "supervision goes on");
        condition = conditions();
        condition.contains("journal.jsonl")
    });
    assert!(condition.contains("File too large"), "{condition}");
    // What is there is whole; a short line may still fit where a long one did not.
    journal(&house);

    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap());
    let unlimited = Rlimit { current: None, maximum: None };
    prlimit(pid, Resource::Fsize, unlimited).unwrap();
    house.until(|| {
        assert_eq!(code(&house.s7(&["restart", "ps"])), 0);
        !conditions().contains("journal.jsonl")
    });
    assert_eq!(code(&house.s7(&["stop"])), 0);
    assert_eq!(house.wait(&mut run), Some(0));
    let lines = journal(&house);
    assert!(lines.iter().any(|line| line["event"] == "lost"));
    // Every number is there, or counted as missing at its place.
    let mut next = 0;
    for line in &lines {
        next += line["count"].as_u64().filter(|_| line["event"] == "lost").unwrap_or(1);
        assert_eq!(line["seq"], next - 1, "{line}");
    }
}

#[test]
fn a_run_that_somebody_else_killed_is_told_from_one_that_was_asked_for() {
    let house = House::with(&stand_in("ps", "", "<restart delay=\"3600\" maxDelay=\"3600\"/>"));
    house.start();
    let [pid] = house.pids_of(["ps"]);
    kill(pid, Signal::KILL);
    house.until(|| house.json(&["why", "ps", "--json"])["state"] == "backoff");
    let answer = why(&house, "ps", &["backoff"]);
    assert_eq!(causes(&answer), ["backoff", "exited", "supervisorStarted"]);
    assert_eq!(answer["causes"][1]["exit"]["signal"], "KILL");
    assert_eq!(answer["causes"][1]["sent"], false);
    let text = stdout(&house.s7(&["why", "ps"]));
    assert!(text.contains("not sent by the supervisor: somebody else killed it"), "{text}");

    assert_eq!(code(&house.s7(&["start", "ps"])), 0);
    assert_eq!(code(&house.s7(&["signal", "KILL", "ps"])), 0);
    house.until(|| house.json(&["why", "ps", "--json"])["state"] == "backoff");
    let answer = why(&house, "ps", &["backoff"]);
    assert_eq!(causes(&answer), ["backoff", "exited", "requested", "requested"]);
    assert_eq!(answer["causes"][1]["sent"], true);
    let asked = &answer["causes"][2];
    assert_eq!((&asked["verb"], &asked["signal"]), (&"signal".into(), &"KILL".into()));
    assert!(asked["by"].as_str().unwrap().contains("(pid "), "{asked}");
}

#[test]
fn a_rule_for_an_exit_code_is_named() {
    let rule = "<startDelay>60</startDelay><restart><exit code=\"3\" action=\"giveUp\"/></restart>";
    let house = House::with(&server("bad", "exit 3", rule));
    assert_eq!(code(&house.s7(&["start"])), 1);
    let answer = why(&house, "bad", &["givenUp"]);
    assert_eq!(causes(&answer), ["givenUp", "ruled", "exited", "supervisorStarted"]);
    let text = stdout(&house.s7(&["why", "bad"]));
    assert!(text.contains("exit code=3 action=giveUp"), "{text}");
}

#[test]
fn a_reload_that_does_not_end_is_told_with_who_asked() {
    let sleeps =
        "<reload><exec timeout=\"100ms\"><argument>sleep</argument><argument>60</argument></exec></reload>";
    let house = House::with(&stand_in("ps", "", sleeps));
    house.start();
    let reloaded = house.s7(&["reload", "ps"]);
    assert_eq!(code(&reloaded), 1, "{}", stdout(&reloaded));
    let answer = why(&house, "ps", &["step"]);
    assert_eq!(causes(&answer), ["step", "requested", "started", "supervisorStarted"]);
    assert!(answer["causes"][0]["error"].as_str().unwrap().contains("did not end in time"));
}

#[test]
fn what_waits_for_a_tripped_component_is_told_which_step_helps_and_a_start_names_it() {
    // It says itself that it is ready: to run for some time is no sign of that, where a shell may take longer to fail.
    let script = "[ -e FOLDER/is.mended ] || exit 3; echo &gt;&amp;9; exec \"$0\" stand-in --name FOLDER/is";
    let trips = "<readiness timeout=\"60s\"><notifyFd>9</notifyFd></readiness><restart delay=\"0\" maxDelay=\"0.01s\" max=\"2\" within=\"60s\" retryAfter=\"1h\"/>";
    let depends = "<dependsOn ref=\"is\"/>";
    let house = House::with(&(server("is", script, trips) + &stand_in("ps", "", depends)));
    assert_eq!(code(&house.s7(&["start", "--no-wait"])), 0);
    house.until(|| house.json(&["why", "ps", "--json"])["waitingFor"]["state"] == "tripped");
    let text = stdout(&house.s7(&["why", "ps"]));
    let next = text.lines().last().unwrap();
    assert!(next.starts_with("next: it starts after is, which has restarted too often"), "{text}");
    assert!(next.contains("`s7supervisor start is`"), "{text}");

    std::fs::write(house.path("is.mended"), "").unwrap();
    let started = house.s7(&["start", "ps"]);
    assert_eq!(code(&started), 0, "{}", stderr(&started));
    let told = stdout(&started);
    assert!(told.contains("is: started too") && told.contains("ps: started\n"), "{told}");
}

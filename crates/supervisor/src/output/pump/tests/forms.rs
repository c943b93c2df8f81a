//! Lines that are made into something else.

#[cfg(all(target_os = "linux", not(s7_posix)))]
use rustix::pipe::fcntl_setpipe_size;
use serde_json::Value;

#[cfg(all(target_os = "linux", not(s7_posix)))]
use super::adoption::run;
use super::*;

const TIME: &str = "2026-11-29T08:30:00.123+01:00 ";

fn formed(bench: &Bench, form: LineForm, stderr: Stderr) -> ProcessSpec {
    spec(Output::File { log: LogSettings { form, ..bench.log("ps.log") }, stderr }, None)
}

/// What follows the times.
fn lines(log: &Path) -> Vec<String> {
    let lines = fs::read_to_string(log).unwrap_or_default();
    lines.lines().map(|line| line[TIME.len()..].to_owned()).collect()
}

#[test]
fn a_line_gets_its_time_once_it_has_ended() {
    let bench = Bench::new();
    let spec = formed(&bench, LineForm::Timestamps, Stderr::Join);
    let component = bench.run_of(1, 0, &spec);
    let log = bench.folder.path().join("ps.log");
    component.say("one\nt");
    until("the first is stored", || lines(&log) == ["one"]);
    component.say("w");
    component.say("o\nthree\nfo");
    until("all that have ended are stored", || lines(&log) == ["one", "two", "three"]);
    component.complain("ur");
    drop(component);
    until("what its run has left is stored", || lines(&log) == ["one", "two", "three", "four"]);
    bench.finish();
}

#[test]
fn objects_tell_component_run_and_stream() {
    let bench = Bench::new();
    let spec = formed(&bench, LineForm::Json, Stderr::File);
    for number in [7, 8] {
        let component = bench.run_of(number, 0, &spec);
        component.say("fine\nopen");
        component.complain("broken\nbye");
        drop(component);
        assert_eq!(bench.last_words(number, &spec), ["broken", "bye"]);
    }
    let folder = bench.finish();
    let told = |name: &str| -> Vec<String> {
        let log = text(&folder.path().join(name));
        let objects = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        objects.map(|o| format!("{} {} {} {}", o["component"], o["run"], o["stream"], o["line"])).collect()
    };
    let expected = |stream: &str, one: &str, two: &str| -> Vec<String> {
        let line = |run: u32, line: &str| format!(r#""ps" {run} "{stream}" "{line}""#);
        [7, 8].into_iter().flat_map(|run| [line(run, one), line(run, two)]).collect()
    };
    assert_eq!(told("ps.log"), expected("stdout", "fine", "open"));
    assert_eq!(told("ps-stderr.log"), expected("stderr", "broken", "bye"));
}

#[cfg(all(target_os = "linux", not(s7_posix)))]
#[test]
fn a_line_that_is_written_over_the_end_of_a_pump_is_whole() {
    let bench = Bench::keeping();
    let spec = formed(&bench, LineForm::Timestamps, Stderr::Join);
    let component = bench.run_of(1, 0, &spec);
    component.say("one\nin the mid");
    until("the first is stored", || lines(&bench.folder.path().join("ps.log")) == ["one"]);
    let bench = bench.succeeded();
    bench.adopt(1, &spec);
    component.say("dle\nthree\n");
    let folder = bench.finish();
    assert_eq!(lines(&folder.path().join("ps.log")), ["one", "in the middle", "three"]);
}

#[cfg(all(target_os = "linux", not(s7_posix)))]
#[test]
fn what_was_torn_by_the_end_of_an_earlier_life_stays_a_line_of_its_own() {
    let bench = Bench::keeping();
    fs::write(bench.folder.path().join("ps.log"), format!("{TIME}whole\n{TIME}to")).unwrap();
    let spec = formed(&bench, LineForm::Timestamps, Stderr::Join);
    let component = bench.run_of(1, 0, &spec);
    component.say("torn\n");
    drop(component);
    let folder = bench.finish();
    assert_eq!(lines(&folder.path().join("ps.log")), ["whole", "to", "torn"]);
}

#[test]
fn no_line_is_torn_where_files_end() {
    let bench = Bench::new();
    let mut spec = formed(&bench, LineForm::Timestamps, Stderr::Join);
    if let Output::File { log, .. } = &mut spec.output {
        log.max_size = Some(1_000);
    }
    let component = bench.run_of(1, 0, &spec);
    let said: Vec<_> = (0..5_000).map(|number| format!("line {number}")).collect();
    said.chunks(7).for_each(|some| component.say(&format!("{}\n", some.join("\n"))));
    drop(component);
    let folder = bench.finish();
    let files = whole_log(folder.path(), "ps.log");
    assert!(files.iter().all(|file| file.len() <= 1_000 && file.ends_with(b"\n")));
    let text = String::from_utf8(files.concat()).unwrap();
    let lines: Vec<_> = text.lines().map(|line| &line[TIME.len()..]).collect();
    assert!(lines == said, "none is missing, doubled or torn");
}

#[cfg(all(target_os = "linux", not(s7_posix)))]
#[test]
fn a_pipe_that_is_full_of_one_line_is_emptied_however_small_it_is() {
    let bench = Bench::new();
    for (number, form) in (1..).zip([LineForm::Timestamps, LineForm::Json]) {
        let spec = formed(&bench, form, Stderr::Join);
        for size in [4096, 8192, 1 << 16] {
            let component = bench.run_of(number, 0, &spec);
            fcntl_setpipe_size(&component.stdout, size).unwrap();
            for length in [3_000, 1_000, 3_000, 4_000, 100_000] {
                component.say(&"x".repeat(length));
            }
        }
    }
    let folder = bench.finish();
    let text = text(&folder.path().join("ps.log"));
    assert_eq!(text.matches('x').count(), 6 * 111_000);
}

#[cfg(unix)]
#[test]
#[ignore = "counts what its threads do: run by a test in a process of its own"]
fn an_open_line_wakes_nobody() {
    let bench = Bench::new();
    let spec = formed(&bench, LineForm::Timestamps, Stderr::Join);
    let component = bench.run_of(1, 0, &spec);
    component.say("one\ntw");
    let log = bench.folder.path().join("ps.log");
    until("the first is stored", || lines(&log) == ["one"]);
    assert_asleep();
    component.say("o\n");
    until("the second is stored", || lines(&log) == ["one", "two"]);
    bench.finish();
}

#[cfg(all(target_os = "linux", not(s7_posix)))]
#[test]
fn a_pipe_left_in_another_form_goes_on_in_the_new_one() {
    let bench = Bench::keeping();
    let component = bench.run_of(1, 0, &formed(&bench, LineForm::Raw, Stderr::Join));
    component.say("raw\nop");
    until("it is stored", || holds(&bench.folder.path().join("ps.log"), "raw\nop"));
    let bench = bench.succeeded();
    let spec = formed(&bench, LineForm::Json, Stderr::Join);
    assert!(bench.pump.adopt(run(1), &spec, true).unwrap());
    bench.pump.wake();
    component.say("en\n");
    let folder = bench.finish();
    let log = text(&folder.path().join("ps.log"));
    let (before, after) = log.split_at("raw\nop\n".len());
    assert_eq!(before, "raw\nop\n");
    assert_eq!(serde_json::from_str::<Value>(after).unwrap()["line"], "en");
}

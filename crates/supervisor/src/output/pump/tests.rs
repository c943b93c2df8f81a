// Of named pipes, which only Linux has.
#[cfg(all(target_os = "linux", not(s7_posix)))]
mod adoption;
mod forms;
#[cfg(unix)]
mod full_disk;
mod rotating;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;
#[cfg(unix)]
use std::process::Command as Program;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::testbench::{names_in, text, whole_log};
use super::*;
use crate::output::LineForm;
#[cfg(unix)]
use crate::output::WhenFull;
use crate::spec::Readiness;

/// Longer than anything here should take.
const LONG: Duration = Duration::from_secs(90);

struct Bench {
    folder: tempfile::TempDir,
    pump: Pump,
    news: Receiver<News>,
}

/// A run of a component, which is this test.
struct Component {
    stdout: File,
    stderr: File,
}

impl Bench {
    fn new() -> Self {
        let (told, news) = crossbeam_channel::unbounded();
        let notice = move |news| told.send(news).unwrap_or(());
        let pump = Pump::start(Arc::new(notice), None).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), pump, news }
    }

    fn log(&self, name: &str) -> LogSettings {
        LogSettings::new(self.folder.path().join(name))
    }

    fn run(&self, component: u32, log: LogSettings, stderr: Stderr) -> Component {
        self.run_of(1, component, &spec(Output::File { log, stderr }, None))
    }

    fn run_of(&self, number: u64, component: u32, spec: &ProcessSpec) -> Component {
        let ends = self.pump.open(RunId { component, number }, spec, None).unwrap();
        self.pump.wake();
        Component { stdout: ends.stdout.into(), stderr: ends.stderr.into() }
    }

    /// The last words of a run, which ends now.
    fn last_words(&self, number: u64, spec: &ProcessSpec) -> Vec<String> {
        let run = RunId { component: 0, number };
        assert!(self.pump.ended(run, spec));
        self.pump.wake();
        match self.news.recv_timeout(LONG).unwrap() {
            News::LastWords { run: of, lines } if of == run => lines,
            other => panic!("{other:?}"),
        }
    }

    fn finish(mut self) -> tempfile::TempDir {
        self.pump.finish(LONG);
        self.folder
    }
}

fn spec(output: Output, ready: Option<&str>) -> ProcessSpec {
    let mut spec = ProcessSpec::new("ps", "true").unwrap();
    spec.output = output;
    spec.readiness =
        ready.map(|pattern| Readiness { when: ReadyWhen::Logged(pattern.to_owned()), timeout: LONG });
    spec
}

impl Component {
    fn say(&self, text: &str) {
        (&self.stdout).write_all(text.as_bytes()).unwrap();
    }

    fn complain(&self, text: &str) {
        (&self.stderr).write_all(text.as_bytes()).unwrap();
    }

    /// Waits until nobody can read its output any more: a process that another test is just starting may have the other end
    /// open until its own program runs.
    fn await_closed(&self) {
        let mut closed = Ok(());
        until("its pipe is closed", || {
            closed = (&self.stdout).write_all(b"x");
            closed.is_err()
        });
        assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

/// Gives the other threads the processor until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = now() + LONG;
    while !is_so() {
        assert!(now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

fn holds(path: &Path, text: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|content| content == text)
}

#[test]
fn joined_streams_go_to_one_file_in_the_order_in_which_they_were_written() {
    let bench = Bench::new();
    let component = bench.run(0, bench.log("ps.log"), Stderr::Join);
    component.say("one\n");
    component.complain("two\n");
    component.say("three\n");
    let folder = bench.finish();
    assert_eq!(names_in(folder.path()), ["ps.log"]);
    assert_eq!(text(&folder.path().join("ps.log")), "one\ntwo\nthree\n");
}

#[test]
fn standard_error_may_have_a_file_of_its_own() {
    let bench = Bench::new();
    let component = bench.run(0, bench.log("ps.log"), Stderr::File);
    let dated = bench.run(1, LogSettings { dated: true, ..bench.log("is.log") }, Stderr::File);
    component.say("fine\n");
    component.complain("broken\n");
    dated.complain("dated\n");
    let folder = bench.finish();
    assert_eq!(text(&folder.path().join("ps.log")), "fine\n");
    assert_eq!(text(&folder.path().join("ps-stderr.log")), "broken\n");
    assert!(names_in(folder.path()).iter().any(|name| name.starts_with("is-stderr-2")));
}

#[test]
fn standard_error_may_go_nowhere() {
    let bench = Bench::new();
    let component = bench.run(0, bench.log("ps.log"), Stderr::Null);
    component.complain("unheard\n");
    component.say("heard\n");
    let folder = bench.finish();
    assert_eq!(text(&folder.path().join("ps.log")), "heard\n");
}

#[cfg(unix)]
#[test]
fn what_needs_no_thread_starts_none() {
    let mut pump = Pump::start(Arc::new(|_| {}), None).unwrap();
    for output in [Output::Null, Output::Inherit] {
        let ends = pump.open(RunId { component: 0, number: 1 }, &spec(output, None), None).unwrap();
        assert!(rustix::io::fcntl_getfd(&ends.stdout).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        assert!(rustix::io::fcntl_getfd(&ends.stderr).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
    assert!(pump.thread.get().is_none() && pump.conditions().is_empty());
    pump.finish(LONG);
}

#[cfg(unix)]
#[test]
fn the_ends_are_not_inherited_by_accident_and_block_as_a_component_expects() {
    let bench = Bench::new();
    let component = bench.run(0, bench.log("ps.log"), Stderr::File);
    for end in [&component.stdout, &component.stderr] {
        assert!(rustix::io::fcntl_getfd(end).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        assert!(!rustix::fs::fcntl_getfl(end).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    }
    bench.finish();
}

#[test]
fn runs_follow_each_other_and_a_last_line_without_end_is_ended() {
    let bench = Bench::new();
    for run in 0..50 {
        let component = bench.run(0, bench.log("ps.log"), Stderr::Join);
        component.say(&format!("run {run} begins\nrun {run} dies in the midd"));
    }
    let folder = bench.finish();
    let lines: String =
        (0..50).map(|run| format!("run {run} begins\nrun {run} dies in the midd\n")).collect();
    assert_eq!(text(&folder.path().join("ps.log")).trim_end(), lines.trim_end());
}

#[test]
fn a_trickle_is_stored_at_once_beside_a_flood() {
    let bench = Bench::new();
    let flood = bench.run(
        0,
        LogSettings { max_size: Some(1 << 20), keep: Some(1), ..bench.log("flood.log") },
        Stderr::Join,
    );
    let trickle = bench.run(1, bench.log("trickle.log"), Stderr::Join);
    let is_over = AtomicBool::new(false);
    let file = bench.folder.path().join("trickle.log");
    std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            let lines = "x".repeat(99) + "\n";
            let mut written = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                flood.say(&lines.repeat(100));
                written += 10_000;
            }
            written
        });
        let mut said = String::new();
        for number in 0..50 {
            let line = format!("drop {number}\n");
            trickle.say(&line);
            said.push_str(&line);
            until("the trickle is stored", || holds(&file, &said));
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(flooding.join().unwrap() > 0);
    });
    let folder = bench.finish();
    let sizes = whole_log(folder.path(), "flood.log").iter().map(Vec::len).max();
    assert!(sizes.is_some_and(|size| size <= 1 << 20));
    assert!(names_in(folder.path()).len() <= 3);
}

#[test]
fn what_a_run_left_behind_may_go_on_writing_but_not_for_ever() {
    let bench = Bench::new();
    let log = bench.folder.path().join("ps.log");
    let first = bench.run(0, bench.log("ps.log"), Stderr::Join);
    let mut left_behind = vec![first];
    for _ in 0..4 {
        left_behind.push(bench.run(0, bench.log("ps.log"), Stderr::Join));
    }
    left_behind[0].say("the oldest still writes\n");
    until("the oldest is heard", || holds(&log, "the oldest still writes\n"));
    left_behind.push(bench.run(0, bench.log("ps.log"), Stderr::Join));
    left_behind[5].say("the newest\n");
    until("the newest is heard", || text(&log).ends_with("the newest\n"));
    left_behind[0].await_closed();
    left_behind[1].say("the second still writes\n");
    let folder = bench.finish();
    assert!(text(&folder.path().join("ps.log")).ends_with("the second still writes\n"));
}

#[test]
fn finishing_is_bounded_though_somebody_goes_on_writing() {
    let mut bench = Bench::new();
    let silent = bench.run(0, bench.log("silent.log"), Stderr::Join);
    let flood = bench.run(1, bench.log("flood.log"), Stderr::Join);
    std::thread::scope(|scope| {
        let flooding = scope.spawn(|| while (&flood.stdout).write_all(&[b'x'; 4096]).is_ok() {});
        until("the flood has begun", || bench.folder.path().join("flood.log").exists());
        bench.pump.finish(LONG);
        // The pipe was closed, else this waits for ever.
        flooding.join().unwrap();
    });
    silent.await_closed();
}

#[test]
fn a_log_that_cannot_be_opened_holds_up_its_component_and_nobody_else() {
    let bench = Bench::new();
    let missing = bench.folder.path().join("missing");
    let held = bench.run(0, LogSettings::new(missing.join("logs/ps.log")), Stderr::Join);
    let other = bench.run(1, bench.log("is.log"), Stderr::Join);
    until("the failure is told", || bench.pump.conditions().len() == 1);
    assert!(
        bench.pump.conditions()[0].starts_with("cannot make the folder"),
        "{:?}",
        bench.pump.conditions()
    );
    held.say("patience\n");
    other.say("prompt\n");
    until("the other is stored", || holds(&bench.folder.path().join("is.log"), "prompt\n"));
    fs::create_dir(&missing).unwrap();
    until("what was held is stored", || holds(&missing.join("logs/ps.log"), "patience\n"));
    until("all is well", || bench.pump.conditions().is_empty());
    bench.finish();
}

#[test]
fn logs_are_opened_again_after_somebody_moved_them() {
    let bench = Bench::new();
    let (log, moved) = (bench.folder.path().join("ps.log"), bench.folder.path().join("moved"));
    let component = bench.run(0, bench.log("ps.log"), Stderr::Join);
    component.say("before\n");
    until("it is stored", || holds(&log, "before\n"));
    fs::rename(&log, &moved).unwrap();
    bench.pump.reopen().unwrap();
    until("it is opened again", || log.exists());
    component.say("after\n");
    let _folder = bench.finish();
    assert!(holds(&moved, "before\n") && holds(&log, "after\n"));
}

#[test]
fn a_thread_that_has_ended_is_told_and_takes_no_more_runs() {
    let bench = Bench::new();
    let component = bench.run(0, bench.log("ps.log"), Stderr::Join);
    bench.pump.thread().unwrap().end(Duration::ZERO);
    until("it is told", || bench.pump.conditions().iter().any(|told| told.contains("has ended")));
    let log = bench.log("ps.log");
    let run = RunId { component: 0, number: 1 };
    assert!(bench.pump.open(run, &spec(Output::File { log, stderr: Stderr::Join }, None), None).is_err());
    component.await_closed();
    bench.finish();
}

#[test]
fn an_old_file_that_cannot_be_removed_is_told_and_the_others_are_removed() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    fs::create_dir(folder.join("ps-1999-01-01.log")).unwrap();
    fs::write(folder.join("ps-1999-01-02.log"), "old").unwrap();
    let _component =
        bench.run(0, LogSettings { dated: true, days: Some(1), ..bench.log("ps.log") }, Stderr::Join);
    until("it is told", || bench.pump.conditions().iter().any(|told| told.contains("ps-1999-01-01.log")));
    until("the other is removed", || !folder.join("ps-1999-01-02.log").exists());
    bench.finish();
}

/// Runs a test of this module in a process of its own.
#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "what a whole process has open cannot be counted beside other tests"
)]
fn in_a_process_of_its_own(test: &str) {
    let mut alone = Program::new(std::env::current_exe().unwrap());
    let alone = alone.args(["--exact", &format!("{}::{test}", module_path!().split_once("::").unwrap().1)]);
    let output = alone.args(["--ignored", "--test-threads=1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(unix)]
#[test]
fn the_pump_is_frugal() {
    in_a_process_of_its_own("a_pump_leaves_nothing_behind");
    in_a_process_of_its_own("an_idle_pump_sleeps");
    in_a_process_of_its_own("a_line_without_end_needs_no_memory");
    in_a_process_of_its_own("forms::an_open_line_wakes_nobody");
}

#[cfg(unix)]
#[test]
#[ignore = "counts what its process has open: run by the test above in a process of its own"]
fn a_pump_leaves_nothing_behind() {
    let count = |what: &str| fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    let before = (count("fd"), count("task"));
    let bench = Bench::new();
    for run in 0..20 {
        for component in 0..50 {
            let log =
                LogSettings { max_size: Some(64), compress: true, ..bench.log(&format!("{component}.log")) };
            let component = bench.run(component, log, Stderr::File);
            component.say(&format!("run {run}: one line\nand another one\n"));
            component.complain("a complaint\n");
        }
    }
    let folder = bench.finish();
    // Whoever has waited for a thread may come back a moment before the kernel has forgotten it.
    until("its threads are gone", || count("task") <= before.1);
    assert_eq!((count("fd"), count("task")), before);
    drop(folder);
}

#[cfg(unix)]
#[test]
#[ignore = "counts what its threads do: run by the test above in a process of its own"]
fn an_idle_pump_sleeps() {
    let bench = Bench::new();
    let component =
        bench.run(0, LogSettings { dated: true, days: Some(3), ..bench.log("ps.log") }, Stderr::Join);
    component.say("one line\n");
    until("it is stored", || names_in(bench.folder.path()).len() == 1);
    until("old files are dealt with", || fs::read_dir("/proc/self/task").unwrap().count() == 3);
    assert_asleep();
    bench.finish();
}

/// The thread of the only pump of this process wakes up for nothing.
#[cfg(unix)]
fn assert_asleep() {
    let task = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let output = task.into_iter().find(|task| text(&task.join("comm")) == "output\n").unwrap();
    let is_asleep = || text(&output.join("stat")).contains(") S ");
    until("the thread waits", is_asleep);
    let switches = || -> Vec<String> {
        let status = text(&output.join("status"));
        status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned).collect()
    };
    // Nothing is waited for: this is how long it is watched, and longer than it lets lines gather. It may have been late to do
    // so, if it was halted.
    until("nothing wakes it", || {
        let before = switches();
        assert!(crossbeam_channel::never::<()>().recv_timeout(Duration::from_millis(500)).is_err());
        switches() == before
    });
}

#[cfg(unix)]
#[test]
#[ignore = "measures its process: run by the test above in a process of its own"]
fn a_line_without_end_needs_no_memory() {
    let peak_kib = || -> u64 {
        let status = text(Path::new("/proc/self/status"));
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    for form in [LineForm::Raw, LineForm::Timestamps, LineForm::Json] {
        let bench = Bench::new();
        let log = LogSettings { max_size: Some(16 << 20), keep: Some(1), form, ..bench.log("ps.log") };
        let component = bench.run(0, log, Stderr::Join);
        let part = "x".repeat(1 << 16);
        component.say(&part);
        let before = peak_kib();
        for _ in 0..2048 {
            component.say(&part);
        }
        let folder = bench.finish();
        assert!(peak_kib() - before < 8 * 1024, "{form:?}");
        assert!(names_in(folder.path()).len() == 2);
    }
}

#[test]
fn a_run_that_says_so_in_its_output_is_ready_once_wherever_that_goes() {
    let bench = Bench::new();
    let log = || bench.log("ps.log");
    let outputs = [
        Output::Null,
        Output::File { log: log(), stderr: Stderr::Join },
        Output::File { log: log(), stderr: Stderr::File },
        Output::File { log: log(), stderr: Stderr::Null },
    ];
    for (number, output) in (1..).zip(outputs.iter().flat_map(|output| [output, output])) {
        let component = bench.run_of(number, 0, &spec(output.clone(), Some("^ready in [0-9]+ ms$")));
        component.say("not ready in 5 ms\nready");
        let on_stderr = number % 2 == 0;
        if on_stderr {
            component.complain("\nready in 7 ms\n");
        } else {
            component.say(" in 7 ms\n");
        }
        let run = RunId { component: 0, number };
        assert_eq!(bench.news.recv_timeout(LONG), Ok(News::Ready(run)), "{output:?}");
        component.say("ready in 8 ms\n");
        component.complain("ready in 9 ms\n");
    }
    let news = bench.news.clone();
    let folder = bench.finish();
    assert!(news.try_recv().is_err(), "it is said once");
    let stderr = "\nready in 7 ms\nready in 9 ms\n";
    assert!(text(&folder.path().join("ps-stderr.log")).ends_with(stderr));
    assert!(!text(&folder.path().join("ps.log")).contains("\n\n"), "what goes nowhere is not in the log");
}

#[test]
fn what_an_earlier_run_says_too_late_does_not_make_the_next_one_ready() {
    let bench = Bench::new();
    let spec = spec(Output::Null, Some("ready"));
    let first = bench.run_of(1, 0, &spec);
    let second = bench.run_of(2, 0, &spec);
    // When this one is heard, the second is known.
    let other = bench.run_of(1, 1, &spec);
    other.say("ready\n");
    assert_eq!(bench.news.recv_timeout(LONG), Ok(News::Ready(RunId { component: 1, number: 1 })));
    first.say("ready\n");
    second.say("ready\n");
    assert_eq!(bench.news.recv_timeout(LONG), Ok(News::Ready(RunId { component: 0, number: 2 })));
    drop((first, second, other));
    bench.finish();
}

#[test]
fn a_flood_that_goes_nowhere_is_read_on_after_its_run_is_ready() {
    let bench = Bench::new();
    let component = bench.run_of(1, 0, &spec(Output::Null, Some("ready")));
    component.say("ready\n");
    // Far more than a pipe holds: it returns only if somebody reads.
    component.say(&"x".repeat(4 << 20));
    bench.finish();
}

#[test]
fn the_last_words_of_a_run_are_what_it_wrote_last_to_its_standard_error() {
    let bench = Bench::new();
    let own_file = spec(Output::File { log: bench.log("ps.log"), stderr: Stderr::File }, None);
    let joined = spec(Output::File { log: bench.log("ps.log"), stderr: Stderr::Join }, None);
    for (number, spec, expected) in [
        (1, &own_file, &["panic", "bye"][..]),
        (2, &joined, &["fine", "panic", "bye"]),
        (3, &own_file, &["panic", "bye"]),
    ] {
        let component = bench.run_of(number, 0, spec);
        component.say("fine\n");
        component.complain("panic\nbye");
        drop(component);
        assert_eq!(bench.last_words(number, spec), expected);
    }
    bench.finish();
}

#[test]
fn last_words_are_told_though_somebody_holds_the_pipe_and_are_then_over() {
    let bench = Bench::new();
    let spec = spec(Output::File { log: bench.log("ps.log"), stderr: Stderr::Join }, None);
    let escaped = bench.run_of(1, 0, &spec);
    escaped.say("one\n");
    assert_eq!(bench.last_words(1, &spec), ["one"]);
    let next = bench.run_of(2, 0, &spec);
    escaped.say("of the first\n");
    next.say("of the second\n");
    assert_eq!(bench.last_words(2, &spec), ["of the second"]);
    drop((escaped, next));
    let folder = bench.finish();
    let log = text(&folder.path().join("ps.log"));
    assert!(log.contains("of the first\n") && log.contains("of the second\n"));
}

#[test]
fn who_said_nothing_has_no_last_words() {
    let bench = Bench::new();
    let spec = spec(Output::File { log: bench.log("ps.log"), stderr: Stderr::Join }, None);
    for number in [1, 2] {
        let component = bench.run_of(number, 0, &spec);
        if number == 2 {
            component.say("words\n");
        }
        assert!(bench.pump.ended(RunId { component: 0, number }, &spec));
        bench.pump.wake();
    }
    let run = RunId { component: 0, number: 2 };
    let told = News::LastWords { run, lines: vec!["words".to_owned()] };
    assert_eq!(bench.news.recv_timeout(LONG), Ok(told), "the first that is told is of the second run");
    bench.finish();
}

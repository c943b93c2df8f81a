//! Output that outlives the pump: what another one takes over.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use super::*;

/// Where the state of the pump is that is to be killed.
const STATE: &str = "S7_TEST_STATE";

fn fifos(folder: &Path) -> Option<Arc<Fifos>> {
    Some(Arc::new(Fifos::open(&folder.join("state")).unwrap()))
}

fn pipes(folder: &Path) -> Vec<String> {
    names_in(&folder.join("state/output"))
}

pub(super) fn run(number: u64) -> RunId {
    RunId { component: 0, number }
}

impl Bench {
    /// One whose pipes have names.
    pub(super) fn keeping() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap())
    }

    fn in_folder(folder: tempfile::TempDir) -> Self {
        let mut bench = Self::new();
        bench.pump.fifos = fifos(folder.path());
        bench.folder = folder;
        bench
    }

    /// What comes after it.
    pub(super) fn succeeded(self) -> Self {
        Self::in_folder(self.finish())
    }

    fn joined(&self) -> ProcessSpec {
        spec(Output::File { log: self.log("ps.log"), stderr: Stderr::Join }, None)
    }

    pub(super) fn adopt(&self, number: u64, spec: &ProcessSpec) {
        assert!(self.pump.adopt(run(number), spec, false).unwrap());
        self.pump.wake();
    }
}

#[test]
fn a_pipe_has_a_name_until_the_last_who_could_write_has_gone() {
    let bench = Bench::keeping();
    let folder = bench.folder.path().to_owned();
    let apart = spec(Output::File { log: bench.log("ps.log"), stderr: Stderr::File }, None);
    let first = bench.run_of(1, 0, &apart);
    assert_eq!(pipes(&folder), ["ps.1.err", "ps.1.out"]);
    let escaped = first.stdout.try_clone().unwrap();
    first.say("one\n");
    drop(first);
    until("the one that nobody holds is gone", || pipes(&folder) == ["ps.1.out"]);
    (&escaped).write_all(b"two\n").unwrap();
    drop(escaped);
    until("the other one is gone", || pipes(&folder).is_empty());
    let folder = bench.finish();
    assert_eq!(text(&folder.path().join("ps.log")), "one\ntwo\n");
}

#[test]
fn whoever_writes_while_no_pump_is_there_is_neither_ended_nor_unheard() {
    let bench = Bench::keeping();
    let spec = bench.joined();
    let component = bench.run_of(7, 0, &spec);
    component.say("one\nin the mid");
    let folder = bench.finish();
    component.say("dle\nthree\n");
    let bench = Bench::in_folder(folder);
    assert_eq!(bench.pump.standing().unwrap(), [(spec.id.clone(), 7)]);
    bench.adopt(7, &spec);
    component.say("four\n");
    drop(component);
    let mut bench = bench.succeeded();
    assert_eq!(text(&bench.folder.path().join("ps.log")), "one\nin the middle\nthree\nfour\n");
    // A process that another test is just starting may have the pipe open until it is executed.
    let deadline = now() + LONG;
    while !pipes(bench.folder.path()).is_empty() {
        assert!(now() < deadline, "a pipe is left that nobody holds");
        bench.adopt(7, &spec);
        bench = bench.succeeded();
    }
    assert!(!bench.pump.adopt(run(7), &spec, false).unwrap());
    bench.finish();
}

#[test]
fn the_run_after_an_adopted_one_begins_with_a_new_line() {
    let bench = Bench::keeping();
    let spec = bench.joined();
    let component = bench.run_of(1, 0, &spec);
    component.say("in the mid");
    let bench = bench.succeeded();
    bench.adopt(1, &spec);
    component.say("st of it");
    drop(component);
    assert_eq!(bench.last_words(1, &spec), ["st of it"]);
    bench.run_of(2, 0, &spec).say("next\n");
    let folder = bench.finish();
    assert_eq!(text(&folder.path().join("ps.log")), "in the midst of it\nnext\n");
}

#[test]
fn an_adopted_run_that_is_not_ready_is_heard_when_it_is() {
    let bench = Bench::keeping();
    let spec = spec(Output::Null, Some("^ready$"));
    let component = bench.run_of(1, 0, &spec);
    let bench = bench.succeeded();
    bench.adopt(1, &spec);
    component.say("ready\n");
    assert_eq!(bench.news.recv_timeout(LONG), Ok(News::Ready(run(1))));
    let bench = bench.succeeded();
    assert!(bench.pump.adopt(run(1), &spec, true).unwrap());
    component.say("ready\n");
    let news = bench.news.clone();
    bench.finish();
    assert!(news.try_recv().is_err(), "it was ready before");
}

#[test]
fn what_nobody_goes_on_with_is_stored_until_its_last_writer_has_gone() {
    let bench = Bench::keeping();
    let spec = bench.joined();
    let escaped = bench.run_of(1, 0, &spec);
    bench.run_of(2, 0, &spec).say("two\n");
    let folder = bench.finish();
    // As it is when a supervisor is killed: nobody has removed what nobody holds.
    drop(Fifos::open(&folder.path().join("state")).unwrap().make((&spec.id, 3), Purpose::Err, None).unwrap());
    let bench = Bench::in_folder(folder);
    for (id, number) in bench.pump.standing().unwrap() {
        bench.pump.let_go((&id, number), Some((0, &spec))).unwrap();
    }
    let folder = bench.folder.path().to_owned();
    let next = bench.run_of(4, 0, &spec);
    escaped.say("still here\n");
    until("only what is held has a name", || pipes(&folder) == ["ps.1.out", "ps.4.out"]);
    bench.pump.let_go((&spec.id, 1), None).unwrap();
    assert_eq!(pipes(&folder), ["ps.4.out"]);
    drop((escaped, next));
    let folder = bench.finish();
    assert!(text(&folder.path().join("ps.log")).contains("still here\n"));
}

#[test]
fn a_component_starts_though_its_pipe_can_have_no_name_and_that_is_told() {
    let bench = Bench::keeping();
    let output = bench.folder.path().join("state/output");
    // A folder that is only missing would be made again.
    fs::remove_dir(&output).unwrap();
    fs::write(&output, "").unwrap();
    let component = bench.run_of(1, 0, &bench.joined());
    until("it is told", || bench.pump.conditions().len() == 1);
    let told = &bench.pump.conditions()[0];
    assert!(told.starts_with("cannot use the folder ") && told.contains("ps would not outlive"), "{told}");
    component.say("heard\n");
    let folder = bench.finish();
    assert_eq!(text(&folder.path().join("ps.log")), "heard\n");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "somebody else has to try it")]
fn a_program_of_another_user_may_open_its_standard_output_by_name() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can be somebody else");
        return;
    }
    let bench = Bench::keeping();
    let spec = bench.joined();
    let ends = bench.pump.open(run(1), &spec, Some(12_345)).unwrap();
    bench.pump.wake();
    let mut shell = Program::new("/bin/sh");
    let shell = shell.args(["-c", "echo by name > /dev/stdout; echo again >> /dev/stderr"]);
    let status =
        shell.uid(12_345).gid(12_345).current_dir("/").stdout(ends.stdout).stderr(ends.stderr).status();
    assert!(status.unwrap().success());
    let folder = bench.finish();
    assert_eq!(text(&folder.path().join("ps.log")), "by name\nagain\n");
}

#[test]
fn a_pipe_that_was_full_is_read_whole_after_a_pause() {
    let bench = Bench::keeping();
    let spec = bench.joined();
    let component = bench.run_of(1, 0, &spec);
    let folder = bench.finish();
    // Longer than the pipe: it waits in the middle, and goes on when somebody reads.
    let said: String = (0..40_000).map(|number| format!("{number:9}\n")).collect();
    let folder = std::thread::scope(|scope| {
        scope.spawn(|| component.say(&said));
        let bench = Bench::in_folder(folder);
        bench.adopt(1, &spec);
        until("all is stored", || holds(&bench.folder.path().join("ps.log"), &said));
        bench.finish()
    });
    drop(folder);
}

/// The two components of the test below: one that writes little, and one whose log is rotated.
fn specs(folder: &Path) -> [ProcessSpec; 2] {
    let plain = LogSettings::new(folder.join("ps.log"));
    let rotated = LogSettings { max_size: Some(100_000), ..LogSettings::new(folder.join("is.log")) };
    [("ps", plain), ("is", rotated)].map(|(id, log)| {
        let mut spec = ProcessSpec::new(id, "true").unwrap();
        spec.output = Output::File { log, stderr: Stderr::Join };
        spec
    })
}

fn pump_for(folder: &Path) -> Pump {
    let pump = Pump::start(Arc::new(|_| {}), fifos(folder)).unwrap();
    for (component, spec) in (0..).zip(&specs(folder)) {
        assert!(pump.adopt(RunId { component, number: 1 }, spec, true).unwrap());
    }
    pump.wake();
    pump
}

#[test]
#[ignore = "is the process that the test below kills"]
fn is_a_pump_until_it_is_killed() {
    let Some(folder) = std::env::var_os(STATE) else { return };
    let _pump = pump_for(Path::new(&folder));
    eprintln!("adopted");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[expect(clippy::disallowed_methods, reason = "only a process can be killed")]
fn pump_in_a_process(folder: &Path) -> Child {
    let mut program = Program::new(std::env::current_exe().unwrap());
    let test = format!("{}::is_a_pump_until_it_is_killed", module_path!().split_once("::").unwrap().1);
    program.args(["--exact", &test, "--ignored", "--nocapture"]).env(STATE, folder);
    program.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn pause_of_up_to(micros: u64) {
    let pause = getrandom::u64().unwrap() % micros;
    let _ = crossbeam_channel::never::<()>().recv_timeout(Duration::from_micros(pause));
}

/// Writes numbered lines, so many at a time, until it is over; says how many.
fn count_aloud(mut stdout: File, at_once: usize, is_over: &AtomicBool) -> usize {
    let mut lines = 0;
    while !is_over.load(Ordering::Relaxed) {
        let text: String = (lines..lines + at_once).map(|number| format!("{number}\n")).collect();
        stdout.write_all(text.as_bytes()).unwrap();
        lines += at_once;
        pause_of_up_to(2_000);
    }
    lines
}

#[test]
fn nothing_is_lost_doubled_or_torn_by_fifty_pumps_that_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut first = Pump::start(Arc::new(|_| {}), fifos(folder)).unwrap();
    let ends = [0, 1].map(|component| {
        let run = RunId { component, number: 1 };
        first.open(run, &specs(folder)[component as usize], None).unwrap()
    });
    first.finish(LONG);
    let [trickle, flood] = ends.map(|ends| File::from(ends.stdout));
    let is_over = AtomicBool::new(false);
    let (of_trickle, of_flood) = std::thread::scope(|scope| {
        let trickle = scope.spawn(|| count_aloud(trickle, 1, &is_over));
        let flood = scope.spawn(|| count_aloud(flood, 3_000, &is_over));
        for round in 0..50 {
            let mut pump = pump_in_a_process(folder);
            // Every other one is killed wherever it has come to.
            if round % 2 == 0 {
                let mut said = BufReader::new(pump.stderr.take().unwrap()).lines();
                assert!(said.any(|line| line.unwrap() == "adopted"));
                pause_of_up_to(10_000);
            } else {
                pause_of_up_to(40_000);
            }
            pump.kill().unwrap();
            pump.wait().unwrap();
        }
        // Before the components end: what they write goes with them if nobody has the other end then.
        let mut last = pump_for(folder);
        is_over.store(true, Ordering::Relaxed);
        let counted = (trickle.join().unwrap(), flood.join().unwrap());
        last.finish(LONG);
        counted
    });
    for (name, lines) in [("ps.log", of_trickle), ("is.log", of_flood)] {
        let files = whole_log(folder, name);
        let expected: String = (0..lines).map(|number| format!("{number}\n")).collect();
        let (found, expected) = (files.concat(), expected.into_bytes());
        let same = found.iter().zip(&expected).take_while(|(found, expected)| found == expected).count();
        let around = String::from_utf8_lossy(&found[same.saturating_sub(40)..found.len().min(same + 40)]);
        assert!(
            found == expected,
            "{name}: {} bytes instead of {}, from {same} on: {around:?}",
            found.len(),
            expected.len()
        );
        assert!(files.iter().all(|file| file.ends_with(b"\n")), "a line of {name} is torn");
    }
    assert!(whole_log(folder, "is.log").len() > 2, "it was rotated");
    // A process that another test is just starting may have a pipe open until its own program runs.
    until("nobody holds a pipe", || {
        let mut next = Pump::start(Arc::new(|_| {}), fifos(folder)).unwrap();
        for (component, spec) in (0..).zip(&specs(folder)) {
            next.adopt(RunId { component, number: 1 }, spec, true).unwrap();
        }
        next.finish(LONG);
        pipes(folder).is_empty()
    });
}

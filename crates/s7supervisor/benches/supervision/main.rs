//! Supervision, measured beside the bare loop: `cargo bench -p s7supervisor --bench supervision [-- --quick]`.
//!
//! Absolute times differ from machine to machine, and from minute to minute on a busy one. So each is measured
//! together with what the operating system itself takes: a process that does nothing but pidfd, epoll and spawn around
//! the same program (`bare`), in turns. The ratio is the figure. `docs/performance.md` explains the table.
//!
//! It ends with an error if a *count* is wrong: a replacement lost or doubled, a zombie, an orphan, a descriptor
//! leaked, wake-ups while nothing happens, memory far beyond its target. Times are told and never fail it.
//!
//! With `-- restarts` it measures only how soon a component is back, with `-- engine` only what the restart engine
//! takes: a crash loop, a thousand health checks.
//!
//! - `engine`: what the restart engine takes
//! - `answerer`: whom health checks ask
//! - `subject`: ours or the bare loop, running, with what its components tell
//! - `bare`: the bare loop
//! - `proc`: what the kernel says of processes
//! - `figures`: medians and the table
//! - `component.c`: what is supervised
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at clocks, idles, and starts processes")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints its table")]

mod answerer;
mod bare;
mod engine;
mod figures;
mod proc;
mod subject;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use figures::{Table, Times, timed};
use subject::{AT_ONCE, Kind, Subject};
use tempfile::TempDir;

type Failure = Box<dyn std::error::Error>;

/// The components of the large measurements.
const MANY: usize = 1_000;
/// Half of the time between two kills of the same supervisor: longer than half of `resetAfter`, so that each component
/// counts as stable when it is killed.
const HALF_PACE: Duration = Duration::from_millis(525);
/// How long idleness is watched.
const IDLE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    if let Err(failure) = bare::become_if_asked() {
        eprintln!("the bare loop: {failure}");
        return ExitCode::FAILURE;
    }
    // `cargo test --all-targets` runs this too, without the argument, and measures nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let is_asked = |word: &str| std::env::args().any(|argument| argument == word);
    let rounds = if is_asked("--quick") { &QUICK } else { &FULL };
    let mut wrong = Vec::new();
    if is_asked("restarts") {
        wrong.extend(told("bare", rounds, Bench::one));
    } else {
        if !is_asked("engine") {
            wrong.extend(told("bare", rounds, Bench::supervision));
        }
        wrong.extend(told("calm", rounds, Bench::crash_loop));
        wrong.extend(told("bare", rounds, Bench::health));
    }
    wrong.iter().for_each(|wrong| eprintln!("WRONG: {wrong}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures, prints the table, and returns what is wrong.
fn told(
    beside: &'static str,
    rounds: &'static Rounds,
    measure: impl FnOnce(&mut Bench) -> Result<(), Failure>,
) -> Vec<String> {
    let mut bench = match Bench::new(beside, rounds) {
        Ok(bench) => bench,
        Err(failure) => return vec![failure.to_string()],
    };
    if let Err(failure) = measure(&mut bench) {
        bench.table.wrong.push(failure.to_string());
    }
    println!("{}", bench.table);
    bench.table.wrong
}

/// How often things are done.
struct Rounds {
    kills: usize,
    kills_in_a_row: usize,
    starts: usize,
    commands: usize,
    crashes: usize,
    /// For how long processor time is watched.
    watch: Duration,
}

const FULL: Rounds = Rounds {
    kills: 60,
    kills_in_a_row: 1_000,
    starts: 5,
    commands: 20,
    crashes: 10_000,
    watch: Duration::from_secs(30),
};
const QUICK: Rounds = Rounds {
    kills: 6,
    kills_in_a_row: 300,
    starts: 1,
    commands: 5,
    crashes: 2_000,
    watch: Duration::from_secs(20),
};

/// Where things are, and where the figures go.
struct Bench {
    rounds: &'static Rounds,
    folder: TempDir,
    program: PathBuf,
    folders: usize,
    table: Table,
}

impl Bench {
    fn new(beside: &'static str, rounds: &'static Rounds) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let program = subject::compile(folder.path())?;
        Ok(Self { rounds, folder, program, folders: 0, table: Table::beside(beside) })
    }

    /// What supervision takes.
    fn supervision(&mut self) -> Result<(), Failure> {
        self.one()?;
        self.many()?;
        self.kills_in_a_row()?;
        self.crashes()
    }

    /// A component alone.
    fn one(&mut self) -> Result<(), Failure> {
        let (mut bare, _) = self.start(Kind::Bare, 1)?;
        let (mut ours, _) = self.start(Kind::Ours, 1)?;
        self.restarts("from SIGKILL to the next run's first instruction, ms", &mut bare, &mut ours)?;
        let size = megabytes(proc::proportional_size(ours.pid())?);
        self.table.figure("memory (PSS) with 1 component, MB", &format!("{size:.1}"), "");
        ours.stop()
    }

    /// A thousand of them.
    fn many(&mut self) -> Result<(), Failure> {
        let (mut bare_times, mut our_times) = (Times::default(), Times::default());
        for _ in 0..self.rounds.starts {
            bare_times.add(self.start(Kind::Bare, MANY)?.1);
            let (ours, time) = self.start(Kind::Ours, MANY)?;
            our_times.add(time);
            ours.stop()?;
        }
        let what = "from the start to the first instruction of the last of 1,000, ms";
        self.table.pairs(what, &bare_times, &our_times, "");
        let (mut ours, _) = self.start(Kind::Ours, MANY)?;
        ours.await_up()?;
        self.idleness(&ours)?;
        self.commands(&ours)?;
        // At rest again.
        sleep(2 * HALF_PACE);
        let size = megabytes(proc::proportional_size(ours.pid())?);
        let what = "memory (PSS) with 1,000 components, MB";
        self.table.count(what, &format!("{size:.1}"), "under 8", size < 8.0);
        let (mut bare, _) = self.start(Kind::Bare, MANY)?;
        self.restarts("from SIGKILL to the next run beside 1,000 idle, ms", &mut bare, &mut ours)?;
        ours.stop()
    }

    /// How long it takes until what was killed is back, ours and the bare loop in turns.
    fn restarts(&mut self, measure: &str, bare: &mut Subject, ours: &mut Subject) -> Result<(), Failure> {
        let (mut bare_times, mut our_times) = (Times::default(), Times::default());
        sleep(HALF_PACE);
        for round in 0..self.rounds.kills {
            sleep(HALF_PACE);
            bare_times.add(bare.kill(round % bare.components())?);
            sleep(HALF_PACE);
            our_times.add(ours.kill(round % ours.components())?);
        }
        self.table.pairs(measure, &bare_times, &our_times, "ratio at most 1.5");
        bare.settle()?;
        ours.settle()
    }

    /// What it takes to do nothing.
    fn idleness(&mut self, ours: &Subject) -> Result<(), Failure> {
        sleep(Duration::from_secs(1));
        let before = proc::context_switches(ours.pid())?;
        sleep(IDLE);
        let switches = proc::context_switches(ours.pid())? - before;
        let what = "context switches of all threads in 10 s with 1,000 idle";
        self.table.count(what, &switches, "at most 5", switches <= 5);
        Ok(())
    }

    /// Commands as people give them, beside a process that does nothing.
    fn commands(&mut self, ours: &Subject) -> Result<(), Failure> {
        for (what, arguments, lines, target) in [
            ("`status` of 1,000, the whole process, ms", &[][..], MANY, "under 20"),
            ("`status ID` of one of 1,000, ms", &["component-500"], 1, ""),
        ] {
            let (mut nothing, mut command) = (Times::default(), Times::default());
            for _ in 0..self.rounds.commands {
                nothing.add(timed(|| Ok(Command::new(&self.program).output()?))?.0);
                let (time, answer) = timed(|| ours.status(arguments))?;
                command.add(time);
                let told =
                    answer.unwrap_or_default().lines().filter(|line| line.contains("component-")).count();
                if told != lines {
                    return Err(
                        format!("status tells of {told} components that are up, not of {lines}").into()
                    );
                }
            }
            self.table.pairs(what, &nothing, &command, target);
        }
        Ok(())
    }

    /// Kills as fast as the replacements come.
    fn kills_in_a_row(&mut self) -> Result<(), Failure> {
        let kills = self.rounds.kills_in_a_row;
        let (mut bare, _) = self.start(Kind::Bare, 1)?;
        let (mut ours, _) = self.start(Kind::OursWith(&|_| AT_ONCE.to_owned()), 1)?;
        let (mut bare_times, mut our_times) = (Times::default(), Times::default());
        for (subject, times) in [(&mut bare, &mut bare_times), (&mut ours, &mut our_times)] {
            for _ in 0..kills {
                times.add(subject.kill(0)?);
            }
        }
        let what = format!("each of {kills} kills in a row, ms");
        self.table.pairs(&what, &bare_times, &our_times, "");
        ours.settle()?;
        let replacements = ours.runs - 1;
        let what = format!("replacements for {kills} kills in a row");
        self.table.count(&what, &replacements, &kills.to_string(), replacements == kills);
        ours.stop()
    }

    /// Ten components that crash as fast as they are started.
    fn crashes(&mut self) -> Result<(), Failure> {
        const COMPONENTS: usize = 10;
        let (mut ours, _) = self.start(Kind::OursWith(&|_| AT_ONCE.to_owned()), COMPONENTS)?;
        ours.await_up()?;
        ours.settle()?;
        let (descriptors, size) = (proc::descriptors(ours.pid())?, proc::resident_size(ours.pid())?);
        ours.set_crashing(true)?;
        for component in 0..COMPONENTS {
            ours.send_kill(component)?;
        }
        let began = Instant::now();
        for _ in 0..self.rounds.crashes {
            ours.await_run()?;
        }
        let each = began.elapsed().as_secs_f64() * 1e3 / f64::from(u32::try_from(self.rounds.crashes)?);
        ours.set_crashing(false)?;
        ours.settle()?;
        let what = format!("each of {} crashes of 10 components, ms", self.rounds.crashes);
        self.table.figure(&what, &format!("{each:.2}"), "");
        let leaked = proc::descriptors(ours.pid())?.abs_diff(descriptors);
        self.table.count("descriptors more or less after these crashes", &leaked, "0", leaked == 0);
        let (before, after) = (megabytes(size), megabytes(proc::resident_size(ours.pid())?));
        let what = "resident memory before and after them, MB";
        self.table.figure(what, &format!("{before:.1}, {after:.1}"), "");
        let (began, told) = (ours.runs - COMPONENTS, restarts_told(&ours)?);
        self.table.count(
            "restarts begun and told of",
            &format!("{began}, {told}"),
            "the same",
            began == told,
        );
        ours.stop()
    }

    fn start(&mut self, kind: Kind<'_>, count: usize) -> Result<(Subject, Duration), Failure> {
        self.folders += 1;
        let folder = self.folder.path().join(self.folders.to_string());
        Subject::start(kind, &folder, &self.program, count).map_err(|error| {
            let name = if let Kind::Bare = kind { "the bare loop" } else { "ours" };
            format!("{name}: {error}").into()
        })
    }
}

/// The restarts that ours has counted, of all components together.
fn restarts_told(ours: &Subject) -> Result<usize, Failure> {
    let answer = ours.status(&["--json"])?.ok_or("not all components are up")?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let components = answer["components"].as_array().ok_or("status tells of no components")?;
    let restarts = components.iter().filter_map(|component| component["restarts"].as_u64()).sum::<u64>();
    Ok(usize::try_from(restarts)?)
}

/// In megabytes of 1,048,576 bytes.
fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes of processes are far below 2^53")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}

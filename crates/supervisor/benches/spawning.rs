//! What it costs to start a component with a user of its own, from a small process and from a large one:
//! `cargo bench -p supervisor --bench spawning`. As root.
//!
//! Two processes are asked in turns to start a component, the one with 5 MB and the other with 500 MB resident, each by
//! the library and by the standard library. Times differ from machine to machine; the ratios are the figure.
//!
//! By the library it is the whole way from [`Handle::start`](supervisor::Handle::start) until the program runs: it contains the
//! driver's being woken, the look at the user, and the answer. By the standard library it is `Command::spawn` alone.
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at clocks and starts processes")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints its table")]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use supervisor::{Handle, Never, ProcessSpec, Supervisor};

type Failure = Box<dyn std::error::Error>;

/// Starts of each kind, by each process.
const ROUNDS: usize = 200;
const SMALL: usize = 5;
const LARGE: usize = 500;
const NOBODY: u32 = 65_534;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--starter"), Some(megabytes)) => start_as_told(&megabytes),
        // `cargo test --all-targets` runs this too, without the argument, and measures nothing.
        _ if !std::env::args().any(|argument| argument == "--bench") => Ok(()),
        _ => compare(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Asks both in turns, and tells.
fn compare() -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err("it takes root to start what has another user".into());
    }
    let (mut small, mut large) = (Starter::new(SMALL)?, Starter::new(LARGE)?);
    println!("| started by | from {SMALL} MB, ms | from {LARGE} MB, ms | ratio | target |");
    println!("| --- | --- | --- | --- | --- |");
    for (kind, target) in [("supervisor", "at most 1.5"), ("std", "")] {
        let (mut from_small, mut from_large, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (one, other) = (small.start(kind)?, large.start(kind)?);
            from_small.push(one);
            from_large.push(other);
            ratios.push(other / one);
        }
        let (one, other, pairwise) = (median(from_small), median(from_large), median(ratios));
        let ratio = format!("{:.2} (pairwise {pairwise:.2})", other / one);
        println!("| {kind} | {one:.2} | {other:.2} | {ratio} | {target} |");
    }
    Ok(())
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// A process of a size, which starts a component when it is told to.
struct Starter {
    process: Child,
    /// `None` once it is to end.
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Starter {
    fn new(megabytes: usize) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--starter", &megabytes.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let answers = BufReader::new(process.stdout.take().ok_or("no pipe for its answers")?).lines();
        Ok(Self { orders: process.stdin.take(), process, answers })
    }

    /// How long a start took, in milliseconds.
    fn start(&mut self, kind: &str) -> Result<f64, Failure> {
        writeln!(self.orders.as_ref().ok_or("no pipe for its orders")?, "{kind}")?;
        Ok(self.answers.next().ok_or("the starter has ended")??.parse()?)
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.process.wait();
    }
}

fn start_as_told(megabytes: &str) -> Result<(), Failure> {
    let ballast = black_box(vec![1_u8; megabytes.parse::<usize>()? << 20]);
    let mut spec = ProcessSpec::new("sleeper", "/bin/sleep")?;
    spec.arguments = vec!["1000".into()];
    spec.user = Some("nobody".to_owned());
    spec.restart = std::sync::Arc::new(Never);
    spec.autostart = false;
    spec.start_delay = Duration::ZERO;
    let supervisor = Supervisor::builder().components([spec]).start()?;
    let handle = supervisor.handle();
    for order in std::io::stdin().lines() {
        let time = if order? == "std" { by_std()? } else { by_supervisor(&handle)? };
        println!("{}", time.as_secs_f64() * 1e3);
    }
    drop(black_box(ballast));
    Ok(())
}

fn by_supervisor(handle: &Handle) -> Result<Duration, Failure> {
    let began = Instant::now();
    handle.start("sleeper")?.wait()?;
    let time = began.elapsed();
    handle.stop("sleeper")?.wait()?;
    Ok(time)
}

fn by_std() -> Result<Duration, Failure> {
    let began = Instant::now();
    let mut child = Command::new("/bin/sleep").arg("1000").uid(NOBODY).gid(NOBODY).spawn()?;
    let time = began.elapsed();
    child.kill()?;
    child.wait()?;
    Ok(time)
}

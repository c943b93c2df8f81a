//! What it costs to be asked: `cargo bench -p s7supervisor --bench control [-- --quick]`.
//!
//! A supervisor with a thousand components is measured while it has nothing to do, and then while a hundred of them crash every
//! second. At last another, `calm`, is started beside it, and how long a killed component takes to come back is compared: with the
//! calm one, which nobody asks, and with ours, which is asked as fast as it answers all the while.
//!
//! Times are told and never fail it; an answer that is not right does. With `-- --few` it only shows that it works.
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at clocks, idles, and starts processes")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints its table")]

#[path = "supervision/bare.rs"]
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod bare;
#[path = "supervision/figures.rs"]
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod figures;
#[path = "supervision/proc.rs"]
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod proc;
#[path = "supervision/subject.rs"]
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod subject;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use figures::{Table, Times, timed};
use subject::{Kind, Subject};

type Failure = Box<dyn std::error::Error>;

/// Those that crash come back after a second, for ever.
const CRASHES: &str = r#"<restart delay="1s" maxDelay="1s" jitter="0"/>"#;
/// Between two kills of the same component: longer than it takes to count as stable.
const PACE: Duration = Duration::from_millis(1_050);

/// How much is done.
struct Rounds {
    components: usize,
    crashing: usize,
    commands: usize,
    lists: usize,
    kills: usize,
    /// For how long requests are counted.
    asking: Duration,
}

const FULL: Rounds = Rounds {
    components: 1_000,
    crashing: 100,
    commands: 50,
    lists: 100,
    kills: 40,
    asking: Duration::from_secs(10),
};
const QUICK: Rounds = Rounds {
    components: 1_000,
    crashing: 100,
    commands: 5,
    lists: 10,
    kills: 5,
    asking: Duration::from_secs(2),
};

/// To see that it works, on any machine.
const FEW: Rounds = Rounds { components: 20, crashing: 5, ..QUICK };

impl Rounds {
    /// The one that is asked about and killed.
    fn one(&self) -> usize {
        self.components / 2
    }

    fn question(&self) -> String {
        format!("/v1/components/component-{}", self.one())
    }
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs this too, without the argument, and measures nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let is_asked = |word: &str| std::env::args().any(|argument| argument == word);
    let rounds = match (is_asked("--few"), is_asked("--quick")) {
        (true, _) => &FEW,
        (_, true) => &QUICK,
        _ => &FULL,
    };
    let mut table = Table::beside("calm");
    if let Err(failure) = measure(rounds, &mut table) {
        table.wrong.push(failure.to_string());
    }
    println!("{table}");
    table.wrong.iter().for_each(|wrong| eprintln!("WRONG: {wrong}"));
    if table.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(rounds: &Rounds, table: &mut Table) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let program = subject::compile(folder.path())?;
    let elements = |number: usize| if number < rounds.crashing { CRASHES.to_owned() } else { String::new() };
    let start = |name: &str| {
        Subject::start(Kind::OursWith(&elements), &folder.path().join(name), &program, rounds.components)
    };
    let sockets = ["calm", "ours"].map(|name| folder.path().join(name).join("temp/s7supervisor.sock"));
    let mut ours = start("ours")?.0;
    ours.await_up()?;
    sleep(2 * PACE);
    let while_calm = commands(rounds, &ours)?;
    requests(rounds, table, &sockets[1], "nothing happens")?;
    for component in 0..rounds.crashing {
        ours.start_loop(component)?;
    }
    sleep(2 * PACE);
    for ((what, target, calm_times), (.., our_times)) in while_calm.iter().zip(commands(rounds, &ours)?) {
        table.pairs(what, calm_times, &our_times, target);
    }
    requests(rounds, table, &sockets[1], "components crash")?;

    let mut calm = start("calm")?.0;
    calm.await_up()?;
    lists(rounds, table, &sockets)?;
    restarts(rounds, table, (&mut calm, &mut ours), &sockets[1])?;
    let told = list(&mut connect(&sockets[1])?)?;
    let is_right = told == rounds.components;
    table.count(
        "components that the list tells of at the end",
        &told,
        &rounds.components.to_string(),
        is_right,
    );
    calm.stop()?;
    ours.stop()
}

/// Commands as people give them: what, how fast it should be, and how fast it is.
fn commands(rounds: &Rounds, subject: &Subject) -> Result<[(&'static str, &'static str, Times); 2], Failure> {
    let one = format!("component-{}", rounds.one());
    let times = |arguments: &[&str]| {
        let mut times = Times::default();
        for _ in 0..rounds.commands {
            // What crashes is not up, which the exit code of all of them says.
            let (time, told) = timed(|| subject.status(arguments))?;
            times.add(time);
            if arguments == [&one] && !told.is_some_and(|told| told.contains(&one)) {
                return Err(Failure::from(format!("status does not tell that {one} is up")));
            }
        }
        Ok(times)
    };
    Ok([
        ("`status ID`, the whole process, ms", "under 5", times(&[&one])?),
        ("`status` of all, the whole process, ms", "under 20", times(&["--json"])?),
    ])
}

/// Requests over a kept connection.
fn requests(rounds: &Rounds, table: &mut Table, socket: &Path, when: &str) -> Result<(), Failure> {
    let mut connection = connect(socket)?;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < rounds.asking {
        ask(&mut connection, &rounds.question())?;
        count += 1;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    let what = format!("requests a second for one component while {when}");
    table.figure(&what, &format!("{rate:.0}"), "10,000");
    Ok(())
}

/// All that there are, over kept connections.
fn lists(rounds: &Rounds, table: &mut Table, sockets: &[PathBuf; 2]) -> Result<(), Failure> {
    let [mut calm, mut ours] = [connect(&sockets[0])?, connect(&sockets[1])?];
    let (mut calm_times, mut our_times) = (Times::default(), Times::default());
    for _ in 0..rounds.lists {
        calm_times.add(timed(|| list(&mut calm))?.0);
        our_times.add(timed(|| list(&mut ours))?.0);
    }
    table.pairs("the list of all over a kept connection, ms", &calm_times, &our_times, "");
    Ok(())
}

/// How long it takes until what was killed is back: of the one that is asked all the while, and of the one that is not.
fn restarts(
    rounds: &Rounds,
    table: &mut Table,
    (calm, ours): (&mut Subject, &mut Subject),
    socket: &Path,
) -> Result<(), Failure> {
    let (mut calm_times, mut our_times) = (Times::default(), Times::default());
    let is_over = AtomicBool::new(false);
    let mut connection = connect(socket)?;
    scope(|scope| {
        let asking = scope.spawn(|| {
            let mut count = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                ask(&mut connection, &rounds.question()).map_err(|failure| failure.to_string())?;
                count += 1;
            }
            Ok::<_, String>(count)
        });
        let killed = (0..rounds.kills).try_for_each(|_| {
            sleep(PACE / 2);
            calm_times.add(calm.kill(rounds.one())?);
            sleep(PACE / 2);
            our_times.add(ours.kill(rounds.one())?);
            Ok::<_, Failure>(())
        });
        is_over.store(true, Ordering::Relaxed);
        killed?;
        let count = asking.join().map_err(|_| "whoever asks has panicked")??;
        table.figure("requests answered meanwhile", &count, "");
        Ok::<_, Failure>(())
    })?;
    let what = "from SIGKILL to the next run while it is asked and others crash, ms";
    table.pairs(what, &calm_times, &our_times, "ratio at most 1.5");
    Ok(())
}

fn connect(socket: &Path) -> Result<UnixStream, Failure> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// How many components the list has.
fn list(connection: &mut UnixStream) -> Result<usize, Failure> {
    let list: serde_json::Value = serde_json::from_slice(&ask(connection, "/v1/components")?)?;
    Ok(list.as_array().ok_or("it is no list")?.len())
}

/// The body of the answer to a question.
fn ask(connection: &mut UnixStream, path: &str) -> Result<Vec<u8>, Failure> {
    connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut read = vec![0; 64 << 10];
    let (mut length, mut whole) = (0, None);
    loop {
        if let Some(whole) = whole.filter(|whole| length >= *whole) {
            read.truncate(whole);
            let body = read.windows(4).position(|end| end == b"\r\n\r\n").ok_or("no head")? + 4;
            return Ok(read.split_off(body));
        }
        if length == read.len() {
            read.resize(2 * length, 0);
        }
        let more = connection.read(&mut read[length..])?;
        if more == 0 {
            return Err("the connection was closed".into());
        }
        length += more;
        if let (None, Some(end)) = (whole, read[..length].windows(4).position(|end| end == b"\r\n\r\n")) {
            let head = std::str::from_utf8(&read[..end])?;
            if !head.starts_with("HTTP/1.1 200") {
                return Err(format!("it answers {head:.40}").into());
            }
            let size =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or("no length")?;
            whole = Some(end + 4 + size.trim().parse::<usize>()?);
        }
    }
}

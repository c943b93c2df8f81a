//! What it costs to store the output of components, beside `cat > file` and `s6-log`, and what memory.
//!
//! ```sh
//! cargo bench -p supervisor --bench output                     # five minutes
//! cargo bench -p supervisor --bench output -- --quick          # one and a half
//! cargo bench -p supervisor --bench output -- raw              # only that part: raw, forms, trickle or memory
//! ```
//!
//! Each round measures all in turn, so that what else the machine does hits all alike; the medians are told, and the medians of
//! the ratios round by round. Nothing fails: machines are shared. Files are written to `BENCH_DIR`, or else `/tmp`.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock, sleeps and starts processes")]
#![expect(clippy::print_stdout, reason = "it tells what it has measured")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::time::{ClockId, clock_gettime};
use supervisor::{EventKind, LineForm, LogSettings, Output, ProcessSpec, Stderr, Supervisor};

type Done<T = ()> = Result<T, Box<dyn Error>>;

const GIBIBYTE: u64 = 1 << 30;
const FILE_SIZE: u64 = 16 << 20;
/// How many components write how many lines a second in the third part.
const COMPONENTS: usize = 1_000;
const LINES_A_SECOND: u32 = 10;

fn main() -> Done {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", bytes] => return Ok(write_lines(bytes.parse()?)?),
        ["trickle"] => return Ok(trickle()?),
        _ => {}
    }
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let part = arguments.iter().find(|argument| !argument.starts_with('-'));
    let is_asked_for = |name: &str| part.is_none_or(|part| part == name);
    let folder = tempfile::tempdir_in(std::env::var_os("BENCH_DIR").unwrap_or_else(|| "/tmp".into()))?;
    let rounds = if is_quick { 3 } else { 7 };
    if is_asked_for("raw") {
        println!("1 GiB of lines of 100 bytes, medians of {rounds} rounds; beside cat > file");
        compare(folder.path(), rounds, GIBIBYTE, RAW)?;
    }
    if is_asked_for("forms") {
        let (beside, subjects) = if Command::new("s6-log").arg("-h").output().is_ok() {
            ("beside s6-log T", FORMS)
        } else {
            ("alone: s6-log is not installed", &FORMS[1..])
        };
        println!("256 MiB of lines of 100 bytes, medians of {rounds} rounds; {beside}");
        compare(folder.path(), rounds, GIBIBYTE / 4, subjects)?;
    }
    if is_asked_for("trickle") {
        measure_trickles(folder.path(), Duration::from_secs(if is_quick { 5 } else { 20 }))?;
    }
    if is_asked_for("memory") {
        let bytes = if is_quick { GIBIBYTE } else { 10 * GIBIBYTE };
        for form in [LineForm::Raw, LineForm::Timestamps, LineForm::Json] {
            measure_memory(folder.path(), form, bytes)?;
        }
    }
    Ok(())
}

/// A way into a log: it takes so many bytes, and says what processor time that took beside the writer's.
struct Subject {
    name: &'static str,
    run: fn(&Path, u64) -> Done<Duration>,
}

const RAW: &[Subject] = &[
    Subject { name: "cat > file", run: cat },
    Subject {
        name: "raw, 16 MiB files",
        run: |folder, bytes| supervised(folder, bytes, LineForm::Raw, true),
    },
    Subject { name: "raw, one file", run: |folder, bytes| supervised(folder, bytes, LineForm::Raw, false) },
];

const FORMS: &[Subject] = &[
    Subject { name: "s6-log T", run: s6_log },
    Subject {
        name: "timestamps",
        run: |folder, bytes| supervised(folder, bytes, LineForm::Timestamps, true),
    },
    Subject { name: "json", run: |folder, bytes| supervised(folder, bytes, LineForm::Json, true) },
];

fn compare(folder: &Path, rounds: usize, bytes: u64, subjects: &[Subject]) -> Done {
    let mut measured: Vec<Vec<(f64, f64)>> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (subject, measured) in subjects.iter().zip(&mut measured) {
            let began = Instant::now();
            let used = (subject.run)(folder, bytes)?;
            measured.push((began.elapsed().as_secs_f64(), used.as_secs_f64()));
        }
    }
    for (subject, rounds) in subjects.iter().zip(&measured) {
        let rate = bytes as f64 / 1e6 / median(rounds.iter().map(|round| round.0));
        let faster = median(rounds.iter().zip(&measured[0]).map(|(round, first)| first.0 / round.0));
        let used = median(rounds.iter().map(|round| round.1));
        let more = median(rounds.iter().zip(&measured[0]).map(|(round, first)| round.1 / first.1));
        println!(
            "  {:20} {rate:6.0} MB/s ({faster:5.2} times)   {used:5.2} s of processor time ({more:4.2} times)",
            subject.name
        );
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cat(folder: &Path, bytes: u64) -> Done<Duration> {
    let path = folder.join("cat.log");
    let mut cat = Command::new("cat");
    cat.stdout(File::create(&path)?);
    let used = beside_writer(bytes, cat)?;
    fs::remove_file(path)?;
    Ok(used)
}

fn s6_log(folder: &Path, bytes: u64) -> Done<Duration> {
    let logs = folder.join("s6");
    let mut s6_log = Command::new("s6-log");
    s6_log.args(["T", "n1", &format!("s{FILE_SIZE}")]).arg(&logs);
    let used = beside_writer(bytes, s6_log)?;
    fs::remove_dir_all(logs)?;
    Ok(used)
}

/// Has a program read what the writer writes.
fn beside_writer(bytes: u64, mut reader: Command) -> Done<Duration> {
    let mut writer = Command::new(std::env::current_exe()?);
    let mut writer = writer.args(["write", &bytes.to_string()]).stdout(Stdio::piped()).spawn()?;
    let reader = reader.stdin(writer.stdout.take().ok_or("no pipe")?).spawn()?;
    let used = used_by(reader)?;
    writer.wait()?;
    Ok(used)
}

/// The processor time of a process, when it has ended.
fn used_by(mut process: Child) -> Done<Duration> {
    let pid = Pid::from_raw(process.id().cast_signed()).ok_or("no pid")?;
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let told = fs::read_to_string(format!("/proc/{}/schedstat", process.id()))?;
    let used = told.split_whitespace().next().ok_or("no time")?.parse()?;
    process.wait()?;
    Ok(Duration::from_nanos(used))
}

fn supervised(folder: &Path, bytes: u64, form: LineForm, is_rotated: bool) -> Done<Duration> {
    let used = used_by_us();
    let max_size = is_rotated.then_some(FILE_SIZE);
    let logs = folder.join("logs");
    let log = LogSettings { max_size, keep: Some(1), form, ..LogSettings::new(logs.join("writer.log")) };
    let mut spec = ProcessSpec::new("writer", std::env::current_exe()?)?;
    spec.arguments = vec!["write".into(), bytes.to_string().into()];
    spec.restart = Arc::new(supervisor::Never);
    spec.output = Output::File { log, stderr: Stderr::Join };
    let mut builder = Supervisor::builder().components([spec]).state_dir(folder.join("state"));
    let events = builder.subscribe();
    let supervisor = builder.start()?;
    let handle = supervisor.handle();
    handle.start("writer")?.wait()?;
    let _ = events.iter().find(|event| matches!(event.kind, EventKind::Exited { .. }));
    handle.shutdown()?;
    supervisor.wait()?;
    fs::remove_dir_all(logs)?;
    Ok(used_by_us() - used)
}

fn measure_trickles(folder: &Path, time: Duration) -> Done {
    let logs = folder.join("logs");
    let spec = |number: usize| -> Done<ProcessSpec> {
        let mut spec = ProcessSpec::new(&format!("c{number}"), std::env::current_exe()?)?;
        spec.arguments = vec!["trickle".into()];
        let log = LogSettings { dated: true, ..LogSettings::new(logs.join(format!("c{number}.log"))) };
        spec.output = Output::File { log, stderr: Stderr::Join };
        spec.autostart = true;
        Ok(spec)
    };
    let specs: Vec<_> = (0..COMPONENTS).map(spec).collect::<Done<_>>()?;
    let mut builder = Supervisor::builder().components(specs).state_dir(folder.join("state"));
    let events = builder.subscribe();
    let supervisor = builder.start()?;
    let started = events.iter().filter(|event| matches!(event.kind, EventKind::Started { .. }));
    let _ = started.take(COMPONENTS).count();
    let stored = || -> io::Result<u64> {
        let files = fs::read_dir(&logs)?.map(|file| Ok(file?.metadata()?.len()));
        files.sum()
    };
    std::thread::sleep(Duration::from_secs(1));
    let (used, before, began) = (used_by_us(), stored()?, Instant::now());
    std::thread::sleep(time);
    let (used, passed) = (used_by_us() - used, began.elapsed());
    let lines = (stored()? - before) as f64 / 100.0 / passed.as_secs_f64();
    let percent = 100.0 * used.as_secs_f64() / passed.as_secs_f64();
    println!("{COMPONENTS} components that write {LINES_A_SECOND} lines a second each");
    println!("  {lines:.0} lines a second were stored, by {percent:.2} % of one processor");
    supervisor.handle().shutdown()?;
    supervisor.wait()?;
    Ok(fs::remove_dir_all(logs)?)
}

fn measure_memory(folder: &Path, form: LineForm, bytes: u64) -> Done {
    supervised(folder, GIBIBYTE / 8, form, true)?;
    let before = memory("VmRSS:")?;
    // The peak is counted from here.
    fs::write("/proc/self/clear_refs", "5")?;
    supervised(folder, bytes, form, true)?;
    let more = memory("VmHWM:")?.saturating_sub(before);
    println!("memory while a component writes {} MiB, {form:?}", bytes >> 20);
    println!("  {:.1} MB before, at most {:.1} MB more", before as f64 / 1e3, more as f64 / 1e3);
    Ok(())
}

/// In kB.
fn memory(what: &str) -> Done<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).ok_or("not told")?;
    Ok(line.split_whitespace().next().ok_or("not told")?.parse()?)
}

fn used_by_us() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The component that floods.
fn write_lines(bytes: u64) -> io::Result<()> {
    let text: Vec<u8> = (0..65_500).map(|place| if place % 100 == 99 { b'\n' } else { b'x' }).collect();
    let mut stdout = File::from(std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?);
    let mut left = bytes;
    while left > 0 {
        let length = left.min(text.len() as u64);
        stdout.write_all(&text[..length as usize])?;
        left -= length;
    }
    Ok(())
}

/// The component that writes a line now and then, until it is stopped.
fn trickle() -> io::Result<()> {
    let line = "x".repeat(99) + "\n";
    loop {
        io::stdout().write_all(line.as_bytes())?;
        std::thread::sleep(Duration::from_secs(1) / LINES_A_SECOND);
    }
}
